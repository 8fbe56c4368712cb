"""Alembic's entry: migrates the connection it is given, or the state named by `-x url=...` or HALO_STATE_URL."""

import os

import sqlalchemy as sa
from alembic import context

from halo_core.errors import StoreError
from halo_core.store.models import Base
from halo_core.store.sessions import begin

MIGRATION_LOCK = 4_851_210_113_047
"""Key of the Postgres advisory lock that lets one migration run at a time."""


def migrate(connection: sa.Connection) -> None:
    """Run the asked revisions in the connection's transaction: all of them or none."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_server_default=False,
    )
    with context.begin_transaction():
        context.run_migrations()


def state_url() -> str:
    """Return the URL that the command line or the environment names."""
    url = context.get_x_argument(as_dictionary=True).get("url") or os.environ.get("HALO_STATE_URL")
    if not url:
        raise StoreError("no state database named: give -x url=sqlite:///halo_data/state.sqlite or set HALO_STATE_URL")
    return str(url)


if context.is_offline_mode():
    raise StoreError("migrations run against a database only; take --sql away")

given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with begin(state_url()) as opened:
        migrate(opened)
