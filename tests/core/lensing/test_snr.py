"""Laws of the three signal-to-noise ratios."""

import numpy as np
import pytest

from halo_core.lensing import nea_arcsec2, psf_from_size, snr_aperture, snr_matched, snr_peak_pixel

ARC = np.array([[1.0, 2.0], [3.0, 0.1]])
INVVAR = np.array([[4.0, 1.0], [0.25, 1.0]])
ALL = np.ones((2, 2), dtype=bool)


def test_matched_is_the_root_of_the_weighted_sum_of_squares():
    assert snr_matched(ARC, INVVAR, ALL) == pytest.approx(np.sqrt(4.0 + 4.0 + 2.25 + 0.01))


def test_peak_pixel_is_the_best_single_pixel_not_the_brightest():
    assert snr_peak_pixel(ARC, INVVAR, ALL) == 2.0
    assert snr_peak_pixel(ARC * [[0.5, 0.5], [1.0, 1.0]], INVVAR, ALL) == 1.5


def test_aperture_counts_pixels_above_one_sigma():
    assert snr_aperture(ARC, INVVAR, ALL) == pytest.approx(6.0 / np.sqrt(0.25 + 1.0 + 4.0))
    assert snr_aperture(0.01 * ARC, INVVAR, ALL) == 0.0


@pytest.mark.parametrize("measure", [snr_matched, snr_peak_pixel, snr_aperture])
def test_only_good_pixels_with_weight_count(measure):
    good = np.array([[True, True], [False, True]])
    invvar = np.array([[4.0, 0.0], [0.25, 1.0]])
    use = np.array([[True, False], [False, True]])
    assert measure(ARC, invvar, good) == measure(ARC[use], invvar[use], np.ones(2, dtype=bool))


@pytest.mark.parametrize("measure", [snr_matched, snr_peak_pixel, snr_aperture])
def test_no_good_pixel_is_not_measured_rather_than_zero(measure):
    assert np.isnan(measure(ARC, INVVAR, ~ALL))
    assert np.isnan(measure(ARC, np.zeros((2, 2)), ALL))


def test_matched_over_bands_adds_in_quadrature():
    arcs, weights, good = np.stack([ARC, 2 * ARC]), np.stack([INVVAR, INVVAR]), np.stack([ALL, ALL])
    each = [snr_matched(a, w, g) for a, w, g in zip(arcs, weights, good, strict=True)]
    assert snr_matched(arcs, weights, good) == pytest.approx(np.hypot(*each))


def test_matched_of_a_point_source_is_flux_over_root_of_the_noise_equivalent_area():
    psf = psf_from_size(1.3, model="gaussian").drawImage(nx=65, ny=65, scale=0.262, method="no_pixel").array
    invvar = np.full((65, 65), 100.0)
    expected = 5.0 * 10.0 / np.sqrt(nea_arcsec2(1.3) / 0.262**2)
    assert snr_matched(5.0 * psf, invvar, np.ones((65, 65), dtype=bool)) == pytest.approx(expected, rel=1e-3)


def test_shapes_must_agree():
    with pytest.raises(ValueError, match="differ in shape"):
        snr_matched(ARC, INVVAR[0], ALL)
