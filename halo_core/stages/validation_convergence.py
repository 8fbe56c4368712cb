"""The self-test of the renderer inside every campaign: a stored arc against the same arc painted at twice the effort."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing import psf_from_size, render
from halo_core.stages import injection
from halo_core.stamps import Stamp

FLUX_TOLERANCE, RESIDUAL_TOLERANCE = 1e-3, 5e-3
"""Accuracy promised for n_sersic <= 1: relative flux in the stamp, and the largest residual over the peak."""

CUSPY_FLUX_TOLERANCE, CUSPY_RESIDUAL_TOLERANCE = 1e-2, 2e-2
"""The same for a source with n_sersic > 1."""


def render_at_double_effort(stamp: Stamp, result: Mapping[str, Any], config: injection.InjectionConfig) -> NDArray[np.float64]:
    """Return the arc of an evaluated injection rendered anew from its manifest row at twice the campaign's effort.

    Parameters
    ----------
    stamp : Stamp
        Gives the bands and, as its truth, the manifest row.
    result : mapping
        Its row of `records.RESULTS`: where the host stands in the stamp, and the PSF sizes that were used.
    config : InjectionConfig
        Of the campaign.

    Returns
    -------
    ndarray, shape (n_bands, size, size)
        [nmgy per pixel].
    """
    size = stamp.truth["stamp_size"]
    lens, source = injection.lens_and_source(stamp.truth, result["host_x_pix"], result["host_y_pix"], size_pix=size, bands=stamp.bands)
    psfs = [psf_from_size(result[f"psf_fwhm_used_{band}_arcsec"], model=config.psf_model) for band in stamp.bands]
    return render(lens, source, psfs, size_pix=size, pixel_response=False, effort=2.0 * config.effort, renderer=config.renderer).image


def convergence_excess(stamp: Stamp, converged: NDArray[np.float64]) -> float:
    """Return the largest error of a stored arc over the accuracy promised for it: at most 1 where it holds; NaN where a pixel is NaN.

    Parameters
    ----------
    stamp : Stamp
        The stored arc.
    converged : ndarray, shape (n_bands, size, size)
        The same at a higher effort [nmgy per pixel].
    """
    is_cuspy = stamp.truth["src_n_sersic"] > 1.0
    of_flux, of_peak = (CUSPY_FLUX_TOLERANCE, CUSPY_RESIDUAL_TOLERANCE) if is_cuspy else (FLUX_TOLERANCE, RESIDUAL_TOLERANCE)
    difference = stamp.arc.astype(np.float64) - converged
    flux = np.abs(difference.sum(axis=(1, 2))) / np.abs(converged.sum(axis=(1, 2)))
    residual = np.abs(difference).max(axis=(1, 2)) / converged.max(axis=(1, 2))
    return float(max(np.max(flux) / of_flux, np.max(residual) / of_peak))
