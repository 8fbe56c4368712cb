"""Laws of the times of fetches: the state alone knows them, and a row that is loaded again without a fetch keeps them."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import sqlalchemy as sa

from halo_core.records import PLANES
from halo_core.store import bulk
from halo_core.store.cache import planes, store_planes
from halo_core.store.models import CoaddPlane
from halo_core.store.sessions import begin, read
from tests.fixtures.databases import rows_of

ROWS = rows_of(PLANES, 3, plane=["image-g", "image-r", "image-z"], block=4, status="ok", reason=None, n_bytes=9)


def with_seconds(*seconds: float | None) -> pa.Table:
    """Return the rows with what their fetches took."""
    return ROWS.append_column("fetch_seconds", pa.array(seconds, pa.float64()))


def store(url: str, rows: pa.Table, block: int | None = 4) -> None:
    """Load the rows of the digest d."""
    with begin(url) as connection:
        store_planes(connection, rows, stage_digest="d", block=block)


def times(url: str) -> list[tuple[datetime | None, float | None]]:
    """Return the times of all planes, in their order."""
    with read(url) as connection:
        query = sa.select(CoaddPlane.fetched_at, CoaddPlane.fetch_seconds).order_by(CoaddPlane.plane)
        return [(row.fetched_at, row.fetch_seconds) for row in connection.execute(query)]


def database_now(url: str) -> datetime:
    """Return the database's clock."""
    with read(url) as connection:
        now: datetime = connection.execute(sa.select(sa.func.now())).scalar_one()
    return now if now.tzinfo else now.replace(tzinfo=UTC)


def test_a_fetch_is_dated_by_the_database_and_what_was_not_fetched_is_not(migrated_url: str) -> None:
    before = database_now(migrated_url)
    store(migrated_url, with_seconds(1.5, None, 0.0))
    (first, seconds), nothing, (last, none) = times(migrated_url)
    assert (seconds, nothing, none) == (1.5, (None, None), 0.0)
    assert first == last
    assert before - timedelta(seconds=1) <= first <= database_now(migrated_url)


def test_rows_loaded_again_keep_the_times_of_the_last_fetch(migrated_url: str) -> None:
    store(migrated_url, with_seconds(1.5, None, 3.0))
    first = times(migrated_url)
    store(migrated_url, ROWS)
    assert times(migrated_url) == first
    store(migrated_url, with_seconds(None, 2.5, 4.0), block=None)
    assert [seconds for _, seconds in times(migrated_url)] == [1.5, 2.5, 4.0]
    assert times(migrated_url)[0] == first[0]


def test_what_is_read_and_compared_is_what_objects_hold(migrated_url: str) -> None:
    store(migrated_url, with_seconds(1.5, None, 3.0))
    with read(migrated_url) as connection:
        found = planes(connection, stage_digest="d")
    assert found.equals(ROWS.replace_schema_metadata(None))
    assert bulk.checksum(CoaddPlane, found) == bulk.checksum(CoaddPlane, with_seconds(9.0, 9.0, 9.0))
