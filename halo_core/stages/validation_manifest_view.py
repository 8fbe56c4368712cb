"""What the checks of a manifest look at: some whole blocks of it at a time, and what it was made from."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.stages.grids import Grid
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import Parents
from halo_core.stages.planning import PlanRow
from halo_core.stages.priors import Priors, parse_priors, stream_uniforms

PART_ROWS = 100_000
"""Least number of rows that are looked at at a time; blocks stay whole."""


@dataclass(frozen=True)
class ManifestEvidence:
    """What a manifest was made from, read back from the record of its stages.

    Parameters
    ----------
    parents : callable
        Gives the parents table by table, see ``manifest_hosts.Parents``.
    plan : sequence of PlanRow
        What was built; the plan, reduced where that was allowed.
    grids : mapping of str to Grid
        The grids that the configuration names.
    bricknames : collection of str
        Bricks of the brick table (of the brick grid, where there is no table).
    seeds : mapping of str to int
        ``split_seed`` and ``sampling_seed`` as the stage recorded them.
    has_given_splits : bool
        Splits came with the parents: overlaps between them warn instead of stopping the run.
    regions : collection of int or None
        Regions of the selection sets; None where there are no sets.
    """

    parents: Parents
    plan: Sequence[PlanRow]
    grids: Mapping[str, Grid]
    bricknames: Collection[str]
    seeds: Mapping[str, int]
    has_given_splits: bool
    regions: Collection[int] | None = None


@dataclass(frozen=True)
class ManifestPart:
    """Some whole blocks of a manifest with its configuration and grids; derived tables are made once."""

    tasks: pa.Table
    config: ManifestConfig
    grids: Mapping[str, Grid]

    @cached_property
    def first_row(self) -> NDArray[np.int64]:
        """Return, for each task, the first task of the same physical injection."""
        codes = self.tasks["physical_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        return np.asarray(first[inverse], dtype=np.int64)

    @cached_property
    def physical(self) -> pa.Table:
        """Return one row per physical injection, the first of its views."""
        return self.tasks.take(pa.array(np.flatnonzero(self.first_row == np.arange(self.tasks.num_rows))))

    def column(self, name: str) -> NDArray[Any]:
        """Return a column over physical injections; text comes as objects."""
        return np.asarray(self.physical[name].to_numpy())

    @cached_property
    def is_control(self) -> NDArray[np.bool_]:
        """Return which physical injections are controls."""
        return np.asarray(self.column("is_control"), dtype=bool)

    @cached_property
    def injections(self) -> NDArray[np.int64]:
        """Return the rows of ``physical`` that are not controls."""
        return np.flatnonzero(~self.is_control)

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """Return the physical ids of some rows of ``physical``."""
        return list(self.physical["physical_id"].take(pa.array(rows)).to_pylist())

    @cached_property
    def priors(self) -> Priors:
        """Return the laws of the frozen variables."""
        return parse_priors(self.config.priors)

    @cached_property
    def uniforms(self) -> dict[str, NDArray[np.float64]]:
        """Return the uniform numbers of every stream of the frozen variables over the injections."""
        return stream_uniforms(self.ids(self.injections))

    def grid(self, tier: str) -> Grid | None:
        """Return the grid of a tier, or None where the configuration plans none."""
        return self.grids.get(self.config.grids[tier]) if tier in self.config.tiers else None

    def by_tier(self) -> Iterator[tuple[Grid | None, NDArray[np.int64]]]:
        """Yield the grid and the rows of ``physical`` of the injections of each tier."""
        tiers = self.column("tier")[self.injections]
        for tier in sorted(set(tiers.tolist())):
            yield self.grid(tier), self.injections[tiers == tier]


def in_parts(blocks: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the tables joined to parts of at least ``PART_ROWS`` rows; the last may be smaller."""
    waiting: list[pa.Table] = []
    for table in blocks:
        waiting.append(table)
        if sum(item.num_rows for item in waiting) >= PART_ROWS:
            yield pa.concat_tables(waiting)
            waiting = []
    if waiting:
        yield pa.concat_tables(waiting)
