"""The rows that a committed block brings into the state: its planes and, of injection, its results."""

from dataclasses import dataclass

import pyarrow as pa
import sqlalchemy as sa

from halo_core.stages.files import read_table
from halo_core.stamps import RESULTS_FILE
from halo_core.store import blocks as block_store
from halo_core.store.cache import store_planes
from halo_core.store.injection import store_results
from luigi_tasks.block_plan import BlockPlan, owned_planes
from luigi_tasks.block_work import Seconds
from luigi_tasks.objects import Objects
from luigi_tasks.targets import PLANES_FILE, block_prefix


@dataclass(frozen=True)
class BlockRows:
    """Rows of one block: planes of bricks that no earlier block asked for, and results, None for a block of the cache alone."""

    plan: BlockPlan
    block: int
    planes: pa.Table
    results: pa.Table | None

    @classmethod
    def read(cls, objects: Objects, plan: BlockPlan, word: str, block: int, seconds: Seconds) -> "BlockRows":
        """Read the rows of a committed block; ``seconds`` is NULL for what was not fetched now or elsewhere."""
        planes = read_table(objects.path(f"{block_prefix('cache', plan.cache_digest, block)}/{PLANES_FILE}"))
        results = None
        if word == "injection":
            results = read_table(objects.path(f"{block_prefix(word, plan.injection_digest, block)}/{RESULTS_FILE}"))
        return cls(plan, block, _with_seconds(owned_planes(objects, plan, planes, block), seconds), results)

    def store(self, connection: sa.Connection) -> None:
        """Load the rows; of injection, record the block as cached too."""
        store_planes(connection, self.planes, stage_digest=self.plan.cache_digest, block=self.block)
        if self.results is not None:
            block_store.finish_block(connection, self.plan.cache_digest, self.block)
            store_results(connection, self.results, stage_digest=self.plan.injection_digest, block=self.block)


def _with_seconds(planes: pa.Table, seconds: Seconds) -> pa.Table:
    """Return asset rows with the column of how long their fetches took."""
    pairs = zip(planes["brickname"].to_pylist(), planes["plane"].to_pylist(), strict=True)
    return planes.append_column("fetch_seconds", pa.array([seconds.get(pair) for pair in pairs], pa.float64()))
