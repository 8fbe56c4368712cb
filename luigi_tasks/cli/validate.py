"""`halo validate`: the laws of every stage, asked again of what a campaign has stored."""

import sys
from collections.abc import Sequence

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from luigi_tasks.cli.options import objects_root_option, state_url_option
from luigi_tasks.revalidate import Checked, revalidate


@click.command()
@click.argument("campaign")
@state_url_option
@objects_root_option
def validate(campaign: str, state_url: str, objects_root: str) -> None:
    """Check what CAMPAIGN's latest run has stored, stage by stage, and keep the findings; no stage is done again.

    Exit code 1 where a law is broken that must hold, or a stage is not done. A stage that fails counts as unchecked until it passes again.
    """
    checked = []
    for one in revalidate(state_url, objects_root, campaign):
        checked.append(one)
        click.echo(f"{one.subject}: {f'checks: {len(one.findings)}' if one.findings else 'not reached'}", err=True)
    console = Console()
    if any(not found.is_ok for one in checked for found in one.findings):
        console.print(_failed(checked), "", highlight=False)
    console.print(_counts(campaign, checked))
    if not all(one.is_ok for one in checked):
        console.print(f"The page of it: halo report {campaign}. What to do: docs/validation.md", highlight=False)
        sys.exit(1)


def _failed(checked: Sequence[Checked]) -> str:
    """Return the checks that failed, errors before warnings, as lines of a terminal of any width."""
    failed = sorted((found for one in checked for found in one.findings if not found.is_ok), key=lambda found: found.severity != "error")
    return "\n".join(
        f"[bold]{escape(f'{found.severity}: {found.stage}, {found.check}')}[/bold]\n"
        f"  {escape(found.sentence)}\n  observed {escape(found.observed)}\n  expected {escape(found.expected)}"
        for found in failed
    )


def _counts(campaign: str, checked: Sequence[Checked]) -> Table:
    """Return how many checks of each stage passed."""
    title = f"Checks of {escape(campaign)}"
    table = Table(title=title, title_justify="left", title_style="bold", box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    table.add_column("stage")
    for heading in ("passed", "warnings", "failed"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in checked:
        n_failed, n_warned = (sum(not found.is_ok and found.severity == word for found in one.findings) for word in ("error", "warning"))
        counts = [str(len(one.findings) - n_failed - n_warned), str(n_warned), str(n_failed)]
        absent = f"not reached: {', '.join(one.not_reached)}" if one.not_reached else ""
        table.add_row(one.subject, *([""] * 3 if absent else counts), absent or ("ok" if one.is_ok else "failed"))
    return table
