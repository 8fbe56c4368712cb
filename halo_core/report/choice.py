"""Which tasks the gallery shows: chosen from any number of rows, a block at a time, in bounded memory.

Tasks are ordered by a rank and, where ranks are equal, by their id, which is a hash; of each host only the first counts. So the choice is
the same for any blocks in any order.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.stages.criteria import Criterion


class Candidates:
    """The rows of a block that may be chosen.

    Parameters
    ----------
    rows : Table
        task_id, host_id and whatever else is wanted of a chosen row.
    """

    def __init__(self, rows: pa.Table) -> None:
        self._rows = rows
        self._host = np.asarray(rows["host_id"].combine_chunks().dictionary_encode().indices)
        self._place = np.empty(rows.num_rows, dtype=np.int64)
        self._place[np.asarray(pc.sort_indices(rows["task_id"]))] = np.arange(rows.num_rows)

    def first(self, n: int, *, rank: NDArray[np.float64], is_in: NDArray[np.bool_]) -> list[dict[str, Any]]:
        """Return the first rows of different hosts, at most n, with their ``rank``."""
        (places,) = np.nonzero(is_in)
        ordered = places[np.lexsort((self._place[places], rank[places]))]
        _, firsts = np.unique(self._host[ordered], return_index=True)
        chosen = ordered[np.sort(firsts)[:n]]
        rows: list[dict[str, Any]] = self._rows.take(chosen).append_column("rank", pa.array(rank[chosen])).to_pylist()
        return rows


class Choice:
    """The first few tasks of all that were offered, each of another host.

    Parameters
    ----------
    n_shown : int
        How many are wanted; > 0.
    """

    def __init__(self, n_shown: int) -> None:
        self._n_shown = n_shown
        self.rows: list[dict[str, Any]] = []

    def offer(self, candidates: Candidates, *, rank: NDArray[np.float64], is_in: NDArray[np.bool_]) -> None:
        """Consider the rows of a block.

        Parameters
        ----------
        candidates : Candidates
            The block's rows.
        rank : ndarray of float64, shape (n_rows,)
            Smallest first; finite where the row is in.
        is_in : ndarray of bool, shape (n_rows,)
            Which rows may be chosen.
        """
        found = [*self.rows, *candidates.first(self._n_shown, rank=rank, is_in=is_in)]
        by_host: dict[str, dict[str, Any]] = {}
        for row in sorted(found, key=lambda one: (one["rank"], one["task_id"])):
            by_host.setdefault(row["host_id"], row)
        self.rows = list(by_host.values())[: self._n_shown]


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
