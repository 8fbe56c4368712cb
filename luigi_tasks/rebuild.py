"""The state from the objects: every row that objects hold is loaded from them, or held against them.

Objects hold campaigns, stages, blocks, bricks, parents, plans, tasks, planes, results, cells and the findings of checks that passed. The
state alone knows attempts, machines, clock times, leases, and the errors and findings of what failed.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.records import Finding
from halo_core.seeds import canonical_json
from halo_core.stages.files import read_table
from halo_core.stages.parent_cells import PARENTS_FILE, cell_of_name
from halo_core.stamps import RESULTS_FILE
from halo_core.store import blocks as block_rows
from halo_core.store import campaigns, schema, stages
from halo_core.store.bulk import checksum, counts_by_block, fetch_rows, replace_rows
from halo_core.store.models import (
    Base,
    Brick,
    CoaddPlane,
    CompletenessCell,
    InjectionResult,
    InjectionTask,
    Parent,
    ParentCut,
    PlannedCount,
    RegionSelection,
)
from halo_core.store.parent import cut_rows, parent_rows
from halo_core.store.sessions import begin, read
from halo_core.store.validation import findings, store_findings
from luigi_tasks.block_plan import PLAN, BlockPlan, owned_planes
from luigi_tasks.manifest import planned_rows
from luigi_tasks.objects import Objects, sha256_of
from luigi_tasks.runs import RunStage, recorded_runs
from luigi_tasks.targets import (
    BLOCKS_FILE,
    CELLS_FILE,
    DESIGN_FILE,
    PLANES_FILE,
    REGION_SELECTIONS_FILE,
    STAGE_MARK,
    TASKS_FILE,
    CommitTarget,
    block_prefix,
    committed_marks,
    stage_prefix,
)

_WHOLE_TABLES: Mapping[str, tuple[type[Base], str]] = {
    "survey": (Brick, "bricks.parquet"),
    "summary": (CompletenessCell, CELLS_FILE),
}
_TABLES: Mapping[str, tuple[type[Base], ...]] = {
    **{word: (model,) for word, (model, _) in _WHOLE_TABLES.items()},
    "parent": (ParentCut, RegionSelection, Parent),
    "manifest": (PlannedCount, InjectionTask),
    "cache": (CoaddPlane,),
    "injection": (InjectionResult,),
}
"""The tables whose rows belong to a stage, by its word."""

_Repair = Callable[[sa.Connection], None]


@dataclass(frozen=True)
class Part:
    """Rows of one table that an object holds: those of a stage digest, of one block of it, or of one sky cell."""

    model: type[Base]
    stage_digest: str
    block: int | None
    key: str
    sha256: str | None
    rows: Callable[[], pa.Table]

    @property
    def place(self) -> tuple[str, int | None]:
        """Table and block."""
        return self.model.__tablename__, self.block

    def load(self, connection: sa.Connection) -> None:
        """Put the rows in place of what the state has."""
        replace_rows(connection, self.model, self.rows(), stage_digest=self.stage_digest, block=self.block)


@dataclass(frozen=True)
class Difference:
    """What state and objects disagree on, of a stage, of one block of it or of one sky cell; without a repair it must be run again."""

    stage: str
    stage_digest: str
    table: str
    block: int | None
    sentence: str
    repair: _Repair | None

    @property
    def place(self) -> str:
        """Table and, where it is one, the block or the sky cell of the rows, for people."""
        if self.block is None:
            return self.table
        return f"{self.table}, {'sky cell' if self.table == Parent.__tablename__ else 'block'} {self.block}"


@dataclass(frozen=True)
class StoredStage:
    """What objects hold of one stage: its mark where it is whole, and the marks of its whole blocks."""

    objects: Objects
    known: RunStage
    mark: Mapping[str, Any] | None
    plan: BlockPlan | None
    plans: tuple[block_rows.BlockPlan, ...]
    blocks: Mapping[int, Mapping[str, Any]]
    keeps_parents: bool

    @property
    def word(self) -> str:
        """The stage's word."""
        return self.known.stage

    @property
    def digest(self) -> str:
        """The stage's digest."""
        return self.known.stage_digest

    def key(self, name: str) -> str:
        """Return the key of one of the stage's objects."""
        return f"{stage_prefix(self.word, self.digest)}/{name}"

    def parts(self) -> Iterator[Part]:
        """Yield the rows that the stage's objects hold."""
        for block, mark in self.blocks.items():
            name = PLANES_FILE if self.word == "cache" else RESULTS_FILE
            key = f"{block_prefix(self.word, self.digest, block)}/{name}"
            yield self._part(_TABLES[self.word][0], key, mark, block)
        if self.mark is None:
            return
        if self.word in _WHOLE_TABLES:
            model, name = _WHOLE_TABLES[self.word]
            yield self._part(model, self.key(name), self.mark)
        if self.word == "parent":
            yield from self._parents(self.mark)
        if self.word == "manifest":
            yield self._part(PlannedCount, self.key(DESIGN_FILE), self.mark)
            for block in read_table(self.objects.path(self.key(BLOCKS_FILE)))["block"].to_pylist():
                yield self._part(InjectionTask, f"{block_prefix(self.word, self.digest, block)}/{TASKS_FILE}", self.mark, block)

    def tables(self) -> tuple[type[Base], ...]:
        """Return the tables that the state keeps of the stage."""
        return tuple(model for model in _TABLES.get(self.word, ()) if model is not Parent or self.keeps_parents)

    def findings(self) -> list[Finding] | None:
        """Return the findings of checks that passed, None for another stage."""
        if self.mark is None or not self.word.startswith("validation_"):
            return None
        return [Finding(**row) for row in json.loads(self.objects.read(self.key("findings.json")))]

    def finish(self, connection: sa.Connection) -> None:
        """Record the stage as done."""
        self.known.record(connection)
        if self.mark is not None:
            stages.finish_stage(connection, self.digest, self.mark["counts"])

    def _parents(self, mark: Mapping[str, Any]) -> Iterator[Part]:
        """Yield the cuts, the selection sets where there are some and, where the state keeps them, the parents of each sky cell."""
        cuts = cut_rows(mark["counts"]["cut_flow"])
        yield Part(ParentCut, self.digest, None, f"{stage_prefix(self.word, self.digest)}/{STAGE_MARK}", None, lambda: cuts)
        if self.key(REGION_SELECTIONS_FILE) in mark["objects"]:
            yield self._part(RegionSelection, self.key(REGION_SELECTIONS_FILE), mark)
        if self.keeps_parents:
            for key in (key for key in mark["objects"] if key.endswith(f"/{PARENTS_FILE}")):
                yield self._part(Parent, key, mark, cell_of_name(key))

    def _part(self, model: type[Base], key: str, mark: Mapping[str, Any], block: int | None = None) -> Part:
        """Return the rows that one object holds."""
        return Part(model, self.digest, block, key, mark["objects"][key]["sha256"], partial(self._rows, model, key, block))

    def _rows(self, model: type[Base], key: str, block: int | None) -> pa.Table:
        """Return the rows of one object as the state has them."""
        if model is PlannedCount and self.mark is not None:
            asked, design = self.mark["parameters"], json.loads(self.objects.read(key))
            rows = planned_rows(design, tuple(asked["stamp_sizes"]), len(asked["bandsets"]))
            return pa.Table.from_pylist([row._asdict() for row in rows])
        table = read_table(self.objects.path(key))
        if model is Parent:
            return parent_rows(table, block)
        if model is CoaddPlane and self.plan is not None and block is not None:
            return owned_planes(self.objects, self.plan, table, block)
        return table


