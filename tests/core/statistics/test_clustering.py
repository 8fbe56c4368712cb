"""Pooled proportions: golden numbers, rules for few clusters and extreme shares, coverage."""

import numpy as np
import pytest

from halo_core.statistics import clustered_interval, wilson_interval
from halo_core.statistics.clustering import ratio_pools

# Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy.
EQUAL_K = [12, 18, 9, 15, 20, 6, 14, 16]
UNEQUAL_K = [12, 40, 9, 25, 50, 6, 22, 15]
UNEQUAL_N = [30, 80, 25, 60, 90, 20, 40, 45]


def test_equal_clusters_match_golden_numbers():
    found = clustered_interval(EQUAL_K, [20] * 8, 0.95)
    assert found.p == 0.6875
    assert found.variance == pytest.approx(0.006674107142857143, abs=1e-12)
    assert found.deff == pytest.approx(4.970389610389611, abs=1e-9)
    assert found.n_eff == pytest.approx(32.19063545150502, abs=1e-9)
    assert found.n_star == pytest.approx(22.115738854997193, abs=1e-9)
    assert (found.lower, found.upper) == pytest.approx((0.4792933350549535, 0.8402096472870364), abs=1e-9)
    assert found.note == ""


def test_unequal_clusters_match_golden_numbers():
    found = clustered_interval(UNEQUAL_K, UNEQUAL_N, 0.95)
    assert found.p == pytest.approx(0.45897435897435895, abs=1e-12)
    assert found.variance == pytest.approx(0.0012550044215168944, abs=1e-12)
    assert found.deff == pytest.approx(1.9710770017728998, abs=1e-9)
    assert found.n_eff == pytest.approx(197.86137205660236, abs=1e-9)
    assert found.j_eff == pytest.approx(6.431289640591967, abs=1e-9)
    assert found.n_star == pytest.approx(120.6083940973941, abs=1e-9)
    assert (found.lower, found.upper) == pytest.approx((0.3726819875787651, 0.5477994502872083), abs=1e-9)


def test_pooled_share_is_sum_over_sum_and_not_mean_of_means():
    found = clustered_interval([1, 90, 1, 1, 1, 1], [1, 100, 2, 2, 2, 2], 0.95)
    assert found.p == pytest.approx(95 / 109)


def test_more_clusters_than_nothing_but_fewer_than_five_give_no_interval_and_a_reason():
    found = clustered_interval([3, 4, 2, 5], [8, 8, 8, 8], 0.95)
    assert np.isnan(found.lower)
    assert np.isnan(found.upper)
    assert found.p == pytest.approx(14 / 32)
    assert "number of sky cells 4" in found.note


def test_many_clusters_of_which_one_holds_nearly_everything_give_no_interval():
    found = clustered_interval([50, *[1] * 9], [100, *[2] * 9], 0.95)
    assert found.n_clusters == 10
    assert found.j_eff < 5
    assert np.isnan(found.upper)


def test_five_equal_clusters_are_enough_in_spite_of_rounding():
    assert np.isfinite(clustered_interval([1, 2, 3, 1, 2], [7] * 5, 0.95).upper)


def test_single_cluster_has_no_variance():
    found = clustered_interval([3], [10], 0.95)
    assert np.isnan(found.variance)
    assert np.isnan(found.deff)


def test_empty_clusters_do_not_count_and_nothing_evaluated_is_null():
    with_empty = clustered_interval([*EQUAL_K, 0], [*[20] * 8, 0], 0.95)
    assert with_empty == clustered_interval(EQUAL_K, [20] * 8, 0.95)
    nothing = clustered_interval([0, 0], [0, 0], 0.95)
    assert np.isnan(nothing.p)
    assert nothing.note == "no interval: nothing was evaluated"


@pytest.mark.parametrize("k", [0, 6])
def test_extreme_share_borrows_a_design_effect_or_takes_the_mean_cluster_size(k):
    borrowed = clustered_interval([k] * 8, [6] * 8, 0.95, borrowed_deff=2.0)
    assert (borrowed.n_eff, borrowed.is_deff_borrowed) == (24.0, True)
    mean_size = clustered_interval([k] * 8, [6] * 8, 0.95)
    assert (mean_size.deff, mean_size.n_eff, mean_size.is_deff_borrowed) == (6.0, 8.0, True)
    assert "N/J" in mean_size.note
    assert mean_size.upper - mean_size.lower > borrowed.upper - borrowed.lower
    assert (mean_size.lower == 0.0) == (k == 0)


def test_interior_share_ignores_a_borrowed_design_effect():
    assert clustered_interval(EQUAL_K, [20] * 8, 0.95, borrowed_deff=9.0) == clustered_interval(EQUAL_K, [20] * 8, 0.95)


def test_equal_shares_have_design_effect_one():
    found = clustered_interval([5] * 10, [10] * 10, 0.95)
    assert found.deff == 1.0
    lower, upper = wilson_interval(0.5 * found.n_star, found.n_star, 0.95)
    assert (found.lower, found.upper) == (lower, upper)
    assert found.n_star < found.n_eff


def test_pools_side_by_side_equal_pools_one_by_one():
    k, n = np.array([*EQUAL_K, *UNEQUAL_K], dtype=float), np.array([*[20] * 8, *UNEQUAL_N], dtype=float)
    both = ratio_pools(k, n, np.repeat([0, 1], 8), 2)
    for number, (one_k, one_n) in enumerate(((EQUAL_K, [20] * 8), (UNEQUAL_K, UNEQUAL_N))):
        one = clustered_interval(one_k, one_n, 0.95)
        assert (both.estimate[number], both.variance[number]) == pytest.approx((one.p, one.variance), rel=1e-13)


@pytest.mark.parametrize(("k", "n", "deff"), [([3], [2], None), ([1, 1], [2], None), ([[1]], [[2]], None), ([1] * 5, [2] * 5, 0.5)])
def test_wrong_arguments_are_refused(k, n, deff):
    with pytest.raises(ValueError, match=r"k_j|shape|design effect"):
        clustered_interval(k, n, 0.95, borrowed_deff=deff)


@pytest.mark.parametrize(("n_clusters", "spread"), [(12, 0.0), (30, 0.0), (30, 0.5)])
def test_nominal_95_percent_covers_95_percent_where_naive_wilson_covers_three_quarters(n_clusters, spread):
    """Beta-binomial clusters, ICC 0.05, about 40 each: 1,500 draws have a standard error of 0.6 %; the bounds are 4 of them away."""
    rng = np.random.default_rng(20240)
    p, icc, n_draws = 0.4, 0.05, 1500
    a, b = p * (1 / icc - 1), (1 - p) * (1 / icc - 1)
    clustered = naive = 0
    for _ in range(n_draws):
        n = np.maximum(1, np.round(40 * rng.lognormal(0.0, spread, n_clusters)).astype(int))
        k = rng.binomial(n, rng.beta(a, b, n_clusters))
        found = clustered_interval(k, n, 0.95)
        lower, upper = wilson_interval(k.sum(), n.sum(), 0.95)
        clustered += found.lower <= p <= found.upper
        naive += lower <= p <= upper
    assert 0.92 < clustered / n_draws < 0.975
    assert naive / n_draws < 0.80
