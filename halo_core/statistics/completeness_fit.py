"""Maximum likelihood of the smooth completeness, robust to sky cells; refused where there is nothing stochastic to fit.

The likelihood is that of independent rows, the covariance the sandwich between sky cells (Liang & Zeger 1986) times
J/(J-1) (N-1)/(N-4). Inside, covariates are centred and scaled, and rows are put in one order, so that the order of the input
changes no bit.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq, linprog, minimize
from scipy.spatial import ConvexHull
from scipy.special import expit, log_expit, stdtrit

from halo_core.statistics.clustering import interval_note
from halo_core.statistics.completeness_model import CompletenessModel, Domain, Vector, positive
from halo_core.statistics.intervals import normal_quantile

MIN_CLUSTERS_FITTED = 10
"""Fewest sky cells, and least effective number of them, that a model is fitted to: each of its four parameters spends some."""
MIN_TRANSITION_ROWS = 10
"""Fewest rows on the slope of the fitted logistic; with fewer it is a step as far as these rows tell."""

_SLOPE = (0.01, 0.99)
_LAPSE_STARTS = (0.02, 0.3)
_LAPSE_TOP = 0.99
_LAPSE_ZERO = 1e-7
_STEEPEST = 1e5
_LARGEST_EXPONENT = 300.0
_NEWTON_STEPS = 8
_FLAT = 1e-9
_LAPSE_STEP = 1e-6
_LEAST_MARGIN = 1e-6
_ROUNDING = 1e-9
_LEAST_CONDITION = 1e-10
_LARGEST_DECREMENT = 1e-4


class FitStatus(StrEnum):
    """What came of a fit."""

    FITTED = "FITTED"
    DETERMINISTIC_CRITERION = "DETERMINISTIC_CRITERION"
    """The criterion reads truth alone, or the rows are separated: the answer is a threshold, not a probability."""
    TOO_FEW_CLUSTERS = "TOO_FEW_CLUSTERS"
    """Too few sky cells for a covariance between them."""
    NOT_IDENTIFIED = "NOT_IDENTIFIED"
    """The rows do not determine all parameters."""


@dataclass(frozen=True)
class CompletenessSample:
    """Evaluated injections of one experiment; arrays of shape (n,).

    Attributes
    ----------
    u, v : ndarray
        ln(theta_e / FWHM) and ln(snr_matched).
    is_recovered : ndarray of bool
        Whether the criterion is met.
    cluster : ndarray of int
        Sky cell.
    """

    u: Vector
    v: Vector
    is_recovered: NDArray[np.bool_]
    cluster: NDArray[np.int64]

    @classmethod
    def of(
        cls, *, theta_e_arcsec: ArrayLike, psf_fwhm_arcsec: ArrayLike, snr_matched: ArrayLike, is_recovered: ArrayLike, cluster: ArrayLike
    ) -> "CompletenessSample":
        """Return the sample of measured columns, each of shape (n,).

        Raises
        ------
        ConventionError
            A radius, PSF size or S/N is not positive.
        ValueError
            Shapes differ.
        """
        u = np.log(positive(theta_e_arcsec, "theta_e_arcsec") / positive(psf_fwhm_arcsec, "psf_fwhm_arcsec"))
        v = np.log(positive(snr_matched, "snr_matched"))
        outcome, cell = np.asarray(is_recovered, dtype=np.bool_), np.asarray(cluster, dtype=np.int64)
        if not (u.shape == v.shape == outcome.shape == cell.shape) or u.ndim != 1:
            raise ValueError(f"shapes are {u.shape}, {v.shape}, {outcome.shape} and {cell.shape}; vectors of one length are needed")
        return cls(u, v, outcome, cell)

    def __len__(self) -> int:
        return len(self.u)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "CompletenessSample":
        """Return some of the rows."""
        return CompletenessSample(self.u[rows], self.v[rows], self.is_recovered[rows], self.cluster[rows])


@dataclass(frozen=True)
class FitOutcome:
    """A model, or why there is none; ``sentence`` is for people."""

    status: FitStatus
    sentence: str
    model: CompletenessModel | None


def fit_completeness(
    sample: CompletenessSample, *, criterion: str, criterion_version: int, is_truth_only: bool, level: float
) -> FitOutcome:
    """Return the completeness model of a sample, or why it has none.

    Parameters
    ----------
    sample : CompletenessSample
        Rows to fit.
    criterion, criterion_version : str, int
        Names what "recovered" means, for the file and for messages.
    is_truth_only : bool
        The criterion reads what was painted (``Criterion.is_truth_only``).
    level : float
        Two-sided level of the model's intervals; 0 < level < 1.

    Raises
    ------
    ValueError
        ``level`` is outside its range.
    """
    normal_quantile(level)
    if is_truth_only:
        return _refused(FitStatus.DETERMINISTIC_CRITERION, f"{criterion} is a threshold on what was painted; it has no probability to fit")
    n_clusters, j_eff = _clusters(sample)
    if min(n_clusters, j_eff) < MIN_CLUSTERS_FITTED - _ROUNDING:
        note = f"number of sky cells {n_clusters}, effective {j_eff:.2f}; both must reach {MIN_CLUSTERS_FITTED}"
        return _refused(FitStatus.TOO_FEW_CLUSTERS, f"{criterion}: {interval_note(n_clusters, j_eff) or note}")
    ordered = sample.take(np.lexsort((sample.is_recovered, sample.v, sample.u, sample.cluster)))
    centre = np.array([ordered.u.mean(), ordered.v.mean()])
    scale = np.array([ordered.u.std(), ordered.v.std()])
    if np.any(scale < _ROUNDING):
        return _refused(FitStatus.NOT_IDENTIFIED, f"{criterion}: theta_e/FWHM or snr_matched has one value; it must vary")
    likelihood = LapseLikelihood(np.column_stack([np.ones(len(ordered)), (_points(ordered) - centre) / scale]), ordered.is_recovered)
    n_recovered = int(np.count_nonzero(ordered.is_recovered))
    if is_separated(likelihood.x, likelihood.y):
        sentence = (
            f"{criterion}: a line in theta_e/FWHM and S/N parts the {n_recovered} recovered from the {len(ordered) - n_recovered} missed"
        )
        return _refused(FitStatus.DETERMINISTIC_CRITERION, f"{sentence} injections; no finite model fits best")
    return _fitted(ordered, likelihood, centre, scale, level, (criterion, criterion_version, n_clusters, j_eff))


@dataclass(frozen=True)
class LapseLikelihood:
    """Likelihood of rows with design ``x`` of shape (n, 3) and outcome ``y``; parameters are b0, b1, b2 and the lapse."""

    x: Vector
    y: NDArray[np.bool_]

    def log_likelihood(self, parameters: Vector) -> float:
        """Return the sum of the log probabilities of the outcomes."""
        eta, lapse = self.x @ parameters[:3], parameters[3]
        return float(np.sum(np.where(self.y, np.log1p(-lapse) + log_expit(eta), self._log_missed(eta, lapse))))

    def scores(self, parameters: Vector) -> Vector:
        """Return the derivative of each row's log probability, shape (n, 4)."""
        eta, lapse = self.x @ parameters[:3], parameters[3]
        seen_over_missed, slope_over_missed = self._over_missed(eta, lapse)
        by_eta = np.where(self.y, expit(-eta), -(1.0 - lapse) * slope_over_missed)
        by_lapse = np.where(self.y, -1.0 / (1.0 - lapse), seen_over_missed)
        return np.column_stack([by_eta[:, None] * self.x, by_lapse])

    def information(self, parameters: Vector) -> Vector:
        """Return the observed information, minus the second derivatives, shape (4, 4)."""
        eta, lapse = self.x @ parameters[:3], parameters[3]
        s, kept = expit(eta), 1.0 - lapse
        seen_over_missed, slope_over_missed = self._over_missed(eta, lapse)
        by_eta = np.where(self.y, s * expit(-eta), kept * slope_over_missed * (1.0 - 2.0 * s + kept * slope_over_missed))
        by_mixed = np.where(self.y, 0.0, -slope_over_missed * (1.0 + kept * seen_over_missed))
        by_lapse = np.where(self.y, 1.0 / kept**2, seen_over_missed**2)
        result = np.empty((4, 4))
        result[:3, :3] = self.x.T @ (by_eta[:, None] * self.x)
        result[:3, 3] = result[3, :3] = by_mixed @ self.x
        result[3, 3] = by_lapse.sum()
        return result

    def maximise(self, lapse_range: tuple[float, float], start: Vector) -> Vector:
        """Return the parameters of the largest likelihood with the lapse in a range: L-BFGS-B, then Newton's method to the last digits."""
        n = len(self.y)
        found = minimize(
            lambda parameters: (-self.log_likelihood(parameters) / n, -self.scores(parameters).sum(axis=0) / n),
            np.array([*start[:3], np.clip(start[3], *lapse_range)]),
            jac=True,
            method="L-BFGS-B",
            bounds=[(-_STEEPEST, _STEEPEST)] * 3 + [lapse_range],
            options={"ftol": 1e-9, "gtol": 1e-7},
        )
        best = np.asarray(found.x, dtype=np.float64)
        is_lapse_free = lapse_range[0] < best[3] < lapse_range[1] and best[3] > _LAPSE_ZERO
        return self._climb(best, np.arange(4 if is_lapse_free else 3))

    def profile(self, lapse: float, start: Vector) -> Vector:
        """Return the parameters of the largest likelihood at one lapse; quick where ``start`` is near."""
        near = self._climb(np.array([*start[:3], lapse]), np.arange(3))
        is_there = np.abs(self.scores(near)[:, :3].sum(axis=0)).max() < _FLAT * len(self.y)
        return near if is_there else self.maximise((lapse, lapse), near)

    def _climb(self, parameters: Vector, free: NDArray[np.int64]) -> Vector:
        """Return the parameters after some steps of Newton's method."""
        for _ in range(_NEWTON_STEPS):
            moved = self._newton(parameters, free)
            if np.all(np.abs(moved - parameters) <= _ROUNDING):
                return moved
            parameters = moved
        return parameters

    def _newton(self, parameters: Vector, free: NDArray[np.int64]) -> Vector:
        """Return the parameters after one step of Newton's method, or as they were where that is no better."""
        information, gradient = self.information(parameters)[np.ix_(free, free)], self.scores(parameters)[:, free].sum(axis=0)
        if np.linalg.cond(information) > 1.0 / _LEAST_CONDITION:
            return parameters
        moved = parameters.copy()
        moved[free] += np.linalg.solve(information, gradient)
        is_better = 0.0 <= moved[3] <= _LAPSE_TOP and self.log_likelihood(moved) >= self.log_likelihood(parameters)
        return moved if is_better else parameters

    def _over_missed(self, eta: Vector, lapse: float) -> tuple[Vector, Vector]:
        """Return s and its slope s (1 - s), each over the probability of a miss."""
        log_over = log_expit(eta) - self._log_missed(eta, lapse)
        return np.exp(np.minimum(log_over, _LARGEST_EXPONENT)), np.exp(log_over + log_expit(-eta))

    def _log_missed(self, eta: Vector, lapse: float) -> Vector:
        """Return ln(1 - (1 - lapse) s), without cancellation."""
        if lapse == 0.0:
            return np.asarray(log_expit(-eta), dtype=np.float64)
        return np.asarray(np.logaddexp(log_expit(-eta), np.log(lapse) + log_expit(eta)), dtype=np.float64)


