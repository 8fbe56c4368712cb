"""How a completeness model does on injections it has not seen, and beside the binned completeness."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from halo_core.statistics.clustering import clustered_interval, pool_sums
from halo_core.statistics.completeness_fit import CompletenessSample
from halo_core.statistics.completeness_model import CompletenessModel, HeldOutCheck, ReliabilityBin, Vector
from halo_core.statistics.intervals import normal_quantile

N_RELIABILITY_BINS = 10
"""Bins of equal counts of the predictions."""

FALSE_ALARM_RATE = 0.001
"""Chance that a right model exceeds ``BinnedComparison.limit`` in any bin."""


@dataclass(frozen=True)
class BinnedComparison:
    """Smooth beside binned completeness: what a finding needs.

    Attributes
    ----------
    bin : ndarray of int, shape (n_bins,)
        Bins that hold a row of the domain.
    n : ndarray of int, shape (n_bins,)
        Rows.
    binned, lower, upper, smooth : ndarray, shape (n_bins,)
        Recovered share with its clustered interval at the model's level, NaN without one, and the mean of the model over the same rows.
    deviation : ndarray, shape (n_bins,)
        (smooth - binned) in units of the interval's half on that side; NaN where there is no interval.
    n_outside_domain : int
        Rows left out because the model refuses them.
    largest : float
        Largest absolute deviation; NaN where no bin has an interval.
    largest_bin : int
        Its bin; -1 where there is none.
    limit : float
        What a right model stays below in all bins with probability 1 - ``FALSE_ALARM_RATE``.
    """

    bin: NDArray[np.int64]
    n: NDArray[np.int64]
    binned: Vector
    lower: Vector
    upper: Vector
    smooth: Vector
    deviation: Vector
    n_outside_domain: int
    largest: float
    largest_bin: int
    limit: float

    @property
    def is_agreed(self) -> bool:
        """Whether binned and smooth agree; False where nothing could be compared."""
        return self.largest <= self.limit


def check_held_out(model: CompletenessModel, held_out: CompletenessSample) -> HeldOutCheck:
    """Return Brier score, its reference and the reliability table of a model on rows that were not fitted.

    Parameters
    ----------
    model : CompletenessModel
        Fitted to other sky cells.
    held_out : CompletenessSample
        Rows of the held-out split; those outside the domain are counted and left out.

    Raises
    ------
    ValueError
        No row lies in the domain.
    """
    inside = held_out.take(model.domain.contains(held_out.u, held_out.v))
    if not len(inside):
        raise ValueError(
            f"none of {len(held_out)} held-out rows lies in the domain of the model of {model.criterion}; nothing can be checked"
        )
    predicted, outcome = model.value(inside.u, inside.v), inside.is_recovered.astype(np.float64)
    order = np.lexsort((inside.is_recovered, inside.cluster, predicted))
    parts = [part for part in np.array_split(order, N_RELIABILITY_BINS) if len(part)]
    return HeldOutCheck(
        n=len(inside),
        n_outside_domain=len(held_out) - len(inside),
        brier=float(np.mean((predicted - outcome)[order] ** 2)),
        brier_climatology=float(np.mean((model.n_recovered / model.n - outcome)[order] ** 2)),
        reliability=tuple(_reliability(predicted[part], inside.take(part), model.level) for part in parts),
    )


def compare_with_bins(model: CompletenessModel, sample: CompletenessSample, bins: ArrayLike) -> BinnedComparison:
    """Return binned and smooth completeness of the same rows, bin by bin.

    Parameters
    ----------
    model : CompletenessModel
        Asked at every row of its domain.
    sample : CompletenessSample
        Rows; those outside the domain are counted and left out.
    bins : array_like of int, shape (n,)
        Bin of each row.

    Raises
    ------
    ValueError
        ``bins`` has another shape.

    Notes
    -----
    The smooth value has an error of its own, shared with the binned one where the rows were fitted; it is not counted, so that the
    limit is a little too strict for other rows and too generous for the fitted ones.
    """
    numbers = np.asarray(bins, dtype=np.int64)
    if numbers.shape != sample.u.shape:
        raise ValueError(f"bins has shape {numbers.shape}, the sample {sample.u.shape}; one bin per row is needed")
    is_inside = model.domain.contains(sample.u, sample.v)
    inside = sample.take(is_inside)
    names, place = np.unique(numbers[is_inside], return_inverse=True)
    n = np.bincount(place, minlength=len(names))
    smooth = pool_sums(place, model.value(inside.u, inside.v), len(names)) / n
    found = [_clustered(inside.take(place == number), model.level) for number in range(len(names))]
    binned, lower, upper = np.array(found, dtype=np.float64).reshape(-1, 3).T
    half = np.where(smooth < binned, binned - lower, upper - binned)
    known = half > 0
    deviation = np.where(smooth == binned, np.where(known, 0.0, np.nan), (smooth - binned) / np.where(known, half, np.nan))
    n_known = int(np.count_nonzero(known))
    worst = int(np.nanargmax(np.abs(deviation))) if n_known else -1
    return BinnedComparison(
        bin=names,
        n=n,
        binned=binned,
        lower=lower,
        upper=upper,
        smooth=smooth,
        deviation=deviation,
        n_outside_domain=len(sample) - len(inside),
        largest=float(np.abs(deviation[worst])) if n_known else float("nan"),
        largest_bin=int(names[worst]) if n_known else -1,
        limit=normal_quantile(1.0 - FALSE_ALARM_RATE / max(n_known, 1)) / normal_quantile(model.level),
    )


def _reliability(predicted: Vector, rows: CompletenessSample, level: float) -> ReliabilityBin:
    """Return one line of the reliability table."""
    observed, lower, upper = _clustered(rows, level)
    has_interval = bool(np.isfinite(lower))
    return ReliabilityBin(len(rows), float(predicted.mean()), observed, lower if has_interval else None, upper if has_interval else None)


def _clustered(rows: CompletenessSample, level: float) -> tuple[float, float, float]:
    """Return the recovered share of rows and its interval by sky cell."""
    _, cell = np.unique(rows.cluster, return_inverse=True)
    found = clustered_interval(np.bincount(cell, weights=rows.is_recovered), np.bincount(cell), level)
    return found.p, found.lower, found.upper
