"""The block tasks of cache and injection: one Luigi task has a block's lease, does its work and loads its rows."""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager

import luigi

from halo_core.errors import LeaseLostError
from halo_core.store import blocks as block_store
from halo_core.store.sessions import begin, read
from halo_core.survey.layout import planes_for
from luigi_tasks.block_plan import BlockPlan, block_tasks
from luigi_tasks.block_rows import BlockRows
from luigi_tasks.block_work import BlockWork
from luigi_tasks.leases import Lease, leased
from luigi_tasks.local_cache import release_copies
from luigi_tasks.objects import Objects, open_objects
from luigi_tasks.places import open_survey
from luigi_tasks.plane_budget import plane_budget
from luigi_tasks.progress import describe, link
from luigi_tasks.survey_reads import Returnable, reads_resource
from luigi_tasks.targets import BlockTarget

logger = logging.getLogger(__name__)


class BlockTask(luigi.Task):
    """A block of a stage, known by the stage's digest and its number. Safe to run again: what is committed is only loaded."""

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
                        self._work(lease)
        except LeaseLostError:
            if not self.complete():
                raise
        finally:
            release_copies()
        self.say_progress()

    def _pinned(self) -> AbstractContextManager[None]:
        """Keep the planes of the block's bricks in the cache, where there is a budget."""
        plan = BlockPlan.read(self.objects, self.word, self.digest)
        budget = plane_budget(self.objects, plan.source_id, self.state_url)
        bricks = block_tasks(self.objects, plan, self.block)["brickname"].to_pylist() if budget.max_bytes else []
        return budget.pinned(self.digest, self.block, bricks)

    def _work(self, lease: Lease) -> None:
        """Do what is not committed and load the rows, the lease finished in the same transaction."""
        objects, plan = self.objects, BlockPlan.read(self.objects, self.word, self.digest)
        budget = plane_budget(objects, plan.source_id, self.state_url)
        work = BlockWork(objects, open_survey(self.survey_root), plan, self.block, budget=budget, task=self)
        seconds = work.do(self.word, once_fetched=self.give_reads_back)
        rows = BlockRows.read(objects, plan, self.word, self.block, seconds)
        with begin(self.state_url) as connection:
            rows.store(connection)
            lease.finish(connection)

    def say_progress(self) -> None:
        """Log how far the whole stage is, in tasks and in planes, by the state's count and clock."""
        plan = BlockPlan.read(self.objects, self.word, self.digest)
        logger.info("%s", stage_progress(self.state_url, self.word, plan))


def stage_progress(state_url: str, word: str, plan: BlockPlan) -> str:
    """Return one line on how far a stage of blocks is, in tasks and in planes, by the state's count and clock."""
    with read(state_url) as connection:
        found = block_store.block_progress(connection, plan.digest_of(word))
    per_brick = len(planes_for(plan.injection.bands))
    planes = {"done": per_brick * found.n_bricks_finished, "total": per_brick * found.n_bricks}
    elapsed_s, blocks = found.elapsed_s or 0.0, f"{found.n_finished:,} of {found.n_blocks:,} blocks"
    if word == "cache":
        return f"{describe(word, **planes, unit='planes', elapsed_s=elapsed_s)}; {blocks}"
    line = describe(word, done=found.n_tasks_finished, total=found.n_tasks, unit="tasks", elapsed_s=elapsed_s)
    return f"{line}; {blocks}, {planes['done']:,} of {planes['total']:,} planes"
