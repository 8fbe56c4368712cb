"""Summary: completeness cells with intervals and three-way accounting, from the manifest and its results."""

import json

import luigi
import sqlalchemy as sa

from halo_core.stages.summary import summarise
from halo_core.stages.summary_blocks import gather
from halo_core.stages.summary_controls import control_table
from halo_core.stages.summary_ecsv import write_ecsv
from halo_core.stages.summary_regions import region_cells
from halo_core.stages.summary_rows import TASK_COLUMNS, result_columns
from halo_core.store.summary import store_cells
from luigi_tasks.checks import tasks_and_results
from luigi_tasks.injection import InjectAll
from luigi_tasks.parent import set_members
from luigi_tasks.stage import Built, StageTask, put_table
from luigi_tasks.targets import CELLS_ECSV_FILE, CELLS_FILE, CONTROLS_FILE, REGIONS_FILE
from luigi_tasks.validation import ValidateStage


class SummariseCompleteness(StageTask):
    """The completeness cells: pooled, marginal and full surface, per criterion and subset, in Parquet and in the state."""

    word = "summary"

    def requires(self) -> list[luigi.Task]:
        """Injections that passed their checks."""
        return [self.clone(InjectAll), self.clone(ValidateStage, stage="injection")]

    def build(self) -> Built:
        """Count, pool, and put beside it the regions and the controls."""
        config = self.summary_config()
        campaign = gather(tasks_and_results(self, TASK_COLUMNS, result_columns(config)), config)
        cells = summarise(campaign, config, selection_sets=set_members(self))
        regions = region_cells(campaign, config)
        built = Built(counts={"n_cells": cells.num_rows, "n_region_cells": regions.num_rows})
        for name, table in ((CELLS_FILE, cells), (REGIONS_FILE, regions)):
            built.objects[self.key_of(self.word, name)] = put_table(self.objects, self.key_of(self.word, name), table)
        ecsv_key = self.key_of(self.word, CELLS_ECSV_FILE)
        temporary = self.objects.temporary(ecsv_key)
        write_ecsv(temporary, cells)
        built.objects[ecsv_key] = self.objects.put_file(ecsv_key, temporary)
        controls = json.dumps(control_table(((one.key, one.controls) for one in campaign), config), indent=1, sort_keys=True)
        built.objects[self.key_of(self.word, CONTROLS_FILE)] = self.objects.put(self.key_of(self.word, CONTROLS_FILE), controls.encode())
        return built

    def load(self, connection: sa.Connection) -> None:
        """One row per cell."""
        store_cells(connection, self.table_of(self.word, CELLS_FILE), stage_digest=self.digest_of(self.word))
