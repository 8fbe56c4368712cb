"""FITS binary tables read some rows at a time through byte ranges: bounded memory for a file of any size, in a folder or far away.

Rows of a binary table have one width, so that rows a to b are one range of bytes. Astropy reads the header and the column formats.

Source: FITS standard 4.0, section 7.3.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from halo_core.errors import SurveyDataError

Columns = dict[str, NDArray[Any]]
ReadRange = Callable[[int, int], bytes]
"""Gives bytes start to stop (not included) of a file, fewer at its end."""

_BLOCK_BYTES = 2880
_CARD_BYTES = 80
_HEADER_READ_BYTES = 20 * _BLOCK_BYTES
_HEADER_MAX_BYTES = 1000 * _BLOCK_BYTES
GZIP_MAGIC = b"\x1f\x8b"
"""What a file starts with that is compressed as a whole."""

_TRUE = ord("T")


@dataclass(frozen=True)
class _Format:
    """How a column stands in a row."""

    letter: str
    dtype: np.dtype[Any]
    offset: int
    scale: float | None
    zero: float | None
    null: int | None

    def values(self, raw: NDArray[Any]) -> NDArray[Any]:
        """Return what is meant: native byte order, scaled, text without trailing blanks, undefined integers and truths as NaN."""
        if self.letter == "A":
            return np.asarray(np.char.rstrip(raw.astype(np.str_)))
        if self.letter == "L":
            return np.where(raw == 0, np.nan, raw == _TRUE) if (raw == 0).any() else np.asarray(raw == _TRUE)
        values: NDArray[Any] = raw.astype(raw.dtype.newbyteorder("="))
        if self.scale not in (None, 1.0) or self.zero not in (None, 0):
            scale, zero = 1.0 if self.scale is None else self.scale, 0.0 if self.zero is None else self.zero
            is_whole = scale == 1.0 and float(zero).is_integer() and raw.dtype.kind in "iu" and raw.dtype.itemsize < 8
            values = values.astype(np.int64) + int(zero) if is_whole else values * np.float64(scale) + np.float64(zero)
        return values if self.null is None else np.where(raw == self.null, np.nan, values)


@dataclass(frozen=True)
class FitsTable:
    """The binary table in HDU 1 of a file, known by its header; made by ``open_fits_table``.

    Attributes
    ----------
    where : str
        The file, for messages.
    names : mapping of str to str
        The file's name of each column by its lower-case name, in the order of the file.
    n_rows, row_bytes : int
        Rows, and width of a row [bytes].
    """

    where: str
    names: Mapping[str, str]
    n_rows: int
    row_bytes: int
    _start: int
    _formats: Mapping[str, _Format]
    _read_range: ReadRange

    def chunks(self, names: Iterable[str], *, chunk_bytes: int) -> Iterator[Columns]:
        """Yield some columns, some rows at a time, in the order of the file.

        Parameters
        ----------
        names : iterable of str
            Lower-case names of columns that are there.
        chunk_bytes : int
            Most bytes of the file that are held at once, one row at least [bytes].

        Raises
        ------
        SurveyDataError
            A column is of bits or of variable length, or the file ends too early.
        """
        wanted = {name: self._formats[name] for name in names}
        odd = sorted(name for name, form in wanted.items() if form.letter in "XPQ")
        if odd:
            raise SurveyDataError(f"{self.where}: columns {odd} are of bits or of variable length, which are not read")
        dtype = np.dtype(
            {
                "names": list(wanted),
                "formats": [form.dtype for form in wanted.values()],
                "offsets": [form.offset for form in wanted.values()],
                "itemsize": self.row_bytes,
            }
        )
        n_at_once = max(1, chunk_bytes // self.row_bytes)
        for first in range(0, self.n_rows, n_at_once):
            last = min(first + n_at_once, self.n_rows)
            start, stop = (self._start + row * self.row_bytes for row in (first, last))
            rows = np.frombuffer(_exactly(self._read_range, start, stop, self.where), dtype=dtype)
            yield {name: form.values(rows[name]) for name, form in wanted.items()}

    def whole(self) -> Columns:
        """Return all columns of all rows; errors as ``chunks``."""
        none = {name: form.values(np.zeros(0, dtype=form.dtype)) for name, form in self._formats.items()}
        return next(self.chunks(self.names, chunk_bytes=self.n_rows * self.row_bytes), none)


@dataclass(frozen=True)
class _Header:
    """A header and where its data start."""

    text: bytes
    data_start: int

    @cached_property
    def cards(self) -> fits.Header:
        """The header's cards."""
        return fits.Header.fromstring(self.text)

    @property
    def data_bytes(self) -> int:
        """Size of the data, padding included [bytes]."""
        axes = [self.cards[f"NAXIS{axis}"] for axis in range(1, self.cards["NAXIS"] + 1)]
        n_values = (self.cards.get("PCOUNT", 0) + prod(axes)) * self.cards.get("GCOUNT", 1) if axes else 0
        n_bytes = abs(self.cards["BITPIX"]) // 8 * n_values
        return int(-(-n_bytes // _BLOCK_BYTES) * _BLOCK_BYTES)


def open_fits_table(read_range: ReadRange, *, where: str) -> FitsTable:
    """Return the binary table in HDU 1 of a file, of which only the headers are read.

    Parameters
    ----------
    read_range : callable
        Gives bytes start to stop of the file.
    where : str
        The file, for messages.

    Raises
    ------
    SurveyDataError
        The file is compressed as a whole, is not FITS, has no binary table in HDU 1, or two of its columns differ in case only.
    """
    begin = read_range(0, _CARD_BYTES)
    if begin.startswith(GZIP_MAGIC):
        raise SurveyDataError(f"{where}: is compressed with gzip, so that no range of its rows can be read; unpack it")
    if not begin.startswith(b"SIMPLE  ="):
        raise SurveyDataError(f"{where}: is not a FITS file")
    primary = _read_header(read_range, 0, where)
    start = primary.data_start + primary.data_bytes
    if not read_range(start, start + _CARD_BYTES).startswith(b"XTENSION= 'BINTABLE'"):
        raise SurveyDataError(f"{where}: HDU 1 is not a binary table")
    header = _read_header(read_range, start, where)
    if header.cards.get("ZTABLE", False) or header.cards.get("ZIMAGE", False):
        raise SurveyDataError(f"{where}: the table in HDU 1 is compressed; unpack it (funpack)")
    columns = fits.BinTableHDU.fromstring(header.text).columns
    names = lower_names(list(columns.names), where)
    row_bytes = int(header.cards["NAXIS1"])
    if columns.dtype.itemsize != row_bytes:
        raise SurveyDataError(f"{where}: the columns of HDU 1 are {columns.dtype.itemsize} bytes wide, a row is {row_bytes}")
    formats = {name: _format(columns[given], columns.dtype.fields[given]) for name, given in names.items()}
    return FitsTable(where, names, int(header.cards["NAXIS2"]), row_bytes, header.data_start, formats, read_range)


def lower_names(names: list[str], where: str) -> dict[str, str]:
    """Return name by lower-case name.

    Raises
    ------
    SurveyDataError
        Two names become one.
    """
    lower = {name.lower(): name for name in names}
    if len(lower) != len(names):
        twice = sorted(name for name in names if lower[name.lower()] != name)
        raise SurveyDataError(f"{where}: columns {twice} differ from another one in case only, or stand twice")
    return lower


def _format(column: fits.Column, field: tuple[Any, ...]) -> _Format:
    """Return how a column stands in a row, from astropy's reading of the header; numbers in a file are big-endian."""
    letter = next(character for character in str(column.format) if character.isalpha())
    dtype, offset = field[0], field[1]
    return _Format(letter, dtype.newbyteorder(">"), int(offset), column.bscale, column.bzero, column.null)


def _read_header(read_range: ReadRange, start: int, where: str) -> _Header:
    """Return the header that starts at this byte."""
    text = b""
    while len(text) < _HEADER_MAX_BYTES:
        more = read_range(start + len(text), start + len(text) + _HEADER_READ_BYTES)
        text += more
        end = _end_of_cards(text)
        if end is not None:
            n_bytes = -(-end // _BLOCK_BYTES) * _BLOCK_BYTES
            return _Header(text[:n_bytes].ljust(n_bytes), start + n_bytes)
        if len(more) < _HEADER_READ_BYTES:
            break
    raise SurveyDataError(f"{where}: the header at byte {start} does not end: the file is cut short or is not FITS")


def _end_of_cards(text: bytes) -> int | None:
    """Return the bytes up to and with the END card, None where it is not there yet."""
    for place in range(0, len(text) - _CARD_BYTES + 1, _CARD_BYTES):
        if text[place : place + _CARD_BYTES].rstrip() == b"END":
            return place + _CARD_BYTES
    return None


def _exactly(read_range: ReadRange, start: int, stop: int, where: str) -> bytes:
    """Return all bytes of a range."""
    data = read_range(start, stop)
    if len(data) != stop - start:
        raise SurveyDataError(f"{where}: ends at byte {start + len(data)}, but its rows reach to byte {stop} at least: it is cut short")
    return data
