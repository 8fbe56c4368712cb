"""Deflection, convergence and magnification of a singular isothermal ellipsoid in an external shear.

Convention: the Einstein radius is area-equivalent, kappa = theta_E / (2 sqrt(q x^2 + y^2 / q)) in the frame of the lens, so that
without shear the tangential critical curve (kappa = 1/2) encloses pi theta_E^2 for every axis ratio. Positions are arcsec from
the lens, +x = +column, +y = +row, angles counter-clockwise from +x to the major axis.

Sources: Kormann, Schneider & Bartelmann 1994, A&A 284, 285, eqs. 21 and 27, with the intermediate-axis scaling; the deflection
depends on the polar angle only, which gives the forms with arcsin and arsinh.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halo_core.lensing.compiled import compiled

FloatArray = NDArray[np.float64]

NEARLY_ROUND_F2 = 1e-6
"""Square of the eccentricity below which the first two terms of the series in it are used (relative error < 1e-12)."""


@dataclass(frozen=True, slots=True)
class Lens:
    """A singular isothermal ellipsoid with external shear, placed on a stamp.

    Parameters
    ----------
    theta_e_arcsec : float
        Area-equivalent Einstein radius, sqrt(A / pi) with A the area inside the tangential critical curve without shear [arcsec]; >= 0.
    q : float
        Axis ratio minor/major of the convergence; 0 < q <= 1.
    phi_rad : float
        Major axis, counter-clockwise from +x [rad].
    gamma1, gamma2 : float
        External shear, g cos 2 phi and g sin 2 phi; g < 1.
    x_arcsec, y_arcsec : float
        Position from the middle of the stamp [arcsec].

    Raises
    ------
    ValueError
        A value is not finite or out of its range.
    """

    theta_e_arcsec: float
    q: float
    phi_rad: float
    gamma1: float
    gamma2: float
    x_arcsec: float
    y_arcsec: float

    def __post_init__(self) -> None:
        values = (self.theta_e_arcsec, self.q, self.phi_rad, self.gamma1, self.gamma2, self.x_arcsec, self.y_arcsec)
        if not all(abs(value) < np.inf for value in values):
            raise ValueError(f"a lens needs finite numbers, got {self}")
        if self.theta_e_arcsec < 0.0:
            raise ValueError(f"theta_e_arcsec = {self.theta_e_arcsec} is negative; give an Einstein radius >= 0")
        if not 0.0 < self.q <= 1.0:
            raise ValueError(f"lens q = {self.q} is outside (0, 1]; give minor over major axis")
        if self.gamma1**2 + self.gamma2**2 >= 1.0:
            raise ValueError(f"shear ({self.gamma1}, {self.gamma2}) has a magnitude of 1 or more; give a magnitude below 1")


def sie_deflection(x: ArrayLike, y: ArrayLike, *, theta_e_arcsec: float, q: float, phi_rad: float) -> tuple[FloatArray, FloatArray]:
    """Return the deflection of a singular isothermal ellipsoid.

    Parameters
    ----------
    x, y : array_like, broadcast
        Position from the lens [arcsec].
    theta_e_arcsec : float
        Area-equivalent Einstein radius [arcsec]; >= 0.
    q : float
        Axis ratio; 0 < q <= 1, with a smooth limit to the isothermal sphere at 1.
    phi_rad : float
        Major axis, counter-clockwise from +x [rad].

    Returns
    -------
    tuple of two ndarrays, float64
        alpha_x, alpha_y [arcsec]; 0 at the lens itself, where the direction is not defined.

    Raises
    ------
    ValueError
        The axis ratio or the Einstein radius is out of its range.
    """
    _check_sie(theta_e_arcsec, q)
    major, minor = _rotate(x, y, -phi_rad)
    cosine, sine = _direction(major, minor)
    along, across = _unit_deflection(cosine, sine, q)
    return _rotate(theta_e_arcsec * along, theta_e_arcsec * across, phi_rad)


def shear_deflection(x: ArrayLike, y: ArrayLike, *, gamma1: float, gamma2: float) -> tuple[FloatArray, FloatArray]:
    """Return the deflection (gamma1 x + gamma2 y, gamma2 x - gamma1 y) of an external shear about the lens [arcsec]."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    return gamma1 * x + gamma2 * y, gamma2 * x - gamma1 * y


