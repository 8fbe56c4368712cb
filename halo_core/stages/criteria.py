"""Recovery criteria: named, versioned thresholds on metrics of a result row or on a detector's score.

A criterion is met where every metric of the row reaches its minimum. Metrics are columns of the results table, a detector's
score among them where the table carries one, and ``resolution`` = theta_e_arcsec / psf_fwhm_used_r_arcsec.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError
from halo_core.records import RESULTS

RESOLUTION = "resolution"
"""Name of the one metric that is not a column: theta_e over the r PSF size that was used."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Criterion:
    """One way to call an injection recovered.

    Attributes
    ----------
    name : str
        Name in every table.
    version : int
        Version of the definition; raised when its meaning changes, not when a threshold does.
    minimums : tuple of (str, float)
        Metric and the least value that still counts; all must hold.
    is_truth_only : bool
        The criterion reads what was painted. It says nothing about a control, which has no painted arc.
    label : str
        How the report names it, thresholds included.
    """

    name: str
    version: int
    minimums: tuple[tuple[str, float], ...]
    is_truth_only: bool
    label: str

    def __post_init__(self) -> None:
        """Refuse a criterion without a threshold, or with one that is not a number."""
        if not self.minimums:
            raise ConfigurationError(f"criterion {self.name!r} has no threshold; give at least one metric and its minimum")
        for metric, minimum in self.minimums:
            if not np.isfinite(minimum):
                raise ConfigurationError(f"criterion {self.name!r}: the minimum of {metric} is {minimum}, a finite number is needed")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics the criterion reads."""
        return tuple(metric for metric, _ in self.minimums)


def proxy_reference(*, snr_peak_pixel_r_min: float, resolution_min: float) -> Criterion:
    """Return the reference campaign's proxy: bright enough in one pixel and wide enough for the seeing; truth only."""
    return Criterion(
        name="proxy_reference",
        version=1,
        minimums=(("snr_peak_pixel_r", snr_peak_pixel_r_min), (RESOLUTION, resolution_min)),
        is_truth_only=True,
        label=f"proxy: peak-pixel S/N(r) ≥ {snr_peak_pixel_r_min:g} and Einstein radius/FWHM ≥ {resolution_min:g}",
    )


def snr_matched(*, snr_matched_r_min: float) -> Criterion:
    """Return the criterion on the matched-filter S/N of the painted arc in r; truth only."""
    return Criterion(
        name="snr_matched",
        version=1,
        minimums=(("snr_matched_r", snr_matched_r_min),),
        is_truth_only=True,
        label=f"matched S/N(r) ≥ {snr_matched_r_min:g}",
    )


def score_criteria(content: Mapping[str, object]) -> tuple[Criterion, ...]:
    """Return the criteria on a detector's scores.

    Parameters
    ----------
    content : mapping
        ``{name: {"score": column, "minimum": number, "label": text}}``; a name is lower-case letters, digits and ``_``, the column one of
        the table of scores in any case, the label may be left out.

    Raises
    ------
    ConfigurationError
        A name, key or value is not of this form, or the column is one of the results, which are no scores of a detector.
    """
    return tuple(_score_criterion(name, given) for name, given in content.items())


def _score_criterion(name: str, given: object) -> Criterion:
    """Return one criterion on a score."""
    where = f"score_criteria: {name!r}"
    form = 'it must be of the form {"score": "cnn_score", "minimum": 0.9, "label": "..."}, the label if wanted'
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"{where} is no name: lower-case letters, digits and _ are needed, a letter first")
    if not isinstance(given, Mapping) or not {"score", "minimum"} <= set(given) <= {"score", "minimum", "label"}:
        raise ConfigurationError(f"{where} is {given!r}; {form}")
    score, minimum = given["score"], given["minimum"]
    if not isinstance(score, str) or isinstance(minimum, bool) or not isinstance(minimum, (int, float)):
        raise ConfigurationError(f"{where} is {dict(given)!r}; {form}")
    column = score.lower()
    if column == RESOLUTION or column in RESULTS.names or not column:
        raise ConfigurationError(f"{where}: {score!r} is a column of the results and no detector's score; rename the column of your table")
    label = str(given.get("label", f"{score} ≥ {minimum:g}"))
    return Criterion(name=name, version=1, minimums=((column, float(minimum)),), is_truth_only=False, label=label)


def meets(criterion: Criterion, metrics: Mapping[str, NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Return where every metric reaches its minimum; a metric that is NaN never does.

    Parameters
    ----------
    criterion : Criterion
        What is asked.
    metrics : mapping of str to ndarray, shape (n,)
        At least the criterion's metrics. Whoever calls makes sure that an evaluated row has none missing: a NaN here is
        "not measured", and counting it as missed would be wrong.
    """
    with np.errstate(invalid="ignore"):
        parts = [metrics[metric] >= minimum for metric, minimum in criterion.minimums]
    return np.asarray(np.logical_and.reduce(parts), dtype=np.bool_)
