"""The lens map and the source reduced to the numbers that the compiled loops use.

In the frame of the lens, with X = R(-phi) (theta - lens), the source's own normalised plane (unit circle = the half-light ellipse)
is w = M X - N a(X / |X|) - w_s: everything linear is folded into two 2 x 2 matrices, and a, the deflection of the ellipsoid,
depends on the polar angle only; it is used as a polynomial in cos 2 phi, which vectorises. The surface brightness over its central
value is exp(-b |w|^(1/n)).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing.deflectors import NEARLY_ROUND_F2, Lens, largest_deflection_arcsec
from halo_core.lensing.sources import Source, sersic_b_n, sersic_central_brightness, sersic_radius_over_reff

Matrix = NDArray[np.float64]
Matrix2 = tuple[float, float, float, float]

DARK_FLUX_FRAC = 3e-5
"""Fraction of the unlensed flux outside the radius beyond which the source counts as dark."""

SERIES_TERMS = 16
"""Coefficients of the polynomial form of the deflection."""

SERIES_MIN_Q = 0.34
"""Axis ratio from which the polynomial errs by less than 1e-5 theta_E; below, the loops use the inverse functions themselves."""

FAINT_FRAC = 0.05
"""Fraction of the mean brightness inside R_e below which errors are judged absolutely, not relative to the local brightness."""


class Optics(NamedTuple):
    """One lens and one source for the compiled loops; see the module's text for the symbols."""

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


@dataclass(frozen=True, slots=True)
class Extent:
    """A box on the image plane that holds the light: middle and half sides [arcsec], from the middle of the stamp."""

    x: float
    y: float
    half_x: float
    half_y: float


def optics_of(lens: Lens, source: Source) -> Optics:
    """Return the numbers of a lens and a source."""
    n = source.n_sersic
    root = math.sqrt(source.q)
    tall, wide = root / source.reff_arcsec, 1.0 / (root * source.reff_arcsec)
    c, s = math.cos(source.phi_rad), math.sin(source.phi_rad)
    to_unit = (tall * c, tall * s, -wide * s, wide * c)
    cosine, sine = math.cos(lens.phi_rad), math.sin(lens.phi_rad)
    turn = (cosine, -sine, sine, cosine)
    tide = (1.0 - lens.gamma1, -lens.gamma2, -lens.gamma2, 1.0 + lens.gamma1)
    linear = _product(to_unit, _product(tide, turn))
    bend = _product(to_unit, turn)
    dx, dy = source.x_arcsec - lens.x_arcsec, source.y_arcsec - lens.y_arcsec
    along, across = _deflection_series(lens)
    return Optics(
        float(lens.x_arcsec),
        float(lens.y_arcsec),
        cosine,
        sine,
        *linear,
        *bend,
        source_x=to_unit[0] * dx + to_unit[1] * dy,
        source_y=to_unit[2] * dx + to_unit[3] * dy,
        theta_e=float(lens.theta_e_arcsec),
        q=float(lens.q),
        f=math.sqrt(1.0 - lens.q**2),
        scale=lens.theta_e_arcsec * math.sqrt(lens.q),
        along=along,
        across=across,
        is_series=bool(lens.q >= SERIES_MIN_Q),
        b=sersic_b_n(n),
        inverse_n=1.0 / n,
        dark_radius=sersic_radius_over_reff(n, outside_frac=DARK_FLUX_FRAC),
        faint=FAINT_FRAC * 0.5 / (math.pi * sersic_central_brightness(n)),
    )


def light_extent(lens: Lens, source: Source, *, outside_frac: float) -> Extent:
    """Return a box that holds every image of the source's ellipse outside which the given fraction of the unlensed flux lies.

    The linear part of the map is inverted exactly and the deflection of the ellipsoid is bounded by its largest length.
    """
    radius = sersic_radius_over_reff(source.n_sersic, outside_frac=outside_frac) * source.reff_arcsec
    c2, s2 = math.cos(source.phi_rad) ** 2, math.sin(source.phi_rad) ** 2
    bend = largest_deflection_arcsec(theta_e_arcsec=lens.theta_e_arcsec, q=lens.q)
    reach_x = radius * math.sqrt(c2 / source.q + s2 * source.q) + bend
    reach_y = radius * math.sqrt(s2 / source.q + c2 * source.q) + bend
    dx, dy = source.x_arcsec - lens.x_arcsec, source.y_arcsec - lens.y_arcsec
    determinant = 1.0 - lens.gamma1**2 - lens.gamma2**2
    xx, xy, yy = (1.0 + lens.gamma1) / determinant, lens.gamma2 / determinant, (1.0 - lens.gamma1) / determinant
    return Extent(
        x=lens.x_arcsec + xx * dx + xy * dy,
        y=lens.y_arcsec + xy * dx + yy * dy,
        half_x=xx * reach_x + abs(xy) * reach_y,
        half_y=abs(xy) * reach_x + yy * reach_y,
    )


def _product(a: Matrix2, b: Matrix2) -> Matrix2:
    """Return the product of two 2 x 2 matrices, rows one after the other."""
    return a[0] * b[0] + a[1] * b[2], a[0] * b[1] + a[1] * b[3], a[2] * b[0] + a[3] * b[2], a[2] * b[1] + a[3] * b[3]


def _series_matrix() -> tuple[Matrix, Matrix, Matrix]:
    """Return cos phi and sin phi at the Chebyshev nodes of cos 2 phi, and the matrix from values there to coefficients of powers."""
    nodes = np.cos(np.pi * (np.arange(SERIES_TERMS) + 0.5) / SERIES_TERMS)
    return np.sqrt(0.5 * (1.0 + nodes)), np.sqrt(0.5 * (1.0 - nodes)), np.linalg.inv(np.vander(nodes, increasing=True))


_COSINES, _SINES, _TO_POWERS = _series_matrix()


def _deflection_series(lens: Lens) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the coefficients of deflection over direction cosine, along and across the major axis, in powers of cos 2 phi.

    Both ratios are even in the direction cosines, hence analytic in cos 2 phi; their nearest singularity lies at +-(2 / f^2 - 1).
    """
    f = math.sqrt(max(1.0 - lens.q**2, NEARLY_ROUND_F2))
    scale = lens.theta_e_arcsec * math.sqrt(lens.q) / f
    along = scale * np.arcsin(f * _COSINES) / _COSINES
    across = scale * np.arcsinh(f / lens.q * _SINES) / _SINES
    return tuple((_TO_POWERS @ along).tolist()), tuple((_TO_POWERS @ across).tolist())
