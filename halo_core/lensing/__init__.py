"""Physics of a rendered arc: deflectors, sources, PSFs, the renderer, shot noise and signal to noise."""

from halo_core.lensing.deflectors import Lens, convergence, ray_shoot, shear_deflection, sie_deflection, signed_magnification
from halo_core.lensing.noise import electrons_per_nmgy, shot_noise
from halo_core.lensing.psf import PsfModel, nea_arcsec2, profile_fwhm_arcsec, psf_from_size
from halo_core.lensing.rendering import RenderedArc, Renderer, render, render_arc
from halo_core.lensing.snr import Weights, snr_aperture, snr_matched, snr_of_pixels, snr_peak_pixel, weights_of
from halo_core.lensing.sources import Source, sersic_b_n, sersic_surface_brightness

__all__ = [
    "Lens",
    "PsfModel",
    "RenderedArc",
    "Renderer",
    "Source",
    "Weights",
    "convergence",
    "electrons_per_nmgy",
    "nea_arcsec2",
    "profile_fwhm_arcsec",
    "psf_from_size",
    "ray_shoot",
    "render",
    "render_arc",
    "sersic_b_n",
    "sersic_surface_brightness",
    "shear_deflection",
    "shot_noise",
    "sie_deflection",
    "signed_magnification",
    "snr_aperture",
    "snr_matched",
    "snr_of_pixels",
    "snr_peak_pixel",
    "weights_of",
]
