"""Parent: luminous red galaxies (or targets of your own) with sky cells, splits and a guard band."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import luigi
import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError, ObjectStoreError, SurveyDataError
from halo_core.stages.files import read_table
from halo_core.stages.parent import DERIVED, ParentSelector
from halo_core.stages.parent_apart import SplitsApart
from halo_core.stages.parent_cells import SKY_CELLS_FILE, CellWriter, cell_name, cell_row, cell_table, read_cell, read_parts
from halo_core.stages.parent_config import CutStep
from halo_core.stages.parent_external import ExternalSelector, conditions_from_maps, gives_regions, overlap_step
from halo_core.stages.parent_flow import add_flows
from halo_core.stages.parent_regions import GivenRegions, given_regions
from halo_core.stages.parent_seen import SeenObjects, shared_bricks
from halo_core.stages.region_statistics import STATISTICS_COLUMNS, region_statistics, split_shares
from halo_core.stages.selection_sets import region_selections
from halo_core.store.parent import store_cuts, store_parents
from halo_core.store.schema import require_head
from halo_core.store.selections import store_selections
from halo_core.store.sessions import begin
from halo_core.survey import layout
from halo_core.survey.catalogs import SELECTION_COLUMNS, external_chunks, open_sweep, read_bricks, read_external, sweep_chunks
from luigi_tasks.campaign import SELECTION
from luigi_tasks.identity import catalogue_tags
from luigi_tasks.progress import Progress, link
from luigi_tasks.stage import Built, IdentifiedTask, StageTask, put_table
from luigi_tasks.survey import ReadSurvey
from luigi_tasks.targets import BLOCK_MARK, REGION_SELECTIONS_FILE, CommitTarget, stage_prefix

MAX_GROUPS = 100
"""Most tasks that read the catalogue of a survey, whatever the number of its files."""

GROUP_BYTES = 64 << 20
"""What one of them reads at least, where there is so much [bytes]."""

_EXTERNAL_ROWS = 200_000
_ROWS_FILE = "rows.parquet"
_SEEN_FILE = "seen.parquet"


def group_files(n_bytes: Sequence[int]) -> list[tuple[int, int]]:
    """Return first and last file of each group of neighbouring files with these sizes [bytes]: about equal, few and not too small."""
    n_each = max(-(-sum(n_bytes) // MAX_GROUPS), GROUP_BYTES)
    group = (np.cumsum(n_bytes) - n_bytes) // n_each
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(n_bytes)]
    return [(first, after - 1) for first, after in pairwise(edges)]


def parent_keys(task: IdentifiedTask) -> dict[int, str]:
    """Return the key of each part of the parent catalogue by its sky cell, in the order of the cells."""
    cells = task.table_of("parent", SKY_CELLS_FILE)["cell"].to_pylist()
    return {cell: task.key_of("parent", cell_name(cell)) for cell in cells}


def parent_cells(task: IdentifiedTask) -> list[Path]:
    """Return the files of the parent catalogue, one per sky cell, in the order of the cells."""
    return [task.objects.path(key) for key in parent_keys(task).values()]


def iterate_parents(task: IdentifiedTask, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the parent catalogue sky cell by sky cell, all columns of ``records.PARENTS`` or some."""
    yield from read_parts(parent_cells(task), columns)


def set_members(task: IdentifiedTask) -> dict[str, list[int]] | None:
    """Return the regions of each selection set, None where the parent stage has no sets."""
    if task.key_of("parent", REGION_SELECTIONS_FILE) not in task.mark_of("parent")["objects"]:
        return None
    table = task.table_of("parent", REGION_SELECTIONS_FILE)
    members: dict[str, list[int]] = defaultdict(list)
    for name, region in zip(table["selection_set_id"].to_pylist(), table["region_id"].to_pylist(), strict=True):
        members[name].append(region)
    return dict(members)


def parent_bricks(task: IdentifiedTask) -> pa.Table:
    """Return the bricks whose conditions and quality count: the table given as --bricks-table, else the survey's."""
    return read_bricks(Path(task.bricks_table)) if task.bricks_table else task.table_of("survey", "bricks.parquet")


def own_regions(task: IdentifiedTask) -> GivenRegions | None:
    """Return the regions of the table given as --bricks-table and the sets over them, None where it has none.

    Raises
    ------
    ConfigurationError
        There are sets and no regions for them.
    """
    bricks = read_external(Path(task.bricks_table)) if task.bricks_table else {}
    if "region_id" in bricks:
        return given_regions(bricks, read_external(Path(task.region_selections)) if task.region_selections else None)
    if task.region_selections:
        raise ConfigurationError(
            f"--region-selections {task.region_selections} names regions, but --bricks-table {task.bricks_table!r} has no region_id; "
            "give the table of bricks with their regions"
        )
    return None


