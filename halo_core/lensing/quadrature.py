"""Adaptive integration of a lensed source over the cells of a grid, in compiled loops.

For every cell the first-order map and a bound on its change give the spread of source-plane radius across the cell; from it follows
the order of the smallest Gauss-Legendre rule (1 to 4 points a side) whose error is below the tolerance. Where none is, the cell is split in
four, down to the images of the source's centre, the crease of an Einstein ring and the lens itself. Points are gathered in flat arrays and
evaluated in one loop. The order of all sums is fixed by the grid alone.
"""

from typing import NamedTuple

import numpy as np

from halo_core.lensing.assignment import ORDER_MAX, Grid, IntArray, Squares, assign
from halo_core.lensing.compiled import compiled, real
from halo_core.lensing.kernels import UNBOUNDED, FloatArray, exp_negative, radius2_at_points, sersic_exponents, spread_of_cell
from halo_core.lensing.optics import Optics

CHUNK_CELLS = 512

DARK = 0
SPLIT = ORDER_MAX + 1
"""Code of a cell that no rule integrates well enough."""

CUSP_NEARNESS = real(0.66)
"""Spread over |w| from which a cell counts as holding the source's centre."""

CUSP_ERROR = real(0.012)
"""Error of a 4 x 4 rule over the variation of the exponent across half a cell, around the cusp of a source."""

CORE_ARCSEC = real(0.008)
"""Half side of the smallest cell around the lens, where the deflection has no direction [arcsec]."""


class Survey(NamedTuple):
    """Cells, or parts of cells, of one size and what is known of them before any quadrature."""

    x: FloatArray
    y: FloatArray
    allowed: FloatArray
    """Error that may be made [brightness over the central one]."""
    exponent: FloatArray
    radius: FloatArray
    spread: FloatArray
    order: IntArray
    cell: IntArray


@compiled
def _empty_survey(n: int) -> Survey:
    """Return a survey of n cells without content."""
    f, i = np.empty((6, n), np.float32), np.empty((2, n), np.int32)
    return Survey(f[0], f[1], f[2], f[3], f[4], f[5], i[0], i[1])


@compiled
def _order(u: float, radius: float, total: float, bend: float, optics: Optics, allowed: float) -> int:
    """Return the points a side that keep the error of a cell's mean below the allowed one.

    The error of an m-point rule is that of the 2m-th derivative, estimated from the slope of the exponent across half a cell and from
    the nearness of the branch point at |w| = 0, whose derivatives grow as factorials.
    """
    near = total / radius
    slope = u * optics.inverse_n * near
    slope2 = slope * slope
    near2 = near * near
    sharp = slope * near
    brightest = exp_negative(max(u - slope * max(real(1.3) - real(0.3) * optics.inverse_n, real(1.0)), real(0.0)))
    limit = allowed / brightest
    one = (slope2 + sharp) * real(1.0 / 6.0) + slope * real(1.0 / 3.0) * bend / total
    two = (slope2 * slope2 + real(6.0) * sharp * near2) * real(1.0 / 270.0)
    three = (slope2 * slope2 * slope2 + real(120.0) * sharp * near2 * near2) * real(1.0 / 31500.0)
    four = (slope2 * slope2 * slope2 * slope2 + real(5040.0) * sharp * near2 * near2 * near2) * real(1.4e-7)
    order = 4 if four < limit else SPLIT
    order = 3 if three < limit else order
    order = 2 if two < limit else order
    order = 1 if one < limit else order
    order = SPLIT if near > CUSP_NEARNESS else order
    order = 1 if brightest < allowed else order
    return DARK if radius - real(1.4143) * total > optics.dark_radius else order


@compiled
def _judge_whole(survey: Survey, n: int, half: float, optics: Optics, tolerance: float, value: FloatArray) -> None:
    """Write order, allowed error and brightness at the centre of the first cells, in loops that vectorise.

    An error is compared with the cell's own brightness, at most the mean inside R_e, at least a faint floor.
    """
    s = survey
    radius2_at_points(s.x, s.y, n, optics, s.exponent)
    for i in range(n):
        s.radius[i] = np.sqrt(s.exponent[i]) + real(1e-9)
    sersic_exponents(s.exponent, n, optics)
    for i in range(n):
        spread, bend = spread_of_cell(s.x[i], s.y[i], half, optics)
        centre = exp_negative(s.exponent[i])
        allowed = tolerance * (min(centre, real(20.0) * optics.faint) + optics.faint)
        s.allowed[i] = allowed
        s.order[i] = _order(s.exponent[i], s.radius[i], spread, bend, optics, allowed)
        value[i] = centre