def is_separated(x: Vector, y: NDArray[np.bool_]) -> bool:
    """Return whether a line parts recovered from missed, points on the line allowed: then no finite logistic fits best.

    Parameters
    ----------
    x : ndarray, shape (n, 3)
        1 and two covariates of order 1.
    y : ndarray of bool, shape (n,)
        Outcome.

    Notes
    -----
    Albert & Anderson (1984, Biometrika 71, 1), as a linear programme over the corners of both hulls, which decide alone.
    """
    margins = np.concatenate([sign * x[rows][hull_corners(x[rows, 1:])] for sign, rows in ((1.0, y), (-1.0, ~y)) if np.any(rows)])
    found = linprog(-margins.sum(axis=0), A_ub=-margins, b_ub=np.zeros(len(margins)), bounds=[(-1.0, 1.0)] * 3, method="highs")
    reached = margins @ found.x
    return bool(reached.min() > -_ROUNDING and reached.max() > _LEAST_MARGIN)


def hull_corners(points: Vector) -> NDArray[np.int64]:
    """Return the rows of the corners of the convex hull of points, shape (n, 2); both ends where all lie on a line."""
    _, widths, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
    if len(points) < 3 or widths[1] <= _ROUNDING * max(widths[0], 1.0):
        along = points @ axes[0]
        return np.unique([int(np.argmin(along)), int(np.argmax(along))])
    return np.sort(ConvexHull(points).vertices.astype(np.int64))


