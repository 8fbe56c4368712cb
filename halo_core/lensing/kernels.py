"""Compiled arithmetic of one ray: lens map, spread of the source plane across a cell, Sersic exponent, exponential.

All is single precision, whose rounding (1e-6 of a brightness) lies far below every tolerance, and written without calls to the
mathematical library but square roots, so that loops over flat arrays vectorise.
"""

import math

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing.compiled import compiled, real
from halo_core.lensing.optics import Optics

FloatArray = NDArray[np.float32]

TINY = real(1e-30)
EXPONENT_MAX = real(60.0)

CORE_HALVES = real(3.0)
"""Half sides of a cell within which the lens is too near for an expansion."""

UNBOUNDED = real(1e15)
"""Spread of a cell that touches the lens."""


@compiled
def exp_negative(t: float) -> float:
    """Return exp(-t) for t >= 0 as the 64th power of a polynomial: relative error below 1e-5 to t = 20; constant beyond t = 60."""
    r = min(t, EXPONENT_MAX) * real(-1.0 / 64.0)
    r2 = r * r
    p = (real(1.0) + r) + r2 * ((real(1 / 2) + r * real(1 / 6)) + r2 * ((real(1 / 24) + r * real(1 / 120)) + r2 * real(1 / 720)))
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
def _arrive(major: float, minor: float, along: float, across: float, optics: Optics) -> float:
    """Return |w|^2 where a ray meets the plane in which the half-light ellipse is the unit circle about the origin."""
    o = optics
    wx = o.m11 * major + o.m12 * minor - o.n11 * along - o.n12 * across - o.source_x
    wy = o.m21 * major + o.m22 * minor - o.n21 * along - o.n22 * across - o.source_y
    return wx * wx + wy * wy


@compiled
def _exact(c: float, s: float, optics: Optics) -> tuple[float, float]:
    """Return the deflection by the inverse functions, for lenses too flat for the polynomials."""
    scale = optics.scale / optics.f
    return scale * math.asin(min(max(optics.f * c, real(-1.0)), real(1.0))), scale * math.asinh(optics.f * s / optics.q)


@compiled
def radius2_at_points(x: FloatArray, y: FloatArray, n_points: int, optics: Optics, out: FloatArray) -> None:
    """Write |w|^2 at each of the first points."""
    o = optics
    for i in range(n_points):
        dx = x[i] - o.lens_x
        dy = y[i] - o.lens_y
        major = o.cosine * dx + o.sine * dy
        minor = o.cosine * dy - o.sine * dx
        inverse = real(1.0) / math.sqrt(major * major + minor * minor + TINY)
        c = major * inverse
        s = minor * inverse
        if o.is_series:
            z = c * c - s * s
            out[i] = _arrive(major, minor, c * _series(z, o.along), s * _series(z, o.across), o)
        else:
            along, across = _exact(c, s, o)
            out[i] = _arrive(major, minor, along, across, o)


@compiled
def spread_of_cell(x: float, y: float, half: float, optics: Optics) -> tuple[float, float]:
    """Return how far w moves across half a cell, in all and to second order; beyond any bound in cells that touch the lens.

    The Hessian of an isothermal potential is 2 kappa times the projector on the tangential direction t, so that
    dw = (M - 2 kappa N t t^T) dX.
    """
    o = optics
    dx = x - o.lens_x
    dy = y - o.lens_y
    major = o.cosine * dx + o.sine * dy
    minor = o.cosine * dy - o.sine * dx
    distance = math.sqrt(major * major + minor * minor + TINY)
    inverse = real(1.0) / distance
    c = major * inverse
    s = minor * inverse
    flat = real(1.0) / (o.q * o.q * c * c + s * s)
    kappa2 = o.scale * math.sqrt(flat) * inverse
    mtx = o.m12 * c - o.m11 * s
    mty = o.m22 * c - o.m21 * s
    ntx = o.n12 * c - o.n11 * s
    nty = o.n22 * c - o.n21 * s
    spread2 = o.m_norm2 - real(2.0) * kappa2 * (mtx * ntx + mty * nty) + kappa2 * kappa2 * (ntx * ntx + nty * nty)
    bend = half * half * kappa2 * inverse * o.n_norm * (real(1.0) + o.f * o.f * abs(c * s) * flat)
    is_core = (distance <= CORE_HALVES * half) and o.theta_e > real(0.0)
    return (UNBOUNDED if is_core else half * math.sqrt(abs(spread2)) + bend), bend


@compiled
def sersic_exponents(t: FloatArray, n_points: int, optics: Optics) -> None:
    """Replace |w|^2 by b |w|^(1/n) in the first points; the common indices need square roots only."""
    b = optics.b
    if optics.inverse_n == real(1.0):
        for i in range(n_points):
            t[i] = b * math.sqrt(t[i])
    elif optics.inverse_n == real(2.0):
        for i in range(n_points):
            t[i] = b * t[i]
    elif optics.inverse_n == real(0.5):
        for i in range(n_points):
            t[i] = b * math.sqrt(math.sqrt(t[i]))
    elif optics.inverse_n == real(0.25):
        for i in range(n_points):
            t[i] = b * math.sqrt(math.sqrt(math.sqrt(t[i])))
    else:
        power = real(0.5) * optics.inverse_n
        for i in range(n_points):
            t[i] = b * t[i] ** power


@compiled
def brightness(x: FloatArray, y: FloatArray, n_points: int, optics: Optics, out: FloatArray) -> None:
    """Write exp(-b |w|^(1/n)) at each of the first points."""
    radius2_at_points(x, y, n_points, optics, out)
    sersic_exponents(out, n_points, optics)
    for i in range(n_points):
        out[i] = exp_negative(out[i])