def stored_stage(objects: Objects, known: RunStage, *, keeps_parents: bool) -> StoredStage:
    """Return what objects hold of a stage, for a state that keeps the rows of parents or does not."""
    prefix = stage_prefix(known.stage, known.stage_digest)
    mark = CommitTarget(objects, prefix, STAGE_MARK).committed()
    if known.stage not in ("cache", "injection") or objects.size(f"{prefix}/{PLAN}") is None:
        return StoredStage(objects, known, mark, None, (), {}, keeps_parents)
    plan = BlockPlan.read(objects, known.stage, known.stage_digest)
    table = read_table(objects.path(f"{stage_prefix('manifest', plan.manifest_digest)}/{BLOCKS_FILE}"))
    plans = tuple(block_rows.BlockPlan(**row) for row in table.to_pylist())
    marks = committed_marks(objects, known.stage, known.stage_digest, [one.block for one in plans])
    return StoredStage(objects, known, mark, plan, plans, marks, keeps_parents)


def recorded_stages(objects: Objects, name: str | None = None) -> list[RunStage]:
    """Return every stage of the runs that the store knows, of one campaign or of all, each once."""
    found = {stage.stage_digest: stage for run in recorded_runs(objects, name) for stage in run.stages}
    return list(found.values())


def rebuild(state_url: str, objects: Objects, *, say: Callable[[str], None], keeps_parents: bool = True) -> None:
    """Load an empty state from the objects, parents where the state keeps them; the tables are made where they are not there.

    Raises
    ------
    StoreError
        The state holds rows, or the store knows no run.
    """
    schema.upgrade(state_url)
    with read(state_url) as connection:
        if campaigns.campaign_names(connection):
            raise StoreError("the state holds campaigns; rebuild fills an empty one. For one with rows: halo state verify --repair")
    if not (known := recorded_stages(objects)):
        raise StoreError(f"no run of a campaign is recorded below {objects.uri('campaigns')}; run the campaign: it loads what is there")
    for stage in known:
        stored = stored_stage(objects, stage, keeps_parents=keeps_parents)
        n_rows = _load(state_url, stored)
        say(f"{stage.stage} {stage.stage_digest}: {n_rows:,} rows{'' if stored.mark is not None else ', not finished'}")
    with begin(state_url) as connection:
        _register_runs(connection, objects, None)


