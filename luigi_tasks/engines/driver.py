"""The driver of blocks that a cluster works on: it holds their leases, loads their rows as marks appear, and says what failed.

The cluster knows objects alone. What it commits is found by one listing now and then, and loaded in one transaction for all that is new.
Killed and started again it finds what is committed; two drivers of one stage share its blocks by their leases.
"""

import logging
import os
import socket
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import luigi

from halo_core.errors import BlocksFailedError, ConfigurationError, LeaseLostError, StoreError
from halo_core.store import blocks as block_store
from halo_core.store.sessions import begin, read
from luigi_tasks.block_plan import BlockPlan
from luigi_tasks.block_rows import BlockRows
from luigi_tasks.blocks import stage_progress
from luigi_tasks.campaign import CampaignTask
from luigi_tasks.engines.emr_extra import emr_engine
from luigi_tasks.engines.interrupts import unwinding_on_sigterm
from luigi_tasks.engines.request import BlocksRequest, failures_of, settings_of
from luigi_tasks.engines.settings import SparkSettings
from luigi_tasks.engines.software import software
from luigi_tasks.engines.submission import Engine, Running, SparkSubmit
from luigi_tasks.leases import LeaseSettings, has_ended, process_name
from luigi_tasks.local_cache import release_copies
from luigi_tasks.objects import Objects
from luigi_tasks.plane_budget import CacheSettings
from luigi_tasks.progress import report
from luigi_tasks.survey_reads import reads_resource
from luigi_tasks.targets import committed_marks

logger = logging.getLogger(__name__)

_ROWS_OF_BLOCKS_AT_ONCE = 16
_LONGEST_WAIT_S = 5.0


