"""Law of upgrades: a state of the first release (revision 0012, a tiny campaign, some of its cells) comes to head with every row it had."""

import multiprocessing
import shutil
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.store import campaigns, injection, schema, summary
from halo_core.store.models import VIEWS
from halo_core.store.sessions import begin, read

FROZEN = Path(__file__).resolve().parents[1] / "data/state_0012.sqlite"
FIRST_RELEASE = "0012"
FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def frozen_rows() -> dict[str, list[dict[str, Any]]]:
    """Return every row of the frozen file, by table."""
    with closing(sqlite3.connect(f"file:{FROZEN}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = [
            name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'alembic_version'")
        ]
        return {name: [dict(row) for row in connection.execute(f"SELECT * FROM {name}")] for name in names}


@pytest.fixture
def first_release(state_url: str, tmp_path: Path) -> str:
    """A state as the first release left it: on SQLite the file itself, on Postgres its rows in a database of that revision."""
    if state_url.startswith("sqlite"):
        shutil.copy(FROZEN, tmp_path / "state.sqlite")
        return state_url
    schema.upgrade(state_url, FIRST_RELEASE)
    rows = frozen_rows()
    with begin(state_url) as connection:
        found = sa.MetaData()
        found.reflect(connection)
        for table in found.sorted_tables:
            if table.name in rows and table.name != "flag_names":
                connection.execute(sa.insert(table), [_typed(table, row) for row in rows[table.name]])
    return state_url


def _typed(table: sa.Table, row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of SQLite with its truth values and moments as such."""
    typed = dict(row)
    for column in table.columns:
        value = row[column.name]
        if value is not None and isinstance(column.type, sa.Boolean):
            typed[column.name] = bool(value)
        if value is not None and isinstance(column.type, sa.DateTime):
            typed[column.name] = datetime.fromisoformat(value).replace(tzinfo=UTC)
    return typed


def assert_rows_are_intact(url: str) -> None:
    """Assert that every row of the frozen file is there, with every value; moments are typed otherwise in Postgres and left out."""
    rows = frozen_rows()
    assert len(rows) >= 13
    for table, expected in rows.items():
        assert expected, table
        names = [name for name in expected[0] if name not in ("created_at", "finished_at", "started", "finished")]
        with read(url) as connection:
            found = connection.execute(sa.select(*map(sa.column, names)).select_from(sa.table(table))).all()
        assert _in_order(found) == _in_order([[row[name] for name in names] for row in expected]), table


def _in_order(rows: Iterable[Iterable[Any]]) -> list[tuple[Any, ...]]:
    """Return rows in one order, truth values as SQLite stores them."""
    return sorted((tuple(int(value) if isinstance(value, bool) else value for value in row) for row in rows), key=repr)


def test_a_state_of_the_first_release_says_what_to_run(first_release: str) -> None:
    with pytest.raises(
        StoreError, match=rf"is at revision {FIRST_RELEASE}, this code needs {schema.head_revision()}; run: halo state upgrade"
    ):
        schema.require_head(first_release)


def test_it_comes_to_head_with_every_row_it_had_and_its_views_answer(first_release: str) -> None:
    schema.upgrade(first_release)
    schema.require_head(first_release)
    assert_rows_are_intact(first_release)
    with read(first_release) as connection:
        digests = campaigns.campaign_digests(connection, "tiny")
        books = injection.books(connection, "tiny")
        tasks = injection.results(connection, stage_digest=digests["injection"])
        assert all(row["n_planned"] == row["n_built"] == row["n_processed"] for row in books)
        assert sum(row["n_processed"] for row in books) == tasks.num_rows == 52
        assert summary.headline(connection, stage_digest=digests["summary"]).num_rows > 0
        for view in VIEWS:
            assert connection.execute(sa.select(sa.text("*")).select_from(sa.table(view))).all(), view


def test_it_goes_back_to_the_first_release_with_every_row_it_had(first_release: str) -> None:
    schema.upgrade(first_release)
    schema.downgrade(first_release, FIRST_RELEASE)
    assert_rows_are_intact(first_release)


def test_four_processes_that_upgrade_it_at_once_lose_nothing(first_release: str) -> None:
    workers = [FORK.Process(target=schema.upgrade, args=(first_release,)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    schema.require_head(first_release)
    assert_rows_are_intact(first_release)
