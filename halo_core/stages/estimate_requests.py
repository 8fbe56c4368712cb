"""Requests to the S3 server that holds a campaign's objects: exact for a block, by one measured campaign for what is around the blocks."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

PART_BYTES = 8 << 20
"""Larger objects are put in parts of this size; `luigi_tasks.s3` puts them so, a test holds the two together."""

SurveyKind = Literal["folder", "s3", "server"]
"""Where planes are read: a folder, the same kind of store, or a public server."""

_BLOCK = {"put": 6, "get": 4, "head": 6, "list": 3}
_SECTIONS_BLOCK = {"head": 2}
_PLANE = {"put": 2, "head": 5, "delete": 1}
_WHOLE_PLANE = {"head": 2}
_OF_SURVEY: Mapping[SurveyKind, Mapping[str, int]] = {"folder": {}, "s3": {"head": 2, "get": 1}, "server": {"head": 1}}
_LIST_OF_BRICK: Mapping[SurveyKind, int] = {"folder": 0, "s3": 1, "server": 1}

AROUND_BLOCK: Mapping[str, int] = {"put": 1, "get": 6, "head": 17, "list": 3}
"""What one more block adds outside of its task: manifest, Luigi's question, checks, summary, page (`python -m benchmarks.s3_requests`)."""
AROUND_CAMPAIGN: Mapping[str, int] = {"put": 80, "get": 220, "head": 300, "list": 140}
"""What a campaign sends whatever its blocks, by the same command; a mock survey that is made comes on top."""


@dataclass(frozen=True)
class BlockObjects:
    """What a block reads and puts: its bricks, the bytes of each plane of a brick that is whole, and of its files of stamps."""

    n_bricks: float
    plane_bytes: tuple[float, ...]
    stamp_bytes: tuple[float, ...]
    is_sections: bool
    survey: SurveyKind


def puts_of(n_bytes: float) -> int:
    """Return the requests that put an object: one, or opening, parts and closing."""
    return 1 if n_bytes <= PART_BYTES else ceil(n_bytes / PART_BYTES) + 2


def requests_of_block(block: BlockObjects) -> Counter[str]:
    """Return the requests of one block's task, by kind, for a block after the first whose planes are all there and nowhere cached.

    The first block reads one key less. A plane that is lost sends less. Hosts and arcs above ``PART_BYTES`` are looked at once after they
    are put, and so are planes.
    """
    n_planes = block.n_bricks * len(block.plane_bytes)
    found: Counter[str] = Counter(_BLOCK)
    _add(found, _PLANE, n_planes)
    _add(found, _OF_SURVEY[block.survey], n_planes)
    _add(found, {"head": _LIST_OF_BRICK[block.survey]}, block.n_bricks)
    if block.is_sections:
        _add(found, _SECTIONS_BLOCK, 1)
    else:
        _add(found, _WHOLE_PLANE, n_planes)
        for n_bytes in block.plane_bytes:
            _add(found, {"put": puts_of(n_bytes), "head": n_bytes > PART_BYTES}, block.n_bricks)
    for n_bytes in block.stamp_bytes:
        _add(found, {"put": puts_of(n_bytes) - 1, "head": n_bytes > PART_BYTES}, 1)
    return found


def requests_of_campaign(block: BlockObjects, n_blocks: int) -> Counter[str]:
    """Return the requests of a campaign of so many such blocks, by kind."""
    found: Counter[str] = Counter(AROUND_CAMPAIGN)
    _add(found, requests_of_block(block), n_blocks)
    _add(found, AROUND_BLOCK, n_blocks)
    return found


def _add(found: Counter[str], more: Mapping[str, int], times: float) -> None:
    """Add some requests many times."""
    for kind, n in more.items():
        found[kind] += round(n * times)
