"""What the two modes of the cache keep and cost: whole planes, or the cut-outs of a campaign's hosts.

A mock brick of 3600 pixels in the survey's own format, 60 hosts at 64 and at 96 pixels: bytes kept; time to verify, cut and store once a
brick is fetched; and unique hosts per second on one core, injected from planes and from cut-outs, one injection each, read and written as
a block of ten bricks does it. Run it on an otherwise idle core:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/cache_modes.py [--folder SURVEY] [--repeats 5]
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import pyarrow as pa
from injection_stage import CONFIG, planes_of_brick, tasks

from halo_core.records import arcs_schema, hosts_schema
from halo_core.stages.cutouts import Cutouts, cut_brick, cutouts_schema
from halo_core.stages.files import StampWriter
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import InjectionConfig, inject_brick
from halo_core.survey.coadds import verify_plane

N_HOSTS, N_BRICKS = 60, 10


def seconds(n_repeats: int, work: Callable[..., object], *given: object) -> float:
    """Return the time of the fastest of some runs of a function [s]; the first warms up."""
    work(*given)
    times = []
    for _ in range(n_repeats):
        start = perf_counter()
        work(*given)
        times.append(perf_counter() - start)
    return min(times)


def verify(planes: BrickPlanes) -> None:
    """Verify every plane as the fetcher does."""
    for name, path in planes.paths.items():
        verify_plane(path, name, planes.brickname)


def cut(rows: pa.Table, planes: BrickPlanes, config: InjectionConfig, path: Path) -> None:
    """Write the cut-outs of a brick."""
    with StampWriter(path, cutouts_schema(config.store_size_pix)) as writer:
        writer.write(cut_brick(rows, planes, bands=config.bands, size_pix=config.store_size_pix))


def inject_whole(rows: pa.Table, planes: BrickPlanes, config: InjectionConfig, folder: Path) -> None:
    """Inject a brick several times from its planes, hosts and arcs written into one file each, as a block of so many bricks does."""
    size = config.store_size_pix
    with StampWriter(folder / "hosts", hosts_schema(size)) as hosts, StampWriter(folder / "arcs", arcs_schema(size)) as arcs:
        for _ in range(N_BRICKS):
            hosts.write(inject_brick(rows, planes, config, write_arcs=arcs.write).hosts)


def inject_cut(rows: pa.Table, planes: BrickPlanes, config: InjectionConfig, folder: Path, path: Path) -> None:
    """Inject a brick several times from its cut-outs, arcs written, as a block of so many bricks does."""
    with Cutouts(path) as cutouts, StampWriter(folder / "arcs", arcs_schema(config.store_size_pix)) as arcs:
        for _ in range(N_BRICKS):
            inject_brick(rows, planes, config, hosts=cutouts.hosts(planes.brickname), write_arcs=arcs.write)


def main() -> None:
    """Print bytes and times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the mock brick here; a temporary folder without it")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        planes = planes_of_brick(options.folder or folder)
        n_whole = sum(path.stat().st_size for path in planes.paths.values())
        verify_s = seconds(1, verify, planes)
        print(f"one brick, {len(planes.paths)} planes of 3600 pixels, {N_HOSTS} hosts; verified in {verify_s:.2f} s")
        for size in (64, 96):
            config, path = replace(CONFIG, store_size_pix=size), folder / f"cutouts_{size}"
            rows = tasks(planes, N_HOSTS, 1, (size,))
            cut_s = seconds(options.repeats, cut, rows, planes, config, path)
            whole_s = seconds(options.repeats, inject_whole, rows, planes, config, folder)
            cut_inject_s = seconds(options.repeats, inject_cut, rows, planes, config, folder, path)
            with Cutouts(path) as cutouts:
                read_s = seconds(options.repeats, cutouts.hosts, planes.brickname)
            n_cut, n_hosts = path.stat().st_size, N_BRICKS * N_HOSTS
            print(
                f"  {size} pixels: planes {n_whole / 1e6:.1f} MB, cut-outs {n_cut / 1e6:.2f} MB (ratio {n_cut / n_whole:.3f}), "
                f"cut and stored in {cut_s:.2f} s\n"
                f"    unique hosts/s: from planes {n_hosts / whole_s:.0f}, from cut-outs {n_hosts / cut_inject_s:.0f} "
                f"(ratio {whole_s / cut_inject_s:.1f}); reading cut-outs alone {N_HOSTS / read_s:.0f}"
            )


if __name__ == "__main__":
    main()
