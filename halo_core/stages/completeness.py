"""The smooth completeness of one experiment and criterion: fitted to one split, checked on another."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError
from halo_core.stages.criteria import Criterion
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import Injections
from halo_core.statistics.completeness_checks import check_held_out
from halo_core.statistics.completeness_fit import CompletenessSample, FitOutcome, fit_completeness


def model_completeness(injections: Injections, criterion: Criterion, config: SummaryConfig) -> FitOutcome:
    """Return the model of an experiment, fitted to the evaluated injections of one split and checked on those of another.

    Parameters
    ----------
    injections : Injections
        Of one experiment, as ``summary_blocks.gather`` gives them.
    criterion : Criterion
        One of the configuration's.
    config : SummaryConfig
        Gives the splits and the level.

    Returns
    -------
    FitOutcome
        The model holds its check; ``held_out`` is None where no evaluated injection of the held-out split lies in its domain.

    Raises
    ------
    ConfigurationError
        The criterion is not in the configuration.

    Notes
    -----
    An injection without light on good pixels (snr_matched_r = 0) has no logarithm: it lies outside every domain and is not fitted.
    """
    if criterion not in config.criteria:
        raise ConfigurationError(f"criterion {criterion.name!r} is not among {[one.name for one in config.criteria]} of the summary")
    outcome = fit_completeness(
        sample_of(injections, criterion, config.model_fit_split),
        criterion=criterion.name,
        criterion_version=criterion.version,
        is_truth_only=criterion.is_truth_only,
        level=config.model_level,
    )
    if outcome.model is None:
        return outcome
    held_out = sample_of(injections, criterion, config.model_held_out_split)
    if not np.any(outcome.model.domain.contains(held_out.u, held_out.v)):
        return outcome
    return replace(outcome, model=replace(outcome.model, held_out=check_held_out(outcome.model, held_out)))


def modelled_rows(injections: Injections, criterion: Criterion, split: str) -> NDArray[np.int64]:
    """Return the rows of a split that a model of a criterion reads: evaluated, with a positive S/N; none for one that reads the truth."""
    if criterion.is_truth_only:
        return np.zeros(0, dtype=np.int64)
    axis = injections.axes["region_split"]
    is_in = axis.codes == axis.values.index(split) if split in axis.values else np.zeros(len(injections), dtype=np.bool_)
    return np.flatnonzero(is_in & injections.is_evaluated & (np.nan_to_num(injections.snr_matched_r) > 0))


def sample_of(injections: Injections, criterion: Criterion, split: str) -> CompletenessSample:
    """Return what a model of a criterion reads of the injections of a split."""
    rows = modelled_rows(injections, criterion, split)
    return CompletenessSample(
        u=np.log(injections.resolution[rows]),
        v=np.log(injections.snr_matched_r[rows]),
        is_recovered=injections.recovered[criterion.name][rows],
        cluster=injections.sky_cell[rows],
    )