def ray_shoot(x: ArrayLike, y: ArrayLike, *, lens: Lens) -> tuple[FloatArray, FloatArray]:
    """Return where rays meet the source plane: beta = theta - alpha(theta).

    Parameters
    ----------
    x, y : array_like, broadcast
        Position in the image plane from the middle of the stamp [arcsec].
    lens : Lens
        The deflector and where it stands.

    Returns
    -------
    tuple of two ndarrays, float64
        Position in the source plane from the middle of the stamp [arcsec].
    """
    dx, dy = np.asarray(x, dtype=np.float64) - lens.x_arcsec, np.asarray(y, dtype=np.float64) - lens.y_arcsec
    ellipsoid = sie_deflection(dx, dy, theta_e_arcsec=lens.theta_e_arcsec, q=lens.q, phi_rad=lens.phi_rad)
    tide = shear_deflection(dx, dy, gamma1=lens.gamma1, gamma2=lens.gamma2)
    return dx - ellipsoid[0] - tide[0] + lens.x_arcsec, dy - ellipsoid[1] - tide[1] + lens.y_arcsec


def convergence(x: ArrayLike, y: ArrayLike, *, theta_e_arcsec: float, q: float, phi_rad: float) -> FloatArray:
    """Return kappa = theta_E / (2 sqrt(q x^2 + y^2 / q)), dimensionless; positions from the lens [arcsec], infinite at the lens."""
    _check_sie(theta_e_arcsec, q)
    major, minor = _rotate(x, y, -phi_rad)
    with np.errstate(divide="ignore"):
        return np.asarray(0.5 * theta_e_arcsec / np.sqrt(q * major**2 + minor**2 / q))


def signed_magnification(x: ArrayLike, y: ArrayLike, *, lens: Lens) -> FloatArray:
    """Return 1 / det(d beta / d theta), negative where the parity is reversed.

    The potential of an isothermal lens is homogeneous of degree one, so that its Hessian is 2 kappa times the projector on the
    tangential direction t: det A = det(1 - Gamma) - 2 kappa (t_perp . (1 - Gamma) t_perp) with t_perp the radial direction.
    Positions are arcsec from the middle of the stamp; infinite on critical curves.
    """
    dx, dy = np.asarray(x, dtype=np.float64) - lens.x_arcsec, np.asarray(y, dtype=np.float64) - lens.y_arcsec
    kappa = convergence(dx, dy, theta_e_arcsec=lens.theta_e_arcsec, q=lens.q, phi_rad=lens.phi_rad)
    cosine, sine = _direction(dx, dy)
    radial = 1.0 - lens.gamma1 * (cosine**2 - sine**2) - 2.0 * lens.gamma2 * cosine * sine
    determinant = 1.0 - lens.gamma1**2 - lens.gamma2**2 - 2.0 * kappa * radial
    with np.errstate(divide="ignore"):
        return np.asarray(1.0 / determinant)


@compiled
def largest_deflection_arcsec(theta_e_arcsec: float, q: float) -> float:
    """Return the largest length of the ellipsoid's deflection [arcsec], which is reached on the major or the minor axis."""
    f = math.sqrt(max(1.0 - q * q, NEARLY_ROUND_F2))
    return theta_e_arcsec * math.sqrt(q) / f * max(math.asin(f), math.asinh(f / q))


def _unit_deflection(cosine: FloatArray, sine: FloatArray, q: float) -> tuple[FloatArray, FloatArray]:
    """Return the deflection over theta_E along the major and minor axis for a direction in the lens frame."""
    f2 = 1.0 - q * q
    if f2 < NEARLY_ROUND_F2:
        root = np.sqrt(q)
        return root * cosine * (1.0 + f2 * cosine**2 / 6.0), root * sine / q * (1.0 - f2 * (sine / q) ** 2 / 6.0)
    f = np.sqrt(f2)
    scale = np.sqrt(q) / f
    return scale * np.arcsin(f * cosine), scale * np.arcsinh(f * sine / q)


def _direction(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return cosine and sine of the polar angle, both 0 at the origin."""
    radius = np.hypot(x, y)
    safe = np.where(radius > 0.0, radius, 1.0)
    return x / safe, y / safe


def _rotate(x: ArrayLike, y: ArrayLike, angle_rad: float) -> tuple[FloatArray, FloatArray]:
    """Return the vector turned counter-clockwise by the angle."""
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    cosine, sine = np.cos(angle_rad), np.sin(angle_rad)
    return cosine * x - sine * y, sine * x + cosine * y


def _check_sie(theta_e_arcsec: float, q: float) -> None:
    """Refuse an axis ratio or Einstein radius out of range."""
    if not 0.0 < q <= 1.0:
        raise ValueError(f"lens q = {q} is outside (0, 1]; give minor over major axis")
    if not theta_e_arcsec >= 0.0:
        raise ValueError(f"theta_e_arcsec = {theta_e_arcsec} is not a radius >= 0")
