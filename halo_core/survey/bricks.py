"""The closed-form grid of bricks: no table is needed to go from a position to its brick.

Rows are 0.25 deg high and centred on multiples of 0.25 deg (rows 0 and 720 are the poles); every row is cut in an even number
of columns no wider than 0.25 deg on the sky. Boxes are half open: ra1 <= RA < ra2, dec1 <= Dec < dec2. A brick image is a TAN
projection around the brick's centre, north up and east left, pixel centres at integers from 0.

Source: the grid of the DESI Legacy Imaging Surveys (``survey-bricks.fits.gz``), 662,174 bricks.
"""

import re
from dataclasses import dataclass
from functools import cache

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike, NDArray

from halo_core.constants import ARCSEC_PER_DEG, BRICK_SIDE_DEG, BRICK_SIZE_PIX, PIXEL_SCALE_ARCSEC
from halo_core.errors import SurveyDataError

N_ROWS = round(180.0 / BRICK_SIDE_DEG) + 1
N_BRICKS = 662_174
"""Rows and bricks of the whole sky."""

_NAME_TENTH_GUARD = 1e-6
_NAME = re.compile(r"[0-9]{4}[pm][0-9]{3}")


@dataclass(frozen=True)
class Bricks:
    """Bricks as arrays of one length.

    Attributes
    ----------
    brickname : ndarray of str, shape (n,)
        Name such as ``0285m165``; truncated tenths of a degree, so a name holds no exact centre.
    brickid : ndarray of int64, shape (n,)
        1-based index in the grid.
    row, col, q : ndarray of int64, shape (n,)
        Row and column of the grid, 0-based, and the parity class ``2 (row % 2) + col % 2``.
    ra, dec, ra1, ra2, dec1, dec2 : ndarray of float64, shape (n,)
        Centre and edges of the unique area [deg].
    """

    brickname: NDArray[np.str_]
    brickid: NDArray[np.int64]
    row: NDArray[np.int64]
    col: NDArray[np.int64]
    q: NDArray[np.int64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    ra1: NDArray[np.float64]
    ra2: NDArray[np.float64]
    dec1: NDArray[np.float64]
    dec2: NDArray[np.float64]

    def __len__(self) -> int:
        """Return the number of bricks."""
        return len(self.brickid)

    def contains(self, ra_deg: ArrayLike, dec_deg: ArrayLike) -> NDArray[np.bool_]:
        """Return whether positions (broadcast against the bricks) lie in the unique areas: BRICK_PRIMARY."""
        ra = _wrapped(np.asarray(ra_deg, dtype=np.float64))
        dec = np.asarray(dec_deg, dtype=np.float64)
        inside: NDArray[np.bool_] = (self.ra1 <= ra) & (ra < self.ra2) & (self.dec1 <= dec) & (dec < self.dec2)
        return inside


def brick_at(ra_deg: ArrayLike, dec_deg: ArrayLike) -> Bricks:
    """Return the brick that owns each position.

    Parameters
    ----------
    ra_deg, dec_deg : float or ndarray, shape (n,)
        Positions, ICRS [deg]; any RA (taken modulo 360), -90 <= Dec <= 90.

    Returns
    -------
    Bricks
        One entry per position.

    Raises
    ------
    ValueError
        A position is not finite, or a declination lies outside [-90, 90].
    """
    ra, dec = np.broadcast_arrays(np.atleast_1d(np.asarray(ra_deg, np.float64)), np.atleast_1d(np.asarray(dec_deg, np.float64)))
    bad = ~(np.isfinite(ra) & (np.abs(dec) <= 90.0))
    if bad.any():
        first = int(np.flatnonzero(bad)[0])
        raise ValueError(f"{int(bad.sum())} of {len(ra)} rows are no sky positions, first row {first}: RA {ra[first]}, Dec {dec[first]}")
    ra = _wrapped(ra)
    row = np.floor((dec + 90.0 + 0.5 * BRICK_SIDE_DEG) / BRICK_SIDE_DEG).astype(np.int64)
    n_col = _columns_per_row()[row]
    col = np.floor(ra / 360.0 * n_col).astype(np.int64)
    # The edges are defined as col * 360 / n_col; the division above may land one unit of rounding on the other side of them.
    col += (ra >= (col + 1) * 360.0 / n_col).astype(np.int64)
    col -= (ra < col * 360.0 / n_col).astype(np.int64)
    return _bricks(row, col)


def brick_by_id(brickid: ArrayLike) -> Bricks:
    """Return the bricks with these ids (1-based).

    Raises
    ------
    SurveyDataError
        An id lies outside 1..662,174.
    """
    ids = np.atleast_1d(np.asarray(brickid, dtype=np.int64))
    bad = (ids < 1) | (ids > N_BRICKS)
    if bad.any():
        raise SurveyDataError(f"brickid {int(ids[bad][0])} is outside the grid (1..{N_BRICKS}); {int(bad.sum())} of {len(ids)} ids are")
    first = _first_id_of_row()
    row = np.searchsorted(first, ids, side="right") - 1
    return _bricks(row, ids - first[row])


def brick_by_name(brickname: ArrayLike) -> Bricks:
    """Return the bricks with these names.

    Raises
    ------
    SurveyDataError
        A name is not the name of a brick of the grid.
    """
    names = np.atleast_1d(np.asarray(brickname, dtype=np.str_))
    unique, inverse = np.unique(names, return_inverse=True)
    malformed = [name for name in unique.tolist() if not _NAME.fullmatch(name)]
    if malformed:
        raise SurveyDataError(f"{malformed[0]!r} is no brick name (four digits, p or m, three digits); {len(malformed)} names are not")
    row, col = _places_of_names(unique)
    return _bricks(row[inverse], col[inverse])


def brick_wcs(ra_deg: float, dec_deg: float, *, size_pix: int = BRICK_SIZE_PIX) -> WCS:
    """Return the WCS of a brick image, or of the square piece cut from its middle.

    Parameters
    ----------
    ra_deg, dec_deg : float
        Exact centre of the brick [deg].
    size_pix : int
        Side of the image [pix]; below the full brick it starts at pixel (3600 - size) // 2 of the brick image.

    Returns
    -------
    WCS
        TAN, 0.262 arcsec per pixel, north up, east left, with ``pixel_shape`` set.

    Raises
    ------
    ValueError
        The size is not in 1..3600.
    """
    wcs = WCS(naxis=2)
    scale_deg = PIXEL_SCALE_ARCSEC / ARCSEC_PER_DEG
    reference = 0.5 * (BRICK_SIZE_PIX + 1) - piece_start(size_pix)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra_deg, dec_deg]
    wcs.wcs.crpix = [reference, reference]
    wcs.wcs.cd = [[-scale_deg, 0.0], [0.0, scale_deg]]
    wcs.wcs.equinox = 2000.0
    wcs.wcs.set()
    wcs.pixel_shape = (size_pix, size_pix)
    return wcs


