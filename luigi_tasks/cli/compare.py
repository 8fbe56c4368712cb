"""`halo compare`: two campaigns side by side."""

import re
from pathlib import Path

import click

from halo_core.report.comparison import headline_lines, render_comparison
from halo_core.store.schema import require_head
from halo_core.store.sessions import read
from luigi_tasks.cli.options import configured_value, objects_root_option, state_url_option
from luigi_tasks.compare_data import collect_comparison
from luigi_tasks.objects import open_objects
from luigi_tasks.report import copy_report


@click.command()
@click.argument("campaign_a")
@click.argument("campaign_b")
@click.option("--out", type=click.Path(path_type=Path), default=None, show_default="compare_A_B.html by [report] path", help="The page.")
@state_url_option
@objects_root_option
def compare(campaign_a: str, campaign_b: str, out: Path | None, state_url: str, objects_root: str) -> None:
    """Set the latest runs of CAMPAIGN_A and CAMPAIGN_B side by side: differences with intervals, paired where injections are the same."""
    require_head(state_url)
    with read(state_url) as connection:
        data = collect_comparison(connection, (campaign_a, campaign_b), open_objects(objects_root))
    path = out if out is not None else Path(configured_value("report", "path")).with_name(_file_name(campaign_a, campaign_b))
    copy_report(render_comparison(data).encode(), path)
    for line in (*data.cautions, *headline_lines(data)):
        click.echo(line)
    click.echo(path)


def _file_name(*names: str) -> str:
    """Return the name of the page's file."""
    return "_".join(("compare", *(re.sub("[^A-Za-z0-9_-]", "_", name) for name in names))) + ".html"
