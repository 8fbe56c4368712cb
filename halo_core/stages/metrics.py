"""Metrics of one view: what a stamp of one size and bandset shows of its arc, on the pixels that are good."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConventionError
from halo_core.flags import Flag, for_band
from halo_core.lensing import Weights, snr_of_pixels, weights_of
from halo_core.stages.hosts import PSF_FROM_BRICK, Host
from halo_core.survey.coadds import crop_start

Metrics = dict[str, float | int | None]


def crop(stamp: NDArray[Any], size_pix: int) -> NDArray[Any]:
    """Return the exact crop of the last two axes that a smaller stamp of the same target is."""
    start = crop_start(stamp.shape[-1], size_pix)
    return stamp[..., start : start + size_pix, start : start + size_pix]


def good_in_view(host: Host, band: str, size_pix: int) -> NDArray[np.bool_]:
    """Return the good pixels of one band of a view; the host's planes of that band and its mask must be there."""
    if host.on_wise_mask is None:
        raise ConventionError(f"host {host.host_id}: good pixels asked for without a maskbits plane; the host's flags say it is lost")
    return crop(host.good[band], size_pix)


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
    if host.on_wise_mask is None:
        return flags
    if np.any(crop(host.on_wise_mask, size_pix)):
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
    if host.on_wise_mask is None:
        raise ConventionError(f"host {host.host_id}: masked shares asked for without a maskbits plane")
    return {
        "bad_pixel_frac": bad.get("r"),
        "bad_pixel_frac_g": bad.get("g"),
        "bad_pixel_frac_z": bad.get("z"),
        "wise_brightmask_frac": float(np.mean(crop(host.on_wise_mask, size_pix))),
    }


class GoodPixels(NamedTuple):
    """The good pixels of one band of a view, for every arc that is measured there: indices in the flattened view, and their weights."""

    places: NDArray[np.intp]
    weights: Weights


def good_pixels_of(host: Host, band: str, size_pix: int, invvar: NDArray[np.float32]) -> GoodPixels:
    """Return the good pixels of one band of a view, weighed by an inverse variance of the stored size: the host's, or that with noise."""
    places = np.flatnonzero(good_in_view(host, band, size_pix))
    weight = crop(invvar, size_pix).reshape(-1)[places].astype(np.float64)
    return GoodPixels(places, weights_of(weight))


def arc_metrics(
    arc: Mapping[str, NDArray[np.float32]], good: Mapping[str, GoodPixels], *, size_pix: int, lensed_flux_nmgy: Mapping[str, float]
) -> Metrics:
    """Return flux and signal-to-noise of an evaluated view's arc.

    Parameters
    ----------
    arc : mapping of str to ndarray, shape (size, size)
        Noiseless arc by band at the stored size, as stored (float32), so that the stored arc gives the recorded numbers.
    good : mapping of str to GoodPixels
        Good pixels of the view, for each of its bands; at least one pixel.
    size_pix : int
        Side of the view [pix].
    lensed_flux_nmgy : mapping of str to float
        Magnification times unlensed flux, for the shares that fall inside and on good pixels.
    """
    metrics: Metrics = {}
    square_sum = 0.0
    for band, pixels in good.items():
        stamp = crop(arc[band], size_pix).astype(np.float64)
        light = stamp.reshape(-1)[pixels.places]
        snr = snr_of_pixels(light, pixels.weights)
        total = float(stamp.sum())
        square_sum += snr.matched * snr.matched
        metrics[f"total_injected_flux_{band}_nmgy"] = total
        metrics[f"flux_frac_inside_{band}"] = total / lensed_flux_nmgy[band]
        metrics[f"flux_frac_good_{band}"] = float(light.sum()) / lensed_flux_nmgy[band]
        metrics[f"snr_matched_{band}"] = snr.matched
        metrics[f"snr_peak_pixel_{band}"] = snr.peak_pixel
        metrics[f"snr_aperture_{band}"] = snr.aperture
    metrics["snr_matched_all"] = float(np.sqrt(square_sum))
    return metrics
