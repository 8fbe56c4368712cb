"""Runs of one stage of blocks by each engine, and what each took: wall clock, processor time, the moments of its commits.

A run is a command of its own, as a user starts it, in a place that is put back to before the stage. The bare function is the work of a
block with neither Luigi nor state around it.
"""

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from luigi_tasks import InjectAll
from luigi_tasks.block_plan import BlockPlan
from luigi_tasks.block_work import BlockWork
from luigi_tasks.objects import open_objects
from luigi_tasks.places import open_survey
from luigi_tasks.targets import BLOCK_MARK, STAGE_MARK
from tests.fixtures.campaigns import Place, new_place
from tests.fixtures.clusters import SparkCluster
from tests.fixtures.commands import BIN, environment

WORD = "injection"
OTHERS_DID_IT = 25
"""How luigi ends where another process did tasks of its own ([retcode] not_run)."""
_SAMPLE_S = 0.2


@dataclass(frozen=True)
class Run:
    """What a run took; ``commits_s`` are the moments of the blocks' commits after its start."""

    wall_s: float
    cpu_s: float
    commits_s: tuple[float, ...]
    load: float

    def steady_s(self, n_workers: int) -> float:
        """Return the wall clock of a block on one core, from each worker's first commit to its last [s]: without start and end."""
        first, last = self.commits_s[n_workers - 1], self.commits_s[-1]
        return (last - first) * n_workers / (len(self.commits_s) - n_workers)


@dataclass(frozen=True)
class Bench:
    """A place where all is done up to the blocks of injection, and the state as it is then."""

    place: Place

    @property
    def folder(self) -> Path:
        """Objects of the blocks."""
        return self.place.objects.root / WORD / str(self.place.task(InjectAll).digest_of(WORD))

    def keep_state(self) -> None:
        """Keep the state as it is now for every run."""
        shutil.copy(_state_file(self.place), self.place.folder / "state_before.sqlite")

    def put_back(self, *, objects: bool = True) -> None:
        """Make the state what was kept, and the stage unmade too unless its objects shall stay."""
        for file in _state_file(self.place).parent.glob("state.sqlite*"):
            file.unlink()
        shutil.copy(self.place.folder / "state_before.sqlite", _state_file(self.place))
        if objects:
            shutil.rmtree(self.folder.parent, ignore_errors=True)

    def bare(self, n_processes: int, n_blocks: int) -> Run:
        """Have the blocks done by the bare function, in processes that share nothing but the objects."""
        self.put_back()
        task = self.place.task(InjectAll)
        task.plan().put(self.place.objects, WORD, task.digest_of(WORD))
        shares = [range(first, n_blocks, n_processes) for first in range(n_processes)]
        common = [sys.executable, "-m", "benchmarks.engine_runs", str(self.place.objects.root), task.survey.root, self.folder.name]
        return self._timed([[*common, *map(str, share)] for share in shares], cwd=Path.cwd())

    def local(self, n_workers: int) -> Run:
        """Have the stage done by Luigi's local workers."""
        self.put_back()
        return self.luigi("--local-scheduler", "--workers", str(n_workers))

    def spark(self, n_workers: int, cluster: SparkCluster, *, objects: bool = True) -> Run:
        """Have the stage done by single-core executors of a cluster; what is committed already is only loaded."""
        self.put_back(objects=objects)
        place = self.spark_place([*cluster.submit_options(), "--total-executor-cores", str(n_workers)])
        return self.luigi("--local-scheduler", place=place)

    def spark_place(self, options: list[str]) -> Place:
        """Return the place with Spark as its engine, submitted with these options."""
        settings = {"engine.name": "spark", "spark.submit": json.dumps(options), "spark.poll_s": "2"}
        return replace(self.place, settings={**self.place.settings, **settings})

    def luigi(self, *words: str, place: Place | None = None, n_processes: int = 1) -> Run:
        """Run the stage by its command line, in as many processes that share its blocks."""
        command = [str(BIN / "luigi"), "--module", "luigi_tasks", InjectAll.__name__, *words]
        config = write_config(self.place if place is None else place)
        return self._timed([command] * n_processes, cwd=self.place.folder, config=config)

    def is_done(self, config: Path | None) -> bool:
        """Return whether the stage has its commit; the bare function, which has no configuration, makes none."""
        return config is None or (self.folder / STAGE_MARK).exists()

    def _timed(self, commands: Sequence[Sequence[str]], *, cwd: Path, config: Path | None = None) -> Run:
        """Run commands at the same time and return what they took together."""
        named = environment(None if config is None else str(config))
        log = self.place.folder / "run.log"
        start, clock = time.monotonic(), time.time()
        with log.open("wb") as handle, Meter() as meter:
            running = [subprocess.Popen(words, cwd=cwd, env=named, stdout=handle, stderr=handle) for words in commands]
            codes = [process.wait() for process in running]
        wall_s = time.monotonic() - start
        if not set(codes) <= ({0} if len(codes) == 1 else {0, OTHERS_DID_IT}) or not self.is_done(config):
            raise RuntimeError(f"a run ended with {codes}:\n{log.read_text()[-3000:]}")
        commits = sorted(path.stat().st_mtime - clock for path in self.folder.glob(f"block=*/{BLOCK_MARK}"))
        return Run(wall_s, meter.cpu_s, tuple(commits), os.getloadavg()[0])


