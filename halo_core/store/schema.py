"""The revision of a state database: upgrade, downgrade, and refusal to work on another revision than the code's."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from halo_core.errors import StoreError
from halo_core.store.sessions import begin, parse_url, read


def upgrade(url: str, revision: str = "head") -> None:
    """Bring a state database to a revision, creating it where there is none; all steps in one transaction.

    Raises
    ------
    StoreError
        The URL is refused, the database cannot be reached, a step fails, or the database holds an unknown revision.
    """
    _known_revision(url)
    with begin(url) as connection, _known_script(revision):
        command.upgrade(_config(connection), revision)


def downgrade(url: str, revision: str) -> None:
    """Take a state database back to a revision (`base` empties it); all steps in one transaction.

    Raises
    ------
    StoreError
        As `upgrade`.
    """
    _known_revision(url)
    with begin(url) as connection, _known_script(revision):
        command.downgrade(_config(connection), revision)


def current_revision(url: str) -> str | None:
    """Return the revision a state database is at, None for a database without one.

    Raises
    ------
    StoreError
        The URL is refused, or the database does not exist or cannot be reached.
    """
    with read(url) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def head_revision() -> str:
    """Return the newest revision this code knows."""
    return str(_scripts().get_current_head())


def require_head(url: str) -> None:
    """Refuse a state database that is at another revision than this code.

    Raises
    ------
    StoreError
        The database is older, newer, has never been migrated, or cannot be reached; the message says what to run.
    """
    current, head = current_revision(url), head_revision()
    if current == head:
        return
    _refuse_unknown(url, current)
    state = "has never been migrated" if current is None else f"is at revision {current}"
    raise StoreError(f"the state database {_shown(url)} {state}, this code needs {head}; run: halo state upgrade")


def _known_revision(url: str) -> None:
    """Refuse a database at a revision this code does not know."""
    with begin(url) as connection:
        _refuse_unknown(url, MigrationContext.configure(connection).get_current_revision())


def _refuse_unknown(url: str, current: str | None) -> None:
    """Refuse a revision that no script of this code has."""
    if current is not None and current not in {script.revision for script in _scripts().walk_revisions()}:
        raise StoreError(
            f"the state database {_shown(url)} is at revision {current}, this code knows none after {head_revision()}; "
            "install the version of dark-halo-scope that wrote it"
        )


@contextmanager
def _known_script(revision: str) -> Iterator[None]:
    """Turn Alembic's complaint about the asked revision into a StoreError."""
    try:
        yield
    except CommandError as error:
        raise StoreError(f"cannot go to revision {revision!r}: {error}; this code knows base to {head_revision()}") from error


def _config(connection: sa.Connection) -> Config:
    """Return Alembic's configuration for an open connection."""
    config = _base_config()
    config.attributes["connection"] = connection
    return config


def _base_config() -> Config:
    """Return Alembic's configuration of the installed migrations, from a checkout or a wheel."""
    config = Config()
    config.set_main_option("script_location", str(files("halo_core.migrations")).replace("%", "%%"))
    return config


def _scripts() -> ScriptDirectory:
    """Return the revisions this code knows."""
    return ScriptDirectory.from_config(_base_config())


def _shown(url: str) -> str:
    """Return the URL for a message."""
    return parse_url(url).render_as_string(hide_password=True)
