"""`halo supervise`: run a command until it is done, whatever kills it."""

import signal
import sys
import time

import click

from halo_command.supervisor import Patience, Supervisor

_SIGNALS = {"TERM": signal.SIGTERM, "INT": signal.SIGINT, "QUIT": signal.SIGQUIT}


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--service", is_flag=True, help="The command is never done: start it again after exit code 0 too.")
@click.option("--limit", default=Patience.limit, show_default=True, help="Give up when the command has ended this often ...")
@click.option("--within-s", default=Patience.within_s, show_default=True, help="... within this time [s].")
@click.option("--pause-s", default=Patience.first_pause_s, show_default=True, help="Pause before the second start [s]; it doubles ...")
@click.option("--longest-pause-s", default=Patience.longest_pause_s, show_default=True, help="... up to this [s].")
@click.option("--grace-s", default=Patience.grace_s, show_default=True, help="From the signal to stop to the kill [s].")
@click.option(
    "--stop-signal", default="TERM", show_default=True, type=click.Choice(sorted(_SIGNALS)), help="How the command is told to stop."
)
def supervise(
    command: tuple[str, ...],
    *,
    service: bool,
    limit: int,
    within_s: float,
    pause_s: float,
    longest_pause_s: float,
    grace_s: float,
    stop_signal: str,
) -> None:
    """Run COMMAND again and again until it succeeds: halo supervise -- luigi --module luigi_tasks RunCampaign."""
    patience = Patience(first_pause_s=pause_s, longest_pause_s=longest_pause_s, limit=limit, within_s=within_s, grace_s=grace_s)
    supervisor = Supervisor(command, say=_say, patience=patience, is_service=service, stop_signal=_SIGNALS[stop_signal])
    sys.exit(supervisor.run())


def _say(text: str) -> None:
    """Write a line with the time of day."""
    click.echo(f"{time.strftime('%H:%M:%S')} supervise: {text}", err=True)
