"""What scheduling costs: thousands of blocks with next to nothing to do, through luigid and through Spark, the real ones.

The survey has its tables and no coadd, so a block finds no plane, writes its one task down as lost, commits and has its rows loaded: all
of the project's own work around a block, and no pixels. What the bare function takes for the same blocks is measured too and taken off.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.engine_runs import Bench, Run, bench_place, run_task
from halo_core.survey.mock import MockSurvey, make_mock_tables
from luigi_tasks import InjectAll
from tests.fixtures.clusters import SparkCluster
from tests.fixtures.commands import environment
from tests.fixtures.loads import Loads, counted
from tests.fixtures.schedulers import Scheduler, start_scheduler
from tests.fixtures.services import HISTORY, Postgres

LIMIT_S = 120.0
"""What scheduling all blocks may cost [s]."""

N_WORKERS = 2
_LRGS_PER_BRICK = 40
_SPARE = 2
"""Galaxies that are made for each host that is needed: some are none that the campaign takes."""


@dataclass(frozen=True)
class Overhead:
    """What the blocks took by one engine, and what they take bare; both with as many cores."""

    name: str
    run: Run
    bare: Run

    @property
    def seconds(self) -> float:
        """Cost of scheduling, wall clock [s]."""
        return self.run.wall_s - self.bare.wall_s

    @property
    def core_s(self) -> float:
        """Cost of scheduling, processor time of all that takes part [s]; over the cores, what it is where nobody else computes."""
        return self.run.cpu_s - self.bare.cpu_s


def noop_bench(folder: Path, n_blocks: int) -> Bench:
    """Return a place where the blocks of a campaign are planned, one injection each, on a survey without coadds."""
    mock = {
        "seed": "13",
        "n_bricks": str(_SPARE * n_blocks // _LRGS_PER_BRICK),
        "brick_size_pix": "500",
        "lrgs_per_brick": str(_LRGS_PER_BRICK),
    }
    survey = folder / "survey"
    make_mock_tables(MockSurvey(**{name: int(value) for name, value in mock.items()}), survey)
    (survey / "coadd").mkdir()
    (survey / "coadd/nothing").touch()
    wanted = {"tiers": "train", "n_total_train_per_split": str(n_blocks), "block_max_injections": "1", "block_max_bricks": "1"}
    bench = bench_place(folder, mock=mock, survey_root=str(survey), **wanted)
    run_task(bench, "BuildManifest")
    run_task(bench, "ValidateStage --stage manifest")
    return bench


def bare(bench: Bench, n_blocks: int) -> Run:
    """Return the run of the bare function in as many processes as there are workers."""
    return bench.bare(N_WORKERS, n_blocks)


def by_luigid(bench: Bench, *, n_processes: int) -> Run:
    """Return the run by two workers of a luigid that keeps its history in Postgres, as shipped.

    A process with several workers forks for each block, one with a single worker does its blocks itself. Blocks are planned before, so
    that every process knows them.
    """
    bench.put_back()
    next(iter(bench.place.task(InjectAll).run()))
    workers = str(N_WORKERS // n_processes)
    with tempfile.TemporaryDirectory(prefix="halo-bench-") as name:
        Path(name).chmod(0o755)
        postgres = Postgres(Path(name), environment(None))
        postgres.start()
        try:
            with _luigid(bench, postgres.url(HISTORY)) as scheduler:
                address = ("--scheduler-host", "127.0.0.1", "--scheduler-port", str(scheduler.port))
                return bench.luigi(*address, "--workers", workers, n_processes=n_processes)
        finally:
            if postgres.service is not None:
                postgres.service.stop()


def by_spark(bench: Bench, cluster: SparkCluster) -> Run:
    """Return the run by two executors of one core."""
    return bench.spark(N_WORKERS, cluster)


def loading(bench: Bench) -> tuple[float, Loads]:
    """Return what loading the rows of blocks that are all committed takes a driver [s], and what it asks of the database."""
    bench.put_back(objects=False)
    place = bench.spark_place(["--master", "local[1]"])
    task = place.task(InjectAll)
    with counted(place.state_url) as loads:
        start = time.monotonic()
        for _ in task.run() or ():
            raise AssertionError("a stage on Spark yields no task")
        return time.monotonic() - start, loads


@contextmanager
def _luigid(bench: Bench, history_url: str) -> Iterator[Scheduler]:
    """Give a running luigid with the shipped settings."""
    yield from start_scheduler(bench.place, history_url)
