"""What the block tasks of cache and injection share: the plan they read, the manifest rows of a block, its planes."""

import json
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from typing import Any

import luigi
import pyarrow as pa

from halo_core.errors import AccountingError, LeaseLostError, ObjectStoreError
from halo_core.stages.cache import CacheMode, on_one_grid, planes_needed, planes_table
from halo_core.stages.files import read_table
from halo_core.stages.injection import InjectionConfig
from halo_core.stamps import CUTOUTS_FILE
from halo_core.store import blocks as block_rows
from halo_core.store.sessions import read
from halo_core.survey.layout import planes_for
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.leases import Lease, leased
from luigi_tasks.local_cache import release_copies
from luigi_tasks.objects import ObjectRecord, Objects, open_objects, sha256_of
from luigi_tasks.places import open_survey
from luigi_tasks.plane_budget import plane_budget
from luigi_tasks.progress import describe, link
from luigi_tasks.sections import cut_block
from luigi_tasks.stage import put_table
from luigi_tasks.survey_reads import Returnable, reads_resource
from luigi_tasks.targets import PLANES_FILE, TASKS_FILE, BlockTarget, block_prefix, stage_prefix

logger = logging.getLogger(__name__)

PLAN = "_plan.json"


@dataclass(frozen=True)
class BlockPlan:
    """What every block of a stage is done by; stored before the first block starts. A plan of before there were modes has none: whole."""

    manifest_digest: str
    cache_digest: str
    injection_digest: str
    source_id: str
    injection: InjectionConfig
    cache_mode: CacheMode = "whole"

    def put(self, objects: Objects, word: str, digest: str) -> None:
        """Store the plan; the same digest gives the same plan."""
        objects.put(f"{stage_prefix(word, digest)}/{PLAN}", json.dumps(asdict(self), indent=1, sort_keys=True).encode())

    def cutouts_key(self, block: int) -> str:
        """Return the key of a block's cut-outs."""
        return f"{block_prefix('cache', self.cache_digest, block)}/{CUTOUTS_FILE}"

    @classmethod
    def read(cls, objects: Objects, word: str, digest: str) -> "BlockPlan":
        """Read the plan of a stage."""
        content: dict[str, Any] = json.loads(objects.read(f"{stage_prefix(word, digest)}/{PLAN}"))
        injection: Mapping[str, Any] = content.pop("injection")
        return cls(**content, injection=InjectionConfig(**{**injection, "bands": tuple(injection["bands"])}))


class BlockTask(luigi.Task):
    """A block of a stage, known by the stage's digest and its number."""

    digest: str = luigi.Parameter(description="Digest of the stage.")
    block: int = luigi.IntParameter(description="Number of the block.")
    objects_root: str = luigi.Parameter(description="Folder or s3://bucket/prefix of the objects.")
    survey_root: str = luigi.Parameter(description="Folder, s3://bucket/prefix or https://host/path that holds coadd/.")
    state_url: str = luigi.Parameter(
        description="SQLAlchemy URL of the state.", significant=False, visibility=luigi.parameter.ParameterVisibility.HIDDEN
    )

    word: str
    decrease_running_resources: Callable[[dict[str, int]], None] | None = None

    @property
    def resources(self) -> dict[str, int]:  # type: ignore[override]
        """What the block needs to fetch its planes: the right to read the survey."""
        return Returnable({reads_resource(self.survey_root): 1})

    def give_reads_back(self) -> None:
        """Let another block fetch while this one goes on; a task that no scheduler runs holds nothing."""
        if self.decrease_running_resources is not None:
            self.decrease_running_resources(self.resources)

    @property
    def objects(self) -> Objects:
        """The object store."""
        return open_objects(self.objects_root)

    def output(self) -> BlockTarget:
        """Return the block's commit, which counts once its rows are in the state."""
        return BlockTarget(self.objects, self.word, self.digest, self.block, self.state_url)

    def run(self) -> None:
        """Take the block's lease, do the work, load its rows; wait while another worker has it, and leave what that one finished.

        Raises
        ------
        LeaseLostError
            The lease ended before the work did, and the block is not done by another either.
        """
        link(self, self.objects.uri(self.output().prefix))
        try:
            with leased(self.state_url, self.digest, self.block, is_done=self.complete) as lease:
                if lease is not None:
                    with self._pinned():
                        self.work(lease)
        except LeaseLostError:
            if not self.complete():
                raise
        finally:
            release_copies()
        self.say_progress(self.word)

    def _pinned(self) -> AbstractContextManager[None]:
        """Keep the planes of the block's bricks in the cache, where there is a budget."""
        plan = BlockPlan.read(self.objects, self.word, self.digest)
        budget = plane_budget(self.objects, plan.source_id, self.state_url)
        bricks = block_tasks(self.objects, plan, self.block)["brickname"].to_pylist() if budget.max_bytes else []
        return budget.pinned(self.digest, self.block, bricks)

    @abstractmethod
    def work(self, lease: Lease) -> None:
        """Do what is not committed and load the rows, the lease finished in the same transaction."""

    def say_progress(self, name: str) -> None:
        """Log how far the whole stage is, in tasks and in planes, by the state's count and clock."""
        with read(self.state_url) as connection:
            found = block_rows.block_progress(connection, self.digest)
        per_brick = len(planes_for(BlockPlan.read(self.objects, self.word, self.digest).injection.bands))
        planes = {"done": per_brick * found.n_bricks_finished, "total": per_brick * found.n_bricks}
        tasks = {"done": found.n_tasks_finished, "total": found.n_tasks}
        elapsed_s, blocks = found.elapsed_s or 0.0, f"{found.n_finished:,} of {found.n_blocks:,} blocks"
        if name == "cache":
            logger.info("%s; %s", describe(name, **planes, unit="planes", elapsed_s=elapsed_s), blocks)
        else:
            line = describe(name, **tasks, unit="tasks", elapsed_s=elapsed_s)
            logger.info("%s; %s, %s of %s planes", line, blocks, f"{planes['done']:,}", f"{planes['total']:,}")


