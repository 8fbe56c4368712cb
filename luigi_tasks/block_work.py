"""The work of a block of cache and injection, the same wherever it runs: objects in, objects and a commit mark out, no state.

A Luigi worker does it under the block's lease and loads the rows afterwards; so does a process of another engine, whose driver holds the
leases and loads the rows. Done again it finds the mark and does nothing; done twice at once it puts the same bytes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import luigi
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.errors import AccountingError, ObjectStoreError
from halo_core.records import RESULTS, arcs_schema
from halo_core.stages.cache import brick_planes, on_one_grid, planes_needed, planes_table
from halo_core.stages.files import StampWriter, read_table
from halo_core.stages.injection import inject_brick
from halo_core.stamps import ARCS_FILE, RESULTS_FILE
from luigi_tasks.block_plan import BlockPlan, block_tasks
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.hosts import block_hosts
from luigi_tasks.object_protocol import Files
from luigi_tasks.objects import ObjectRecord, Objects, sha256_of
from luigi_tasks.plane_budget import PlaneBudget
from luigi_tasks.progress import Progress
from luigi_tasks.sections import cut_block
from luigi_tasks.stage import put_table
from luigi_tasks.targets import BLOCK_MARK, PLANES_FILE, CommitTarget, block_prefix

Seconds = Mapping[tuple[str, str], float]
"""How long the fetches of planes took, by brick and plane [s]."""


@dataclass(frozen=True)
class BlockWork:
    """A block, its plan, and where its objects and its survey are.

    ``budget`` is what the cache keeps to where the state tells which blocks run; ``task`` is told of progress.
    """

    objects: Objects
    survey: Files
    plan: BlockPlan
    block: int
    budget: PlaneBudget | None = None
    task: luigi.Task | None = None

    def do(self, word: str, *, once_fetched: Callable[[], None]) -> Seconds:
        """Do what is not committed of this block of cache or injection; ``once_fetched`` is called when the survey is read no more."""
        is_new = word == "injection" and self._target(word).committed() is None
        planes, seconds = self._fetch(reads_pixels=is_new or word == "cache")
        once_fetched()
        if is_new:
            self._inject(planes)
        return seconds

    def _target(self, word: str) -> CommitTarget:
        """Return the block's commit in a stage."""
        return CommitTarget(self.objects, block_prefix(word, self.plan.digest_of(word), self.block), BLOCK_MARK)

    def _fetch(self, *, reads_pixels: bool) -> tuple[pa.Table, Seconds]:
        """Make sure of the block's planes and return their rows.

        Planes that an earlier attempt fetched are proven again where ``reads_pixels`` says that pixels are about to be read; a block whose
        rows alone are loaded needs none of them.
        """
        target = self._target("cache")
        key = f"{target.prefix}/{PLANES_FILE}"
        source = PlaneSource(self.survey, self.plan.source_id, self.objects, self.budget)
        mark = target.committed()
        if mark is None:
            planes, made = self._fetch_anew(source)
            target.commit(self._cache_mark(planes), made | {key: put_table(self.objects, key, planes)})
        planes = read_table(self.objects.path(key))
        if mark is not None and reads_pixels:
            self._prove(source, planes, mark)
        return planes, source.seconds

    def _fetch_anew(self, source: PlaneSource) -> tuple[pa.Table, dict[str, ObjectRecord]]:
        """Return the rows of the planes, fetched now, and what was stored beside them."""
        tasks = block_tasks(self.objects, self.plan, self.block)
        wanted = planes_needed(tasks["brickname"].to_pylist(), self.plan.injection.bands)
        if self.plan.cache_mode == "sections":
            key = self.plan.cutouts_key(self.block)
            rows, record = cut_block(source, wanted, tasks, self.plan.injection, key=key, task=self.task, block=self.block)
            return planes_table(rows), {key: record}
        rows = source.fetch_all(wanted, block=self.block, task=self.task)
        return planes_table(on_one_grid(rows, lambda row: self.objects.path(row["key"]))), {}

    def _cache_mark(self, planes: pa.Table) -> dict[str, Any]:
        """Return what the commit of the cached block says."""
        n_lost = sum(status != "ok" for status in planes["status"].to_pylist())
        counts = {"n_planes": planes.num_rows, "n_lost": n_lost}
        return {"stage": "cache", "digest": self.plan.cache_digest, "block": self.block, "counts": counts}

    def _prove(self, source: PlaneSource, planes: pa.Table, mark: Mapping[str, Any]) -> None:
        """Make sure that what was cached before is here and is what it was."""
        if self.plan.cache_mode == "sections":
            self._require_cutouts(mark)
            return
        for row in planes.to_pylist():
            if row["status"] != "ok":
                continue
            again = source.fetch(row["brickname"], row["plane"], block=self.block)
            if again["sha256"] != row["sha256"]:
                raise ObjectStoreError(
                    f"plane {row['plane']} of {row['brickname']}: sha256 {again['sha256']} ({again['reason'] or again['status']}), but "
                    f"{row['sha256']} was verified before; the survey at {row['source_uri']} has changed: give it another [survey] release"
                )

    def _require_cutouts(self, mark: Mapping[str, Any]) -> None:
        """Raise where cut-outs are not what was stored."""
        key = self.plan.cutouts_key(self.block)
        found, expected = sha256_of(self.objects.path(key)), mark["objects"][key]["sha256"]
        if found != expected:
            raise ObjectStoreError(
                f"{self.objects.uri(key)}: sha256 {found}, but {expected} was stored; find out what changed it, then remove it"
            )

    def _inject(self, planes: pa.Table) -> None:
        """Store hosts, arcs and results brick by brick, then commit."""
        plan, target = self.plan, self._target("injection")
        tasks = block_tasks(self.objects, plan, self.block)
        keys = {name: f"{target.prefix}/{name}" for name in (ARCS_FILE, RESULTS_FILE)}
        arcs_file = self.objects.temporary(keys[ARCS_FILE])
        progress = Progress(f"injection, block {self.block}", total=tasks.num_rows, unit="tasks", task=self.task)
        results = []
        with (
            block_hosts(self.objects, plan, self.block) as hosts,
            StampWriter(arcs_file, arcs_schema(plan.injection.store_size_pix)) as arcs,
        ):
            for brickname in dict.fromkeys(tasks["brickname"].to_pylist()):
                mine = tasks.filter(pc.equal(tasks["brickname"], brickname))
                of_brick = brick_planes(planes, brickname, hosts.path_of)
                made = inject_brick(mine, of_brick, plan.injection, hosts=hosts.cut_before(brickname), write_arcs=arcs.write)
                hosts.keep(made.hosts)
                results.append(made.results)
                progress.step(made.results.num_rows)
        counts = {"n_hosts": hosts.n_hosts, "n_arcs": arcs.n_rows, "n_tasks": tasks.num_rows}
        table = pa.concat_tables(results, promote_options="none").cast(RESULTS)
        check_counts(table.num_rows, tasks.num_rows, where=f"injection block {self.block}")
        records = hosts.put() | {keys[ARCS_FILE]: self.objects.put_file(keys[ARCS_FILE], arcs_file)}
        records[keys[RESULTS_FILE]] = put_table(self.objects, keys[RESULTS_FILE], table)
        used = {f"{row['brickname']} {row['plane']}": row["sha256"] for row in planes.to_pylist() if row["status"] == "ok"}
        content = {"stage": "injection", "digest": plan.injection_digest, "block": self.block, "counts": counts, "planes_sha256": used}
        target.commit(content | hosts.said, records)


def check_counts(n_rows: int, n_tasks: int, *, where: str) -> None:
    """Raise where a block has not exactly one result per task."""
    if n_rows != n_tasks:
        raise AccountingError(f"{where}: {n_rows} results for {n_tasks} tasks; every task must end as exactly one result")
