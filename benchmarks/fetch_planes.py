"""How fast planes come from a server, beside a plain parallel download of the same files by curl, in the same run.

A server in a process of its own sends 20 MB/s in all and waits 20 ms before each answer (or before the first of each connection), whatever
asks. Both clients have the same number of connections and ask for the same files, planes and lists of checksums. curl writes what comes;
`PlaneSource.fetch_all` proves each plane, flushes it to the disk and writes its mark. Planes are random noise in the
survey's own format, the same for every brick.

    OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python -m benchmarks.fetch_planes [--cases 200:40 1000:5 3600:1] [--connections 4]
"""

import argparse
import asyncio
import hashlib
import logging
import multiprocessing
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from halo_core.constants import BANDS
from halo_core.stages.cache import planes_needed
from halo_core.survey.layout import checksums_key, plane_key, planes_for, split_plane
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import FetchSettings, forget_connections
from luigi_tasks.objects import open_objects
from tests.fixtures.planes import compressed_plane, plane_of_brick

CHUNK_BYTES = 1 << 16
SEED = 29


@dataclass(frozen=True)
class Limits:
    """What the server gives: bytes a second in all, and a pause before each answer or before the first of a connection [s]."""

    bytes_per_s: float
    pause_s: float
    per_request: bool


class Server:
    """Files of a folder over HTTP/1.1, within limits that all connections share."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder, self.limits, self.free_at = folder, limits, 0.0

    async def serve(self, ready: Connection) -> None:
        """Say the port, and answer for ever."""
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        ready.send(server.sockets[0].getsockname()[1])
        async with server:
            await server.serve_forever()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        is_new = True
        while request := (await reader.readline()).decode():
            while (await reader.readline()).strip():
                pass
            if is_new or self.limits.per_request:
                await asyncio.sleep(self.limits.pause_s)
            is_new = False
            data = (self.folder / request.split()[1].lstrip("/")).read_bytes()
            writer.write(f'HTTP/1.1 200 OK\r\nContent-Length: {len(data)}\r\nETag: "{len(data)}"\r\n\r\n'.encode())
            for start in range(0, len(data), CHUNK_BYTES):
                chunk = data[start : start + CHUNK_BYTES]
                self.free_at = max(self.free_at, time.monotonic()) + len(chunk) / self.limits.bytes_per_s
                await asyncio.sleep(self.free_at - time.monotonic())
                writer.write(chunk)
                await writer.drain()
        writer.close()


def _serve(folder: Path, limits: Limits, ready: Connection) -> None:
    """Run a server, in its process."""
    asyncio.run(Server(folder, limits).serve(ready))


@contextmanager
def served(folder: Path, limits: Limits) -> Iterator[str]:
    """Give the URL of a server of a folder."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(folder, limits, there), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}"
    finally:
        process.terminate()
        process.join()


