"""Kill workers, scheduler, Postgres and S3 server at random moments while campaigns run, and compare with an undisturbed run.

Nobody but the supervisors starts anything again. The moments and victims follow from the seed; what is hit at that moment does not.
"""

import configparser
import contextlib
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from tests.crash.content import Content, content_of, held_leases
from tests.fixtures.campaigns import MOCK, ROOT, TINY
from tests.fixtures.commands import BIN
from tests.fixtures.services import Service, Team, processes_below

SCHEDULER = {"worker_disconnect_delay": "5", "retry_delay": "1", "disable_persist": "5"}
LEASE_S = 10
WORKERS = (("--workers", "1"), ("--workers", "2"))
TARGETS = ("worker", "worker", "worker", "luigid", "postgres", "s3")
"""Who is hit, each as often as named before any is hit again."""

SURVEYS = (2, 4, 5, 6, 9, 1)
"""Seeds of mock surveys where the conditions of every brick with galaxies are known."""

LIMIT_S = 600.0


@dataclass(frozen=True)
class Kill:
    """One process killed."""

    second: float
    what: str
    how: str
    campaign: str
    n_blocks: int
    """Blocks finished by then, by what the state said last."""


@dataclass
class Chaos:
    """A team, what is done to it, and what was found afterwards."""

    folder: Path
    n_kills: int
    seed: int
    n_bricks: int = 16
    pause_s: tuple[float, float] = (5.0, 25.0)
    kills: list[Kill] = field(default_factory=list)
    campaigns: list[str] = field(default_factory=list)
    n_attempts: int = 0
    n_blocks: int = 0
    seconds: float = 0.0

    def run(self) -> tuple[Content, Content]:
        """Run campaigns until all kills are spent and the last one is done; return what is left and what an undisturbed run leaves."""
        self._rng = np.random.Generator(np.random.Philox(self.seed))
        self._deck: list[str] = []
        self._begun: set[str] = set()
        self._began = time.monotonic()
        with Team(self.folder, self.config(1), scheduler=SCHEDULER) as team:
            while len(self.kills) < self.n_kills:
                self._disturb(team)
            blocks = "blocks JOIN stages ON stages.stage_digest = blocks.stage_digest WHERE stage = 'injection'"
            counts = team.rows(f"SELECT sum(attempts) AS n, count(*) AS m FROM {blocks}")[0]
            self.n_attempts, self.n_blocks = int(str(counts["n"])), int(str(counts["m"]))
            found = content_of(team.objects, team.state_url)
            assert held_leases(team.state_url) == []
            self.seconds = time.monotonic() - self._began
            team.wipe()
            for name in self.campaigns:
                _run_calmly(team, name)
            return found, content_of(team.objects, team.state_url)

    def config(self, number: int) -> configparser.ConfigParser:
        """Return the whole configuration of one of the campaigns: the tiny one, a block per brick, its own survey and seeds."""
        parser = configparser.ConfigParser(interpolation=None)
        parser.read([ROOT / "luigi.cfg", ROOT / "campaigns/demo.cfg"])
        more = {"campaign_name": f"crash{number}", "sampling_seed": str(100 + number), "block_max_bricks": "1", "n_per_config_grid": "6"}
        parser["campaign"].update(TINY | more)
        parser["mock_survey"].update(MOCK | {"n_bricks": str(self.n_bricks), "seed": str(SURVEYS[(number - 1) % len(SURVEYS)])})
        parser["grids"]["path"] = str(ROOT / "tests/data/grids")
        parser["state"]["lease_seconds"] = str(LEASE_S)
        parser["report"]["figure_formats"] = "png"
        return parser

    def _disturb(self, team: Team) -> None:
        """Run the next campaign to its end, killing while there are kills left."""
        number = len(self.campaigns) + 1
        name = _write_campaign(team.folder, self.config(number))
        self.campaigns.append(name)
        own = {"LUIGI_CONFIG_PATH": f"{name}.cfg"}
        workers = [team.add_worker("RunCampaign", *words, environment=own) for words in WORKERS]
        deadline = time.monotonic() + LIMIT_S
        n_blocks = 0
        while any(worker.code() is None for worker in workers):
            assert time.monotonic() < deadline, f"{name} is not done after {LIMIT_S:.0f} s: {workers[0].log[-3000:]}"
            n_blocks = max(n_blocks, self._blocks_done(team))
            if len(self.kills) < self.n_kills and self._has_begun(team, name):
                self._strike(team, workers, name, n_blocks)
            is_on = 0 < len(self.kills) < self.n_kills
            time.sleep(float(self._rng.uniform(*self.pause_s)) if is_on else 0.5)
        codes = {worker.name: worker.code() for worker in workers}
        assert set(codes.values()) == {0}, f"{name}: {codes}: {workers[0].log[-3000:]}"
        team.workers.clear()

    def _strike(self, team: Team, workers: list[Service], campaign: str, n_blocks: int) -> None:
        """Kill one to three processes, shortly one after the other."""
        for _ in range(int(self._rng.integers(1, 4))):
            if not self._deck:
                self._deck = [TARGETS[index] for index in self._rng.permutation(len(TARGETS))]
            target = self._deck.pop()
            supervisor = workers[int(self._rng.integers(len(workers)))].process if target == "worker" else team.services[target]
            below = processes_below(supervisor)
            if not below or len(self.kills) >= self.n_kills:
                continue
            is_part = target in ("worker", "postgres") and self._rng.random() < 0.4
            victim = below[int(self._rng.integers(len(below)))] if is_part else below[0]
            with contextlib.suppress(psutil.NoSuchProcess):
                how = self._kill(target, victim, is_first=victim == below[0])
                self.kills.append(Kill(time.monotonic() - self._began, target, how, campaign, n_blocks))
            time.sleep(float(self._rng.uniform(0.0, 1.0)))

    def _kill(self, target: str, victim: psutil.Process, *, is_first: bool) -> str:
        """Kill a process and return how; the postmaster is also stopped at once by its own means."""
        if target == "postgres" and is_first and self._rng.random() < 0.5:
            victim.send_signal(signal.SIGQUIT)
            return "immediate stop"
        victim.kill()
        part = {"postgres": ("postmaster", "a backend"), "worker": ("the worker", "a task's process")}
        return f"SIGKILL of {part[target][not is_first]}" if target in part else "SIGKILL"

    def _has_begun(self, team: Team, name: str) -> bool:
        """Tell whether a worker has got as far as naming the campaign in the state; once it has, whatever the state answers now."""
        if name not in self._begun and team.postgres.answers() and team.rows(f"SELECT 1 FROM campaigns WHERE name = '{name}'"):
            self._begun.add(name)
        return name in self._begun

    def _blocks_done(self, team: Team) -> int:
        """Return how many blocks are finished, 0 where the state does not answer."""
        if not team.postgres.answers():
            return 0
        return int(str(team.rows("SELECT count(finished) AS n FROM blocks")[0]["n"]))


