"""Laws of connections: no password in a URL, none shared with a fork, no writer turned away, readers never write."""

import multiprocessing
import os
import sqlite3
import time
from contextlib import closing
from typing import ClassVar

import pytest
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.store import campaigns, sessions, stages
from halo_core.store.models import Campaign

FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:tr0ub4dor@db.example.org/halo",
        "postgresql+psycopg2://ada:tr0ub4dor@db.example.org:5432/halo",
        "postgresql://ada@db.example.org/halo?password=tr0ub4dor",
        "postgresql://ada@db.example.org/halo?sslpassword=tr0ub4dor",
    ],
)
@pytest.mark.parametrize("use", [sessions.begin, sessions.read])
def test_a_url_with_a_password_is_refused_and_not_repeated(url, use):
    with pytest.raises(StoreError) as caught, use(url):
        pass
    message = str(caught.value)
    assert "tr0ub4dor" not in message
    assert caught.value.__cause__ is None
    assert all(word in message for word in ("PGPASSWORD", ".pgpass", "service file"))


@pytest.mark.parametrize(
    ("url", "word"),
    [("sqlite://", "in memory"), ("sqlite:///:memory:", "in memory"), ("mysql://host/db", "mysql"), ("state.sqlite", "cannot be read")],
)
def test_a_url_that_cannot_hold_a_state_is_refused(url, word):
    with pytest.raises(StoreError, match=word):
        sessions.parse_url(url)


def test_the_postgres_driver_is_the_one_with_copy():
    assert sessions.parse_url("postgresql://host/db").drivername == "postgresql+psycopg2"
    assert sessions.parse_url("postgresql://ada:@host/db").drivername == "postgresql+psycopg2"


def test_an_unreachable_server_is_named():
    with pytest.raises(StoreError, match=r"127\.0\.0\.1:1/halo cannot be reached"), sessions.read("postgresql://127.0.0.1:1/halo"):
        pass


def test_a_file_that_is_no_database_is_named(tmp_path):
    path = tmp_path / "notes.sqlite"
    path.write_text("this is no database, whatever its name says" * 100)
    with pytest.raises(StoreError, match=r"notes\.sqlite cannot be reached"), sessions.read(f"sqlite:///{path}"):
        pass


def test_reading_creates_no_file(tmp_path):
    path = tmp_path / "folder" / "state.sqlite"
    with pytest.raises(StoreError, match="run: halo state upgrade"), sessions.read(f"sqlite:///{path}"):
        pass
    assert not path.parent.exists()


def test_writing_creates_the_folder(tmp_path):
    path = tmp_path / "a" / "b" / "state.sqlite"
    with sessions.begin(f"sqlite:///{path}") as connection:
        connection.execute(sa.text("CREATE TABLE t (x BIGINT)"))
    assert path.exists()


def test_sqlite_runs_in_wal_mode_with_foreign_keys_and_patience(tmp_path):
    with sessions.begin(f"sqlite:///{tmp_path / 'state.sqlite'}") as connection:
        settings = [connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in ("journal_mode", "foreign_keys", "busy_timeout")]
    assert settings[:2] == ["wal", 1]
    assert settings[2] >= 60_000


def test_an_exception_rolls_back(migrated_url):
    def register_and_fail() -> None:
        with sessions.begin(migrated_url) as connection:
            campaigns.register_campaign(connection, "field", {})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        register_and_fail()
    with sessions.read(migrated_url) as connection:
        assert campaigns.campaign_names(connection) == []


def test_a_reader_cannot_write(migrated_url):
    with pytest.raises(StoreError, match="read"), sessions.read(migrated_url) as connection:
        campaigns.register_campaign(connection, "field", {})


def test_a_reader_does_not_wait_for_a_writer(migrated_url):
    with sessions.begin(migrated_url) as writer:
        campaigns.register_campaign(writer, "field", {})
        with sessions.read(migrated_url) as reader:
            assert campaigns.campaign_names(reader) == []


def test_a_broken_constraint_is_a_store_error(migrated_url):
    with pytest.raises(StoreError, match="refused a statement"), sessions.begin(migrated_url) as connection:
        campaigns.link_stage(connection, 1, "manifest", "no such digest")


