"""Pools of injections that share a key, and what is counted in each.

A table of cells is made by its axes: rows with equal values along them form a pool. Everything is a sum over integer
codes, so that a pooled number is sum k / sum n by construction, never a mean of other cells' means.
"""

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.flags import LOSSES, Flag
from halo_core.stages.summary_rows import Injections
from halo_core.statistics.clustering import RatioPools, pool_sums, ratio_pools
from halo_core.statistics.weights import kish_size

NOT_POOLED = -1
_CODES_PER_ROW = 4
"""Codes are counted rather than sorted up to this many of them per row."""


@dataclass(frozen=True)
class Pooling:
    """How n rows fall into pools.

    Attributes
    ----------
    axes : tuple of str
        Key columns, without the split.
    is_by_split : bool
        Whether the split is a key too.
    index : ndarray of int32, shape (n,)
        Pool of each row; -1 where a row stands outside this table.
    first_row : ndarray of int64, shape (n_pools,)
        One row of each pool, to read its key from.
    """

    axes: tuple[str, ...]
    is_by_split: bool
    index: NDArray[np.int32]
    first_row: NDArray[np.int64]

    @property
    def n_pools(self) -> int:
        """Number of pools."""
        return len(self.first_row)


@dataclass(frozen=True)
class PoolCounts:
    """Counts of each pool that no criterion changes; arrays of shape (n_pools,)."""

    n_task: NDArray[np.int64]
    n_evaluated: NDArray[np.int64]
    losses: list[str]
    snr_mean: NDArray[np.float64]
    snr_median: NDArray[np.float64]
    kish: NDArray[np.float64]


@dataclass(frozen=True)
class SkyPairs:
    """Evaluated rows by (pool, sky cell) pair.

    ``row_pair`` has one entry per evaluated pooled row (``rows``), ``pool`` and ``n`` one per pair.
    """

    rows: NDArray[np.int64]
    row_pair: NDArray[np.int32]
    pool: NDArray[np.int64]
    n: NDArray[np.float64]
    n_pools: int

    def unweighted(self, is_recovered: NDArray[np.bool_]) -> RatioPools:
        """Return sum k / sum n of each pool with its variance between sky cells."""
        k = pool_sums(self.row_pair, is_recovered[self.rows], len(self.n))
        return ratio_pools(k, self.n, self.pool, self.n_pools)

    def weighted(self, is_recovered: NDArray[np.bool_], weight: NDArray[np.float64]) -> RatioPools:
        """Return sum w R / sum w of each pool with its variance between sky cells."""
        weights = weight[self.rows]
        size = pool_sums(self.row_pair, weights, len(self.n))
        total = pool_sums(self.row_pair, weights * is_recovered[self.rows], len(self.n))
        return ratio_pools(total, size, self.pool, self.n_pools)


def pool_rows(injections: Injections, axes: tuple[str, ...], *, is_by_split: bool, is_in: NDArray[np.bool_]) -> Pooling:
    """Return the pools of the rows where ``is_in`` holds, in the order of their keys.

    Parameters
    ----------
    injections : Injections
        Rows of one experiment and subset.
    axes : tuple of str
        Key columns; none of them pools everything.
    is_by_split : bool
        Make a pool for each split, or one over all.
    is_in : ndarray of bool, shape (n,)
        Rows that have a place in this table.
    """
    names = (("region_split",) if is_by_split else ()) + axes
    code, n_codes = np.zeros(len(injections), dtype=np.int64), 1
    for name in names:
        axis = injections.axes[name]
        code, n_codes = code * len(axis.values) + axis.codes, n_codes * len(axis.values)
    rows = np.flatnonzero(is_in)
    distinct, pool = compact(code[rows], n_codes)
    index = np.full(len(injections), NOT_POOLED, dtype=np.int32)
    index[rows] = pool
    first_row = np.zeros(len(distinct), dtype=np.int64)
    first_row[pool[::-1]] = rows[::-1]
    return Pooling(axes, is_by_split, index, first_row)


