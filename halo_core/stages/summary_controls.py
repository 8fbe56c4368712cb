"""Controls: how many a criterion would call, counted apart from every completeness."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from halo_core.constants import SPLITS
from halo_core.stages.criteria import Criterion, meets
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import Experiment, control_numbers, evaluated, require_measured

NOT_APPLICABLE = "not applicable: the criterion reads what was painted, and a control has no arc"


@dataclass(frozen=True)
class ControlCounts:
    """Controls of one experiment and split; ``n_called`` by criterion, those that read the truth left out. They add up."""

    n_controls: int = 0
    n_evaluated: int = 0
    n_called: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "ControlCounts") -> "ControlCounts":
        names = self.n_called or other.n_called
        called = {name: self.n_called.get(name, 0) + other.n_called.get(name, 0) for name in names}
        return ControlCounts(self.n_controls + other.n_controls, self.n_evaluated + other.n_evaluated, called)


def count_controls(experiment: Experiment, config: SummaryConfig) -> dict[str, ControlCounts]:
    """Return the controls of an experiment by split.

    Raises
    ------
    AccountingError
        A row is neither evaluated nor lost for a reason; an evaluated control lacks a metric that an applicable criterion reads.
    """
    counts = {}
    splits = experiment.tasks.filter(experiment.tasks["is_control"])["region_split"].unique().to_pylist()
    for split in splits:
        is_chosen = pc.and_(experiment.tasks["is_control"], pc.equal(experiment.tasks["region_split"], split))
        results = experiment.results.filter(is_chosen)
        is_evaluated = evaluated(results)
        called = {}
        for criterion in (one for one in config.criteria if not one.is_truth_only):
            numbers = control_numbers(results, criterion.metrics)
            require_measured(results, is_evaluated, numbers)
            called[criterion.name] = int(np.count_nonzero(meets(criterion, numbers) & is_evaluated))
        counts[split] = ControlCounts(results.num_rows, int(np.count_nonzero(is_evaluated)), called)
    return counts


def control_table(
    controls: Iterable[tuple[Mapping[str, str | int], Mapping[str, ControlCounts]]], config: SummaryConfig
) -> list[dict[str, object]]:
    """Return what share of the controls each criterion would call a lens.

    Parameters
    ----------
    controls : iterable of (mapping, mapping)
        Key of each experiment, and its controls by split.
    config : SummaryConfig
        Gives the criteria.

    Returns
    -------
    list of dict
        One per experiment, split and criterion: tier, grid, stamp_size, bandset, region_split, criterion, n_controls,
        n_evaluated, n_not_evaluated, n_called, called_frac, note. A criterion that reads the truth has n_called and
        called_frac None and says so in ``note``: it never looked, which is not the same as calling none.
    """
    return [
        {**key, "region_split": split} | _called(by_split[split], criterion)
        for key, by_split in controls
        for split in SPLITS
        if split in by_split
        for criterion in config.criteria
    ]


def _called(counts: ControlCounts, criterion: Criterion) -> dict[str, object]:
    """Return the columns of one criterion."""
    n_called = counts.n_called.get(criterion.name)
    return {
        "criterion": criterion.name,
        "n_controls": counts.n_controls,
        "n_evaluated": counts.n_evaluated,
        "n_not_evaluated": counts.n_controls - counts.n_evaluated,
        "n_called": n_called,
        "called_frac": n_called / counts.n_evaluated if n_called is not None and counts.n_evaluated else None,
        "note": NOT_APPLICABLE if criterion.is_truth_only else "",
    }
