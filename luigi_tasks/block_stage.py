"""Stages whose work is done by blocks: all block tasks yielded in one list, then one commit mark that names every block's objects."""

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import luigi

from halo_core.store import blocks as block_rows
from halo_core.store import stages
from halo_core.store.schema import require_head
from halo_core.store.sessions import begin
from luigi_tasks.blocks import BlockPlan
from luigi_tasks.manifest import BuildManifest
from luigi_tasks.objects import ObjectRecord, sha256_of
from luigi_tasks.stage import Built, StageTask
from luigi_tasks.targets import BLOCKS_FILE, BlockTarget, StageTarget
from luigi_tasks.validation import ValidateStage


class BlockStage(StageTask):
    """A stage of block tasks; ``words`` are the stages whose blocks those tasks finish."""

    words: tuple[str, ...]

    def requires(self) -> list[luigi.Task]:
        """A manifest that passed its checks."""
        return [self.clone(BuildManifest), self.clone(ValidateStage, stage="manifest")]

    @abstractmethod
    def block_task(self, block: int) -> luigi.Task:
        """Return the task of one block."""

    def run(self) -> Iterator[list[luigi.Task]]:  # type: ignore[override]
        """Store the plan, yield every block, then commit and say so in the state. Runs again from the top after the yield."""
        require_head(self.state_url)
        blocks = self.table_of("manifest", BLOCKS_FILE)
        plans = [block_rows.BlockPlan(**row) for row in blocks.to_pylist()]
        plan = self.plan()
        with begin(self.state_url) as connection:
            self.register(connection)
            for word in self.words:
                block_rows.plan_blocks(connection, self.digest_of(word), plans)
        for word in self.words:
            plan.put(self.objects, word, self.digest_of(word))
        yield [self.block_task(block) for block in blocks["block"].to_pylist()]
        for word in self.words:
            self._close(word, blocks["block"].to_pylist())

    def plan(self) -> BlockPlan:
        """Return what every block is done by."""
        return BlockPlan(
            manifest_digest=self.digest_of("manifest"),
            cache_digest=self.digest_of("cache"),
            injection_digest=self.digest_of("injection"),
            source_id=self.survey.source_id,
            injection=self.injection_config(),
        )

    def build(self) -> Built:
        """Name every block's objects."""
        return self._blocks_built(self.word, self.table_of("manifest", BLOCKS_FILE)["block"].to_pylist())

    def _close(self, word: str, blocks: list[int]) -> None:
        """Commit a stage whose blocks are all done, unless it is committed."""
        target = StageTarget(self.objects, word, self.digest_of(word), self.state_url)
        mark = target.committed()
        if mark is None:
            built = self._blocks_built(word, blocks)
            mark = target.commit(self.stage_config(built, word=word), built.objects)
        with begin(self.state_url) as connection:
            stages.finish_stage(connection, self.digest_of(word), mark["counts"])

    def _blocks_built(self, word: str, blocks: list[int]) -> Built:
        """Return the objects of every block, marks included, and the sums of what the blocks counted."""
        built = Built(counts={"n_blocks": len(blocks)})
        for block in blocks:
            target = BlockTarget(self.objects, word, self.digest_of(word), block, self.state_url)
            mark: Mapping[str, Any] = target.mark() or {}
            for key, record in mark["objects"].items():
                built.objects[key] = ObjectRecord(**record)
            path = self.objects.path(target.mark_key)
            built.objects[target.mark_key] = ObjectRecord(sha256_of(path), path.stat().st_size)
            for name, value in mark["counts"].items():
                built.counts[name] = built.counts.get(name, 0) + value
        return built