class Meter:
    """Adds up the processor time of all that this process has started, by looking often; what comes after the last look is lost."""

    def __init__(self) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._before, self._now = dict[tuple[int, float], float](), dict[tuple[int, float], float]()

    @property
    def cpu_s(self) -> float:
        """Processor time since the start [s]."""
        return sum(seconds - self._before.get(process, 0.0) for process, seconds in self._now.items())

    def __enter__(self) -> "Meter":
        self._look()
        self._before = dict(self._now)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        """Look until the end."""
        while not self._is_over.wait(_SAMPLE_S):
            self._look()

    def _look(self) -> None:
        """Note the processor time of every process that is there; of short-lived ones their parent tells."""
        for process in psutil.Process().children(recursive=True):
            try:
                times = process.cpu_times()
                self._now[process.pid, process.create_time()] = times.user + times.system
            except psutil.NoSuchProcess:
                continue


def write_config(place: Place) -> Path:
    """Write the place's configuration where a command finds it."""
    path = place.folder / "bench.cfg"
    with path.open("w") as handle:
        place.config().write(handle)
    return path


def bench_place(folder: Path, *, mock: dict[str, str], **changes: str) -> Bench:
    """Return a place with a state, and a campaign of one split without controls on a mock survey; nothing is done yet."""
    own = {"campaign_name": "engines", "splits": "train", "split_fractions": "train:1.0", "stamp_sizes": "64,96", "replicates": "1"}
    own |= {
        f"{kind}_{tier}": value for kind, value in (("grid", "grid_small"), ("control_frac", "0.0")) for tier in ("debug", "grid", "train")
    }
    settings = {"grids.path": "", **{f"mock_survey.{name}": value for name, value in mock.items()}}
    return Bench(replace(new_place(folder, **own, **changes), settings=settings))


def run_task(bench: Bench, task: str) -> None:
    """Run one task of the place by Luigi's command line, and keep the state as it is afterwards."""
    config = write_config(bench.place)
    words = [str(BIN / "luigi"), "--module", "luigi_tasks", *task.split(), "--local-scheduler", "--workers", "2"]
    done = subprocess.run(words, cwd=bench.place.folder, env=environment(str(config)), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{task} ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-3000:]}")
    bench.keep_state()


def _state_file(place: Place) -> Path:
    """Return the file of the state."""
    return place.folder / "halo_data/state.sqlite"


def main(root: str, survey_root: str, digest: str, *blocks: str) -> None:
    """Do blocks by the bare function."""
    objects = open_objects(root)
    plan = BlockPlan.read(objects, WORD, digest)
    for block in map(int, blocks):
        BlockWork(objects, open_survey(survey_root), plan, block).do(WORD, once_fetched=lambda: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
