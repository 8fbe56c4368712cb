"""A campaign's rows for the summary, gathered block by block: each block is read once and left as a few numbers a row.

What is kept does not depend on how rows fall into blocks: floating-point sums are taken over whole experiments, in the order of
the manifest, which is that of bricks, hosts and injections whatever the size of a block.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.errors import AccountingError
from halo_core.seeds import hash_order
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_controls import ControlCounts, count_controls
from halo_core.stages.summary_rows import (
    PSF_SOURCE_COLUMNS,
    TASK_COLUMNS,
    Experiment,
    Injections,
    evaluated,
    experiments,
    injections_of,
    result_columns,
    selected,
)

Blocks = Iterable[tuple[pa.Table, pa.Table]]
"""Manifest and results of each block; the blocks in order."""

_ROWS_AT_ONCE = 500_000


PsfSources = Counter[tuple[str, str, int | None]]
"""Tasks by split, band and where the band's PSF size comes from."""


@dataclass
class ExperimentRows:
    """One experiment of a campaign: its injections in the order of the manifest, and its controls counted by split.

    ``psf_sources`` counts tasks, controls included. ``magnification`` has one entry for each evaluated injection that no earlier experiment
    of the tier has evaluated: over the experiments of a tier, every physical injection once.
    """

    key: dict[str, str | int]
    injections: Injections
    controls: dict[str, ControlCounts]
    psf_sources: PsfSources
    magnification: NDArray[np.float64]


@dataclass
class ExperimentParts:
    """What was gathered of one experiment so far, part by part."""

    key: dict[str, str | int]
    injections: list[Injections] = field(default_factory=list)
    controls: dict[str, ControlCounts] = field(default_factory=dict)
    psf_sources: PsfSources = field(default_factory=Counter)
    magnification: list[NDArray[np.float64]] = field(default_factory=list)

    def extend(self, later: "ExperimentParts") -> None:
        """Add what was gathered of later blocks."""
        self.injections += later.injections
        for split, counts in later.controls.items():
            self.controls[split] = self.controls.get(split, ControlCounts()) + counts
        self.psf_sources += later.psf_sources
        self.magnification += later.magnification

    def rows(self) -> ExperimentRows:
        """Return what was gathered, in one piece."""
        injections, magnification = Injections.join(self.injections), np.concatenate(self.magnification)
        return ExperimentRows(self.key, injections, self.controls, self.psf_sources, magnification)


@dataclass
class Gathered:
    """What was gathered of some blocks: its experiments, by the texts of their keys, and the hashes of the tasks' ids."""

    experiments: dict[tuple[str, ...], ExperimentParts] = field(default_factory=dict)
    id_hashes: list[NDArray[np.uint64]] = field(default_factory=list)

    @classmethod
    def of(cls, tasks: pa.Table, results: pa.Table, config: SummaryConfig) -> "Gathered":
        """Gather some whole blocks; see ``gather`` for the tables and the errors."""
        seen: dict[object, pa.ChunkedArray] = {}
        parts = [_parts_of(experiment, config, seen) for experiment in experiments(tasks, results, config)]
        return cls({_texts(one.key): one for one in parts}, [hash_order(tasks["task_id"].to_pylist())])

    def extend(self, later: "Gathered") -> None:
        """Add what was gathered of later blocks, which the other gives up."""
        self.id_hashes += later.id_hashes
        for texts, parts in later.experiments.items():
            if texts in self.experiments:
                self.experiments[texts].extend(parts)
            else:
                self.experiments[texts] = parts

    def rows(self) -> list[ExperimentRows]:
        """Return every experiment in the order of the keys, and keep none; AccountingError where ``gather`` says so."""
        _require_distinct(self.id_hashes)
        return [self.experiments.pop(texts).rows() for texts in sorted(self.experiments)]


