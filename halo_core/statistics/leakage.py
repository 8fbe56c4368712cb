"""Can two classes of hosts be told apart? Tests that hold within strata, where labels are exchangeable and shares may differ.

Hosts are dealt to the classes in an order that knows nothing of them but their stratum, so that within a stratum every choice of the
labels was equally likely. Each test compares hosts of one stratum with one another: neither unequal shares of the strata nor
conditions that neighbours share can raise it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit, kolmogorov
from scipy.stats import hypergeom, rankdata

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]

RIDGE = 1.0
"""Penalty of squared coefficients of standardised columns, in units of one host's log-likelihood."""

_LABELS_AT_ONCE = 2_000_000
_LEAST_SPREAD = 1e-9


@dataclass(frozen=True)
class SeparationInterval:
    """How well a classifier tells the classes apart on sky cells that it has not seen; 0.5 is not at all.

    ``auc`` is the chance that it ranks a control above an injection of the same stratum and fold, ties counted as half.
    """

    auc: float
    lower: float
    upper: float


def ks_p_value(values: Floats, is_control: Mask, stratum: Ints) -> float:
    """Return the p-value of the largest difference between two distributions, compared within strata.

    Parameters
    ----------
    values : ndarray, shape (n,)
        A condition of each host; NaN where it is not known, which does not count.
    is_control : ndarray of bool, shape (n,)
        Class of each host.
    stratum : ndarray of int, shape (n,)
        Stratum of each host; >= 0.

    Returns
    -------
    float
        1 where no stratum holds both classes.

    Notes
    -----
    S = max_x |sum_s h_s (F_1s(x) - F_0s(x))| with h_s = n_1s n_0s / n_s. When labels are dealt within strata, the sum has the covariance
    sum_s g_s (p_s(x) - p_s(x) p_s(y)), x <= y, with g_s = h_s n_s / (n_s - 1) and p_s the distribution of both classes: that of a Brownian
    bridge along the pooled distribution times G = sum g_s, less the covariance of p_s between strata. By Anderson's (1955) inequality
    Kolmogorov's law of S / sqrt(G) gives a p-value that is, for many hosts, never too small. One stratum: the two-sample test.
    """
    known = np.isfinite(values)
    values, is_control, stratum = values[known], is_control[known], stratum[known]
    n_class = _class_sizes(is_control, stratum)
    size = n_class.sum(axis=0)
    harmonic = n_class[0] * n_class[1] / np.maximum(size, 1)
    if not harmonic.sum() > 0:
        return 1.0
    step = np.where(is_control, -1.0, 1.0) * (harmonic / np.maximum(n_class, 1))[is_control.astype(np.int64), stratum]
    order = np.argsort(values, kind="stable")
    ends = np.append(np.diff(values[order]) != 0, True)
    spread = float(np.sum(harmonic * size / np.maximum(size - 1, 1)))
    return float(kolmogorov(np.abs(np.cumsum(step[order])[ends]).max() / np.sqrt(spread)))


def share_p_value(is_marked: Mask, is_control: Mask, stratum: Ints) -> float:
    """Return the exact two-sided p-value of the number of marked controls when labels are dealt within strata.

    Parameters
    ----------
    is_marked : ndarray of bool, shape (n,)
        Such as: the condition is NULL.
    is_control, stratum : ndarray, shape (n,)
        As in :func:`ks_p_value`.

    Notes
    -----
    The number is a sum of independent hypergeometric numbers, one a stratum; their distributions are convolved. Twice the smaller tail.
    """
    n_class, n_marked = _class_sizes(is_control, stratum), np.bincount(stratum[is_marked], minlength=int(stratum.max(initial=0)) + 1)
    chance, least = np.ones(1), 0
    for size, controls, marked in zip(n_class.sum(axis=0).tolist(), n_class[1].tolist(), n_marked.tolist(), strict=True):
        first, last = max(0, controls + marked - size), min(marked, controls)
        least += first
        if last > first:
            chance = np.convolve(chance, hypergeom.pmf(np.arange(first, last + 1), size, marked, controls))
    found = int(np.count_nonzero(is_marked & is_control)) - least
    return float(min(1.0, 2.0 * min(chance[: found + 1].sum(), chance[found:].sum())))


def separation(
    columns: Floats, is_control: Mask, *, stratum: Ints, fold: Ints, rng: np.random.Generator, n_permutations: int, level: float
) -> SeparationInterval:
    """Return how well a logistic regression on conditions tells controls from injections, cross-validated over folds of the sky.

    Parameters
    ----------
    columns : ndarray, shape (n, n_columns)
        Conditions; NaN where one is not known, which is a column of its own.
    is_control : ndarray of bool, shape (n,)
        Class of each host.
    stratum, fold : ndarray of int, shape (n,)
        Stratum and fold of each host; a sky cell stands in one fold.
    rng : numpy.random.Generator
        Deals the labels.
    n_permutations : int
        Number of dealings.
    level : float
        Level of the interval; 0 < level < 1.

    Raises
    ------
    ValueError
        No fold holds both classes in a stratum, or all hosts outside some fold are of one class.

    Notes
    -----
    Regressors are standardised columns and their squares, less their mean in the stratum: where shares differ between strata, that is no
    signal. The interval is the AUC less the quantiles of AUC - 0.5 when labels are dealt anew within strata, and all folds fitted and
    ranked again. There the fit is one Newton step from no slope, to which the logistic fit tends when nothing can be told; a hundred times
    as fast.
    """
    regressors = _regressors(columns, stratum)
    group = np.unique(stratum * (int(fold.max(initial=0)) + 1) + fold, return_inverse=True)[1].astype(np.int64)
    score = np.empty(len(fold))
    for number in np.unique(fold):
        is_held = fold == number
        if len(np.unique(is_control[~is_held])) < 2:
            raise ValueError(f"hosts outside fold {number} are of one class; more sky cells are needed")
        score[is_held] = regressors[is_held] @ _logistic(regressors[~is_held], is_control[~is_held])
    auc = float(grouped_auc(score[:, None], is_control[:, None], group)[0])
    chance = np.quantile(_by_chance(regressors, is_control, stratum, fold, group, rng, n_permutations), [0.5 - level / 2, 0.5 + level / 2])
    return SeparationInterval(auc, *(float(np.clip(auc + 0.5 - end, 0.0, 1.0)) for end in chance[::-1]))


