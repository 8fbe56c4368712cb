"""Rows of the cache stage: coadd planes, and why some were lost."""

from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import CoaddPlane


class PlaneCount(NamedTuple):
    """How many planes have a status for one reason (None where they are ok), and their bytes."""

    status: str
    reason: str | None
    n_planes: int
    n_bytes: int | None


def store_planes(connection: sa.Connection, rows: pa.Table, *, stage_digest: str, block: int | None = None) -> int:
    """Put the planes of a digest, or of one block of it, in place of what was there; return their number."""
    return replace_rows(connection, CoaddPlane, rows, stage_digest=stage_digest, block=block)


def planes(connection: sa.Connection, *, stage_digest: str, block: int | None = None) -> pa.Table:
    """Return the planes of a digest or of one block of it; columns of `records.PLANES`."""
    return fetch_rows(connection, CoaddPlane, stage_digest=stage_digest, block=block)


def planes_by_status(connection: sa.Connection, *, stage_digest: str) -> list[PlaneCount]:
    """Return the number and the bytes of the planes by status and reason, losses with their reasons."""
    keys = (CoaddPlane.status, CoaddPlane.reason)
    n_bytes = sa.cast(sa.func.sum(CoaddPlane.n_bytes), sa.BigInteger)
    query = sa.select(*keys, sa.func.count(), n_bytes).where(CoaddPlane.stage_digest == stage_digest).group_by(*keys).order_by(*keys)
    return [PlaneCount(*row) for row in connection.execute(query)]
