"""From light on cells to the pixels of a stamp: transform, divide out the cell, multiply by the PSF, fold, transform back.

The light lives on a grid of `factor` cells a pixel, anchored at the middle of the stamp; a frame of P x P pixels is one period.
With X(k) the continuous-phase transform of the light, each band is G(k) = X(k) T(k) / sinc(k side / 2), evaluated inside the
PSF's pass band and folded on the P x P frequencies of the pixel grid: sampling a band-limited image at pixel centres is exactly
this fold. No band-limit is assumed of the pixel grid itself. All in single precision: rounding leaves 1e-7 of the peak.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from rocket_fft import c2c, c2r, r2c

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing.compiled import compiled, real
from halo_core.lensing.kernels import exp_negative

FloatArray = NDArray[np.float32]
ComplexArray = NDArray[np.complex64]

TABLE, RADIAL, GAUSSIAN, MOFFAT = 0, 1, 2, 3
"""How the transform of a PSF is given: on the frame's frequencies, along the radius, or as the closed form of a profile of one length."""

RADIAL_SAMPLES = 2
"""Samples of a radial transform per step of the frame's frequencies."""


class Transfers(NamedTuple):
    """The transforms of the PSFs of all bands on the frequencies of one frame."""

    kinds: NDArray[np.int64]
    """TABLE, RADIAL, GAUSSIAN or MOFFAT (exponent 3.5), shape (n_bands,)."""
    lengths: NDArray[np.float64]
    """Sigma or scale radius of the closed forms times the step in wavenumber, shape (n_bands,)."""
    fluxes: NDArray[np.float64]
    """Flux of the closed forms, 1 for the others, shape (n_bands,)."""
    profiles: FloatArray
    """Of kind RADIAL: values at -1, 0, 1, ... samples of half a step, shape (n_bands, n_samples), or empty if there are none."""
    tables: ComplexArray
    """Of kind TABLE: rows k_y = -cutoff ... cutoff, columns k_x = 0 ... cutoff, shape (n_bands, 2 cutoff + 1, cutoff + 1), or empty."""


class Frame(NamedTuple):
    """The periodic frame a stamp is convolved in."""

    size: int
    """Side of the stamp [pix]."""
    period: int
    """Side of the frame, even, >= size [pix]."""
    factor: int
    """Cells along a pixel's side."""
    assignment: int
    """Boxes of a cell's side the light is convolved with."""
    cutoff: int
    """Highest frequency kept, in cycles per frame; < period * factor / 2."""
    pixel_response: bool
    """Whether to average over the square pixel."""


