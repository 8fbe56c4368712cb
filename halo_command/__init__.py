"""The start of the `halo` command: `halo supervise` runs without the pipeline, which every other subcommand loads.

A supervisor stands beside each service and worker for days. It starts at once and stays small because it imports none of what they do.
"""

import sys
from importlib import import_module

import click

from halo_command.supervise import supervise
from halo_core.errors import HaloError


class _Group(click.Group):
    """A group whose own errors are one line and exit code 1, and whose other subcommands add themselves when first asked for."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand."""
        try:
            return super().invoke(ctx)
        except HaloError as error:
            click.echo(f"halo: {error}", err=True)
            sys.exit(1)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all subcommands."""
        import_module("luigi_tasks.cli")
        return super().list_commands(ctx)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a subcommand, None where there is none of that name."""
        if cmd_name not in self.commands:
            import_module("luigi_tasks.cli")
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Group)
@click.version_option(package_name="dark-halo-scope")
def main() -> None:
    """Dark Halo Scope beside the pipeline: look, check, set up. The pipeline itself is `luigi --module luigi_tasks RunCampaign`."""


main.add_command(supervise)
