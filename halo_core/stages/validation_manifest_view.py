"""What the checks of a manifest look at: its tasks, its distinct physical injections, and what it was made from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.stages.grids import Grid
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.planning import PlanRow
from halo_core.stages.priors import Priors, parse_priors, stream_uniforms


@dataclass(frozen=True)
class ManifestEvidence:
    """What a manifest was made from, read back from the record of its stages.

    Parameters
    ----------
    parents : Table
        Schema ``PARENTS``.
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
    """

    parents: pa.Table
    plan: Sequence[PlanRow]
    grids: Mapping[str, Grid]
    bricknames: Collection[str]
    seeds: Mapping[str, int]
    has_given_splits: bool


@dataclass(frozen=True)
class ManifestView:
    """A manifest with its configuration and evidence; derived tables are made once."""

    tasks: pa.Table
    config: ManifestConfig
    evidence: ManifestEvidence

    @cached_property
    def first_row(self) -> NDArray[np.int64]:
        """Return, for each task, the first task of the same physical injection."""
        codes = self.tasks["physical_id"].combine_chunks().dictionary_encode().indices.to_numpy()
        _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
        return np.asarray(first[inverse], dtype=np.int64)

    @cached_property
    def physical(self) -> pa.Table:
        """Return one row per physical injection."""
        return self.tasks.take(pa.array(np.unique(self.first_row)))

    def column(self, name: str) -> NDArray[Any]:
        """Return a column over physical injections; text as codes would lose it, so it comes as objects."""
        return np.asarray(self.physical[name].to_numpy())

    def codes(self, *names: str) -> NDArray[np.int64]:
        """Return one integer per physical injection that tells the combinations of these columns apart."""
        code = np.zeros(self.physical.num_rows, dtype=np.int64)
        for name in names:
            part = self.physical[name].combine_chunks().dictionary_encode().indices.to_numpy().astype(np.int64)
            _, code = np.unique(code * (int(part.max(initial=0)) + 1) + part, return_inverse=True)
        return code

    @cached_property
    def is_control(self) -> NDArray[np.bool_]:
        """Return which physical injections are controls."""
        return np.asarray(self.column("is_control"), dtype=bool)

    @cached_property
    def injections(self) -> NDArray[np.int64]:
        """Return the rows of ``physical`` that are not controls."""
        return np.flatnonzero(~self.is_control)

    @cached_property
    def priors(self) -> Priors:
        """Return the laws of the frozen variables."""
        return parse_priors(self.config.priors)

    @cached_property
    def uniforms(self) -> dict[str, NDArray[np.float64]]:
        """Return the uniform numbers of every stream over the injections."""
        return stream_uniforms(self.physical["physical_id"].take(pa.array(self.injections)).to_pylist())

    def grid(self, tier: str) -> Grid | None:
        """Return the grid of a tier, or None where the configuration plans none."""
        return self.evidence.grids.get(self.config.grids[tier]) if tier in self.config.tiers else None
