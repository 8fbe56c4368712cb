"""Controls: how many a criterion would call, counted apart from every completeness."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import SPLITS
from halo_core.stages.criteria import Criterion, meets
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import Experiment, control_numbers, evaluated, experiments, require_measured

NOT_APPLICABLE = "not applicable: the criterion reads what was painted, and a control has no arc"


def control_table(tasks: pa.Table, results: pa.Table, config: SummaryConfig) -> list[dict[str, object]]:
    """Return what share of the controls each criterion would call a lens.

    Parameters
    ----------
    tasks, results : Table
        As for :func:`halo_core.stages.summary.summarise`.
    config : SummaryConfig
        Gives the criteria.

    Returns
    -------
    list of dict
        One per experiment, split and criterion: tier, grid, stamp_size, bandset, region_split, criterion, n_controls,
        n_evaluated, n_not_evaluated, n_called, called_frac, note. A criterion that reads the truth has n_called and
        called_frac None and says so in ``note``: it never looked, which is not the same as calling none.

    Raises
    ------
    AccountingError
        As in ``summarise``; also where an evaluated control lacks a metric that an applicable criterion reads.
    """
    rows = []
    for experiment in experiments(tasks, results, config):
        splits = experiment.tasks.filter(experiment.tasks["is_control"])["region_split"].unique().to_pylist()
        for split in (name for name in SPLITS if name in splits):
            is_chosen = pc.and_(experiment.tasks["is_control"], pc.equal(experiment.tasks["region_split"], split))
            results_of_controls = experiment.results.filter(is_chosen)
            is_evaluated = evaluated(results_of_controls)
            rows += [_control_row(experiment, split, results_of_controls, is_evaluated, criterion) for criterion in config.criteria]
    return rows


def _control_row(
    experiment: Experiment, split: str, results: pa.Table, is_evaluated: NDArray[np.bool_], criterion: Criterion
) -> dict[str, object]:
    """Return the row of one experiment, split and criterion."""
    n_evaluated = int(np.count_nonzero(is_evaluated))
    n_called, called_frac = None, None
    if not criterion.is_truth_only:
        numbers = control_numbers(results, criterion.metrics)
        require_measured(results, is_evaluated, numbers)
        n_called = int(np.count_nonzero(meets(criterion, numbers) & is_evaluated))
        called_frac = n_called / n_evaluated if n_evaluated else None
    return {
        **experiment.key,
        "region_split": split,
        "criterion": criterion.name,
        "n_controls": results.num_rows,
        "n_evaluated": n_evaluated,
        "n_not_evaluated": results.num_rows - n_evaluated,
        "n_called": n_called,
        "called_frac": called_frac,
        "note": NOT_APPLICABLE if criterion.is_truth_only else "",
    }
