"""Laws of the arc's shot noise."""

import numpy as np
import pytest

from halo_core.lensing import electrons_per_nmgy, shot_noise

ID = "0123456789abcdef01234567"


def _arc(size=64):
    y, x = np.indices((size, size)) - size // 2
    return 0.5 * np.exp(-(x**2 + y**2) / 50.0)


def test_infinite_gain_is_noiseless_bit_for_bit():
    invvar = np.full((64, 64), 123.456)
    noise, updated = shot_noise(_arc(), invvar, electrons_per_nmgy=np.inf, physical_id=ID, band="r")
    np.testing.assert_array_equal(_arc() + noise, _arc())
    np.testing.assert_array_equal(updated, invvar)
    assert updated is not invvar


def test_noise_has_the_mean_and_variance_of_poisson_counts():
    """A million draws: the mean of the standardised noise is within 5 sigma of 0, its variance within 5 sigma of 1."""
    flux, gain = 0.02, 2000.0
    noise, _ = shot_noise(np.full((1000, 1000), flux), np.ones((1000, 1000)), electrons_per_nmgy=gain, physical_id=ID, band="g")
    standard = noise / np.sqrt(flux / gain)
    assert abs(standard.mean()) < 5.0 / 1000.0
    assert abs(standard.var() - 1.0) < 5.0 * np.sqrt(2.0 + 1.0 / 40.0) / 1000.0


def test_variance_of_the_arc_is_added_to_the_host():
    invvar = np.full((64, 64), 50.0)
    _, updated = shot_noise(_arc(), invvar, electrons_per_nmgy=3000.0, physical_id=ID, band="r")
    np.testing.assert_allclose(1.0 / updated, 1.0 / 50.0 + _arc() / 3000.0, rtol=1e-13)


def test_pixels_without_weight_or_light_stay_untouched():
    arc, invvar = _arc(), np.full((64, 64), 50.0)
    invvar[10:20] = 0.0
    arc[:, 40:] = -1e-9
    noise, updated = shot_noise(arc, invvar, electrons_per_nmgy=3000.0, physical_id=ID, band="r")
    assert np.all(noise[10:20] == 0.0)
    assert np.all(updated[10:20] == 0.0)
    assert np.all(noise[:, 40:] == 0.0)
    np.testing.assert_array_equal(updated[30:, 40:], 50.0)


def test_masking_a_pixel_changes_no_other():
    invvar = np.full((64, 64), 50.0)
    masked = invvar.copy()
    masked[32, 30] = 0.0
    one, _ = shot_noise(_arc(), invvar, electrons_per_nmgy=3000.0, physical_id=ID, band="r")
    other, _ = shot_noise(_arc(), masked, electrons_per_nmgy=3000.0, physical_id=ID, band="r")
    other[32, 30] = one[32, 30]
    np.testing.assert_array_equal(one, other)


def test_stream_depends_on_injection_and_band_and_on_nothing_else():
    def draw(**changes):
        values = {"electrons_per_nmgy": 3000.0, "physical_id": ID, "band": "r"} | changes
        return shot_noise(_arc(), np.ones((64, 64)), **values)[0]

    np.testing.assert_array_equal(draw(), draw())
    assert not np.array_equal(draw(), draw(band="g"))
    assert not np.array_equal(draw(), draw(physical_id=ID[::-1]))


@pytest.mark.parametrize(("band", "sky"), [("g", 0.135), ("r", 0.31), ("z", 2.5)])
def test_gain_follows_from_sky_and_median_weight_of_good_pixels(band, sky):
    invvar = np.full((10, 10), 400.0)
    invvar[0] = 1e9
    good = np.ones((10, 10), dtype=bool)
    good[0] = False
    assert electrons_per_nmgy(invvar, good, band=band) == pytest.approx(sky * 400.0, rel=1e-14)


def test_gain_is_not_a_number_without_a_good_pixel():
    assert np.isnan(electrons_per_nmgy(np.ones((4, 4)), np.zeros((4, 4), dtype=bool), band="r"))


def test_gain_of_a_band_without_sky_is_refused():
    with pytest.raises(ValueError, match="no sky brightness"):
        electrons_per_nmgy(np.ones((4, 4)), np.ones((4, 4), dtype=bool), band="i")


@pytest.mark.parametrize("gain", [0.0, -1.0, np.nan])
def test_gain_must_be_positive(gain):
    with pytest.raises(ValueError, match="not positive"):
        shot_noise(_arc(), np.ones((64, 64)), electrons_per_nmgy=gain, physical_id=ID, band="r")