class SelectGroup(IdentifiedTask):
    """The parents among the objects of some neighbouring catalogue files, and which objects were seen. Safe to run again: same bytes."""

    resources = {"survey_reads": 1}  # noqa: RUF012

    first = luigi.IntParameter(description="Index of the first file of the survey's catalogue.", positional=False)
    last = luigi.IntParameter(description="Index of the last file.", positional=False)

    def requires(self) -> list[luigi.Task]:
        """The survey's bricks."""
        return [self.clone(ReadSurvey)]

    def output(self) -> CommitTarget:
        """Return the commit of these files."""
        prefix = f"{stage_prefix('parent', self.digest_of('parent'))}/files={self.first:06d}-{self.last:06d}"
        return CommitTarget(self.objects, prefix, BLOCK_MARK)

    def run(self) -> None:
        """Read each file in chunks, keep what passes, then commit."""
        keys = sorted(catalogue_tags(self.survey.files))[self.first : self.last + 1]
        selector = ParentSelector(parent_bricks(self), self.parent_config(), regions=own_regions(self))
        progress = Progress(f"parents of files {self.first}-{self.last}", total=len(keys), unit="files", task=self)
        seen, flows = SeenObjects(), []
        rows_key, seen_key = (f"{self.output().prefix}/{name}" for name in (_ROWS_FILE, _SEEN_FILE))
        rows_file = self.objects.temporary(rows_key)
        try:
            with CellWriter(rows_file) as writer:
                for key in keys:
                    for chunk in self._chunks(key):
                        seen.add(chunk, where=self.survey.files.uri(key))
                        parents, flow = selector.select(chunk)
                        writer.write(parents)
                        flows = [add_flows([*flows, flow])]
                    progress.step(1)
            records = {rows_key: self.objects.put_file(rows_key, rows_file), seen_key: put_table(self.objects, seen_key, seen.to_table())}
        finally:
            rows_file.unlink(missing_ok=True)
        counts = {
            "n_objects": seen.n_objects,
            "cut_flow": [asdict(step) for flow in flows for step in flow],
            "n_parents": dict(writer.n_rows),
        }
        self.output().commit({"stage": "parent", "counts": counts}, records)

    def on_failure(self, exception: BaseException) -> str:
        """Keep the error in the state as that of the parent stage."""
        return str(self.clone(BuildParent).on_failure(exception))

    def _chunks(self, key: str) -> Iterator[dict[str, NDArray[Any]]]:
        """Yield the rows of a file."""
        files, cuts = self.survey.files, self.parent_config().cuts
        sweep = open_sweep(partial(files.read_range, key), where=files.uri(key))
        for cut in cuts:
            cut.require({*sweep.names, *DERIVED}, files.uri(key))
        more = {name for cut in cuts for name in cut.columns if name in sweep.names}
        yield from sweep_chunks(sweep, columns=(*SELECTION_COLUMNS, *sorted(more)))


