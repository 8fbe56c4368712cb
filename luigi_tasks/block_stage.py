"""Stages of block tasks: those still to do yielded in one list, then one commit mark that names every block's objects."""

import hashlib
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import luigi

from halo_core.errors import ObjectStoreError
from halo_core.store import blocks as block_rows
from halo_core.store.schema import require_head
from halo_core.store.sessions import begin, read
from luigi_tasks.block_plan import PLAN, BlockPlan
from luigi_tasks.blocks import BlockTask
from luigi_tasks.engines.driver import run_blocks
from luigi_tasks.engines.settings import EngineSettings
from luigi_tasks.manifest import BuildManifest
from luigi_tasks.objects import ObjectRecord
from luigi_tasks.plane_losses import outcome_lines
from luigi_tasks.progress import link
from luigi_tasks.stage import Built, StageTask
from luigi_tasks.targets import BLOCK_MARK, BLOCKS_FILE, READERS, StageTarget, block_prefix, committed_marks, stage_prefix
from luigi_tasks.validation import ValidateStage

logger = logging.getLogger(__name__)


class BlockStage(StageTask):
    """A stage of block tasks; ``words`` are the stages whose blocks those tasks finish."""

    words: tuple[str, ...]
    block_kind: type[BlockTask]

    def requires(self) -> list[luigi.Task]:
        """A manifest that passed its checks; once the blocks are planned those still to do too, so that every worker may take some.

        Luigi gives tasks that were yielded to the worker that yielded them and to assistants only.
        """
        blocks = map(self.block_task, self._planned_undone) if EngineSettings().is_local else ()
        return [self.clone(BuildManifest), self.clone(ValidateStage, stage="manifest"), *blocks]

    def block_task(self, block: int) -> luigi.Task:
        """Return the task of one block."""
        return self.block_kind(
            digest=self.digest_of(self.word),
            block=block,
            objects_root=self.objects_root,
            survey_root=self.survey.root,
            state_url=self.state_url,
        )

    def run(self) -> Iterator[list[luigi.Task]]:  # type: ignore[override]
        """Store the plan, yield the blocks to do, then commit and say so in the state. Runs again from the top after the yield."""
        link(self, self.objects.uri(self.output().prefix))
        require_head(self.state_url)
        plan, blocks = self.plan_blocks()
        if EngineSettings().is_local:
            yield [self.block_task(block) for block in self._undone(blocks)]
        else:
            run_blocks(self, self.word, plan)
        for word in self.words:
            self._close(word, blocks)

    def plan_blocks(self) -> tuple[BlockPlan, list[int]]:
        """Record the run and its blocks in the state, store the plan beside the blocks, and return it with the blocks' numbers."""
        plans = [block_rows.BlockPlan(**row) for row in self.table_of("manifest", BLOCKS_FILE).to_pylist()]
        plan = self.plan()
        with begin(self.state_url) as connection:
            self.register(connection)
            for word in self.words:
                block_rows.plan_blocks(connection, self.digest_of(word), plans)
        for word in self.words:
            plan.put(self.objects, word, self.digest_of(word))
        return plan, [one.block for one in plans]

    def blocks_are_done(self) -> bool:
        """Return whether the blocks are planned, and each is committed and its rows are loaded."""
        with read(self.state_url) as connection:
            planned = [plan.block for plan in block_rows.planned_blocks(connection, self.digest_of(self.word))]
        return bool(planned) and not self._undone(planned)

    def plan(self) -> BlockPlan:
        """Return what every block is done by."""
        return BlockPlan(
            manifest_digest=self.digest_of("manifest"),
            cache_digest=self.digest_of("cache"),
            injection_digest=self.digest_of("injection"),
            source_id=self.survey.source_id,
            injection=self.injection_config(),
            cache_mode=self.cache_mode,
        )

    def build(self) -> Built:
        """Name every block's objects."""
        return self._blocks_built(self.word, self.table_of("manifest", BLOCKS_FILE)["block"].to_pylist())

    @cached_property
    def _planned_undone(self) -> list[int]:
        """Blocks that another run has planned and nobody has finished; asked once, for Luigi wants the requirements again and again."""
        digest = self.digest_of(self.word)
        if self.objects.size(f"{stage_prefix(self.word, digest)}/{PLAN}") is None:
            return []
        with read(self.state_url) as connection:
            planned = [plan.block for plan in block_rows.planned_blocks(connection, digest)]
        return self._undone(planned)

    def _undone(self, blocks: list[int]) -> list[int]:
        """Return the blocks that lack a whole commit or their rows, by one listing and one query."""
        digest = self.digest_of(self.word)
        with read(self.state_url) as connection:
            done = block_rows.finished_blocks(connection, digest) & set(blocks)
        done &= committed_marks(self.objects, self.word, digest, done).keys()
        return [block for block in blocks if block not in done]

    def _close(self, word: str, blocks: list[int]) -> None:
        """Commit a stage whose blocks are all done, unless it is committed."""
        target = StageTarget(self.objects, word, self.digest_of(word), self.state_url)
        mark = target.committed()
        if mark is None:
            built = self._blocks_built(word, blocks)
            mark = target.commit(self.stage_config(built, word=word), built.objects)
            self._say_outcomes(word)
        with begin(self.state_url) as connection:
            self.finish(connection, word, mark["counts"])

    def _say_outcomes(self, word: str) -> None:
        """Log what became of the planes, when the cache is done."""
        if word == "cache":
            with read(self.state_url) as connection:
                for line in outcome_lines(connection, self.digest_of(word)):
                    logger.info("cache: %s", line)

    def _blocks_built(self, word: str, blocks: list[int]) -> Built:
        """Return the objects of every block, marks included, and the sums of what the blocks counted."""
        built, digest = Built(counts={"n_blocks": len(blocks)}), self.digest_of(word)
        marks = committed_marks(self.objects, word, digest, blocks)
        keys = {block: f"{block_prefix(word, digest, block)}/{BLOCK_MARK}" for block in blocks}
        for block, key in keys.items():
            if block not in marks:
                task = "CacheCoadds" if word == "cache" else type(self).__name__
                raise ObjectStoreError(f"{self.objects.uri(key)} is gone, or an object it names; run {task}, then this again")
        with ThreadPoolExecutor(READERS) as readers:
            texts = dict(zip(blocks, readers.map(self.objects.read, keys.values()), strict=True))
        for block, data in texts.items():
            for name, record in marks[block]["objects"].items():
                built.objects[name] = ObjectRecord(**record)
            built.objects[keys[block]] = ObjectRecord(hashlib.sha256(data).hexdigest(), len(data))
            for name, value in marks[block]["counts"].items():
                built.counts[name] = built.counts.get(name, 0) + value
        return built
