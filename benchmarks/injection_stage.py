"""How fast the injection stage is on one core, where its time goes, and what it costs beyond reading and writing.

A mock brick of 3600 pixels in the survey's own format is injected as a block of the pipeline does it: planes read, hosts cut, arcs of
grid_medium painted in g, r and z, views measured, hosts, arcs and results written. Bare cost: the same sections of the same planes by the
same reader, and the same Parquet files, in the same run; beside it the same sections by astropy's own `.section` and by fitsio, if it
is installed. Run it on an otherwise idle core:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python benchmarks/injection_stage.py [--folder SURVEY] [--blocks 20]
"""

import argparse
import gc
import importlib.util
import resource
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.resources import files
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits

from halo_core.constants import BANDS
from halo_core.records import MANIFEST, arcs_schema, conform, hosts_schema
from halo_core.seeds import hash_hex, uniforms
from halo_core.stages import injection
from halo_core.stages.files import StampWriter, write_table
from halo_core.stages.grids import load_grid
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import BrickInjection, InjectionConfig, inject_brick
from halo_core.survey.coadds import open_plane, stamp_corner
from halo_core.survey.layout import plane_key, planes_for
from halo_core.survey.mock import MockSurvey, make_mock_brick, mock_bricks
from halo_core.survey.projection import sky_to_pixel

SURVEY = MockSurvey(seed=13, n_bricks=1, brick_size_pix=3600, lrgs_per_brick=60)
STORE_PIX = 96
CONFIG = InjectionConfig("moffat", "adaptive", 1.0, STORE_PIX, BANDS, shot_noise=False)
CASES = {"60 hosts x 1": (60, 1), "10 hosts x 100": (10, 100)}
VIEWS = {"one view, 96": (96,), "two views, 64 and 96": (64, 96)}


@dataclass(frozen=True)
class Timed:
    """Seconds of one block: in all, by part, and of the bare cost."""

    total_s: float
    parts_s: dict[str, float]
    bare_read_s: float
    bare_write_s: float


def planes_of_brick(root: Path) -> BrickPlanes:
    """Return the planes of the mock brick, made where they are not there yet."""
    (brick,) = mock_bricks(SURVEY)
    paths = {name: root / plane_key(brick.brickname, name) for name in planes_for(BANDS)}
    if not all(path.exists() for path in paths.values()):
        make_mock_brick(SURVEY, brick.index, root)
    return BrickPlanes(brick.brickname, paths, {})


def tasks(planes: BrickPlanes, n_hosts: int, n_per_host: int, sizes: tuple[int, ...]) -> pa.Table:
    """Return manifest rows of hosts all over the brick, each with configurations of grid_medium in turn."""
    hosts = [f"h{i}" for i in range(n_hosts)]
    x, y = (100.0 + 3400.0 * uniforms(hosts, axis) for axis in "xy")
    with open_plane(planes.paths["image-r"], "image-r") as plane:
        ra, dec = plane.wcs.wcs_pix2world(x, y, 0)
    values = load_grid("grid_medium", Path(str(files("halo_core.grids")))).values()
    ids = [hash_hex(host, j) for host in hosts for j in range(n_per_host)]
    drawn = {name: uniforms(ids, name) for name in ("config", "r", "angle", "phi", "lens_phi", "shear_phi", "lens_e")}
    theta_e, dmag, reff, e, shear = values[(drawn["config"] * len(values)).astype(int)].T
    flux = 10.0 ** (0.4 * (22.5 - 19.5 - dmag))
    radius = 0.8 * theta_e * np.sqrt(drawn["r"])
    columns = {
        "physical_id": ids,
        "host_id": np.repeat(hosts, n_per_host),
        "ra": np.repeat(ra, n_per_host),
        "dec": np.repeat(dec, n_per_host),
        "theta_e_arcsec": theta_e,
        "src_dmag": dmag,
        "src_reff_arcsec": reff,
        "src_e": e,
        "shear": shear,
        "src_x_arcsec": radius * np.cos(2.0 * np.pi * drawn["angle"]),
        "src_y_arcsec": radius * np.sin(2.0 * np.pi * drawn["angle"]),
        "src_phi_rad": np.pi * drawn["phi"],
        "shear_phi_rad": np.pi * drawn["shear_phi"],
        "lens_phi_rad": np.pi * drawn["lens_phi"],
        "lens_e": 0.05 + 0.45 * drawn["lens_e"],
        "src_n_sersic": np.ones(len(ids)),
        **{f"src_flux_{band}_nmgy": flux * share for band, share in zip(BANDS, (0.6, 1.0, 1.3), strict=True)},
    }
    fixed = {"brickname": planes.brickname, "bandset": "grz", "is_control": False, "tier": "grid", "lens_model": "SIE"}
    filler = {pa.float64(): 0.0, pa.int64(): 0, pa.string(): "", pa.bool_(): False}
    views = list(product(range(len(ids)), sizes))
    places = np.array([i for i, _ in views])
    made: dict[str, Any] = {
        field.name: np.asarray(columns[field.name])[places].tolist()
        if field.name in columns
        else [fixed.get(field.name, filler[field.type])] * len(views)
        for field in MANIFEST
    }
    made |= {"task_id": [hash_hex(ids[i], size) for i, size in views], "stamp_size": [size for _, size in views]}
    return conform(made, MANIFEST, where="tasks of the benchmark")


