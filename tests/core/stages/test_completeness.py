"""The smooth completeness of an experiment: which rows are fitted, which check, which criteria are refused."""

import numpy as np
import pytest

from halo_core.errors import ConfigurationError
from halo_core.flags import Flag
from halo_core.stages.completeness import model_completeness, sample_of
from halo_core.stages.criteria import Criterion
from halo_core.stages.summary_rows import experiments
from halo_core.statistics import CompletenessModel, FitStatus
from tests.fixtures.planted import smooth_sample
from tests.fixtures.summaries import MATCHED, control, lost, summary_config, tables

SCORE = Criterion("score", 1, (("snr_aperture_r", 0.0),), is_truth_only=False, label="score ≥ 0")
CONFIG = summary_config(criteria=(MATCHED, SCORE))
SPLITS = {"fit_split": "train", "held_out_split": "val", "level": 0.95}


def rows_of(sample, split) -> list[dict]:
    """Return injections that carry a sample: seeing 1 arcsec, the score's sign the outcome."""
    columns = zip(np.exp(sample.u), np.exp(sample.v), sample.is_recovered, sample.cluster, strict=True)
    place = {"region_split": split, "dec": 0.0 if split == "train" else 40.0, "psf_fwhm_used_r_arcsec": 1.0}
    return [
        {**place, "theta_e_arcsec": ratio, "snr_matched_r": snr, "snr_aperture_r": 1.0 if seen else -1.0, "ra": 5.0 + 4.0 * cell}
        for ratio, snr, seen, cell in columns
    ]


@pytest.fixture(scope="module")
def experiment():
    fitted, held_out = (smooth_sample(np.random.default_rng(seed), mean_size=20.0) for seed in (31, 32))
    extra = [control(), lost(Flag.BRICK_MISSING), {"snr_matched_r": 0.0, "snr_aperture_r": -1.0, "ra": 9.0}]
    (only,) = experiments(*tables(rows_of(fitted, "train") + rows_of(held_out, "val") + extra), CONFIG)
    return only, fitted, held_out


def test_model_is_fitted_to_one_split_and_checked_on_the_other(experiment, tmp_path):
    only, fitted, held_out = experiment
    outcome = model_completeness(only, SCORE, CONFIG, **SPLITS)
    assert outcome.status is FitStatus.FITTED
    model = outcome.model
    assert (model.n, model.n_recovered, model.n_clusters) == (len(fitted), fitted.is_recovered.sum(), 40)
    assert model.held_out.n + model.held_out.n_outside_domain == len(held_out)
    assert model.held_out.skill > 0.3
    model.save(tmp_path / "model.json")
    assert CompletenessModel.load(tmp_path / "model.json") == model


def test_controls_losses_and_arcs_without_light_are_not_fitted(experiment):
    only, fitted, held_out = experiment
    sample, split = sample_of(only, SCORE, CONFIG)
    assert len(sample) == len(fitted) + len(held_out)
    assert np.count_nonzero(split == "train") == len(fitted)
    np.testing.assert_allclose(np.sort(sample.u), np.sort(np.concatenate([fitted.u, held_out.u])), atol=1e-12)


def test_criterion_on_truth_is_refused(experiment):
    outcome = model_completeness(experiment[0], MATCHED, CONFIG, **SPLITS)
    assert (outcome.status, outcome.model) == (FitStatus.DETERMINISTIC_CRITERION, None)


def test_split_without_rows_to_check_leaves_a_model_without_a_check(experiment):
    outcome = model_completeness(experiment[0], SCORE, CONFIG, **{**SPLITS, "held_out_split": "test"})
    assert outcome.model.held_out is None


@pytest.mark.parametrize(
    ("criterion", "splits"), [(SCORE, {**SPLITS, "held_out_split": "train"}), (Criterion("x", 1, (("a", 0.0),), False, ""), SPLITS)]
)
def test_what_cannot_be_checked_or_is_not_configured_is_refused(experiment, criterion, splits):
    with pytest.raises(ConfigurationError, match=r"name another|not among"):
        model_completeness(experiment[0], criterion, CONFIG, **splits)
