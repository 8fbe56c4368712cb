"""Point spread functions: the profile behind a survey `psfsize`, its transform, and how far and how fine it reaches.

Convention: `psfsize` is the FWHM of the Gaussian with the same noise-equivalent area, NEA = (integral PSF)^2 / integral PSF^2. A
Gaussian of width sigma has NEA = 4 pi sigma^2, a Moffat profile pi alpha^2 (2 beta - 1) / (beta - 1)^2, so that a Moffat of the
same area has a narrower core than its psfsize. Coadd PSFs already hold the pixel: nothing here convolves with it. Sources: King
1983, PASP 95, 163 (noise-equivalent area); Trujillo et al. 2001, MNRAS 328, 977 (Moffat).
"""

import weakref
from collections.abc import Sequence
from functools import lru_cache, partial
from math import ceil, log, pi, sqrt
from typing import Any, Literal, NamedTuple, cast

import galsim
import numpy as np
from numpy.typing import NDArray

from halo_core.constants import GAUSSIAN_NEA_PER_FWHM2, MOFFAT_ALPHA_PER_PSFSIZE, MOFFAT_BETA, PSF_FWHM_MAX_ARCSEC, PSF_FWHM_MIN_ARCSEC
from halo_core.errors import ConventionError
from halo_core.lensing.fourier import GAUSSIAN, MOFFAT, RADIAL, RADIAL_SAMPLES, TABLE, Transfers

PsfModel = Literal["moffat", "gaussian"]

OUTSIDE_FLUX = 1e-4
"""Flux of the PSF outside its reach: what may wrap around a frame."""

REACH_MAX_ARCSEC = 80.0
"""Largest reach a frame is made for [arcsec]: flux beyond spreads over so wide a frame that less than 1e-4 falls on a stamp."""

TRANSFER_FLOOR = 3e-5
"""Value of a PSF's transform below which frequencies are dropped."""

MOFFAT_FLOOR_X = 16.1
"""k alpha at which the transform of the reference Moffat profile falls to the floor."""

REPLICAS = 5.0
"""Largest wavenumbers, as GalSim gives them, that a PSF is followed to where its transform goes on, as that of a drawn image does."""

WIDTH_WAVENUMBER = 8.0
"""Where a PSF's transform tells how wide it is [rad/arcsec]."""


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


class PsfScales(NamedTuple):
    """How fine and how far a PSF reaches."""

    width_arcsec: float
    """FWHM; for other profiles than Gaussian and Moffat that of the Gaussian with the same transform at 8 rad/arcsec."""
    reach_arcsec: float
    """Radius outside which 1e-4 of the flux lies."""
    band_limit: float
    """Wavenumber above which the transform stays below its floor [rad/arcsec]."""


def psf_scales(psf: Any) -> PsfScales:
    """Return how fine and how far a GalSim PSF reaches: in closed form for Gaussian and reference Moffat, else as GalSim finds it."""
    if isinstance(psf, galsim.Gaussian):
        return PsfScales(psf.fwhm, psf.sigma * _GAUSSIAN_REACH, _GAUSSIAN_LIMIT / psf.sigma)
    if is_reference_moffat(psf):
        return PsfScales(psf.fwhm, psf.scale_radius * _MOFFAT_REACH, MOFFAT_FLOOR_X / psf.scale_radius)
    known = _scales.get(id(psf))
    if known is None or known[0]() is not psf:
        known = weakref.ref(psf, partial(_forget, id(psf))), _scales_by_galsim(psf)
        _scales[id(psf)] = known
    return known[1]


_scales: dict[int, tuple[weakref.ref[Any], PsfScales]] = {}
"""Scales of the PSFs that are alive, by identity: to hash one takes GalSim longer than to trace a stamp's light."""


def _forget(key: int, _gone: weakref.ref[Any]) -> None:
    """Drop the scales of a PSF that is no more."""
    _scales.pop(key, None)


_GAUSSIAN_REACH, _GAUSSIAN_LIMIT = sqrt(-2.0 * log(OUTSIDE_FLUX)), sqrt(-2.0 * log(TRANSFER_FLOOR))


def _moffat_reach(beta: float) -> float:
    """Return the radius outside which 1e-4 of a Moffat profile's flux lies, in scale radii."""
    return sqrt(OUTSIDE_FLUX ** (1.0 / (1.0 - beta)) - 1.0)


