"""The smooth completeness of one experiment and criterion: fitted to one split, checked on another."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError
from halo_core.stages.criteria import Criterion
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import Experiment, injections_of
from halo_core.statistics.completeness_checks import check_held_out
from halo_core.statistics.completeness_fit import CompletenessSample, FitOutcome, fit_completeness


def model_completeness(
    experiment: Experiment, criterion: Criterion, config: SummaryConfig, *, fit_split: str, held_out_split: str, level: float
) -> FitOutcome:
    """Return the model of an experiment, fitted to the evaluated injections of one split and checked on those of another.

    Parameters
    ----------
    experiment : Experiment
        One of ``summary_rows.experiments``.
    criterion : Criterion
        One of the configuration's.
    config : SummaryConfig
        Gives the sky cells.
    fit_split, held_out_split : str
        train, val or test; they differ.
    level : float
        Two-sided level of the model's intervals; 0 < level < 1.

    Returns
    -------
    FitOutcome
        The model holds its check; ``held_out`` is None where no evaluated injection of the held-out split lies in its domain.

    Raises
    ------
    ConfigurationError
        The splits are one, or the criterion is not in the configuration.
    AccountingError
        As in ``summary_rows.injections_of``.

    Notes
    -----
    An injection without light on good pixels (snr_matched_r = 0) has no logarithm: it lies outside every domain and is not fitted.
    """
    if fit_split == held_out_split:
        raise ConfigurationError(f"a model cannot be checked on the split it was fitted to: both are {fit_split!r}; name another")
    if criterion not in config.criteria:
        raise ConfigurationError(f"criterion {criterion.name!r} is not among {[one.name for one in config.criteria]} of the summary")
    sample, split = sample_of(experiment, criterion, config)
    outcome = fit_completeness(
        sample.take(split == fit_split),
        criterion=criterion.name,
        criterion_version=criterion.version,
        is_truth_only=criterion.is_truth_only,
        level=level,
    )
    held_out = sample.take(split == held_out_split)
    if outcome.model is None or not np.any(outcome.model.domain.contains(held_out.u, held_out.v)):
        return outcome
    return replace(outcome, model=replace(outcome.model, held_out=check_held_out(outcome.model, held_out)))


def sample_of(experiment: Experiment, criterion: Criterion, config: SummaryConfig) -> tuple[CompletenessSample, NDArray[np.str_]]:
    """Return the evaluated injections of an experiment with a positive S/N, and the split of each."""
    injections = injections_of(experiment, config)
    is_injection = ~experiment.tasks["is_control"].to_numpy().astype(bool)
    rows = injections.is_evaluated & (np.nan_to_num(injections.snr_matched_r) > 0)

    def column(name: str) -> NDArray[np.generic]:
        """Return a column of tasks or results for the chosen rows."""
        table = experiment.tasks if name in experiment.tasks.column_names else experiment.results
        return np.asarray(table[name].to_numpy()[is_injection][rows])

    sample = CompletenessSample.of(
        theta_e_arcsec=column("theta_e_arcsec"),
        psf_fwhm_arcsec=column("psf_fwhm_used_r_arcsec"),
        snr_matched=injections.snr_matched_r[rows],
        is_recovered=injections.recovered[criterion.name][rows],
        cluster=injections.sky_cell[rows],
    )
    return sample, column("region_split").astype(np.str_)
