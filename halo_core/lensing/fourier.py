"""From cell means to the pixels of a stamp: transform, divide out the cell, multiply by the PSF, fold, transform back.

The light lives on a grid of `factor` cells a pixel, anchored at the middle of the stamp; a frame of P x P pixels is one period.
With X(k) the continuous-phase transform of the cell means, each band is G(k) = X(k) T(k) / sinc(k side / 2), evaluated inside the
PSF's pass band and folded on the P x P frequencies of the pixel grid: sampling a band-limited image at pixel centres is exactly
this fold. No band-limit is assumed of the pixel grid itself.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing.compiled import compiled

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True)
class Frame:
    """The periodic frame a stamp is convolved in.

    Parameters
    ----------
    size_pix : int
        Side of the stamp [pix].
    period_pix : int
        Side of the frame, even, >= size_pix [pix].
    factor : int
        Cells along a pixel's side.
    assignment : int
        Boxes of a cell's side the light is convolved with.
    cutoff : int
        Highest frequency kept, in cycles per frame; < period_pix * factor / 2.
    """

    size_pix: int
    period_pix: int
    factor: int
    assignment: int
    cutoff: int

    @property
    def wavenumbers(self) -> FloatArray:
        """Angular wavenumbers 0, 1, ..., cutoff [rad/arcsec], shape (cutoff + 1,)."""
        step = 2.0 * np.pi / (self.period_pix * PIXEL_SCALE_ARCSEC)
        return step * np.arange(self.cutoff + 1, dtype=np.float64)


def light_spectrum(means: FloatArray, *, corner: tuple[int, int], frame: Frame, pixel_response: bool) -> ComplexArray:
    """Return the spectrum of the light with the cell divided out and the phase of the stamp's first pixel.

    Parameters
    ----------
    means : ndarray, shape (rows, columns)
        Means over the cells; no side longer than the frame.
    corner : tuple of int
        Row and column, in cells from the middle of the stamp, of the lower left cell.
    frame : Frame
        Stamp, period and cells.
    pixel_response : bool
        Whether to average over the square pixel.

    Returns
    -------
    ndarray, shape (2 cutoff + 1, cutoff + 1), complex128
        Rows are the y frequencies -cutoff ... cutoff, columns the x frequencies 0 ... cutoff.
    """
    n_cells = frame.period_pix * frame.factor
    cut = frame.cutoff
    rows = fft.rfft(means, n=n_cells, axis=1, workers=1)[:, : cut + 1]
    rows = rows * _axis_response(corner[1], frame, pixel_response=pixel_response)
    both = fft.fft(rows, n=n_cells, axis=0, workers=1)
    response = _axis_response(corner[0], frame, pixel_response=pixel_response)
    out = np.empty((2 * cut + 1, cut + 1), dtype=np.complex128)
    np.multiply(both[: cut + 1], response[:, None], out=out[cut:])
    np.multiply(both[n_cells - cut :], response[:0:-1, None].conj(), out=out[:cut])
    return out


def convolved_stamp(spectrum: ComplexArray, transfer: FloatArray | ComplexArray, *, frame: Frame) -> FloatArray:
    """Return the stamp of one band: spectrum times transfer, folded and transformed back; shape (size, size).

    The transfer holds the PSF's transform on the rows and columns of the spectrum; a real one holds the rows 0 ... cutoff only and is
    even in y.
    """
    period = frame.period_pix
    folded = np.zeros((period, period // 2 + 1), dtype=np.complex128)
    _fold(spectrum, transfer, folded)
    columns = fft.ifft(folded, axis=0, workers=1, overwrite_x=True)[: frame.size_pix]
    return np.asarray(fft.irfft(columns, n=period, axis=1, workers=1)[:, : frame.size_pix])


def _axis_response(corner: int, frame: Frame, *, pixel_response: bool) -> ComplexArray:
    """Return phase over cell response along one axis for the frequencies 0 ... cutoff."""
    first_pixel = -0.5 * (frame.size_pix - 1)
    first_cell = (corner + 0.5) / frame.factor
    half_turns = np.arange(frame.cutoff + 1, dtype=np.float64) * (np.pi / frame.period_pix)
    # brightness times the side of the cell, once an axis, is the flux of the cell
    response = np.exp(-2j * (first_cell - first_pixel) * half_turns) * (PIXEL_SCALE_ARCSEC / frame.factor)
    response /= _sinc(half_turns / frame.factor) ** frame.assignment
    if pixel_response:
        response *= _sinc(half_turns)
    return cast(ComplexArray, response)


def _sinc(x: FloatArray) -> FloatArray:
    """Return sin(x) / x for an axis that starts at 0."""
    out = np.ones_like(x)
    np.divide(np.sin(x[1:]), x[1:], out=out[1:])
    return out


@compiled
def _fold(spectrum: ComplexArray, transfer: FloatArray | ComplexArray, folded: ComplexArray) -> None:
    """Add spectrum times transfer to the frequencies of the pixel grid they alias to; a transfer with half of the rows is even in y."""
    period = folded.shape[0]
    half = period // 2
    rows, cut = spectrum.shape[0], spectrum.shape[1] - 1
    is_even = transfer.shape[0] != rows
    for row in range(rows):
        ky = row - cut
        source = abs(ky) if is_even else row
        target = ky % period
        for kx in range(min(cut, half) + 1):
            folded[target, kx] += spectrum[row, kx] * transfer[source, kx]
        mirror = (-ky) % period
        for kx in range(half, cut + 1):
            # frequency kx is kx - period, the conjugate of (-ky, period - kx)
            alias = kx % period
            value = spectrum[row, kx] * transfer[source, kx]
            if kx > half and alias <= half:
                folded[target, alias] += value
            if (period - alias) % period <= half:
                folded[mirror, (period - alias) % period] += np.conj(value)
