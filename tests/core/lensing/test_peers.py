"""The renderer against codes that share nothing with it: lenstronomy, and GalSim's own drawing."""

import galsim
import numpy as np
import pytest
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import (
    psf_from_size,
    ray_shoot,
    render,
    render_arc,
    sersic_b_n,
    sersic_surface_brightness,
    sie_deflection,
    signed_magnification,
)
from tests.core.lensing.lensing_scenes import make_lens, make_source, residual

pytestmark = pytest.mark.peer

ROUND_MOFFAT = psf_from_size(1.2, model="moffat")
STRICT = galsim.GSParams(folding_threshold=1e-4, maxk_threshold=1e-5, maximum_fft_size=16384)


def _lenstronomy_lens(lens):
    """The same lens in lenstronomy, whose SIE has the same intermediate-axis radius and e = (1 - q) / (1 + q)."""
    e = (1.0 - lens.q) / (1.0 + lens.q)
    sie = {
        "theta_E": lens.theta_e_arcsec,
        "e1": e * np.cos(2 * lens.phi_rad),
        "e2": e * np.sin(2 * lens.phi_rad),
        "center_x": lens.x_arcsec,
        "center_y": lens.y_arcsec,
    }
    shear = {"gamma1": lens.gamma1, "gamma2": lens.gamma2, "ra_0": lens.x_arcsec, "dec_0": lens.y_arcsec}
    return LensModel(["SIE", "SHEAR"]), [sie, shear]


def _lenstronomy_source(source):
    """The same exponential disc in lenstronomy, of amplitude 1 at its own radius."""
    e = (1.0 - source.q) / (1.0 + source.q)
    radius = source.reff_arcsec * (1.9992 - 0.3271) / sersic_b_n(1.0)
    arguments = {"amp": 1.0, "R_sersic": radius, "n_sersic": 1.0, "center_x": source.x_arcsec, "center_y": source.y_arcsec}
    return LightModel(["SERSIC_ELLIPSE"]), arguments | {"e1": e * np.cos(2 * source.phi_rad), "e2": e * np.sin(2 * source.phi_rad)}


def _lenstronomy_stamp(lens, source, fwhm_arcsec, size, fine=11):
    """The stamp of an exponential disc through a Gaussian PSF and the pixel, supersampled rays and kernel."""
    first = -0.5 * (size - 1) * PIXEL_SCALE_ARCSEC
    frame = {"ra_at_xy_0": first, "dec_at_xy_0": first, "transform_pix2angle": PIXEL_SCALE_ARCSEC * np.eye(2)}
    psf = PSF("GAUSSIAN", fwhm=fwhm_arcsec, pixel_size=PIXEL_SCALE_ARCSEC, truncation=5)
    rays, arguments = _lenstronomy_lens(lens)
    light, shape = _lenstronomy_source(source)
    numerics = {"supersampling_factor": fine, "supersampling_convolution": True}
    model = ImageModel(
        ImageData(np.zeros((size, size)), **frame), psf, lens_model_class=rays, source_model_class=light, kwargs_numerics=numerics
    )
    # its image is brightness times the area of a pixel; its profile is softened at the very centre
    at = (source.x_arcsec + source.reff_arcsec, source.y_arcsec)
    amplitude = sersic_surface_brightness(*at, source=source, flux_nmgy=1.0) / light.surface_brightness(*at, [shape])
    return model.image(arguments, [shape]) * amplitude


@pytest.mark.parametrize("q", [0.4, 0.7, 0.95])
def test_rays_and_magnification_agree_with_lenstronomy(q):
    """lenstronomy softens its SIE by 1e-10; magnifications are compared away from critical curves."""
    lens = make_lens(q=q)
    model, arguments = _lenstronomy_lens(lens)
    x, y = np.random.default_rng(2).uniform(-2.5, 2.5, size=(2, 300))
    np.testing.assert_allclose(ray_shoot(x, y, lens=lens), model.ray_shooting(x, y, arguments), atol=1e-5)
    ours, theirs = signed_magnification(x, y, lens=lens), model.magnification(x, y, arguments)
    calm = np.abs(ours) < 10
    np.testing.assert_allclose(ours[calm], theirs[calm], rtol=1e-3)


def test_brightness_agrees_with_lenstronomy():
    """lenstronomy's b_n is the fit 1.9992 n - 0.3271: with its radius scaled by b(fit) / b(exact) the exponential is the same."""
    source = make_source()
    model, arguments = _lenstronomy_source(source)
    x, y = np.random.default_rng(4).uniform(-0.4, 0.8, size=(2, 200))
    ratio = sersic_surface_brightness(x, y, source=source, flux_nmgy=1.0) / model.surface_brightness(x, y, [arguments])
    np.testing.assert_allclose(ratio, np.median(ratio), rtol=2e-3)


