"""Sersic sources: exact b_n, surface brightness normalised by the unlensed total flux, radii that hold a given flux.

Convention: the radius is circularised, r^2 = q x'^2 + y'^2 / q with x' along the major axis; the ellipse of area pi R_e^2 holds
half of the flux. Sources: Sersic 1968; Graham & Driver 2005, PASA 22, 118, eqs. 1-4.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gamma, gammainccinv, gammaincinv

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Source:
    """A Sersic source placed behind a stamp.

    Parameters
    ----------
    x_arcsec, y_arcsec : float
        Unlensed position from the middle of the stamp [arcsec].
    reff_arcsec : float
        Circularised half-light radius [arcsec]; > 0.
    q : float
        Axis ratio minor/major; 0 < q <= 1.
    phi_rad : float
        Major axis, counter-clockwise from +x [rad].
    n_sersic : float
        Sersic index; 0.2 <= n <= 8.
    flux_nmgy : tuple of float
        Unlensed total flux in each band [nmgy].

    Raises
    ------
    ValueError
        A value is not finite or out of its range.
    """

    x_arcsec: float
    y_arcsec: float
    reff_arcsec: float
    q: float
    phi_rad: float
    n_sersic: float
    flux_nmgy: tuple[float, ...]

    def __post_init__(self) -> None:
        values = (self.x_arcsec, self.y_arcsec, self.reff_arcsec, self.q, self.phi_rad, self.n_sersic, *self.flux_nmgy)
        if not all(abs(value) < np.inf for value in values):
            raise ValueError(f"a source needs finite numbers, got {self}")
        if self.reff_arcsec <= 0.0:
            raise ValueError(f"reff_arcsec = {self.reff_arcsec} is not a positive radius")
        if not 0.0 < self.q <= 1.0:
            raise ValueError(f"source q = {self.q} is outside (0, 1]; give minor over major axis")
        _check_index(self.n_sersic)


@lru_cache(maxsize=256)
def sersic_b_n(n_sersic: float) -> float:
    """Return b_n with gamma(2n, b_n) = Gamma(2n) / 2, to machine precision.

    Raises
    ------
    ValueError
        The index is outside 0.2-8.
    """
    _check_index(n_sersic)
    return float(gammaincinv(2.0 * n_sersic, 0.5))


@lru_cache(maxsize=256)
def sersic_central_brightness(n_sersic: float) -> float:
    """Return the central surface brightness of a source of unit flux and unit circularised radius [arcsec^-2].

    From F = 2 pi n Gamma(2n) b^(-2n) I_0 R_e^2, which holds for every axis ratio because the radius is circularised.
    """
    b = sersic_b_n(n_sersic)
    return float(b ** (2.0 * n_sersic) / (2.0 * np.pi * n_sersic * gamma(2.0 * n_sersic)))


def sersic_surface_brightness(x: ArrayLike, y: ArrayLike, *, source: Source, flux_nmgy: float) -> FloatArray:
    """Return the surface brightness of a source in its own plane.

    Parameters
    ----------
    x, y : array_like, broadcast
        Position in the source plane, from the middle of the stamp [arcsec].
    source : Source
        Place, size, shape and index.
    flux_nmgy : float
        Unlensed total flux [nmgy].

    Returns
    -------
    ndarray, float64
        [nmgy arcsec^-2]
    """
    dx, dy = np.asarray(x, dtype=np.float64) - source.x_arcsec, np.asarray(y, dtype=np.float64) - source.y_arcsec
    cosine, sine = np.cos(source.phi_rad), np.sin(source.phi_rad)
    major, minor = cosine * dx + sine * dy, cosine * dy - sine * dx
    radius2 = (source.q * major**2 + minor**2 / source.q) / source.reff_arcsec**2
    central = flux_nmgy * sersic_central_brightness(source.n_sersic) / source.reff_arcsec**2
    return np.asarray(central * np.exp(-sersic_b_n(source.n_sersic) * radius2 ** (0.5 / source.n_sersic)))


@lru_cache(maxsize=256)
def sersic_radius_over_reff(n_sersic: float, outside_frac: float) -> float:
    """Return the circularised radius, in units of R_e, outside which the given fraction of the flux lies; 0 < outside_frac < 1."""
    b = sersic_b_n(n_sersic)
    return float((gammainccinv(2.0 * n_sersic, outside_frac) / b) ** n_sersic)


def _check_index(n_sersic: float) -> None:
    """Refuse a Sersic index for which the profile or its flux is not usable."""
    if not 0.2 <= n_sersic <= 8.0:
        raise ValueError(f"n_sersic = {n_sersic} is outside 0.2-8")
