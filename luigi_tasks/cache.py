"""Cache: verified copies of the planes a manifest names, an asset row for each, a reason for every loss."""

from luigi_tasks.block_stage import BlockStage
from luigi_tasks.blocks import BlockTask


class CacheBlock(BlockTask):
    """The planes of one block are here and proven, or lost with a reason."""

    word = "cache"


class CacheCoadds(BlockStage):
    """Every plane the manifest names is cached, without injecting."""

    word = "cache"
    words = ("cache",)
    block_kind = CacheBlock
