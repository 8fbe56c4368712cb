"""Coverage of the intervals: binomial by enumeration and by simulation, sky cells by beta-binomial simulation."""

import numpy as np
import pytest
from scipy.stats import binom

from benchmarks.coverage_figure import binomial_coverage, clustered_coverage
from halo_core.statistics import clopper_pearson_interval, jeffreys_interval, wilson_interval

SHARES = np.linspace(0.05, 0.95, 181)


@pytest.mark.parametrize("n", [10, 40, 200])
@pytest.mark.parametrize(
    ("interval", "least", "mean"),
    [(wilson_interval, 0.885, (0.945, 0.96)), (jeffreys_interval, 0.865, (0.94, 0.96)), (clopper_pearson_interval, 0.95, (0.95, 0.99))],
)
def test_binomial_intervals_cover_what_their_authors_say(interval, least, mean, n):
    """Exact, by enumeration over k; mean over p in [0.05, 0.95]. Clopper-Pearson is never below 95 %, the others are so on average."""
    coverage = binomial_coverage(interval, n, SHARES)
    assert coverage.min() >= least
    assert mean[0] <= coverage.mean() <= mean[1]


@pytest.mark.parametrize("interval", [wilson_interval, jeffreys_interval, clopper_pearson_interval])
def test_simulated_binomial_coverage_is_the_enumerated_one(interval):
    """20,000 draws; passes within five standard errors."""
    n, p, n_draws = 40, 0.3, 20_000
    lower, upper = interval(np.random.default_rng(41).binomial(n, p, n_draws), n, 0.95)
    expected = binomial_coverage(interval, n, np.array([p]))[0]
    assert np.mean((lower <= p) & (p <= upper)) == pytest.approx(expected, abs=5 * np.sqrt(expected * (1 - expected) / n_draws))


@pytest.mark.parametrize("n_clusters", [12, 50])
def test_sky_cells_cover_at_their_level_where_naive_wilson_does_not(n_clusters):
    """ICC 0.05, unequal cells of about 40, 1,000 draws: the 99.9 % binomial range around [0.93, 0.97]; naive Wilson below 80 %."""
    clustered, naive = clustered_coverage(np.random.default_rng(42), n_clusters=n_clusters, icc=0.05, n_draws=1000)
    assert binom.ppf(0.0005, 1000, 0.93) / 1000 <= clustered <= binom.ppf(0.9995, 1000, 0.97) / 1000
    assert naive < 0.80


def test_independent_injections_cover_both_ways():
    clustered, naive = clustered_coverage(np.random.default_rng(43), n_clusters=30, icc=0.0, n_draws=1000)
    assert clustered >= naive > binom.ppf(0.0005, 1000, 0.945) / 1000
