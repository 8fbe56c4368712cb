"""The self-test of the renderer inside every campaign: an arc painted anew at twice the effort, and with a source that has no light."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.lensing import RenderedArc, psf_from_size, render, shot_noise
from halo_core.stages import injection
from halo_core.stages.hosts import Host
from halo_core.stamps import Stamp

FLUX_TOLERANCE, RESIDUAL_TOLERANCE = 1e-3, 5e-3
"""Accuracy promised for n_sersic <= 1: relative flux in the stamp, and the largest residual over the peak."""

CUSPY_FLUX_TOLERANCE, CUSPY_RESIDUAL_TOLERANCE = 1e-2, 2e-2
"""The same for a source with n_sersic > 1."""


def render_at_double_effort(stamp: Stamp, result: Mapping[str, Any], config: injection.InjectionConfig) -> RenderedArc:
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
    RenderedArc
        On the pixels of the stamp, with its magnification.
    """
    size = stamp.truth["stamp_size"]
    lens, source = injection.lens_and_source(stamp.truth, result["host_x_pix"], result["host_y_pix"], size_pix=size, bands=stamp.bands)
    psfs = [psf_from_size(result[f"psf_fwhm_used_{band}_arcsec"], model=config.psf_model) for band in stamp.bands]
    return render(lens, source, psfs, size_pix=size, pixel_response=False, effort=2.0 * config.effort, renderer=config.renderer)


def paint_without_light(stamp: Stamp, result: Mapping[str, Any], config: injection.InjectionConfig) -> NDArray[np.float32]:
    """Return the injected image that the injection stage makes of an evaluated injection whose source has no flux in any band.

    Parameters
    ----------
    stamp, result, config
        As for `render_at_double_effort`.

    Returns
    -------
    ndarray, shape (n_bands, size, size), float32
        Stored host, arc without light and its shot noise [nmgy per pixel]: the host itself, to the bit.
    """
    row = {**stamp.truth, **{f"src_flux_{band}_nmgy": 0.0 for band in stamp.bands}}
    corner, place = (result["stamp_x0_pix"], result["stamp_y0_pix"]), (result["host_x_pix"], result["host_y_pix"])
    host = Host(row["host_id"], row["stamp_size"], *corner, *place, file_shape=(0, 0))
    psfs = {band: psf_from_size(result[f"psf_fwhm_used_{band}_arcsec"], model=config.psf_model) for band in stamp.bands}
    arc = injection.render_row(row, host, psfs, config).image.astype(np.float32)
    painted = stamp.host + arc
    for place_of_band, band in enumerate(stamp.bands):
        gain = result[f"electrons_per_nmgy_{band}"]
        if gain is not None:
            weight, light = stamp.invvar[place_of_band].astype(np.float64), arc[place_of_band].astype(np.float64)
            painted[place_of_band] += shot_noise(light, weight, electrons_per_nmgy=gain, physical_id=row["physical_id"], band=band)[0]
    return painted


def convergence_excess(stamp: Stamp, converged: NDArray[np.float64]) -> float:
    """Return the largest error of a stored arc over the accuracy promised for it: at most 1 where it holds; NaN where a pixel is NaN.

    Parameters
    ----------
    stamp : Stamp
        The stored arc.
    converged : ndarray, shape (n_bands, size, size)
        The same at a higher effort [nmgy per pixel].
    """
    of_flux, of_peak = tolerances(stamp)
    difference = stamp.arc.astype(np.float64) - converged
    flux = np.abs(difference.sum(axis=(1, 2))) / np.abs(converged.sum(axis=(1, 2)))
    residual = np.abs(difference).max(axis=(1, 2)) / converged.max(axis=(1, 2))
    return float(max(np.max(flux) / of_flux, np.max(residual) / of_peak))


def tolerances(stamp: Stamp) -> tuple[float, float]:
    """Return the accuracy promised for a stamp's source: of the flux, and of a pixel over the peak."""
    is_cuspy = stamp.truth["src_n_sersic"] > 1.0
    return (CUSPY_FLUX_TOLERANCE, CUSPY_RESIDUAL_TOLERANCE) if is_cuspy else (FLUX_TOLERANCE, RESIDUAL_TOLERANCE)
