"""A delta function through the renderer is the PSF as GalSim draws it, on the same stamp."""

import galsim
import numpy as np
import pytest

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import psf_from_size, render, render_arc
from tests.core.lensing.lensing_scenes import make_lens, make_source, moments, pixels, residual

PLACES = [(0.0, 0.0), (0.131, -0.047), (-0.2, 0.11), (0.131, 0.131)]


def _unlensed(x, y, reff=1e-3):
    return make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0), make_source(x=x, y=y, reff=reff, q=1.0)


def _image_psf(fwhm):
    drawn = galsim.Moffat(beta=3.5, fwhm=fwhm).shear(g1=0.05).drawImage(nx=63, ny=63, scale=0.262, method="no_pixel")
    return galsim.InterpolatedImage(drawn, flux=1.0)


PSFS = {
    "moffat_0.6": psf_from_size(0.6, model="moffat"),
    "moffat_1.3": psf_from_size(1.3, model="moffat"),
    "moffat_3.5": psf_from_size(3.5, model="moffat"),
    "gaussian_0.6": psf_from_size(0.6, model="gaussian"),
    "gaussian_2.0": psf_from_size(2.0, model="gaussian"),
    "moffat_beta_2.5": galsim.Moffat(beta=2.5, fwhm=0.9),
    "gaussian_3.5": psf_from_size(3.5, model="gaussian"),
    "moffat_beta_4.765": galsim.Moffat(beta=4.765, fwhm=0.6),
    "sum": 0.8 * galsim.Gaussian(fwhm=1.0) + 0.2 * galsim.Gaussian(fwhm=2.2),
    "sum_shifted": 0.7 * galsim.Moffat(beta=3.5, fwhm=0.8).shear(g1=0.1) + 0.3 * galsim.Gaussian(fwhm=1.5).shift(0.15, -0.1),
    "image": _image_psf(1.1),
    "image_0.6": _image_psf(0.6),
}


def _drawn(psf, x, y, size):
    """The PSF drawn in real space by GalSim; an image PSF can only be drawn through its own transform or interpolant."""
    image = galsim.ImageD(size, size, scale=PIXEL_SCALE_ARCSEC)
    strict = psf.withGSParams(folding_threshold=1e-4, maxk_threshold=1e-5, kvalue_accuracy=1e-7)
    strict.shift(x, y).drawImage(image=image, method="no_pixel")
    return image.array


@pytest.mark.parametrize("size", [48, 64, 65, 96, 101, 128])
@pytest.mark.parametrize(("x", "y"), PLACES)
@pytest.mark.parametrize("name", PSFS)
def test_delta_function_is_the_psf(name, x, y, size):
    psf = PSFS[name]
    lens, source = _unlensed(x, y)
    flux, place, second = moments(render_arc(lens, source, [psf], size_pix=size)[0])
    want_flux, want_place, want_second = moments(_drawn(psf, x, y, size))
    assert flux == pytest.approx(want_flux, abs=1e-4)
    np.testing.assert_allclose(place, want_place, atol=1e-3)
    assert second == pytest.approx(want_second, rel=1e-2)


@pytest.mark.parametrize("name", ["moffat_1.3", "gaussian_2.0", "sum"])
def test_delta_function_pixel_by_pixel(name):
    lens, source = _unlensed(0.1, -0.2)
    assert residual(render_arc(lens, source, [PSFS[name]], size_pix=64)[0], _drawn(PSFS[name], 0.1, -0.2, 64)) < 1e-3


@pytest.mark.parametrize(("x", "y"), np.random.default_rng(6).uniform(-0.131, 0.131, size=(12, 2)))
def test_delta_function_is_the_psf_anywhere_inside_a_pixel(x, y):
    for name in ("moffat_0.6", "gaussian_0.6", "sum_shifted"):
        test_delta_function_is_the_psf(name, x, y, 64)


def test_pixel_response_equals_galsim_drawing_with_its_pixel():
    psf = psf_from_size(1.2, model="moffat")
    lens, source = _unlensed(0.05, 0.12)
    image = galsim.ImageD(64, 64, scale=PIXEL_SCALE_ARCSEC)
    psf.shift(0.05, 0.12).drawImage(image=image, method="auto")
    assert residual(render_arc(lens, source, [psf], size_pix=64, pixel_response=True)[0], image.array) < 2e-3


def test_light_outside_the_stamp_does_not_come_back_on_the_other_side():
    psf = psf_from_size(1.3, model="moffat")
    for place in (9.5, 12.0, 25.0):
        lens, source = _unlensed(place, 0.0, reff=0.2)
        arc = render(lens, source, [psf], size_pix=64)
        assert arc.magnification == pytest.approx(1.0, abs=2e-4)
        assert np.abs(arc.image[0, :, :32]).max() < 1e-6
        assert arc.flux_frac_inside[0] < 0.1


def test_flux_of_the_psf_is_kept():
    lens, source = _unlensed(0.0, 0.0)
    one, half = (render_arc(lens, source, [psf_from_size(1.2, model="moffat") * f], size_pix=64).sum() for f in (1.0, 0.5))
    assert half == pytest.approx(0.5 * one, rel=1e-6)


def test_centroid_follows_the_source_by_fractions_of_a_pixel():
    psf = psf_from_size(0.9, model="gaussian")
    for x in np.linspace(-0.13, 0.13, 9):
        lens, source = _unlensed(x, 0.3 * x)
        np.testing.assert_allclose(moments(render_arc(lens, source, [psf], size_pix=64)[0])[1], pixels([x, 0.3 * x]), atol=1e-3)
