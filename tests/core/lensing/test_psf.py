"""Laws of the point spread functions."""

import galsim
import numpy as np
import pytest

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.errors import ConventionError
from halo_core.lensing import nea_arcsec2, profile_fwhm_arcsec, psf_from_size
from halo_core.lensing.psf import OUTSIDE_FLUX, band_limit, reach_arcsec, transfer_function


@pytest.mark.parametrize("model", ["moffat", "gaussian"])
@pytest.mark.parametrize("size", [0.6, 1.3, 3.5])
def test_noise_equivalent_area_of_the_drawn_psf_is_that_of_its_psfsize(model, size):
    scale = 0.05
    image = psf_from_size(size, model=model).drawImage(scale=scale, nx=1600, ny=1600, method="no_pixel").array
    measured = image.sum() ** 2 / np.sum(image.astype(float) ** 2) * scale**2
    assert measured == pytest.approx(nea_arcsec2(size), rel=2e-3)


def test_moffat_profile_is_narrower_than_its_psfsize_by_the_known_ratio():
    assert 1.3 / profile_fwhm_arcsec(1.3, model="moffat") == pytest.approx(1.232531, rel=1e-6)
    assert psf_from_size(1.3, model="moffat").fwhm == pytest.approx(profile_fwhm_arcsec(1.3, model="moffat"), rel=1e-12)
    assert profile_fwhm_arcsec(1.3, model="gaussian") == 1.3


def test_golden_areas():
    """Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy: areas [pix^2] of profiles of FWHM 1.3 arcsec."""
    assert nea_arcsec2(1.3) / PIXEL_SCALE_ARCSEC**2 == pytest.approx(55.7928489 / 1.0, rel=3e-8)
    ratio = 1.3 / profile_fwhm_arcsec(1.3, model="moffat")
    assert nea_arcsec2(1.3 * ratio) / PIXEL_SCALE_ARCSEC**2 == pytest.approx(84.75670115, rel=1e-8)


@pytest.mark.parametrize("size", [0.0, 0.59, 3.6, -1.0, np.nan, np.inf])
def test_unbelievable_size_is_refused(size):
    with pytest.raises(ConventionError, match="flag the band"):
        psf_from_size(size, model="moffat")


def test_unknown_model_is_refused():
    with pytest.raises(ConventionError, match="choose moffat or gaussian"):
        psf_from_size(1.3, model="airy")


@pytest.mark.parametrize("psf", [galsim.Gaussian(fwhm=1.2), galsim.Moffat(beta=3.5, fwhm=1.0), galsim.Moffat(beta=2.5, fwhm=1.0)])
def test_reach_leaves_the_stated_flux_outside(psf):
    reach = reach_arcsec(psf)
    scale = reach / 400.0
    image = psf.drawImage(scale=scale, nx=1001, ny=1001, method="no_pixel").array.astype(float)
    y, x = np.indices(image.shape) - 500
    assert 1.0 - image[np.hypot(x, y) * scale < reach].sum() == pytest.approx(OUTSIDE_FLUX, rel=0.15)


def test_truncated_moffat_reaches_no_farther_than_its_edge():
    assert reach_arcsec(galsim.Moffat(beta=3.5, fwhm=1.0, trunc=3.0)) == 3.0


@pytest.mark.parametrize("psf", [galsim.Gaussian(fwhm=1.2, flux=0.9), galsim.Moffat(beta=3.5, fwhm=1.0)])
def test_closed_transform_equals_galsim(psf):
    """GalSim draws k images through tables of its own accuracy, kvalue_accuracy = 1e-5."""
    k = np.linspace(0.0, band_limit(psf), 33)
    closed = transfer_function(psf, k)
    general = transfer_function(psf.rotate(30 * galsim.degrees), k)
    np.testing.assert_allclose(closed, general[32:].real, atol=2e-5)
    assert closed[0, 0] == pytest.approx(psf.flux, rel=1e-14)
    assert abs(closed[0, -1]) < 2e-5


def test_general_transform_of_a_shifted_psf_has_its_phase():
    k = np.linspace(0.0, 6.0, 17)
    shifted = transfer_function(galsim.Gaussian(fwhm=1.1).shift(0.2, -0.3), k)
    signed = np.concatenate([-k[:0:-1], k])
    sigma = galsim.Gaussian(fwhm=1.1).sigma
    want = np.exp(-0.5 * sigma**2 * (k**2 + signed[:, None] ** 2) - 1j * (0.2 * k - 0.3 * signed[:, None]))
    np.testing.assert_allclose(shifted, want, atol=2e-6)
