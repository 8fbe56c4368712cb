"""Sections: a block's planes are fetched brick by brick, cut for its hosts and dropped; the cut-outs are what is kept."""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import groupby, islice
from pathlib import Path
from typing import Any

import luigi
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.stages.cache import on_one_grid
from halo_core.stages.cutouts import cut_brick, cutouts_schema
from halo_core.stages.files import StampWriter
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import InjectionConfig
from luigi_tasks.fetch import FetchProgress, PlaneSource
from luigi_tasks.objects import ObjectRecord

_Fetched = tuple[dict[str, Any], Path | None]


def cut_block(
    source: PlaneSource,
    wanted: Iterable[tuple[str, str]],
    tasks: pa.Table,
    config: InjectionConfig,
    *,
    key: str,
    task: luigi.Task,
    block: int,
) -> tuple[list[dict[str, Any]], ObjectRecord]:
    """Store the cut-outs of a block's hosts under a key; return the asset rows of its planes, and the record of the cut-outs.

    Parameters
    ----------
    source : PlaneSource
        The survey, and where its planes may be cached already.
    wanted : iterable of (brickname, plane)
        What the block needs, sorted by brick.
    tasks : Table
        The block's manifest rows.
    config : InjectionConfig
        Bands and largest stamp size of the campaign.
    """
    rows: list[dict[str, Any]] = []
    temporary = source.objects.temporary(key)
    with StampWriter(temporary, cutouts_schema(config.store_size_pix)) as writer:
        for brickname, fetched in fetched_bricks(source, wanted, block=block, task=task):
            paths = {row["plane"]: path for row, path in fetched if path is not None}
            found = on_one_grid([row for row, _ in fetched], lambda row, paths=paths: paths[row["plane"]])
            lost = {row["plane"]: row["status"] for row in found if row["status"] != "ok"}
            planes = BrickPlanes(brickname, {name: path for name, path in paths.items() if name not in lost}, lost)
            mine = tasks.filter(pc.equal(tasks["brickname"], brickname))
            writer.write(cut_brick(mine, planes, bands=config.bands, size_pix=config.store_size_pix))
            rows += [row | {"key": key} if row["status"] == "ok" else row for row in found]
    return rows, source.objects.put_file(key, temporary)


def fetched_bricks(
    source: PlaneSource, wanted: Iterable[tuple[str, str]], *, block: int, task: luigi.Task | None = None
) -> Iterator[tuple[str, list[_Fetched]]]:
    """Yield each brick with the asset rows of its planes and their local files, which are gone when the next is asked for.

    While one brick is worked on the next is fetched: no more than two are on the disk.
    """
    pairs = list(wanted)
    progress = FetchProgress(block, len(pairs), task)

    def fetch(pair: tuple[str, str]) -> _Fetched:
        fetched = source.fetch_copy(*pair, block=block)
        progress.count(fetched[0])
        return fetched

    under_way: deque[tuple[str, list[Future[_Fetched]]]] = deque()
    with ThreadPoolExecutor(source.n_threads, thread_name_prefix="fetch") as pool:
        bricks = ((name, [pool.submit(fetch, pair) for pair in group]) for name, group in groupby(pairs, lambda pair: pair[0]))
        try:
            under_way.extend(islice(bricks, 1))
            while under_way:
                under_way.extend(islice(bricks, 1))
                brickname, futures = under_way[0]
                yield brickname, [future.result() for future in futures]
                _drop(futures)
                under_way.popleft()
        finally:
            for _, futures in under_way:
                _drop(futures)


def _drop(futures: list[Future[_Fetched]]) -> None:
    """Remove the copies that were made; what was not begun never is."""
    for future in futures:
        future.cancel()
    for future in futures:
        if not future.cancelled() and future.exception() is None:
            row, copy = future.result()
            if copy is not None and row["key"] is None:
                copy.unlink(missing_ok=True)
