"""The rates that a campaign's estimate is made of: bytes of planes, stamps and rows, seconds of the injection's parts, rows a second.

Planes of mock bricks of several sizes; hosts, arcs, results and manifests as blocks store them, and what one more host, arc and view costs
one core; the same rows in SQLite and Postgres with all their keys and indexes. Fitted values are those of `halo_core/stages/rates.py`:

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python -m benchmarks.campaign_rates [--parts planes,stamps,rows]
"""

import argparse
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import pyarrow as pa
import sqlalchemy as sa
from scipy.optimize import nnls

from benchmarks.injection_stage import CONFIG, planes_of_brick, tasks
from benchmarks.state_bulk import result_rows, server, task_rows
from halo_core.constants import BANDS
from halo_core.records import PARENTS, PLANES, arcs_schema, hosts_schema
from halo_core.stages.files import StampWriter, write_table
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import InjectionConfig, inject_brick
from halo_core.store import schema
from halo_core.store.cache import store_planes
from halo_core.store.injection import store_results
from halo_core.store.manifest import store_tasks
from halo_core.store.parent import store_parents
from halo_core.store.sessions import begin, read
from halo_core.survey.layout import plane_key, planes_for, split_plane
from halo_core.survey.mock import MockSurvey, make_mock_brick, mock_bricks

SIZES_PIX = (220, 500, 1500, 3600)
CASES = ((5, 1), (60, 1), (10, 100))
VIEWS = ((48,), (64,), (96,), (64, 96))
FILES = ("hosts", "arcs", "results")
LAWS = {
    "hosts": ("bytes a file", "a host", "a pixel and band", "a pixel"),
    "arcs": ("bytes a file", "an arc", "a pixel and band"),
    "results": ("bytes a file", "a row", "a row and band"),
    "seconds": (
        "a plane opened",
        "a host and band",
        "a host's pixel and band",
        "an arc",
        "an arc's pixel and band",
        "a view",
        "a view's pixel and band",
    ),
}
N_REPEATS = 4
EFFORTS = (0.5, 1.0, 2.0, 4.0, 8.0)
N_ROWS = 1_000_000


def show_fit(what: str, names: Sequence[str], terms: Sequence[Sequence[float]], values: Sequence[float]) -> None:
    """Print the least-squares weights, none negative, of some terms, each case weighed by its value, and the worst ratio that is left."""
    weight = 1.0 / np.asarray(values)
    found = nnls(np.asarray(terms) * weight[:, None], np.ones(len(weight)))[0]
    worst = max(max(ratio, 1 / ratio) for ratio in (np.asarray(terms) @ found * weight).tolist())
    print(f"  {what}: " + ", ".join(f"{name} {one:.4g}" for name, one in zip(names, found.tolist(), strict=True)) + f"; worst {worst:.2f}")


def show_planes(folder: Path) -> None:
    """Print the bytes of planes by kind and size, and their law."""
    sizes: dict[str, list[tuple[int, float]]] = {}
    for side in SIZES_PIX:
        survey = MockSurvey(seed=13, n_bricks=3, brick_size_pix=side, lrgs_per_brick=10)
        brick = mock_bricks(survey)[0]
        make_mock_brick(survey, brick.index, folder / str(side))
        found: dict[str, list[int]] = {}
        for name in planes_for(BANDS):
            found.setdefault(split_plane(name)[0], []).append((folder / str(side) / plane_key(brick.brickname, name)).stat().st_size)
        for kind, n_bytes in found.items():
            sizes.setdefault(kind, []).append((side, float(np.mean(n_bytes))))
        print(f"  {side} pixels: " + ", ".join(f"{kind} {np.mean(n) / 1e6:.3f} MB" for kind, n in found.items()))
    for kind, points in sizes.items():
        show_fit(kind, ("bytes a file", "bytes a pixel"), [(1.0, side**2) for side, _ in points], [n for _, n in points])


