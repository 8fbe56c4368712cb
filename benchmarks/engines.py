"""Injections a second of one campaign by each engine, what each engine costs over the bare function, and what scheduling blocks costs.

Every way runs the same blocks of injection on cached planes, one after the other, round after round, so that a busy neighbour meets all.
A Spark cluster of a master and two single-core workers, a luigid and a Postgres are started here and stopped at the end. Needs Java.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m benchmarks.engines --write docs      # a quarter of an hour on two idle cores
    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m benchmarks.engines --quick           # smaller blocks, one round: a try
"""

import argparse
import json
import os
import platform
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from benchmarks import noop_blocks
from benchmarks.engine_runs import Bench, Run, bench_place, run_task
from benchmarks.noop_blocks import LIMIT_S, Overhead
from tests.fixtures.clusters import SparkCluster, running_cluster
from tests.fixtures.loads import Loads

MARK = "<!-- measured by benchmarks.engines: {} -->"
MINUTE_S = 60.0
ALLOWED = {"local": 0.05, "Spark": 0.15}
"""What an engine may cost over the bare function, for blocks of a minute."""

_MOCK = {"seed": "13", "n_bricks": "8", "brick_size_pix": "500", "lrgs_per_brick": "40"}
_N_BLOCKS = 4
_N_CONFIGS = 48


@dataclass(frozen=True)
class Sizes:
    """How much is run: injections of each configuration of the grid, rounds, blocks with nothing to do."""

    n_per_config: int
    n_rounds: int
    n_noop: int

    @property
    def n_injections(self) -> int:
        """Injections of the campaign."""
        return _N_CONFIGS * self.n_per_config


FULL, QUICK = Sizes(240, 3, 2400), Sizes(30, 1, 100)


@dataclass(frozen=True)
class Way:
    """A way to have the blocks done: how it is called, its engine (bare, local, Spark), its cores, and its runs."""

    name: str
    engine: str
    n_cores: int
    runs: tuple[Run, ...]

    def seconds(self, what: Callable[[Run], float]) -> list[float]:
        """Return one number of each run, rising."""
        return sorted(map(what, self.runs))

    @property
    def steady_s(self) -> list[float]:
        """Wall clock of a block on one core, of each run [s]."""
        return self.seconds(lambda run: run.steady_s(self.n_cores))


def measure(bench: Bench, cluster: SparkCluster, sizes: Sizes) -> list[Way]:
    """Return the runs of every way, in rounds; one that is thrown away comes first and fills the caches of disk and compiler."""
    ways: list[tuple[str, str, int, Callable[[], Run]]] = []
    for n in (1, 2):
        cores = f"{n} process{'es' * (n - 1)}"
        ways.append((f"bare function, {cores}", "bare", n, lambda n=n: bench.bare(n, _N_BLOCKS)))
        ways.append((f"Luigi, {n} worker{'s' * (n - 1)}", "local", n, lambda n=n: bench.local(n)))
        ways.append((f"Spark, {n} worker{'s' * (n - 1)} of one core", "Spark", n, lambda n=n: bench.spark(n, cluster)))
    bench.local(2)
    runs: dict[str, list[Run]] = {name: [] for name, *_ in ways}
    for number in range(sizes.n_rounds):
        for name, _, _, run in ways:
            runs[name].append(run())
            last = runs[name][-1]
            print(f"round {number + 1}: {name}: {last.wall_s:.1f} s, {last.cpu_s:.1f} core-s, load {last.load:.1f}", flush=True)
    return [Way(name, engine, n, tuple(runs[name])) for name, engine, n, _ in ways]


def table(ways: Sequence[Way], n_injections: int) -> str:
    """Return the ways as a table: rates, and ratios to the bare function on as many cores, min / median / max of the rounds."""
    lines = [
        "| way | injections/s | wall, steady | wall, all | core-s, all | on a block of a minute | load |",
        "|---|---|---|---|---|---|---|",
    ]
    per_block = n_injections / _N_BLOCKS
    for way in ways:
        bare = next(one for one in ways if one.engine == "bare" and one.n_cores == way.n_cores)
        rates = sorted(per_block * way.n_cores / seconds for seconds in way.steady_s)
        steady = _ratios(way.steady_s, median(bare.steady_s))
        walls, cores = (_ratios(way.seconds(what), median(bare.seconds(what))) for what in (_wall, _cpu))
        load = max(run.load for run in way.runs)
        lines.append(f"| {way.name} | {_three(rates, '.0f')} | {steady} | {walls} | {cores} | {_on_a_minute(way, bare)} | {load:.1f} |")
    return "\n".join(lines)


def _wall(run: Run) -> float:
    """Return the wall clock of a run [s]."""
    return run.wall_s


def _cpu(run: Run) -> float:
    """Return the processor time of a run [s]."""
    return run.cpu_s


def _on_a_minute(way: Way, bare: Way) -> str:
    """Return what an engine adds to each block, as a share of a block of a minute, beside what is allowed."""
    if way.engine == "bare":
        return "0"
    added = median(way.steady_s) - median(bare.steady_s)
    return f"{added:+.2f} s = {added / MINUTE_S:+.1%} (allowed {ALLOWED[way.engine]:.0%})"


