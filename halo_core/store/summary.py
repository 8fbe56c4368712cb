"""Rows of the summary stage: completeness cells, and the headline among them."""

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import CompletenessCell


def store_cells(connection: sa.Connection, rows: pa.Table, *, stage_digest: str) -> int:
    """Put the cells of a summary in place of what it had; return their number."""
    return replace_rows(connection, CompletenessCell, rows, stage_digest=stage_digest)


def cells(connection: sa.Connection, *, stage_digest: str, axes: str | None = None) -> pa.Table:
    """Return the cells of a summary, of one marginal (its `axes` text) or of all; columns of `records.CELLS`."""
    where = None if axes is None else CompletenessCell.axes == axes
    return fetch_rows(connection, CompletenessCell, stage_digest=stage_digest, where=where)


def headline(connection: sa.Connection, *, stage_digest: str) -> pa.Table:
    """Return the cells that are pooled over every axis and every split: one per tier, grid, size, criterion and subset."""
    where = (CompletenessCell.axes == "") & CompletenessCell.region_split.is_(None)
    return fetch_rows(connection, CompletenessCell, stage_digest=stage_digest, where=where)
