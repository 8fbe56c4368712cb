"""The fit of the smooth completeness: derivatives, recovery, coverage, and what is refused."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime, minimize
from scipy.special import expit, stdtrit
from scipy.stats import binom

from halo_core.statistics.completeness_fit import (
    CompletenessSample,
    FitStatus,
    LapseLikelihood,
    fit_completeness,
    hull_corners,
    is_separated,
)
from tests.fixtures.planted import LAW, smooth_sample


def fit(sample, **changes):
    """Return the outcome of a fit to a stochastic criterion at 95 %."""
    return fit_completeness(sample, **{"criterion": "d", "criterion_version": 1, "is_truth_only": False, "level": 0.95, **changes})


def fitted(sample):
    """Return the model of a sample that has one."""
    outcome = fit(sample)
    assert outcome.status is FitStatus.FITTED, outcome.sentence
    return outcome.model


def likelihood_of(sample):
    return LapseLikelihood(np.column_stack([np.ones(len(sample)), sample.u, sample.v]), sample.is_recovered)


@pytest.mark.parametrize("parameters", [(-6.0, 1.5, 2.5, 0.05), (-3.0, -0.5, 1.0, 0.4), (2.0, 3.0, 4.0, 1e-3)])
def test_scores_and_information_are_derivatives_of_the_likelihood(parameters):
    likelihood, at = likelihood_of(smooth_sample(np.random.default_rng(1))), np.array(parameters)
    gradient = approx_fprime(at, likelihood.log_likelihood, 1e-7)
    np.testing.assert_allclose(likelihood.scores(at).sum(axis=0), gradient, rtol=2e-4, atol=0.05)
    hessian = [(likelihood.scores(at + h).sum(axis=0) - likelihood.scores(at - h).sum(axis=0)) / 2e-6 for h in 1e-6 * np.eye(4)]
    np.testing.assert_allclose(-np.array(hessian), likelihood.information(at), rtol=1e-5, atol=1e-3)


def test_derivatives_are_finite_on_the_steepest_slope():
    sample = smooth_sample(np.random.default_rng(2))
    for lapse in (0.0, 0.1):
        at = np.array([1e3, 1e3, -1e3, lapse])
        assert np.all(np.isfinite(likelihood_of(sample).scores(at)))
        assert np.all(np.isfinite(likelihood_of(sample).information(at)))


def test_maximum_is_the_one_that_a_search_without_derivatives_finds():
    sample = smooth_sample(np.random.default_rng(3))
    model = fitted(sample)

    def cost(p):
        chance = expit(p[3]) * expit(p[0] + p[1] * sample.u + p[2] * (sample.v - sample.v.mean()))
        return -np.log(np.where(sample.is_recovered, chance, 1.0 - chance)).sum()

    tries = {"xatol": 1e-9, "fatol": 1e-9, "maxiter": 9000, "maxfev": 9000}
    start = minimize(cost, [0.0, 0.0, 1.0, 4.0], method="Powell").x
    found = minimize(cost, start, method="Nelder-Mead", options=tries)
    assert model.log_likelihood == pytest.approx(-found.fun, abs=1e-7)
    b0, b1, b2, seen = found.x
    assert model.coefficients == pytest.approx((b0 - b2 * sample.v.mean(), b1, b2, 1.0 - expit(seen)), abs=2e-4)


def test_covariance_is_the_sandwich_between_cells_times_the_stated_factor():
    sample = smooth_sample(np.random.default_rng(4))
    model = fitted(sample)
    likelihood, at = likelihood_of(sample), np.array(model.coefficients)
    by_cell = np.array([likelihood.scores(at)[sample.cluster == cell].sum(axis=0) for cell in np.unique(sample.cluster)])
    hessian = np.array([(likelihood.scores(at + h) - likelihood.scores(at - h)).sum(axis=0) / 2e-5 for h in 1e-5 * np.eye(4)])
    n, n_cells = len(sample), len(by_cell)
    factor = n_cells / (n_cells - 1) * (n - 1) / (n - 4)
    expected = factor * np.linalg.inv(hessian) @ by_cell.T @ by_cell @ np.linalg.inv(hessian)
    np.testing.assert_allclose(model.covariance, expected, rtol=2e-3, atol=1e-3 * np.abs(expected).max() * 0.01)
    assert model.small_sample_factor == factor


def test_limits_of_the_lapse_are_where_the_profile_drops_by_student_and_the_design_effect():
    sample = smooth_sample(np.random.default_rng(14), lapse=0.15)
    model, likelihood = fitted(sample), likelihood_of(sample)
    deff = model.covariance[3][3] / np.linalg.inv(likelihood.information(np.array(model.coefficients)))[3, 3]
    expected = stdtrit(model.j_eff - 1.0, 0.975) ** 2 * max(1.0, deff)
    for lapse in (model.lapse_lower, model.lapse_upper):
        best = minimize(lambda b, at=lapse: -likelihood.log_likelihood(np.array([*b, at])), model.coefficients[:3], method="Nelder-Mead")
        assert 2.0 * (model.log_likelihood + best.fun) == pytest.approx(expected, rel=0.01)


def test_every_row_twice_changes_neither_estimate_nor_robust_covariance():
    sample = smooth_sample(np.random.default_rng(5))
    once, twice = fitted(sample), fitted(sample.take(np.tile(np.arange(len(sample)), 2)))
    assert twice.coefficients == pytest.approx(once.coefficients, rel=1e-6)
    free_of_factor = [np.array(model.covariance) / model.small_sample_factor for model in (once, twice)]
    np.testing.assert_allclose(free_of_factor[1], free_of_factor[0], rtol=1e-4)


def test_order_and_names_of_rows_change_no_bit():
    sample = smooth_sample(np.random.default_rng(6))
    assert fitted(sample.take(np.random.default_rng(7).permutation(len(sample)))) == fitted(sample)


def test_planted_law_is_recovered():
    model = fitted(smooth_sample(np.random.default_rng(8), n_cells=200, mean_size=100))
    error = np.array(model.coefficients) - (*LAW, 0.05)
    assert np.all(np.abs(error) < 4.0 * np.sqrt(np.diag(model.covariance)))
    assert np.all(np.abs(error) < (0.5, 0.3, 0.2, 0.02))


@pytest.mark.parametrize("lapse", [0.0, 0.05])
def test_robust_intervals_cover_with_planted_cluster_effects(lapse):
    """Copula of correlation 0.1, 40 unequal cells of about 50; 60 draws. Passes within the 99.9 % binomial range of [0.925, 0.99]."""
    rng, n_draws = np.random.default_rng(9), 60
    u, v = np.log([0.3, 0.5, 0.8, 1.2, 1.2]), np.log([6.0, 10.0, 12.0, 30.0, 150.0])
    truth = (1.0 - lapse) * expit(LAW[0] + LAW[1] * u + LAW[2] * v)
    covered, of_slopes, of_lapse = np.zeros(5), np.zeros(3), 0
    for _ in range(n_draws):
        model = fitted(smooth_sample(rng, lapse=lapse))
        _, lower, upper = model.interval(u, v)
        covered += (lower <= truth) & (truth <= upper)
        reach = stdtrit(model.j_eff - 1.0, 0.975) * np.sqrt(np.diag(model.covariance)[:3])
        of_slopes += np.abs(np.array(model.coefficients[:3]) - LAW) <= reach
        of_lapse += model.lapse_lower <= lapse <= model.lapse_upper
    assert np.concatenate([covered, of_slopes, [of_lapse]]).min() >= binom.ppf(0.0005, n_draws, 0.925)
    assert np.concatenate([covered[:4], of_slopes]).max() <= binom.ppf(0.9995, n_draws, 0.99)


def test_truth_only_criterion_is_refused():
    outcome = fit(smooth_sample(np.random.default_rng(10)), is_truth_only=True)
    assert (outcome.status, outcome.model) == (FitStatus.DETERMINISTIC_CRITERION, None)
    assert "painted" in outcome.sentence


def with_outcome(sample, is_recovered):
    return CompletenessSample(sample.u, sample.v, np.asarray(is_recovered), sample.cluster)


@pytest.mark.parametrize("kind", ["threshold", "oblique", "all", "none", "threshold with misses"])
def test_separated_rows_are_refused_as_deterministic(kind):
    rng = np.random.default_rng(11)
    sample = smooth_sample(rng)
    line = sample.v - 2.3 + (0.7 * sample.u if kind == "oblique" else 0.0)
    outcomes = {"all": line == line, "none": line != line, "threshold with misses": (line > 0) & (rng.random(len(line)) > 0.1)}
    outcome = fit(with_outcome(sample, outcomes.get(kind, line > 0)))
    assert (outcome.status, outcome.model) == (FitStatus.DETERMINISTIC_CRITERION, None), outcome.sentence
    assert ("a line in theta_e/FWHM and S/N parts" in outcome.sentence) == (kind != "threshold with misses")


def test_one_row_on_the_wrong_side_is_no_separation_and_points_on_the_line_are():
    x = np.column_stack([np.ones(6), [-2.0, -1.0, -0.5, 0.5, 1.0, 2.0], [1.0, -1.0, 0.3, -0.4, 1.0, -1.0]])
    assert is_separated(x, np.array([False, False, False, True, True, True]))
    assert not is_separated(x, np.array([True, False, False, True, True, False]))
    on_line = np.vstack([x, [1.0, 0.0, 5.0], [1.0, 0.0, 5.0]])
    assert is_separated(on_line, np.array([False, False, False, True, True, True, True, False]))


def test_corners_of_points_on_a_line_are_its_ends():
    assert hull_corners(np.array([[0.0, 0.0], [2.0, 2.0], [1.0, 1.0]])).tolist() == [0, 1]
    assert hull_corners(np.array([[3.0, 4.0]])).tolist() == [0]
    assert hull_corners(np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.2, 0.2]])).tolist() == [0, 1, 2]


def test_few_sky_cells_are_refused():
    outcome = fit(smooth_sample(np.random.default_rng(12), n_cells=9, mean_size=200))
    assert outcome.status is FitStatus.TOO_FEW_CLUSTERS
    assert "number of sky cells 9" in outcome.sentence


def test_covariate_of_one_value_is_refused():
    sample = smooth_sample(np.random.default_rng(13))
    outcome = fit(CompletenessSample(np.zeros(len(sample)), sample.v, sample.is_recovered, sample.cluster))
    assert outcome.status is FitStatus.NOT_IDENTIFIED


def test_wrong_columns_are_refused():
    columns = {"theta_e_arcsec": [1.0], "psf_fwhm_arcsec": [1.0], "snr_matched": [5.0], "is_recovered": [True], "cluster": [0]}
    with pytest.raises(Exception, match=r"snr_matched is 0\.0 at position 0"):
        CompletenessSample.of(**{**columns, "snr_matched": [0.0]})
    with pytest.raises(ValueError, match="one length"):
        CompletenessSample.of(**{**columns, "cluster": [0, 1]})
    with pytest.raises(ValueError, match="level"):
        fit(CompletenessSample.of(**columns), level=95.0)


@pytest.mark.parametrize("seed", [2, 5, 25, 38])
def test_a_profile_of_several_maxima_has_limits_of_the_lapse_all_the_same(seed):
    rng = np.random.default_rng(seed)
    u, v = rng.normal(size=(2, 45))
    outcome = fit(CompletenessSample(u, v, rng.random(45) < 0.5, np.arange(45) % 15))
    assert (
        outcome.status is not FitStatus.FITTED
        or 0.0 <= outcome.model.lapse_lower <= outcome.model.coefficients[3] <= outcome.model.lapse_upper
    )
