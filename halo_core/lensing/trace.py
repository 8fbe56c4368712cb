"""The light of a lensed source in the image plane, before PSF and crop: brightness on cells, and the total magnification.

Cells are anchored at the middle of the stamp. The magnification is that of the light on the cells of a core of fixed size and of
coarse cells around it, whose sides double from ring to ring; it depends on no stamp's size. What is painted reaches farther than the
core where stamp and PSF do.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing.assignment import SPLINE, Grid
from halo_core.lensing.compiled import compiled
from halo_core.lensing.deflectors import Lens
from halo_core.lensing.optics import DARK_FLUX_FRAC, Extent, LensNumbers, Optics, SourceNumbers, light_extent, optics_of
from halo_core.lensing.quadrature import cell_means
from halo_core.lensing.sources import Source, sersic_b_n, sersic_central_brightness, sersic_radius_over_reff

TOLERANCE = 3e-3
"""Allowed error of a cell's mean at effort 1, over its own brightness."""

SPLINE_REFF_ARCSEC = 0.08
"""Size below which a source is assigned to cells by a cubic spline, because it hides between them [arcsec]."""

SPLINE_MARGIN = 2
"""Cells by which the spline spreads light beyond its own."""

BLOCK_PIX = 8
"""Side of the smallest coarse cells [pix]."""

CORE_BLOCKS = 10
"""Half side of the core, in the smallest coarse cells."""

FAR_LIGHT_FRAC = 1e-2
"""Fraction of the light, along either axis, that may lie outside the part a frame's period is made for."""


@dataclass(frozen=True, slots=True)
class Light:
    """A lensed source of unit flux on cells.

    Parameters
    ----------
    brightness : ndarray, shape (rows, columns), float32
        Mean surface brightness of each cell [arcsec^-2 per unit of unlensed flux].
    corner : tuple of int
        Row and column, in cells from the middle of the stamp, of the lower left cell.
    factor : int
        Cells along a pixel's side.
    assignment : int
        Boxes of a cell's side the light is convolved with before it is sampled at the cell centres: 1 for means, 4 for a cubic spline.
    magnification : float
        Lensed over unlensed flux, of all the light.
    far_pix : float
        Half side of the square about the middle of the stamp outside which a hundredth of the light on the core's cells lies [pix].
    """

    brightness: NDArray[np.float32]
    corner: tuple[int, int]
    factor: int
    assignment: int
    magnification: float
    far_pix: float


def trace_light(lens: Lens, source: Source, *, psf_fwhm_arcsec: float, effort: float, half_pix: float = 0.0) -> Light:
    """Return the light of a lensed source.

    Parameters
    ----------
    lens, source : Lens, Source
        What is seen.
    psf_fwhm_arcsec : float
        The sharpest PSF it will meet, which decides the cells with the source's size [arcsec].
    effort : float
        The tolerance falls as effort^-2, the cells as effort^-1/2.
    half_pix : float
        Half side of the box in which light is to be painted, where larger than the core's 80 [pix].
    """
    factor = cells_per_pixel(source.reff_arcsec, psf_fwhm_arcsec, effort)
    assignment = SPLINE if source.reff_arcsec < SPLINE_REFF_ARCSEC else 1
    blocks = max(CORE_BLOCKS, int(np.ceil(half_pix / BLOCK_PIX)))
    brightness, row, column, magnification, far_pix = _trace(
        lens_numbers(lens), source_numbers(source), factor, assignment, TOLERANCE / effort**2, blocks
    )
    return Light(brightness, (row, column), factor, assignment, magnification, far_pix)


def cells_per_pixel(reff_arcsec: float, psf_fwhm_arcsec: float, effort: float) -> int:
    """Return the cells along a pixel's side that keep a source of this size, seen through this PSF, from aliasing."""
    if reff_arcsec >= 0.12 and psf_fwhm_arcsec >= 0.9:
        base = 2
    elif reff_arcsec >= 0.05 and psf_fwhm_arcsec >= 0.6:
        base = 3
    else:
        base = 4
    return base if effort <= 1.0 else int(np.ceil(base * np.sqrt(effort)))


