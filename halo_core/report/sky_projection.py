"""Where the sky lands on paper: an equal-area map of the whole sky, or of the part that holds every host.

Right ascension grows to the left, north is up, a degree of distance is one unit. The whole sky (Mollweide) is cut along the meridian in the
middle of the widest gap between hosts; a part of it (Lambert's azimuthal equal-area) is not cut at all: 0 h is a place as any other.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_PART_RADIUS_DEG = 35.0
"""Hosts that lie within this of their middle are drawn as a part of the sky."""

_EDGE_DEG = 179.999
_STEPS_DEG = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 45.0, 60.0, 90.0)
_MOST_LINES = 6.0
_SAMPLES = 121


@dataclass(frozen=True)
class Projection:
    """One map: the middle [deg], and whether it is of the whole sky."""

    ra_deg: float
    dec_deg: float
    is_whole_sky: bool

    def xy(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Floats, Floats]:
        """Return where positions [deg] stand, east to the left; arrays of one shape."""
        wcs = WCS(naxis=2)
        wcs.wcs.ctype = ["RA---MOL", "DEC--MOL"] if self.is_whole_sky else ["RA---ZEA", "DEC--ZEA"]
        wcs.wcs.crval = [self.ra_deg, self.dec_deg]
        wcs.wcs.cdelt = [-1.0, 1.0]
        ra, dec = np.broadcast_arrays(np.asarray(ra_deg, dtype=float), np.asarray(dec_deg, dtype=float))
        x, y = wcs.wcs_world2pix(ra.ravel(), dec.ravel(), 1)
        return x.reshape(ra.shape), y.reshape(ra.shape)

    def outline(self, ra_deg: Floats, dec_deg: Floats) -> Floats:
        """Return the corners of a closed region, shape (n, 2), in one piece: at the cut of the whole sky what lies beyond is left away."""
        if not self.is_whole_sky:
            return np.column_stack(self.xy(ra_deg, dec_deg))
        east = (ra_deg - self.ra_deg + 180.0) % 360.0 - 180.0
        if np.ptp(east) > 180.0:
            east = np.where(east < 0.0, east + 360.0, east)
            east = east - 360.0 if east.mean() > 180.0 else east
        return np.column_stack(self.xy(self.ra_deg + np.clip(east, -_EDGE_DEG, _EDGE_DEG), dec_deg))


def projection_of(ra_deg: Floats, dec_deg: Floats) -> Projection:
    """Return the map that holds positions [deg], shape (n,), n >= 1."""
    ra, dec = np.deg2rad(ra_deg), np.deg2rad(dec_deg)
    vectors = np.column_stack([np.cos(dec) * np.cos(ra), np.cos(dec) * np.sin(ra), np.sin(dec)])
    mean = vectors.mean(axis=0)
    length = float(np.linalg.norm(mean))
    if length > 0.0 and float((vectors @ mean).min()) >= length * np.cos(np.deg2rad(_PART_RADIUS_DEG)):
        middle = np.rad2deg(np.arctan2(mean[1], mean[0])) % 360.0
        return Projection(round(float(middle), 4), round(float(np.rad2deg(np.arcsin(mean[2] / length))), 4), is_whole_sky=False)
    west, width = ra_span(ra_deg)
    return Projection(round((west + 0.5 * width) % 360.0, 4), 0.0, is_whole_sky=True)


def ra_span(ra_deg: Floats) -> tuple[float, float]:
    """Return the right ascension where the hosts begin, eastwards of the widest gap between them, and how far they reach [deg]."""
    rising = np.unique(ra_deg % 360.0)
    gaps = np.diff(rising, append=rising[0] + 360.0)
    widest = int(gaps.argmax())
    return float(rising[(widest + 1) % len(rising)]), 360.0 - float(gaps[widest])


def graticule(projection: Projection, spans_deg: tuple[float, float]) -> tuple[list[tuple[float, Floats]], list[tuple[float, Floats]]]:
    """Return meridians and parallels, each its coordinate [deg] and its points, shape (n, 2), for a map that is so wide and high [deg]."""
    if projection.is_whole_sky:
        east = np.arange(-180.0, 181.0, 30.0)
        values = sorted({*(float((value // 30.0) * 30.0) for value in projection.ra_deg + east)})
        inside = [value for value in values if abs(value - projection.ra_deg) < 180.0]
        parallels = [float(value) for value in range(-60, 61, 30)]
        full_ra, full_dec = projection.ra_deg + np.linspace(-_EDGE_DEG, _EDGE_DEG, _SAMPLES), np.linspace(-90.0, 90.0, _SAMPLES)
    else:
        reach = 0.75 * float(np.hypot(*spans_deg))
        step = _nice(max(spans_deg) / _MOST_LINES)
        bottom, top = max(-90.0, projection.dec_deg - reach), min(90.0, projection.dec_deg + reach)
        flattest = np.cos(np.deg2rad(min(abs(projection.dec_deg), 89.0)))
        half = 180.0 if max(abs(bottom), abs(top)) > 85.0 else min(180.0, reach / float(np.cos(np.deg2rad(max(abs(bottom), abs(top))))))
        inside = _multiples(projection.ra_deg - half, projection.ra_deg + half, _nice(spans_deg[0] / _MOST_LINES / float(flattest)))
        parallels = _multiples(bottom, top, step)
        full_ra, full_dec = projection.ra_deg + np.linspace(-half, half, _SAMPLES), np.linspace(bottom, top, _SAMPLES)
    meridians = [(value % 360.0, np.column_stack(projection.xy(value, full_dec))) for value in inside]
    return meridians, [(value, np.column_stack(projection.xy(full_ra, value))) for value in parallels]


def crossing(line: Floats, *, axis: int, at: float) -> float | None:
    """Return the other coordinate where a line, shape (n, 2), first meets x = at (axis 0) or y = at (axis 1); None where it does not."""
    along, across = line[:, axis] - at, line[:, 1 - axis]
    found = np.flatnonzero(along[:-1] * along[1:] <= 0.0)
    if not len(found):
        return None
    first = int(found[0])
    share = along[first] / (along[first] - along[first + 1]) if along[first] != along[first + 1] else 0.0
    return float(across[first] + share * (across[first + 1] - across[first]))


def _nice(least: float) -> float:
    """Return the first round step that is not smaller."""
    return next((step for step in _STEPS_DEG if step >= least), _STEPS_DEG[-1])


def _multiples(lower: float, upper: float, step: float) -> list[float]:
    """Return the multiples of a step within limits, a full turn at most."""
    numbers: Sequence[int] = range(int(np.ceil(lower / step)), int(np.floor(upper / step)) + 1)
    values = [round(number * step, 6) for number in numbers]
    return [value for value in values if value < values[0] + 360.0]
