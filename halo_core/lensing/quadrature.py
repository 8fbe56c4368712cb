"""Adaptive integration of a lensed source over the cells of a grid, in compiled loops.

For every cell the first-order map and a bound on its change give the spread of source-plane radius across the cell; from it follows
the order of the smallest Gauss-Legendre rule (1 to 4 points a side) whose error is below the tolerance. Where none is, the cell is split in
four, down to the images of the source's centre, the crease of an Einstein ring and the lens itself. Points are gathered in flat arrays and
evaluated in one loop. The order of all sums is fixed by the grid alone.
"""

from typing import NamedTuple

import numpy as np

from halo_core.lensing.assignment import ORDER_MAX, FloatArray, Grid, IntArray, Points, assign, empty_points, push_rule
from halo_core.lensing.compiled import compiled
from halo_core.lensing.kernels import UNBOUNDED, exp_negative, radius2_at_points, sersic_exponents, spreads_at_cells
from halo_core.lensing.optics import Optics

CHUNK_CELLS = 1024
MAX_DEPTH = 26

DARK = 0
SPLIT = ORDER_MAX + 1
"""Code of a cell that no rule integrates well enough."""

CUSP_NEARNESS = 0.66
"""Spread over |w| from which a cell counts as holding the source's centre."""

CUSP_ERROR = 0.012
"""Error of a 4 x 4 rule over the variation of the exponent across half a cell, around the cusp of a source."""

CORE_ARCSEC = 0.008
"""Half side of the smallest cell around the lens, where the deflection has no direction [arcsec]."""


class Survey(NamedTuple):
    """Cells, or parts of cells, of one size: place, allowed error, index of the cell, and what is found before any quadrature."""

    x: FloatArray
    y: FloatArray
    allowed: FloatArray
    cell: IntArray
    exponent: FloatArray
    radius: FloatArray
    total: FloatArray
    bend: FloatArray
    order: IntArray


@compiled
def _empty_survey(n: int) -> Survey:
    """Return a survey of n cells without content."""
    whole, real = np.empty((2, n), dtype=np.int64), np.empty((7, n))
    return Survey(real[0], real[1], real[2], whole[0], real[3], real[4], real[5], real[6], whole[1])


@compiled
def _allowed(value: float, faint: float) -> float:
    """Return the brightness that a cell's error is compared with: its own, at most the mean inside R_e, at least a faint floor."""
    return min(value, 20.0 * faint) + faint


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
    brightest = exp_negative(max(u - slope * max(1.3 * (1.0 - optics.inverse_n) + optics.inverse_n, 1.0), 0.0))
    limit = allowed / brightest
    one = (slope2 + sharp) * (1.0 / 6.0) + slope * (1.0 / 3.0) * bend / total
    two = (slope2 * slope2 + 6.0 * sharp * near2) * (1.0 / 270.0)
    three = (slope2 * slope2 * slope2 + 120.0 * sharp * near2 * near2) * (1.0 / 31500.0)
    four = (slope2 * slope2 * slope2 * slope2 + 5040.0 * sharp * near2 * near2 * near2) * 1.4e-7
    order = 4 if four < limit else SPLIT
    order = 3 if three < limit else order
    order = 2 if two < limit else order
    order = 1 if one < limit else order
    order = SPLIT if near > CUSP_NEARNESS else order
    order = 1 if brightest < allowed else order
    return DARK if radius - 1.4143 * total > optics.dark_radius else order


@compiled
def _cusp_order(total: float, optics: Optics, allowed: float) -> int:
    """Return 4 where 4 x 4 points do for a part with the source's centre inside or next door, else the code to split."""
    if total > 1.0:
        return SPLIT
    variation = optics.b * total**optics.inverse_n
    return ORDER_MAX if CUSP_ERROR * min(variation, 1.0) * exp_negative(0.6 * variation) < allowed else SPLIT


