"""What a manifest costs at the survey's size: seconds, rows per second, peak memory and blocks for 1 to 12 million rows.

A synthetic parent catalogue of 20 million rows on 180,000 bricks of the real grid, partitioned as the parent stage does it, is made once
(a catalogue only: no pixels). Then the reference campaign, and the same design scaled to other numbers of rows, is planned, drawn, made and
written block by block, each in a process of its own, whose peak memory is measured; the reference manifest and the largest are validated.
What is fixed (reading, hashing and ordering all parents) is told apart; the marginal cost is that of the rows beyond the manifest before.
Seconds of the processor are what to compare: a busy neighbour changes them little.

    python benchmarks/manifest_scale.py [--folder FOLDER] [--parents 20000000] [--rows 1000000 2594880 6000000 12000000]
"""

import argparse
import multiprocessing
import resource
import shutil
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.constants import BANDS, EXTINCTION_PER_EBV, SPLITS
from halo_core.records import PARENTS, conform
from halo_core.stages.files import read_table, write_table
from halo_core.stages.grids import load_grid
from halo_core.stages.manifest import build_manifest
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import Parents
from halo_core.stages.parent_cells import PARENTS_FILE, cell_name, cell_of, in_order
from halo_core.stages.planning import plan
from halo_core.stages.validation_manifest import ManifestEvidence, check_manifest
from halo_core.survey.bricks import N_BRICKS, Bricks, brick_by_id
from halo_core.survey.regions import SplitRule, guard_arcsec, near_other_split, region_of, split_of

SEED = 13
N_SURVEY_BRICKS = 180_000
REFERENCE_ROWS = 2_594_880
ROWS = (1_000_000, REFERENCE_ROWS, 6_000_000, 12_000_000)
CHECKED_ROWS = (REFERENCE_ROWS, 12_000_000)
RULE = SplitRule(64, SEED, {"train": 0.70, "val": 0.15, "test": 0.15})
GRIDS = {name: load_grid(name, Path(str(files("halo_core.grids")))) for name in ("grid_small", "grid_medium")}


Result = TypeVar("Result")


class Measured(NamedTuple):
    """One manifest: rows, blocks, seconds by the clock and of the processor, those of the processor that are fixed, peak memory."""

    n_rows: int
    n_blocks: int
    total_s: float
    cpu_s: float
    fixed_cpu_s: float
    peak_gb: float


def survey_bricks() -> Bricks:
    """Return bricks of a southern survey away from the Galaxy, neighbours all, in the order of the grid."""
    bricks = brick_by_id(np.arange(1, N_BRICKS + 1))
    ra, dec, pole_ra, pole_dec = np.deg2rad(bricks.ra), np.deg2rad(bricks.dec), np.deg2rad(192.86), np.deg2rad(27.13)
    sin_b = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
    inside = (np.abs(sin_b) > np.sin(np.deg2rad(18.0))) & (bricks.dec > -68.0) & (bricks.dec < 34.0)
    return brick_by_id(bricks.brickid[inside][:N_SURVEY_BRICKS])


def make_parents(folder: Path, n_parents: int) -> None:
    """Write a parent catalogue: positions uniform in each brick, conditions a brick's own, regions and splits from the positions."""
    rng = np.random.Generator(np.random.Philox(key=SEED))
    bricks = survey_bricks()
    brick = np.sort(rng.integers(0, len(bricks), n_parents))
    sizes = {f"psfsize_{band}_arcsec": np.clip(rng.lognormal(np.log(1.3), 0.08, len(bricks)), 0.9, 1.6) for band in BANDS}
    depths = {f"psfdepth_{band}_mag": np.clip(rng.normal(24.2, 0.25, len(bricks)), 23.6, 25.5) for band in BANDS}
    of_brick = {**sizes, **depths, "ebv": np.clip(rng.lognormal(np.log(0.03), 0.5, len(bricks)), 0.005, 0.12)}
    ra = bricks.ra1[brick] + rng.random(n_parents) * (bricks.ra2 - bricks.ra1)[brick]
    dec = bricks.dec1[brick] + rng.random(n_parents) * (bricks.dec2 - bricks.dec1)[brick]
    objid = np.arange(n_parents) - np.searchsorted(brick, np.arange(len(bricks)))[brick]
    cells = cell_of(ra, dec)
    for cell in np.unique(cells).tolist():
        rows = np.flatnonzero(cells == cell)
        here = {name: values[brick[rows]] for name, values in of_brick.items()}
        table = _cell(bricks, brick[rows], objid[rows], ra[rows], dec[rows], here, np.random.Generator(np.random.Philox(key=[SEED, cell])))
        (folder / cell_name(cell)).parent.mkdir(parents=True)
        write_table(folder / cell_name(cell), in_order(table))


