"""Photometric conventions: magnitudes, extinction, depths, shapes."""

import galsim
import numpy as np
import pytest

from halo_core.survey.photometry import (
    axis_ratio_from_ellipticity,
    ellipticity_from_axis_ratio,
    extinction_factor,
    extinction_mag,
    mag_to_nmgy,
    nmgy_to_mag,
    pixel_shape,
    psf_nea_pix,
    psfdepth_ivar_to_mag,
    psfdepth_mag_to_ivar,
    psfsize_from_nea,
    tractor_shape,
)


def test_magnitudes_of_round_fluxes() -> None:
    # Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy.
    for mag, flux in ((17.5, 100.0), (20.0, 10.0), (22.5, 1.0), (24.0, 0.25118864315095796), (25.0, 0.1)):
        assert float(mag_to_nmgy(mag)) == pytest.approx(flux, rel=1e-14)
        assert float(nmgy_to_mag(flux)) == pytest.approx(mag, abs=1e-13)


def test_fluxes_without_a_magnitude_are_nan_without_a_warning() -> None:
    assert np.isnan(nmgy_to_mag([0.0, -1.0, np.nan])).all()
    assert np.isnan(psfdepth_ivar_to_mag([0.0, -3.0])).all()


def test_extinction_uses_the_coefficients_of_the_survey() -> None:
    assert float(extinction_mag("r", 0.1)) == pytest.approx(0.2165)
    for band, factor in (("g", 10 ** (-0.4 * 0.3214)), ("z", 10 ** (-0.4 * 0.1211)), ("w1", 10 ** (-0.4 * 0.0184))):
        assert float(extinction_factor(band, 0.1)) == pytest.approx(factor, rel=1e-12)
    assert float(extinction_factor("g", 0.0)) == 1.0
    with pytest.raises(ValueError, match="'u'"):
        extinction_mag("u", 0.1)


def test_psfdepth_as_inverse_variance_and_as_magnitude_are_the_same_depth() -> None:
    assert float(psfdepth_ivar_to_mag(2500.0)) == pytest.approx(25.0, abs=1e-12)  # sigma 0.02 nmgy, five of them 0.1 nmgy
    assert float(psfdepth_mag_to_ivar(25.0)) == pytest.approx(2500.0, rel=1e-12)
    assert float(psfdepth_ivar_to_mag(254.0)) == pytest.approx(23.76, abs=0.005)


def test_noise_equivalent_area_is_that_of_the_gaussian() -> None:
    # Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy.
    assert float(psf_nea_pix(1.3)) == pytest.approx(55.7928489, rel=1e-8)
    assert float(psfsize_from_nea(psf_nea_pix(0.9))) == pytest.approx(0.9, rel=1e-14)
    psf = galsim.Gaussian(fwhm=1.3).drawImage(nx=101, ny=101, scale=0.262, method="no_pixel").array.astype(float)
    assert 1.0 / np.sum((psf / psf.sum()) ** 2) == pytest.approx(float(psf_nea_pix(1.3)), rel=1e-4)
    sigma_pix = float(mag_to_nmgy(24.0)) / 5.0 / np.sqrt(psf_nea_pix(1.3))
    assert sigma_pix == pytest.approx(0.00672575009874, rel=1e-9)


def test_axis_ratio_and_ellipticity_are_inverse() -> None:
    assert float(axis_ratio_from_ellipticity(0.2)) == pytest.approx(2.0 / 3.0)
    q = np.linspace(0.05, 1.0, 20)
    assert np.allclose(axis_ratio_from_ellipticity(ellipticity_from_axis_ratio(q)), q)


def test_both_tractor_components_change_sign_in_pixels() -> None:
    q, phi = pixel_shape([0.3, 0.0, -0.3, 0.0], [0.0, 0.3, 0.0, -0.3])
    assert np.allclose(q, 0.7 / 1.3)
    # e1 > 0: elongated along Dec, so along y. e2 > 0: from north towards east, and east is at low x.
    assert np.allclose(phi, [np.pi / 2, 3 * np.pi / 4, 0.0, np.pi / 4])


def test_negating_only_one_component_would_mirror_the_galaxy() -> None:
    _, phi = pixel_shape(0.2, 0.1)
    one_sign = [0.5 * np.arctan2(0.1, -0.2) % np.pi, 0.5 * np.arctan2(-0.1, 0.2) % np.pi]
    assert all(abs(float(phi) - wrong) > 0.2 for wrong in one_sign)
    position_angle = 0.5 * np.arctan2(0.1, 0.2)
    assert float(phi) == pytest.approx(position_angle + np.pi / 2)


def test_drawn_galaxy_has_the_shape_of_its_tractor_components() -> None:
    # A direction at position angle PA has pixel components (-sin PA, cos PA): east is left. The drawn moments must lie along it.
    e1, e2 = 0.15, 0.25
    q, phi = pixel_shape(e1, e2)
    galaxy = galsim.Gaussian(sigma=5.0).shear(q=float(q), beta=float(phi) * galsim.radians)
    image = galaxy.drawImage(nx=121, ny=121, scale=1.0, method="no_pixel").array
    y, x = np.mgrid[-60:61, -60:61]
    qxx, qyy, qxy = (np.sum(image * term) / image.sum() for term in (x * x, y * y, x * y))
    pa = 0.5 * np.arctan2(e2, e1)
    axis = np.array([-np.sin(pa), np.cos(pa)])
    moments = np.array([[qxx, qxy], [qxy, qyy]])
    assert axis @ moments @ axis == pytest.approx(np.linalg.eigvalsh(moments)[-1], rel=1e-3)


def test_shapes_survive_the_round_trip() -> None:
    rng = np.random.default_rng(3)
    q, phi = rng.uniform(0.2, 0.99, 50), rng.uniform(0.0, np.pi, 50)
    back_q, back_phi = pixel_shape(*tractor_shape(q, phi))
    assert np.allclose(back_q, q)
    assert np.allclose(np.exp(2j * back_phi), np.exp(2j * phi))
