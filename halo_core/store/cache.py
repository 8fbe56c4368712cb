"""Rows of the cache stage: coadd planes, how long they took, and why some were lost."""

from datetime import datetime
from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from halo_core.records import PLANES
from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import CoaddPlane


class PlaneCount(NamedTuple):
    """How many planes have a status for one reason (None where they are ok), and their bytes."""

    status: str
    reason: str | None
    n_planes: int
    n_bytes: int | None


class FetchWork(NamedTuple):
    """Planes that were fetched and verified for a stage, their bytes, and the sum of the times of all fetches [s]; None without any."""

    n_planes: int
    n_bytes: int | None
    seconds: float | None


def store_planes(connection: sa.Connection, rows: pa.Table, *, stage_digest: str, block: int | None = None) -> int:
    """Put the planes of a digest, or of one block of it, in place of what was there; return their number.

    Rows are those of `records.PLANES`, with the column `fetch_seconds` where planes were fetched now: the wall clock of each fetch [s],
    NULL where there was none. A fetch is dated by the database's clock; a row without one keeps what an earlier fetch left.
    """
    n_rows, times = rows.num_rows, _fetch_times(connection, stage_digest, block)
    now = connection.execute(sa.select(sa.func.now())).scalar_one()
    seconds = rows["fetch_seconds"].to_pylist() if "fetch_seconds" in rows.column_names else [None] * n_rows
    pairs = zip(rows["brickname"].to_pylist(), rows["plane"].to_pylist(), strict=True)
    found = [times.get(pair, (None, None)) if one is None else (now, one) for pair, one in zip(pairs, seconds, strict=True)]
    dated = rows.select(PLANES.names)
    dated = dated.append_column("fetched_at", pa.array([moment for moment, _ in found], pa.timestamp("us", tz="UTC")))
    dated = dated.append_column("fetch_seconds", pa.array([one for _, one in found], pa.float64()))
    return replace_rows(connection, CoaddPlane, dated, stage_digest=stage_digest, block=block)


def _fetch_times(connection: sa.Connection, stage_digest: str, block: int | None) -> dict[tuple[str, str], tuple[datetime, float]]:
    """Return when planes were fetched and how long it took [s], by brick and plane."""
    columns = (CoaddPlane.brickname, CoaddPlane.plane, CoaddPlane.fetched_at, CoaddPlane.fetch_seconds)
    query = sa.select(*columns).where(CoaddPlane.stage_digest == stage_digest, CoaddPlane.fetch_seconds.is_not(None))
    rows = connection.execute(query if block is None else query.where(CoaddPlane.block == block))
    return {(row.brickname, row.plane): (row.fetched_at, row.fetch_seconds) for row in rows}


def planes(connection: sa.Connection, *, stage_digest: str, block: int | None = None) -> pa.Table:
    """Return the planes of a digest or of one block of it; columns of `records.PLANES`."""
    return fetch_rows(connection, CoaddPlane, stage_digest=stage_digest, block=block)


def planes_by_status(connection: sa.Connection, *, stage_digest: str) -> list[PlaneCount]:
    """Return the number and the bytes of the planes by status and reason, losses with their reasons."""
    keys = (CoaddPlane.status, CoaddPlane.reason)
    n_bytes = sa.cast(sa.func.sum(CoaddPlane.n_bytes), sa.BigInteger)
    query = sa.select(*keys, sa.func.count(), n_bytes).where(CoaddPlane.stage_digest == stage_digest).group_by(*keys).order_by(*keys)
    return [PlaneCount(*row) for row in connection.execute(query)]


def fetch_work(connection: sa.Connection, *, stage_digest: str) -> FetchWork:
    """Return what was fetched for a stage, as far as the state saw it: planes that its blocks found cached are left out."""
    n_bytes = sa.cast(sa.func.sum(CoaddPlane.n_bytes), sa.BigInteger)
    query = sa.select(sa.func.count(), n_bytes, sa.func.sum(CoaddPlane.fetch_seconds))
    was_fetched = CoaddPlane.fetch_seconds.is_not(None) & (CoaddPlane.status == "ok")
    return FetchWork(*connection.execute(query.where(CoaddPlane.stage_digest == stage_digest, was_fetched)).one())
