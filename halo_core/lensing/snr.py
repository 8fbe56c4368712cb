"""Signal to noise of an arc: matched filter, brightest pixel, and the isophote above one sigma.

All take the noiseless arc A [nmgy/pixel], the inverse variance [nmgy^-2] and the good pixels, in arrays of one shape. The result is
NaN when no pixel is good: it was not measured, which is not zero; the caller stores NULL and sets the flag. Pixels are taken as
independent.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


class Weights(NamedTuple):
    """Inverse variance [nmgy^-2] of the pixels that count, all positive, its root and its inverse: one for all arcs measured there."""

    invvar: FloatArray
    root_invvar: FloatArray
    variance: FloatArray


class ArcSnr(NamedTuple):
    """The three signal-to-noise ratios of an arc; NaN where no pixel counts."""

    matched: float
    """sqrt(sum A^2 invvar)."""
    peak_pixel: float
    """max(A sqrt(invvar))."""
    aperture: float
    """sum A / sqrt(sum 1 / invvar) over pixels with A above one sigma; 0 where none is above."""


def weights_of(invvar: FloatArray) -> Weights:
    """Return the weights of pixels that count; shape (n,), every inverse variance positive."""
    return Weights(invvar, np.sqrt(invvar), 1.0 / invvar)


def snr_of_pixels(arc_nmgy: FloatArray, weights: Weights) -> ArcSnr:
    """Return the ratios of an arc from its pixels that count; shape (n,) [nmgy/pixel]."""
    if not arc_nmgy.size:
        return ArcSnr(float("nan"), float("nan"), float("nan"))
    signal = arc_nmgy * weights.root_invvar
    above = np.flatnonzero(signal > 1.0)
    aperture = float(np.sum(arc_nmgy[above]) / np.sqrt(np.sum(weights.variance[above]))) if above.size else 0.0
    return ArcSnr(float(np.sqrt(np.sum(arc_nmgy**2 * weights.invvar))), float(signal.max()), aperture)


def snr_matched(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> float:
    """Return sqrt(sum A^2 invvar) over good pixels: the S/N of the flux when the shape is known.

    Arrays of any shape: with a leading axis of bands it is the value over all bands, the root of the sum of squares of each band's.
    """
    return _snr(arc_nmgy, invvar, good).matched


def snr_peak_pixel(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> float:
    """Return max(A sqrt(invvar)) over good pixels."""
    return _snr(arc_nmgy, invvar, good).peak_pixel


def snr_aperture(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> float:
    """Return sum A / sqrt(sum 1 / invvar) over good pixels with A above one sigma; 0 where good pixels exist and none is above."""
    return _snr(arc_nmgy, invvar, good).aperture


def _snr(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> ArcSnr:
    """Return the ratios over the good pixels, which need a positive inverse variance as well."""
    arc, weight = np.asarray(arc_nmgy, dtype=np.float64), np.asarray(invvar, dtype=np.float64)
    if not arc.shape == weight.shape == np.shape(good):
        raise ValueError(f"arc {arc.shape}, invvar {weight.shape} and good {np.shape(good)} differ in shape")
    use = np.asarray(good, dtype=np.bool_) & (weight > 0.0)
    return snr_of_pixels(arc[use], weights_of(weight[use]))