def _write_campaign(folder: Path, found: configparser.ConfigParser) -> str:
    """Write a campaign's file into a folder, and return the campaign's name."""
    name = found["campaign"]["campaign_name"]
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_dict({section: dict(found[section]) for section in ("campaign", "mock_survey")})
    with (folder / f"{name}.cfg").open("w") as file:
        parser.write(file)
    return name


def _run_calmly(team: Team, name: str) -> None:
    """Run a campaign with nobody disturbing, by one command with a scheduler of its own."""
    words = [str(BIN / "luigi"), "--module", "luigi_tasks", "RunCampaign", "--local-scheduler", "--workers", "2"]
    environment: Mapping[str, str] = {**team.environment, "LUIGI_CONFIG_PATH": f"{name}.cfg"}
    done = subprocess.run(words, cwd=team.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def report(chaos: Chaos, found: Content, calm: Content) -> str:
    """Return the report in Markdown."""
    by_kind = Counter(f"{kill.what}: {kill.how}" for kill in chaos.kills)
    differences = found.differences(calm)
    lines = [
        "# Crash report",
        "",
        f"{len(chaos.kills)} kills in {chaos.seconds / 60:.0f} minutes while {len(chaos.campaigns)} campaigns ran, one after the other,",
        "on Postgres, an S3 server (SeaweedFS), luigid and two workers, each under `halo supervise`. Nobody else started anything again.",
        f"Made by `make crash-test` (seed {chaos.seed}). Afterwards state and objects were emptied, the same campaigns ran undisturbed,",
        "and what both left was compared.",
        "",
        "| compared | disturbed | undisturbed | different |",
        "|---|---|---|---|",
        f"| objects, by key and content | {len(found.objects):,} | {len(calm.objects):,} | {_count(differences, 'object ')} |",
        *(
            f"| rows of `{table}` | {found.rows[table].total():,} | {rows.total():,} | {_count(differences, f'{table}: ')} |"
            for table, rows in sorted(calm.rows.items())
        ),
        "",
        "An object that only the disturbed runs left (an orphan), or that they lack, would count as different. Compared are all bytes of",
        "objects and all columns of rows but what says when, where and how often: times, hosts, attempts, numbers from a sequence. Every",
        "commit mark names objects that are there with their sha256. No block is left with a lease, with an error or unfinished.",
        f"The {chaos.n_blocks:,} blocks of injections took {chaos.n_attempts:,} attempts.",
        "",
        "| killed | how | times |",
        "|---|---|---|",
        *(f"| {kind.partition(': ')[0]} | {kind.partition(': ')[2]} | {n} |" for kind, n in sorted(by_kind.items())),
        "",
        "| second | campaign | killed | how | blocks finished before |",
        "|---|---|---|---|---|",
        *(f"| {kill.second:.1f} | {kill.campaign} | {kill.what} | {kill.how} | {kill.n_blocks} |" for kill in chaos.kills),
        "",
    ]
    return "\n".join(lines)


def _count(differences: list[str], start: str) -> int:
    """Return how many differences begin so."""
    return sum(line.startswith(start) for line in differences)


def clear(folder: Path) -> None:
    """Remove an earlier run."""
    if folder.exists():
        shutil.rmtree(folder)
