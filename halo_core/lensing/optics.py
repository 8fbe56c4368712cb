"""The lens map and the source reduced to the numbers that the compiled loops use.

In the frame of the lens, with X = R(-phi) (theta - lens), the source's own normalised plane (unit circle = the half-light ellipse)
is w = M X - N a(X / |X|) - w_s: everything linear is folded into two 2 x 2 matrices, and a, the deflection of the ellipsoid,
depends on the polar angle only; it is used as a polynomial in cos 2 phi, which vectorises. The surface brightness over its central
value is exp(-b |w|^(1/n)).
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing.compiled import compiled, real
from halo_core.lensing.deflectors import NEARLY_ROUND_F2, largest_deflection_arcsec

Matrix2 = tuple[float, float, float, float]

DARK_FLUX_FRAC = 3e-5
"""Fraction of the unlensed flux outside the radius beyond which the source counts as dark."""

SERIES_TERMS = 16
"""Coefficients of the polynomial form of the deflection."""

SERIES_MIN_Q = 0.34
"""Axis ratio from which the polynomial errs by less than 1e-5 theta_E; below, the loops use the inverse functions themselves."""

FAINT_FRAC = 0.05
"""Fraction of the mean brightness inside R_e below which errors are judged absolutely, not relative to the local brightness."""


class LensNumbers(NamedTuple):
    """A `halo_core.lensing.Lens` as the compiled loops take it: [arcsec], [rad], dimensionless shear."""

    theta_e: float
    q: float
    phi: float
    gamma1: float
    gamma2: float
    x: float
    y: float


class SourceNumbers(NamedTuple):
    """A `halo_core.lensing.Source` as the compiled loops take it: [arcsec], [rad], and what follows from its index.

    The brightness at the centre is that of a source of unit flux and unit radius; the dark radius is in units of R_e.
    """

    x: float
    y: float
    reff: float
    q: float
    phi: float
    n: float
    b: float
    central: float
    dark_radius: float


class Optics(NamedTuple):
    """One lens and one source for the compiled loops, in single precision; see the module's text for the symbols."""

    lens_x: float
    lens_y: float
    cosine: float
    sine: float
    """Direction of the lens's major axis."""
    m11: float
    m12: float
    m21: float
    m22: float
    n11: float
    n12: float
    n21: float
    n22: float
    source_x: float
    source_y: float
    m_norm2: float
    n_norm: float
    """Frobenius norms: of M squared, of N."""
    theta_e: float
    q: float
    f: float
    """Eccentricity sqrt(1 - q^2)."""
    scale: float
    """theta_E sqrt(q) [arcsec]."""
    along: tuple[float, ...]
    across: tuple[float, ...]
    """Polynomials in cos 2 phi: the deflection is (cos phi along, sin phi across) [arcsec]."""
    is_series: bool
    """Whether the polynomials are used."""
    b: float
    inverse_n: float
    dark_radius: float
    """Radius |w| beyond which the source is dark."""
    faint: float
    """Brightness over the central one, below which errors are absolute."""


class Extent(NamedTuple):
    """A box on the image plane that holds the light: middle and half sides [arcsec], from the middle of the stamp."""

    x: float
    y: float
    half_x: float
    half_y: float