def grouped_auc(score: Floats, is_control: Mask, group: Ints) -> Floats:
    """Return the share of pairs of a control and an injection of one group in which the control scores higher, ties counted as half.

    Parameters
    ----------
    score : ndarray, shape (n, m)
        m scores of each host.
    is_control : ndarray of bool, shape (n, m)
        m labels of each host.
    group : ndarray of int, shape (n,)
        Group of each host, every number from 0 used.

    Returns
    -------
    ndarray, shape (m,)
        Mann and Whitney's U, summed over groups, over the number of pairs.

    Raises
    ------
    ValueError
        No group holds both classes.
    """
    higher, n_pairs = np.zeros(score.shape[1]), np.zeros(score.shape[1])
    for rows in _members(group):
        control = is_control[rows]
        n_controls = control.sum(axis=0)
        higher += np.where(control, rankdata(score[rows], axis=0), 0.0).sum(axis=0) - n_controls * (n_controls + 1) / 2
        n_pairs += n_controls * (len(rows) - n_controls)
    if not np.all(n_pairs > 0):
        raise ValueError("no group holds both classes; there is no pair to compare")
    return np.asarray(higher / n_pairs)


def _class_sizes(is_control: Mask, stratum: Ints) -> Ints:
    """Return the hosts of each class and stratum, shape (2, n_strata): injections, controls."""
    n_strata = int(stratum.max(initial=0)) + 1
    return np.bincount(is_control * n_strata + stratum, minlength=2 * n_strata).reshape(2, n_strata).astype(np.int64)


def _members(group: Ints) -> list[Ints]:
    """Return the rows of each group."""
    return np.split(np.argsort(group, kind="stable"), np.cumsum(np.bincount(group))[:-1])


def _regressors(columns: Floats, stratum: Ints) -> Floats:
    """Return standardised columns, their squares and what is unknown, less their means in the stratum, each of unit spread, after a 1."""
    known = np.isfinite(columns)
    plain = _standardised(np.where(known, columns, np.nan))
    made = np.where(np.hstack([known, known]), np.hstack([plain, plain**2]), 0.0)
    made = np.hstack([made, ~known])
    size = np.maximum(np.bincount(stratum), 1)
    means = np.stack([np.bincount(stratum, weights=column) / size for column in made.T], axis=1)
    centred = made - means[stratum]
    spread = np.sqrt(np.mean(centred**2, axis=0))
    varies = spread > _LEAST_SPREAD
    return np.hstack([np.ones((len(stratum), 1)), centred[:, varies] / spread[varies]])


def _standardised(columns: Floats) -> Floats:
    """Return columns of mean 0 and spread 1 over what is known; a column of one value is 0."""
    n_known = np.maximum(np.isfinite(columns).sum(axis=0), 1)
    centred = columns - np.nansum(columns, axis=0) / n_known
    spread = np.sqrt(np.nansum(centred**2, axis=0) / n_known)
    return np.asarray(centred / np.where(spread > _LEAST_SPREAD, spread, np.inf))


def _penalty(n_columns: int) -> Floats:
    """Return the ridge of each coefficient; the constant has none."""
    return np.append(0.0, np.full(n_columns - 1, RIDGE))


def _logistic(regressors: Floats, is_control: Mask) -> Floats:
    """Return the coefficients of a logistic regression with a small ridge."""
    sign, penalty = np.where(is_control, 1.0, -1.0), _penalty(regressors.shape[1])

    def loss(beta: Floats) -> tuple[float, Floats]:
        margin = sign * (regressors @ beta)
        slope = regressors.T @ (sign * expit(-margin))
        return float(np.logaddexp(0.0, -margin).sum() + 0.5 * np.sum(penalty * beta**2)), penalty * beta - slope

    found = minimize(loss, np.zeros(regressors.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    return np.asarray(found.x)


def _by_chance(
    regressors: Floats, is_control: Mask, stratum: Ints, fold: Ints, group: Ints, rng: np.random.Generator, n_permutations: int
) -> Floats:
    """Return the AUC of labels that are dealt anew within strata, shape (n_permutations,)."""
    share, penalty, strata = float(is_control.mean()), _penalty(regressors.shape[1]), _members(stratum)
    found = []
    at_once = max(1, _LABELS_AT_ONCE // len(stratum))
    for start in range(0, n_permutations, at_once):
        dealt = np.repeat(is_control[:, None], min(at_once, n_permutations - start), axis=1)
        for rows in strata:
            dealt[rows] = rng.permuted(dealt[rows], axis=0)
        score = np.empty(dealt.shape)
        for number in np.unique(fold):
            is_held = fold == number
            fitted = regressors[~is_held]
            hessian = share * (1.0 - share) * fitted.T @ fitted + np.diag(penalty)
            score[is_held] = regressors[is_held] @ np.linalg.solve(hessian, fitted.T @ (dealt[~is_held] - share))
        found.append(grouped_auc(score, dealt, group))
    return np.concatenate(found)
