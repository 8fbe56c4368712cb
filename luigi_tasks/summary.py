"""Summary: completeness cells with intervals and three-way accounting, from the manifest and its results."""

import json

import luigi
import sqlalchemy as sa

from halo_core.stages.grids import load_grid
from halo_core.stages.summary import summarise
from halo_core.stages.summary_blocks import ExperimentRows, gather
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_controls import control_table
from halo_core.stages.summary_ecsv import write_ecsv
from halo_core.stages.summary_expected import REFERENCE_GRID, is_reference_design
from halo_core.stages.summary_facts import summary_facts
from halo_core.stages.summary_models import smooth_models
from halo_core.stages.summary_regions import region_cells
from halo_core.store.summary import store_cells
from luigi_tasks.checks import summarised_rows
from luigi_tasks.engines.gathering import gather_on_cluster
from luigi_tasks.engines.settings import EngineSettings, SparkSettings
from luigi_tasks.injection import InjectAll
from luigi_tasks.parent import set_members
from luigi_tasks.places import grid_folder
from luigi_tasks.stage import Built, StageTask, put_table
from luigi_tasks.targets import CELLS_ECSV_FILE, CELLS_FILE, CONTROLS_FILE, FACTS_FILE, MODELS_FOLDER, REGIONS_FILE
from luigi_tasks.validation import ValidateStage


class SummariseCompleteness(StageTask):
    """The completeness cells: pooled, marginal and full surface, per criterion and subset, in Parquet and in the state."""

    word = "summary"

    def requires(self) -> list[luigi.Task]:
        """Injections that passed their checks."""
        return [self.clone(InjectAll), self.clone(ValidateStage, stage="injection")]

    def build(self) -> Built:
        """Count, pool, and put beside it the regions, the controls and the facts."""
        config = self.summary_config()
        campaign = gather_on_cluster(self) if self._has_cluster() else gather(summarised_rows(self), config)
        cells = summarise(campaign, config, selection_sets=set_members(self))
        regions = region_cells(campaign, config)
        built = Built(counts={"n_cells": cells.num_rows, "n_region_cells": regions.num_rows})
        for name, table in ((CELLS_FILE, cells), (REGIONS_FILE, regions)):
            built.objects[self.key_of(self.word, name)] = put_table(self.objects, self.key_of(self.word, name), table)
        ecsv_key = self.key_of(self.word, CELLS_ECSV_FILE)
        temporary = self.objects.temporary(ecsv_key)
        write_ecsv(temporary, cells)
        built.objects[ecsv_key] = self.objects.put_file(ecsv_key, temporary)
        self._put_json(built, CONTROLS_FILE, control_table(((one.key, one.controls) for one in campaign), config))
        self._put_json(built, FACTS_FILE, self._facts(campaign, config, built))
        return built

    def _has_cluster(self) -> bool:
        """Whether a cluster gathers: not where it would be made for that alone, and not with a detector's scores, whose table is here."""
        return not EngineSettings().is_local and SparkSettings().through == "spark-submit" and not self.scores

    def load(self, connection: sa.Connection) -> None:
        """One row per cell."""
        store_cells(connection, self.table_of(self.word, CELLS_FILE), stage_digest=self.digest_of(self.word))

    def _facts(self, campaign: list[ExperimentRows], config: SummaryConfig, built: Built) -> dict[str, list[dict[str, object]]]:
        """Store the smooth models that could be fitted, and return the facts, which say where they are or why there is none."""
        models = []
        for made in smooth_models(campaign, config):
            key = None
            if made.model is not None:
                key = self.key_of(self.word, f"{MODELS_FOLDER}/{made.name}.json")
                built.objects[key] = self.objects.put(key, made.model.to_json().encode())
            models.append(made.row | {"key": key})
        return summary_facts(campaign, config, models=models, reference_grids=self._reference_grids())

    def _put_json(self, built: Built, name: str, content: object) -> None:
        """Store an object as JSON."""
        key = self.key_of(self.word, name)
        built.objects[key] = self.objects.put(key, json.dumps(content, indent=1, sort_keys=True, allow_nan=False).encode())

    def _reference_grids(self) -> frozenset[str]:
        """Return the grids of the campaign that are the reference design, which theory has numbers for."""
        priors, shipped = self.manifest_config().priors, load_grid(REFERENCE_GRID, grid_folder(""))
        return frozenset(name for name, grid in self.grids().items() if is_reference_design(grid, priors, shipped))