def verify(state_url: str, objects: Objects, name: str | None = None, *, keeps_parents: bool = True) -> Iterator[Difference]:
    """Yield what differs between objects and state, of one campaign's stages or of all.

    Counts and checksums are compared by digest, table and block; objects are held against their marks first.

    Raises
    ------
    StoreError
        No run of this name is recorded among the objects, or the state is not at this code's revision.
    """
    schema.require_head(state_url)
    if not (known := recorded_stages(objects, name)):
        raise StoreError(f"no run of {name or 'any campaign'} is recorded below {objects.uri('campaigns')}: nothing to compare with")
    for stage in known:
        stored = stored_stage(objects, stage, keeps_parents=keeps_parents)
        with read(state_url) as connection:
            yield from _stage_differences(connection, stored)
            yield from _block_differences(connection, stored)
            yield from _row_differences(connection, stored)
    with read(state_url) as connection:
        yield from _run_differences(connection, objects, name)


def _load(state_url: str, stored: StoredStage) -> int:
    """Load one stage, block by block in transactions of their own, and return the number of its rows."""
    if stored.mark is None and stored.word.startswith("validation_"):
        return 0
    n_rows = 0
    with begin(state_url) as connection:
        stored.known.record(connection)
        block_rows.plan_blocks(connection, stored.digest, stored.plans)
        if (found := stored.findings()) is not None:
            store_findings(connection, stored.digest, found)
            n_rows += len(found)
    for part in stored.parts():
        rows = part.rows()
        with begin(state_url) as connection:
            n_rows += replace_rows(connection, part.model, rows, stage_digest=part.stage_digest, block=part.block)
            if part.block in stored.blocks:
                block_rows.finish_block(connection, stored.digest, part.block)
    with begin(state_url) as connection:
        stored.finish(connection)
    return n_rows


def _register_runs(connection: sa.Connection, objects: Objects, name: str | None) -> None:
    """Register every recorded run, the earliest first, at the time it was first registered."""
    for run in recorded_runs(objects, name):
        campaigns.set_created(connection, run.register(connection), run.created_at)


def _stage_differences(connection: sa.Connection, stored: StoredStage) -> Iterator[Difference]:
    """Yield where the record of a stage, or its findings, differ."""
    row = stages.stage(connection, stored.digest)
    is_done = row is not None and row.status == "done"
    describe = partial(Difference, stored.word, stored.digest, "stages", None)
    if stored.mark is None:
        if is_done:
            yield describe("done in the state, but its objects are not whole: run the campaign again", None)
        return
    if row is None or not is_done or row.counts != canonical_json(stored.mark["counts"]):
        yield describe(f"done by its objects, {'not recorded' if row is None else row.status} in the state", stored.finish)
    found = stored.findings()
    if found is not None and found != findings(connection, stored.digest):
        repair = partial(store_findings, digest=stored.digest, findings=found)
        yield Difference(stored.word, stored.digest, "validation_findings", None, f"other findings than the {len(found)} stored", repair)


