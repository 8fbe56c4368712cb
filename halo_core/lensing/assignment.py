"""Quadrature points and how what they carry is assigned to the cells of a grid.

Either to the cell a point was made for, which gives the mean over each cell (assignment 1), or spread over 4 x 4 cells by a cubic
B-spline (assignment 4), which gives the light convolved with four boxes and sampled at cell centres. The second keeps the place of
sources smaller than a cell. Source: Hockney & Eastwood 1988, Computer Simulation Using Particles, sect. 5-3.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing.compiled import compiled
from halo_core.lensing.kernels import brightness
from halo_core.lensing.optics import Optics

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

ORDER_MAX = 4
"""Points a side of the largest rule."""

SPLINE = 4
"""Assignment by cubic B-spline."""


class Grid(NamedTuple):
    """Square cells: lower left corner and side [arcsec], rows and columns, and how points are assigned."""

    x0: float
    y0: float
    side: float
    rows: int
    columns: int
    assignment: int


class Points(NamedTuple):
    """A buffer of points: place [arcsec], weight in the mean of a cell, brightness, and index of the cell they were made for."""

    x: FloatArray
    y: FloatArray
    weight: FloatArray
    value: FloatArray
    cell: IntArray


def _rules() -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights (of the mean) of the Gauss-Legendre rules with 1 to 4 points, one row each."""
    nodes, weights = np.zeros((ORDER_MAX + 1, ORDER_MAX)), np.zeros((ORDER_MAX + 1, ORDER_MAX))
    for order in range(1, ORDER_MAX + 1):
        nodes[order, :order], weights[order, :order] = np.polynomial.legendre.leggauss(order)
    return nodes, 0.5 * weights


_NODES, _WEIGHTS = _rules()


@compiled
def empty_points(n: int) -> Points:
    """Return a buffer for n points."""
    real = np.empty((4, n))
    return Points(real[0], real[1], real[2], real[3], np.empty(n, dtype=np.int64))


@compiled
def push_rule(x: float, y: float, half: float, area: float, order: int, index: int, points: Points, n: int) -> int:
    """Append the points of a rule over a square of the given half side and share of its cell's area; return the new number of points."""
    for j in range(order):
        for i in range(order):
            points.x[n] = x + half * _NODES[order, i]
            points.y[n] = y + half * _NODES[order, j]
            points.weight[n] = area * _WEIGHTS[order, i] * _WEIGHTS[order, j]
            points.cell[n] = index
            n += 1
    return n


@compiled
def assign(points: Points, optics: Optics, grid: Grid, out: FloatArray) -> None:
    """Evaluate points and add what they carry to the grid, which is flat."""
    n = len(points.x)
    brightness(points.x, points.y, n, optics, points.value)
    if grid.assignment == SPLINE:
        _spread(points, n, grid, out)
        return
    for i in range(n):
        out[points.cell[i]] += points.weight[i] * points.value[i]


@compiled
def _spread(points: Points, n: int, grid: Grid, out: FloatArray) -> None:
    """Spread the first points over 4 x 4 cells each; what falls off the grid is lost."""
    wx, wy = np.empty(4), np.empty(4)
    for i in range(n):
        carried = points.weight[i] * points.value[i]
        column = _spline_weights((points.x[i] - grid.x0) / grid.side - 0.5, wx)
        row = _spline_weights((points.y[i] - grid.y0) / grid.side - 0.5, wy)
        for j in range(max(-row, 0), min(4, grid.rows - row)):
            for k in range(max(-column, 0), min(4, grid.columns - column)):
                out[(row + j) * grid.columns + column + k] += carried * wy[j] * wx[k]


@compiled
def _spline_weights(place: float, weights: FloatArray) -> int:
    """Write the four weights of the cubic B-spline for a place in units of cells; return the first cell."""
    floor = int(np.floor(place))
    t = place - floor
    r = 1.0 - t
    weights[0] = r * r * r / 6.0
    weights[1] = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    weights[2] = (4.0 - 6.0 * r * r + 3.0 * r * r * r) / 6.0
    weights[3] = t * t * t / 6.0
    return floor - 1
