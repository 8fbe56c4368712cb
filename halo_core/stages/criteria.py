"""Recovery criteria: named, versioned thresholds on metrics of a result row or on a detector's score.

A criterion is met where every metric of the row reaches its minimum. Metrics are columns of the results table, a detector's
score among them where the table carries one, and ``resolution`` = theta_e_arcsec / psf_fwhm_used_r_arcsec.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError

RESOLUTION = "resolution"
"""Name of the one metric that is not a column: theta_e over the r PSF size that was used."""


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
