"""Which tasks the gallery shows: chosen from any number of rows, a block at a time, in bounded memory.

Tasks are ordered by a rank and, where ranks are equal, by their id, which is a hash: the choice is the same for any blocks in any order.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.stages.criteria import Criterion

_CANDIDATES_PER_SHOWN = 8
"""So many of the first rows are kept for each one shown: among them one of each brick is preferred."""


class Choice:
    """The first few tasks of those that were added.

    Parameters
    ----------
    n_shown : int
        How many are wanted; > 0.
    """

    def __init__(self, n_shown: int) -> None:
        self._n_shown = n_shown
        self._kept: pa.Table | None = None

    def add(self, rows: pa.Table, *, rank: NDArray[np.float64], is_in: NDArray[np.bool_]) -> None:
        """Consider the rows of a block.

        Parameters
        ----------
        rows : Table
            task_id, brickname and whatever else is wanted of a chosen row.
        rank : ndarray of float64, shape (n_rows,)
            Smallest first; finite where the row is in.
        is_in : ndarray of bool, shape (n_rows,)
            Which rows may be chosen.
        """
        (places,) = np.nonzero(is_in)
        if places.size == 0:
            return
        found = rows.take(places).append_column("rank", pa.array(rank[places]))
        known = found if self._kept is None else pa.concat_tables([self._kept, found])
        order = [("rank", "ascending"), ("task_id", "ascending")]
        n_kept = min(known.num_rows, _CANDIDATES_PER_SHOWN * self._n_shown)
        self._kept = known.take(pc.select_k_unstable(known, k=n_kept, sort_keys=order)).combine_chunks()

    def rows(self) -> list[dict[str, Any]]:
        """Return the chosen rows in their order: one of each brick first, the others where that is not enough."""
        fresh: list[dict[str, Any]] = []
        repeated: list[dict[str, Any]] = []
        seen: set[object] = set()
        for row in self._kept.to_pylist() if self._kept is not None else []:
            (repeated if row["brickname"] in seen else fresh).append(row)
            seen.add(row["brickname"])
        chosen = [*fresh, *repeated][: self._n_shown]
        return sorted(chosen, key=lambda row: (row["rank"], row["task_id"]))


def margins(criterion: Criterion, metrics: Mapping[str, NDArray[np.float64]]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return how far each row is above a criterion's thresholds, and which of them decides.

    Parameters
    ----------
    criterion : Criterion
        Thresholds, all of which must be reached.
    metrics : mapping of str to ndarray, shape (n_rows,)
        Every metric of the criterion.

    Returns
    -------
    ndarray of float64, shape (n_rows,)
        Least of (metric - minimum) / |minimum| over the metrics; below 0 the row is missed. Plain difference where the minimum is 0.
    ndarray of int64, shape (n_rows,)
        Place in ``criterion.minimums`` of the metric with that least distance.
    """
    distances = np.stack([(metrics[name] - minimum) / (abs(minimum) or 1.0) for name, minimum in criterion.minimums])
    known = np.where(np.isnan(distances), -np.inf, distances)
    return known.min(axis=0), known.argmin(axis=0)
