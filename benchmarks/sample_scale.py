"""What it costs to look at a hundredth of the stored stamps: seconds a stamp, memory, and how long that is for a campaign.

A block of 2,000 injections of grid_medium around 200 hosts is injected and stored as the stage does it, at 96 pixels in g, r and z. It is
read as ten blocks, each time another hundredth of its stamps, painted anew and held to the laws of every sampled stamp, as validation does
it. Without the survey and without ray-shooting, which are for 24 stamps whatever the campaign.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/sample_scale.py [--blocks 10]
"""

import argparse
import os
import resource
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import pyarrow as pa
from injection_stage import CONFIG, inject, planes_of_brick, tasks

from halo_core.stages.files import read_table
from halo_core.stages.validation_convergence import paint_without_light, render_at_double_effort
from halo_core.stages.validation_injection_counts import SAMPLE_SHARE, InjectionCounts
from halo_core.stages.validation_stamps import SampledStamp, check_stamps
from halo_core.stamps import ARCS_FILE, HOSTS_FILE, RESULTS_FILE, read_stamps

N_HOSTS, N_PER_HOST = 200, 10
CAMPAIGN_INJECTIONS = 600_000


def stored_block(folder: Path) -> pa.Table:
    """Store a block and return its manifest rows."""
    planes = planes_of_brick(folder)
    rows = tasks(planes, N_HOSTS, N_PER_HOST, (CONFIG.store_size_pix,))
    inject(rows, planes, folder, Counter())
    for name, file in (("hosts", HOSTS_FILE), ("arcs", ARCS_FILE), ("results", RESULTS_FILE)):
        (folder / name).rename(folder / file)
    return rows


def sampled(folder: Path, rows: pa.Table, parts: Counter[str]) -> Iterator[SampledStamp]:
    """Yield some stamps of the block painted anew; add what reading and painting took."""
    start = perf_counter()
    ids = set(rows["task_id"].to_pylist())
    results = {row["task_id"]: row for row in read_table(folder / RESULTS_FILE).to_pylist() if row["task_id"] in ids}
    for stamp in read_stamps(folder, rows):
        result = results[stamp.truth["task_id"]]
        parts["read"] += perf_counter() - start
        start = perf_counter()
        converged = render_at_double_effort(stamp, result, CONFIG)
        parts["twice the effort"] += perf_counter() - start
        start = perf_counter()
        unlit = paint_without_light(stamp, result, CONFIG)
        parts["without light"] += perf_counter() - start
        yield SampledStamp(stamp, result, converged, unlit)
        start = perf_counter()


def peak_mb() -> float:
    """Return the most memory that this process has had [MB]."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def main() -> None:
    """Store a block, look at a hundredth of it again and again, and print what that takes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blocks", type=int, default=10)
    n_blocks = parser.parse_args().blocks
    with TemporaryDirectory(prefix="sample_scale_") as name:
        folder = Path(name)
        rows, parts, n_stamps = stored_block(folder), Counter[str](), 0
        n_each, before_mb, start = round(SAMPLE_SHARE * rows.num_rows), peak_mb(), perf_counter()
        for block in range(n_blocks):
            chosen = rows.slice(block * n_each, n_each)
            counts = InjectionCounts(sample=[(task_id, block) for task_id in chosen["task_id"].to_pylist()])
            findings = check_stamps(counts, sampled(folder, chosen, parts))
            if broken := [found for found in findings if not found.is_ok]:
                raise SystemExit(f"laws that do not hold: {broken}")
            n_stamps += n_each
        seconds = perf_counter() - start
        size_mb = sum((folder / file).stat().st_size for file in (HOSTS_FILE, ARCS_FILE, RESULTS_FILE)) / 1e6
        parts["laws"] = seconds - sum(parts.values())
        print(f"{n_blocks} blocks of {rows.num_rows:,} injections ({size_mb:.0f} MB), {n_stamps} stamps; load {os.getloadavg()[0]:.1f}")
        print(
            f"{seconds:.1f} s, {seconds / n_stamps:.4f} s a stamp: " + ", ".join(f"{part} {s / n_stamps:.4f}" for part, s in parts.items())
        )
        print(f"memory at most {before_mb:.0f} MB while injecting, {peak_mb():.0f} MB with the sample")
        print(f"{CAMPAIGN_INJECTIONS:,} evaluated stamps: {SAMPLE_SHARE * CAMPAIGN_INJECTIONS * seconds / n_stamps / 60:.0f} min")


if __name__ == "__main__":
    main()
