"""Regions of the sky: equal-area cells, their split, and the band along the border that belongs to no split.

A region is a HEALPix cell in nested order; its split is a hash of (cell, seed) alone, so cuts on galaxies never move a border.

No two splits share a pixel of any stamp, in one brick image or in two that overlap, at any declination:

1. A stamp of N pixels starts at floor(x + 0.5) - N // 2, so that no point of it is more than N / 2 + 1 pixels from its host along
   either axis: in the plane of the image it lies within d = sqrt(2) (N / 2 + 1) 0.262 arcsec of the host.
2. The gnomonic projection shrinks no distance (it stretches by 1 / cos^2 of the distance from the centre of the brick, and by 1 / cos
   across), so that on the sky too every point of the stamp lies within d, whichever brick image it is cut from.
3. A host that is no guard has no point of another split's cells within g = N sqrt(2) / 2 0.262 + 2 arcsec = d + 1.63 arcsec
   (``guard_arcsec``, ``near_other_split``). So its stamp, and a seam of 1.63 arcsec around it, lie in cells of its own split.
4. Cells do not overlap. So stamps of two splits have no point of the sky in common and are at least 3.26 arcsec, 12 pixels, apart:
   neither do they share a pixel where two brick images show the same sky, nor one that resampling (Lanczos-3, 3 pixels) spreads to both.

``tests/core/survey/test_splits_apart.py`` tries each step. Splits that are given have no such guard: their overlaps are counted.

Reference: Gorski et al. 2005, ApJ 622, 759 (HEALPix).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import hypot, isclose

import numpy as np
from astropy import units
from astropy_healpix import HEALPix
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from halo_core.constants import ARCSEC_PER_DEG, PIXEL_SCALE_ARCSEC, SPLITS
from halo_core.errors import ConfigurationError
from halo_core.seeds import uniforms

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Texts = NDArray[np.str_]

GUARD_MARGIN_ARCSEC = 2.0
"""What a guard band holds beyond the half-diagonal of the largest stamp [arcsec]."""

RING_POINTS = 64
RING_FACTOR = 1.15
"""Points of the ring around a position, and its radius over the guard radius."""

_STRETCH_MAX = 2.0
_CELLS_PER_RADIUS = 8.0
_CHUNK = 20_000


@dataclass(frozen=True)
class SplitRule:
    """How cells are made and shared between splits.

    Parameters
    ----------
    nside : int
        HEALPix resolution, a power of two.
    split_seed : int
        Seed of the hash.
    fractions : mapping of str to float
        Share of the cells by split; every share >= 0, their sum 1.

    Raises
    ------
    ConfigurationError
        The resolution is no power of two, a split is unknown, or the shares do not sum to 1.
    """

    nside: int
    split_seed: int
    fractions: Mapping[str, float]

    def __post_init__(self) -> None:
        """Check every value."""
        if self.nside < 1 or self.nside & (self.nside - 1) or self.nside > 2**29:
            raise ConfigurationError(f"healpix nside is {self.nside}; it must be a power of two from 1 to 2^29")
        unknown = set(self.fractions) - set(SPLITS)
        if (
            unknown
            or any(not value >= 0.0 for value in self.fractions.values())
            or not isclose(sum(self.fractions.values()), 1.0, abs_tol=1e-9)
        ):
            raise ConfigurationError(
                f"split fractions are {dict(self.fractions)}; shares >= 0 of {', '.join(SPLITS)} with sum 1 are needed"
            )


def region_of(ra_deg: Floats, dec_deg: Floats, nside: int) -> Ints:
    """Return the HEALPix cell (nested) of each position.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, shape (n,)
        Positions, ICRS [deg].
    nside : int
        Resolution, a power of two.
    """
    cells = _healpix(nside).lonlat_to_healpix(np.asarray(ra_deg) * units.deg, np.asarray(dec_deg) * units.deg)
    return np.asarray(cells, dtype=np.int64)


def split_of(region_id: Ints, *, split_seed: int, fractions: Mapping[str, float]) -> Texts:
    """Return the split of each region: a hash of (region, seed) against the cumulative shares.

    Parameters
    ----------
    region_id : ndarray of int, shape (n,)
        Regions.
    split_seed : int
        Seed of the hash.
    fractions : mapping of str to float
        Share by split, sum 1; their order does not matter.
    """
    cells, inverse = np.unique(np.asarray(region_id, dtype=np.int64), return_inverse=True)
    names = [split for split in SPLITS if fractions.get(split, 0.0) > 0.0]
    edges = np.cumsum([fractions[split] for split in names])[:-1]
    u = uniforms((str(cell) for cell in cells.tolist()), f"split:{split_seed}")
    return np.asarray(np.array(names)[np.searchsorted(edges, u, side="right")][inverse.reshape(-1)])


def guard_arcsec(largest_stamp_pix: int) -> float:
    """Return the radius of the guard band [arcsec]: half the diagonal of the largest stamp, plus a margin."""
    return hypot(largest_stamp_pix, largest_stamp_pix) / 2.0 * PIXEL_SCALE_ARCSEC + GUARD_MARGIN_ARCSEC


def near_other_split(ra_deg: Floats, dec_deg: Floats, *, radius_arcsec: float, rule: SplitRule) -> NDArray[np.bool_]:
    """Return where any point within the radius lies in a cell of another split.

    Conservative: True is also returned for some positions up to 1.15 radii from such a cell, never False within the radius.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, shape (n,)
        Positions, ICRS [deg].
    radius_arcsec : float
        Guard radius [arcsec]; at most 1/8 of a cell's side.
    rule : SplitRule
        Cells and splits.

    Raises
    ------
    ConfigurationError
        The cells are too small for the radius.

    Notes
    -----
    Cells are far larger than the radius, so a cell that enters the circle without holding its centre crosses the ring around it. A
    straight border at distance d <= r covers the half-angle acos(d/R) of a ring of radius R; a corner of apex angle a
    reaching in to distance d covers at least (1 - d/R) tan(a/2) on either side of its axis. The sharpest corners of HEALPix
    cells have a > 50 deg, so that with R = 1.15 r the half-angle is at least 0.061 > pi/64: one of 64 points lies in the cell.
    Positions are tried only where they are within two radii of an edge of their own cell as the projection measures it;
    it stretches no length by more than 1.56 (all cells of nside 64, corners included).
    """
    side_arcsec = float(_healpix(rule.nside).pixel_resolution.to_value(units.arcsec))
    if radius_arcsec * _CELLS_PER_RADIUS > side_arcsec:
        raise ConfigurationError(
            f"cells of nside {rule.nside} have sides of {side_arcsec:.1f} arcsec, below {_CELLS_PER_RADIUS:g} guard radii "
            f"of {radius_arcsec:.1f} arcsec; lower healpix nside or the largest stamp"
        )
    ra, dec = np.asarray(ra_deg, dtype=np.float64), np.asarray(dec_deg, dtype=np.float64)
    is_near = np.zeros(len(ra), dtype=bool)
    margin = _STRETCH_MAX * RING_FACTOR * radius_arcsec / side_arcsec
    for start in range(0, len(ra), _CHUNK):
        tried = start + np.flatnonzero(_edge_distance(ra[start : start + _CHUNK], dec[start : start + _CHUNK], rule.nside) < margin)
        is_near[tried] = _ring_meets_other(ra[tried], dec[tried], RING_FACTOR * radius_arcsec, rule)
    return is_near


def close_to_other_split(ra_deg: Floats, dec_deg: Floats, split: Texts, *, radius_arcsec: float) -> NDArray[np.bool_]:
    """Return which positions have a position of another split nearer than the radius on the sky.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, shape (n,)
        Positions, ICRS [deg].
    split : ndarray of str, shape (n,)
        Their splits.
    radius_arcsec : float
        Separation [arcsec]; > 0.
    """
    ra, dec = np.deg2rad(np.asarray(ra_deg, dtype=np.float64)), np.deg2rad(np.asarray(dec_deg, dtype=np.float64))
    points = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    chord = 2.0 * np.sin(np.deg2rad(radius_arcsec / ARCSEC_PER_DEG) / 2.0)
    is_close = np.zeros(len(points), dtype=bool)
    for name in np.unique(split):
        mine, others = np.flatnonzero(split == name), np.flatnonzero(split != name)
        if len(others):
            distance, _ = cKDTree(points[others]).query(points[mine], distance_upper_bound=chord)
            is_close[mine] = np.isfinite(distance)
    return is_close


def _healpix(nside: int) -> HEALPix:
    """Return the nested HEALPix grid of this resolution."""
    return HEALPix(nside=nside, order="nested")


def _edge_distance(ra_deg: Floats, dec_deg: Floats, nside: int) -> Floats:
    """Return the distance to the nearest edge of the own cell, in the projection, as a fraction of the cell's side."""
    _, dx, dy = _healpix(nside).lonlat_to_healpix(ra_deg * units.deg, dec_deg * units.deg, return_offsets=True)
    x, y = np.asarray(dx), np.asarray(dy)
    return np.asarray(np.minimum(np.minimum(x, 1.0 - x), np.minimum(y, 1.0 - y)))


