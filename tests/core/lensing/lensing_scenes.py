"""Lenses, sources and measures that the tests of the renderer share."""

import json

import numpy as np

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import Lens, Source
from tests.core.lensing.make_truth import TRUTH


def make_lens(theta_e=1.1, q=0.7, phi=0.5, gamma1=0.02, gamma2=-0.03, x=0.07, y=-0.04):
    """A typical quad lens, with any number changed."""
    return Lens(theta_e, q, phi, gamma1, gamma2, x, y)


def make_source(x=0.2, y=0.05, reff=0.2, q=0.7, phi=1.2, n=1.0, flux=(1.0,)):
    """A typical source, with any number changed."""
    return Source(x, y, reff, q, phi, n, flux)


def moments(image):
    """Flux, centroid (x, y) from the middle of the stamp [pix], and mean of the second moments about it [pix^2]."""
    size = image.shape[0]
    axis = np.arange(size) - (size - 1) / 2
    flux = image.sum()
    x, y = (image.sum(axis=0) @ axis) / flux, (image.sum(axis=1) @ axis) / flux
    second = 0.5 * (image.sum(axis=0) @ (axis - x) ** 2 + image.sum(axis=1) @ (axis - y) ** 2) / flux
    return flux, np.array([x, y]), second


def residual(got, want):
    """Largest difference over the peak."""
    return np.abs(got - want).max() / want.max()


def pixels(arcsec):
    """Arcsec in pixels."""
    return np.asarray(arcsec) / PIXEL_SCALE_ARCSEC


def truth_cases():
    """Cases of the converged truth and their images, shape (n_bands, size, size)."""
    with np.load(TRUTH) as data:
        return [(case, data[f"image_{i:02d}"].astype(float)) for i, case in enumerate(json.loads(str(data["cases_json"])))]


def lens_of(case):
    """The lens of a case of the truth."""
    names = ("theta_e_arcsec", "lens_q", "lens_phi_rad", "gamma1", "gamma2", "lens_x_arcsec", "lens_y_arcsec")
    return Lens(*(case[name] for name in names))


def source_of(case):
    """The source of a case of the truth."""
    names = ("src_x_arcsec", "src_y_arcsec", "src_reff_arcsec", "src_q", "src_phi_rad", "src_n_sersic")
    return Source(*(case[name] for name in names), tuple(case["src_flux_nmgy"]))
