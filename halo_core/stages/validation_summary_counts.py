"""What the checks of the summary count in the manifest and its results: one pass over the blocks, kept as a few numbers by key.

The counts are made with pyarrow's own grouping, not with the summary's pools.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.errors import AccountingError
from halo_core.seeds import hash_order
from halo_core.stages.criteria import RESOLUTION
from halo_core.stages.summary_blocks import Blocks, in_parts, n_repeated
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import EXPERIMENT_COLUMNS, TASK_COLUMNS, evaluated, result_columns

KEYS = (*EXPERIMENT_COLUMNS, "region_split")


@dataclass
class InputCounts:
    """Manifest and results in numbers.

    Attributes
    ----------
    n_tasks, n_results : int
        Rows of the manifest and of the results.
    missing : dict of str to list of str
        Columns that are read and not there, by table (``manifest``, ``results``); nothing else is counted where there are some.
    n_absent, n_unknown, n_repeated : int
        Tasks without result, results without task, ids that repeat another of their table.
    trouble : str
        Why the injections cannot be counted; empty where they were.
    injections : dict of tuple to tuple of int
        By ``KEYS``: injections, evaluated ones, and those that meet each criterion.
    tasks : dict of tuple to int
        By ``KEYS``: tasks, controls included.
    physical : dict of tuple to (int, float)
        By tier and grid: physical injections that a view evaluated, and their least magnification. The views of one stand in one block.
    """

    n_tasks: int = 0
    n_results: int = 0
    missing: dict[str, list[str]] = field(default_factory=lambda: {"manifest": [], "results": []})
    n_absent: int = 0
    n_unknown: int = 0
    n_repeated: int = 0
    trouble: str = ""
    injections: dict[tuple[object, ...], tuple[int, ...]] = field(default_factory=dict)
    tasks: Counter[tuple[object, ...]] = field(default_factory=Counter)
    physical: dict[tuple[object, ...], tuple[int, float]] = field(default_factory=dict)


def count_inputs(blocks: Blocks, config: SummaryConfig) -> InputCounts:
    """Return the counts of the manifest and results that a summary was made from, block by block as in ``summary_blocks.gather``."""
    counts, task_keys, result_keys = InputCounts(), list[NDArray[np.uint64]](), list[NDArray[np.uint64]]()
    whole = _blocks_with_columns(blocks, counts, config)
    for tasks, results in in_parts(whole, TASK_COLUMNS, result_columns(config)):
        task_keys.append(hash_order(tasks["task_id"].to_pylist()))
        if tasks["task_id"].equals(results["task_id"]):
            result_keys.append(task_keys[-1])
        else:
            result_keys.append(hash_order(results["task_id"].to_pylist()))
            counts.n_absent += pc.sum(pc.invert(pc.is_in(tasks["task_id"], value_set=results["task_id"])), min_count=0).as_py()
            counts.n_unknown += pc.sum(pc.invert(pc.is_in(results["task_id"], value_set=tasks["task_id"])), min_count=0).as_py()
        for row in tasks.group_by(list(KEYS)).aggregate([([], "count_all")]).to_pylist():
            counts.tasks[tuple(row[name] for name in KEYS)] += row["count_all"]
        if not counts.trouble:
            try:
                injections = _injections(tasks, results, config)
                _add(counts, injections, config)
                _add_physical(counts, injections)
            except AccountingError as error:
                counts.trouble = str(error)
    counts.n_repeated = n_repeated(task_keys) + n_repeated(result_keys)
    return counts


def _blocks_with_columns(blocks: Blocks, counts: InputCounts, config: SummaryConfig) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield the blocks that have the columns that are read, counting rows and the columns that others lack."""
    for tasks, results in blocks:
        counts.n_tasks += tasks.num_rows
        counts.n_results += results.num_rows
        for name, table, needed in (("manifest", tasks, TASK_COLUMNS), ("results", results, result_columns(config))):
            known = (*table.column_names, *counts.missing[name])
            counts.missing[name] += [column for column in needed if column not in known]
        if not any(counts.missing.values()):
            yield tasks, results


def _add(counts: InputCounts, injections: pa.Table, config: SummaryConfig) -> None:
    """Add the injections of some blocks."""
    sums = ["is_evaluated", *(f"meets_{criterion.name}" for criterion in config.criteria)]
    grouped = injections.group_by(list(KEYS)).aggregate([("is_evaluated", "count"), *((name, "sum") for name in sums)])
    for row in grouped.to_pylist():
        key = tuple(row[name] for name in KEYS)
        new = (row["is_evaluated_count"], *(row[f"{name}_sum"] for name in sums))
        old = counts.injections.get(key, (0,) * len(new))
        counts.injections[key] = tuple(before + more for before, more in zip(old, new, strict=True))


def _add_physical(counts: InputCounts, injections: pa.Table) -> None:
    """Add the physical injections of some whole blocks."""
    grouped = injections.filter(injections["is_evaluated"]).group_by(["tier", "grid"])
    for row in grouped.aggregate([("physical_id", "count_distinct"), ("magnification", "min")]).to_pylist():
        n_old, least = counts.physical.get((row["tier"], row["grid"]), (0, float("inf")))
        if row["magnification_min"] is None:
            raise AccountingError(f"no evaluated injection of tier {row['tier']} has a magnification")
        counts.physical[row["tier"], row["grid"]] = n_old + row["physical_id_count_distinct"], min(least, row["magnification_min"])


def _injections(tasks: pa.Table, results: pa.Table, config: SummaryConfig) -> pa.Table:
    """Return the injections' keys, magnification, is_evaluated and meets_<criterion>, or raise where a task has no result."""
    found = results.append_column("is_evaluated", pa.array(evaluated(results)))
    if not tasks["task_id"].equals(results["task_id"]):
        place = pc.index_in(tasks["task_id"], value_set=results["task_id"])
        if place.null_count:
            raise AccountingError(f"{place.null_count} tasks have no result")
        found = found.take(place)
    resolution = pc.divide(tasks["theta_e_arcsec"], found["psf_fwhm_used_r_arcsec"])
    table = tasks.select([*KEYS, "physical_id"])
    for name in ("magnification", "is_evaluated"):
        table = table.append_column(name, found[name])
    for criterion in config.criteria:
        is_met = found["is_evaluated"]
        for metric, minimum in criterion.minimums:
            values = resolution if metric == RESOLUTION else found[metric]
            is_met = pc.and_(is_met, pc.fill_null(pc.greater_equal(values, minimum), False))
        table = table.append_column(f"meets_{criterion.name}", is_met)
    return table.filter(pc.invert(tasks["is_control"]))