def test_a_state_without_tables_says_what_to_run(state_url):
    with sessions.begin(state_url):
        pass
    with pytest.raises(StoreError, match="run: halo state upgrade"), sessions.read(state_url) as connection:
        campaigns.campaign_names(connection)


def test_a_state_without_a_column_says_what_to_run(migrated_url):
    with pytest.raises(StoreError, match="run: halo state upgrade"), sessions.read(migrated_url) as connection:
        connection.execute(sa.text("SELECT later FROM blocks"))


def _register(url: str, worker: int) -> None:
    for number in range(15):
        with sessions.begin(url) as connection:
            n_before = connection.execute(sa.select(sa.func.count()).select_from(Campaign)).scalar_one()
            campaigns.register_campaign(connection, f"w{worker}", {"number": number, "n_before": n_before})


def _exit_codes(*processes) -> list[int | None]:
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=60)
    return [process.exitcode for process in processes]


def test_writers_of_several_processes_all_get_their_turn(migrated_url):
    assert _exit_codes(*(FORK.Process(target=_register, args=(migrated_url, worker)) for worker in range(3))) == [0, 0, 0]
    with sessions.read(migrated_url) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(Campaign)).scalar_one() == 45


def _create_table(url: str, worker: int) -> None:
    with sessions.begin(url) as connection:
        connection.execute(sa.text(f"CREATE TABLE t{worker} (x BIGINT)"))


def _record_stage(url: str, may_begin, begun) -> None:
    may_begin.wait(60.0)
    with sessions.begin(url) as connection:
        begun.set()
        stages.record_stage(connection, "a1b2", "injection", 1, {}, "0.1.0")


def test_a_stage_that_is_finished_while_another_worker_registers_it_stays_done(migrated_url):
    with sessions.begin(migrated_url) as connection:
        stages.record_stage(connection, "a1b2", "injection", 1, {}, "0.1.0")
    may_begin, begun = FORK.Event(), FORK.Event()
    other = FORK.Process(target=_record_stage, args=(migrated_url, may_begin, begun))
    other.start()
    with sessions.begin(migrated_url) as connection:
        stages.finish_stage(connection, "a1b2", {})
        may_begin.set()
        begun.wait(2.0)
        time.sleep(1.0)
    other.join(timeout=300)
    assert other.exitcode == 0
    with sessions.read(migrated_url) as connection:
        assert stages.stage_is_done(connection, "a1b2")


def test_processes_that_open_a_new_database_at_once_all_succeed(state_url):
    assert _exit_codes(*(FORK.Process(target=_create_table, args=(state_url, worker)) for worker in range(6))) == [0] * 6
    with sessions.read(state_url) as connection:
        assert len(sa.inspect(connection).get_table_names()) == 6


class _BusyFile(sqlite3.Connection):
    """A connection to a file that another process is just opening: the first changes to WAL are turned away."""

    refusals: ClassVar[list[str]] = ["database is locked"] * 3

    def execute(self, statement: str, *parameters: object) -> sqlite3.Cursor:
        if "journal_mode" in statement and self.refusals:
            raise sqlite3.OperationalError(self.refusals.pop())
        return super().execute(statement, *parameters)


def test_the_change_to_wal_is_tried_until_the_file_is_free(tmp_path, monkeypatch):
    with closing(sqlite3.connect(tmp_path / "state.sqlite", factory=_BusyFile)) as connection:
        sessions._prepare_sqlite(connection, None)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        monkeypatch.setattr(_BusyFile, "refusals", ["disk I/O error"])
        with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
            sessions._prepare_sqlite(connection, None)


def _leave_if_shared(url: str, parent: sa.Engine) -> None:
    engine = sessions.engine_for(url)
    with sessions.begin(url) as connection:
        campaigns.register_campaign(connection, "child", {})
    os._exit(1 if engine is parent else 0)


def test_a_forked_child_uses_no_connection_of_its_parent(migrated_url):
    engine = sessions.engine_for(migrated_url)
    assert sessions.engine_for(migrated_url) is engine
    assert isinstance(engine.pool, sa.pool.NullPool)
    with sessions.read(migrated_url) as connection:
        assert campaigns.campaign_names(connection) == []
    assert _exit_codes(FORK.Process(target=_leave_if_shared, args=(migrated_url, engine))) == [0]
    with sessions.read(migrated_url) as connection:
        assert campaigns.campaign_names(connection) == ["child"]
