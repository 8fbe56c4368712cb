"""No two splits share a pixel of any stamp: each step of the argument in halo_core.survey.regions, tried on the sky and in the pixels."""

from functools import cache
from itertools import product
from math import floor, hypot

import numpy as np
import pytest
from astropy import units
from astropy.coordinates import SkyCoord
from astropy_healpix import HEALPix
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.stages.parent import region_columns
from halo_core.survey.bricks import N_BRICKS, brick_at, brick_by_id, brick_wcs
from halo_core.survey.coadds import stamp_corner
from halo_core.survey.projection import sky_to_pixel
from halo_core.survey.regions import GUARD_MARGIN_ARCSEC, SplitRule, guard_arcsec, near_other_split, region_of, split_of
from tests.fixtures.parents import parent_config
from tests.fixtures.survey import pixel_to_sky

Floats = NDArray[np.float64]

FRACTIONS = {"train": 0.70, "val": 0.15, "test": 0.15}
RULE = SplitRule(nside=64, split_seed=13, fractions=FRACTIONS)
SIZE = 96
RADIUS = guard_arcsec(SIZE)
REACH = PIXEL_SCALE_ARCSEC * hypot(1.0, 1.0) * (SIZE / 2 + 1)
"""Farthest that a corner of a stamp can be from its host [arcsec]: half a diagonal and the rounding to whole pixels."""

GAP = 2.0 * (RADIUS - REACH)
"""Least distance between pixels of different splits [arcsec]."""


def split_at(ra: Floats, dec: Floats) -> NDArray[np.str_]:
    """Return the split of each position."""
    return split_of(region_of(ra, dec, 64), split_seed=13, fractions=FRACTIONS)


def footprint(ra: float, dec: float, brick: int, size: int) -> tuple[int, int]:
    """Return the first column and row of the stamp of a host in the image of a brick."""
    bricks = brick_by_id(brick)
    x, y = sky_to_pixel(brick_wcs(float(bricks.ra[0]), float(bricks.dec[0])), ra, dec)
    return stamp_corner(x, size), stamp_corner(y, size)


def outline(ra: float, dec: float, brick: int, size: int, *, n: int = 49) -> tuple[Floats, Floats]:
    """Return sky positions along the outer edges of a stamp's pixels, corners included, and of a lattice inside."""
    bricks = brick_by_id(brick)
    x0, y0 = footprint(ra, dec, brick, size)
    x, y = np.meshgrid(np.linspace(x0 - 0.5, x0 + size - 0.5, n), np.linspace(y0 - 0.5, y0 + size - 0.5, n))
    return pixel_to_sky(brick_wcs(float(bricks.ra[0]), float(bricks.dec[0])), x.ravel(), y.ravel())


def images_with(ra: float, dec: float) -> list[int]:
    """Return the bricks whose images hold a position: its own, and neighbours that overlap there."""
    around = SkyCoord(ra, dec, unit="deg").directional_offset_by(np.arange(0, 360, 15) * units.deg, 0.02 * units.deg)
    ids = set(brick_at(np.append(around.ra.deg, ra), np.append(around.dec.deg, dec)).brickid.tolist())
    held = []
    for brick in sorted(ids):
        bricks = brick_by_id(brick)
        x, y = sky_to_pixel(brick_wcs(float(bricks.ra[0]), float(bricks.dec[0])), ra, dec)
        if -0.5 <= x <= 3599.5 and -0.5 <= y <= 3599.5:
            held.append(brick)
    return held


@cache
def border_pairs() -> list[tuple[Floats, Floats]]:
    """Return hosts on either side of borders between splits, as near to each other as the guard band lets them: RA and Dec of both.

    A great circle is followed from a cell into its neighbour of another split, over the whole sky, corners of cells and poles included.
    """
    rng = np.random.default_rng(11)
    grid = HEALPix(64, order="nested")
    cells = np.concatenate([rng.integers(0, grid.npix, 1_200), region_of(np.arange(0.0, 360.0, 5.0), np.full(72, 89.9), 64)])
    at_corner = rng.random(len(cells)) < 0.4
    x = np.where(at_corner, rng.choice([1e-7, 1.0 - 1e-7], len(cells)), 1e-7)
    y = np.where(at_corner, rng.choice([1e-7, 1.0 - 1e-7], len(cells)), rng.random(len(cells)))
    start = SkyCoord(*grid.healpix_to_lonlat(cells, x, y))[:, None]
    path = start.directional_offset_by(rng.uniform(0.0, 360.0, (len(cells), 1)) * units.deg, np.arange(-60.0, 60.0, 0.5) * units.arcsec)
    ra, dec = path.ra.deg, path.dec.deg
    split = split_at(ra.ravel(), dec.ravel()).reshape(ra.shape)
    crosses = (split != split[:, :1]).any(axis=1)
    ra, dec, split = ra[crosses], dec[crosses], split[crosses]
    is_free = ~near_other_split(ra.ravel(), dec.ravel(), radius_arcsec=RADIUS, rule=RULE).reshape(ra.shape)
    pairs = []
    for row in range(len(ra)):
        free = np.flatnonzero(is_free[row])
        changes = np.flatnonzero(split[row, free][1:] != split[row, free][:-1])
        pairs += [(ra[row, free[[i, i + 1]]], dec[row, free[[i, i + 1]]]) for i in changes]
    return pairs


