"""Rows of the parent stage: possible hosts."""

from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import Parent


class SplitCount(NamedTuple):
    """How many parents of a split may be hosts, and how many stand in the guard band."""

    region_split: str
    n_hosts: int
    n_guard: int


def store_parents(connection: sa.Connection, rows: pa.Table, *, stage_digest: str) -> int:
    """Put the parents of a digest in place of what it had; return their number."""
    return replace_rows(connection, Parent, rows, stage_digest=stage_digest)


def parents(connection: sa.Connection, *, stage_digest: str) -> pa.Table:
    """Return the parents of a digest, by host id; columns of `records.PARENTS`."""
    return fetch_rows(connection, Parent, stage_digest=stage_digest)


def hosts_by_split(connection: sa.Connection, *, stage_digest: str) -> list[SplitCount]:
    """Return the number of possible hosts and of guard-band galaxies in each split."""
    n_guard = sa.func.count().filter(Parent.is_guard)
    query = sa.select(Parent.region_split, sa.func.count().filter(~Parent.is_guard), n_guard).where(Parent.stage_digest == stage_digest)
    return [SplitCount(*row) for row in connection.execute(query.group_by(Parent.region_split).order_by(Parent.region_split))]