def test_deflection_agrees_with_lenstronomy_for_a_very_flat_lens():
    model, arguments = _lenstronomy_lens(make_lens(q=0.3, gamma1=0.0, gamma2=0.0, x=0.0, y=0.0))
    ours = sie_deflection(0.4, -0.9, theta_e_arcsec=1.1, q=0.3, phi_rad=0.5)
    np.testing.assert_allclose(ours, model.alpha(0.4, -0.9, arguments), rtol=1e-5)


PSFS = {
    "moffat": ROUND_MOFFAT,
    "gaussian": psf_from_size(1.0, model="gaussian"),
    "moffat_beta_2.5": galsim.Moffat(beta=2.5, fwhm=1.1),
    "elliptical": ROUND_MOFFAT.shear(g1=0.08, g2=-0.05),
    "sum": 0.7 * galsim.Gaussian(fwhm=1.0) + 0.3 * galsim.Gaussian(fwhm=2.0).shift(0.1, 0.05),
}


@pytest.mark.parametrize("name", PSFS)
@pytest.mark.parametrize("size", [64, 65])
def test_own_product_agrees_with_galsim_drawing(name, size):
    """GalSim folds at 1e-4 and interpolates the cells, which leaves some 1e-3 of the peak."""
    lens, source = make_lens(), make_source()
    ours, theirs = (render_arc(lens, source, [PSFS[name]], size_pix=size, renderer=renderer)[0] for renderer in ("adaptive", "galsim"))
    assert residual(ours, theirs) < 2e-3
    assert ours.sum() == pytest.approx(theirs.sum(), rel=1e-3)


@pytest.mark.parametrize(("reff", "pixel_response"), [(0.03, False), (0.2, True)])
def test_own_product_agrees_with_galsim_for_small_sources_and_with_the_pixel(reff, pixel_response):
    lens, source = make_lens(), make_source(reff=reff)
    ours, theirs = (
        render(lens, source, [ROUND_MOFFAT], size_pix=64, pixel_response=pixel_response, renderer=renderer)
        for renderer in ("adaptive", "galsim")
    )
    assert ours.magnification == theirs.magnification
    assert residual(ours.image[0], theirs.image[0]) < 2e-3


@pytest.mark.parametrize("theta_e", [0.5, 1.2, 2.5])
@pytest.mark.parametrize("q", [0.4, 0.8])
@pytest.mark.parametrize("reff", [0.1, 0.3])
def test_stamps_agree_with_lenstronomy_over_a_grid(theta_e, q, reff):
    """lenstronomy samples each pixel by 11 x 11 points, which is good to some 1e-4 for sources of 0.1 arcsec."""
    lens, source = make_lens(theta_e=theta_e, q=q, gamma1=0.05), make_source(x=0.15 * theta_e, reff=reff)
    theirs = _lenstronomy_stamp(lens, source, 1.2, 65)
    ours = render_arc(lens, source, [galsim.Gaussian(fwhm=1.2)], size_pix=65, pixel_response=True)[0]
    assert residual(ours, theirs) < 3e-3
    assert ours.sum() == pytest.approx(theirs.sum(), rel=1e-3)


@pytest.mark.parametrize("theta_e", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("q", [0.3, 1.0])
@pytest.mark.parametrize(("reff", "n"), [(0.05, 1.0), (0.3, 0.5), (0.6, 2.5)])
@pytest.mark.parametrize("fwhm", [0.7, 2.5])
def test_own_product_agrees_with_galsim_drawing_over_a_grid(theta_e, q, reff, n, fwhm):
    lens, source, psf = make_lens(theta_e=theta_e, q=q), make_source(reff=reff, n=n), galsim.Moffat(beta=3.5, fwhm=fwhm)
    ours, theirs = (render_arc(lens, source, [psf], size_pix=96, renderer=renderer)[0] for renderer in ("adaptive", "galsim"))
    assert residual(ours, theirs) < 1e-3
    assert ours.sum() == pytest.approx(theirs.sum(), rel=1e-3)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5, 4.0])
@pytest.mark.parametrize(("reff", "q"), [(0.05, 0.4), (0.4, 0.8)])
def test_unlensed_stamps_equal_galsim_sersic_over_a_grid(n, reff, q):
    """No part of our quadrature in the reference: GalSim's Sersic profile through the same PSF."""
    source = make_source(x=0.2, y=-0.3, reff=reff, q=q, phi=0.9, n=n)
    profile = galsim.Sersic(n=n, half_light_radius=reff, flux=1.0).shear(q=q, beta=0.9 * galsim.radians).shift(0.2, -0.3)
    image = galsim.ImageD(64, 64, scale=PIXEL_SCALE_ARCSEC)
    galsim.Convolve([profile, ROUND_MOFFAT], gsparams=STRICT).drawImage(image=image, method="no_pixel")
    ours = render_arc(make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0), source, [ROUND_MOFFAT], size_pix=64)[0]
    assert residual(ours, image.array) < (5e-3 if n <= 1.0 else 2e-2)
    assert ours.sum() == pytest.approx(image.array.sum(), rel=1e-3 if n <= 1.0 else 1e-2)
