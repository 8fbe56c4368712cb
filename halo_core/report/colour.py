"""Colour pictures of stamps: z, r, g as red, green, blue with an asinh stretch of the intensity.

After Lupton et al. (2004): the mean of the three scaled bands is stretched and each band keeps its share of it, so that
colours do not depend on brightness. The parts of one triplet share one stretch, taken from the injected stamp: what is
as bright looks as bright, and arc and host can be recognised in their sum.
"""

import base64
import io
from dataclasses import dataclass

import numpy as np
from matplotlib.image import imsave
from numpy.typing import NDArray

BAND_SCALE_GRZ = (6.0, 3.4, 2.2)
"""Factors that bring g, r and z of a red galaxy to similar numbers: those of the Legacy Surveys viewer."""

_SOFTENING_SIGMA = 3.0
_WHITE_QUANTILE = 0.998
_MAD_PER_SIGMA = 0.6744897501960817


@dataclass(frozen=True)
class Stretch:
    """One asinh stretch.

    Attributes
    ----------
    black : float
        Intensity that becomes 0.
    softening : float
        Intensity above black where the stretch turns from linear to logarithmic; > 0.
    white : float
        Intensity that becomes 1; > black.
    """

    black: float
    softening: float
    white: float


def stretch_of(planes_nmgy: NDArray[np.floating]) -> Stretch:
    """Return the stretch of a stamp: linear in the noise, logarithmic in the galaxies.

    Parameters
    ----------
    planes_nmgy : ndarray, shape (3, ny, nx)
        g, r, z [nmgy per pixel]. Pixels that are not finite, or 0 in all bands (no data), do not count.
    """
    intensity = _intensity(planes_nmgy)
    used = intensity[np.any(planes_nmgy != 0.0, axis=0) & np.isfinite(intensity)]
    if used.size == 0:
        return Stretch(0.0, 1.0, 1.0)
    sky = float(np.median(used))
    below = used[used <= sky]
    sigma = float(np.median(np.abs(below - sky))) / _MAD_PER_SIGMA
    softening = _SOFTENING_SIGMA * sigma if sigma > 0 else max(float(np.ptp(used)) / 30.0, 1e-6)
    black = sky - softening / _SOFTENING_SIGMA
    return Stretch(black, softening, max(float(np.quantile(used, _WHITE_QUANTILE)), black + 5.0 * softening))


def rgb(planes_nmgy: NDArray[np.floating], stretch: Stretch) -> NDArray[np.uint8]:
    """Return a picture with north up.

    Parameters
    ----------
    planes_nmgy : ndarray, shape (3, ny, nx)
        g, r, z [nmgy per pixel], row 0 in the south.
    stretch : Stretch
        That of the triplet.

    Returns
    -------
    ndarray of uint8, shape (ny, nx, 3)
        Red, green, blue; row 0 in the north. Pixels that are not finite are black.
    """
    scaled = _scaled(planes_nmgy) - stretch.black
    intensity = scaled.mean(axis=0)
    full = np.arcsinh((stretch.white - stretch.black) / stretch.softening)
    stretched = np.arcsinh(np.maximum(intensity, 0.0) / stretch.softening) / full
    share = np.divide(stretched, intensity, out=np.zeros_like(intensity), where=intensity > 0)
    colours = scaled * share
    brightest = np.maximum(colours.max(axis=0), 1.0)
    picture = np.moveaxis(np.nan_to_num(colours / brightest)[::-1], 0, -1)
    return np.asarray((255.0 * np.clip(picture, 0.0, 1.0) + 0.5)[::-1], dtype=np.uint8)


def png_data_uri(picture: NDArray[np.uint8]) -> str:
    """Return a picture of shape (ny, nx, 3) as a PNG data URI."""
    stream = io.BytesIO()
    imsave(stream, np.ascontiguousarray(picture), format="png", metadata={"Software": "Dark Halo Scope"})
    return "data:image/png;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _scaled(planes_nmgy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the bands times their factors, non-finite pixels as NaN."""
    scaled = np.asarray(planes_nmgy, dtype=np.float64) * np.asarray(BAND_SCALE_GRZ)[:, None, None]
    return np.where(np.isfinite(scaled), scaled, np.nan)


def _intensity(planes_nmgy: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the mean of the scaled bands, NaN where a band is not finite."""
    return np.asarray(_scaled(planes_nmgy).mean(axis=0), dtype=np.float64)
