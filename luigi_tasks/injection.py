"""Injection: hosts cut, arcs painted, metrics measured, one result per task."""

from luigi_tasks.block_stage import BlockStage
from luigi_tasks.blocks import BlockTask


class InjectBlock(BlockTask):
    """One block is injected: its planes fetched, hosts, arcs and results stored, results in the state."""

    word = "injection"


class InjectAll(BlockStage):
    """Every task of the manifest is one result; cache and injection are done block by block."""

    word = "injection"
    words = ("cache", "injection")
    block_kind = InjectBlock