_MOFFAT_REACH = _moffat_reach(MOFFAT_BETA)


_STRICT = galsim.GSParams(folding_threshold=OUTSIDE_FLUX, maxk_threshold=TRANSFER_FLOOR, maximum_fft_size=16384)


def _scales_by_galsim(psf: Any) -> PsfScales:
    """Return the scales of any PSF.

    The width is read at a wavenumber where light that is sampled too coarsely would be seen first; GalSim's own FWHM would cost more
    than the whole stamp.
    """
    strict = psf.withGSParams(_STRICT)
    if isinstance(psf, galsim.Moffat):
        reach = psf.scale_radius * _moffat_reach(psf.beta)
        return PsfScales(psf.fwhm, min(reach, psf.trunc or reach, REACH_MAX_ARCSEC), float(strict.maxk))
    limit, at = float(strict.maxk), WIDTH_WAVENUMBER
    seen = np.abs(_k_image(psf, galsim.BoundsI(0, 3, 0, 3), at)) / abs(psf.flux)
    width = sqrt(-16.0 * log(2.0) * log(min(max(seen[0, 1], seen[1, 0], TRANSFER_FLOOR), 1.0))) / at
    if any(max(seen[0, i], seen[i, 0]) > TRANSFER_FLOOR for i in (2, 3) if i * at > limit):
        limit *= REPLICAS
    return PsfScales(width, min(pi / strict.stepk, REACH_MAX_ARCSEC), limit)


def transfers(psfs: Sequence[Any], *, cutoff: int, step: float) -> Transfers:
    """Return the transforms of the PSFs of all bands for the wavenumbers of a frame.

    Parameters
    ----------
    psfs : sequence of galsim.GSObject
        Any PSFs; their fluxes are kept.
    cutoff : int
        Highest wavenumber along an axis, in steps.
    step : float
        [rad/arcsec]

    Notes
    -----
    Gaussian and Moffat of exponent 3.5 are given by one length, other profiles of circular symmetry by samples along the radius, all
    else by a table of both axes, as GalSim draws it.
    """
    kinds, lengths = np.empty(len(psfs), np.int64), np.ones(len(psfs))
    profiles, tables = _NO_PROFILES, _NO_TABLES
    for band, psf in enumerate(psfs):
        if isinstance(psf, galsim.Gaussian):
            kinds[band], lengths[band] = GAUSSIAN, psf.sigma
        elif is_reference_moffat(psf):
            kinds[band], lengths[band] = MOFFAT, psf.scale_radius
        elif psf.is_axisymmetric:
            kinds[band] = RADIAL
            n_samples = ceil(sqrt(2.0) * cutoff * RADIAL_SAMPLES) + 4
            profiles = profiles if len(profiles) else np.zeros((len(psfs), n_samples), np.float32)
            profiles[band, 1:] = _k_image(psf, galsim.BoundsI(0, n_samples - 2, 0, 0), step / RADIAL_SAMPLES)[0].real
            profiles[band, 0] = profiles[band, 2]
        else:
            kinds[band] = TABLE
            tables = tables if len(tables) else np.zeros((len(psfs), 2 * cutoff + 1, cutoff + 1), np.complex64)
            tables[band] = _table(psf, cutoff, step)
    fluxes = np.array([psf.flux if kind in (GAUSSIAN, MOFFAT) else 1.0 for kind, psf in zip(kinds, psfs, strict=True)])
    return Transfers(kinds, lengths * step, fluxes, profiles, tables)


_NO_PROFILES = np.zeros((0, 0), np.float32)
_NO_TABLES = np.zeros((0, 0, 0), np.complex64)


@lru_cache(maxsize=64)
def _table(psf: Any, cutoff: int, step: float) -> NDArray[np.complex64]:
    """Return the transform on rows k_y = -cutoff ... cutoff and columns k_x = 0 ... cutoff; kept, because a host meets many sources."""
    return _k_image(psf, galsim.BoundsI(0, cutoff, -cutoff, cutoff), step)


def _k_image(psf: Any, bounds: Any, step: float) -> NDArray[np.complex64]:
    """Return the transform of a PSF as GalSim draws it; given an image, not bounds, it does not move the centre."""
    image = galsim.ImageCF(bounds)
    psf.drawKImage(image=image, scale=step, recenter=False)
    return cast(NDArray[np.complex64], image.array)