def block_tasks(objects: Objects, plan: BlockPlan, block: int) -> pa.Table:
    """Return the manifest rows of a block."""
    return read_table(objects.path(f"{block_prefix('manifest', plan.manifest_digest, block)}/{TASKS_FILE}"))


def fetch_block(task: BlockTask, plan: BlockPlan, *, reads_pixels: bool) -> tuple[pa.Table, pa.Table]:
    """Make sure of a block's planes: the first step of the block's own task.

    The right to read the survey is given back at the end. Planes that an earlier attempt fetched are proven again where ``reads_pixels``
    says that pixels are about to be read; a block whose rows alone are loaded needs none of them.

    Returns
    -------
    planes, owned : Table
        Every plane the block reads, and those of bricks that no earlier block asked for: the rows this block loads, with the time that
        fetching took now, NULL where nothing was fetched.
    """
    objects, block = task.objects, task.block
    target = BlockTarget(objects, "cache", plan.cache_digest, block, task.state_url)
    key = f"{target.prefix}/{PLANES_FILE}"
    tasks = block_tasks(objects, plan, block)
    budget = plane_budget(objects, plan.source_id, task.state_url)
    source = PlaneSource(open_survey(task.survey_root), plan.source_id, objects, budget)
    mark = target.committed()
    if mark is None:
        wanted = planes_needed(tasks["brickname"].to_pylist(), plan.injection.bands)
        made: dict[str, ObjectRecord] = {}
        if plan.cache_mode == "sections":
            cutouts = plan.cutouts_key(block)
            rows, made[cutouts] = cut_block(source, wanted, tasks, plan.injection, key=cutouts, task=task, block=block)
        else:
            rows = on_one_grid(source.fetch_all(wanted, block=block, task=task), lambda row: objects.path(row["key"]))
        planes = planes_table(rows)
        target.commit(_cache_mark(plan, block, planes), made | {key: put_table(objects, key, planes)})
    planes = read_table(objects.path(key))
    if mark is not None and reads_pixels:
        if plan.cache_mode == "sections":
            _require_cutouts(objects, plan.cutouts_key(block), mark)
        else:
            _restore(source, planes, block)
    task.give_reads_back()
    return planes, _with_seconds(owned_planes(objects, plan, planes, block), source)


def _with_seconds(planes: pa.Table, source: PlaneSource) -> pa.Table:
    """Return asset rows with the column of how long their fetches took."""
    pairs = zip(planes["brickname"].to_pylist(), planes["plane"].to_pylist(), strict=True)
    return planes.append_column("fetch_seconds", pa.array([source.seconds.get(pair) for pair in pairs], pa.float64()))


def _cache_mark(plan: BlockPlan, block: int, planes: pa.Table) -> dict[str, Any]:
    """Return what the commit of a cached block says."""
    n_lost = sum(status != "ok" for status in planes["status"].to_pylist())
    return {"stage": "cache", "digest": plan.cache_digest, "block": block, "counts": {"n_planes": planes.num_rows, "n_lost": n_lost}}


def _restore(source: PlaneSource, planes: pa.Table, block: int) -> None:
    """Fetch again what was verified before and is no longer in the cache; other bytes than before are an error."""
    for row in planes.to_pylist():
        if row["status"] != "ok":
            continue
        again = source.fetch(row["brickname"], row["plane"], block=block)
        if again["sha256"] != row["sha256"]:
            raise ObjectStoreError(
                f"plane {row['plane']} of {row['brickname']}: sha256 {again['sha256']} ({again['reason'] or again['status']}), but "
                f"{row['sha256']} was verified before; the survey at {row['source_uri']} has changed: give it another [survey] release"
            )


def _require_cutouts(objects: Objects, key: str, mark: Mapping[str, Any]) -> None:
    """Raise where cut-outs are not what was stored."""
    found, expected = sha256_of(objects.path(key)), mark["objects"][key]["sha256"]
    if found != expected:
        raise ObjectStoreError(f"{objects.uri(key)}: sha256 {found}, but {expected} was stored; find out what changed it, then remove it")


def owned_planes(objects: Objects, plan: BlockPlan, planes: pa.Table, block: int) -> pa.Table:
    """Return the planes of bricks that the block before did not ask for; blocks follow the order of bricks."""
    if block == 0:
        return planes
    before = set(block_tasks(objects, plan, block - 1)["brickname"].to_pylist())
    return planes.filter(pa.array([name not in before for name in planes["brickname"].to_pylist()]))


def check_counts(n_rows: int, n_tasks: int, *, where: str) -> None:
    """Raise where a block has not exactly one result per task."""
    if n_rows != n_tasks:
        raise AccountingError(f"{where}: {n_rows} results for {n_tasks} tasks; every task must end as exactly one result")