def _ring_meets_other(ra_deg: Floats, dec_deg: Floats, ring_arcsec: float, rule: SplitRule) -> NDArray[np.bool_]:
    """Return where the ring, or the ring of half its radius, meets a cell of another split."""
    own = region_of(ra_deg, dec_deg, rule.nside)
    cells = np.concatenate([_ring_cells(ra_deg, dec_deg, radius, rule.nside) for radius in (ring_arcsec, 0.5 * ring_arcsec)], axis=1)
    splits = split_of(np.concatenate([own, cells.ravel()]), split_seed=rule.split_seed, fractions=rule.fractions)
    return np.asarray((splits[len(own) :].reshape(cells.shape) != splits[: len(own), None]).any(axis=1))


def _ring_cells(ra_deg: Floats, dec_deg: Floats, radius_arcsec: float, nside: int) -> Ints:
    """Return the cells of the points of one ring, shape (n, RING_POINTS); exact on the sphere, poles included."""
    ra, dec = np.deg2rad(ra_deg)[:, None], np.deg2rad(dec_deg)[:, None]
    radius, bearing = np.deg2rad(radius_arcsec / ARCSEC_PER_DEG), 2.0 * np.pi * np.arange(RING_POINTS) / RING_POINTS
    sin_dec = np.clip(np.sin(dec) * np.cos(radius) + np.cos(dec) * np.sin(radius) * np.cos(bearing), -1.0, 1.0)
    east = np.sin(bearing) * np.sin(radius) * np.cos(dec)
    ra_point = ra + np.arctan2(east, np.cos(radius) - np.sin(dec) * sin_dec)
    return region_of(np.rad2deg(ra_point), np.rad2deg(np.arcsin(sin_dec)), nside)
