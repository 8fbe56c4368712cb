"""Manifest: one row per task, every parameter and seed frozen, in blocks of neighbouring bricks."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import luigi
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from halo_core.stages.files import read_table
from halo_core.stages.manifest import ManifestBuild, build_manifest
from halo_core.store import blocks as block_rows
from halo_core.store.manifest import PlannedRow, store_plan, store_tasks
from luigi_tasks.parent import BuildParent
from luigi_tasks.plan import PlanOnly, parents_of, selected_regions
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
        """Plan, draw, freeze; one file per block, each written as it is made."""
        made = build_manifest(parents_of(self), self.manifest_config(), self.grids(), regions=selected_regions(self))
        built, blocks = Built(), list[block_rows.BlockPlan]()
        for block, tasks in enumerate(made.blocks()):
            key = f"{block_prefix(self.word, self.digest_of(self.word), block)}/{TASKS_FILE}"
            built.objects[key] = put_table(self.objects, key, tasks)
            n_injections, n_bricks = (pc.count_distinct(tasks[name]).as_py() for name in ("physical_id", "brickname"))
            blocks.append(block_rows.BlockPlan(block, n_injections, tasks.num_rows, n_bricks))
        key = self.key_of(self.word, BLOCKS_FILE)
        built.objects[key] = put_table(self.objects, key, pa.Table.from_pylist([block._asdict() for block in blocks]))
        key = self.key_of(self.word, DESIGN_FILE)
        built.objects[key] = self.objects.put(key, json.dumps(_design(made), indent=1, sort_keys=True).encode())
        built.counts |= {"n_tasks": sum(block.n_tasks for block in blocks), "n_physical": made.n_physical}
        built.counts |= {"n_hosts": made.hosts.num_rows, "n_blocks": made.n_blocks}
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


def planned_rows(design: Mapping[str, Any], stamp_sizes: tuple[int, ...], n_bandsets: int) -> list[PlannedRow]:
    """Return what was planned for each tier, split and stamp size, over all bandsets."""
    return [
        PlannedRow(row["tier"], row["split"], size, row["n_injections"] * n_bandsets, row["n_controls"] * n_bandsets)
        for row in design["plan"]
        for size in stamp_sizes
    ]
