"""Cache: which planes a block needs, and one row for every plane asked for, losses included."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import pyarrow as pa

from halo_core.records import PLANES, conform
from halo_core.stages.hosts import BrickPlanes
from halo_core.survey.layout import planes_for
from halo_core.survey.verification import planes_off_grid

SCIENCE_VERSION = 1

CacheMode = Literal["whole", "sections"]
"""What stays of a plane: its file, or the cut-outs of the hosts that were asked for."""


def planes_needed(bricknames: Iterable[str], bands: Sequence[str]) -> list[tuple[str, str]]:
    """Return every (brickname, plane) that a block's bricks need, sorted."""
    return [(brickname, plane) for brickname in sorted(set(bricknames)) for plane in planes_for(tuple(bands))]


def planes_table(rows: Sequence[Mapping[str, object]]) -> pa.Table:
    """Return the asset table of a block."""
    return conform({name: [row[name] for row in rows] for name in PLANES.names}, PLANES, where="planes of a block")


def on_one_grid(rows: Sequence[Mapping[str, object]], path_of: Callable[[Mapping[str, object]], Path]) -> list[dict[str, object]]:
    """Return the asset rows with the planes that are off their brick's pixel grid as lost: no stamp may be cut across two grids.

    ``path_of`` gives the local file of a row that is ok.
    """
    lost = {"status": "unverified", "key": None, "sha256": None, "n_bytes": None}
    off: dict[tuple[object, object], str] = {}
    for brickname in dict.fromkeys(row["brickname"] for row in rows):
        paths = {str(row["plane"]): path_of(row) for row in rows if row["brickname"] == brickname and row["status"] == "ok"}
        off |= {(brickname, plane): reason for plane, reason in planes_off_grid(paths).items()}
    return [
        {**row, **lost, "reason": off[row["brickname"], row["plane"]]} if (row["brickname"], row["plane"]) in off else dict(row)
        for row in rows
    ]


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
