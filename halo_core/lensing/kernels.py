"""Compiled arithmetic of one ray: lens map, spread of the source plane across a cell, Sersic exponent, exponential.

All is written without calls to the mathematical library but square roots, so that loops over flat arrays vectorise.
"""

import math

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing.compiled import compiled
from halo_core.lensing.optics import Optics

FloatArray = NDArray[np.float64]

TINY = 1e-30
EXPONENT_MAX = 60.0

CORE_HALVES = 3.0
"""Half sides of a cell within which the lens is too near for an expansion."""

UNBOUNDED = 1e30
"""Spread of a cell that touches the lens."""


@compiled
def exp_negative(t: float) -> float:
    """Return exp(-t) for t >= 0 as the 256th power of a polynomial: relative error below 1e-9 to t = 20; constant beyond t = 60."""
    r = min(t, EXPONENT_MAX) * (-1.0 / 256.0)
    r2 = r * r
    p = (1.0 + r) + r2 * ((1.0 / 2.0 + r * (1.0 / 6.0)) + r2 * ((1.0 / 24.0 + r * (1.0 / 120.0)) + r2 * (1.0 / 720.0)))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p


@compiled
def _series(z: float, a: tuple[float, ...]) -> float:
    """Return the polynomial with 16 coefficients, even and odd powers apart; literal indices keep the loop vectorised."""
    s = z * z
    even = (((((((a[14] * s + a[12]) * s + a[10]) * s + a[8]) * s + a[6]) * s + a[4]) * s) + a[2]) * s + a[0]
    odd = (((((((a[15] * s + a[13]) * s + a[11]) * s + a[9]) * s + a[7]) * s + a[5]) * s) + a[3]) * s + a[1]
    return even + z * odd


@compiled
def _arrive(major: float, minor: float, along: float, across: float, optics: Optics) -> tuple[float, float]:
    """Return where a ray meets the plane in which the half-light ellipse is the unit circle about the origin."""
    o = optics
    wx = o.m11 * major + o.m12 * minor - o.n11 * along - o.n12 * across - o.source_x
    wy = o.m21 * major + o.m22 * minor - o.n21 * along - o.n22 * across - o.source_y
    return wx, wy


@compiled
def _exact(c: float, s: float, optics: Optics) -> tuple[float, float]:
    """Return the deflection by the inverse functions, for lenses too flat for the polynomials."""
    scale = optics.scale / optics.f
    return scale * math.asin(min(max(optics.f * c, -1.0), 1.0)), scale * math.asinh(optics.f * s / optics.q)


@compiled
def radius2_at_points(x: FloatArray, y: FloatArray, n_points: int, optics: Optics, out: FloatArray) -> None:
    """Write |w|^2 at each of the first points."""
    o = optics
    for i in range(n_points):
        dx = x[i] - o.lens_x
        dy = y[i] - o.lens_y
        major = o.cosine * dx + o.sine * dy
        minor = o.cosine * dy - o.sine * dx
        inverse = 1.0 / math.sqrt(major * major + minor * minor + TINY)
        c = major * inverse
        s = minor * inverse
        if o.is_series:
            z = c * c - s * s
            wx, wy = _arrive(major, minor, c * _series(z, o.along), s * _series(z, o.across), o)
        else:
            along, across = _exact(c, s, o)
            wx, wy = _arrive(major, minor, along, across, o)
        out[i] = wx * wx + wy * wy


@compiled
def spreads_at_cells(x: FloatArray, y: FloatArray, n_cells: int, half: float, optics: Optics, total: FloatArray, bend: FloatArray) -> None:
    """Write how far w moves across half a cell, in all and to second order; beyond any bound in cells that touch the lens.

    The Hessian of an isothermal potential is 2 kappa times the projector on the tangential direction t, so that
    dw = (M - 2 kappa N t t^T) dX.
    """
    o = optics
    m2 = o.m11 * o.m11 + o.m12 * o.m12 + o.m21 * o.m21 + o.m22 * o.m22
    n_norm = math.sqrt(o.n11 * o.n11 + o.n12 * o.n12 + o.n21 * o.n21 + o.n22 * o.n22)
    core = CORE_HALVES * half if o.theta_e > 0.0 else -1.0
    f2 = o.f * o.f
    for i in range(n_cells):
        dx = x[i] - o.lens_x
        dy = y[i] - o.lens_y
        major = o.cosine * dx + o.sine * dy
        minor = o.cosine * dy - o.sine * dx
        distance = math.sqrt(major * major + minor * minor + TINY)
        inverse = 1.0 / distance
        c = major * inverse
        s = minor * inverse
        flat = 1.0 / (o.q * o.q * c * c + s * s)
        kappa2 = o.scale * math.sqrt(flat) * inverse
        mtx = o.m12 * c - o.m11 * s
        mty = o.m22 * c - o.m21 * s
        ntx = o.n12 * c - o.n11 * s
        nty = o.n22 * c - o.n21 * s
        spread2 = m2 - 2.0 * kappa2 * (mtx * ntx + mty * nty) + kappa2 * kappa2 * (ntx * ntx + nty * nty)
        second = half * half * kappa2 * inverse * n_norm * (1.0 + f2 * abs(c * s) * flat)
        bend[i] = second
        spread = half * math.sqrt(abs(spread2)) + second
        total[i] = spread if distance > core else UNBOUNDED


@compiled
def sersic_exponents(t: FloatArray, n_points: int, optics: Optics) -> None:
    """Replace |w|^2 by b |w|^(1/n) in the first points; the common indices need square roots only."""
    b = optics.b
    if optics.inverse_n == 1.0:
        for i in range(n_points):
            t[i] = b * math.sqrt(t[i])
    elif optics.inverse_n == 2.0:
        for i in range(n_points):
            t[i] = b * t[i]
    elif optics.inverse_n == 0.5:
        for i in range(n_points):
            t[i] = b * math.sqrt(math.sqrt(t[i]))
    elif optics.inverse_n == 0.25:
        for i in range(n_points):
            t[i] = b * math.sqrt(math.sqrt(math.sqrt(t[i])))
    else:
        power = 0.5 * optics.inverse_n
        for i in range(n_points):
            t[i] = b * t[i] ** power


@compiled
def brightness(x: FloatArray, y: FloatArray, n_points: int, optics: Optics, out: FloatArray) -> None:
    """Write exp(-b |w|^(1/n)) at each of the first points."""
    radius2_at_points(x, y, n_points, optics, out)
    sersic_exponents(out, n_points, optics)
    for i in range(n_points):
        out[i] = exp_negative(out[i])