def lens_numbers(lens: Lens) -> LensNumbers:
    """Return a lens as the compiled loops take it."""
    return LensNumbers(
        float(lens.theta_e_arcsec),
        float(lens.q),
        float(lens.phi_rad),
        float(lens.gamma1),
        float(lens.gamma2),
        float(lens.x_arcsec),
        float(lens.y_arcsec),
    )


def source_numbers(source: Source) -> SourceNumbers:
    """Return a source as the compiled loops take it."""
    n = float(source.n_sersic)
    return SourceNumbers(
        float(source.x_arcsec),
        float(source.y_arcsec),
        float(source.reff_arcsec),
        float(source.q),
        float(source.phi_rad),
        n,
        sersic_b_n(n),
        sersic_central_brightness(n),
        sersic_radius_over_reff(n, DARK_FLUX_FRAC),
    )


@compiled
def _trace(
    lens: LensNumbers, source: SourceNumbers, factor: int, assignment: int, tolerance: float, blocks: int
) -> tuple[NDArray[np.float32], int, int, float, float]:
    """Return brightness, row and column of the lower left cell, magnification, and how far the light reaches [pix]."""
    optics, extent = optics_of(lens, source), light_extent(lens, source)
    side = PIXEL_SCALE_ARCSEC / factor
    margin = SPLINE_MARGIN if assignment == SPLINE else 0
    cap = blocks * BLOCK_PIX * factor
    first_column, last_column = _span(extent.x, extent.half_x, side, cap)
    first_row, last_row = _span(extent.y, extent.half_y, side, cap)
    row, column = first_row - margin, first_column - margin
    grid = Grid(column * side, row * side, side, last_row - first_row + 2 * margin, last_column - first_column + 2 * margin, assignment)
    means = cell_means(grid, optics, tolerance)
    core = CORE_BLOCKS * BLOCK_PIX * factor + margin
    first, last = max(-core - column, 0), min(core - column, grid.columns)
    by_row, by_column, total = np.zeros(grid.rows), np.zeros(grid.columns), 0.0
    for i in range(max(-core - row, 0), min(core - row, grid.rows)):
        for j in range(first, last):
            by_column[j] += means[i, j]
        for j in range(first, last):
            by_row[i] += means[i, j]
        total += by_row[i]
    far = max(_far_cell(by_row, row), _far_cell(by_column, column)) / factor
    total = total * side * side + _far_light(extent, optics, tolerance)
    central = source.central / source.reff**2
    means *= np.float32(central)
    return means, row, column, total * central, far


@compiled
def _far_cell(light: NDArray[np.float64], first: int) -> int:
    """Return how far from the middle of the stamp the cells lie that all but a hundredth of the light needs, on either side."""
    allowed = 0.5 * FAR_LIGHT_FRAC * light.sum()
    low, high = 0, len(light)
    dropped = light[low]
    while dropped < allowed:
        low += 1
        dropped += light[low]
    dropped = light[high - 1]
    while dropped < allowed:
        high -= 1
        dropped += light[high - 1]
    return max(abs(first + low), abs(first + high))


@compiled
def _span(middle: float, half: float, side: float, cap: int) -> tuple[int, int]:
    """Return the first and one past the last cell that hold an interval, at least one cell, inside the cap."""
    first = int(min(max(np.floor((middle - half) / side), -cap), cap - 1))
    last = int(min(max(np.ceil((middle + half) / side), first + 1), cap))
    return first, last


@compiled
def _far_light(extent: Extent, optics: Optics, tolerance: float) -> float:
    """Return the integral of the brightness, over the central one, outside the core [arcsec^2], ring by ring."""
    farthest = max(abs(extent.x) + extent.half_x, abs(extent.y) + extent.half_y)
    side, cap, total = BLOCK_PIX * PIXEL_SCALE_ARCSEC, CORE_BLOCKS, 0.0
    while cap * side < farthest:
        for column, row, columns, rows in (
            (-2 * cap, -2 * cap, 4 * cap, cap),
            (-2 * cap, cap, 4 * cap, cap),
            (-2 * cap, -cap, cap, 2 * cap),
            (cap, -cap, cap, 2 * cap),
        ):
            means = cell_means(Grid(column * side, row * side, side, rows, columns, 1), optics, tolerance)
            total += means.astype(np.float64).sum() * side * side
        side *= 2.0
    return total
