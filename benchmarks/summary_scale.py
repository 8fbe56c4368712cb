"""What a summary costs at the survey's size: seconds, rows a second and peak memory of the cells, of their checks and of injection's.

Manifest and results of a campaign that never ran (`mock_results.py`: tiers, grids, strata and controls of the reference campaign on 180,000
bricks) are written in 1,800 blocks. Then the summary is made as its stage makes it, and what was injected and summarised is checked, each
in a process of its own. The load of the machine is told: others' work counts in the seconds by the clock, little in those of the processor.

    python benchmarks/summary_scale.py [--folder FOLDER] [--rows 12000000] [--scores]

--scores adds a detector: a table of scores by task, joined and counted beside the other criteria, with its smooth models.
"""

import argparse
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from manifest_scale import alone, peak_gb
from mock_results import write_blocks
from pyarrow.parquet import ParquetFile

from halo_core.stages.criteria import proxy_reference, score_criteria, snr_matched
from halo_core.stages.files import read_table, write_table
from halo_core.stages.scores import ScoreTable
from halo_core.stages.summary import summarise
from halo_core.stages.summary_blocks import Blocks, gather
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_controls import control_table
from halo_core.stages.summary_ecsv import write_ecsv
from halo_core.stages.summary_facts import summary_facts
from halo_core.stages.summary_models import smooth_models
from halo_core.stages.summary_regions import region_cells
from halo_core.stages.summary_rows import TASK_COLUMNS, result_columns
from halo_core.stages.validation_injection_counts import RESULT_COLUMNS, count_injections
from halo_core.stages.validation_injection_counts import TASK_COLUMNS as INJECTION_TASK_COLUMNS
from halo_core.stages.validation_summary import check_summary

SCORES_FILE = "scores.parquet"
FACTS_FILE = "facts.json"

CONFIG = SummaryConfig(
    criteria=(proxy_reference(snr_peak_pixel_r_min=5.0, resolution_min=0.8), snr_matched(snr_matched_r_min=10.0)),
    absolute_magnitude_grids=(),
    cluster_nside=32,
    min_n=10,
    clean_max_bad_pixel_frac=0.2,
    clean_max_wise_frac=0.2,
    psf_fwhm_bin_width_arcsec=0.1,
    psfdepth_bin_width_mag=0.25,
    resolution_edges=(0.4, 0.6, 0.8, 1.0),
    snr_matched_r_edges=(5, 10, 20, 50, 100, 200, 500, 1000),
    model_fit_split="train",
    model_held_out_split="test",
    model_level=0.95,
)

SCORED = replace(CONFIG, criteria=(*CONFIG.criteria, *score_criteria({"detector": {"score": "score", "minimum": 0.0}})))
"""The same with a criterion on a detector's score."""


class Measured(NamedTuple):
    """One step: seconds by the clock and of the processor, peak memory of its process so far."""

    name: str
    total_s: float
    cpu_s: float
    peak_gb: float


class Meter:
    """Measures steps one after the other."""

    def __init__(self) -> None:
        self.steps: list[Measured] = []
        self._start, self._cpu = perf_counter(), process_time()

    def tell(self, name: str) -> None:
        """End a step."""
        now, cpu = perf_counter(), process_time()
        self.steps.append(Measured(name, now - self._start, cpu - self._cpu, peak_gb()))
        self._start, self._cpu = now, cpu


def write_scores(folder: Path) -> None:
    """Write a score by task: the detector calls an arc as a logistic law of its S/N says, a control once in a hundred."""
    rng, tables = np.random.default_rng(1), []
    for tasks, results in blocks_in(folder, ("task_id", "is_control"), ("snr_matched_r",)):
        mean = np.where(
            tasks["is_control"].to_numpy(), -4.6, -6.0 + 2.0 * np.log(np.nan_to_num(results["snr_matched_r"].to_numpy(), nan=1.0))
        )
        tables.append(pa.table({"task_id": tasks["task_id"], "score": mean + rng.logistic(size=len(mean))}))
    write_table(folder / SCORES_FILE, pa.concat_tables(tables))


