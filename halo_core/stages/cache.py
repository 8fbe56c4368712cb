"""Cache: which planes a block needs, and one row for every plane asked for, losses included."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from halo_core.records import PLANES, conform
from halo_core.stages.hosts import BrickPlanes
from halo_core.survey.layout import planes_for

SCIENCE_VERSION = 1


def planes_needed(bricknames: Iterable[str], bands: Sequence[str]) -> list[tuple[str, str]]:
    """Return every (brickname, plane) that a block's bricks need, sorted."""
    return [(brickname, plane) for brickname in sorted(set(bricknames)) for plane in planes_for(tuple(bands))]


def planes_table(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return the asset table of a block."""
    return conform({name: [row[name] for row in rows] for name in PLANES.names}, PLANES, where="planes of a block")


def brick_planes(table: pa.Table, brickname: str, path_of: Callable[[str], Path]) -> BrickPlanes:
    """Return where one brick's planes are.

    Parameters
    ----------
    table : Table
        Rows of `records.PLANES` of the block.
    brickname : str
        The brick.
    path_of : callable
        Gives the local file of a key of the table.
    """
    rows = [row for row in table.to_pylist() if row["brickname"] == brickname]
    return BrickPlanes(
        brickname=brickname,
        paths={row["plane"]: path_of(row["key"]) for row in rows if row["status"] == "ok"},
        lost={row["plane"]: row["status"] for row in rows if row["status"] != "ok"},
    )
