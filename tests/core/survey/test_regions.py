"""Regions: splits by hash of the cell alone, and a guard band that no other split's cell enters."""

from functools import cache
from math import hypot

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError
from halo_core.survey.regions import SplitRule, close_to_other_split, guard_arcsec, near_other_split, region_of, split_of

FRACTIONS = {"train": 0.70, "val": 0.15, "test": 0.15}
RULE = SplitRule(nside=64, split_seed=13, fractions=FRACTIONS)
RADIUS = guard_arcsec(96)

Positions = tuple[NDArray[np.float64], NDArray[np.float64]]


@cache
def border_positions() -> Positions:
    """Return positions scattered within 40 arcsec of cell edges and corners over the whole sky, poles included."""
    rng = np.random.default_rng(3)
    n, grid = 12_000, HEALPix(64, order="nested")
    x, y = rng.uniform(0, 1, n), rng.uniform(0, 1, n)
    side = 3297.0  # [arcsec]
    x = np.where(rng.random(n) < 0.8, np.where(rng.random(n) < 0.5, 40 / side * x, 1 - 40 / side * x), x)
    y = np.where(rng.random(n) < 0.3, np.where(rng.random(n) < 0.5, 40 / side * y, 1 - 40 / side * y), y)
    lon, lat = grid.healpix_to_lonlat(rng.integers(0, grid.npix, n), x, y)
    return lon.to_value(units.deg), lat.to_value(units.deg)


def any_point_in_other_split(ra: float, dec: float, radius_arcsec: float) -> bool:
    """Try thousands of points of the disc, offset on the sphere by astropy."""
    angle, share = np.meshgrid(np.linspace(0, 360, 720, endpoint=False), [1.0, 0.99, 0.97, 0.9, 0.5])
    points = SkyCoord(ra, dec, unit="deg").directional_offset_by(angle.ravel() * units.deg, share.ravel() * radius_arcsec * units.arcsec)
    cells = HEALPix(64, order="nested").lonlat_to_healpix(points.ra, points.dec)
    splits = split_of(np.append(region_of(np.array([ra]), np.array([dec]), 64), cells), split_seed=13, fractions=FRACTIONS)
    return bool((splits != splits[0]).any())


def test_guard_is_half_the_diagonal_and_two_arcsec() -> None:
    assert guard_arcsec(96) == pytest.approx(hypot(48 * 0.262, 48 * 0.262) + 2.0)
    assert guard_arcsec(96) == pytest.approx(17.8 + 2.0, abs=0.05)


def test_regions_are_nested_healpix_cells() -> None:
    ra, dec = border_positions()
    children, parents = region_of(ra, dec, 64), region_of(ra, dec, 32)
    np.testing.assert_array_equal(children // 4, parents)
    assert len(np.unique(region_of(np.array([0.0, 360.0]), np.array([0.1, 0.1]), 64))) == 1


def test_splits_take_their_share_of_cells() -> None:
    splits = split_of(np.arange(49_152), split_seed=13, fractions=FRACTIONS)
    for name, share in FRACTIONS.items():
        assert (splits == name).mean() == pytest.approx(share, abs=5 * np.sqrt(0.25 / 49_152))  # 5 sigma


def test_a_cell_has_the_same_split_alone_and_among_others() -> None:
    cells = np.array([7, 49_000, 7, 123])
    splits = split_of(cells, split_seed=13, fractions=FRACTIONS)
    assert [split_of(cells[i : i + 1], split_seed=13, fractions=FRACTIONS)[0] for i in range(4)] == splits.tolist()
    assert split_of(cells, split_seed=13, fractions=dict(reversed(FRACTIONS.items()))).tolist() == splits.tolist()
    other = split_of(np.arange(1000), split_seed=14, fractions=FRACTIONS)
    assert (split_of(np.arange(1000), split_seed=13, fractions=FRACTIONS) != other).any()


def test_no_position_outside_the_guard_band_has_another_split_within_the_radius() -> None:
    ra, dec = border_positions()
    free = np.flatnonzero(~near_other_split(ra, dec, radius_arcsec=RADIUS, rule=RULE))
    assert len(free) > 5_000
    assert not any(any_point_in_other_split(ra[i], dec[i], RADIUS) for i in free[:: len(free) // 250])


def test_the_guard_band_is_no_wider_than_its_bound() -> None:
    ra, dec = border_positions()
    near = np.flatnonzero(near_other_split(ra, dec, radius_arcsec=RADIUS, rule=RULE))
    assert len(near) > 1_000
    assert all(any_point_in_other_split(ra[i], dec[i], 1.16 * RADIUS) for i in near[:: len(near) // 150])


def test_free_positions_of_different_splits_are_two_radii_apart() -> None:
    ra, dec = border_positions()
    free = ~near_other_split(ra, dec, radius_arcsec=RADIUS, rule=RULE)
    splits = split_of(region_of(ra, dec, 64), split_seed=13, fractions=FRACTIONS)
    assert not close_to_other_split(ra[free], dec[free], splits[free], radius_arcsec=2 * RADIUS).any()


def test_one_split_over_the_whole_sky_has_no_guard_band() -> None:
    ra, dec = border_positions()
    assert not near_other_split(ra, dec, radius_arcsec=RADIUS, rule=SplitRule(64, 13, {"train": 1.0})).any()


def test_the_guard_band_at_the_pole_is_on_the_sky() -> None:
    ra, dec = np.linspace(0, 360, 500, endpoint=False), np.full(500, 90.0 - 5 / 3600)
    near = near_other_split(ra, dec, radius_arcsec=RADIUS, rule=RULE)
    assert near.tolist() == [any_point_in_other_split(one, 90.0 - 5 / 3600, 1.15 * RADIUS) for one in ra[:1]] * 500


def test_separations_are_on_the_sphere_and_symmetric() -> None:
    ra, dec = np.array([0.0, 359.99, 10.0, 10.0, 200.0]), np.array([-80.0, -80.0, 0.0, 0.01, 5.0])
    split = np.array(["train", "val", "train", "train", "val"])
    separation = 0.01 * np.cos(np.deg2rad(80.0)) * 3600.0
    assert close_to_other_split(ra, dec, split, radius_arcsec=1.01 * separation).tolist() == [True, True, False, False, False]
    assert not close_to_other_split(ra, dec, split, radius_arcsec=0.99 * separation).any()


@pytest.mark.parametrize(
    ("nside", "fractions", "message"),
    [
        (63, FRACTIONS, "power of two"),
        (0, FRACTIONS, "power of two"),
        (64, {"train": 0.9}, "sum 1"),
        (64, {"dev": 1.0}, "split fractions"),
        (64, {"train": 1.5, "val": -0.5}, ">= 0"),
    ],
)
def test_a_bad_rule_is_refused(nside: int, fractions: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SplitRule(nside, 13, fractions)


def test_cells_too_small_for_the_guard_band_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="nside 2048"):
        near_other_split(np.zeros(1), np.zeros(1), radius_arcsec=RADIUS, rule=SplitRule(2048, 13, FRACTIONS))
