"""Quadrature points and how what they carry is assigned to the cells of a grid.

Either to the cell a point was made for, which gives the mean over each cell (assignment 1), or spread over 4 x 4 cells by a cubic
B-spline (assignment 4), which gives the light convolved with four boxes and sampled at cell centres. The second keeps the place of
sources smaller than a cell. Source: Hockney & Eastwood 1988, Computer Simulation Using Particles, sect. 5-3.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing.compiled import compiled, real
from halo_core.lensing.kernels import FloatArray, brightness
from halo_core.lensing.optics import Optics

IntArray = NDArray[np.int32]

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


class Squares(NamedTuple):
    """Squares of one size to be integrated: centre [arcsec], points a side of the rule, and the cell that gets the light."""

    x: FloatArray
    y: FloatArray
    order: IntArray
    cell: IntArray


def _rules() -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights (of the mean) of the Gauss-Legendre rules with 1 to 4 points, one row each."""
    nodes, weights = np.zeros((ORDER_MAX + 1, ORDER_MAX)), np.zeros((ORDER_MAX + 1, ORDER_MAX))
    for order in range(1, ORDER_MAX + 1):
        nodes[order, :order], weights[order, :order] = np.polynomial.legendre.leggauss(order)
    return nodes.astype(np.float32), (0.5 * weights).astype(np.float32)


_NODES, _WEIGHTS = _rules()


@compiled
def assign(squares: Squares, n: int, half: float, area: float, optics: Optics, grid: Grid, out: FloatArray) -> None:
    """Evaluate the rules of the first squares and add what they carry to the grid, which is flat.

    ``half`` is half a square's side [arcsec], ``area`` its share of a cell's.
    """
    count = 0
    for i in range(n):
        count += squares.order[i] * squares.order[i]
    x, y, value = np.empty(count, np.float32), np.empty(count, np.float32), np.empty(count, np.float32)
    k = 0
    for i in range(n):
        order = squares.order[i]
        for row in range(order):
            for column in range(order):
                x[k] = squares.x[i] + half * _NODES[order, column]
                y[k] = squares.y[i] + half * _NODES[order, row]
                k += 1
    brightness(x, y, count, optics, value)
    k = 0
    for i in range(n):
        order = squares.order[i]
        mean = real(0.0)
        for row in range(order):
            for column in range(order):
                carried = _WEIGHTS[order, column] * _WEIGHTS[order, row] * value[k]
                if grid.assignment == SPLINE:
                    _spread(area * carried, x[k], y[k], grid, out)
                mean += carried
                k += 1
        if grid.assignment != SPLINE:
            out[squares.cell[i]] += area * mean


@compiled
def _spread(carried: float, x: float, y: float, grid: Grid, out: FloatArray) -> None:
    """Spread what a point carries over 4 x 4 cells; what falls off the grid is lost."""
    column, wx = _spline_weights((x - grid.x0) / grid.side - 0.5)
    row, wy = _spline_weights((y - grid.y0) / grid.side - 0.5)
    for j in range(max(-row, 0), min(4, grid.rows - row)):
        for k in range(max(-column, 0), min(4, grid.columns - column)):
            out[(row + j) * grid.columns + column + k] += carried * real(wy[j] * wx[k])


@compiled
def _spline_weights(place: float) -> tuple[int, tuple[float, float, float, float]]:
    """Return the first cell and the four weights of the cubic B-spline for a place in units of cells."""
    floor = int(np.floor(place))
    t = place - floor
    r = 1.0 - t
    two = (4.0 - 6.0 * t * t + 3.0 * t * t * t) / 6.0
    three = (4.0 - 6.0 * r * r + 3.0 * r * r * r) / 6.0
    return floor - 1, (r * r * r / 6.0, two, three, t * t * t / 6.0)
