"""`halo report`: the page of a campaign, also of one that failed."""

from pathlib import Path

import click

from halo_core.report.page import render_report
from halo_core.store.schema import require_head
from halo_core.store.sessions import read
from luigi_tasks.cli.options import configured_value, objects_root_option, state_url_option
from luigi_tasks.objects import open_objects
from luigi_tasks.report import copy_report
from luigi_tasks.report_data import collect_report
from luigi_tasks.report_run import run_of


@click.command()
@click.argument("campaign")
@click.option("--out", type=click.Path(path_type=Path), default=None, show_default="[report] path", help="File of the page.")
@state_url_option
@objects_root_option
def report(campaign: str, out: Path | None, state_url: str, objects_root: str) -> None:
    """Render the page of CAMPAIGN's latest run, whatever it reached; what failed heads the page."""
    require_head(state_url)
    with read(state_url) as connection:
        run = run_of(connection, campaign, open_objects(objects_root))
        data = collect_report(connection, run, is_lenient=True)
    path = out if out is not None else Path(configured_value("report", "path"))
    copy_report(render_report(data).encode(), path)
    click.echo(path)