def rows_in(folder: Path) -> tuple[SummaryConfig, Blocks]:
    """Return what the summary reads, with the scores where there are some, and its configuration."""
    if not (folder / SCORES_FILE).exists():
        return CONFIG, blocks_in(folder)
    return SCORED, ScoreTable(folder / SCORES_FILE, ["score"]).join(blocks_in(folder))


def blocks_in(
    folder: Path, task_columns: Sequence[str] = TASK_COLUMNS, columns: Sequence[str] = result_columns(CONFIG)
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield manifest and results of every block, the columns that are read alone."""
    for block in sorted(folder.glob("block=*")):
        yield read_table(block / "tasks.parquet", list(task_columns)), read_table(block / "results.parquet", list(columns))


def build(folder: Path) -> list[Measured]:
    """Make the summary as its stage makes it, and return what each step cost."""
    meter = Meter()
    config, blocks = rows_in(folder)
    campaign = gather(blocks, config)
    meter.tell("read and gather")
    cells = summarise(campaign, config)
    meter.tell(f"{cells.num_rows:,} cells")
    regions = region_cells(campaign, config)
    control_table(((one.key, one.controls) for one in campaign), config)
    meter.tell(f"{regions.num_rows:,} region cells, controls")
    models = list(smooth_models(campaign, config))
    meter.tell(f"{sum(made.model is not None for made in models)} smooth models")
    rows = [made.row | {"key": None if made.model is None else made.name} for made in models]
    facts = summary_facts(campaign, config, models=rows, reference_grids=frozenset({"grid_small"}))
    meter.tell("facts")
    write_table(folder / "cells.parquet", cells)
    write_table(folder / "region_cells.parquet", regions)
    write_ecsv(folder / "cells.ecsv", cells)
    (folder / FACTS_FILE).write_text(json.dumps(facts))
    meter.tell("written, ECSV too")
    return meter.steps


def check(folder: Path) -> list[Measured]:
    """Check the summary, and return what it cost; a law that is broken stops the benchmark."""
    meter = Meter()
    config, blocks = rows_in(folder)
    facts = json.loads((folder / FACTS_FILE).read_text())
    findings = check_summary(read_table(folder / "cells.parquet"), blocks, config, facts=facts)
    if failed := [found for found in findings if not found.is_ok and found.severity == "error"]:
        raise SystemExit(f"checks of the summary failed: {failed}")
    meter.tell("checks")
    return meter.steps


def check_rows(folder: Path) -> list[Measured]:
    """Check what was injected, but for planes and pixels, which are not there, and return what it cost."""
    meter = Meter()
    counts = count_injections(blocks_in(folder, INJECTION_TASK_COLUMNS, RESULT_COLUMNS))
    if broken := +counts.n_broken:
        raise SystemExit(f"rows that break a law of injection: {broken}")
    meter.tell("checks")
    return meter.steps


def report(title: str, n_rows: int, steps: list[Measured]) -> None:
    """Print what the steps of one process cost, and their sum."""
    whole = Measured(title, sum(one.total_s for one in steps), sum(one.cpu_s for one in steps), max(one.peak_gb for one in steps))
    for one in (*steps, whole) if len(steps) > 1 else (whole,):
        print(f"{one.name:45} {one.total_s:8.1f} {one.cpu_s:8.1f} {n_rows / one.total_s:10,.0f} {one.peak_gb:8.2f}", flush=True)


def main() -> None:
    """Make the rows where they are not there, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="where the rows are or are made, and stay; a temporary folder without it")
    parser.add_argument("--rows", type=int, default=12_000_000)
    parser.add_argument("--scores", action="store_true")
    given = parser.parse_args()
    with ExitStack() as stack:
        folder = given.folder or Path(stack.enter_context(TemporaryDirectory(prefix="summary_scale_")))
        if not list(folder.glob("block=*")):
            write_blocks(folder, given.rows)
        if given.scores:
            write_scores(folder)
        n_rows = sum(ParquetFile(path).metadata.num_rows for path in folder.glob("block=*/tasks.parquet"))
        print(f"{n_rows:,} rows, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
        print(f"{'':45} {'clock s':>8} {'cpu s':>8} {'rows/s':>10} {'peak GB':>8}", flush=True)
        for title, work in (("summary", build), ("checks of the summary", check), ("checks of injection", check_rows)):
            report(title, n_rows, alone(work, folder))
        print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
