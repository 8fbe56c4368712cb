"""Laws of the migrations: each step goes up, down and up again on both databases, and a failed one leaves nothing."""

import multiprocessing
import re
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.config import CommandLine

from halo_core.errors import StoreError
from halo_core.store import campaigns, schema
from halo_core.store.sessions import begin, read

ROOT = Path(__file__).resolve().parents[2]
REVISIONS = [script.revision for script in reversed(list(schema._scripts().walk_revisions()))]
POSTGRES_ALONE = ("0017",)
"""Revisions that change nothing in SQLite."""

FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def _contents(url: str) -> list[tuple[str, ...]]:
    """Return what the database says it holds: DDL text on SQLite; columns, indexes and constraints on Postgres."""
    with read(url) as connection:
        if connection.dialect.name == "sqlite":
            queries = ["SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL"]
        else:
            queries = [
                "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns WHERE table_schema = 'public'",
                "SELECT tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'",
                "SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid > 0",
                "SELECT viewname, definition FROM pg_views WHERE schemaname = 'public'",
                "SELECT relname, COALESCE(attname, ''), description FROM pg_description JOIN pg_class ON pg_class.oid = objoid"
                " LEFT JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid AND objsubid > 0"
                " WHERE classoid = 'pg_class'::regclass AND relnamespace = 'public'::regnamespace",
            ]
        rows = [tuple(row) for query in queries for row in connection.execute(sa.text(query))]
    return sorted(
        (row for row in rows if "alembic_version" not in row[0] and not row[0].startswith(("pg_", "information_schema"))), key=repr
    )


def test_the_revisions_are_one_line_and_named_by_number():
    assert [f"{number + 1:04d}" for number in range(len(REVISIONS))] == REVISIONS
    for script in schema._scripts().walk_revisions():
        assert Path(script.path).name.startswith(f"{script.revision}_")


def test_revisions_import_nothing_of_the_project():
    for script in schema._scripts().walk_revisions():
        assert not re.search(r"^\s*(from|import) (halo_core|luigi_tasks)", Path(script.path).read_text(), re.MULTILINE)


def test_each_step_goes_up_down_and_up(state_url):
    before: list[tuple[str, ...]] = []
    for number, revision in enumerate(REVISIONS):
        schema.upgrade(state_url, revision)
        after = _contents(state_url)
        assert after != before or (revision in POSTGRES_ALONE and state_url.startswith("sqlite"))
        schema.downgrade(state_url, REVISIONS[number - 1] if number else "base")
        assert _contents(state_url) == before
        schema.upgrade(state_url, revision)
        assert _contents(state_url) == after
        assert schema.current_revision(state_url) == revision
        before = after


def test_down_to_base_leaves_nothing_and_up_again_is_the_same(migrated_url):
    full = _contents(migrated_url)
    schema.downgrade(migrated_url, "base")
    assert _contents(migrated_url) == []
    assert schema.current_revision(migrated_url) is None
    schema.upgrade(migrated_url)
    assert _contents(migrated_url) == full


def test_upgrading_twice_keeps_the_rows(migrated_url):
    with begin(migrated_url) as connection:
        campaigns.register_campaign(connection, "field", {})
    schema.upgrade(migrated_url)
    with read(migrated_url) as connection:
        assert campaigns.campaign_names(connection) == ["field"]


def test_a_failed_step_leaves_the_state_as_it_was(state_url):
    schema.upgrade(state_url, REVISIONS[1])
    before = _contents(state_url)
    with begin(state_url) as connection:
        connection.execute(sa.text("CREATE TABLE injection_tasks (x BIGINT)"))
    with pytest.raises(StoreError, match="injection_tasks"):
        schema.upgrade(state_url)
    assert schema.current_revision(state_url) == REVISIONS[1]
    assert {row[0] for row in _contents(state_url)} == {*(row[0] for row in before), "injection_tasks"}


def test_two_upgrades_at_once_make_one_state(state_url):
    workers = [FORK.Process(target=schema.upgrade, args=(state_url,)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    schema.require_head(state_url)


def test_a_state_that_is_not_at_head_says_what_to_run(state_url):
    with begin(state_url):
        pass
    with pytest.raises(StoreError, match=r"has never been migrated, this code needs .*run: halo state upgrade"):
        schema.require_head(state_url)
    schema.upgrade(state_url, REVISIONS[2])
    with pytest.raises(StoreError, match=f"is at revision {REVISIONS[2]}, .*run: halo state upgrade"):
        schema.require_head(state_url)
    schema.upgrade(state_url)
    schema.require_head(state_url)


def test_a_missing_sqlite_file_says_what_to_run(tmp_path):
    with pytest.raises(StoreError, match="run: halo state upgrade"):
        schema.require_head(f"sqlite:///{tmp_path / 'state.sqlite'}")


def test_a_state_of_a_newer_code_is_left_alone(migrated_url):
    with begin(migrated_url) as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    for act in (schema.require_head, schema.upgrade, lambda url: schema.downgrade(url, "base")):
        with pytest.raises(StoreError, match="9999, this code knows none after"):
            act(migrated_url)


def test_an_unknown_revision_is_refused(migrated_url):
    with pytest.raises(StoreError, match="cannot go to revision '7777'"):
        schema.upgrade(migrated_url, "7777")


@pytest.fixture
def alembic(monkeypatch):
    """Alembic's own command line, in the checkout."""
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("HALO_STATE_URL", raising=False)
    return CommandLine(prog="alembic").main


@pytest.mark.parametrize("way", ["argument", "environment"])
def test_alembics_own_command_works_on_the_same_state(state_url, way, alembic, monkeypatch):
    options = ["-c", "setup.cfg"]
    if way == "argument":
        options += ["-x", f"url={state_url}"]
    else:
        monkeypatch.setenv("HALO_STATE_URL", state_url)
    alembic([*options, "upgrade", "head"])
    schema.require_head(state_url)
    alembic([*options, "check"])


def test_alembics_own_command_refuses_to_guess_a_state(alembic):
    with pytest.raises(StoreError, match="no state database named"):
        alembic(["-c", "setup.cfg", "upgrade", "head"])


def test_alembics_own_command_refuses_a_password(alembic):
    with pytest.raises(StoreError, match="PGPASSWORD"):
        alembic(["-c", "setup.cfg", "-x", "url=postgresql://ada:tr0ub4dor@127.0.0.1:1/halo", "upgrade", "head"])


def test_no_sql_is_written_without_a_database(alembic):
    with pytest.raises(StoreError, match="against a database only"):
        alembic(["-c", "setup.cfg", "upgrade", "head", "--sql"])