def domain_of(sample: CompletenessSample) -> Domain:
    """Return the convex hull of a sample's covariates, which must not all lie on a line."""
    corners = _points(sample)[hull_corners(_points(sample))]
    corners = corners[np.lexsort((corners[:, 1], corners[:, 0]))]
    u, v = corners[:, 0], corners[:, 1]
    is_first, is_last = u == u[0], u == u[-1]
    ends_low, ends_high = (v[is_first].min(), v[is_last].min()), (v[is_first].max(), v[is_last].max())
    inner = ~(is_first | is_last)
    is_below = v < np.interp(u, (u[0], u[-1]), (0.5 * (ends_low[0] + ends_high[0]), 0.5 * (ends_low[1] + ends_high[1])))
    edges = []
    for chosen, ends in ((inner & is_below, ends_low), (inner & ~is_below, ends_high)):
        edges += [(float(u[0]), *u[chosen].tolist(), float(u[-1])), (float(ends[0]), *v[chosen].tolist(), float(ends[1]))]
    return Domain(*edges)


def _fitted(
    sample: CompletenessSample, likelihood: LapseLikelihood, centre: Vector, scale: Vector, level: float, known: tuple[str, int, int, float]
) -> FitOutcome:
    """Return the outcome of a sample that is neither separated nor too small."""
    criterion, criterion_version, n_clusters, j_eff = known
    best = _best(likelihood)
    s = expit(likelihood.x @ best[:3])
    n_slope = int(np.count_nonzero((s > _SLOPE[0]) & (s < _SLOPE[1])))
    if n_slope < MIN_TRANSITION_ROWS:
        sentence = f"{criterion}: only {n_slope} of {len(sample)} injections lie on the slope of the fit, {MIN_TRANSITION_ROWS} are needed"
        return _refused(FitStatus.DETERMINISTIC_CRITERION, f"{sentence}; it is a step with random misses")
    free = np.arange(4 if best[3] > _LAPSE_ZERO else 3)
    information, scores = likelihood.information(best)[np.ix_(free, free)], likelihood.scores(best)[:, free]
    size = np.sqrt(np.maximum(np.diag(information), 0.0))
    lean = information / np.where(size > 0, np.outer(size, size), 1.0)
    if np.linalg.eigvalsh(lean)[0] < _LEAST_CONDITION:
        return _refused(
            FitStatus.NOT_IDENTIFIED, f"{criterion}: the rows do not tell lapse and slopes apart; more injections with high S/N are needed"
        )
    naive, gradient = np.linalg.inv(information), scores.sum(axis=0)
    if gradient @ naive @ gradient > _LARGEST_DECREMENT:
        return _refused(FitStatus.NOT_IDENTIFIED, f"{criterion}: no maximum of the likelihood was found; gradient {gradient.tolist()}")
    factor = n_clusters / (n_clusters - 1) * (len(sample) - 1) / (len(sample) - 4)
    robust = factor * naive @ _meat(scores, sample.cluster) @ naive
    deff = np.diag(robust) / np.diag(naive)
    target = stdtrit(j_eff - 1.0, 0.5 + 0.5 * level) ** 2 * max(1.0, float(deff[3] if len(free) == 4 else deff.max()))
    lapse_lower, lapse_upper = _lapse_limits(likelihood, best, target)
    back = np.array(
        [[1.0, *(-centre / scale), 0.0], [0.0, 1.0 / scale[0], 0.0, 0.0], [0.0, 0.0, 1.0 / scale[1], 0.0], [0.0, 0.0, 0.0, 1.0]]
    )
    covariance = np.zeros((4, 4))
    covariance[np.ix_(free, free)] = robust
    model = CompletenessModel(
        criterion=criterion,
        criterion_version=criterion_version,
        level=level,
        coefficients=tuple((back @ best).tolist()),
        covariance=tuple(tuple(row) for row in (back @ covariance @ back.T).tolist()),
        lapse_lower=lapse_lower,
        lapse_upper=lapse_upper,
        n=len(sample),
        n_recovered=int(np.count_nonzero(sample.is_recovered)),
        n_clusters=n_clusters,
        j_eff=j_eff,
        small_sample_factor=factor,
        log_likelihood=likelihood.log_likelihood(best),
        domain=domain_of(sample),
        versions={"numpy": np.__version__, "scipy": scipy.__version__},
    )
    return FitOutcome(FitStatus.FITTED, f"{criterion}: fitted to {len(sample)} injections of {n_clusters} sky cells", model)