@compiled
def convolve(light: FloatArray, row: int, column: int, frame: Frame, psfs: Transfers, fluxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the stamp of every band.

    Parameters
    ----------
    light : ndarray, shape (rows, columns), float32
        Brightness of the cells [arcsec^-2]; what lies outside the frame is left out.
    row, column : int
        Of the lower left cell, in cells from the middle of the stamp.
    frame : Frame
        Stamp, period and cells.
    psfs : Transfers
        PSF of every band.
    fluxes : ndarray, shape (n_bands,)
        What a stamp is multiplied by.

    Returns
    -------
    ndarray, shape (n_bands, size, size), float64
    """
    spectrum = _spectrum(light, row, column, frame)
    period, n_bands = frame.period, len(fluxes)
    folded = np.zeros((n_bands, period, period // 2 + 1), np.complex64)
    transfer = np.empty(frame.cutoff + 1, np.float32)
    for band in range(n_bands):
        if psfs.kinds[band] == TABLE:
            _fold_table(spectrum, psfs.tables[band], folded[band])
            continue
        for ky in range(frame.cutoff + 1):
            if psfs.kinds[band] == RADIAL:
                _radial_row(psfs.profiles[band], ky, transfer)
            else:
                _closed_row(psfs.kinds[band] == GAUSSIAN, psfs.lengths[band], ky, transfer)
            _fold_real(spectrum, transfer, ky, folded[band])
    c2c(folded, folded, np.array([1]), False, 1.0, 1)
    rows = np.empty((n_bands, frame.size, period), np.float32)
    c2r(folded[:, : frame.size], rows, np.array([2]), False, 1.0, 1)
    out = np.empty((n_bands, frame.size, frame.size))
    for band in range(n_bands):
        scale = fluxes[band] * psfs.fluxes[band] / period**2
        for i in range(frame.size):
            for j in range(frame.size):
                out[band, i, j] = scale * rows[band, i, j]
    return out


@compiled
def _spectrum(light: FloatArray, row: int, column: int, frame: Frame) -> ComplexArray:
    """Return the transform of the light, the cell divided out, with the phase of the stamp's first pixel.

    Shape (2 cutoff + 1, cutoff + 1): rows are the y frequencies -cutoff ... cutoff, columns the x frequencies 0 ... cutoff.
    """
    n_cells, cut = frame.period * frame.factor, frame.cutoff
    half = n_cells // 2
    first_row, last_row = max(row, -half), min(row + light.shape[0], half)
    first_column, last_column = max(column, -half), min(column + light.shape[1], half)
    out = np.zeros((2 * cut + 1, cut + 1), np.complex64)
    if first_row >= last_row or first_column >= last_column:
        return out
    padded = np.zeros((last_row - first_row, n_cells), np.float32)
    padded[:, : last_column - first_column] = light[first_row - row : last_row - row, first_column - column : last_column - column]
    rows = np.empty((last_row - first_row, n_cells // 2 + 1), np.complex64)
    r2c(padded, rows, np.array([1]), True, 1.0, 1)
    both = np.empty((n_cells, cut + 1), np.complex64)
    c2c(rows[:, : cut + 1], both, np.array([0]), True, 1.0, 1)
    along_x, along_y = _axis_response(first_column, frame), _axis_response(first_row, frame)
    for ky in range(-cut, cut + 1):
        response = along_y[ky] if ky >= 0 else np.conj(along_y[-ky])
        source = ky if ky >= 0 else ky + n_cells
        for kx in range(cut + 1):
            out[ky + cut, kx] = both[source, kx] * (response * along_x[kx])
    return out


@compiled
def _axis_response(corner: int, frame: Frame) -> ComplexArray:
    """Return phase over cell response along one axis for the frequencies 0 ... cutoff."""
    shift = (corner + 0.5) / frame.factor + 0.5 * (frame.size - 1)
    out = np.empty(frame.cutoff + 1, np.complex64)
    for k in range(frame.cutoff + 1):
        half_turn = k * np.pi / frame.period
        # brightness times the side of the cell, once an axis, is the flux of the cell
        response = PIXEL_SCALE_ARCSEC / frame.factor / _sinc(half_turn / frame.factor) ** frame.assignment
        response *= _sinc(half_turn) if frame.pixel_response else 1.0
        out[k] = np.complex64(complex(response * np.cos(2.0 * shift * half_turn), -response * np.sin(2.0 * shift * half_turn)))
    return out


@compiled
def _sinc(x: float) -> float:
    """Return sin(x) / x."""
    return np.sin(x) / x if x != 0.0 else 1.0


@compiled
def _closed_row(is_gaussian: bool, length: float, ky: int, transfer: FloatArray) -> None:
    """Write a closed form at the frequencies (0 ... cutoff, ky); ``length`` is sigma or scale radius times the step in wavenumber.

    Moffat of exponent 3.5: exp(-x) (1 + x + x^2/3), x = k alpha (Trujillo et al. 2001, eq. 3, half-integer index).
    """
    length2, y2 = real(length * length), real(ky * ky)
    if is_gaussian:
        for kx in range(len(transfer)):
            transfer[kx] = exp_negative(real(0.5) * length2 * (real(kx * kx) + y2))
    else:
        for kx in range(len(transfer)):
            x2 = length2 * (real(kx * kx) + y2)
            x = np.sqrt(x2)
            transfer[kx] = exp_negative(x) * (real(1.0) + x + x2 * real(1.0 / 3.0))


@compiled
def _radial_row(profile: FloatArray, ky: int, transfer: FloatArray) -> None:
    """Write a sampled radial transform at the frequencies (0 ... cutoff, ky), by the cubic through four samples."""
    for kx in range(len(transfer)):
        place = real(RADIAL_SAMPLES) * np.sqrt(real(kx * kx + ky * ky))
        i = int(place)
        t = place - real(i)
        a, b, c, d = profile[i], profile[i + 1], profile[i + 2], profile[i + 3]
        u = real(1.0) - t
        # Lagrange's form on -1, 0, 1, 2
        outer = t * u * ((real(1.0) + u) * a + (real(1.0) + t) * d) * real(-1.0 / 6.0)
        transfer[kx] = outer + (real(1.0) + u) * (real(1.0) + t) * (u * b + t * c) * real(0.5)


@compiled
def _fold_real(spectrum: ComplexArray, transfer: FloatArray, ky: int, folded: ComplexArray) -> None:
    """Add the rows +ky and -ky of the spectrum times a transform that is real and even to the frequencies of the pixel grid."""
    cut = spectrum.shape[1] - 1
    row = np.empty(cut + 1, np.complex64)
    for sign in (1, -1):
        if ky > 0 or sign > 0:
            for kx in range(cut + 1):
                row[kx] = spectrum[cut + sign * ky, kx] * transfer[kx]
            _fold_row(row, sign * ky, folded)


@compiled
def _fold_table(spectrum: ComplexArray, table: ComplexArray, folded: ComplexArray) -> None:
    """Add spectrum times a tabulated transform to the frequencies of the pixel grid."""
    cut = spectrum.shape[1] - 1
    row = np.empty(cut + 1, np.complex64)
    for i in range(2 * cut + 1):
        for kx in range(cut + 1):
            row[kx] = spectrum[i, kx] * table[i, kx]
        _fold_row(row, i - cut, folded)


@compiled
def _fold_row(row: ComplexArray, ky: int, folded: ComplexArray) -> None:
    """Add one row of frequencies 0 ... cutoff to those of the pixel grid they alias to, of which 0 ... period / 2 are kept."""
    period = folded.shape[0]
    half, cut = period // 2, len(row) - 1
    target, mirror = ky % period, (-ky) % period
    for kx in range(min(cut, half) + 1):
        folded[target, kx] += row[kx]
    for kx in range(half, cut + 1):
        # frequency kx is kx - period, the conjugate of (-ky, period - kx)
        alias = kx % period
        if kx > half and alias <= half:
            folded[target, alias] += row[kx]
        if (period - alias) % period <= half:
            folded[mirror, (period - alias) % period] += np.conj(row[kx])
