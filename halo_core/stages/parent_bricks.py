"""The brick table as arrays that a brick's number looks into, and the quality cuts on an object's brick."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.stages.parent_config import ParentConfig
from halo_core.stages.parent_flow import Cut, Survivors
from halo_core.survey.bricks import N_BRICKS

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class BrickTable:
    """A table of bricks by brickid.

    Parameters
    ----------
    bricks : Table
        Schema ``BRICKS``, or any with brickid.
    """

    def __init__(self, bricks: pa.Table) -> None:
        self._bricks = bricks
        self._row = np.full(N_BRICKS + 1, -1, dtype=np.int64)
        self._row[np.asarray(bricks["brickid"], dtype=np.int64)] = np.arange(bricks.num_rows)
        self._values: dict[str, Floats] = {}

    def rows(self, brickid: Ints) -> Ints:
        """Return the row of each brick, -1 for those that the table does not hold."""
        ids = np.asarray(brickid, dtype=np.int64)
        is_brick = (ids >= 1) & (ids <= N_BRICKS)
        return np.where(is_brick, self._row[np.where(is_brick, ids, 0)], -1)

    def values(self, name: str, brickid: Ints) -> Floats:
        """Return a column at each brick; NaN where it is NULL or the table does not hold the brick."""
        if name not in self._values:
            column = self._bricks[name].cast(pa.float64()).fill_null(float("nan"))
            self._values[name] = np.append(np.asarray(column, dtype=np.float64), np.nan)
        return np.asarray(self._values[name][self.rows(brickid)])


def brick_cuts(bricks: BrickTable, config: ParentConfig) -> Sequence[Cut]:
    """Return the quality cuts on the object's brick; an unknown condition fails."""

    def value(name: str, rows: Survivors) -> Floats:
        return bricks.values(name, rows["brickid"])

    return (
        Cut("brick_in_table", "The object's brick stands in the brick table.", lambda rows: bricks.rows(rows["brickid"]) >= 0),
        Cut("brick_ebv", f"E(B-V) of the brick is at most {config.ebv_max}.", lambda rows: value("ebv", rows) <= config.ebv_max),
        Cut(
            "brick_psfsize_r",
            f"psfsize_r of the brick is at most {config.psfsize_r_max_arcsec} arcsec.",
            lambda rows: value("psfsize_r_arcsec", rows) <= config.psfsize_r_max_arcsec,
        ),
        Cut(
            "brick_psfdepth_r",
            f"psfdepth_r of the brick is at least {config.psfdepth_r_min_mag} mag.",
            lambda rows: value("psfdepth_r_mag", rows) >= config.psfdepth_r_min_mag,
        ),
    )
