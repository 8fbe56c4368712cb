"""The completeness model as an object: values, ends, domain, file; its checks."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from scipy.special import expit

from halo_core.errors import ConventionError
from halo_core.statistics import clustered_interval
from halo_core.statistics.completeness_checks import check_held_out, compare_with_bins
from halo_core.statistics.completeness_fit import CompletenessSample, domain_of, fit_completeness
from halo_core.statistics.completeness_model import CompletenessModel
from tests.fixtures.planted import smooth_sample

INSIDE = {"theta_e_arcsec": 1.0, "psf_fwhm_arcsec": 1.2, "snr_matched": 20.0}


@pytest.fixture(scope="module")
def sample() -> CompletenessSample:
    return smooth_sample(np.random.default_rng(21))


@pytest.fixture(scope="module")
def model(sample) -> CompletenessModel:
    found = fit_completeness(sample, criterion="d", criterion_version=3, is_truth_only=False, level=0.95).model
    return replace(found, held_out=check_held_out(found, smooth_sample(np.random.default_rng(22))))


def test_value_is_the_stated_law_for_scalars_and_arrays(model):
    b0, b1, b2, lapse = model.coefficients
    expected = (1.0 - lapse) * expit(b0 + b1 * np.log(1.0 / 1.2) + b2 * np.log(20.0))
    value, lower, upper = model(**INSIDE)
    assert float(value) == pytest.approx(expected, rel=1e-12)
    assert lower < value < upper
    values, _, _ = model(**{**INSIDE, "snr_matched": np.array([[15.0], [20.0]])})
    assert values.shape == (2, 1)
    assert values[1, 0] == pytest.approx(expected, rel=1e-12)


def test_ends_lie_in_order_within_zero_and_one_on_all_of_the_domain(model, sample):
    value, lower, upper = model.interval(sample.u, sample.v)
    assert np.all((lower >= 0.0) & (lower <= value) & (value <= upper) & (upper <= 1.0))


def test_without_lapse_the_interval_is_the_delta_method_on_the_logit_scale(model):
    covariance = np.array(model.covariance)
    covariance[3] = covariance[:, 3] = 0.0
    plain = replace(model, coefficients=(*model.coefficients[:3], 0.0), covariance=covariance, lapse_lower=0.0, lapse_upper=0.0)
    u, v = np.array([-0.3]), np.array([2.5])
    value, lower, upper = plain.interval(u, v)
    logit = [np.log(p / (1.0 - p)) for p in (lower, value, upper)]
    x = np.array([1.0, -0.3, 2.5])
    assert logit[2] - logit[1] == pytest.approx(logit[1] - logit[0], rel=1e-9)
    from_monte_carlo = np.std(np.random.default_rng(1).multivariate_normal(plain.coefficients[:3], covariance[:3, :3], 200_000) @ x)
    student = 2.0 * (logit[2] - logit[1]) / (2.0 * from_monte_carlo)
    assert 1.96 < student < 2.1


def test_where_all_is_seen_the_interval_is_that_of_the_lapse(model):
    value, lower, upper = model.interval(np.array([0.0]), np.array([60.0]))
    assert (value[0], lower[0], upper[0]) == pytest.approx((1 - model.coefficients[3], 1 - model.lapse_upper, 1 - model.lapse_lower))


def test_every_fitted_point_lies_in_the_domain_and_corners_of_the_box_do_not(model, sample):
    assert model.domain.contains(sample.u, sample.v).all()
    assert model.domain.u_range == pytest.approx((sample.u.min(), sample.u.max()))
    assert model.domain.v_range == pytest.approx((sample.v.min(), sample.v.max()))
    assert not model.domain.contains(np.array([sample.u.min(), sample.u.max()]), np.array([sample.v.max(), sample.v.min()])).any()


def test_domain_of_a_square_has_its_edges():
    u, v = np.array([0.0, 0.0, 1.0, 1.0, 0.5]), np.array([0.0, 2.0, 0.0, 3.0, 1.0])
    domain = domain_of(CompletenessSample(u, v, u > 0, np.arange(5)))
    assert domain.contains(np.array([0.0, 0.0, 0.5, 1.0]), np.array([0.0, 2.0, 2.5, 3.0])).all()
    assert not domain.contains(np.array([-0.01, 1.01, 0.5, 0.5, np.nan]), np.array([1.0, 1.0, 2.51, -0.01, 1.0])).any()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"theta_e_arcsec": 9.0}, r"theta_e/FWHM is 7\.5, the fit holds \[0\.\d+, \d\.\d+\]"),
        ({"snr_matched": 9000.0}, r"snr_matched is 9000, at theta_e/FWHM 0\.833333 the fit holds \[\d\S*, \d\S*\]"),
        ({"snr_matched": np.array([20.0, 0.01])}, r"1 of 2 points lie outside the model's domain; position 1: snr_matched is 0\.01"),
        ({"snr_matched": 0.0}, r"snr_matched is 0\.0 at position 0; a positive"),
        ({"psf_fwhm_arcsec": np.nan}, r"psf_fwhm_arcsec is nan"),
    ],
)
def test_outside_its_domain_a_model_refuses_and_names_value_and_limits(model, asked, message):
    with pytest.raises(ConventionError, match=message):
        model(**{**INSIDE, **asked})


def test_file_gives_the_same_model_and_the_same_numbers_to_the_bit(model, tmp_path):
    path = tmp_path / "model.json"
    model.save(path)
    loaded = CompletenessModel.load(path)
    assert loaded == model
    assert loaded.to_json() == path.read_text()
    for one, other in zip(loaded(**INSIDE), model(**INSIDE), strict=True):
        assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda stored: stored.update(model_version=99), "format and version are"),
        (lambda stored: stored.update(format="x"), "fit and save the model again"),
        (lambda stored: stored["model"].pop("domain"), "'domain'"),
        (lambda stored: stored["model"].update(colour="red"), "colour"),
    ],
)
def test_file_of_another_kind_is_refused(model, tmp_path, change, message):
    stored = json.loads(model.to_json())
    change(stored)
    path = tmp_path / "model.json"
    path.write_text(json.dumps(stored))
    with pytest.raises(ConventionError, match=message):
        CompletenessModel.load(path)


def test_file_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(ConventionError, match="not JSON"):
        CompletenessModel.load(tmp_path / "model.json")


def test_brier_score_and_its_reference_are_those_of_their_definitions(model):
    held_out = smooth_sample(np.random.default_rng(22))
    inside = held_out.take(model.domain.contains(held_out.u, held_out.v))
    check, p = model.held_out, model.value(inside.u, inside.v)
    assert (check.n, check.n + check.n_outside_domain) == (len(inside), len(held_out))
    assert check.brier == pytest.approx(np.mean((p - inside.is_recovered) ** 2))
    assert check.brier_climatology == pytest.approx(np.mean((model.n_recovered / model.n - inside.is_recovered) ** 2))
    assert 0.3 < check.skill < 1.0


def test_reliability_table_holds_every_row_once_and_its_intervals_hold_the_predictions_of_the_right_law(model):
    bins = model.held_out.reliability
    assert sum(one.n for one in bins) == model.held_out.n
    assert all(left.predicted <= right.predicted for left, right in pairwise(bins))
    assert sum(one.lower <= one.predicted <= one.upper for one in bins if one.lower is not None) >= 7


def test_held_out_rows_outside_the_domain_only_cannot_check(model):
    far = CompletenessSample(np.array([9.0]), np.array([9.0]), np.array([True]), np.array([0]))
    with pytest.raises(ValueError, match="none of 1 held-out rows"):
        check_held_out(model, far)


def snr_bins(sample) -> np.ndarray:
    return np.searchsorted(np.log([3.0, 5.0, 10.0, 20.0, 50.0]), sample.v)


def test_binned_and_smooth_agree_on_the_law_that_was_fitted(model, sample):
    found = compare_with_bins(model, sample, snr_bins(sample))
    assert found.n.sum() == len(sample)
    assert found.is_agreed, found
    one = sample.take(snr_bins(sample) == found.bin[3])
    cell = np.unique(one.cluster, return_inverse=True)[1]
    interval = clustered_interval(np.bincount(cell, weights=one.is_recovered), np.bincount(cell), 0.95)
    assert (found.binned[3], found.lower[3], found.upper[3]) == (interval.p, interval.lower, interval.upper)
    half = interval.upper - interval.p if found.smooth[3] > interval.p else interval.p - interval.lower
    assert found.deviation[3] == pytest.approx((found.smooth[3] - interval.p) / half)


def test_another_law_does_not_agree_and_the_worst_bin_is_named(model, sample):
    bumped = CompletenessSample(sample.u, sample.v, sample.is_recovered & (snr_bins(sample) != 4), sample.cluster)
    found = compare_with_bins(model, bumped, snr_bins(sample))
    assert not found.is_agreed
    assert found.largest_bin == 4
    assert found.largest == np.nanmax(np.abs(found.deviation))


def test_nothing_to_compare_is_no_agreement(model, sample):
    few = sample.take(sample.cluster < 3)
    found = compare_with_bins(model, few, snr_bins(few))
    assert (found.largest_bin, found.is_agreed) == (-1, False)
    with pytest.raises(ValueError, match="one bin per row"):
        compare_with_bins(model, few, [1])
