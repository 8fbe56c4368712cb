"""What the parent stage costs at the survey's size: rows per second and peak memory of selection, merge and checks, with one process.

The mock survey of `mock_catalogue.py` is made where it is not there yet; then the stage's own tasks read its sweeps in chunks, group by
group, merge what passed cell by cell, and check it, in a process of its own.

    python benchmarks/parent_scale.py [--folder FOLDER] [--parents 1000000] [--bricks 180000] [--state-parents] [--keep]
"""

import argparse
import configparser
import multiprocessing
import resource
import shutil
import tempfile
from pathlib import Path
from time import perf_counter

import luigi
from mock_catalogue import MockCatalogue, write_catalogue

from halo_core.store import schema
from luigi_tasks import BuildParent, ReadSurvey, ValidateStage
from luigi_tasks.run import RunCampaign

ROOT = Path(__file__).resolve().parents[1]
SEED = 13


def campaign(folder: Path, survey: Path, *, state_parents: bool) -> RunCampaign:
    """Return the reference campaign on a survey, its objects and state below a folder."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([ROOT / "luigi.cfg", ROOT / "campaigns/reference.cfg"])
    parser["survey"]["root"] = str(survey)
    parser["objects"]["root"] = str(folder / "objects")
    parser["state"]["url"] = f"sqlite:///{folder / 'state.sqlite'}"
    parser["state"]["parents"] = "true" if state_parents else "false"
    parser["core"]["logging_conf_file"] = str(ROOT / "logging.cfg")
    config = luigi.configuration.get_config()
    for section in parser.sections():
        for name, value in parser[section].items():
            config.set(section, name, value)
    schema.upgrade(parser["state"]["url"])
    return RunCampaign()


def measure(folder: Path, survey: Path, n_rows: int, *, state_parents: bool) -> None:
    """Run the stage step by step, and print seconds, rows per second and the peak memory so far."""
    task = campaign(folder, survey, state_parents=state_parents)
    parent = task.clone(BuildParent)
    steps = {
        "brick table and fingerprints": lambda: [task.clone(ReadSurvey)],
        "selection": parent.groups,
        "merge and state": lambda: [parent],
        "checks": lambda: [task.clone(ValidateStage, stage="parent")],
    }
    for name, tasks in steps.items():
        start = perf_counter()
        assert luigi.build(tasks(), local_scheduler=True, workers=1, log_level="WARNING"), name
        spent = perf_counter() - start
        peak_gb = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1e6
        print(f"{name:30s} {spent:8.1f} s {n_rows / spent:12,.0f} sweep rows/s   peak {peak_gb:.2f} GB", flush=True)
    print(f"parents: {parent.output().mark()['counts']['n_parents']:,} of {n_rows:,} sweep rows")


def main() -> None:
    """Make the survey where it is not there, and measure in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "parent_scale")
    parser.add_argument("--parents", type=int, default=1_000_000)
    parser.add_argument("--bricks", type=int, default=180_000)
    parser.add_argument("--state-parents", action="store_true")
    parser.add_argument("--keep", action="store_true")
    asked = parser.parse_args()
    survey, work = asked.folder / f"survey_{asked.parents}_{asked.bricks}", asked.folder / "work"
    note = survey / "n_rows"
    if not note.exists():
        start = perf_counter()
        counts = write_catalogue(survey, MockCatalogue(asked.parents, asked.bricks, SEED))
        note.write_text(str(counts["n_rows"]))
        spent_s = perf_counter() - start
        print(f"{survey}: {counts['n_bricks']:,} bricks, {counts['n_sweeps']} sweeps, {counts['n_rows']:,} rows, {spent_s:.0f} s")
    shutil.rmtree(work, ignore_errors=True)
    process = multiprocessing.get_context("spawn").Process(
        target=measure, args=(work, survey, int(note.read_text())), kwargs={"state_parents": asked.state_parents}
    )
    process.start()
    process.join()
    shutil.rmtree(work, ignore_errors=True)
    if not asked.keep:
        shutil.rmtree(survey)
    raise SystemExit(process.exitcode)


if __name__ == "__main__":
    main()