def compact(code: NDArray[np.int64], n_codes: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return the distinct codes, rising, and the place of each row's code among them.

    Parameters
    ----------
    code : ndarray, shape (n,)
        0 <= code < n_codes.
    n_codes : int
        Few codes are counted, many are sorted: the result is the same.
    """
    if n_codes > _CODES_PER_ROW * len(code):
        distinct, place = np.unique(code, return_inverse=True)
        return distinct, place.astype(np.int32)
    is_present = np.bincount(code, minlength=n_codes) > 0
    return np.flatnonzero(is_present), (np.cumsum(is_present, dtype=np.int32) - np.int32(1))[code]


def count_pools(injections: Injections, pooling: Pooling) -> PoolCounts:
    """Return the counts of each pool."""
    is_in = pooling.index != NOT_POOLED
    is_counted = is_in & injections.is_evaluated
    evaluated_pool = pooling.index[is_counted]
    snr = injections.snr_matched_r[is_counted]
    n_evaluated = np.bincount(evaluated_pool, minlength=pooling.n_pools)
    weight = injections.weight[is_counted]
    return PoolCounts(
        n_task=np.bincount(pooling.index[is_in], minlength=pooling.n_pools),
        n_evaluated=n_evaluated,
        losses=_losses(injections.flags, pooling),
        snr_mean=pool_sums(evaluated_pool, snr, pooling.n_pools) / np.where(n_evaluated > 0, n_evaluated, np.nan),
        snr_median=_snr_medians(injections, pooling),
        kish=kish_size(pool_sums(evaluated_pool, weight, pooling.n_pools), pool_sums(evaluated_pool, weight**2, pooling.n_pools)),
    )


def count_recovered(pooling: Pooling, is_recovered: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the number of recovered rows of each pool, shape (n_pools,)."""
    return np.bincount(pooling.index[is_recovered & (pooling.index != NOT_POOLED)], minlength=pooling.n_pools)


def sky_pairs(injections: Injections, pooling: Pooling) -> SkyPairs:
    """Return the (pool, sky cell) pairs of the evaluated rows."""
    rows = np.flatnonzero((pooling.index != NOT_POOLED) & injections.is_evaluated)
    n_cells = int(injections.sky_cell.max(initial=0)) + 1
    pairs, row_pair = compact(pooling.index[rows].astype(np.int64) * n_cells + injections.sky_cell[rows], pooling.n_pools * n_cells)
    n = pool_sums(row_pair, np.ones(len(rows)), len(pairs))
    return SkyPairs(rows, row_pair, pairs // n_cells, n, pooling.n_pools)


def _snr_medians(injections: Injections, pooling: Pooling) -> NDArray[np.float64]:
    """Return the median S/N of each pool's evaluated rows, shape (n_pools,); NaN for a pool without one."""
    pool = pooling.index[injections.by_snr]
    is_pooled = pool != NOT_POOLED
    rising, pool = injections.by_snr[is_pooled], pool[is_pooled].astype(np.min_scalar_type(pooling.n_pools))
    order = np.argsort(pool, kind="stable")
    count = np.bincount(pool, minlength=pooling.n_pools)
    start = np.cumsum(count) - count
    is_filled = count > 0
    result = np.full(pooling.n_pools, np.nan)
    ends = [start[is_filled] + (count[is_filled] - 1) // 2, start[is_filled] + count[is_filled] // 2]
    low, high = (injections.snr_matched_r[rising[order[place]]] for place in ends)
    result[is_filled] = 0.5 * (low + high)
    return result


def _losses(flags: NDArray[np.int64], pooling: Pooling) -> list[str]:
    """Return, for each pool, a JSON object with the number of rows by loss flag; one row may have several."""
    is_lost = (pooling.index != NOT_POOLED) & ((flags & LOSSES.value) != 0)
    lost_flags, pool = flags[is_lost], pooling.index[is_lost]
    counts: dict[int, dict[str, int]] = {}
    for flag in Flag(int(np.bitwise_or.reduce(lost_flags, initial=0))):
        has_flag = (lost_flags & flag.value & LOSSES.value) != 0
        pools, numbers = np.unique(pool[has_flag], return_counts=True)
        for one, number in zip(pools.tolist(), numbers.tolist(), strict=True):
            counts.setdefault(one, {})[str(flag.name)] = number
    return [json.dumps(counts.get(one, {})) for one in range(pooling.n_pools)]