@dataclass(frozen=True)
class Driver:
    """The blocks of one stage, and who works on them: ``owner`` is the text that its leases have."""

    task: luigi.Task
    word: str
    plan: BlockPlan
    objects: Objects
    survey_root: str
    state_url: str
    owner: str
    engine: Engine = field(default_factory=SparkSubmit)

    @property
    def digest(self) -> str:
        """Digest of the stage."""
        return self.plan.digest_of(self.word)

    def run(self) -> None:
        """Have every block done and its rows loaded; wait for those that others work on.

        Raises
        ------
        BlocksFailedError
            Blocks failed; those that did not are loaded.
        """
        while self._unfinished():
            self.engine.prepare(self.objects)
            mine = self._take()
            try:
                if mine:
                    self._submit(mine)
                else:
                    time.sleep(_LONGEST_WAIT_S)
            finally:
                with begin(self.state_url) as connection:
                    block_store.release_leases(connection, self.digest, self.owner)

    def _unfinished(self) -> list[int]:
        """Return the blocks whose rows are not loaded."""
        with read(self.state_url) as connection:
            done = block_store.finished_blocks(connection, self.digest)
            return [plan.block for plan in block_store.planned_blocks(connection, self.digest) if plan.block not in done]

    def _take(self) -> list[int]:
        """Take the leases that are free or whose owner is no more, and return the blocks that are ours."""
        with begin(self.state_url) as connection:
            for owner in {*block_store.live_leases(connection, [self.digest]).values()}:
                if has_ended(owner):
                    logger.warning("%s: the worker %s is no more, its blocks are taken over", self.word, owner)
                    block_store.release_leases(connection, self.digest, owner)
            seconds = LeaseSettings().lease_seconds
            return block_store.take_leases(connection, self.digest, self.owner, seconds=seconds, host=socket.gethostname())

    def _submit(self, blocks: Sequence[int]) -> None:
        """Have blocks done by a cluster, load what it commits meanwhile, and raise what failed."""
        left = set(blocks)
        left -= self._load(left)
        if not left:
            return
        with unwinding_on_sigterm(), self.engine.submit(self.objects, self._request(sorted(left))) as submission:
            logger.info("%s: %d blocks submitted: %s", self.word, len(left), " ".join(submission.command))
            self._load_meanwhile(left, submission)
            left &= {*self._unfinished()}
            left -= self._load(left, submission.state())
            self._raise_failures(left & submission.blocks, submission)

    def _load_meanwhile(self, left: set[int], submission: Running) -> None:
        """Take blocks out of ``left`` as they are committed and loaded; a state that is away is asked again while the leases last."""
        seconds, state, reached, is_away = LeaseSettings().lease_seconds, "", time.monotonic(), False
        while submission.exit_code() is None:
            time.sleep(min(SparkSettings().poll_s, seconds / 3))
            try:
                if is_away:
                    left &= {*self._unfinished()}
                if submission.state() != state:
                    state = submission.state()
                    self._say_progress(state)
                left -= self._load(left, state)
                reached, is_away = time.monotonic(), False
            except LeaseLostError:
                raise
            except StoreError as error:
                if time.monotonic() - reached > seconds:
                    raise
                is_away = True
                logger.warning("%s: asked again in a while: %s", self.word, error)

    def _request(self, blocks: Sequence[int]) -> BlocksRequest:
        """Return what executors are asked."""
        reads = int(luigi.configuration.get_config().get("resources", reads_resource(self.survey_root), "1"))
        return BlocksRequest(
            word=self.word,
            digest=self.digest,
            objects_root=str(self.objects.root),
            survey_root=self.survey_root,
            blocks=tuple(blocks),
            sections=settings_of(),
            reads=reads,
            software=software(),
        )

    def _load(self, blocks: Iterable[int], state: str = "") -> set[int]:
        """Renew the leases, load the rows of blocks that are committed now, several in a transaction, and return them."""
        seconds, loaded = LeaseSettings().lease_seconds, set[int]()
        with begin(self.state_url) as connection:
            block_store.renew_leases(connection, self.digest, self.owner, seconds=seconds)
        found = sorted(committed_marks(self.objects, self.word, self.digest, blocks))
        for start in range(0, len(found), _ROWS_OF_BLOCKS_AT_ONCE):
            some = found[start : start + _ROWS_OF_BLOCKS_AT_ONCE]
            rows = [BlockRows.read(self.objects, self.plan, self.word, block, {}) for block in some]
            with begin(self.state_url) as connection:
                for row in rows:
                    row.store(connection)
                    block_store.finish_block(connection, self.digest, row.block, owner=self.owner)
                block_store.renew_leases(connection, self.digest, self.owner, seconds=seconds)
            loaded.update(some)
            release_copies()
        if loaded:
            self._say_progress(state)
        return loaded

    def _say_progress(self, state: str) -> None:
        """Log how far the stage is, and show it on the scheduler's page with how the cluster is."""
        text = "; ".join(part for part in (stage_progress(self.state_url, self.word, self.plan), state) if part)
        logger.info("%s", text)
        with read(self.state_url) as connection:
            found = block_store.block_progress(connection, self.digest)
        report(self.task, done=found.n_finished, total=found.n_blocks, text=text)

    def _raise_failures(self, left: set[int], submission: Running) -> None:
        """Record why blocks are not done, and raise where there are some."""
        if not left:
            return
        reasons = failures_of(self.objects, submission.key)
        ended = f"{submission.ended()} before it"
        with begin(self.state_url) as connection:
            for block in left:
                block_store.release_lease(connection, self.digest, block, self.owner, error=reasons.get(block, ended))
        first = min(left)
        raise BlocksFailedError(
            f"{self.word}: {len(left)} blocks failed, first {first}: {reasons.get(first, ended)}. "
            + ("halo status names the others" if reasons else f"Last words:\n{submission.tail()}")
        )


def run_blocks(task: CampaignTask, word: str, plan: BlockPlan, *, through: str | None = None) -> None:
    """Have the blocks of a stage done by the cluster of [spark], through what it says unless another way is given.

    Raises
    ------
    ConfigurationError
        The cache has a budget, which only workers that see the state can keep.
    BlocksFailedError
        Blocks failed.
    """
    if CacheSettings().n_bytes():
        raise ConfigurationError("[cache] max_bytes is kept by Luigi's workers alone; on Spark set it to 0, or use [cache] mode = sections")
    owner = f"{process_name(os.getpid())}/{uuid.uuid4().hex[:12]}"
    engine = engine_of(through or SparkSettings().through)
    Driver(task, word, plan, task.objects, task.survey.root, task.state_url, owner, engine).run()


def engine_of(through: str) -> Engine:
    """Return the engine by its name in [spark] through."""
    return SparkSubmit() if through == "spark-submit" else emr_engine()
