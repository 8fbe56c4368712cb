"""Manifest: one row per task, every parameter and seed frozen, in blocks of neighbouring bricks."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from itertools import pairwise
from typing import Any

import luigi
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from halo_core.stages.files import read_table
from halo_core.stages.manifest import ManifestBuild, build_manifest
from halo_core.store.manifest import PlannedRow, store_plan, store_tasks
from luigi_tasks.parent import BuildParent
from luigi_tasks.plan import PlanOnly
from luigi_tasks.stage import Built, StageTask, put_table
from luigi_tasks.targets import BLOCKS_FILE, DESIGN_FILE, TASKS_FILE, block_prefix
from luigi_tasks.validation import ValidateStage


class BuildManifest(PlanOnly, StageTask):
    """The manifest: one Parquet file per block and one row of state per task. planned = built, to the row, or it fails."""

    word = "manifest"

    def requires(self) -> list[luigi.Task]:
        """A parent catalogue that passed its checks; a plan needs none."""
        return [] if self.plan_only else [self.clone(BuildParent), self.clone(ValidateStage, stage="parent")]

    def build(self) -> Built:
        """Plan, draw, freeze; then one file per block."""
        made = build_manifest(self.table_of("parent", "parents.parquet"), self.manifest_config(), self.grids())
        built = Built(
            counts={
                "n_tasks": made.tasks.num_rows,
                "n_hosts": _n_distinct(made.tasks, "host_id"),
                "n_physical": _n_distinct(made.tasks, "physical_id"),
            }
        )
        block_of_row = made.tasks["block"].to_numpy()
        edges = np.searchsorted(block_of_row, np.arange(made.n_blocks + 1))
        for block, (start, stop) in enumerate(pairwise(edges.tolist())):
            key = f"{block_prefix(self.word, self.digest_of(self.word), block)}/{TASKS_FILE}"
            built.objects[key] = put_table(self.objects, key, made.tasks.slice(start, stop - start))
        key = self.key_of(self.word, BLOCKS_FILE)
        built.objects[key] = put_table(self.objects, key, _block_table(made.tasks))
        key = self.key_of(self.word, DESIGN_FILE)
        built.objects[key] = self.objects.put(key, json.dumps(_design(made), indent=1, sort_keys=True).encode())
        built.counts["n_blocks"] = made.n_blocks
        return built

    def load(self, connection: sa.Connection) -> None:
        """One row per task."""
        design = json.loads(self.objects.read(self.key_of(self.word, DESIGN_FILE)))
        store_plan(connection, planned_rows(design, self.stamp_sizes, len(self.bandsets)), stage_digest=self.digest_of(self.word))
        for block in self.table_of(self.word, BLOCKS_FILE)["block"].to_pylist():
            tasks = read_table(self.objects.path(f"{block_prefix(self.word, self.digest_of(self.word), block)}/{TASKS_FILE}"))
            store_tasks(connection, tasks, stage_digest=self.digest_of(self.word), block=block)


def _design(made: ManifestBuild) -> dict[str, Any]:
    """Return the record of how the manifest came about: plan, strata, supply, reductions."""
    return {
        "plan": [asdict(row) for row in made.plan],
        "psf_edges_arcsec": list(made.psf_edges_arcsec),
        "depth_edges_mag": list(made.depth_edges_mag),
        "shares": [asdict(share) for share in made.shares],
        "reductions": [asdict(finding) for finding in made.findings],
        "supply": made.supply,
    }


def _block_table(tasks: pa.Table) -> pa.Table:
    """Return one row per block: what it holds."""
    counts = tasks.group_by("block").aggregate([("physical_id", "count_distinct"), ("task_id", "count"), ("brickname", "count_distinct")])
    names = {
        "block": "block",
        "n_injections": "physical_id_count_distinct",
        "n_tasks": "task_id_count",
        "n_bricks": "brickname_count_distinct",
    }
    return pa.table({name: counts[column].cast(pa.int64()) for name, column in names.items()}).sort_by("block")


def _n_distinct(tasks: pa.Table, column: str) -> int:
    """Return the number of distinct values of a column."""
    return int(pc.count_distinct(tasks[column]).as_py())


def planned_rows(design: Mapping[str, Any], stamp_sizes: tuple[int, ...], n_bandsets: int) -> list[PlannedRow]:
    """Return what was planned for each tier, split and stamp size, over all bandsets."""
    return [
        PlannedRow(row["tier"], row["split"], size, row["n_injections"] * n_bandsets, row["n_controls"] * n_bandsets)
        for row in design["plan"]
        for size in stamp_sizes
    ]
