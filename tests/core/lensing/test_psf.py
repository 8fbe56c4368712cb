"""Laws of the point spread functions."""

import galsim
import numpy as np
import pytest

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.errors import ConventionError
from halo_core.lensing import nea_arcsec2, profile_fwhm_arcsec, psf_from_size
from halo_core.lensing.fourier import Frame, convolve
from halo_core.lensing.psf import OUTSIDE_FLUX, REACH_MAX_ARCSEC, psf_scales, transfers


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
    reach = psf_scales(psf).reach_arcsec
    scale = reach / 400.0
    image = psf.drawImage(scale=scale, nx=1001, ny=1001, method="no_pixel").array.astype(float)
    y, x = np.indices(image.shape) - 500
    assert 1.0 - image[np.hypot(x, y) * scale < reach].sum() == pytest.approx(OUTSIDE_FLUX, rel=0.15)


def test_truncated_moffat_reaches_no_farther_than_its_edge():
    assert psf_scales(galsim.Moffat(beta=3.5, fwhm=1.0, trunc=3.0)).reach_arcsec == 3.0


STEP, CUTOFF = 0.35, 40


def _transform(psf):
    """The transform the compiled loops multiply by: that of a delta function at the stamp's first pixel, read off its frequencies."""
    size = 2 * CUTOFF + 2
    period_step = 2 * np.pi / (size * PIXEL_SCALE_ARCSEC)
    assert period_step == pytest.approx(STEP, rel=0.2)
    frame = Frame(size, size, 1, 1, CUTOFF, True)
    cell = np.full((1, 1), PIXEL_SCALE_ARCSEC**-2, np.float32)
    middle = size // 2
    image = convolve(cell, 0, 0, frame, transfers([psf], cutoff=CUTOFF, step=period_step), np.ones(1))[0]
    k = np.fft.fftfreq(size, 1.0 / size) * period_step
    phase = np.exp(1j * middle * PIXEL_SCALE_ARCSEC * (k[:, None] + k[None, : middle + 1]))
    return k, np.fft.rfft2(image) * phase


@pytest.mark.parametrize(
    "psf",
    [
        galsim.Gaussian(fwhm=1.2, flux=0.9),
        galsim.Moffat(beta=3.5, fwhm=1.0),
        galsim.Moffat(beta=2.5, fwhm=1.0),
        galsim.Kolmogorov(fwhm=1.1, flux=2.0),
        galsim.Gaussian(fwhm=1.1).shift(0.2, -0.3),
        galsim.Moffat(beta=3.5, fwhm=1.0).shear(g1=0.2, g2=0.1),
    ],
)
def test_stamp_of_a_point_has_the_transform_galsim_states(psf):
    """Closed forms, radial samples and tables alike; the cell is the pixel, so that neither is left in the result."""
    k, got = _transform(psf)
    want = np.array([[psf.kValue(kx, ky) for kx in np.abs(k[: got.shape[1]])] for ky in k])
    inside = (np.abs(np.round(k / k[1])) <= CUTOFF)[:, None] & (np.arange(got.shape[1]) <= CUTOFF)[None, :]
    np.testing.assert_allclose(got[inside], want[inside], atol=2e-5 * psf.flux)


def test_far_wings_do_not_ask_for_a_frame_of_any_size():
    assert psf_scales(galsim.Airy(lam_over_diam=0.7)).reach_arcsec == REACH_MAX_ARCSEC


@pytest.mark.parametrize("fwhm", [0.6, 0.9, 1.2])
@pytest.mark.parametrize("profile", [galsim.Gaussian, lambda fwhm: galsim.Moffat(beta=3.5, fwhm=fwhm), galsim.Kolmogorov])
def test_width_of_any_psf_is_near_its_fwhm_where_it_decides_the_cells(profile, fwhm):
    assert psf_scales(profile(fwhm=fwhm).shear(g1=1e-6)).width_arcsec == pytest.approx(fwhm, rel=0.15)


def test_a_drawn_psf_is_followed_beyond_the_band_of_its_pixels():
    """The interpolant of an image has replicas beyond pi over its pixel, which GalSim's maxk does not tell."""
    drawn = galsim.Moffat(beta=3.5, fwhm=0.7).drawImage(nx=63, ny=63, scale=PIXEL_SCALE_ARCSEC, method="no_pixel")
    assert psf_scales(galsim.InterpolatedImage(drawn)).band_limit == pytest.approx(5.0 * np.pi / PIXEL_SCALE_ARCSEC, rel=0.01)
