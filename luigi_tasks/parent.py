"""Parent: luminous red galaxies (or targets of your own) with sky cells, splits and a guard band."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import luigi
import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from halo_core.stages.parent import select_parents
from halo_core.stages.parent_config import CutStep
from halo_core.stages.parent_external import conditions_from_maps, external_parents
from halo_core.store.parent import store_parents
from halo_core.survey import layout
from halo_core.survey.bricks import brick_at
from halo_core.survey.catalogs import read_external, read_sweeps
from luigi_tasks.campaign import SELECTION
from luigi_tasks.identity import sweep_tags
from luigi_tasks.stage import Built, StageTask, put_table
from luigi_tasks.survey import ReadSurvey


class ParentBuild(NamedTuple):
    """A parent catalogue, what its cuts left, and whether its splits came with the table."""

    parents: pa.Table
    cut_flow: list[CutStep]
    has_given_splits: bool


class BuildParent(StageTask):
    """The parent catalogue: one row per galaxy that passed the selection, with region, split and guard mark, and the cut flow."""

    word = "parent"

    def requires(self) -> list[luigi.Task]:
        """The survey's bricks."""
        return [self.clone(ReadSurvey)]

    def build(self) -> Built:
        """Select from the survey's catalogue, or take the given table."""
        parents, cut_flow, has_given_splits = self._selected() if self.parent == SELECTION else self._external()
        key = self.key_of(self.word, "parents.parquet")
        counts = {"n_parents": parents.num_rows, "cut_flow": [asdict(step) for step in cut_flow], "has_given_splits": has_given_splits}
        return Built({key: put_table(self.objects, key, parents)}, counts)

    def load(self, connection: sa.Connection) -> None:
        """One row per parent."""
        store_parents(connection, self.table_of(self.word, "parents.parquet"), stage_digest=self.digest_of(self.word))

    def _selected(self) -> ParentBuild:
        """Return the selection from the sweeps."""
        sweeps = [self.survey.files.path(key) for key in sorted(sweep_tags(self.survey.files))]
        parents, cut_flow = select_parents(read_sweeps(sweeps), self.table_of("survey", "bricks.parquet"), self.parent_config())
        return ParentBuild(parents, cut_flow, has_given_splits=False)

    def _external(self) -> ParentBuild:
        """Return the given targets, with conditions from the bricks and, where these say nothing, from the survey's maps."""
        columns = read_external(Path(self.parent))
        bricks, conditions = self.table_of("survey", "bricks.parquet"), self._conditions(columns)
        parents, cut_flow = external_parents(columns, self.parent_config(), bricks=bricks, conditions=conditions)
        return ParentBuild(parents, cut_flow, has_given_splits="region_id" in columns or "region_split" in columns)

    def _conditions(self, columns: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]] | None:
        """Return seeing and depth at each target; None where the table lacks positions, which the selection refuses by name."""
        if "ra" not in columns or "dec" not in columns:
            return None
        ra, dec = columns["ra"].astype(np.float64), columns["dec"].astype(np.float64)
        names = columns["brickname"].astype(str) if "brickname" in columns else brick_at(ra, dec).brickname
        return conditions_from_maps(ra, dec, names, self._plane_path)

    def _plane_path(self, brickname: str, plane: str) -> Path | None:
        """Return a plane's file, None where the survey has none."""
        key = layout.plane_key(brickname, plane)
        return None if self.survey.files.size(key) is None else self.survey.files.path(key)
