"""Rows of the parent stage's selection sets: which sets hold which regions."""

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import RegionSelection


def store_selections(connection: sa.Connection, rows: pa.Table, *, stage_digest: str) -> int:
    """Put the selections of a digest in place of what it had; return their number."""
    return replace_rows(connection, RegionSelection, rows, stage_digest=stage_digest)


def selections(connection: sa.Connection, *, stage_digest: str) -> pa.Table:
    """Return the selections of a digest, by set and region; columns of `records.REGION_SELECTIONS`."""
    return fetch_rows(connection, RegionSelection, stage_digest=stage_digest)
