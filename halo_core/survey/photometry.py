"""Fluxes, magnitudes, extinction, depths and shapes in the survey's conventions.

Fluxes are nanomaggies, m = 22.5 - 2.5 log10(f), AB. The catalogue's ellipticity components give the position angle from north
through east; pixel columns run to the west, so an angle counter-clockwise from +x is PA + pi/2 and **both** components change sign.
A flux or depth that has no magnitude (zero, negative, NaN) gives NaN, which tables store as NULL. Every function takes scalars or arrays.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halo_core.constants import EXTINCTION_PER_EBV, GAUSSIAN_NEA_PER_FWHM2, MAG_ZERO_NMGY, PIXEL_SCALE_ARCSEC

DEPTH_SIGMA = 5.0
"""Significance at which the survey quotes a depth."""


def nmgy_to_mag(flux_nmgy: ArrayLike) -> NDArray[np.float64]:
    """Return the AB magnitude of a flux [nmgy]; NaN where the flux is not positive."""
    flux = np.asarray(flux_nmgy, dtype=np.float64)
    return MAG_ZERO_NMGY - 2.5 * np.log10(np.where(flux > 0.0, flux, np.nan))


def mag_to_nmgy(mag: ArrayLike) -> NDArray[np.float64]:
    """Return the flux [nmgy] of an AB magnitude."""
    exponent: NDArray[np.float64] = 0.4 * (MAG_ZERO_NMGY - np.asarray(mag, dtype=np.float64))
    return np.power(10.0, exponent)


def extinction_mag(band: str, ebv: ArrayLike) -> NDArray[np.float64]:
    """Return the Galactic extinction A_band = c_band E(B-V) [mag].

    Parameters
    ----------
    band : str
        g, r, i, z or w1.
    ebv : float or ndarray
        E(B-V) on the SFD98 scale [mag]; >= 0.

    Raises
    ------
    ValueError
        The band has no coefficient.
    """
    if band not in EXTINCTION_PER_EBV:
        raise ValueError(f"no extinction coefficient for band {band!r}; known are {sorted(EXTINCTION_PER_EBV)}")
    return EXTINCTION_PER_EBV[band] * np.asarray(ebv, dtype=np.float64)


def extinction_factor(band: str, ebv: ArrayLike) -> NDArray[np.float64]:
    """Return the transmitted share of the flux, 10^(-0.4 c ebv): what the survey calls MW_TRANSMISSION, in (0, 1]."""
    return np.power(10.0, -0.4 * extinction_mag(band, ebv))


def psfdepth_ivar_to_mag(psfdepth_ivar: ArrayLike) -> NDArray[np.float64]:
    """Return the 5-sigma point-source depth [AB mag] of an inverse variance of flux [nmgy^-2]; NaN where it is not positive.

    Sweeps, Tractor catalogues and depth maps hold the inverse variance, the brick table holds magnitudes, all under one name.
    """
    ivar = np.asarray(psfdepth_ivar, dtype=np.float64)
    return nmgy_to_mag(DEPTH_SIGMA / np.sqrt(np.where(ivar > 0.0, ivar, np.nan)))


def psfdepth_mag_to_ivar(psfdepth_mag: ArrayLike) -> NDArray[np.float64]:
    """Return the inverse variance of a point-source flux [nmgy^-2] of a 5-sigma depth [AB mag]."""
    return np.square(DEPTH_SIGMA / mag_to_nmgy(psfdepth_mag))


def psf_nea_pix(psfsize_arcsec: ArrayLike) -> NDArray[np.float64]:
    """Return the noise-equivalent area 4 pi sigma^2 [pix^2] of a ``psfsize``, the FWHM of the Gaussian with the PSF's own area."""
    return GAUSSIAN_NEA_PER_FWHM2 * np.square(np.asarray(psfsize_arcsec, dtype=np.float64) / PIXEL_SCALE_ARCSEC)


def psfsize_from_nea(nea_pix: ArrayLike) -> NDArray[np.float64]:
    """Return the ``psfsize`` [arcsec] of a noise-equivalent area [pix^2]."""
    return np.sqrt(np.asarray(nea_pix, dtype=np.float64) / GAUSSIAN_NEA_PER_FWHM2) * PIXEL_SCALE_ARCSEC


def axis_ratio_from_ellipticity(e: ArrayLike) -> NDArray[np.float64]:
    """Return the axis ratio q = (1 - e) / (1 + e) of a reduced ellipticity, 0 <= e < 1."""
    values = np.asarray(e, dtype=np.float64)
    return (1.0 - values) / (1.0 + values)


def ellipticity_from_axis_ratio(q: ArrayLike) -> NDArray[np.float64]:
    """Return the reduced ellipticity e = (1 - q) / (1 + q) of an axis ratio, 0 < q <= 1."""
    return axis_ratio_from_ellipticity(q)  # the map is its own inverse


def pixel_shape(shape_e1: ArrayLike, shape_e2: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return axis ratio and orientation in the pixel frame of a Tractor shape.

    Parameters
    ----------
    shape_e1, shape_e2 : float or ndarray
        Ellipticity components, e = hypot(e1, e2) = (1 - q) / (1 + q) < 1; 0.5 atan2(e2, e1) is the position angle north through east.

    Returns
    -------
    q : ndarray
        Minor over major axis, 0 < q <= 1.
    phi_rad : ndarray
        Major axis counter-clockwise from +x of the pixel grid [rad], in [0, pi): e1 = e, e2 = 0 gives pi/2, e1 = 0, e2 = e gives 3 pi/4.
    """
    e1 = np.asarray(shape_e1, dtype=np.float64)
    e2 = np.asarray(shape_e2, dtype=np.float64)
    return axis_ratio_from_ellipticity(np.hypot(e1, e2)), np.mod(0.5 * np.arctan2(-e2, -e1), np.pi)


def tractor_shape(q: ArrayLike, phi_rad: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the Tractor components (e1, e2) of an axis ratio and a pixel-frame angle [rad]: the inverse of `pixel_shape`."""
    e = ellipticity_from_axis_ratio(q)
    twice = 2.0 * np.asarray(phi_rad, dtype=np.float64)
    return -e * np.cos(twice), -e * np.sin(twice)
