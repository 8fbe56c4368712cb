"""`halo state`: the schema of the state database, and its rows held against the objects."""

import sys

import click

from halo_core.store import schema
from luigi_tasks import rebuild as objects_to_rows
from luigi_tasks.cli.options import keeps_parents_option, objects_root_option, state_url_option
from luigi_tasks.objects import open_objects


@click.group()
def state() -> None:
    """The state database."""


@state.command()
@state_url_option
def upgrade(state_url: str) -> None:
    """Bring the tables to this version's schema; safe to run again."""
    schema.upgrade(state_url)
    click.echo(f"state: {schema.current_revision(state_url)}, the newest revision")


@state.command()
@state_url_option
@objects_root_option
@keeps_parents_option
def rebuild(state_url: str, objects_root: str, keeps_parents: bool) -> None:
    """Load an empty state from the objects: campaigns, stages, blocks, rows and findings."""
    objects_to_rows.rebuild(state_url, open_objects(objects_root), say=click.echo, keeps_parents=keeps_parents)
    click.echo("state: rebuilt; attempts, machines, clock times, and the errors of what failed are known to the old state alone")


@state.command()
@click.argument("campaign", required=False)
@click.option("--repair", is_flag=True, help="Load again what differs.")
@state_url_option
@objects_root_option
@keeps_parents_option
def verify(campaign: str | None, repair: bool, state_url: str, objects_root: str, keeps_parents: bool) -> None:
    """Compare the rows of CAMPAIGN (of every campaign where none is named) with its objects. Exit code 1 where they differ."""
    found = []
    for difference in objects_to_rows.verify(state_url, open_objects(objects_root), campaign, keeps_parents=keeps_parents):
        click.echo(f"{difference.stage} {difference.stage_digest}, {difference.place}: {difference.sentence}")
        found.append(difference)
    left = objects_to_rows.repair(state_url, found) if repair else found
    if repair:
        click.echo(f"state: {len(found) - len(left)} of {len(found)} differences repaired")
    else:
        click.echo(f"state: {len(found)} differences between objects and rows" + ("; --repair loads them again" if found else ""))
    if left:
        sys.exit(1)
