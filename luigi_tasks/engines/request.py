"""What a driver asks of executors: blocks of a stage, and the settings they need, which hold no state and no secret."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import asdict, dataclass

import luigi

from halo_core.stages.summary_parts import to_bytes
from luigi_tasks.block_plan import BlockPlan
from luigi_tasks.block_work import BlockWork
from luigi_tasks.engines.software import require_software
from luigi_tasks.gather_plan import GatherPlan
from luigi_tasks.http_files import SCHEMES
from luigi_tasks.local_cache import release_copies
from luigi_tasks.objects import Objects, open_objects
from luigi_tasks.places import open_survey
from luigi_tasks.plane_locks import leased_object

ENGINE = "_engine"
"""Folder of what engines ask and are told: below a stage of its blocks, below the objects' root of what all stages share."""
SECTIONS = ("objects", "fetch")
"""The sections of luigi.cfg that executors are given."""


@dataclass(frozen=True)
class BlocksRequest:
    """Blocks of one stage that executors are to do.

    ``sections`` are the settings of objects and fetching by section and name; ``reads`` is how many executors may read a server at the
    same time; ``software`` is what the driver has, and executors must have (`luigi_tasks.engines.software`); ``parts`` is the prefix below
    which blocks of the summary leave what they gather.
    """

    word: str
    digest: str
    objects_root: str
    survey_root: str
    blocks: tuple[int, ...]
    sections: Mapping[str, Mapping[str, str]]
    software: Mapping[str, str]
    reads: int = 1
    parts: str = ""

    def to_json(self) -> bytes:
        """Return the request as an object's bytes."""
        return json.dumps(asdict(self), indent=1, sort_keys=True).encode()

    @classmethod
    def from_json(cls, data: bytes) -> "BlocksRequest":
        """Read a request."""
        content = json.loads(data)
        return cls(**{**content, "blocks": tuple(content["blocks"])})


@dataclass(frozen=True)
class BlockOutcome:
    """What became of a block: done, or why not."""

    block: int
    error: str | None = None


def outcomes_key(request_key: str) -> str:
    """Return the key of what became of the blocks of a request."""
    return f"{request_key.removesuffix('.json')}.outcomes.json"


def failures_of(objects: Objects, request_key: str) -> dict[int, str]:
    """Return why blocks of a request failed, by block; nothing where the application ended before it could say."""
    key = outcomes_key(request_key)
    if objects.size(key) is None:
        return {}
    told = [BlockOutcome(**outcome) for outcome in json.loads(objects.read(key))]
    return {outcome.block: outcome.error for outcome in told if outcome.error is not None}


def parts_key(prefix: str, block: int) -> str:
    """Return the key of what a block of the summary left."""
    return f"{prefix}/block={block:05d}.npz"


def settings_of(sections: Sequence[str] = SECTIONS) -> dict[str, dict[str, str]]:
    """Return the settings of this process that executors need."""
    config = luigi.configuration.get_config()
    return {section: dict(config.items(section)) if config.has_section(section) else {} for section in sections}


def apply_settings(sections: Mapping[str, Mapping[str, str]]) -> None:
    """Give this process the settings of another."""
    config = luigi.configuration.get_config()
    for section, values in sections.items():
        for name, value in values.items():
            config.set(section, name, value)


def do_block(request: BlocksRequest, block: int) -> BlockOutcome:
    """Do one block of a request in this process, and say what became of it.

    A block that fails must not end its neighbours, so whatever its work raises becomes its outcome, which the driver records and raises.
    """
    apply_settings(request.sections)
    try:
        require_software(request.software)
        _WORK[request.word](open_objects(request.objects_root), request, block)
    except Exception as error:  # noqa: BLE001
        return BlockOutcome(block, f"{type(error).__name__}: {error}")
    finally:
        release_copies()
    return BlockOutcome(block)


def _do_pixels(objects: Objects, request: BlocksRequest, block: int) -> None:
    """Fetch the planes of a block and inject it, as far as the request goes."""
    plan = BlockPlan.read(objects, request.word, request.digest)
    work = BlockWork(objects, open_survey(request.survey_root), plan, block)
    with ExitStack() as reading:
        reading.enter_context(_right_to_read(objects, request, plan, block))
        work.do(request.word, once_fetched=reading.close)


def _do_summary(objects: Objects, request: BlocksRequest, block: int) -> None:
    """Gather what the summary takes of a block, and leave it for the driver."""
    gathered = GatherPlan.read(objects, request.digest).gather(objects, block)
    objects.put(parts_key(request.parts, block), to_bytes(gathered))


_WORK: Mapping[str, Callable[[Objects, BlocksRequest, int], None]] = {
    "cache": _do_pixels,
    "injection": _do_pixels,
    "summary": _do_summary,
}


def _right_to_read(objects: Objects, request: BlocksRequest, plan: BlockPlan, block: int) -> AbstractContextManager[None]:
    """Hold one of the few places of those who read a server; files in a folder or on S3 are read by all."""
    if not request.survey_root.startswith(SCHEMES):
        return nullcontext()
    return leased_object(objects, f"cache/{plan.source_id}/readers/{block % request.reads}.lease")
