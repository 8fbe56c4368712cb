"""Connections to the state database: one engine per process and URL, transactions that write or only read.

No connection outlives its transaction, so a forked worker inherits none. SQLite runs in WAL mode, and its writers take
the write lock when they begin (`BEGIN IMMEDIATE`): a transaction that reads first and writes later cannot lose it halfway.
"""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from halo_core.errors import StoreError

BUSY_TIMEOUT_S = 120
"""How long a SQLite connection waits for another writer [s]."""

_WAL_ATTEMPTS = 200
_WAL_PAUSE_S = 0.05
_IS_WRITER = "halo_is_writer"
_engines: dict[tuple[int, str], sa.Engine] = {}


def parse_url(url: str) -> sa.URL:
    """Return the parsed URL of a state database.

    Parameters
    ----------
    url : str
        `sqlite:///relative/path`, `sqlite:////absolute/path` or `postgresql://user@host:port/database`.

    Raises
    ------
    StoreError
        The URL holds a password, is no URL, names no file, or is of another database than SQLite and Postgres.
        The message never repeats a password.
    """
    try:
        parsed = sa.make_url(url)
    except (sa.exc.ArgumentError, ValueError):
        raise StoreError(
            "the state URL cannot be read; expected sqlite:///folder/state.sqlite or postgresql://user@host/database"
        ) from None
    if parsed.password or any("password" in key.lower() for key in parsed.query):
        raise StoreError(
            f"the state URL of host {parsed.host!r} holds a password, which would end in logs and task parameters; take it out and "
            "give it by PGPASSWORD, by ~/.pgpass or by a service file (postgresql:///?service=NAME)"
        )
    backend = parsed.get_backend_name()
    if backend == "postgresql":
        return parsed.set(drivername="postgresql+psycopg2")
    if backend != "sqlite":
        raise StoreError(f"the state URL is of a {backend} database; only sqlite and postgresql are supported")
    if parsed.database in (None, "", ":memory:"):
        raise StoreError(
            "the state URL names no SQLite file; a database in memory is lost with its connection: give sqlite:///folder/state.sqlite"
        )
    return parsed.set(drivername="sqlite+pysqlite")


def engine_for(url: str) -> sa.Engine:
    """Return this process's engine of a state database; a forked child gets its own.

    Raises
    ------
    StoreError
        The URL is refused (see `parse_url`), or the Postgres driver is not installed.
    """
    key = (os.getpid(), url)
    if key not in _engines:
        _engines[key] = _new_engine(parse_url(url))
    return _engines[key]


@contextmanager
def begin(url: str) -> Iterator[sa.Connection]:
    """Give a connection in a transaction that may write: committed at the end, rolled back by an exception.

    A missing folder of a SQLite file is created, and the file with it.

    Raises
    ------
    StoreError
        The URL is refused, the database cannot be reached, or it refuses a statement.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        _sqlite_path(parsed).parent.mkdir(parents=True, exist_ok=True)
    with _transaction(url, is_writer=True) as connection:
        yield connection


@contextmanager
def read(url: str) -> Iterator[sa.Connection]:
    """Give a connection in a transaction that only reads; on SQLite it never waits for a writer.

    Raises
    ------
    StoreError
        The URL is refused, the SQLite file does not exist, the database cannot be reached, or it refuses a statement.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite" and not _sqlite_path(parsed).exists():
        raise StoreError(f"no state database at {_sqlite_path(parsed)}; run: halo state upgrade")
    with _transaction(url, is_writer=False) as connection:
        yield connection


def lock(connection: sa.Connection, *parts: object) -> None:
    """Hold others with the same key until this transaction ends; a SQLite writer already holds the whole database."""
    if connection.dialect.name == "postgresql":
        key = "\x1f".join(str(part) for part in parts)
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": key})


@contextmanager
def _transaction(url: str, *, is_writer: bool) -> Iterator[sa.Connection]:
    """Give a connection in a transaction; errors of the database become StoreError."""
    engine = engine_for(url)
    shown = engine.url.render_as_string(hide_password=True)
    try:
        connection = engine.connect()
    except sa.exc.DBAPIError as error:
        message = f"the state database {shown} cannot be reached: {_first_line(error)}; start it, or correct [state] url"
        raise StoreError(message) from error
    try:
        with connection.execution_options(**{_IS_WRITER: is_writer}) as opened, opened.begin():
            yield opened
    except sa.exc.DBAPIError as error:
        hint = "; run: halo state upgrade" if _lacks_something(error) else ""
        raise StoreError(f"the state database {shown} refused a statement: {_first_line(error)}{hint}") from error


def _new_engine(parsed: sa.URL) -> sa.Engine:
    """Return an engine without a pool, with the settings of its database."""
    if parsed.get_backend_name() == "postgresql":
        try:
            engine = sa.create_engine(parsed, poolclass=sa.pool.NullPool, connect_args={"connect_timeout": 20})
        except ModuleNotFoundError as error:
            raise StoreError("the Postgres driver is not installed; run: pip install 'dark-halo-scope[postgres]'") from error
        sa.event.listen(engine, "begin", _begin_postgres)
        return engine
    engine = sa.create_engine(parsed, poolclass=sa.pool.NullPool, connect_args={"timeout": BUSY_TIMEOUT_S})
    sa.event.listen(engine, "connect", _prepare_sqlite)
    sa.event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    """Set WAL mode, foreign keys and explicit transactions on a new connection."""
    connection.isolation_level = None
    connection.execute("PRAGMA foreign_keys = ON")
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            # Processes that open a new file at once collide here: the change to WAL does not wait for the busy timeout.
            if "locked" not in str(error) or attempt == _WAL_ATTEMPTS - 1:
                raise
            time.sleep(_WAL_PAUSE_S)


def _begin_sqlite(connection: sa.Connection) -> None:
    """Begin the transaction: writers take the write lock at once, readers cannot write."""
    if connection.get_execution_options().get(_IS_WRITER, True):
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")


def _begin_postgres(connection: sa.Connection) -> None:
    """Keep readers from writing."""
    if not connection.get_execution_options().get(_IS_WRITER, True):
        connection.exec_driver_sql("SET TRANSACTION READ ONLY")


def _sqlite_path(parsed: sa.URL) -> Path:
    """Return the file of a SQLite URL."""
    return Path(str(parsed.database))


def _lacks_something(error: sa.exc.DBAPIError) -> bool:
    """Tell whether a statement failed for want of a table, view or column: the state is of another revision."""
    text = str(error.orig)
    return "no such table" in text or "no such column" in text or (text.startswith(("relation", "column")) and "does not exist" in text)


def _first_line(error: sa.exc.DBAPIError) -> str:
    """Return the first line of the driver's message."""
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]
