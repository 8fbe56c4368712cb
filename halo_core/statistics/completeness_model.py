"""Smooth completeness: a logistic in ln(theta_e/FWHM) and ln(matched S/N) with a lapse, as an object that people load.

completeness = (1 - lapse) s, s = 1 / (1 + exp(-(b0 + b1 u + b2 v))), u = ln(theta_e / FWHM), v = ln(snr_matched). The lapse is the
share of unmistakable arcs that is missed all the same. It is an average over sky cells, as every completeness of this project, and
needs no weight, because seeing and signal to noise are given. ``completeness_fit`` fits it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, stdtrit

from halo_core.errors import ConventionError
from halo_core.seeds import canonical_json

MODEL_VERSION: int = 1
"""Version of the law and of the file; a file of another version is refused."""

FORMAT = "dark-halo-scope completeness model"
PARAMETERS = ("b0", "b1", "b2", "lapse")

_ROUNDING = 1e-9

Vector = NDArray[np.float64]


@dataclass(frozen=True)
class Domain:
    """Where a model may be asked: the convex hull of the fitted points in (u, v).

    Both covariates rise with the Einstein radius, so that the box of their ranges has corners without a single injection; inside the
    hull the model interpolates. The hull is kept as its lower and its upper edge, v over rising u.

    Attributes
    ----------
    lower_u, lower_v, upper_u, upper_v : tuple of float
        Corners of both edges; first and last u are the range of u.
    """

    lower_u: tuple[float, ...]
    lower_v: tuple[float, ...]
    upper_u: tuple[float, ...]
    upper_v: tuple[float, ...]

    @property
    def u_range(self) -> tuple[float, float]:
        """Least and largest ln(theta_e/FWHM)."""
        return self.lower_u[0], self.lower_u[-1]

    @property
    def v_range(self) -> tuple[float, float]:
        """Least and largest ln(snr_matched)."""
        return min(self.lower_v), max(self.upper_v)

    def v_limits(self, u: Vector) -> tuple[Vector, Vector]:
        """Return the least and the largest v of the hull at each u inside its range."""
        return np.interp(u, self.lower_u, self.lower_v), np.interp(u, self.upper_u, self.upper_v)

    def contains(self, u: Vector, v: Vector) -> NDArray[np.bool_]:
        """Return which points lie in the hull, its edge included; NaN lies outside."""
        least, largest = self.v_limits(u)
        is_in_u = (u >= self.u_range[0] - _ROUNDING) & (u <= self.u_range[1] + _ROUNDING)
        return np.asarray(is_in_u & (v >= least - _ROUNDING) & (v <= largest + _ROUNDING), dtype=np.bool_)


@dataclass(frozen=True)
class ReliabilityBin:
    """Held-out injections of one tenth of the predictions; the interval is clustered by sky cell, None where there are too few cells."""

    n: int
    predicted: float
    observed: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True)
class HeldOutCheck:
    """How a model did on injections it had not seen.

    Attributes
    ----------
    n, n_outside_domain : int
        Rows that were predicted, and rows that the model refuses.
    brier : float
        Mean squared difference of prediction and outcome.
    brier_climatology : float
        The same for one constant prediction, the recovered share of the rows that were fitted: what the model must beat.
    reliability : tuple of ReliabilityBin
        By rising prediction.
    """

    n: int
    n_outside_domain: int
    brier: float
    brier_climatology: float
    reliability: tuple[ReliabilityBin, ...]

    @property
    def skill(self) -> float:
        """Return 1 - brier / brier_climatology: 1 is perfect, 0 no better than a constant."""
        return 1.0 - self.brier / self.brier_climatology if self.brier_climatology > 0 else float("nan")


@dataclass(frozen=True)
class CompletenessModel:
    """A fitted completeness; call it for values with their interval.

    Attributes
    ----------
    criterion, criterion_version : str, int
        What "recovered" means.
    level : float
        Two-sided level of the intervals.
    coefficients : tuple of float
        ``PARAMETERS``: b0, b1, b2 and the lapse.
    covariance : tuple of tuple of float
        Of the coefficients, robust to sky cells; zero for a lapse that was estimated as 0.
    lapse_lower, lapse_upper : float
        Interval of the lapse at ``level``, from the likelihood ratio scaled by the design effect.
    n, n_recovered, n_clusters : int
        Rows that were fitted, recovered among them, sky cells.
    j_eff : float
        Effective number of sky cells, N^2 / sum n_j^2; Student's quantile has j_eff - 1 degrees of freedom.
    small_sample_factor : float
        J/(J-1) (N-1)/(N-4), contained in ``covariance``.
    log_likelihood : float
        At the maximum, rows taken as independent.
    domain : Domain
        Where the model may be asked.
    versions : mapping of str to str
        Of numpy and scipy.
    held_out : HeldOutCheck or None
        None before the check.
    """

    criterion: str
    criterion_version: int
    level: float
    coefficients: tuple[float, ...]
    covariance: tuple[tuple[float, ...], ...]
    lapse_lower: float
    lapse_upper: float
    n: int
    n_recovered: int
    n_clusters: int
    j_eff: float
    small_sample_factor: float
    log_likelihood: float
    domain: Domain
    versions: Mapping[str, str]
    held_out: HeldOutCheck | None = None

    def __call__(self, *, theta_e_arcsec: ArrayLike, psf_fwhm_arcsec: ArrayLike, snr_matched: ArrayLike) -> tuple[Vector, Vector, Vector]:
        """Return completeness and both ends of its interval at ``level``.

        Parameters
        ----------
        theta_e_arcsec : array_like
            Einstein radius as in the manifest [arcsec]; > 0. The three are broadcast against each other.
        psf_fwhm_arcsec : array_like
            PSF size in r, ``psf_fwhm_used_r_arcsec`` [arcsec]; > 0.
        snr_matched : array_like
            ``snr_matched_r`` of the arc; > 0.

        Returns
        -------
        value, lower, upper : ndarray, float64
            Of the broadcast shape; 0 <= lower <= value <= upper <= 1.

        Raises
        ------
        ConventionError
            A number is not positive, or a point lies outside the domain; value and limits are named.

        Notes
        -----
        s has the interval of the delta method on the logit scale, the lapse that of its likelihood; the product joins them by the
        distances of each end from its estimate (MOVER; Zou & Donner 2008, Statistics in Medicine 27, 1693). Their correlation, which
        makes the interval narrower, counts only where the interval of the lapse stays above 0; where it reaches 0, the upper end is that
        of s alone.
        """
        given = {"theta_e_arcsec": theta_e_arcsec, "psf_fwhm_arcsec": psf_fwhm_arcsec, "snr_matched": snr_matched}
        arrays = {name: positive(values, name) for name, values in given.items()}
        u, v = np.broadcast_arrays(np.log(arrays["theta_e_arcsec"] / arrays["psf_fwhm_arcsec"]), np.log(arrays["snr_matched"]))
        self._require_inside(u, v)
        return self.interval(u, v)

    def value(self, u: Vector, v: Vector) -> Vector:
        """Return the completeness at u = ln(theta_e/FWHM), v = ln(snr_matched), inside the domain or not."""
        b0, b1, b2, lapse = self.coefficients
        return np.asarray((1.0 - lapse) * expit(b0 + b1 * u + b2 * v), dtype=np.float64)

    def interval(self, u: Vector, v: Vector) -> tuple[Vector, Vector, Vector]:
        """Return value and both ends at u and v, inside the domain or not; ``__call__`` says how."""
        b, lapse = np.array(self.coefficients[:3]), self.coefficients[3]
        covariance = np.array(self.covariance)
        x = np.stack([np.ones_like(u), u, v], axis=-1)
        eta = x @ b
        spread = np.sqrt(np.maximum(np.einsum("...i,ij,...j->...", x, covariance[:3, :3], x), 0.0))
        reach = stdtrit(self.j_eff - 1.0, 0.5 + 0.5 * self.level) * spread
        seen, s = 1.0 - lapse, expit(eta)
        scale = spread * np.sqrt(covariance[3, 3]) * (self.lapse_lower > 0.0)
        correlation = -np.divide(x @ covariance[:3, 3], scale, out=np.zeros_like(eta), where=scale > 0)
        ends = []
        for sign, seen_end in ((-1.0, 1.0 - self.lapse_upper), (1.0, 1.0 - self.lapse_lower)):
            s_end = expit(eta + sign * reach)
            of_seen, of_s = s * abs(seen - seen_end), seen * np.abs(s - s_end)
            distance = np.sqrt(np.maximum(of_seen**2 + of_s**2 + 2.0 * np.clip(correlation, -1.0, 1.0) * of_seen * of_s, 0.0))
            if sign < 0:
                ends.append(np.maximum(seen * s - distance, seen_end * s_end))
            else:
                ends.append(np.minimum(seen * s + distance, seen_end * s_end) if self.lapse_lower > 0.0 else s_end)
        value = np.asarray(seen * s, dtype=np.float64)
        return value, np.minimum(ends[0], value), np.maximum(ends[1], value)

    def save(self, path: Path) -> None:
        """Write the model as JSON: the same model gives the same bytes."""
        path.write_text(self.to_json())

    def to_json(self) -> str:
        """Return the text that ``save`` writes."""
        model = {**asdict(self), "versions": dict(self.versions)}
        ranges = {"theta_e_over_fwhm": np.exp(self.domain.u_range).tolist(), "snr_matched": np.exp(self.domain.v_range).tolist()}
        return canonical_json(
            {"format": FORMAT, "model_version": MODEL_VERSION, "parameters": PARAMETERS, "ranges": ranges, "model": model}
        )

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the model of a file that ``save`` wrote, equal to the bit.

        Raises
        ------
        ConventionError
            The file is no model of this version.
        """
        try:
            stored = json.loads(Path(path).read_text())
        except ValueError as error:
            raise ConventionError(f"{path}: not JSON ({error}); a file that CompletenessModel.save wrote is needed") from error
        kind = (stored.get("format"), stored.get("model_version")) if isinstance(stored, dict) else None
        if kind != (FORMAT, MODEL_VERSION):
            raise ConventionError(
                f"{path}: format and version are {kind}, expected {(FORMAT, MODEL_VERSION)}; fit and save the model again"
            )
        return cls._of(stored["model"], str(path))

    @classmethod
    def _of(cls, stored: Mapping[str, Any], where: str) -> Self:
        """Return the model of its stored fields."""
        try:
            held_out = stored["held_out"]
            bins = () if held_out is None else tuple(ReliabilityBin(**one) for one in held_out["reliability"])
            made = {
                "coefficients": tuple(stored["coefficients"]),
                "covariance": tuple(tuple(row) for row in stored["covariance"]),
                "domain": Domain(**{name: tuple(values) for name, values in stored["domain"].items()}),
                "held_out": None if held_out is None else HeldOutCheck(**{**held_out, "reliability": bins}),
            }
            return cls(**{**stored, **made})
        except (KeyError, TypeError) as error:
            raise ConventionError(
                f"{where}: a field is missing, unknown or of another type ({error}); fit and save the model again"
            ) from error

    def _require_inside(self, u: Vector, v: Vector) -> None:
        """Raise ConventionError naming the first point outside the domain and the limits there."""
        is_outside = ~self.domain.contains(u, v)
        if not np.any(is_outside):
            return
        first = int(np.flatnonzero(is_outside)[0])
        u_first, v_first = float(u.flat[first]), float(v.flat[first])
        ratio, snr = np.exp(u_first), np.exp(v_first)
        ratios = np.exp(self.domain.u_range)
        if not ratios[0] * (1 - _ROUNDING) <= ratio <= ratios[1] * (1 + _ROUNDING):
            limits = f"theta_e/FWHM is {ratio:.6g}, the fit holds [{ratios[0]:.6g}, {ratios[1]:.6g}]"
        else:
            least, largest = (np.exp(float(end)) for end in self.domain.v_limits(np.array(u_first)))
            limits = f"snr_matched is {snr:.6g}, at theta_e/FWHM {ratio:.6g} the fit holds [{least:.6g}, {largest:.6g}]"
        raise ConventionError(
            f"completeness of {self.criterion}: {np.count_nonzero(is_outside)} of {is_outside.size} points lie outside the model's domain; "
            f"position {first}: {limits}; ask inside, or inject there and fit again"
        )


def positive(values: ArrayLike, name: str) -> Vector:
    """Return values as float64, or raise ConventionError where one is not positive and finite."""
    array = np.asarray(values, dtype=np.float64)
    wrong = ~((array > 0) & np.isfinite(array))
    if np.any(wrong):
        first = int(np.flatnonzero(wrong)[0])
        raise ConventionError(f"{name} is {array.flat[first]} at position {first}; a positive, finite number is needed")
    return array
