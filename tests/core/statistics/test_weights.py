"""Weighted proportions: golden numbers, equal weights, extreme shares."""

import numpy as np
import pytest

from halo_core.statistics import clustered_interval, weighted_interval

# Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy.
RECOVERED = [1, 1, 0, 1, 0, 1, 1, 0]
WEIGHT = [0.5, 1.0, 2.0, 0.25, 1.0, 4.0, 1.0, 0.25]


def test_rows_as_their_own_clusters_match_golden_numbers():
    found = weighted_interval(RECOVERED, WEIGHT, range(8), 0.95)
    assert found.p == pytest.approx(0.675, abs=1e-12)
    assert found.variance == pytest.approx(0.0589953751, abs=1e-10)
    assert found.n_eff == pytest.approx(3.7185118290, abs=1e-9)
    assert found.kish == pytest.approx(4.278074866310161, abs=1e-12)
    assert "effective 4.28" in found.note
    assert np.isnan(found.lower)


def test_equal_weights_give_the_unweighted_interval():
    k, n = np.array([12, 18, 9, 15, 20, 6, 14, 16]), 20
    recovered = np.concatenate([np.arange(n) < one for one in k])
    found = weighted_interval(recovered, np.full(160, 3.7), np.repeat(np.arange(8), n), 0.95)
    plain = clustered_interval(k, [n] * 8, 0.95)
    assert (found.p, found.n_eff, found.lower, found.upper) == pytest.approx((plain.p, plain.n_eff, plain.lower, plain.upper), rel=1e-12)


def test_scale_of_weights_does_not_matter():
    cluster = np.arange(60) % 12
    rng = np.random.default_rng(3)
    recovered, weight = rng.random(60) < 0.4, rng.uniform(0.2, 3.0, 60)
    one, ten = weighted_interval(recovered, weight, cluster, 0.95), weighted_interval(recovered, 10 * weight, cluster, 0.95)
    assert (one.p, one.variance, one.n_eff, one.lower) == pytest.approx((ten.p, ten.variance, ten.n_eff, ten.lower), rel=1e-12)


def test_effective_number_never_exceeds_kish():
    weight = np.tile([1.0, 5.0], 20)
    recovered = np.repeat([True, False, False, True], 10)
    found = weighted_interval(recovered, weight, np.arange(40) % 10, 0.95)
    assert found.n_eff <= found.kish == pytest.approx(120**2 / (20 * 1 + 20 * 25))


def test_zero_variance_leaves_kish():
    found = weighted_interval([1, 0] * 8, np.ones(16), np.repeat(np.arange(8), 2), 0.95)
    assert found.variance == 0.0
    assert found.n_eff == 16.0


@pytest.mark.parametrize("value", [0, 1])
def test_extreme_share_divides_kish_by_the_borrowed_design_effect(value):
    cluster = np.repeat(np.arange(10), 4)
    found = weighted_interval(np.full(40, value), np.ones(40), cluster, 0.95, borrowed_deff=2.5)
    assert (found.p, found.n_eff) == (value, 16.0)
    assert weighted_interval(np.full(40, value), np.ones(40), cluster, 0.95).n_eff == 10.0


def test_nothing_evaluated_is_null():
    assert np.isnan(weighted_interval([], [], [], 0.95).p)


@pytest.mark.parametrize(
    ("recovered", "weight", "cluster"), [([1, 0], [1.0, 0.0], [0, 1]), ([1], [1.0, 1.0], [0, 1]), ([1, 0], [1.0, 1.0], [0])]
)
def test_wrong_arguments_are_refused(recovered, weight, cluster):
    with pytest.raises(ValueError, match=r"weight"):
        weighted_interval(recovered, weight, cluster, 0.95)
