"""The driver of blocks that a cluster works on: it holds their leases, loads their rows as marks appear, and says what failed.

The cluster knows objects alone. What it commits is found by one listing now and then, and loaded in one transaction for all that is new.
Killed and started again it finds what is committed; two drivers of one stage share its blocks by their leases.
"""

import json
import logging
import os
import socket
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import luigi

from halo_core.errors import BlocksFailedError, ConfigurationError
from halo_core.store import blocks as block_store
from halo_core.store.sessions import begin, read
from luigi_tasks.block_plan import BlockPlan
from luigi_tasks.block_rows import BlockRows
from luigi_tasks.blocks import stage_progress
from luigi_tasks.campaign import CampaignTask
from luigi_tasks.engines.request import BlockOutcome, BlocksRequest, outcomes_key, settings_of
from luigi_tasks.engines.settings import SparkSettings
from luigi_tasks.engines.software import software
from luigi_tasks.engines.submission import Submission
from luigi_tasks.leases import LeaseSettings, has_ended, process_name
from luigi_tasks.local_cache import release_copies
from luigi_tasks.objects import Objects
from luigi_tasks.plane_budget import CacheSettings
from luigi_tasks.progress import report
from luigi_tasks.survey_reads import reads_resource
from luigi_tasks.targets import committed_marks, stage_prefix

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
        key = f"{stage_prefix(self.word, self.digest)}/_engine/{uuid.uuid4().hex[:12]}.json"
        self.objects.put(key, self._request(sorted(left)).to_json())
        settings = [f"objects.{name}={value}" for name, value in settings_of()["objects"].items() if name != "root"]
        with Submission([str(self.objects.root), key, *settings]) as submission:
            logger.info("%s: %d blocks submitted: %s", self.word, len(left), " ".join(submission.command))
            while submission.exit_code() is None:
                time.sleep(min(SparkSettings().poll_s, LeaseSettings().lease_seconds / 3))
                left -= self._load(left)
            left -= self._load(left)
            self._raise_failures(left, key, submission)

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

    def _load(self, blocks: Iterable[int]) -> set[int]:
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
            self._say_progress()
        return loaded

    def _say_progress(self) -> None:
        """Log how far the stage is, and show it on the scheduler's page."""
        text = stage_progress(self.state_url, self.word, self.plan)
        logger.info("%s", text)
        with read(self.state_url) as connection:
            found = block_store.block_progress(connection, self.digest)
        report(self.task, done=found.n_finished, total=found.n_blocks, text=text)

    def _raise_failures(self, left: set[int], key: str, submission: Submission) -> None:
        """Record why blocks are not done, and raise where there are some."""
        if not left:
            return
        told: list[BlockOutcome] = []
        if self.objects.size(outcomes_key(key)) is not None:
            told = [BlockOutcome(**outcome) for outcome in json.loads(self.objects.read(outcomes_key(key)))]
        reasons = {outcome.block: outcome.error for outcome in told if outcome.error is not None}
        ended = f"spark-submit ended with {submission.exit_code()} before it"
        with begin(self.state_url) as connection:
            for block in left:
                block_store.release_lease(connection, self.digest, block, self.owner, error=reasons.get(block, ended))
        first = min(left)
        raise BlocksFailedError(
            f"{self.word}: {len(left)} blocks failed, first {first}: {reasons.get(first, ended)}. "
            + ("halo status names the others" if reasons else f"Last words of spark-submit:\n{submission.tail()}")
        )


def run_blocks(task: CampaignTask, word: str, plan: BlockPlan) -> None:
    """Have the blocks of a stage done by the cluster of [spark].

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
    Driver(task, word, plan, task.objects, task.survey.root, task.state_url, owner).run()
