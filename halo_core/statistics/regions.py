"""Scatter of a proportion between regions, with the binomial noise of each region removed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class RegionScatter:
    """How much a proportion differs between regions; NaN where fewer than two regions have a trial."""

    std_between: float
    """Square root of the ANOVA between-variance, floored at 0: what is left without binomial noise."""
    std_raw: float
    """Standard deviation of the regions' proportions (n - 1), binomial noise included."""
    icc: float
    """Intra-class correlation of the same analysis of variance; may be negative."""
    n_regions: int


def between_region_scatter(k: ArrayLike, n: ArrayLike) -> RegionScatter:
    """Return the between-region scatter of k_j / n_j.

    Parameters
    ----------
    k, n : array_like, shape (J,)
        Successes and trials of each region; regions with n_j = 0 do not count.

    Notes
    -----
    One-way analysis of variance of binary data (Donner 1986): (MSB - MSW) / n0 with
    n0 = (N - sum n_j^2 / N) / (J - 1). With one trial in every region the within-variance is unknown: NaN.
    """
    trials = np.asarray(n, dtype=np.float64)
    is_used = trials > 0
    trials = trials[is_used]
    p = np.asarray(k, dtype=np.float64)[is_used] / trials
    n_regions, n_total = len(trials), float(np.sum(trials))
    if n_regions < 2:
        return RegionScatter(np.nan, np.nan, np.nan, n_regions)
    std_raw = float(np.std(p, ddof=1))
    if n_total <= n_regions:
        return RegionScatter(np.nan, std_raw, np.nan, n_regions)
    pooled = np.sum(trials * p) / n_total
    between = np.sum(trials * (p - pooled) ** 2) / (n_regions - 1)
    within = np.sum(trials * p * (1.0 - p)) / (n_total - n_regions)
    n0 = (n_total - np.sum(trials**2) / n_total) / (n_regions - 1)
    spread = between + (n0 - 1.0) * within
    icc = float((between - within) / spread) if spread > 0 else float("nan")
    return RegionScatter(float(np.sqrt(max(0.0, (between - within) / n0))), std_raw, icc, n_regions)
