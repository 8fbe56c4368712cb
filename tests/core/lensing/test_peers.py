"""The renderer against codes that share nothing with it: lenstronomy, and GalSim's own drawing."""

import galsim
import numpy as np
import pytest
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel

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
    e = (1.0 - source.q) / (1.0 + source.q)
    radius = source.reff_arcsec * (1.9992 - 0.3271) / sersic_b_n(1.0)
    arguments = {"amp": 1.0, "R_sersic": radius, "n_sersic": 1.0, "center_x": source.x_arcsec, "center_y": source.y_arcsec}
    arguments |= {"e1": e * np.cos(2 * source.phi_rad), "e2": e * np.sin(2 * source.phi_rad)}
    x, y = np.random.default_rng(4).uniform(-0.4, 0.8, size=(2, 200))
    ratio = sersic_surface_brightness(x, y, source=source, flux_nmgy=1.0) / LightModel(["SERSIC_ELLIPSE"]).surface_brightness(
        x, y, [arguments]
    )
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


def test_unlensed_stamp_equals_galsim_sersic():
    """No part of our quadrature in the reference: GalSim's Sersic profile through the same PSF."""
    source = make_source(x=0.2, y=-0.3, reff=0.4, q=0.6, phi=0.9)
    profile = galsim.Sersic(n=1.0, half_light_radius=0.4, flux=1.0).shear(q=0.6, beta=0.9 * galsim.radians).shift(0.2, -0.3)
    image = galsim.ImageD(64, 64, scale=0.262)
    galsim.Convolve([profile, ROUND_MOFFAT]).drawImage(image=image, method="no_pixel")
    ours = render_arc(make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0), source, [ROUND_MOFFAT], size_pix=64)[0]
    assert residual(ours, image.array) < 2e-3
    assert ours.sum() == pytest.approx(image.array.sum(), rel=1e-3)
