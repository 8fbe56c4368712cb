"""Weighted proportions: a number pooled over seeing and depth and called the survey's.

C = sum w R / sum w with the weight of the sampling design (hosts that exist over hosts that were drawn). Its variance is
taken between sky clusters as in :mod:`halo_core.statistics.clustering`; the effective number of trials never exceeds
Kish's (1965, section 11.7) (sum w)^2 / sum w^2.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from halo_core.statistics.clustering import RatioPools, Vector, interval_note, pool_sums, pooled_intervals, ratio_pools


@dataclass(frozen=True)
class WeightedInterval:
    """A weighted proportion; ``lower`` and ``upper`` are NaN where ``note`` says that there is no interval."""

    p: float
    lower: float
    upper: float
    variance: float
    n_eff: float
    kish: float
    n_star: float
    j_eff: float
    n_clusters: int
    note: str


def weighted_interval(
    recovered: ArrayLike, weight: ArrayLike, cluster: ArrayLike, level: float, *, borrowed_deff: float | None = None
) -> WeightedInterval:
    """Return the weighted proportion of recovered rows with an interval between clusters.

    Parameters
    ----------
    recovered : array_like of bool, shape (n,)
        Whether each evaluated row meets the criterion.
    weight : array_like, shape (n,)
        Weight of each row; > 0.
    cluster : array_like of int, shape (n,)
        Sky cell of each row.
    level : float
        Two-sided confidence level; 0 < level < 1.
    borrowed_deff : float, optional
        Design effect for C = 0 or 1, as in ``clustered_interval``; the mean cluster size n/J without it.

    Returns
    -------
    WeightedInterval
        ``n_eff`` = min(C(1-C)/v, Kish); Kish / deff where C is 0 or 1.

    Raises
    ------
    ValueError
        Shapes differ or a weight is not positive.
    """
    is_recovered = np.asarray(recovered, dtype=np.bool_)
    weights = np.asarray(weight, dtype=np.float64)
    cells, cell = np.unique(np.asarray(cluster), return_inverse=True)
    if not (is_recovered.shape == weights.shape == cell.shape) or weights.ndim != 1:
        raise ValueError(f"recovered {is_recovered.shape}, weight {weights.shape} and cluster {cell.shape} must be vectors of one length")
    if not np.all(weights > 0):
        raise ValueError(f"the smallest weight is {weights.min()}, every weight must be positive")
    size = pool_sums(cell, weights, len(cells))
    total = pool_sums(cell, weights * is_recovered, len(cells))
    pools = ratio_pools(total, size, np.zeros(len(cells), dtype=np.int64), 1)
    kish = kish_size(pools.size, np.array([np.sum(weights**2)]))
    n_clusters = len(cells)
    deff = borrowed_deff if borrowed_deff is not None else len(weights) / max(n_clusters, 1)
    n_eff = weighted_n_eff(pools, kish, np.array([deff]))
    lower, upper, n_star = pooled_intervals(pools.estimate, n_eff, pools, level)
    return WeightedInterval(
        p=float(pools.estimate[0]),
        lower=float(lower[0]),
        upper=float(upper[0]),
        variance=float(pools.variance[0]),
        n_eff=float(n_eff[0]),
        kish=float(kish[0]),
        n_star=float(n_star[0]),
        j_eff=float(pools.j_eff[0]),
        n_clusters=n_clusters,
        note=interval_note(n_clusters, float(pools.j_eff[0])),
    )


def kish_size(weight_sum: Vector, weight_square_sum: Vector) -> Vector:
    """Return (sum w)^2 / sum w^2 of each pool; NaN where there is no weight."""
    return weight_sum**2 / np.where(weight_square_sum > 0, weight_square_sum, np.nan)


def weighted_n_eff(pools: RatioPools, kish: Vector, borrowed_deff: Vector) -> Vector:
    """Return the effective number of trials of weighted proportions.

    Parameters
    ----------
    pools : RatioPools
        Weighted ratios; sizes are sums of weights.
    kish : ndarray, shape (n_pools,)
        (sum w)^2 / sum w^2.
    borrowed_deff : ndarray, shape (n_pools,)
        Design effect used where the ratio is 0 or 1; >= 1.

    Notes
    -----
    min(C(1-C)/v, Kish) where 0 < C < 1; a variance of 0 leaves Kish's number.
    """
    spread = pools.estimate * (1.0 - pools.estimate)
    is_positive = pools.variance > 0
    by_variance = np.where(is_positive, spread / np.where(is_positive, pools.variance, 1.0), np.inf)
    by_variance = np.where(np.isnan(pools.variance), np.nan, by_variance)
    is_extreme = (pools.estimate == 0.0) | (pools.estimate == 1.0)
    return np.where(is_extreme, kish / borrowed_deff, np.minimum(by_variance, kish))
