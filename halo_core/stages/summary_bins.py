"""Axes of completeness cells: what values they take, as integer codes, and the edges of binned ones.

A bin is the integer ``searchsorted(edges, round(x, 6), side="right")``: bin i holds edges[i-1] <= x < edges[i]. Rounding to
six digits makes 3 x 0.1 and 0.3 one number; floor(x / width) does not. A value that is not known has bin -1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from halo_core.stages.summary_config import SummaryConfig

UNKNOWN_BIN = -1
DIGITS = 6
"""Decimals that keys are rounded to before they are compared."""

_PSF_FWHM_TOP_ARCSEC = 4.0
_PSFDEPTH_TOP_MAG = 30.0


@dataclass(frozen=True)
class Axis:
    """One key column of n rows: ``codes`` of shape (n,) point into the distinct ``values``.

    ``lower`` and ``upper`` hold the edges of each value's bin, NaN where open or unknown; they are empty for an axis
    that is not binned.
    """

    name: str
    codes: NDArray[np.int32]
    values: tuple[float | int | str, ...]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    @property
    def is_binned(self) -> bool:
        """Whether values are numbers of bins."""
        return len(self.lower) > 0

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> "Axis":
        """Return the axis of some of the rows."""
        return Axis(self.name, self.codes[rows], self.values, self.lower, self.upper)


def bin_edges(config: SummaryConfig) -> dict[str, NDArray[np.float64]]:
    """Return the inner edges of every binned axis: psf_fwhm_r_bin [arcsec], psfdepth_r_bin [mag], resolution_bin, snr_matched_r_bin."""
    return {
        "psf_fwhm_r_bin": _regular_edges(config.psf_fwhm_bin_width_arcsec, _PSF_FWHM_TOP_ARCSEC),
        "psfdepth_r_bin": _regular_edges(config.psfdepth_bin_width_mag, _PSFDEPTH_TOP_MAG),
        "resolution_bin": _rounded(config.resolution_edges),
        "snr_matched_r_bin": _rounded(config.snr_matched_r_edges),
    }


def bin_index(values: ArrayLike, edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin of each value; -1 where the value is NaN.

    Parameters
    ----------
    values : array_like, shape (n,)
        In the unit of the edges.
    edges : ndarray, shape (m,)
        Rising.

    Returns
    -------
    ndarray of int64, shape (n,)
        0 below the first edge, m at and above the last.
    """
    numbers = _rounded(values)
    return np.where(np.isnan(numbers), UNKNOWN_BIN, np.searchsorted(edges, numbers, side="right")).astype(np.int64)


def binned_axis(name: str, values: ArrayLike, edges: NDArray[np.float64]) -> Axis:
    """Return the axis of binned values, with the edges of the bins that occur."""
    numbers, codes = np.unique(bin_index(values, edges), return_inverse=True)
    padded = np.concatenate([[np.nan], edges, [np.nan]])
    is_known = numbers != UNKNOWN_BIN
    lower = np.where(is_known, padded[np.maximum(numbers, 0)], np.nan)
    upper = np.where(is_known, padded[np.maximum(numbers, 0) + 1], np.nan)
    return Axis(name, codes.astype(np.int32), tuple(int(number) for number in numbers), lower, upper)


def value_axis(name: str, values: ArrayLike, *, digits: int = DIGITS) -> Axis:
    """Return the axis of the distinct values of a grid parameter, rounded to ``digits`` decimals."""
    distinct, codes = np.unique(np.round(np.asarray(values, dtype=np.float64), digits), return_inverse=True)
    return Axis(name, codes.astype(np.int32), tuple(float(value) for value in distinct), _NO_EDGES, _NO_EDGES)


def name_axis(name: str, values: pa.ChunkedArray) -> Axis:
    """Return the axis of distinct names."""
    encoded = values.cast(pa.string()).combine_chunks().dictionary_encode()
    distinct, place = np.unique(np.asarray(encoded.dictionary.to_pylist(), dtype=np.str_), return_inverse=True)
    codes = place[encoded.indices.to_numpy()]
    return Axis(name, codes.astype(np.int32), tuple(str(value) for value in distinct), _NO_EDGES, _NO_EDGES)


def join_axes(parts: Sequence[Axis]) -> Axis:
    """Return one axis of the rows of several, one part after the other: what would be made of all rows at once."""
    found = [np.asarray(part.values) for part in parts if len(part.values)]
    if not found:
        return parts[0]
    values, first = np.unique(np.concatenate(found), return_index=True)
    codes = [np.searchsorted(values, part.values).astype(np.int32)[part.codes] for part in parts if len(part.values)]
    lower, upper = (np.concatenate(edges) for edges in ([part.lower for part in parts], [part.upper for part in parts]))
    if len(lower):
        lower, upper = lower[first], upper[first]
    return Axis(parts[0].name, np.concatenate(codes), tuple(values.tolist()), lower, upper)


_NO_EDGES = np.zeros(0)


def _regular_edges(width: float, top: float) -> NDArray[np.float64]:
    """Return 0, width, 2 width, ... up to the first that reaches ``top``, each rounded to the decimals of a key."""
    return _rounded(np.arange(int(np.ceil(round(top / width, DIGITS))) + 1) * width)


def _rounded(values: ArrayLike) -> NDArray[np.float64]:
    """Return values to the decimals of a key."""
    return np.asarray(np.round(np.asarray(values, dtype=np.float64), DIGITS), dtype=np.float64)
