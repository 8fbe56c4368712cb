"""Rows of the survey stage: its bricks."""

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import Brick


def store_bricks(connection: sa.Connection, rows: pa.Table, *, stage_digest: str) -> int:
    """Put the bricks of a survey digest in place of what it had; return their number."""
    return replace_rows(connection, Brick, rows, stage_digest=stage_digest)


def bricks(connection: sa.Connection, *, stage_digest: str) -> pa.Table:
    """Return the bricks of a survey digest, by name; columns of `records.BRICKS`."""
    return fetch_rows(connection, Brick, stage_digest=stage_digest)
