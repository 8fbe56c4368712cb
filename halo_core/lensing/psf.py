"""Point spread functions: the profile behind a survey `psfsize`, its transform, and how far and how fine it reaches.

Convention: `psfsize` is the FWHM of the Gaussian with the same noise-equivalent area, NEA = (integral PSF)^2 / integral PSF^2. A
Gaussian of width sigma has NEA = 4 pi sigma^2, a Moffat profile pi alpha^2 (2 beta - 1) / (beta - 1)^2, so that a Moffat of the
same area has a narrower core than its psfsize. Coadd PSFs already hold the pixel: nothing here convolves with it. Sources: King
1983, PASP 95, 163 (noise-equivalent area); Trujillo et al. 2001, MNRAS 328, 977 (Moffat).
"""

from typing import Any, Literal, cast

import galsim
import numpy as np
from numpy.typing import NDArray

from halo_core.constants import GAUSSIAN_NEA_PER_FWHM2, MOFFAT_ALPHA_PER_PSFSIZE, MOFFAT_BETA, PSF_FWHM_MAX_ARCSEC, PSF_FWHM_MIN_ARCSEC
from halo_core.errors import ConventionError
from halo_core.lensing.compiled import compiled
from halo_core.lensing.kernels import exp_negative

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
PsfModel = Literal["moffat", "gaussian"]

OUTSIDE_FLUX = 1e-4
"""Flux of the PSF outside its reach: what may wrap around a frame."""

TRANSFER_FLOOR = 1e-5
"""Value of a PSF's transform below which frequencies are dropped."""

MOFFAT_FLOOR_X = 17.4
"""k alpha at which the transform of the reference Moffat profile falls to the floor."""


def psf_from_size(psf_fwhm_arcsec: float, *, model: PsfModel) -> Any:
    """Return the PSF, a GalSim object of flux 1, with the noise-equivalent area of a survey `psfsize`.

    Parameters
    ----------
    psf_fwhm_arcsec : float
        Gaussian-equivalent size [arcsec], 0.6-3.5.
    model : {"moffat", "gaussian"}
        Profile; the Moffat exponent is 3.5.

    Raises
    ------
    ConventionError
        The size is not a believable one, or the model is unknown.
    """
    width = profile_fwhm_arcsec(psf_fwhm_arcsec, model=model)
    return galsim.Gaussian(fwhm=width) if model == "gaussian" else galsim.Moffat(beta=MOFFAT_BETA, fwhm=width)


def profile_fwhm_arcsec(psf_fwhm_arcsec: float, *, model: PsfModel) -> float:
    """Return the FWHM of the profile itself [arcsec] for a Gaussian-equivalent size [arcsec]; raises as `psf_from_size` does."""
    if not PSF_FWHM_MIN_ARCSEC <= psf_fwhm_arcsec <= PSF_FWHM_MAX_ARCSEC:
        raise ConventionError(
            f"psf_fwhm_arcsec = {psf_fwhm_arcsec} is outside {PSF_FWHM_MIN_ARCSEC}-{PSF_FWHM_MAX_ARCSEC} arcsec; "
            "flag the band, do not render it"
        )
    if model == "gaussian":
        return float(psf_fwhm_arcsec)
    if model == "moffat":
        fwhm_per_alpha = 2.0 * np.sqrt(2.0 ** (1.0 / MOFFAT_BETA) - 1.0)
        return float(psf_fwhm_arcsec * MOFFAT_ALPHA_PER_PSFSIZE * fwhm_per_alpha)
    raise ConventionError(f"PSF model {model!r} is unknown; choose moffat or gaussian")


def nea_arcsec2(psf_fwhm_arcsec: float) -> float:
    """Return the noise-equivalent area [arcsec^2] of a Gaussian-equivalent size [arcsec], 4 pi sigma^2."""
    return float(GAUSSIAN_NEA_PER_FWHM2 * psf_fwhm_arcsec**2)


def is_reference_moffat(psf: Any) -> bool:
    """Return whether the closed form of the transform of a Moffat profile of exponent 3.5 holds."""
    return isinstance(psf, galsim.Moffat) and psf.beta == MOFFAT_BETA and psf.trunc == 0.0


def reach_arcsec(psf: Any) -> float:
    """Return the radius outside which 1e-4 of the flux lies [arcsec]: closed for Gaussian and Moffat, else as GalSim folds."""
    if isinstance(psf, galsim.Gaussian):
        return float(psf.sigma * np.sqrt(-2.0 * np.log(OUTSIDE_FLUX)))
    if isinstance(psf, galsim.Moffat):
        reach = float(psf.scale_radius * np.sqrt(OUTSIDE_FLUX ** (1.0 / (1.0 - psf.beta)) - 1.0))
        return min(reach, float(psf.trunc)) if psf.trunc > 0.0 else reach
    strict = psf.withGSParams(folding_threshold=OUTSIDE_FLUX)
    return float(np.pi / strict.stepk)


def band_limit(psf: Any) -> float:
    """Return the wavenumber above which the transform stays below its floor [rad/arcsec]."""
    if isinstance(psf, galsim.Gaussian):
        return float(np.sqrt(-2.0 * np.log(TRANSFER_FLOOR)) / psf.sigma)
    if is_reference_moffat(psf):
        return float(MOFFAT_FLOOR_X / psf.scale_radius)
    strict = psf.withGSParams(maxk_threshold=TRANSFER_FLOOR)
    return float(strict.maxk)


def width_arcsec(psf: Any) -> float:
    """Return the FWHM of a PSF's own profile [arcsec]."""
    if isinstance(psf, (galsim.Gaussian, galsim.Moffat)):
        return float(psf.fwhm)
    return float(psf.calculateFWHM())


def transfer_function(psf: Any, wavenumbers: FloatArray) -> FloatArray | ComplexArray:
    """Return the transform of a PSF on a grid of wavenumbers.

    Parameters
    ----------
    psf : galsim.GSObject
        Any PSF; its flux is kept.
    wavenumbers : ndarray, shape (c + 1,)
        0, dk, ..., c dk [rad/arcsec].

    Returns
    -------
    ndarray
        Real, shape (c + 1, c + 1), for a Gaussian or a Moffat of exponent 3.5 (even in both axes); else complex, shape
        (2c + 1, c + 1), rows k_y = -c dk ... c dk, columns k_x = 0 ... c dk.
    """
    if isinstance(psf, galsim.Gaussian):
        axis = np.exp(-0.5 * (float(psf.sigma) * wavenumbers) ** 2)
        return np.asarray(float(psf.flux) * np.outer(axis, axis))
    if is_reference_moffat(psf):
        return _moffat_transfer(wavenumbers * float(psf.scale_radius), float(psf.flux))
    cut = len(wavenumbers) - 1
    image = galsim.ImageCD(galsim.BoundsI(0, cut, -cut, cut))
    psf.drawKImage(image=image, scale=float(wavenumbers[1]), recenter=False)
    return cast(ComplexArray, np.array(image.array, dtype=np.complex128))


@compiled
def _moffat_transfer(x: FloatArray, flux: float) -> FloatArray:
    """Return exp(-x) (1 + x + x^2/3), the transform of a Moffat profile of exponent 3.5, on the square of an axis of k alpha."""
    n = len(x)
    out = np.empty((n, n))
    for i in range(n):
        for j in range(n):
            r = np.sqrt(x[i] * x[i] + x[j] * x[j])
            out[i, j] = flux * exp_negative(r) * (1.0 + r + r * r * (1.0 / 3.0))
    return out
