"""Rows of the parent stage's selection sets: which sets hold which regions."""

from typing import NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import RegionSelection


class SetCount(NamedTuple):
    """What a selection set holds in one split; sets overlap, so that counts of several sets are never summed."""

    selection_set_id: str
    region_split: str
    n_regions: int
    n_hosts: int
    area_deg2: float | None


def store_selections(connection: sa.Connection, rows: pa.Table, *, stage_digest: str) -> int:
    """Put the selections of a digest in place of what it had; return their number."""
    return replace_rows(connection, RegionSelection, rows, stage_digest=stage_digest)


def selections(connection: sa.Connection, *, stage_digest: str) -> pa.Table:
    """Return the selections of a digest, by set and region; columns of `records.REGION_SELECTIONS`."""
    return fetch_rows(connection, RegionSelection, stage_digest=stage_digest)


def sets_by_split(connection: sa.Connection, *, stage_digest: str) -> list[SetCount]:
    """Return regions, possible hosts and area of each set and split, by set."""
    table = RegionSelection
    n_hosts = sa.cast(sa.func.sum(table.n_hosts), sa.BigInteger)
    query = sa.select(table.selection_set_id, table.region_split, sa.func.count(), n_hosts, sa.func.sum(table.area_deg2))
    query = query.where(table.stage_digest == stage_digest).group_by(table.selection_set_id, table.region_split)
    return [SetCount(*row) for row in connection.execute(query.order_by(table.selection_set_id, table.region_split))]