@compiled
def _judge_parts(survey: Survey, n: int, half: float, optics: Optics) -> None:
    """Write the order of parts of cells, whose allowed error is known; around lens and source's centre rules of their own hold."""
    s = survey
    radius2_at_points(s.x, s.y, n, optics, s.exponent)
    for i in range(n):
        s.radius[i] = np.sqrt(s.exponent[i]) + real(1e-9)
    sersic_exponents(s.exponent, n, optics)
    for i in range(n):
        spread, bend = spread_of_cell(s.x[i], s.y[i], half, optics)
        s.spread[i] = spread
        s.order[i] = _order(s.exponent[i], s.radius[i], spread, bend, optics, s.allowed[i])
    for i in range(n):
        if s.order[i] == SPLIT:
            if s.spread[i] == UNBOUNDED:
                s.order[i] = SPLIT if half > CORE_ARCSEC else ORDER_MAX
            elif s.spread[i] > CUSP_NEARNESS * s.radius[i]:
                s.order[i] = _cusp_order(s.spread[i], optics, s.allowed[i])


@compiled
def _cusp_order(total: float, optics: Optics, allowed: float) -> int:
    """Return 4 where 4 x 4 points do for a part with the source's centre inside or next door, else the code to split."""
    if total > real(1.0):
        return SPLIT
    variation = optics.b * total**optics.inverse_n
    return ORDER_MAX if CUSP_ERROR * min(variation, real(1.0)) * exp_negative(real(0.6) * variation) < allowed else SPLIT


@compiled
def _integrate(survey: Survey, n: int, half: float, area: float, optics: Optics, grid: Grid, out: FloatArray) -> int:
    """Add the light of all cells that a rule integrates to the grid; return how many are left to be split, moved to the front."""
    s = survey
    squares = Squares(np.empty(n, np.float32), np.empty(n, np.float32), np.empty(n, np.int32), np.empty(n, np.int32))
    count, left = 0, 0
    for i in range(n):
        order = s.order[i]
        if order == SPLIT:
            s.x[left], s.y[left], s.allowed[left], s.cell[left] = s.x[i], s.y[i], s.allowed[i], s.cell[i]
            left += 1
        elif order > DARK:
            squares.x[count], squares.y[count], squares.order[count], squares.cell[count] = s.x[i], s.y[i], order, s.cell[i]
            count += 1
    assign(squares, count, half, area, optics, grid, out)
    return left


@compiled
def _parts(survey: Survey, n: int, half: float) -> Survey:
    """Return the four parts of each of the first cells; ``half`` is half the side of a cell.

    A part may err by three times what its whole may: less than its share of the area, because few parts go deep. It also ends the
    splitting, where the allowed error reaches the central brightness.
    """
    parts = _empty_survey(4 * n)
    k = 0
    for i in range(n):
        for corner in range(4):
            parts.x[k] = survey.x[i] + (real(0.5) if corner % 2 == 1 else real(-0.5)) * half
            parts.y[k] = survey.y[i] + (real(0.5) if corner >= 2 else real(-0.5)) * half
            parts.allowed[k] = real(3.0) * survey.allowed[i]
            parts.cell[k] = survey.cell[i]
            k += 1
    return parts


@compiled
def _whole_cells(grid: Grid, first_row: int, rows: int, survey: Survey) -> int:
    """Write the cells of some rows of a grid; return their number."""
    k = 0
    for row in range(first_row, first_row + rows):
        y = real(grid.y0 + (row + 0.5) * grid.side)
        for column in range(grid.columns):
            survey.x[k + column] = grid.x0 + (column + 0.5) * grid.side
            survey.y[k + column] = y
            survey.cell[k + column] = row * grid.columns + column
        k += grid.columns
    return k


@compiled
def cell_means(grid: Grid, optics: Optics, tolerance: float) -> FloatArray:
    """Return the brightness over the central one, assigned to the cells of a grid.

    Parameters
    ----------
    grid : Grid
        Cells and assignment; with the spline, light within two cells of the edge is lost in part.
    optics : Optics
        Lens and source.
    tolerance : float
        Allowed error of a cell's mean over its own brightness; > 0.

    Returns
    -------
    ndarray, shape (rows, columns), float32
    """
    whole = real(0.5 * grid.side)
    # a source smaller than a cell fills a part of it only, and the mean over the cell falls with that part
    allowed = real(tolerance) * min(real(1.0), real(1.0) / (whole * whole * optics.m_norm2))
    out = np.zeros(grid.rows * grid.columns, np.float32)
    rows_at_once = max(1, CHUNK_CELLS // grid.columns)
    survey, value = _empty_survey(rows_at_once * grid.columns), np.empty(rows_at_once * grid.columns, np.float32)
    for first_row in range(0, grid.rows, rows_at_once):
        n = _whole_cells(grid, first_row, min(rows_at_once, grid.rows - first_row), survey)
        _judge_whole(survey, n, whole, optics, allowed, value)
        if grid.assignment == 1:
            first = first_row * grid.columns
            for i in range(n):
                is_flat = survey.order[i] == 1
                out[first + i] = value[i] if is_flat else real(0.0)
                survey.order[i] = DARK if is_flat else survey.order[i]
        left = _integrate(survey, n, whole, real(1.0), optics, grid, out)
        half, area = whole, real(1.0)
        parts = survey
        while left > 0:
            parts = _parts(parts, left, half)
            half *= real(0.5)
            area *= real(0.25)
            n = len(parts.x)
            _judge_parts(parts, n, half, optics)
            left = _integrate(parts, n, half, area, optics, grid, out)
    return out.reshape(grid.rows, grid.columns)