def gather(blocks: Blocks, config: SummaryConfig) -> list[ExperimentRows]:
    """Return the rows of every experiment, in the order of their keys.

    Parameters
    ----------
    blocks : iterable of (Table, Table)
        Manifest and results of each block, blocks in order; at least ``summary_rows.TASK_COLUMNS`` and
        ``summary_rows.result_columns(config)``. Results of a block may stand in any order. The views of a physical injection stand in
        one block.
    config : SummaryConfig
        Criteria, bins, limits.

    Raises
    ------
    AccountingError
        There is no task; tasks and results of a block do not pair one to one; a task stands in two blocks; an evaluated row lacks a
        number, a loss has no reason, a weight is not positive.
    ConventionError
        A column is missing.
    """
    gathered = Gathered()
    for tasks, results in in_parts(blocks, TASK_COLUMNS, result_columns(config)):
        gathered.extend(Gathered.of(tasks, results, config))
    return gathered.rows()


def in_parts(blocks: Blocks, task_columns: tuple[str, ...], columns: tuple[str, ...]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield manifest and results of some whole blocks at a time, the columns that are read alone; ConventionError where one is missing."""
    tasks, results, n_rows = list[pa.Table](), list[pa.Table](), 0
    for block_tasks, block_results in blocks:
        tasks.append(selected(block_tasks, task_columns, "manifest"))
        results.append(selected(block_results, columns, "results"))
        n_rows += block_tasks.num_rows
        if n_rows >= _ROWS_AT_ONCE:
            yield pa.concat_tables(tasks), pa.concat_tables(results)
            tasks, results, n_rows = [], [], 0
    if tasks:
        yield pa.concat_tables(tasks), pa.concat_tables(results)


def n_repeated(keys: list[NDArray[np.uint64]]) -> int:
    """Return how many ids repeat another, from the 64-bit hashes of the ids of each part."""
    ordered = np.sort(np.concatenate(keys)) if keys else np.zeros(0, dtype=np.uint64)
    return int(np.count_nonzero(ordered[1:] == ordered[:-1]))


def _texts(key: Mapping[str, str | int]) -> tuple[str, ...]:
    """Return the texts that experiments are ordered by."""
    return tuple(str(value) for value in key.values())


def _parts_of(experiment: Experiment, config: SummaryConfig, seen: dict[object, pa.ChunkedArray]) -> ExperimentParts:
    """Return what is gathered of one experiment's rows; ``seen`` are the physical injections that have given their magnification."""
    return ExperimentParts(
        experiment.key,
        [injections_of(experiment, config)],
        count_controls(experiment, config),
        _psf_sources(experiment),
        [_new_magnifications(experiment, seen)],
    )


def _psf_sources(experiment: Experiment) -> PsfSources:
    """Return the tasks of an experiment by split, band and source of the band's PSF size."""
    found: PsfSources = Counter()
    for band in str(experiment.key["bandset"]):
        both = pa.table([experiment.tasks["region_split"], experiment.results[PSF_SOURCE_COLUMNS[band]]], ["split", "source"])
        for row in both.group_by(["split", "source"]).aggregate([([], "count_all")]).to_pylist():
            found[row["split"], band, row["source"]] += row["count_all"]
    return found


def _new_magnifications(experiment: Experiment, seen: dict[object, pa.ChunkedArray]) -> NDArray[np.float64]:
    """Return the magnification of each evaluated injection whose tier has not ``seen`` it in another experiment, and add those."""
    is_counted = pc.and_(pa.array(evaluated(experiment.results)), pc.invert(experiment.tasks["is_control"]))
    ids, tier = experiment.tasks["physical_id"].filter(is_counted), experiment.key["tier"]
    magnification = experiment.results["magnification"].filter(is_counted)
    if tier in seen:
        is_new = pc.invert(pc.is_in(ids, value_set=seen[tier]))
        ids, magnification = ids.filter(is_new), magnification.filter(is_new)
        seen[tier] = pa.chunked_array([*seen[tier].chunks, *ids.chunks], ids.type)
    else:
        seen[tier] = ids
    return np.asarray(magnification.to_numpy(), dtype=np.float64)


def _require_distinct(keys: list[NDArray[np.uint64]]) -> None:
    """Raise where there is no task, or a task stands in two parts."""
    n_tasks, repeated = sum(map(len, keys)), n_repeated(keys)
    if n_tasks == 0:
        raise AccountingError("the manifest has no task; there is nothing to summarise")
    if repeated:
        raise AccountingError(f"manifest: {n_tasks} rows have {n_tasks - repeated} distinct task_id; each task stands once")