def _block_differences(connection: sa.Connection, stored: StoredStage) -> Iterator[Difference]:
    """Yield where the blocks of a stage differ: planned otherwise, or finished without their objects."""
    describe = partial(Difference, stored.word, stored.digest, "blocks")
    planned = block_rows.planned_blocks(connection, stored.digest)
    if stored.plans and not planned:

        def plan(connection: sa.Connection) -> None:
            stored.known.record(connection)
            block_rows.plan_blocks(connection, stored.digest, stored.plans)

        yield describe(None, f"{len(stored.plans)} blocks are not planned in the state", plan)
    elif list(stored.plans) != planned:
        yield describe(None, f"the state has another plan of {len(planned)} blocks: delete the campaign and run it again", None)
    for block in sorted(block_rows.finished_blocks(connection, stored.digest) - stored.blocks.keys()):
        undo = partial(block_rows.unfinish_block, digest=stored.digest, block=block)
        yield describe(block, "finished in the state, but its objects are not whole", undo)


def _row_differences(connection: sa.Connection, stored: StoredStage) -> Iterator[Difference]:
    """Yield where the rows of a stage differ, by table and block."""
    finished = block_rows.finished_blocks(connection, stored.digest)
    seen: set[tuple[str, int | None]] = set()
    for part in stored.parts():
        seen.add(part.place)
        describe = partial(Difference, stored.word, stored.digest, part.model.__tablename__, part.block)
        if part.sha256 is not None and (found := sha256_of(stored.objects.path(part.key))) != part.sha256:
            yield describe(f"{stored.objects.uri(part.key)} has sha256 {found}, its mark says {part.sha256}: delete it and run again", None)
            continue
        ours, theirs = part.rows(), fetch_rows(connection, part.model, stage_digest=part.stage_digest, block=part.block)
        sums = [checksum(part.model, rows) for rows in (ours, theirs)]
        repair = partial(_reload, stored=stored, part=part)
        if ours.num_rows != theirs.num_rows:
            yield describe(f"{ours.num_rows:,} rows in objects, {theirs.num_rows:,} in the state", repair)
        elif sums[0] != sums[1]:
            yield describe(f"{ours.num_rows:,} rows of checksum {sums[0][:12]} in objects, {sums[1][:12]} in the state", repair)
        elif part.block in stored.blocks and part.block not in finished:
            yield describe("the rows are there, the block is not finished in the state", repair)
    for model in stored.tables():
        for block, n_rows in counts_by_block(connection, model, stage_digest=stored.digest).items():
            if (model.__tablename__, block) not in seen:
                repair = partial(_empty, model=model, digest=stored.digest, block=block)
                yield Difference(stored.word, stored.digest, model.__tablename__, block, f"{n_rows:,} rows that no object holds", repair)


def _run_differences(connection: sa.Connection, objects: Objects, name: str | None) -> Iterator[Difference]:
    """Yield the latest run of each campaign that the state does not know, or links to other stages."""
    latest = {run.name: run for run in recorded_runs(objects, name)}
    for run in latest.values():
        found = campaigns.latest_campaign(connection, run.name)
        links = {} if found is None else campaigns.run_digests(connection, found.campaign_id)
        wanted = {one.stage: one.stage_digest for one in run.stages if stages.stage(connection, one.stage_digest) is not None}
        if found is None or found.config != canonical_json(dict(run.config)) or not wanted.items() <= links.items():
            repair = partial(_register_runs, objects=objects, name=run.name)
            yield Difference("campaign", run.key, "campaigns", None, f"the latest run of {run.name} is not the one in the state", repair)


def _reload(connection: sa.Connection, *, stored: StoredStage, part: Part) -> None:
    """Load rows again, and finish their block."""
    part.load(connection)
    if part.block in stored.blocks:
        block_rows.finish_block(connection, stored.digest, part.block)


def _empty(connection: sa.Connection, *, model: type[Base], digest: str, block: int | None) -> None:
    """Take out rows that no object holds."""
    none = fetch_rows(connection, model, stage_digest=digest, block=block).slice(0, 0)
    replace_rows(connection, model, none, stage_digest=digest, block=block)


def repair(state_url: str, differences: Iterable[Difference]) -> list[Difference]:
    """Load again what differs, each in a transaction of its own; return what only a new run of the campaign mends."""
    left = []
    for difference in differences:
        if difference.repair is None:
            left.append(difference)
            continue
        with begin(state_url) as connection:
            difference.repair(connection)
    return left