def _best(likelihood: LapseLikelihood) -> Vector:
    """Return the parameters of the largest likelihood, sought from several lapses, with a lapse of next to nothing set to 0."""
    plain = likelihood.maximise((0.0, 0.0), np.zeros(4))
    found = [plain, *(likelihood.maximise((0.0, _LAPSE_TOP), np.array([*plain[:3], lapse])) for lapse in _LAPSE_STARTS)]
    best = max(found, key=likelihood.log_likelihood)
    return best if best[3] > _LAPSE_ZERO else plain


def _meat(scores: Vector, cluster: NDArray[np.int64]) -> Vector:
    """Return the sum over sky cells of the outer product of a cell's score with itself; rows are ordered by cell."""
    _, first = np.unique(cluster, return_index=True)
    by_cell = np.add.reduceat(scores, first, axis=0)
    return by_cell.T @ by_cell


def _lapse_limits(likelihood: LapseLikelihood, best: Vector, target: float) -> tuple[float, float]:
    """Return where twice the drop of the profile likelihood of the lapse reaches ``target``; 0 where it does not on the way down.

    What is known at one lapse stays: the profile may have several maxima, and a search that comes back from elsewhere can find another.
    """
    top, lapse, near = likelihood.log_likelihood(best), float(best[3]), best
    known = {lapse: -target}

    def excess(tried: float) -> float:
        nonlocal near
        if tried not in known:
            near = likelihood.profile(tried, near)
            known[tried] = 2.0 * (top - likelihood.log_likelihood(near)) - target
        return known[tried]

    lower = float(brentq(excess, 0.0, lapse, xtol=_LAPSE_STEP)) if lapse > 0.0 and excess(0.0) > 0.0 else 0.0
    near, inside, outside = best, lapse, min(max(2.0 * lapse, 1.0 / len(likelihood.y)), _LAPSE_TOP)
    while excess(outside) < 0.0:
        if outside == _LAPSE_TOP:
            return lower, 1.0
        inside, outside = outside, min(2.0 * outside, _LAPSE_TOP)
    return lower, float(brentq(excess, inside, outside, xtol=_LAPSE_STEP))


def _clusters(sample: CompletenessSample) -> tuple[int, float]:
    """Return the number of sky cells and its effective value."""
    count = np.unique(sample.cluster, return_counts=True)[1].astype(np.float64)
    return len(count), float(count.sum() ** 2 / np.sum(count**2)) if len(count) else 0.0


def _points(sample: CompletenessSample) -> Vector:
    """Return the covariates, shape (n, 2)."""
    return np.column_stack([sample.u, sample.v])


def _refused(status: FitStatus, sentence: str) -> FitOutcome:
    """Return an outcome without a model."""
    return FitOutcome(status, sentence, None)