def stored(rows: pa.Table, planes: BrickPlanes, config: InjectionConfig, folder: Path) -> tuple[dict[str, int], float]:
    """Inject and store a brick; return the bytes of each file and the processor's seconds."""
    start, size = process_time(), config.store_size_pix
    paths = {name: folder / name for name in FILES}
    with StampWriter(paths["hosts"], hosts_schema(size)) as hosts, StampWriter(paths["arcs"], arcs_schema(size)) as arcs:
        made = inject_brick(rows, planes, config, write_arcs=arcs.write)
        hosts.write(made.hosts)
    write_table(paths["results"], made.results)
    took_s = process_time() - start
    return {name: path.stat().st_size for name, path in paths.items()}, took_s


def case_of(
    planes: BrickPlanes, n_hosts: int, n_per_host: int, sizes: tuple[int, ...], bands: tuple[str, ...]
) -> tuple[pa.Table, BrickPlanes]:
    """Return the tasks of a block in some sizes and bands, and the planes that it needs."""
    rows = tasks(planes, n_hosts, n_per_host, sizes)
    rows = rows.set_column(rows.column_names.index("bandset"), "bandset", pa.repeat("".join(bands), rows.num_rows))
    return rows, BrickPlanes(planes.brickname, {name: planes.paths[name] for name in planes_for(bands)}, {})


def show_stamps(folder: Path) -> None:
    """Print the bytes and the processor's seconds of blocks, and their laws."""
    planes = planes_of_brick(folder)
    sizes_of: dict[str, list[int]] = {name: [] for name in FILES}
    terms: dict[str, list[tuple[float, ...]]] = {name: [] for name in (*FILES, "seconds")}
    seconds = []
    for (n_hosts, n_per_host), sizes, bands in product(CASES, VIEWS, (("r",), BANDS)):
        rows, mine = case_of(planes, n_hosts, n_per_host, sizes, bands)
        config = replace(CONFIG, store_size_pix=max(sizes), bands=bands)
        stored(rows, mine, config, folder)
        found = [stored(rows, mine, config, folder) for _ in range(N_REPEATS)]
        seconds.append(min(took_s for _, took_s in found))
        n_arcs, n_bands, pixels = n_hosts * n_per_host, len(bands), max(sizes) ** 2
        n_views, view_pixels = n_arcs * len(sizes), n_arcs * sum(size**2 for size in sizes)
        terms["hosts"].append((1, n_hosts, n_hosts * pixels * n_bands, n_hosts * pixels))
        terms["arcs"].append((1, n_arcs, n_arcs * pixels * n_bands))
        terms["results"].append((1, n_views, n_views * n_bands))
        terms["seconds"].append(
            (
                len(mine.paths),
                n_hosts * n_bands,
                n_hosts * pixels * n_bands,
                n_arcs,
                n_arcs * pixels * n_bands,
                n_views,
                view_pixels * n_bands,
            )
        )
        for name, n_bytes in found[0][0].items():
            sizes_of[name].append(n_bytes)
        print(f"  {n_hosts} hosts x {n_per_host}, {sizes}, {''.join(bands)}: {found[0][0]}, {seconds[-1]:.3f} s", flush=True)
    for name, values in {**sizes_of, "seconds": seconds}.items():
        show_fit(name, LAWS[name], terms[name], values)
    for n_rows, (name, made) in product((20, 1_000, 10_000), {"tasks": partial(task_rows, seed=1), "parents": parent_rows}.items()):
        write_table(folder / name, made(n_rows))
        print(f"  {n_rows:,} made {name}: {(folder / name).stat().st_size:,} bytes")
    rows, mine = case_of(planes, 10, 100, (96,), BANDS)
    for effort in EFFORTS:
        took_s = min(stored(rows, mine, replace(CONFIG, effort=effort), folder)[1] for _ in range(2))
        print(f"  effort {effort}: {took_s:.3f} s", flush=True)