def _ratios(values: Sequence[float], unit: float) -> str:
    """Return values in this unit."""
    return _three([value / unit for value in values], ".2f")


def _three(values: Sequence[float], form: str) -> str:
    """Return the smallest, the middle and the largest of sorted values."""
    return " / ".join(f"{value:{form}}" for value in (values[0], median(values), values[-1]))


def noop_table(overheads: Sequence[Overhead], n_blocks: int, loading_s: float, loads: Loads) -> str:
    """Return the costs of scheduling as a table, and what loading alone asked of the database."""
    bare = overheads[0].bare
    lines = [
        f"| {n_blocks:,} blocks | wall [s] | core-s | scheduling, wall [s] | scheduling, core-s | of a block, wall [ms] | load |",
        "|---|---|---|---|---|---|---|",
        f"| bare function, two processes | {bare.wall_s:.0f} | {bare.cpu_s:.0f} | | | | {bare.load:.1f} |",
    ]
    for one in overheads:
        costs = f"{one.seconds:.0f} | {one.core_s:.0f} | {1e3 * one.seconds / n_blocks:.0f}"
        lines.append(f"| {one.name} | {one.run.wall_s:.0f} | {one.run.cpu_s:.0f} | {costs} | {one.run.load:.1f} |")
    lines += [
        "",
        f"A driver that finds all {n_blocks:,} committed loads them in {loading_s:.1f} s: {loads.n_connections} connections one after the "
        f"other, at most {loads.most_open} at once, {len(loads.transactions)} transactions.",
    ]
    return "\n".join(lines)


def noop(folder: Path, cluster: SparkCluster, n_blocks: int) -> tuple[list[Overhead], float, Loads]:
    """Return what scheduling blocks with nothing to do costs by luigid and by Spark, and what loading their rows alone takes."""
    bench = noop_blocks.noop_bench(folder, n_blocks)
    bare = noop_blocks.bare(bench, n_blocks)
    runs = {
        "luigid, two processes of one worker": noop_blocks.by_luigid(bench, n_processes=2),
        "Spark, two workers of one core": noop_blocks.by_spark(bench, cluster),
        "luigid, one process of two workers": noop_blocks.by_luigid(bench, n_processes=1),
    }
    return [Overhead(name, run, bare) for name, run in runs.items()], *noop_blocks.loading(bench)


def machine() -> str:
    """Return the kind of processor and its cores."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{os.cpu_count()} cores of {model}"


def put(document: Path, name: str, content: str) -> None:
    """Put content between the document's two marks of that name."""
    mark = MARK.format(name)
    before, _, after = document.read_text().split(mark)
    document.write_text(f"{before}{mark}\n\n{content}\n\n{mark}{after}")


def main() -> None:
    """Measure, print, and write into the documents where asked."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small blocks, one round, 100 blocks with nothing to do")
    parser.add_argument("--rounds", type=int, help="rounds of every way")
    parser.add_argument("--only", choices=("scaling", "noop"), help="one of the two parts")
    parser.add_argument(
        "--write", type=Path, metavar="DOCS", help="put the tables into DOCS/engines.md, the numbers into halo_data/engines.json"
    )
    options = parser.parse_args()
    sizes = QUICK if options.quick else FULL
    found: dict[str, object] = {"machine": machine()}
    tables: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="halo-bench-") as name, running_cluster(_made(Path(name) / "spark")) as cluster:
        if options.only != "noop":
            sizes = Sizes(sizes.n_per_config, options.rounds or sizes.n_rounds, sizes.n_noop)
            per_block = sizes.n_injections // _N_BLOCKS
            changes = {"tiers": "grid", "n_per_config_grid": str(sizes.n_per_config), "block_max_injections": str(round(1.02 * per_block))}
            bench = bench_place(Path(name) / "scaling", mock=_MOCK, block_max_bricks="100", **changes)
            run_task(bench, "CacheCoadds")
            ways = measure(bench, cluster, sizes)
            found["scaling"] = {"n_injections": sizes.n_injections, "n_blocks": _N_BLOCKS, "ways": [asdict(way) for way in ways]}
            tables["scaling"] = f"{machine()}; {_N_BLOCKS} blocks of {per_block:,} injections.\n\n{table(ways, sizes.n_injections)}"
        if options.only != "scaling":
            overheads, loading_s, loads = noop(Path(name) / "noop", cluster, sizes.n_noop)
            found["noop"] = {"n_blocks": sizes.n_noop, "overheads": [asdict(one) for one in overheads], "loading_s": loading_s}
            found["loads"] = asdict(loads)
            tables["noop"] = f"{machine()}; allowed: {LIMIT_S:.0f} s.\n\n{noop_table(overheads, sizes.n_noop, loading_s, loads)}"
    for part, content in tables.items():
        print(f"\n{content}")
        if options.write is not None:
            put(options.write / "engines.md", part, content)
    if options.write is not None:
        kept = Path("halo_data/engines.json")
        kept.parent.mkdir(exist_ok=True)
        before = json.loads(kept.read_text()) if kept.exists() else {}
        kept.write_text(json.dumps(before | found, indent=1) + "\n")


def _made(folder: Path) -> Path:
    """Return a folder that is made."""
    folder.mkdir(parents=True)
    return folder


if __name__ == "__main__":
    main()
