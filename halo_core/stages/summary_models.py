"""The smooth models of a campaign: one per experiment and criterion, or why there is none, and how each did."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from halo_core.stages.completeness import model_completeness, modelled_rows, sample_of
from halo_core.stages.criteria import Criterion
from halo_core.stages.manifest_rows import experiment_id
from halo_core.stages.summary_blocks import ExperimentRows
from halo_core.stages.summary_config import SummaryConfig
from halo_core.statistics.completeness_checks import compare_with_bins
from halo_core.statistics.completeness_model import PARAMETERS, CompletenessModel

COMPARED_AXES = ("resolution_bin", "snr_matched_r_bin")
"""Axes along which a model is held against the bins of the injections it was fitted to."""

_OF_MODEL = ("n_recovered", "n_clusters", "j_eff", "lapse_lower", "lapse_upper")
_OF_CHECK = ("n_held_out", "n_outside_domain", "brier", "brier_constant", "n_reliability_bins", "n_reliability_outside")
_OF_BINS = tuple(f"{axis}_{name}" for axis in COMPARED_AXES for name in ("largest", "worst", "limit"))


@dataclass(frozen=True)
class SmoothModel:
    """What came of one experiment and criterion.

    Attributes
    ----------
    name : str
        ``<experiment_id>_<criterion>``.
    row : dict
        Flat: tier, grid, stamp_size, bandset, criterion, criterion_version, status, reason, fit_split, held_out_split, level, n_injections,
        n_recovered, n_clusters, j_eff, b0, b1, b2, lapse with its limits, n_held_out, n_outside_domain, brier, brier_constant,
        n_reliability_bins, n_reliability_outside (bins whose interval does not hold the prediction), and along each of ``COMPARED_AXES``
        ``_largest`` deviation from a bin, the ``_worst`` bin (-1 where no bin can be compared) and the ``_limit`` of a right model. None
        where there is no number.
    model : CompletenessModel or None
        None where nothing was fitted.
    """

    name: str
    row: dict[str, object]
    model: CompletenessModel | None


def smooth_models(campaign: Sequence[ExperimentRows], config: SummaryConfig) -> Iterator[SmoothModel]:
    """Yield the model of every experiment and criterion, in their order; one that reads the truth is refused before any row is looked at.

    Parameters
    ----------
    campaign : sequence of ExperimentRows
        From ``summary_blocks.gather``, with the same ``config``.
    config : SummaryConfig
        Criteria, splits, level, bins.
    """
    for one in campaign:
        for criterion in config.criteria:
            yield _smooth_model(one, criterion, config)


def _smooth_model(one: ExperimentRows, criterion: Criterion, config: SummaryConfig) -> SmoothModel:
    """Return the model of one experiment and criterion."""
    outcome = model_completeness(one.injections, criterion, config)
    row: dict[str, object] = {**one.key, "criterion": criterion.name, "criterion_version": criterion.version}
    row |= {"status": outcome.status.value, "reason": outcome.sentence}
    row |= {"fit_split": config.model_fit_split, "held_out_split": config.model_held_out_split, "level": config.model_level}
    row |= dict.fromkeys(("n_injections", *_OF_MODEL, *PARAMETERS, *_OF_CHECK, *_OF_BINS))
    if outcome.model is not None:
        row |= _numbers(outcome.model) | _bins(outcome.model, one, criterion, config)
    key = one.key
    name = experiment_id(str(key["tier"]), int(key["stamp_size"]), str(key["bandset"]), str(key["grid"]))
    return SmoothModel(f"{name}_{criterion.name}", row, outcome.model)


def _numbers(model: CompletenessModel) -> dict[str, object]:
    """Return the numbers of a model and of its check."""
    found: dict[str, object] = {"n_injections": model.n, **dict(zip(PARAMETERS, model.coefficients, strict=True))}
    found |= {name: getattr(model, name) for name in _OF_MODEL}
    check = model.held_out
    if check is None:
        return found
    known = [one for one in check.reliability if one.lower is not None and one.upper is not None]
    n_outside = sum(not one.lower <= one.predicted <= one.upper for one in known if one.lower is not None and one.upper is not None)
    values = (check.n, check.n_outside_domain, check.brier, check.brier_climatology, len(known), n_outside)
    return found | dict(zip(_OF_CHECK, values, strict=True))


def _bins(model: CompletenessModel, one: ExperimentRows, criterion: Criterion, config: SummaryConfig) -> dict[str, object]:
    """Return how far a model is from the bins of the injections it was fitted to."""
    sample = sample_of(one.injections, criterion, config.model_fit_split)
    rows = modelled_rows(one.injections, criterion, config.model_fit_split)
    found: dict[str, object] = {}
    for name in COMPARED_AXES:
        axis = one.injections.axes[name]
        compared = compare_with_bins(model, sample, np.asarray(axis.values)[axis.codes[rows]])
        largest = None if compared.largest_bin == -1 else compared.largest
        found |= {f"{name}_largest": largest, f"{name}_worst": compared.largest_bin, f"{name}_limit": compared.limit}
    return found
