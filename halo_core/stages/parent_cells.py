"""Parts of the parent catalogue: one per coarse sky cell, so that 20 million parents never stand in memory at once.

A part holds the parents whose position lies in a HEALPix cell (nested, nside 8: 7.3 deg), sorted by brick and host. The cell is that of
the position whatever the regions of the campaign are.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from astropy import units
from astropy_healpix import HEALPix
from numpy.typing import NDArray

from halo_core.records import PARENTS
from halo_core.survey.regions import region_of

CELL_NSIDE: Final = 8
"""HEALPix resolution of the parts."""

SKY_CELLS = pa.schema(
    [
        pa.field("cell", pa.int64(), nullable=False),
        pa.field("n_rows", pa.int64(), nullable=False),
        pa.field("n_hosts", pa.int64(), nullable=False),
    ]
)
"""One row per part: cell, parents, and parents outside the guard band."""

PARENTS_FILE = "parents.parquet"
SKY_CELLS_FILE = "cells.parquet"

WRITER_ROWS = 100_000
"""Rows that a ``CellWriter`` gathers before it writes them."""

_STRETCH = 2.0
_CELL = pa.field("sky_cell", pa.int64(), nullable=False)
_KEPT = PARENTS.append(_CELL)
_FOLDER = re.compile(r"cell=([0-9]{4})")


def cell_of(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the cell of each position, ICRS [deg]."""
    return region_of(ra_deg, dec_deg, CELL_NSIDE)


def near_cell_edge(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], *, radius_arcsec: float) -> NDArray[np.bool_]:
    """Return which positions may lie within a radius [arcsec] of another cell; never False within it.

    The distance to the edge is measured in the projection, which stretches no length by more than 1.56.
    """
    grid = HEALPix(nside=CELL_NSIDE, order="nested")
    _, dx, dy = grid.lonlat_to_healpix(ra_deg * units.deg, dec_deg * units.deg, return_offsets=True)
    x, y = np.asarray(dx), np.asarray(dy)
    edge = np.minimum(np.minimum(x, 1.0 - x), np.minimum(y, 1.0 - y))
    return np.asarray(edge < _STRETCH * radius_arcsec / grid.pixel_resolution.to_value(units.arcsec))


def cell_name(cell: int) -> str:
    """Return the name of a cell's part, relative to the stage's prefix."""
    return f"cell={cell:04d}/{PARENTS_FILE}"


def cell_of_name(name: str) -> int | None:
    """Return the cell of an object's name or key, None where it is not a part of a catalogue."""
    found = _FOLDER.search(name)
    return int(found.group(1)) if found is not None else None


def split_by_cell(parents: pa.Table) -> Iterator[tuple[int, pa.Table]]:
    """Yield cell and parents of each cell that holds some, by cell; the order of rows within a cell is that of the table."""
    cells = cell_of(parents["ra"].to_numpy(), parents["dec"].to_numpy())
    order = np.argsort(cells, kind="stable")
    numbers, starts = np.unique(cells[order], return_index=True)
    for cell, (start, stop) in zip(numbers.tolist(), pairwise([*starts.tolist(), len(order)]), strict=True):
        yield cell, parents.take(pa.array(order[start:stop]))


class CellWriter:
    """Writes parents as they come into one file of which a cell's rows can be read alone; holds no more than some rows.

    Parameters
    ----------
    path : path
        File to write.
    max_rows : int
        Most rows that wait to be written [rows].
    """

    def __init__(self, path: Path, *, max_rows: int = WRITER_ROWS) -> None:
        self._writer = pq.ParquetWriter(path, _KEPT, compression="zstd", compression_level=1)
        self._max_rows = max_rows
        self._waiting: list[pa.Table] = []
        self._n_waiting = 0
        self.n_rows: Counter[int] = Counter()
        """Rows by cell."""

    def write(self, parents: pa.Table) -> None:
        """Add parents, schema ``PARENTS``."""
        self._waiting.append(parents)
        self._n_waiting += parents.num_rows
        if self._n_waiting >= self._max_rows:
            self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        """Write what waits, one row group per cell."""
        if self._n_waiting:
            for cell, part in split_by_cell(pa.concat_tables(self._waiting)):
                self._writer.write_table(part.append_column(_CELL, pa.repeat(pa.scalar(cell, pa.int64()), part.num_rows)))
                self.n_rows[cell] += part.num_rows
        self._waiting, self._n_waiting = [], 0


def read_cell(paths: Iterable[Path], cell: int) -> pa.Table:
    """Return the parents of a cell, in order, from the files of several ``CellWriter``; row groups of other cells are not read."""
    found = [pq.read_table(path, columns=PARENTS.names, filters=pc.field(_CELL.name) == cell, partitioning=None) for path in paths]
    return in_order(pa.concat_tables(found))


def in_order(parents: pa.Table) -> pa.Table:
    """Return the parents of a cell as they are stored: by brick, then by host."""
    return parents.sort_by([("brickid", "ascending"), ("host_id", "ascending")]).combine_chunks()


def cell_row(cell: int, parents: pa.Table) -> dict[str, int]:
    """Return what the list of parts says of one: schema ``SKY_CELLS``."""
    return {"cell": cell, "n_rows": parents.num_rows, "n_hosts": int(pc.sum(pc.invert(parents["is_guard"]), min_count=0).as_py())}


def cell_table(rows: Sequence[Mapping[str, int]]) -> pa.Table:
    """Return the list of parts, schema ``SKY_CELLS``, by cell."""
    return pa.Table.from_pylist(sorted(rows, key=lambda row: row["cell"]), schema=SKY_CELLS)


def read_parts(paths: Iterable[Path], columns: list[str] | None = None) -> Iterator[pa.Table]:
    """Yield the parents part by part, all columns or some."""
    for path in paths:
        yield pq.ParquetFile(path).read(columns=columns)
