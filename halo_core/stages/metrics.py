"""Metrics of one view: what a stamp of one size and bandset shows of its arc, on the pixels that are good."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import OUTSIDE_MASK_BIT
from halo_core.errors import ConventionError
from halo_core.flags import Flag, for_band
from halo_core.lensing import snr_aperture, snr_matched, snr_peak_pixel
from halo_core.stages.hosts import PSF_FROM_BRICK, Host
from halo_core.survey.coadds import crop_start
from halo_core.survey.maskbits import good_pixels, wise_pixels

Metrics = dict[str, float | int | None]


def crop(stamp: NDArray[Any], size_pix: int) -> NDArray[Any]:
    """Return the exact crop of the last two axes that a smaller stamp of the same target is."""
    start = crop_start(stamp.shape[-1], size_pix)
    return stamp[..., start : start + size_pix, start : start + size_pix]


def good_in_view(host: Host, band: str, size_pix: int) -> NDArray[np.bool_]:
    """Return the good pixels of one band of a view; the host's planes of that band and its mask must be there."""
    if host.maskbits is None or host.bits is None:
        raise ConventionError(f"host {host.host_id}: good pixels asked for without a maskbits plane; the host's flags say it is lost")
    mask, invvar = crop(host.maskbits, size_pix), crop(host.invvar[band], size_pix)
    return np.asarray(good_pixels(mask, invvar, band, host.bits) & ((mask & OUTSIDE_MASK_BIT) == 0))


def judge_view(host: Host, bands: Sequence[str], size_pix: int) -> Flag:
    """Return every flag that the pixels and PSFs of one view raise, in the bands of the view and no other.

    Planes that were lost are judged by `halo_core.stages.hosts.plane_flags`.
    """
    flags = Flag(0) if host.fits(size_pix) else Flag.OFF_IMAGE
    for band in bands:
        if band not in host.psf_fwhm_arcsec:
            flags |= for_band("PSF_UNUSABLE", band)
        elif host.psf_source[band] == PSF_FROM_BRICK:
            flags |= Flag.PSF_FROM_BRICK
    if host.maskbits is None or host.bits is None:
        return flags
    if np.any(wise_pixels(crop(host.maskbits, size_pix), host.bits)):
        flags |= Flag.ON_WISE_MASK
    for band in bands:
        if band in host.image and band in host.invvar:
            flags |= _judge_band(host, band, size_pix)
    return flags


def _judge_band(host: Host, band: str, size_pix: int) -> Flag:
    """Return the flags that one band's pixels raise."""
    flags = Flag(0)
    image, invvar = crop(host.image[band], size_pix), crop(host.invvar[band], size_pix)
    if np.any(~np.isfinite(invvar)) or np.any(~np.isfinite(image) & (invvar > 0)):
        flags |= Flag.PIXEL_NAN
    good = good_in_view(host, band, size_pix)
    if not good.any():
        flags |= for_band("NO_GOOD_PIXEL", band)
    if band == "r" and not good.all():
        flags |= Flag.HAS_BAD_PIXELS
    return flags


def mask_metrics(host: Host, bands: Sequence[str], size_pix: int) -> Metrics:
    """Return the masked shares of an evaluated view."""
    bad = {band: float(np.mean(~good_in_view(host, band, size_pix))) for band in bands}
    if host.maskbits is None or host.bits is None:
        raise ConventionError(f"host {host.host_id}: masked shares asked for without a maskbits plane")
    return {
        "bad_pixel_frac": bad.get("r"),
        "bad_pixel_frac_g": bad.get("g"),
        "bad_pixel_frac_z": bad.get("z"),
        "wise_brightmask_frac": float(np.mean(wise_pixels(crop(host.maskbits, size_pix), host.bits))),
    }


def arc_metrics(
    arc: Mapping[str, NDArray[np.float32]], host: Host, bands: Sequence[str], *, size_pix: int, lensed_flux_nmgy: Mapping[str, float]
) -> Metrics:
    """Return flux and signal-to-noise of an evaluated view's arc.

    Parameters
    ----------
    arc : mapping of str to ndarray, shape (size, size)
        Noiseless arc by band at the stored size, as stored (float32), so that the stored arc gives the recorded numbers.
    host : Host
        Gives invvar and mask.
    bands : sequence of str
        Bands of the view.
    size_pix : int
        Side of the view [pix].
    lensed_flux_nmgy : mapping of str to float
        Magnification times unlensed flux, for the share that falls inside.
    """
    metrics: Metrics = {}
    square_sum = 0.0
    for band in bands:
        light = crop(arc[band], size_pix).astype(np.float64)
        invvar = crop(host.invvar[band], size_pix).astype(np.float64)
        good = good_in_view(host, band, size_pix)
        total = float(light.sum())
        matched = float(snr_matched(light, invvar, good))
        square_sum += matched * matched
        metrics[f"total_injected_flux_{band}_nmgy"] = total
        metrics[f"flux_frac_inside_{band}"] = total / lensed_flux_nmgy[band]
        metrics[f"snr_matched_{band}"] = matched
        metrics[f"snr_peak_pixel_{band}"] = float(snr_peak_pixel(light, invvar, good))
        metrics[f"snr_aperture_{band}"] = float(snr_aperture(light, invvar, good))
    metrics["snr_matched_all"] = float(np.sqrt(square_sum))
    return metrics