def _cell(
    bricks: Bricks,
    brick: np.ndarray[tuple[int], np.dtype[np.int64]],
    objid: np.ndarray[tuple[int], np.dtype[np.int64]],
    ra: np.ndarray[tuple[int], np.dtype[np.float64]],
    dec: np.ndarray[tuple[int], np.dtype[np.float64]],
    conditions: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]],
    rng: np.random.Generator,
) -> pa.Table:
    """Return the parents of one sky cell."""
    n, region = len(brick), region_of(ra, dec, RULE.nside)
    rmag = rng.uniform(18.0, 21.0, n)
    columns: dict[str, object] = dict(conditions)
    mags = {"gmag": rmag + 1.5, "rmag": rmag, "zmag": rmag - 0.9, "w1mag": rmag - 2.0}
    columns |= mags | {f"{name}_mw": mag - EXTINCTION_PER_EBV[name.removesuffix("mag")] * conditions["ebv"] for name, mag in mags.items()}
    columns |= {"rz": mags["rmag"] - mags["zmag"], "zw1": mags["zmag"] - mags["w1mag"], "ra": ra, "dec": dec, "objid": objid}
    columns |= {"brickid": bricks.brickid[brick], "brickname": bricks.brickname[brick].tolist(), "type": pa.repeat("DEV", n)}
    columns |= {name: np.ones(n, dtype=bool) for name in PARENTS.names if name.startswith("is_")}
    columns |= {name: np.full(n, value) for name, value in {"release": 10000, "maskbits": 0, "parent_flags": 0}.items()}
    words = [pa.array(part).cast(pa.string()) for part in (np.full(n, 10000), bricks.brickid[brick], objid)]
    columns["host_id"] = pc.binary_join_element_wise(*words, ":")
    columns["region_id"] = region
    columns["region_split"] = split_of(region, split_seed=SEED, fractions=RULE.fractions).tolist()
    columns["is_guard"] = near_other_split(ra, dec, radius_arcsec=guard_arcsec(96), rule=RULE)
    return conform(columns, PARENTS, where="synthetic parents")


def parents_in(folder: Path) -> Parents:
    """Return the catalogue of a folder, cell by cell."""
    paths = sorted(folder.glob(f"cell=*/{PARENTS_FILE}"))

    def tables(columns: Sequence[str]) -> Iterable[pa.Table]:
        return (read_table(path, list(columns)) for path in paths)

    return tables


def config_of(n_rows: int) -> ManifestConfig:
    """Return the reference campaign, or the same design with its numbers of hosts scaled to about so many rows."""
    scale = n_rows / REFERENCE_ROWS
    tiers = ("debug", "grid", "train")
    uniform = dict.fromkeys(("src_phi", "lens_phi", "shear_phi"), "uniform_0_pi")
    laws = {"src_offset": "disc_0.8", "lens_e": "uniform_0.05_0.5", "src_colours": "reference", "src_n_sersic": "fixed_1"}
    return ManifestConfig(
        tiers=tiers,
        stamp_sizes=(64, 96),
        bandsets=("grz",),
        splits=SPLITS,
        n_total_train_per_split=round(200_000 * scale),
        n_per_config={"debug": 5, "grid": round(40 * scale)},
        replicates=2,
        control_frac={"debug": 0.0, "grid": 0.10, "train": 0.50},
        grids=dict(zip(tiers, ("grid_small", "grid_medium", "grid_small"), strict=True)),
        priors=uniform | laws | {"lens_model": "SIE"},
        split_seed=SEED,
        sampling_seed=SEED,
        on_shortage="error",
        max_total_tasks=30_000_000,
        block_max_injections=5_000,
        block_max_bricks=100,
    )


