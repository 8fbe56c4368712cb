"""Poisson noise of a painted arc, drawn from a stream of its own for every injection and band.

Convention: with f+ = max(f, 0) the noiseless arc and n2e the electrons per nanomaggy of the whole coadd stack, noise = Poisson(f+
n2e) / n2e - f+, exactly 0 where f+ = 0 or where the inverse variance is 0; the inverse variance becomes 1 / (1 / invvar + f+ /
n2e). An infinite gain leaves both as they are, bit for bit. Coadds are resampled, so that the real noise of neighbouring pixels is
correlated; this one is not.
"""

import numpy as np
from numpy.typing import NDArray

from halo_core.seeds import generator

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

SKY_NMGY_PER_PIXEL = {"g": 0.135, "r": 0.31, "z": 2.5}
"""Typical sky brightness in a coadd pixel [nmgy], from DR10 exposures; scatter 30 %."""

STREAM = "shot_noise"
"""Purpose under which the stream of an injection is keyed."""


def electrons_per_nmgy(invvar: FloatArray, good: BoolArray, *, band: str) -> float:
    """Estimate the electrons per nanomaggy of a stack from its sky-limited noise.

    Sky electrons S n2e have the variance S / n2e in nanomaggies, hence n2e = S x median invvar over the good pixels.

    Parameters
    ----------
    invvar : ndarray
        Inverse variance [nmgy^-2].
    good : ndarray of bool, same shape
        Pixels to use.
    band : {"g", "r", "z"}
        Band, which decides the sky.

    Returns
    -------
    float
        [electrons/nmgy]; NaN where no pixel is good: the caller sets the flag of the band.

    Raises
    ------
    ValueError
        No sky brightness is known for the band.
    """
    if band not in SKY_NMGY_PER_PIXEL:
        raise ValueError(f"no sky brightness is known for band {band!r}; give electrons_per_nmgy, or one of {tuple(SKY_NMGY_PER_PIXEL)}")
    if not np.any(good):
        return float("nan")
    return float(SKY_NMGY_PER_PIXEL[band] * np.median(np.asarray(invvar, dtype=np.float64)[good]))


def shot_noise(
    arc_nmgy: FloatArray, invvar: FloatArray, *, electrons_per_nmgy: float, physical_id: str, band: str
) -> tuple[FloatArray, FloatArray]:
    """Return the shot noise of an arc and the inverse variance with it.

    Parameters
    ----------
    arc_nmgy : ndarray, shape (ny, nx)
        Noiseless arc on the largest stamp [nmgy/pixel]; smaller stamps are crops of the result.
    invvar : ndarray, shape (ny, nx)
        Inverse variance of the host [nmgy^-2], >= 0.
    electrons_per_nmgy : float
        Gain of the stack; > 0, may be infinite.
    physical_id : str
        Injection, which keys the stream with the band.
    band : str
        Band.

    Returns
    -------
    tuple of two ndarrays, float64
        Noise [nmgy/pixel] and inverse variance [nmgy^-2].

    Raises
    ------
    ValueError
        The gain is not positive, or the arc is too bright to be counted in 63 bits.

    Notes
    -----
    Every pixel draws, whatever its inverse variance, so that masking one pixel changes no other.
    """
    if not electrons_per_nmgy > 0.0:
        raise ValueError(f"electrons_per_nmgy = {electrons_per_nmgy} is not positive; flag the band, or give a gain")
    positive = np.maximum(np.asarray(arc_nmgy, dtype=np.float64), 0.0)
    weight = np.asarray(invvar, dtype=np.float64)
    if np.isinf(electrons_per_nmgy):
        return np.zeros_like(positive), weight.copy()
    counts = generator(physical_id, STREAM, band).poisson(positive * electrons_per_nmgy)
    drawn = (positive > 0.0) & (weight > 0.0)
    noise = np.where(drawn, counts / electrons_per_nmgy - positive, 0.0)
    updated = weight.copy()
    updated[drawn] = 1.0 / (1.0 / weight[drawn] + positive[drawn] / electrons_per_nmgy)
    return noise, updated
