"""What every block of a stage is done by: the plan that stands beside the blocks, and the manifest rows and planes of one."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from halo_core.stages.cache import CacheMode
from halo_core.stages.files import read_table
from halo_core.stages.injection import InjectionConfig
from halo_core.stamps import CUTOUTS_FILE
from luigi_tasks.objects import Objects
from luigi_tasks.targets import TASKS_FILE, block_prefix, stage_prefix

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

    def digest_of(self, word: str) -> str:
        """Return the digest of the stage cache or injection."""
        return {"cache": self.cache_digest, "injection": self.injection_digest}[word]

    def cutouts_key(self, block: int) -> str:
        """Return the key of a block's cut-outs."""
        return f"{block_prefix('cache', self.cache_digest, block)}/{CUTOUTS_FILE}"

    @classmethod
    def read(cls, objects: Objects, word: str, digest: str) -> "BlockPlan":
        """Read the plan of a stage."""
        content: dict[str, Any] = json.loads(objects.read(f"{stage_prefix(word, digest)}/{PLAN}"))
        injection: Mapping[str, Any] = content.pop("injection")
        return cls(**content, injection=InjectionConfig(**{**injection, "bands": tuple(injection["bands"])}))


def block_tasks(objects: Objects, plan: BlockPlan, block: int) -> pa.Table:
    """Return the manifest rows of a block."""
    return read_table(objects.path(f"{block_prefix('manifest', plan.manifest_digest, block)}/{TASKS_FILE}"))


def owned_planes(objects: Objects, plan: BlockPlan, planes: pa.Table, block: int) -> pa.Table:
    """Return the planes of bricks that the block before did not ask for; blocks follow the order of bricks."""
    if block == 0:
        return planes
    before = set(block_tasks(objects, plan, block - 1)["brickname"].to_pylist())
    return planes.filter(pa.array([name not in before for name in planes["brickname"].to_pylist()]))