def build(folder: Path, n_rows: int, out: Path) -> Measured:
    """Build and write one manifest; fixed is what comes before the parents are read again for the hosts that were drawn."""
    start, cpu, n_written = perf_counter(), process_time(), 0
    read, asked_at = parents_in(folder), list[float]()

    def parents(columns: Sequence[str]) -> Iterable[pa.Table]:
        asked_at.append(process_time())
        return read(columns)

    made = build_manifest(parents, config_of(n_rows), GRIDS)
    for block, tasks in enumerate(made.blocks()):
        write_table(out / f"{block:05d}.parquet", tasks)
        n_written += tasks.num_rows
    return Measured(n_written, made.n_blocks, perf_counter() - start, process_time() - cpu, asked_at[1] - cpu, peak_gb())


def check(folder: Path, n_rows: int, out: Path) -> Measured:
    """Validate a manifest, and return what it cost; a law that is broken stops the benchmark."""
    start, cpu, config = perf_counter(), process_time(), config_of(n_rows)
    asked = plan(config, {name: grid.n_configs for name, grid in GRIDS.items()})
    seeds = {"split_seed": config.split_seed, "sampling_seed": config.sampling_seed}
    names = set(survey_bricks().brickname.tolist())
    evidence = ManifestEvidence(parents_in(folder), asked, GRIDS, names, seeds, has_given_splits=False)
    paths = sorted(out.glob("*.parquet"))
    findings = check_manifest((read_table(path) for path in paths), config, evidence)
    if failed := [found for found in findings if not found.is_ok]:
        raise SystemExit(f"validation of the manifest failed: {failed}")
    return Measured(sum(row.n_rows for row in asked), len(paths), perf_counter() - start, process_time() - cpu, 0.0, peak_gb())


def peak_gb() -> float:
    """Return the largest memory this process had [GB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def alone(task: Callable[..., Result], *given: object) -> Result:
    """Return what a task measures in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(task, *given).result()


def measure(folder: Path, sizes: Sequence[int]) -> None:
    """Build manifests of rising size and print what each costs, and what each row beyond the smaller size costs."""
    print("        rows  blocks  total s   cpu s  fixed cpu s   rows/s  peak GB  marginal cpu us/row")
    before: Measured | None = None
    for n_rows in sizes:
        out = folder / "blocks"
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        found = alone(build, folder, n_rows, out)
        line = f"{found.n_rows:12,} {found.n_blocks:7,} {found.total_s:8.1f} {found.cpu_s:7.1f} {found.fixed_cpu_s:12.1f}"
        line += f" {found.n_rows / found.total_s:8,.0f} {found.peak_gb:8.2f}"
        if before is not None:
            more_s = found.cpu_s - found.fixed_cpu_s - (before.cpu_s - before.fixed_cpu_s)
            line += f" {1e6 * more_s / (found.n_rows - before.n_rows):20.1f}"
        print(line, flush=True)
        before = found
        if n_rows in CHECKED_ROWS:
            seen = alone(check, folder, n_rows, out)
            print(f"{'  validation':20} {seen.total_s:8.1f} {seen.cpu_s:7.1f} {'':21} {seen.peak_gb:8.2f}", flush=True)


def main() -> None:
    """Make the parents where they are not there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the parents are or are made, and stay; a temporary folder without it")
    parser.add_argument("--parents", type=int, default=20_000_000)
    parser.add_argument("--rows", type=int, nargs="+", default=ROWS)
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(TemporaryDirectory(prefix="manifest_scale_")))
        if not list(folder.glob(f"cell=*/{PARENTS_FILE}")):
            start = perf_counter()
            make_parents(folder, given.parents)
            print(f"{given.parents:,} parents on {N_SURVEY_BRICKS:,} bricks made in {perf_counter() - start:.0f} s", flush=True)
        measure(folder, given.rows)
        shutil.rmtree(folder / "blocks")


if __name__ == "__main__":
    main()
