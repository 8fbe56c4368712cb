"""Cache: verified copies of the planes a manifest names, an asset row for each, a reason for every loss."""

import luigi
import pyarrow as pa
import sqlalchemy as sa

from halo_core.store import blocks as block_rows
from halo_core.store.cache import store_planes
from halo_core.store.sessions import begin
from luigi_tasks.block_stage import BlockStage
from luigi_tasks.blocks import BlockPlan, BlockTask, fetch_block
from luigi_tasks.leases import Lease


class CacheBlock(BlockTask):
    """The planes of one block are here and proven, or lost with a reason. Safe to run again: what is cached is not fetched."""

    word = "cache"

    def work(self, lease: Lease) -> None:
        """Fetch and verify, then load the asset rows."""
        plan = BlockPlan.read(self.objects, self.word, self.digest)
        _, owned = fetch_block(self, plan, reads_pixels=True)
        with begin(self.state_url) as connection:
            store_planes(connection, owned, stage_digest=plan.cache_digest, block=self.block)
            lease.finish(connection)


class CacheCoadds(BlockStage):
    """Every plane the manifest names is cached, without injecting."""

    word = "cache"
    words = ("cache",)

    def block_task(self, block: int) -> luigi.Task:
        """Return the task that caches one block."""
        return CacheBlock(
            digest=self.digest_of(self.word),
            block=block,
            objects_root=self.objects_root,
            survey_root=self.survey.root,
            state_url=self.state_url,
        )


def load_planes(connection: sa.Connection, plan: BlockPlan, owned: pa.Table, block: int) -> None:
    """Put a block's asset rows into the state and mark the block as cached."""
    store_planes(connection, owned, stage_digest=plan.cache_digest, block=block)
    block_rows.finish_block(connection, plan.cache_digest, block)
