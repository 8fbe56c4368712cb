"""The smooth completeness of an experiment: which rows are fitted, which check, which criteria are refused."""

from dataclasses import replace

import numpy as np
import pytest

from halo_core.errors import ConfigurationError
from halo_core.flags import Flag
from halo_core.stages.completeness import model_completeness, sample_of
from halo_core.stages.criteria import Criterion
from halo_core.stages.summary_blocks import gather
from halo_core.stages.summary_models import smooth_models
from halo_core.stages.validation_summary_models import model_laws
from halo_core.statistics import CompletenessModel, FitStatus
from tests.fixtures.planted import rows_of, smooth_sample
from tests.fixtures.summaries import MATCHED, control, lost, summary_config, tables

SCORE = Criterion("score", 1, (("snr_aperture_r", 0.0),), is_truth_only=False, label="score ≥ 0")
CONFIG = summary_config(criteria=(MATCHED, SCORE))


@pytest.fixture(scope="module")
def experiment():
    fitted, held_out = (smooth_sample(np.random.default_rng(seed), mean_size=20.0) for seed in (31, 32))
    extra = [control(snr_aperture_r=-1.0), lost(Flag.BRICK_MISSING), {"snr_matched_r": 0.0, "snr_aperture_r": -1.0, "ra": 9.0}]
    (only,) = gather([tables(rows_of(fitted, "train") + rows_of(held_out, "val") + extra)], CONFIG)
    return only, fitted, held_out


def test_model_is_fitted_to_one_split_and_checked_on_the_other(experiment, tmp_path):
    only, fitted, held_out = experiment
    outcome = model_completeness(only.injections, SCORE, CONFIG)
    assert outcome.status is FitStatus.FITTED
    model = outcome.model
    assert (model.n, model.n_recovered, model.n_clusters) == (len(fitted), fitted.is_recovered.sum(), 40)
    assert model.held_out.n + model.held_out.n_outside_domain == len(held_out)
    assert model.held_out.skill > 0.3
    model.save(tmp_path / "model.json")
    assert CompletenessModel.load(tmp_path / "model.json") == model


def test_controls_losses_and_arcs_without_light_are_not_fitted(experiment):
    only, fitted, held_out = experiment
    for split, rows in (("train", fitted), ("val", held_out)):
        sample = sample_of(only.injections, SCORE, split)
        assert len(sample) == len(rows)
        np.testing.assert_allclose(np.sort(sample.u), np.sort(rows.u), atol=1e-12)
    assert len(sample_of(only.injections, SCORE, "test")) == 0


def test_criterion_on_truth_is_refused(experiment):
    outcome = model_completeness(experiment[0].injections, MATCHED, CONFIG)
    assert (outcome.status, outcome.model) == (FitStatus.DETERMINISTIC_CRITERION, None)


def test_split_without_rows_to_check_leaves_a_model_without_a_check(experiment):
    outcome = model_completeness(experiment[0].injections, SCORE, replace(CONFIG, model_held_out_split="test"))
    assert outcome.model.held_out is None


def test_what_cannot_be_checked_or_is_not_configured_is_refused(experiment):
    with pytest.raises(ConfigurationError, match="not among"):
        model_completeness(experiment[0].injections, Criterion("x", 1, (("a", 0.0),), False, ""), CONFIG)
    for changes in ({"model_held_out_split": "train"}, {"model_fit_split": "valid"}, {"model_level": 1.0}):
        with pytest.raises(ConfigurationError, match=r"cannot be checked|within"):
            summary_config(**changes)


def test_models_are_listed_with_their_checks_and_agree_with_their_bins(experiment):
    refused, fitted = smooth_models([experiment[0]], CONFIG)
    assert (refused.model, refused.row["status"], refused.row["brier"]) == (None, "DETERMINISTIC_CRITERION", None)
    assert fitted.name == "grid_stamp64_bandsgrz_gridgrid_small_score"
    assert fitted.row["brier"] == fitted.model.held_out.brier < fitted.row["brier_constant"]
    assert (fitted.row["n_injections"], fitted.row["n_clusters"], fitted.row["b2"]) == (
        len(experiment[1]),
        40,
        fitted.model.coefficients[2],
    )
    assert failing(experiment, [refused.row | {"key": None}, fitted.row | {"key": "k"}]) == set()


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"resolution_bin_largest": 9.0}, "smooth_model_agrees_with_bins"),
        ({"resolution_bin_worst": -1, "resolution_bin_largest": None}, "smooth_model_agrees_with_bins"),
        ({"brier": 0.5}, "held_out_injections_confirm_model"),
        ({"n_reliability_outside": 6}, "held_out_injections_confirm_model"),
        ({"n_held_out": None}, "held_out_injections_confirm_model"),
        ({"n_reliability_bins": 0}, "held_out_injections_confirm_model"),
        ({"key": None}, "models_listed"),
        ({"criterion": "snr_matched"}, "models_listed"),
        ({"tier": "train"}, "models_listed"),
    ],
)
def test_a_model_that_was_not_stored_or_fits_badly_is_a_finding(experiment, changes, check):
    refused, fitted = (made.row | {"key": made.model and "k"} for made in smooth_models([experiment[0]], CONFIG))
    assert failing(experiment, [refused, fitted | changes]) == {check}


def test_a_wrong_law_of_detection_disagrees_with_its_bins(experiment):
    rows = experiment[0].injections
    is_odd = (rows.resolution > 0.7) & (rows.resolution < 1.0)
    recovered = {**rows.recovered, "score": rows.recovered["score"] & ~is_odd}
    *_, made = smooth_models([replace(experiment[0], injections=replace(rows, recovered=recovered))], CONFIG)
    assert made.row["resolution_bin_largest"] > made.row["resolution_bin_limit"]


def failing(experiment, rows) -> set[str]:
    """Return the checks of models that fail beside one cell of the experiment."""
    return {check for check, law in model_laws(rows, [experiment[0].key], CONFIG).items() if not law().is_ok}
