"""`halo state`: the schema of the state database."""

import click

from halo_core.store import schema
from luigi_tasks.cli.options import state_url_option


@click.group()
def state() -> None:
    """The state database."""


@state.command()
@state_url_option
def upgrade(state_url: str) -> None:
    """Bring the tables to this version's schema; safe to run again."""
    schema.upgrade(state_url)
    click.echo(f"state: {schema.current_revision(state_url)}, the newest revision")