def pixels(kind: str, size: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise of the size and nature of a plane."""
    shape = (size, size)
    if kind == "maskbits":
        return (rng.random(shape) < 0.02).astype(np.int16) << 6
    if kind == "psfsize":
        return (1.3 + 0.01 * rng.integers(0, 3, shape)).astype(np.float32)
    return rng.normal(0.0, 0.003, shape).astype(np.float32) if kind == "image" else rng.uniform(9e4, 1e5, shape).astype(np.float32)


def make_planes(root: Path, size: int, n_bricks: int) -> list[str]:
    """Write every plane that an injection needs, and each brick's list of checksums; return the bricks' names."""
    rng = np.random.Generator(np.random.Philox(key=SEED))
    parameters = MockSurvey(seed=SEED, n_bricks=n_bricks, brick_size_pix=max(size, 160), lrgs_per_brick=1)
    bricks: list[MockBrick] = [replace(brick, size_pix=size) for brick in mock_bricks(parameters)]
    kinds = {split_plane(plane)[0]: plane for plane in planes_for(BANDS)}
    compressed = {kind: compressed_plane(plane, pixels(kind, size, rng)) for kind, plane in kinds.items()}
    for brick in bricks:
        lines = []
        for plane in planes_for(BANDS):
            path = root / plane_key(brick.brickname, plane)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(plane_of_brick(compressed[split_plane(plane)[0]], plane, parameters, brick))
            lines.append(f"{hashlib.sha256(path.read_bytes()).hexdigest()} *{path.name}\n")
        listed = root / checksums_key(brick.brickname)
        listed.parent.mkdir(parents=True, exist_ok=True)
        listed.write_text("".join(lines))
    return [brick.brickname for brick in bricks]


def curl_s(url: str, keys: list[str], target: Path, n_connections: int) -> float:
    """Return how long curl takes for these files."""
    target.mkdir()
    words = target / "list"
    words.write_text("".join(f'url = "{url}/{key}"\noutput = "{target / key}"\n' for key in keys))
    command = [
        "curl",
        "--silent",
        "--show-error",
        "--fail",
        "--create-dirs",
        "--parallel",
        "--parallel-max",
        str(n_connections),
        "-K",
        words,
    ]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start


def fetch_s(url: str, wanted: list[tuple[str, str]], target: Path, n_connections: int) -> tuple[float, float]:
    """Return how long the project takes for these planes, and how much of it a processor worked for it [s]."""
    forget_connections()
    settings = FetchSettings(connections=n_connections, local_copies=str(target / "copies"))
    source = PlaneSource(HttpFiles(url, settings), "benchmark", open_objects(str(target / "objects")))
    start, worked = time.perf_counter(), time.process_time()
    rows = source.fetch_all(wanted, block=0)
    took = time.perf_counter() - start, time.process_time() - worked
    if {row["status"] for row in rows} != {"ok"}:
        raise AssertionError(next(row for row in rows if row["status"] != "ok"))
    return took


def run_case(folder: Path, size: int, n_bricks: int, given: argparse.Namespace) -> None:
    """Print what both clients do with planes of one size."""
    root = folder / f"survey_{size}"
    bricks = make_planes(root, size, n_bricks)
    wanted = planes_needed(bricks, BANDS)
    keys = [checksums_key(name) for name in bricks] + [plane_key(*pair) for pair in wanted]
    n_bytes = sum((root / plane_key(*pair)).stat().st_size for pair in wanted)
    limits = Limits(given.mb_per_s * 1e6, given.pause_ms / 1e3, per_request=given.per == "request")
    best_curl_s, best_s, worked_s = float("inf"), float("inf"), 0.0
    with served(root, limits) as url:
        for _ in range(given.rounds):
            best_curl_s = min(best_curl_s, curl_s(url, keys, folder / "curl", given.connections))
            took_s, worked = fetch_s(url, wanted, folder / "fetched", given.connections)
            best_s, worked_s = (took_s, worked) if took_s < best_s else (best_s, worked_s)
            for name in ("curl", "fetched"):
                shutil.rmtree(folder / name)
    n = len(wanted)
    rates = [f"{n / took_s:6.1f} planes/s {n_bytes / took_s / 1e6:5.1f} MB/s" for took_s in (best_s, best_curl_s)]
    print(
        f"{best_curl_s / best_s:5.2f} of curl: {n:5} planes of {n_bytes / n / 1e3:8,.0f} kB, {rates[0]}; curl {rates[1]}; "
        f"{1e3 * worked_s / n:6.1f} ms of processor a plane",
        flush=True,
    )


def main() -> None:
    """Print a line for each size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", default=["200:40", "1000:5", "3600:1"], help="side of the planes [pix]:number of bricks")
    parser.add_argument("--connections", type=int, default=4, help="of both clients")
    parser.add_argument("--mb-per-s", type=float, default=20.0, help="of the server, all connections together")
    parser.add_argument("--pause-ms", type=float, default=20.0, help="of the server")
    parser.add_argument("--per", choices=["request", "connection"], default="request", help="what the pause is before")
    parser.add_argument("--rounds", type=int, default=3, help="the best of each client counts")
    given = parser.parse_args()
    logging.disable(logging.INFO)
    print(f"{given.connections} connections; server: {given.mb_per_s:g} MB/s, {given.pause_ms:g} ms a {given.per}; best of {given.rounds}")
    folder = Path(tempfile.mkdtemp(prefix="halo-benchmark-fetch-"))
    try:
        for size, n_bricks in (map(int, case.split(":")) for case in given.cases):
            run_case(folder, size, n_bricks, given)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
