"""Entry point of the `halo` command and what its subcommands share."""

import sys

import click

from halo_core.errors import HaloError
from luigi_tasks.cli.campaign import campaign
from luigi_tasks.cli.compare import compare
from luigi_tasks.cli.doctor import doctor
from luigi_tasks.cli.emr import emr
from luigi_tasks.cli.place import init
from luigi_tasks.cli.report import report
from luigi_tasks.cli.stamps import stamps
from luigi_tasks.cli.state import state
from luigi_tasks.cli.status import status
from luigi_tasks.cli.storage import storage
from luigi_tasks.cli.supervise import supervise
from luigi_tasks.cli.validate import validate


class _Group(click.Group):
    """A group whose own errors are one line and exit code 1, not a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except HaloError as error:
            click.echo(f"halo: {error}", err=True)
            sys.exit(1)


@click.group(cls=_Group)
@click.version_option(package_name="dark-halo-scope")
def main() -> None:
    """Dark Halo Scope beside the pipeline: look, check, set up. The pipeline itself is `luigi --module luigi_tasks RunCampaign`."""


for command in (campaign, compare, doctor, emr, init, report, stamps, state, status, storage, supervise, validate):
    main.add_command(command)