def plane_rows(n: int) -> pa.Table:
    """Return asset rows as the cache has them."""
    names = planes_for(BANDS)
    bricks = [f"{one // len(names) % 3600:04d}p{one // len(names) // 3600:03d}" for one in range(n)]
    keys = [plane_key(brick, names[one % len(names)]) for one, brick in enumerate(bricks)]
    values: Mapping[str, object] = {
        "brickname": bricks,
        "plane": [names[one % len(names)] for one in range(n)],
        "block": [one // 1000 for one in range(n)],
        "source_uri": [f"/survey/dr10/south/{key}" for key in keys],
        "key": [f"cache/dr10-0123456789/{key}" for key in keys],
        "status": ["ok"] * n,
        "reason": [None] * n,
        "sha256": [f"{one:064x}" for one in range(n)],
        "n_bytes": [8_000_000] * n,
        "attempts": [1] * n,
    }
    return pa.table({field.name: pa.array(values[field.name], field.type) for field in PLANES}, schema=PLANES)


def parent_rows(n: int) -> pa.Table:
    """Return parents with random magnitudes."""
    rng = np.random.Generator(np.random.Philox(key=1))
    words = {
        "host_id": [f"10000:{i // 80}:{i}" for i in range(n)],
        "brickname": [f"{i // 80 % 3600:04d}p{i // 80 % 900:03d}" for i in range(n)],
    }
    words |= {"type": ["DEV"] * n, "region_split": ["train"] * n}
    arrays = []
    for field in PARENTS:
        if field.name in words:
            arrays.append(pa.array(words[field.name]))
        elif pa.types.is_floating(field.type):
            arrays.append(pa.array(rng.random(n)))
        elif pa.types.is_boolean(field.type):
            arrays.append(pa.array(rng.random(n) < 0.5))
        else:
            arrays.append(pa.array(np.arange(n), field.type))
    return pa.Table.from_arrays(arrays, schema=PARENTS)


@contextmanager
def databases(folder: Path) -> Iterator[dict[str, str]]:
    """Give an empty state of each kind."""
    with server(None) as postgres:
        yield {"SQLite": f"sqlite:///{folder / 'state.sqlite'}", "Postgres": postgres}


def n_bytes_of(url: str) -> int:
    """Return the bytes of a database."""
    path = sa.make_url(url).database
    if url.startswith("sqlite"):
        return os.stat(str(path)).st_size
    with begin(url) as connection:
        connection.exec_driver_sql("CHECKPOINT")
    with read(url) as connection:
        return int(connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one())


def show_rows(folder: Path) -> None:
    """Print bytes and rows a second of each large table in both databases."""
    made = task_rows(N_ROWS, seed=1)
    kinds = {"tasks": (store_tasks, made), "results": (store_results, result_rows(made, seed=1))}
    kinds |= {"planes": (store_planes, plane_rows(N_ROWS)), "parents": (store_parents, parent_rows(N_ROWS))}
    with databases(folder) as urls:
        for name, url in urls.items():
            schema.upgrade(url)
            for kind, (store, rows) in kinds.items():
                before, start = n_bytes_of(url), perf_counter()
                with begin(url) as connection:
                    store(connection, rows, stage_digest="d" * 20)
                took_s = perf_counter() - start
                if name == "SQLite":
                    with sa.create_engine(url).connect() as connection:
                        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
                grown = n_bytes_of(url) - before
                print(f"  {name} {kind}: {grown / N_ROWS:.0f} bytes a row, {N_ROWS / took_s:,.0f} rows a second", flush=True)


def main() -> None:
    """Print what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", default="planes,stamps,rows")
    parts = {"planes": show_planes, "stamps": show_stamps, "rows": show_rows}
    for name in parser.parse_args().parts.split(","):
        with tempfile.TemporaryDirectory() as temporary:
            print(name, flush=True)
            parts[name](Path(temporary))


if __name__ == "__main__":
    main()
