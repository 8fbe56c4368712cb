"""The record of a run in the report: the commands that make it again, and what each stage was made of."""

import shlex

from halo_core.report.data import Command
from luigi_tasks.report_run import Run


def commands(run: Run) -> list[Command]:
    """Return the commands that make, check and show the run again."""
    name = shlex.quote(run.name)
    empty = ", ".join(sorted(key for key, value in run.config.items() if not value))
    note = "Where objects and state are stands in luigi.cfg of the folder in which it is given."
    note += f" Luigi takes an empty flag for none, so these must be empty there too: {empty}." if empty else ""
    return [
        Command("Run the campaign again: same parameters, same digests, same numbers", campaign_command(run), note),
        Command("Check again what is stored", f"halo validate {name}"),
        Command("Make this page again", f"halo report {name} --out report.html"),
        Command("Write one task as NPZ, FITS and PNG", "halo stamps show TASK_ID"),
    ]


def campaign_command(run: Run) -> str:
    """Return the command line with every parameter of the run that is not empty, for any POSIX shell."""
    words = [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in sorted(run.config.items()) if value]
    words += [f"--mock-survey-{name.replace('_', '-')} {value}" for name, value in run.mock_parameters().items()]
    return " \\\n    ".join(["luigi --module luigi_tasks RunCampaign --local-scheduler --workers 2", *words])


def provenance(run: Run) -> dict[str, object]:
    """Return seeds, fingerprints, versions and processor of every committed stage."""
    keys = ("seeds", "fingerprints", "versions", "processor", "created_at_utc")
    marks = {word: run.mark(word) for word in sorted(run.digests)}
    return {word: {key: mark[key] for key in keys if mark.get(key)} for word, mark in marks.items() if mark is not None}
