"""Signal to noise of an arc: matched filter, brightest pixel, and the isophote above one sigma.

All take the noiseless arc A [nmgy/pixel], the inverse variance [nmgy^-2] and the good pixels, in arrays of one shape. The result is
NaN when no pixel is good: it was not measured, which is not zero; the caller stores NULL and sets the flag. Pixels are taken as
independent.
"""

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]


def snr_matched(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> float:
    """Return sqrt(sum A^2 invvar) over good pixels: the S/N of the flux when the shape is known.

    Arrays of any shape: with a leading axis of bands it is the value over all bands, the root of the sum of squares of each band's.
    """
    arc, weight = _usable(arc_nmgy, invvar, good)
    return float(np.sqrt(np.sum(arc**2 * weight))) if arc.size else float("nan")


def snr_peak_pixel(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> float:
    """Return max(A sqrt(invvar)) over good pixels."""
    arc, weight = _usable(arc_nmgy, invvar, good)
    return float(np.max(arc * np.sqrt(weight))) if arc.size else float("nan")


def snr_aperture(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> float:
    """Return sum A / sqrt(sum 1 / invvar) over good pixels with A above one sigma; 0 where good pixels exist and none is above."""
    arc, weight = _usable(arc_nmgy, invvar, good)
    if not arc.size:
        return float("nan")
    above = arc * np.sqrt(weight) > 1.0
    return float(np.sum(arc[above]) / np.sqrt(np.sum(1.0 / weight[above]))) if np.any(above) else 0.0


def _usable(arc_nmgy: FloatArray, invvar: FloatArray, good: BoolArray) -> tuple[FloatArray, FloatArray]:
    """Return arc and inverse variance at the good pixels, which need a positive inverse variance as well."""
    arc, weight = np.asarray(arc_nmgy, dtype=np.float64), np.asarray(invvar, dtype=np.float64)
    if not arc.shape == weight.shape == np.shape(good):
        raise ValueError(f"arc {arc.shape}, invvar {weight.shape} and good {np.shape(good)} differ in shape")
    use = np.asarray(good, dtype=np.bool_) & (weight > 0.0)
    return arc[use], weight[use]