@pytest.mark.parametrize("size", [64, 95, 96, 101, 160])
def test_a_stamp_stays_within_the_guard_radius_of_its_host_at_all_declinations(size: int) -> None:
    rng = np.random.default_rng(size)
    ids = np.concatenate([[1, N_BRICKS], rng.integers(1, 400, 40), N_BRICKS - rng.integers(0, 400, 40), rng.integers(1, N_BRICKS, 200)])
    for brick in ids.tolist():
        bricks = brick_by_id(brick)
        wcs = brick_wcs(float(bricks.ra[0]), float(bricks.dec[0]))
        # Centres, corners and edges of the image, and the worst places inside a pixel.
        x, y = rng.choice([0.0, 1799.5, 3599.0, *rng.uniform(0.0, 3599.0, 4)], 2) + rng.choice([-0.5, 0.0, 0.4999999], 2)
        ra, dec = pixel_to_sky(wcs, float(x), float(y))
        away = SkyCoord(ra, dec, unit="deg").separation(SkyCoord(*outline(ra, dec, brick, size, n=3), unit="deg")).arcsec
        reach = PIXEL_SCALE_ARCSEC * hypot(1.0, 1.0) * (size / 2 + 1)
        assert away.max() <= reach + 1e-6
        assert reach < guard_arcsec(size) - 0.8 * GUARD_MARGIN_ARCSEC


def test_the_gnomonic_plane_shrinks_no_distance() -> None:
    rng = np.random.default_rng(2)
    for dec0 in (-90.0, -60.0, 0.0, 33.25, 80.5, 89.75):
        wcs = brick_wcs(180.0, dec0)
        x, y = rng.uniform(-0.5, 3599.5, (2, 4_000))
        sky = SkyCoord(*pixel_to_sky(wcs, x, y), unit="deg")
        on_plane = PIXEL_SCALE_ARCSEC * np.hypot(x[1:] - x[:-1], y[1:] - y[:-1])
        assert (sky[1:].separation(sky[:-1]).arcsec <= on_plane * (1.0 + 1e-9)).all()


def test_hosts_of_different_splits_are_two_guard_radii_apart() -> None:
    pairs = border_pairs()
    apart = np.array([SkyCoord(ra[0], dec[0], unit="deg").separation(SkyCoord(ra[1], dec[1], unit="deg")).arcsec for ra, dec in pairs])
    assert len(pairs) > 250
    assert sum(abs(dec[0]) > 80.0 for _, dec in pairs) > 5
    assert apart.min() >= 2.0 * RADIUS
    assert np.quantile(apart, 0.2) < 2.5 * RADIUS  # those whose path crosses the border at a right angle are as near as may be


def test_every_pixel_of_a_stamp_lies_in_cells_of_its_hosts_split_in_every_brick_image_that_holds_the_host() -> None:
    n_images = 0
    for ra, dec in border_pairs()[::2]:
        for one, other in zip(ra.tolist(), dec.tolist(), strict=True):
            for brick in images_with(one, other):
                splits = split_at(*outline(one, other, brick, SIZE))
                assert (splits == split_at(np.array([one]), np.array([other]))[0]).all()
                n_images += 1
    assert n_images > 200


def test_stamps_of_different_splits_share_no_pixel_and_stay_apart_in_every_brick_image() -> None:
    n_shared_images, n_between = 0, 0
    for ra, dec in border_pairs():
        mine, theirs = images_with(ra[0], dec[0]), images_with(ra[1], dec[1])
        for brick in set(mine) & set(theirs):
            (x0, y0), (x1, y1) = (footprint(ra[i], dec[i], brick, SIZE) for i in (0, 1))
            between = hypot(max(0, abs(x1 - x0) - SIZE), max(0, abs(y1 - y0) - SIZE))
            assert max(abs(x1 - x0), abs(y1 - y0)) >= SIZE
            assert between >= floor(GAP / PIXEL_SCALE_ARCSEC) - 1
            n_shared_images += 1
        for one, other in product(mine, theirs):
            if one != other:
                mine_sky = SkyCoord(*outline(ra[0], dec[0], one, SIZE, n=25), unit="deg")
                nearest = SkyCoord(*outline(ra[1], dec[1], other, SIZE, n=25), unit="deg").match_to_catalog_sky(mine_sky)[1].arcsec.min()
                assert nearest >= GAP - 1e-6
                n_between += 1
    assert n_shared_images > 250
    assert n_between > 50


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    keep=st.floats(0.05, 1.0),
    ebv_max=st.floats(0.01, 0.5),
    psfsize_max=st.floats(0.8, 3.0),
    depth_min=st.floats(22.0, 25.0),
    variant=st.sampled_from(["v1_pure_massive", "v3_color_relaxed", "v5_very_relaxed", "desi_lrg"]),
)
def test_regions_splits_and_guard_do_not_move_when_cuts_change(
    seed: int, keep: float, ebv_max: float, psfsize_max: float, depth_min: float, variant: str
) -> None:
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0.0, 360.0, 400), np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, 400)))
    kept = rng.permutation(400)[: max(1, int(400 * keep))]
    every = region_columns(ra, dec, parent_config())
    cut = parent_config(variant=variant, ebv_max=ebv_max, psfsize_r_max_arcsec=psfsize_max, psfdepth_r_min_mag=depth_min)
    some = region_columns(ra[kept], dec[kept], cut)
    assert all(np.array_equal(every[name][kept], some[name]) for name in every)
