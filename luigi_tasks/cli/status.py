"""`halo status`: progress, books and completeness of a campaign, from SQL."""

from collections.abc import Iterable, Mapping
from typing import Any

import click
import sqlalchemy as sa
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from halo_core.errors import StoreError
from halo_core.stages.summary import headline
from halo_core.store import blocks, campaigns, injection, summary, validation
from halo_core.store.schema import require_head
from halo_core.store.sessions import read
from luigi_tasks.cli.options import configured_value, state_url_option
from luigi_tasks.plane_losses import outcome_lines
from luigi_tasks.report_data import errors_of_run

_EXAMPLE = (
    "SELECT tier, region_split, stamp_size, theta_e_arcsec, arc_snr, magnification\n"
    "  FROM v_task_full WHERE campaign = '{name}' AND metrics_ok AND NOT is_control ORDER BY arc_snr DESC LIMIT 10;"
)


@click.command()
@click.argument("campaign", required=False)
@state_url_option
def status(campaign: str | None, state_url: str) -> None:
    """Show progress, losses and completeness of CAMPAIGN (the latest run of any where none is named)."""
    require_head(state_url)
    console = Console()
    with read(state_url) as connection:
        run = campaigns.latest_campaign(connection, campaign)
        if run is None:
            raise StoreError(
                f"no campaign {campaign or 'at all'} in {state_url}; known: {', '.join(campaigns.campaign_names(connection)) or 'none'}"
            )
        digests = campaigns.run_digests(connection, run.campaign_id)
        console.print(_progress(connection, run.name), "")
        _print_books(console, connection, run.name, digests)
        _print_planes(console, connection, digests)
        _print_workers(console, connection, digests)
        _print_failures(console, connection, digests)
        if "summary" in digests:
            console.print("", _completeness(headline(summary.headline(connection, stage_digest=digests["summary"]))), "")
    console.print(f"Report: {configured_value('report', 'path')}")
    console.print("Try some SQL (sqlite3 halo_data/state.sqlite, or psql):")
    console.print(_EXAMPLE.format(name=run.name), highlight=False, markup=False)


def _table(title: str, columns: Mapping[str, bool]) -> Table:
    """Return an empty table; columns by heading, True for numbers."""
    table = Table(
        title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True
    )
    for heading, is_number in columns.items():
        table.add_column(heading, justify="right" if is_number else "left", no_wrap=True)
    return table


def _progress(connection: sa.Connection, name: str) -> Table:
    """Return how far each stage is."""
    table = _table(f"Campaign {name}", {"stage": False, "status": False, "blocks": True, "tasks": True, "digest": False})
    for stage in campaigns.progress(connection, name):
        done = f"{stage.n_blocks_finished:,} of {stage.n_blocks:,}" if stage.n_blocks else ""
        tasks = f"{stage.n_tasks_finished or 0:,} of {stage.n_tasks:,}" if stage.n_tasks else ""
        table.add_row(stage.stage, stage.status, done, tasks, stage.stage_digest[:8])
    return table


def _print_books(console: Console, connection: sa.Connection, name: str, digests: Mapping[str, str]) -> None:
    """Print planned, processed, evaluated and lost tasks."""
    books = injection.books(connection, name)
    if not books:
        return
    numbers = ("n_planned", "n_built", "n_processed", "n_evaluated", "n_not_evaluated")
    headings = {
        "tier": False,
        "split": False,
        "size": True,
        "planned": True,
        "built": True,
        "processed": True,
        "evaluated": True,
        "not": True,
    }
    table = _table("Tasks by tier, split and stamp size; not = not evaluated", headings)
    for row in books:
        table.add_row(row["tier"], row["region_split"], str(row["stamp_size"]), *(_count(row[number]) for number in numbers))
    table.add_section()
    table.add_row("all", "", "", *(_count(sum(row[number] or 0 for row in books)) for number in numbers))
    console.print(table)
    lost: dict[str, int] = {}
    for loss in injection.losses(connection, digests["manifest"], digests["injection"]):
        lost[loss.flag_name] = lost.get(loss.flag_name, 0) + loss.n_tasks
    console.print(
        "Not evaluated, by reason: " + (", ".join(f"{reason} {n:,}" for reason, n in sorted(lost.items())) or "none"), highlight=False
    )


def _print_planes(console: Console, connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Print what became of the survey's planes so far."""
    lines = outcome_lines(connection, digests["cache"]) if "cache" in digests else []
    for line in ("Planes by reason:", *lines) if lines else ():
        console.print(line, highlight=False, markup=False)


def _print_workers(console: Console, connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Print which blocks are being worked on, and where."""
    words = {digest: word for word, digest in digests.items()}
    for (digest, block), owner in sorted(blocks.live_leases(connection, words).items()):
        console.print(f"At work: {words[digest]}, block {block}, on {owner.partition(':')[0]}", highlight=False, markup=False)


def _print_failures(console: Console, connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Print stages and blocks that stopped, and checks that failed."""
    lines = errors_of_run(connection, digests)
    for word, digest in digests.items():
        failed = [found for found in validation.findings(connection, digest) if not found.is_ok] if word.startswith("validation_") else []
        lines += [f"{one.severity}: {one.stage}: {one.sentence} Observed {one.observed}, expected {one.expected}." for one in failed]
    for line in lines:
        console.print(line, highlight=False, markup=False)


def _completeness(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the completeness that people read first."""
    headings = {"tier": False, "criterion": False, "recovered": True, "completeness": True, "weighted": True}
    table = _table("Completeness of evaluated injections, all splits, 95 % intervals by sky cell", headings)
    for row in rows:
        counts = f"{row['n_recovered']:,}/{row['n_evaluated']:,}"
        values = ("completeness", "lower_95", "upper_95"), ("completeness_weighted", "weighted_lower_95", "weighted_upper_95")
        numbers = ["too few"] * 2 if row["is_too_few"] else [_measured(*(row[name] for name in names)) for names in values]
        table.add_row(f"{row['tier']} {row['stamp_size']}", row["criterion"], counts, *numbers)
    return table


def _count(value: int | None) -> str:
    """Return a count as text; a stage that was not reached has none."""
    return "none" if value is None else f"{value:,}"


def _measured(value: float | None, lower: float | None, upper: float | None) -> str:
    """Return a share and its interval as text."""
    if value is None:
        return "none"
    return f"{value:.3f} (no interval)" if lower is None or upper is None else f"{value:.3f} ({lower:.3f}-{upper:.3f})"
