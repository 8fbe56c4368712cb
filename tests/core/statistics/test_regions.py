"""Scatter between regions: golden intra-class correlation, removal of binomial noise."""

import numpy as np
import pytest

from halo_core.statistics import between_region_scatter


def test_intra_class_correlation_matches_golden_number():
    """Golden number made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy."""
    assert between_region_scatter([12, 18, 9, 15, 20, 6, 14, 16], [20] * 8).icc == pytest.approx(0.2010861495, abs=1e-9)


def test_binomial_noise_is_removed():
    rng = np.random.default_rng(11)
    n = np.full(4000, 10)
    pure_noise = between_region_scatter(rng.binomial(n, 0.5), n)
    assert pure_noise.std_raw == pytest.approx(np.sqrt(0.25 / 10), rel=0.05)
    assert pure_noise.std_between < 0.03
    spread = between_region_scatter(rng.binomial(n, rng.choice([0.3, 0.7], 4000)), n)
    assert spread.std_between == pytest.approx(0.2, abs=0.01)


def test_equal_regions_have_no_scatter_and_it_is_never_negative():
    found = between_region_scatter([5, 5, 5, 5], [10] * 4)
    assert (found.std_between, found.std_raw) == (0.0, 0.0)
    assert found.icc < 0


def test_regions_without_a_trial_do_not_count():
    assert between_region_scatter([3, 0, 7], [10, 0, 10]) == between_region_scatter([3, 7], [10, 10])


def test_too_few_regions_or_trials_are_null():
    assert np.isnan(between_region_scatter([3], [10]).std_raw)
    single_trials = between_region_scatter([1, 0, 1], [1, 1, 1])
    assert np.isnan(single_trials.std_between)
    assert np.isfinite(single_trials.std_raw)
    assert np.isnan(between_region_scatter([0, 0], [4, 4]).icc)
