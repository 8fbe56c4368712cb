"""Rows of the manifest stage: the tasks, and how many were planned where."""

from collections.abc import Iterable
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import InjectionTask, PlannedCount


class PlannedRow(NamedTuple):
    """What was planned for one tier, split and stamp size, over all bandsets."""

    tier: str
    region_split: str
    stamp_size: int
    n_injections: int
    n_controls: int


def store_plan(connection: sa.Connection, rows: Iterable[PlannedRow], *, stage_digest: str) -> None:
    """Put the plan of a manifest in place of what was there."""
    replace_rows(connection, PlannedCount, pa.Table.from_pylist([row._asdict() for row in rows]), stage_digest=stage_digest)


def store_tasks(connection: sa.Connection, rows: pa.Table, *, stage_digest: str, block: int | None = None) -> int:
    """Put the tasks of a manifest, or of one block of it, in place of what was there; return their number."""
    return replace_rows(connection, InjectionTask, rows, stage_digest=stage_digest, block=block)


def tasks(connection: sa.Connection, *, stage_digest: str, block: int | None = None) -> pa.Table:
    """Return the tasks of a manifest or of one block of it, by task id; columns of `records.MANIFEST`."""
    return fetch_rows(connection, InjectionTask, stage_digest=stage_digest, block=block)
