"""Binomial intervals of a proportion k/n: Wilson (the default), Jeffreys, Clopper-Pearson; never Wald.

All are two-sided with equal tails and vectorised. Where n is 0 nothing was measured: both ends are NaN, which every table
stores as NULL, not as [0, 1]. Sources: Wilson (1927); Brown, Cai & DasGupta (2001), sections 3.1.1, 4.1.2 and 4.2.1.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

LEVEL_68 = 0.6827
LEVEL_95 = 0.95
"""Levels that every table of this project holds."""

Interval = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Lower and upper ends, of the broadcast shape of k and n."""


def normal_quantile(level: float) -> float:
    """Return z such that a standard normal number lies within [-z, z] with probability ``level``.

    Parameters
    ----------
    level : float
        Two-sided probability; 0 < level < 1.

    Raises
    ------
    ValueError
        ``level`` is outside its range.
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level is {level}, it must lie between 0 and 1, both excluded")
    return float(ndtri(0.5 + 0.5 * level))


def wilson_interval(k: ArrayLike, n: ArrayLike, level: float) -> Interval:
    """Return Wilson's score interval of k successes in n trials.

    Parameters
    ----------
    k, n : array_like, broadcast against each other
        Successes and trials; 0 <= k <= n. Real numbers are allowed, because effective counts are not integers.
    level : float
        Two-sided confidence level; 0 < level < 1.

    Returns
    -------
    lower, upper : ndarray, float64
        Within [0, 1]; exactly 0 at k = 0 and exactly 1 at k = n; NaN (NULL) where n = 0 or a count is NaN.

    Raises
    ------
    ValueError
        ``level`` or a count is outside its range.

    Notes
    -----
    Brown, Cai & DasGupta (2001), equation 4: centre (p + z^2/2n)/(1 + z^2/n), half-width
    z/(1 + z^2/n) sqrt(p(1-p)/n + z^2/4n^2).
    """
    k, n = _checked(k, n)
    z = normal_quantile(level)
    trials = np.where(n > 0, n, np.nan)
    p = k / trials
    shrink = 1.0 + z**2 / trials
    centre = (p + z**2 / (2.0 * trials)) / shrink
    half_width = z / shrink * np.sqrt(p * (1.0 - p) / trials + z**2 / (4.0 * trials**2))
    lower = np.where(k == 0, 0.0 * trials, np.clip(centre - half_width, 0.0, 1.0))
    upper = np.where(k == n, 1.0 + 0.0 * trials, np.clip(centre + half_width, 0.0, 1.0))
    return lower, upper


def jeffreys_interval(k: ArrayLike, n: ArrayLike, level: float) -> Interval:
    """Return Jeffreys' interval: quantiles of Beta(k + 1/2, n - k + 1/2), lower 0 at k = 0 and upper 1 at k = n.

    Parameters, results and errors are those of :func:`wilson_interval`.
    """
    k, n = _checked(k, n)
    tail = _tail(level)
    a, b = k + 0.5, n - k + 0.5
    lower = np.where(k == 0, 0.0, betaincinv(a, b, tail))
    upper = np.where(k == n, 1.0, betaincinv(a, b, 1.0 - tail))
    return _null_where_empty(lower, upper, k, n)


def clopper_pearson_interval(k: ArrayLike, n: ArrayLike, level: float) -> Interval:
    """Return Clopper and Pearson's exact interval: it never covers less than ``level``, so it serves for upper limits.

    Parameters, results and errors are those of :func:`wilson_interval`.
    """
    k, n = _checked(k, n)
    tail = _tail(level)
    n_failed = n - k
    lower = np.where(k == 0, 0.0, betaincinv(np.where(k == 0, 1.0, k), n_failed + 1.0, tail))
    upper = np.where(n_failed == 0, 1.0, betaincinv(k + 1.0, np.where(n_failed == 0, 1.0, n_failed), 1.0 - tail))
    return _null_where_empty(lower, upper, k, n)


def _checked(k: ArrayLike, n: ArrayLike) -> Interval:
    """Return k and n as float64 of one shape, or raise where 0 <= k <= n fails."""
    successes, trials = np.broadcast_arrays(np.asarray(k, dtype=np.float64), np.asarray(n, dtype=np.float64))
    wrong = (successes < 0) | (successes > trials)
    if np.any(wrong):
        where = int(np.flatnonzero(wrong.ravel())[0])
        raise ValueError(f"k = {successes.ravel()[where]} of n = {trials.ravel()[where]} at position {where}; 0 <= k <= n is needed")
    return successes, trials


def _tail(level: float) -> float:
    """Return the probability beyond each end."""
    normal_quantile(level)
    return 0.5 * (1.0 - level)


def _null_where_empty(lower: NDArray[np.float64], upper: NDArray[np.float64], k: NDArray[np.float64], n: NDArray[np.float64]) -> Interval:
    """Return both ends with NaN where nothing was tried or a count is NaN."""
    empty = ~(n > 0) | np.isnan(k)
    return np.where(empty, np.nan, lower), np.where(empty, np.nan, upper)
