"""`halo emr`: the blocks of a campaign that is on record, on Amazon EMR."""

import logging

import click

from luigi_tasks.cli.options import objects_root_option, state_url_option
from luigi_tasks.recorded import recorded_task
from luigi_tasks.submit import STAGES, SubmitEmr


@click.command()
@click.argument("campaign")
@click.option("--stage", type=click.Choice(list(STAGES)), default="injection", show_default=True, help="The stage whose blocks are done.")
@click.option("--dry-run", is_flag=True, help="Print what EMR would be asked, as JSON; store nothing and ask nothing.")
@state_url_option
@objects_root_option
def emr(campaign: str, stage: str, dry_run: bool, state_url: str, objects_root: str) -> None:
    """Do the blocks of a stage of CAMPAIGN's latest run on Amazon EMR, by [emr] of luigi.cfg; then its own task only commits.

    A step of this stage that runs is joined, never asked for twice. Ctrl-C ends the step and the cluster that was made for it.
    """
    task = recorded_task(SubmitEmr, campaign, state_url, objects_root, stage=stage, dry_run=dry_run)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    task.require_inputs()
    if not dry_run and task.complete():
        click.echo(f"{stage}: every block is done")
        return
    task.run()