@compiled
def _judge(survey: Survey, n: int, half: float, optics: Optics, tolerance: float) -> None:
    """Write the order of the first cells, in loops that vectorise; whole cells, for which a tolerance is given, get their allowed error."""
    s = survey
    radius2_at_points(s.x, s.y, n, optics, s.exponent)
    for i in range(n):
        s.radius[i] = np.sqrt(s.exponent[i]) + 1e-12
    sersic_exponents(s.exponent, n, optics)
    spreads_at_cells(s.x, s.y, n, half, optics, s.total, s.bend)
    if tolerance > 0.0:
        for i in range(n):
            s.allowed[i] = tolerance * _allowed(exp_negative(s.exponent[i]), optics.faint)
    for i in range(n):
        s.order[i] = _order(s.exponent[i], s.radius[i], s.total[i], s.bend[i], optics, s.allowed[i])


@compiled
def _settle_parts(survey: Survey, n: int, half: float, optics: Optics) -> None:
    """Stop the splitting of parts around the lens and around the source's centre, where rules of their own hold."""
    for i in range(n):
        if survey.order[i] == SPLIT:
            if survey.total[i] == UNBOUNDED:
                survey.order[i] = SPLIT if half > CORE_ARCSEC else ORDER_MAX
            elif survey.total[i] > CUSP_NEARNESS * survey.radius[i]:
                survey.order[i] = _cusp_order(survey.total[i], optics, survey.allowed[i])


@compiled
def _gather(survey: Survey, n: int, half: float, area: float) -> Points:
    """Return the points of all cells that a rule integrates."""
    count = 0
    for i in range(n):
        order = survey.order[i]
        count += order * order if order != SPLIT else 0
    points = empty_points(count)
    count = 0
    for i in range(n):
        if survey.order[i] != SPLIT:
            count = push_rule(survey.x[i], survey.y[i], half, area, survey.order[i], survey.cell[i], points, count)
    return points


@compiled
def _parts(survey: Survey, n: int, half: float) -> Survey:
    """Return the four parts of every cell to be split; ``half`` is half the side of a cell.

    A part may err by three times what its whole may: less than its share of the area, because few parts go deep.
    """
    count = 0
    for i in range(n):
        count += 4 if survey.order[i] == SPLIT else 0
    parts = _empty_survey(count)
    count = 0
    for i in range(n):
        if survey.order[i] == SPLIT:
            for corner in range(4):
                parts.x[count] = survey.x[i] + (0.5 if corner % 2 == 1 else -0.5) * half
                parts.y[count] = survey.y[i] + (0.5 if corner >= 2 else -0.5) * half
                parts.allowed[count] = 3.0 * survey.allowed[i]
                parts.cell[count] = survey.cell[i]
                count += 1
    return parts


@compiled
def _whole_cells(grid: Grid, first: int) -> Survey:
    """Return the next cells of a grid, at most a chunk."""
    survey = _empty_survey(min(CHUNK_CELLS, grid.rows * grid.columns - first))
    for i in range(len(survey.x)):
        row = (first + i) // grid.columns
        survey.x[i] = grid.x0 + (first + i - row * grid.columns + 0.5) * grid.side
        survey.y[i] = grid.y0 + (row + 0.5) * grid.side
        survey.cell[i] = first + i
    return survey


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
    ndarray, shape (rows, columns), float64
    """
    o, widest = optics, 0.5 * grid.side
    # a source smaller than a cell fills a part of it only, and the mean over the cell falls with that part
    tolerance *= min(1.0, 1.0 / (widest * widest * (o.m11 * o.m11 + o.m12 * o.m12 + o.m21 * o.m21 + o.m22 * o.m22)))
    out = np.zeros(grid.rows * grid.columns)
    for first in range(0, len(out), CHUNK_CELLS):
        survey = _whole_cells(grid, first)
        half, area = widest, 1.0
        for depth in range(MAX_DEPTH):
            n = len(survey.x)
            _judge(survey, n, half, optics, tolerance if depth == 0 else 0.0)
            if depth > 0:
                _settle_parts(survey, n, half, optics)
            assign(_gather(survey, n, half, area), optics, grid, out)
            survey = _parts(survey, n, half)
            if len(survey.x) == 0:
                break
            half *= 0.5
            area *= 0.25
    return out.reshape(grid.rows, grid.columns)