def piece_start(size_pix: int) -> int:
    """Return the first column (and row) of the full brick image that the middle piece of this size keeps [pix]."""
    if not 1 <= size_pix <= BRICK_SIZE_PIX:
        raise ValueError(f"a piece of a brick is 1..{BRICK_SIZE_PIX} pixels wide, not {size_pix}")
    return (BRICK_SIZE_PIX - size_pix) // 2


@cache
def _columns_per_row() -> NDArray[np.int64]:
    """Return the number of columns of every row: even, and one at either pole."""
    half = 0.5 * BRICK_SIDE_DEG
    dec = np.abs(-90.0 + BRICK_SIDE_DEG * np.arange(N_ROWS))
    n_col: NDArray[np.int64] = 2 * np.ceil(360.0 / BRICK_SIDE_DEG * np.cos(np.deg2rad(dec - half)) / 2.0).astype(np.int64)
    n_col[[0, -1]] = 1
    return n_col


@cache
def _first_id_of_row() -> NDArray[np.int64]:
    """Return the brickid of column 0 of every row."""
    n_col = _columns_per_row()
    first: NDArray[np.int64] = np.cumsum(n_col) - n_col + 1
    return first


def _wrapped(ra_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return RA in [0, 360): a tiny negative RA rounds to 360 and is 0."""
    ra = np.mod(ra_deg, 360.0)
    return np.where(ra >= 360.0, 0.0, ra)


def _bricks(row: NDArray[np.int64], col: NDArray[np.int64]) -> Bricks:
    """Return the bricks of rows and columns that are known to exist."""
    n_col = _columns_per_row()[row]
    width = 360.0 / n_col
    dec = -90.0 + BRICK_SIDE_DEG * row.astype(np.float64)
    ra = (col + 0.5) * width
    brickid = _first_id_of_row()[row] + col
    _, index, inverse = np.unique(brickid, return_index=True, return_inverse=True)
    return Bricks(
        brickname=_names(ra[index], dec[index])[inverse],
        brickid=brickid,
        row=row,
        col=col,
        q=2 * (row % 2) + col % 2,
        ra=ra,
        dec=dec,
        ra1=col * 360.0 / n_col,
        ra2=(col + 1) * 360.0 / n_col,
        dec1=dec - 0.5 * BRICK_SIDE_DEG,
        dec2=dec + 0.5 * BRICK_SIDE_DEG,
    )


def _names(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64]) -> NDArray[np.str_]:
    """Return the names of the bricks with these centres; the guard keeps exact tenths such as 208.5 from rounding down."""
    ra_tenths = np.floor(10.0 * ra_deg + _NAME_TENTH_GUARD).astype(np.int64)
    dec_tenths = np.floor(10.0 * np.abs(dec_deg) + _NAME_TENTH_GUARD).astype(np.int64)
    signs = np.where(dec_deg >= 0.0, "p", "m")
    parts = zip(ra_tenths.tolist(), signs.tolist(), dec_tenths.tolist(), strict=True)
    return np.array([f"{ra:04d}{sign}{dec:03d}" for ra, sign, dec in parts], dtype="<U8")


def _places_of_names(names: NDArray[np.str_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return rows and columns of well-formed names: the tenths of Dec are exact steps, those of RA leave one of three columns."""
    ra_tenths = np.array([int(name[:4]) for name in names.tolist()], dtype=np.int64)
    sign = np.array([1.0 if name[4] == "p" else -1.0 for name in names.tolist()])
    dec_tenths = np.array([int(name[5:]) for name in names.tolist()], dtype=np.int64)
    dec = sign * np.ceil(0.4 * dec_tenths) * BRICK_SIDE_DEG  # .0 .2 .5 .7 of a degree are its quarters, truncated
    row = np.rint((dec + 90.0) / BRICK_SIDE_DEG).astype(np.int64)
    n_col = _columns_per_row()[np.clip(row, 0, N_ROWS - 1)]
    guess = (ra_tenths * n_col) // 3600
    found = np.full(len(names), -1, dtype=np.int64)
    for col in (guess - 1, guess, guess + 1):
        centre_tenths = np.floor(10.0 * (col + 0.5) * 360.0 / n_col + _NAME_TENTH_GUARD).astype(np.int64)
        found = np.where((centre_tenths == ra_tenths) & (col >= 0) & (col < n_col), col, found)
    dec_of_row = np.floor(10.0 * np.abs(dec) + _NAME_TENTH_GUARD).astype(np.int64)
    unknown = (found < 0) | (dec_of_row != dec_tenths) | (np.abs(dec) > 90.0) | ((sign < 0.0) & (dec_tenths == 0))
    if unknown.any():
        raise SurveyDataError(f"{str(names[unknown][0])!r} is not the name of a brick of the grid; {int(unknown.sum())} names are not")
    return row, found