@contextmanager
def clocks(parts: Counter[str]) -> Iterator[None]:
    """Add the time of the stage's own functions to their part while the context is open."""

    def timed(part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            start = perf_counter()
            try:
                return function(*given, **named)
            finally:
                parts[part] += perf_counter() - start

        return call

    watched = {"cut_hosts": "read", "render_row": "render", "arc_metrics": "metrics", "judge_view": "metrics", "mask_metrics": "metrics"}
    right = {name: getattr(injection, name) for name in watched}
    for name, part in watched.items():
        setattr(injection, name, timed(part, right[name]))
    try:
        yield
    finally:
        for name, function in right.items():
            setattr(injection, name, function)


def inject(rows: pa.Table, planes: BrickPlanes, folder: Path, parts: Counter[str]) -> BrickInjection:
    """Inject and write a brick as a block does it; add what writing took."""

    def write(writer: StampWriter, table: pa.Table) -> None:
        start = perf_counter()
        writer.write(table)
        parts["write"] += perf_counter() - start

    with StampWriter(folder / "hosts", hosts_schema(STORE_PIX)) as hosts, StampWriter(folder / "arcs", arcs_schema(STORE_PIX)) as arcs:
        made = inject_brick(rows, planes, CONFIG, write_arcs=lambda table: write(arcs, table))
        write(hosts, made.hosts)
    start = perf_counter()
    write_table(folder / "results", made.results)
    parts["write"] += perf_counter() - start
    return made


def timed_block(rows: pa.Table, planes: BrickPlanes, folder: Path) -> Timed:
    """Return the times of one block, and of its bare cost."""
    parts: Counter[str] = Counter()
    start = perf_counter()
    with clocks(parts):
        inject(rows, planes, folder, parts)
    total = perf_counter() - start
    parts["tables and rows"] = total - sum(parts.values())
    places = corners(rows, planes)
    start = perf_counter()
    read_sections(places, planes)
    bare_read = perf_counter() - start
    made = inject_brick(rows, planes, CONFIG)
    start = perf_counter()
    for name, table in (("hosts", made.hosts), ("arcs", made.arcs)):
        with StampWriter(folder / name, table.schema) as writer:
            writer.write(table)
    write_table(folder / "results", made.results)
    return Timed(total, dict(parts), bare_read, perf_counter() - start)


def corners(rows: pa.Table, planes: BrickPlanes) -> list[tuple[int, int]]:
    """Return the first column and row of every host's stamp."""
    first = {row["host_id"]: row for row in rows.select(["host_id", "ra", "dec"]).to_pylist()}
    with open_plane(planes.paths["image-r"], "image-r") as plane:
        x, y = sky_to_pixel(plane.wcs, [row["ra"] for row in first.values()], [row["dec"] for row in first.values()])
    return [(stamp_corner(u, STORE_PIX), stamp_corner(v, STORE_PIX)) for u, v in zip(x.tolist(), y.tolist(), strict=True)]


def read_sections(places: list[tuple[int, int]], planes: BrickPlanes) -> None:
    """Read each host's sections with the project's reader: its stamp of every plane, one pixel of a PSF map."""
    for name, path in planes.paths.items():
        with open_plane(path, name) as plane:
            for x0, y0 in places:
                if name.startswith("psfsize"):
                    plane.value_at(x0, y0)
                else:
                    plane.cutout(x0, y0, STORE_PIX, 0)


def read_with(opener: Callable[[Path], Any], places: list[tuple[int, int]], planes: BrickPlanes) -> float:
    """Return the seconds that another reader takes for the same sections."""
    start = perf_counter()
    for name, path in planes.paths.items():
        size = 1 if name.startswith("psfsize") else STORE_PIX
        image = opener(path)
        for x0, y0 in places:
            image[y0 : y0 + size, x0 : x0 + size]
    return perf_counter() - start


def resident_mb() -> float:
    """Return the memory of this process now [MB]."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1e6


def show_speed(planes: BrickPlanes, folder: Path, n_repeats: int) -> None:
    """Print injections per second and their split for every case; the fastest of the repeats counts."""
    print(f"injections per second on one core, g r z, stored at {STORE_PIX} pixels; split in ms per injection")
    for (case, (n_hosts, n_per_host)), (view, sizes) in product(CASES.items(), VIEWS.items()):
        rows, n = tasks(planes, n_hosts, n_per_host, sizes), n_hosts * n_per_host
        timed_block(rows, planes, folder)
        best = min((timed_block(rows, planes, folder) for _ in range(n_repeats)), key=lambda found: found.total_s)
        split = ", ".join(f"{name} {1e3 * seconds / n:.2f}" for name, seconds in best.parts_s.items())
        bare = best.bare_read_s + best.bare_write_s
        print(f"  {case:15s} {view:22s} {n / best.total_s:6.0f}/s  {1e3 * best.total_s / n:.2f} ms: {split}")
        print(
            f"{'':41s}bare {1e3 * bare / n:.2f} ms (read {1e3 * best.bare_read_s / n:.2f}, write {1e3 * best.bare_write_s / n:.2f}); "
            f"ratio {best.total_s / bare:.2f}"
        )


def show_readers(planes: BrickPlanes, n_repeats: int) -> None:
    """Print what each reader takes for a host's sections of every plane."""
    places = corners(tasks(planes, 60, 1, (96,)), planes)
    readers: dict[str, Callable[[], float]] = {"astropy .section": lambda: read_with(section, places, planes)}
    if importlib.util.find_spec("fitsio") is not None:
        fitsio = importlib.import_module("fitsio")
        readers["fitsio (GPL-2, never a dependency)"] = lambda: read_with(lambda path: fitsio.FITS(path)[1], places, planes)
    start = perf_counter()
    read_sections(places, planes)
    own_s = perf_counter() - start
    print("reading one of 60 hosts: 7 sections, 3 pixels, its share of opening 10 planes")
    print(f"  this project: {1e3 * own_s / 60:.2f} ms")
    for name, read in readers.items():
        print(f"  {name}: {1e3 * min(read() for _ in range(n_repeats)) / 60:.2f} ms")


def section(path: Path) -> Any:
    """Return astropy's own lazy section of a plane."""
    return fits.open(path, memmap=False, lazy_load_hdus=True)[1].section


def show_memory(planes: BrickPlanes, folder: Path, n_blocks: int) -> None:
    """Print the memory after each of many blocks of 10 hosts x 100 injections in two sizes."""
    rows = tasks(planes, 10, 100, (64, 96))
    seen = []
    for _ in range(n_blocks):
        inject(rows, planes, folder, Counter())
        gc.collect()
        seen.append(resident_mb())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"memory: {seen[1]:.0f} MB after block 2, {seen[-1]:.0f} MB after block {n_blocks}; peak {peak:.0f} MB of the whole run")


def main() -> None:
    """Print speed, readers and memory."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="keep the mock brick here; a temporary folder without it")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--blocks", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        planes = planes_of_brick(options.folder or Path(temporary))
        show_speed(planes, Path(temporary), options.repeats)
        show_readers(planes, options.repeats)
        show_memory(planes, Path(temporary), options.blocks)


if __name__ == "__main__":
    main()
