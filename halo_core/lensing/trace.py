"""The light of a lensed source in the image plane, before PSF and crop: brightness on cells, and the total magnification.

Cells are anchored at the middle of the stamp and cover a box that follows from lens and source alone, so that neither light nor
magnification depends on a stamp's size. Light farther than the cap, which only sources of high Sersic index have, is integrated on
coarse cells for the magnification and is not painted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing.assignment import SPLINE, Grid
from halo_core.lensing.deflectors import Lens
from halo_core.lensing.optics import DARK_FLUX_FRAC, Extent, Optics, light_extent, optics_of
from halo_core.lensing.quadrature import cell_means
from halo_core.lensing.sources import Source, sersic_central_brightness

TOLERANCE = 2e-3
"""Allowed error of a cell's mean at effort 1, over its own brightness."""

SPLINE_REFF_ARCSEC = 0.05
"""Size below which a source is assigned to cells by a cubic spline, because it hides between them [arcsec]."""

SPLINE_MARGIN = 2
"""Cells by which the spline spreads light beyond its own."""

CAP_BLOCKS = 5
"""Half side of the largest painted box, in coarse cells."""

COARSE_ARCSEC = 32 * PIXEL_SCALE_ARCSEC
"""Side of the cells that hold the light outside the cap [arcsec]."""


@dataclass(frozen=True, slots=True)
class Light:
    """A lensed source of unit flux on cells.

    Parameters
    ----------
    brightness : ndarray, shape (rows, columns), float64
        Mean surface brightness of each cell [arcsec^-2 per unit of unlensed flux].
    corner : tuple of int
        Row and column, in cells from the middle of the stamp, of the lower left cell.
    factor : int
        Cells along a pixel's side.
    assignment : int
        Boxes of a cell's side the light is convolved with before it is sampled at the cell centres: 1 for means, 4 for a cubic spline.
    magnification : float
        Lensed over unlensed flux, of all the light.
    """

    brightness: NDArray[np.float64]
    corner: tuple[int, int]
    factor: int
    assignment: int
    magnification: float


def trace_light(lens: Lens, source: Source, *, psf_fwhm_arcsec: float, effort: float) -> Light:
    """Return the light of a lensed source; the sharpest PSF it will meet decides the cells, effort the tolerance."""
    factor = cells_per_pixel(source.reff_arcsec, psf_fwhm_arcsec, effort)
    assignment = SPLINE if source.reff_arcsec < SPLINE_REFF_ARCSEC else 1
    margin = SPLINE_MARGIN if assignment == SPLINE else 0
    optics = optics_of(lens, source)
    extent = light_extent(lens, source, outside_frac=DARK_FLUX_FRAC)
    side = PIXEL_SCALE_ARCSEC / factor
    cap = CAP_BLOCKS * 32 * factor
    first_x, last_x = _span(extent.x, extent.half_x, side, cap)
    first_y, last_y = _span(extent.y, extent.half_y, side, cap)
    corner = (first_y - margin, first_x - margin)
    rows, columns = last_y - first_y + 2 * margin, last_x - first_x + 2 * margin
    tolerance = TOLERANCE / effort**2
    means = cell_means(Grid(corner[1] * side, corner[0] * side, side, rows, columns, assignment), optics, tolerance)
    central = sersic_central_brightness(source.n_sersic) / source.reff_arcsec**2
    total = float(means.sum()) * side**2 + _far_light(extent, optics, tolerance)
    return Light(means * central, corner, factor, assignment, total * central)


def cells_per_pixel(reff_arcsec: float, psf_fwhm_arcsec: float, effort: float) -> int:
    """Return the cells along a pixel's side that keep a source of this size, seen through this PSF, from aliasing."""
    if reff_arcsec >= 0.1 and psf_fwhm_arcsec >= 0.9:
        base = 2
    elif reff_arcsec >= 0.05 and psf_fwhm_arcsec >= 0.6:
        base = 3
    else:
        base = 4
    return max(base, int(np.ceil(base * np.sqrt(effort))))


def _span(middle: float, half: float, side: float, cap: int) -> tuple[int, int]:
    """Return the first and one past the last cell that hold an interval, at least one cell, inside the cap."""
    first = int(np.clip(np.floor((middle - half) / side), -cap, cap - 1))
    last = int(np.clip(np.ceil((middle + half) / side), first + 1, cap))
    return first, last


def _far_light(extent: Extent, optics: Optics, tolerance: float) -> float:
    """Return the integral of the brightness, over the central one, outside the cap [arcsec^2]."""
    n_x = int(np.ceil((abs(extent.x) + extent.half_x) / COARSE_ARCSEC))
    n_y = int(np.ceil((abs(extent.y) + extent.half_y) / COARSE_ARCSEC))
    cap = CAP_BLOCKS
    if n_x <= cap and n_y <= cap:
        return 0.0
    low, mid, high = min(n_x, cap), max(n_x, cap), max(n_y, cap)
    blocks = [(-mid, -high, 2 * mid, high - cap), (-mid, cap, 2 * mid, high - cap)]
    blocks += [(-mid, -cap, mid - low, 2 * cap), (low, -cap, mid - low, 2 * cap)]
    total = 0.0
    for column, row, columns, rows in blocks:
        if rows > 0 and columns > 0:
            grid = Grid(column * COARSE_ARCSEC, row * COARSE_ARCSEC, COARSE_ARCSEC, rows, columns, 1)
            total += float(cell_means(grid, optics, tolerance).sum())
    return total * COARSE_ARCSEC**2