class BuildParent(StageTask):
    """The parent catalogue: one row per galaxy that passed the selection, with region, split and guard mark, and the cut flow."""

    word = "parent"

    def requires(self) -> list[luigi.Task]:
        """The survey's bricks."""
        return [self.clone(ReadSurvey)]

    def run(self) -> Iterator[list[luigi.Task]]:  # type: ignore[override]
        """Have the survey's catalogue read group by group where it is selected from, then build, commit and load."""
        if self.parent == SELECTION and self.output().committed() is None:
            link(self, self.objects.uri(self.output().prefix))
            require_head(self.state_url)
            with begin(self.state_url) as connection:
                self.register(connection)
            yield list(self.groups())
        super().run()

    def build(self) -> Built:
        """Merge what the groups selected, or take the given table."""
        return self._merged_groups() if self.parent == SELECTION else self._external()

    def load(self, connection: sa.Connection) -> None:
        """One row per cut, per selection set and region, and per parent where the state keeps them."""
        digest = self.digest_of(self.word)
        store_cuts(connection, self.mark_of(self.word)["counts"]["cut_flow"], stage_digest=digest)
        if self.key_of(self.word, REGION_SELECTIONS_FILE) in self.mark_of(self.word)["objects"]:
            store_selections(connection, self.table_of(self.word, REGION_SELECTIONS_FILE), stage_digest=digest)
        if self.state_parents:
            for cell, key in parent_keys(self).items():
                store_parents(connection, read_table(self.objects.path(key)), stage_digest=digest, sky_cell=cell)

    def groups(self) -> list[SelectGroup]:
        """Return the tasks that read the survey's catalogue, at most ``MAX_GROUPS``.

        Raises
        ------
        SurveyDataError
            The survey has no catalogue.
        """
        files = self.survey.files
        keys = sorted(catalogue_tags(files))
        if not keys:
            raise SurveyDataError(
                f"{files.root}: neither {layout.SWEEP_FOLDER}/*.fits nor {layout.TRACTOR_FOLDER}/*/tractor-*.fits to select parents "
                "from; give a table of targets as --parent"
            )
        known = files.list_sizes(layout.SWEEP_FOLDER if keys[0].startswith(layout.SWEEP_FOLDER) else layout.TRACTOR_FOLDER)
        sizes = [known[key] for key in keys]
        return [self.clone(SelectGroup, first=first, last=last) for first, last in group_files(sizes)]

    def _merged_groups(self) -> Built:
        """Return the catalogue that the groups selected together."""
        groups = [task.output() for task in self.groups()]
        self._check_unique([self.objects.path(f"{target.prefix}/{_SEEN_FILE}") for target in groups])
        files: dict[int, list[Path]] = defaultdict(list)
        flows: list[list[CutStep]] = []
        for target in groups:
            mark = target.committed()
            if mark is None:
                raise ObjectStoreError(f"{target} is gone, or an object it names; run BuildParent again")
            for cell in mark["counts"]["n_parents"]:
                files[int(cell)].append(self.objects.path(f"{target.prefix}/{_ROWS_FILE}"))
            flows.append([CutStep(**step) for step in mark["counts"]["cut_flow"]])
        return self._built(files, add_flows(flow for flow in flows if flow), has_given_splits=own_regions(self) is not None)

    def _check_unique(self, files: Sequence[Path]) -> None:
        """Raise where two groups have seen the same object; only bricks that several name are held against each other."""
        shared = shared_bricks(read_table(file, columns=["release", "brickid"]) for file in files)
        seen = SeenObjects()
        for file in files:
            table = read_table(file)
            names = zip(table["release"].to_pylist(), table["brickid"].to_pylist(), strict=True)
            seen.join(table.filter(pa.array([name in shared for name in names], type=pa.bool_())), where=self.survey.root)

    def _external(self) -> Built:
        """Return the given targets, with conditions from the bricks and, where these say nothing, from the survey's maps."""
        maps = partial(conditions_from_maps, plane_path=self._plane_path)
        regions = own_regions(self)
        selector = ExternalSelector(self.parent_config(), bricks=parent_bricks(self), maps=maps, regions=regions)
        file = self.objects.temporary(self.key_of(self.word, _ROWS_FILE))
        is_given, flows = regions is not None, []
        try:
            with CellWriter(file) as writer:
                for chunk in external_chunks(Path(self.parent), n_rows=_EXTERNAL_ROWS):
                    parents, flow = selector.select(chunk)
                    writer.write(parents)
                    is_given, flows = is_given or gives_regions(chunk), [add_flows([*flows, flow])]
            selector.check_unique()
            files = {cell: [file] for cell in writer.n_rows}
            return self._built(files, [step for flow in flows for step in flow], has_given_splits=is_given)
        finally:
            file.unlink(missing_ok=True)

    def _built(self, files: Mapping[int, Sequence[Path]], cut_flow: Sequence[CutStep], *, has_given_splits: bool) -> Built:
        """Return the catalogue whose rows stand in these files by sky cell: one object per cell, and their list."""
        built, rows = Built(), []
        apart = SplitsApart(2.0 * self.parent_config().guard_arcsec)
        progress = Progress("parents, sky cells merged", total=len(files), unit="cells", task=self)
        for cell in sorted(files):
            parents = read_cell(files[cell], cell)
            key = self.key_of(self.word, cell_name(cell))
            built.objects[key] = put_table(self.objects, key, parents)
            rows.append(cell_row(cell, parents))
            if has_given_splits:
                apart.add(
                    parents["ra"].to_numpy(), parents["dec"].to_numpy(), np.asarray(parents["region_split"].to_pylist(), dtype=np.str_)
                )
            progress.step(1)
        key = self.key_of(self.word, SKY_CELLS_FILE)
        built.objects[key] = put_table(self.objects, key, cell_table(rows))
        built.counts["n_parents"] = sum(row["n_rows"] for row in rows)
        steps = [*cut_flow, *([overlap_step(apart)] if has_given_splits else [])]
        built.counts |= {"cut_flow": [asdict(step) for step in steps], "has_given_splits": has_given_splits}
        regions = own_regions(self)
        self._add_regions(built, given=regions.membership if regions is not None else None)
        return built

    def _add_regions(self, built: Built, *, given: pa.Table | None) -> None:
        """Add what each split reached and, where there are selection sets, the regions they hold."""
        regions = region_statistics(iterate_parents(self, list(STATISTICS_COLUMNS)))
        fractions = None if built.counts["has_given_splits"] else dict(self.split_fractions)
        built.counts["splits"] = [asdict(share) for share in split_shares(regions, fractions)]
        selections = region_selections(regions, self.region_sets(), given, split_seed=self.split_seed)
        if selections is not None:
            key = self.key_of(self.word, REGION_SELECTIONS_FILE)
            built.objects[key] = put_table(self.objects, key, selections)

    def _plane_path(self, brickname: str, plane: str) -> Path | None:
        """Return a plane's file, None where the survey has none."""
        key = layout.plane_key(brickname, plane)
        return None if self.survey.files.size(key) is None else self.survey.files.path(key)