@compiled
def optics_of(lens: LensNumbers, source: SourceNumbers) -> Optics:
    """Return what the loops need of a lens and a source."""
    root = math.sqrt(source.q)
    tall, wide = root / source.reff, 1.0 / (root * source.reff)
    c, s = math.cos(source.phi), math.sin(source.phi)
    to_unit = (tall * c, tall * s, -wide * s, wide * c)
    cosine, sine = math.cos(lens.phi), math.sin(lens.phi)
    turn = (cosine, -sine, sine, cosine)
    tide = (1.0 - lens.gamma1, -lens.gamma2, -lens.gamma2, 1.0 + lens.gamma1)
    m = _product(to_unit, _product(tide, turn))
    n = _product(to_unit, turn)
    dx, dy = source.x - lens.x, source.y - lens.y
    along, across = _deflection_series(lens.theta_e, lens.q)
    return Optics(
        real(lens.x),
        real(lens.y),
        real(cosine),
        real(sine),
        real(m[0]),
        real(m[1]),
        real(m[2]),
        real(m[3]),
        real(n[0]),
        real(n[1]),
        real(n[2]),
        real(n[3]),
        real(to_unit[0] * dx + to_unit[1] * dy),
        real(to_unit[2] * dx + to_unit[3] * dy),
        real(m[0] ** 2 + m[1] ** 2 + m[2] ** 2 + m[3] ** 2),
        real(math.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2 + n[3] ** 2)),
        real(lens.theta_e),
        real(lens.q),
        real(math.sqrt(1.0 - lens.q**2)),
        real(lens.theta_e * math.sqrt(lens.q)),
        _as_tuple(along),
        _as_tuple(across),
        lens.q >= SERIES_MIN_Q,
        real(source.b),
        real(1.0 / source.n),
        real(source.dark_radius),
        real(FAINT_FRAC * 0.5 / (math.pi * source.central)),
    )


@compiled
def light_extent(lens: LensNumbers, source: SourceNumbers) -> Extent:
    """Return a box that holds every image of the source's ellipse of dark radius.

    The linear part of the map is inverted exactly and the deflection of the ellipsoid is bounded by its largest length.
    """
    radius = source.dark_radius * source.reff
    c2, s2 = math.cos(source.phi) ** 2, math.sin(source.phi) ** 2
    bend = largest_deflection_arcsec(lens.theta_e, lens.q)
    reach_x = radius * math.sqrt(c2 / source.q + s2 * source.q) + bend
    reach_y = radius * math.sqrt(s2 / source.q + c2 * source.q) + bend
    dx, dy = source.x - lens.x, source.y - lens.y
    determinant = 1.0 - lens.gamma1**2 - lens.gamma2**2
    xx, xy, yy = (1.0 + lens.gamma1) / determinant, lens.gamma2 / determinant, (1.0 - lens.gamma1) / determinant
    return Extent(
        lens.x + xx * dx + xy * dy, lens.y + xy * dx + yy * dy, xx * reach_x + abs(xy) * reach_y, abs(xy) * reach_x + yy * reach_y
    )


@compiled
def _product(a: Matrix2, b: Matrix2) -> Matrix2:
    """Return the product of two 2 x 2 matrices, rows one after the other."""
    return a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]


def _series_matrix() -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return cos phi and sin phi at the Chebyshev nodes of cos 2 phi, and the matrix from values there to coefficients of powers."""
    nodes = np.cos(np.pi * (np.arange(SERIES_TERMS) + 0.5) / SERIES_TERMS)
    return np.sqrt(0.5 * (1.0 + nodes)), np.sqrt(0.5 * (1.0 - nodes)), np.linalg.inv(np.vander(nodes, increasing=True))


_COSINES, _SINES, _TO_POWERS = _series_matrix()


@compiled
def _deflection_series(theta_e: float, q: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the coefficients of deflection over direction cosine, along and across the major axis, in powers of cos 2 phi.

    Both ratios are even in the direction cosines, hence analytic in cos 2 phi; their nearest singularity lies at +-(2 / f^2 - 1).
    """
    f = math.sqrt(max(1.0 - q * q, NEARLY_ROUND_F2))
    scale = theta_e * math.sqrt(q) / f
    along, across = np.zeros(SERIES_TERMS), np.zeros(SERIES_TERMS)
    for node in range(SERIES_TERMS):
        one = scale * math.asin(f * _COSINES[node]) / _COSINES[node]
        other = scale * math.asinh(f / q * _SINES[node]) / _SINES[node]
        for power in range(SERIES_TERMS):
            along[power] += _TO_POWERS[power, node] * one
            across[power] += _TO_POWERS[power, node] * other
    return along.astype(np.float32), across.astype(np.float32)


@compiled
def _as_tuple(a: NDArray[np.float32]) -> tuple[float, ...]:
    """Return the 16 coefficients as a tuple, whose length the compiler knows."""
    return (a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], a[8], a[9], a[10], a[11], a[12], a[13], a[14], a[15])
