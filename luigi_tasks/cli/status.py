"""`halo status`: progress, books and completeness of a campaign, from SQL."""

from collections.abc import Iterable, Mapping
from typing import Any

import click
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

from halo_core.errors import StoreError
from halo_core.stages.summary import headline
from halo_core.store import blocks, campaigns, injection, summary, validation
from halo_core.store.schema import require_head
from halo_core.store.sessions import read
from luigi_tasks.cli.options import configured_value, state_url_option

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
            raise StoreError(f"no campaign {campaign or 'at all'} in {state_url}; known: {', '.join(campaigns.campaign_names(connection)) or 'none'}")
        digests = campaigns.run_digests(connection, run.campaign_id)
        console.print(_progress(connection, run.name))
        _print_books(console, connection, digests)
        _print_failures(console, connection, digests)
        if "summary" in digests:
            console.print(_completeness(headline(summary.headline(connection, stage_digest=digests["summary"]))))
    console.print(f"Report: {configured_value('report', 'path')}")
    console.print("Try some SQL (sqlite3 halo_data/state.sqlite, or psql):")
    console.print(_EXAMPLE.format(name=run.name), highlight=False, markup=False)


def _progress(connection: sa.Connection, name: str) -> Table:
    """Return how far each stage is."""
    table = Table(title=f"Campaign {name}", title_justify="left")
    for column in ("stage", "status", "blocks", "tasks", "digest"):
        table.add_column(column, justify="right" if column in ("blocks", "tasks") else "left")
    for stage in campaigns.progress(connection, name):
        done = f"{stage.n_blocks_finished:,} of {stage.n_blocks:,}" if stage.n_blocks else ""
        tasks = f"{stage.n_tasks_finished or 0:,} of {stage.n_tasks:,}" if stage.n_tasks else ""
        table.add_row(stage.stage, stage.status, done, tasks, stage.stage_digest[:8])
    return table


def _print_books(console: Console, connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Print planned, evaluated and lost tasks."""
    if "manifest" not in digests or "injection" not in digests:
        return
    accounts = injection.accounting(connection, digests["manifest"], digests["injection"])
    table = Table(title="Tasks", title_justify="left")
    for column in ("tier", "split", "size [pix]", "planned", "controls", "processed", "evaluated", "not evaluated"):
        table.add_column(column, justify="left" if column in ("tier", "split") else "right")
    for a in accounts:
        numbers = (a.stamp_size, a.n_planned, a.n_controls, a.n_processed, a.n_evaluated, a.n_not_evaluated)
        table.add_row(a.tier, a.region_split, *(f"{n:,}" for n in numbers))
    totals = [sum(getattr(a, name) for a in accounts) for name in ("n_planned", "n_controls", "n_processed", "n_evaluated", "n_not_evaluated")]
    table.add_section()
    table.add_row("all", "", "", *(f"{n:,}" for n in totals))
    console.print(table)
    lost: dict[str, int] = {}
    for loss in injection.losses(connection, digests["manifest"], digests["injection"]):
        lost[loss.flag_name] = lost.get(loss.flag_name, 0) + loss.n_tasks
    console.print("Not evaluated, by reason: " + (", ".join(f"{name} {n:,}" for name, n in sorted(lost.items())) or "none"), highlight=False)


def _print_failures(console: Console, connection: sa.Connection, digests: Mapping[str, str]) -> None:
    """Print blocks whose last attempt failed, and checks that failed."""
    for word in ("cache", "injection"):
        for block, error in blocks.failed_blocks(connection, digests.get(word, "")).items():
            console.print(f"[red]{word} block {block} failed:[/red] {error}", highlight=False)
    for word, digest in digests.items():
        if word.startswith("validation_"):
            for found in validation.findings(connection, digest):
                if not found.is_ok:
                    console.print(f"{found.severity}: {found.stage} {found.check}: {found.sentence} Observed {found.observed}, expected {found.expected}.", highlight=False)


def _completeness(rows: Iterable[Mapping[str, Any]]) -> Table:
    """Return the completeness that people read first."""
    table = Table(title="Completeness, all splits", title_justify="left", caption="Intervals are 95 %, by sky cell.", caption_justify="left")
    for column in ("tier", "size [pix]", "criterion", "planned", "evaluated", "not evaluated", "recovered", "completeness", "95 %", "weighted", "95 % weighted"):
        table.add_column(column, justify="left" if column in ("tier", "criterion") else "right")
    for row in rows:
        counts = [f"{row[name]:,}" for name in ("n_planned", "n_evaluated", "n_not_evaluated", "n_recovered")]
        numbers = ["too few"] * 4 if row["is_too_few"] else [
            _number(row["completeness"]),
            _interval(row["lower_95"], row["upper_95"]),
            _number(row["completeness_weighted"]),
            _interval(row["weighted_lower_95"], row["weighted_upper_95"]),
        ]
        table.add_row(row["tier"], str(row["stamp_size"]), row["criterion"], *counts, *numbers)
    return table


def _number(value: float | None) -> str:
    """Return a share as text."""
    return "none" if value is None else f"{value:.3f}"


def _interval(lower: float | None, upper: float | None) -> str:
    """Return an interval as text."""
    return "none" if lower is None or upper is None else f"{lower:.3f}-{upper:.3f}"
