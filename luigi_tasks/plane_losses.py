"""What became of a stage's planes, by reason: the table that closes the cache, in the log, in `halo status` and in the report."""

import re
from typing import NamedTuple

import sqlalchemy as sa

from halo_core.store.cache import planes_by_status

_OF_ONE_PLANE = ((re.compile(r"\blegacysurvey-\S+: "), ""), (re.compile(r"\b([0-9a-f]{64}|\d+(\.\d+)?)\b"), "#"))
"""What a reason says of one plane alone: the name of its file, and numbers."""


class PlaneOutcome(NamedTuple):
    """How many planes have a status for one kind of reason, and their bytes; no reason where they are ok."""

    status: str
    reason: str
    planes: int
    bytes: int


def plane_outcomes(connection: sa.Connection, digest: str) -> list[PlaneOutcome]:
    """Return what became of the planes of a cache digest: those that are there, then losses, the most frequent first.

    Reasons that differ in the file's name or in numbers alone are one, with # in the place of each number.
    """
    found: dict[tuple[str, str], list[int]] = {}
    for count in planes_by_status(connection, stage_digest=digest):
        sums = found.setdefault((count.status, _kind(count.reason or "")), [0, 0])
        sums[0] += count.n_planes
        sums[1] += count.n_bytes or 0
    ordered = sorted(found.items(), key=lambda item: (item[0][0] != "ok", -item[1][0], item[0]))
    return [PlaneOutcome(*key, *sums) for key, sums in ordered]


def outcome_lines(connection: sa.Connection, digest: str) -> list[str]:
    """Return the same as lines of text."""
    return [
        f"{found.status:<10} {found.planes:>11,} planes {found.bytes / 1e9:>11,.3f} GB  {found.reason}".rstrip()
        for found in plane_outcomes(connection, digest)
    ]


def _kind(reason: str) -> str:
    """Return a reason without what it says of one plane alone."""
    for pattern, word in _OF_ONE_PLANE:
        reason = pattern.sub(word, reason)
    return reason
