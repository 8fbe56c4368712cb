"""Rows of the parent stage: possible hosts, and what the cuts left."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from halo_core.records import PARENT_CUTS
from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import Parent, ParentCut


def store_parents(connection: sa.Connection, rows: pa.Table, *, stage_digest: str, sky_cell: int | None = None) -> int:
    """Put the parents of a digest, or of one sky cell of it, in place of what it had; return their number."""
    return replace_rows(connection, Parent, parent_rows(rows, sky_cell), stage_digest=stage_digest, block=sky_cell)


def parent_rows(rows: pa.Table, sky_cell: int | None) -> pa.Table:
    """Return parents as the state has them: with the sky cell that they are the part of."""
    return rows.append_column("sky_cell", pa.repeat(pa.scalar(sky_cell, pa.int64()), rows.num_rows))


def store_cuts(connection: sa.Connection, cut_flow: Sequence[Mapping[str, Any]], *, stage_digest: str) -> int:
    """Put the cuts of a digest in place of what it had; return their number."""
    return replace_rows(connection, ParentCut, cut_rows(cut_flow), stage_digest=stage_digest)


def cut_rows(cut_flow: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Return the cuts that the stage's mark records as rows, `records.PARENT_CUTS`."""
    return pa.Table.from_pylist([{"position": position, **step} for position, step in enumerate(cut_flow)], schema=PARENT_CUTS)


def parents(connection: sa.Connection, *, stage_digest: str) -> pa.Table:
    """Return the parents of a digest, by host id; columns of `records.PARENTS`."""
    return fetch_rows(connection, Parent, stage_digest=stage_digest).drop_columns("sky_cell")
