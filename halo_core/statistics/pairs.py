"""Differences of two proportions: paired, where the same trials were judged twice, and unpaired, from two intervals.

Trials of one sky cell are not independent, so the variance of a paired difference is taken between cells, in the form of
:mod:`halo_core.statistics.clustering`. McNemar's (1947) exact test takes pairs as independent and stands beside it for that reading alone.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit
from scipy.stats import binomtest

from halo_core.statistics.clustering import Vector, interval_note, pool_sums, ratio_pools
from halo_core.statistics.intervals import normal_quantile

NOTE_ALIKE = "no interval: no pair differs"
NOTE_FEW = "few pairs differ: the interval is rough"
FEW_DISCORDANT = 10


@dataclass(frozen=True)
class PairedDifference:
    """Outcomes of the same trials in A and in B; ``lower`` and ``upper`` are NaN where ``note`` says that there is no interval."""

    n_both: int
    n_only_a: int
    n_only_b: int
    n_neither: int
    difference: float
    """p_B - p_A; NaN where there is no pair."""
    lower: float
    upper: float
    variance: float
    """Between sky cells, never below that of independent pairs."""
    n_clusters: int
    j_eff: float
    note: str
    mcnemar_p: float
    """Exact two-sided p-value of the discordant pairs, taken as independent; 1 where there is none."""

    @property
    def n_pairs(self) -> int:
        """Return the number of pairs."""
        return self.n_both + self.n_only_a + self.n_only_b + self.n_neither


def paired_difference(is_a: ArrayLike, is_b: ArrayLike, cluster: ArrayLike, level: float) -> PairedDifference:
    """Return the difference of two proportions over the same trials.

    Parameters
    ----------
    is_a, is_b : array_like of bool, shape (n,)
        Success of each trial in A and in B.
    cluster : array_like of int, shape (n,)
        Sky cell of each trial.
    level : float
        Two-sided confidence level; 0 < level < 1.

    Raises
    ------
    ValueError
        Shapes differ, or the level is outside its range.

    Notes
    -----
    d_i = B_i - A_i; v = sum_j (sum_{i in j} d_i - n_j d)^2 / (1 - n_j/N) / N^2, at least the multinomial (b + c - (b - c)^2 / N) / N^2 of
    b and c discordant pairs; d -+ t_{J_eff - 1} sqrt(v), within [-1, 1]. Measured coverage of a nominal 95 % with 20 to 40 unequal cells
    of about 40 pairs, differences tied by the cell: 93 to 97 %.
    """
    a, b, cell = np.asarray(is_a, dtype=np.bool_), np.asarray(is_b, dtype=np.bool_), np.asarray(cluster)
    if not (a.shape == b.shape == cell.shape) or a.ndim != 1:
        raise ValueError(f"is_a {a.shape}, is_b {b.shape} and cluster {cell.shape} must be vectors of one length")
    normal_quantile(level)
    counts = [int(np.count_nonzero(own)) for own in (a & b, a & ~b, ~a & b, ~a & ~b)]
    cells, place = np.unique(cell, return_inverse=True)
    total = pool_sums(place, b.astype(np.float64) - a, len(cells))
    pools = ratio_pools(total, pool_sums(place, np.ones(len(a)), len(cells)), np.zeros(len(cells), dtype=np.int64), 1)
    difference, j_eff, n_discordant = float(pools.estimate[0]), float(pools.j_eff[0]), counts[1] + counts[2]
    independent = (n_discordant - (counts[2] - counts[1]) ** 2 / max(len(a), 1)) / max(len(a), 1) ** 2
    variance = float(np.maximum(pools.variance[0], independent))
    note = interval_note(len(cells), j_eff) or ("" if n_discordant else NOTE_ALIKE)
    half = float("nan") if note else float(stdtrit(j_eff - 1.0, 0.5 + 0.5 * level)) * np.sqrt(variance)
    if not note and n_discordant < FEW_DISCORDANT:
        note = NOTE_FEW
    lower, upper = (float(np.clip(difference + sign * half, -1.0, 1.0)) for sign in (-1.0, 1.0))
    p_value = float(binomtest(counts[1], n_discordant, 0.5).pvalue) if n_discordant else 1.0
    return PairedDifference(
        n_both=counts[0],
        n_only_a=counts[1],
        n_only_b=counts[2],
        n_neither=counts[3],
        difference=difference,
        lower=lower,
        upper=upper,
        variance=variance,
        n_clusters=len(cells),
        j_eff=j_eff,
        note=note,
        mcnemar_p=p_value,
    )


def unpaired_difference(a: tuple[Vector, Vector, Vector], b: tuple[Vector, Vector, Vector]) -> tuple[Vector, Vector, Vector]:
    """Return p_B - p_A with an interval from the intervals of both, taken as independent.

    Parameters
    ----------
    a, b : (ndarray, ndarray, ndarray), each of shape (n,)
        Proportion, lower and upper end, of one level; NaN where there is none.

    Returns
    -------
    difference, lower, upper : ndarray, shape (n,)
        NaN where a proportion, or an end, is.

    Notes
    -----
    The distances of the ends from the estimates are joined by squares (MOVER): Newcombe (1998), method 10, whatever intervals enter
    (Zou & Donner 2008). Two campaigns on one sky share its cells: the interval is then too wide where they rise and fall together.
    """
    (p_a, lower_a, upper_a), (p_b, lower_b, upper_b) = (tuple(np.asarray(part, dtype=np.float64) for part in one) for one in (a, b))
    difference = p_b - p_a
    return difference, difference - np.hypot(p_b - lower_b, upper_a - p_a), difference + np.hypot(upper_b - p_b, p_a - lower_a)
