"""`halo campaign`: which campaigns there are, and taking one out without touching the others."""

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_core.store import removal
from halo_core.store.schema import require_head
from halo_core.store.sessions import begin, read
from luigi_tasks.cli.options import objects_root_option, state_url_option
from luigi_tasks.objects import Objects, open_objects
from luigi_tasks.runs import recorded_runs
from luigi_tasks.targets import BLOCK_MARK, STAGE_MARK, stage_prefix


@click.group()
def campaign() -> None:
    """Campaigns in the state."""


@campaign.command(name="list")
@state_url_option
def list_(state_url: str) -> None:
    """Show every campaign: its runs, the stage digests they use, and how many of these no other campaign uses."""
    require_head(state_url)
    table = Table("campaign", "runs", "digests", "own digests", box=SIMPLE_HEAD, show_edge=False)
    with read(state_url) as connection:
        for line in removal.campaign_lines(connection):
            table.add_row(*map(str, line))
    Console().print(table)


@campaign.command()
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would go, and change nothing.")
@click.option("--objects", "with_objects", is_flag=True, help="Delete the objects of those digests too.")
@state_url_option
@objects_root_option
def delete(name: str, dry_run: bool, with_objects: bool, state_url: str, objects_root: str) -> None:
    """Delete NAME's runs from the state, and the rows of every digest that no other campaign uses.

    Without --objects the objects stay, and running NAME again (or halo state rebuild) only loads them. Cached planes are never deleted.
    """
    require_head(state_url)
    with read(state_url) as connection:
        uses = removal.digests_of(connection, name)
    verb = "would go" if dry_run else "goes"
    for use in uses:
        fate = f"stays, used by {', '.join(use.others)}" if use.others else verb
        click.echo(f"{use.stage} {use.stage_digest}: {use.n_rows:,} rows, {fate}")
    if dry_run:
        return
    objects = open_objects(objects_root)
    with begin(state_url) as connection:
        own = removal.delete_campaign(connection, name)
        # Within the transaction: a deletion that is interrupted can be given again, for the state still knows the campaign.
        n_objects = sum(_delete_stage(objects, use) for use in own) + _delete_records(objects, name) if with_objects else 0
    click.echo(f"{name}: {sum(use.n_rows for use in own):,} rows of {len(own)} digests deleted, {len(uses) - len(own)} digests stay")
    click.echo(f"{name}: {n_objects:,} objects deleted below {objects.root}")


def _delete_stage(objects: Objects, use: removal.DigestUse) -> int:
    """Delete the objects of a digest, commit marks first so that no half of it looks whole, and return their number."""
    keys = sorted(objects.list_sizes(stage_prefix(use.stage, use.stage_digest)), key=_is_no_mark)
    for key in keys:
        objects.delete(key)
    return len(keys)


def _is_no_mark(key: str) -> tuple[bool, bool, str]:
    """Return what sorts the stage's mark first, then the blocks' marks."""
    return not key.endswith(STAGE_MARK), not key.endswith(BLOCK_MARK), key


def _delete_records(objects: Objects, name: str) -> int:
    """Delete the records of a campaign's runs, and return their number."""
    runs = recorded_runs(objects, name)
    for run in runs:
        objects.delete(run.key)
    return len(runs)
