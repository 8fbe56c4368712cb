"""The HDUs of a FITS file and the tiles of a compressed image (FITS Standard 4.0, sections 4 and 10.1), at the least cost that proves them.

astropy's own HDUs take ten times as long, nearly all of it for headers that it rewrites. What a tile holds is decoded by astropy.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, BinaryIO

import numpy as np
from astropy.io.fits.hdu.compressed._tiled_compression import decompress_image_data_section  # astropy exports it nowhere else
from numpy.typing import NDArray

from halo_core.errors import SurveyDataError
from halo_core.survey.fits_bytes import BLOCK_BYTES, CARD_BYTES, data_bytes, padded

Cards = Mapping[str, Any]
"""Values of header cards by name, the first of each: text, bool, int or float; what is none of them as it is written."""

_VALUE = re.compile(r" *(?:'((?:[^']|'')*)'|([^'/ ]+)) *(?:/.*)?")
_STORAGE = re.compile(
    r"SIMPLE|EXTEND|XTENSION|EXT(?:NAME|VER|LEVEL)|BITPIX|NAXIS[0-9]*|[PG]COUNT|TFIELDS|T(?:TYPE|FORM)[0-9]+|THEAP|BSCALE|BZERO|BLANK"
    r"|Z[A-Z]+[0-9]*"
)
_INTEGER = re.compile(r"[+-]?[0-9]+")
_REAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[EeDd][+-]?[0-9]+)?")
_COLUMN = re.compile(r"1?([BIJKEDPQ])(?:[BIJED](?:\([0-9]*\))?)?")
_TYPES = {"B": np.dtype("u1"), "I": np.dtype(">i2"), "J": np.dtype(">i4"), "K": np.dtype(">i8"), "E": np.dtype(">f4"), "D": np.dtype(">f8")}
_TYPES |= {"P": np.dtype((">i4", 2)), "Q": np.dtype((">i8", 2))}
_LOGICAL = {"T": True, "F": False}
_FIRST, _EXTENSION, _END = b"SIMPLE  =", b"XTENSION=", b"END"
_MAX_HEADER_BLOCKS = 1000


@dataclass(frozen=True)
class Hdu:
    """One HDU: its header and data in whole blocks, and its cards."""

    header: bytes
    data: bytes
    cards: Cards

    @property
    def is_compressed(self) -> bool:
        """Whether it is a table that holds an image in tiles."""
        return self.cards.get("XTENSION") == "BINTABLE" and self.cards.get("ZIMAGE") is True

    @property
    def is_integer(self) -> bool:
        """Whether the pixels are integers, unsigned ones in FITS' own way included; with BLANK or any other scale they are floats."""
        n_bits, zero = int(self.cards["ZBITPIX" if self.is_compressed else "BITPIX"]), float(self.cards.get("BZERO", 0.0))
        is_plain = zero == 0.0 and "BLANK" not in self.cards
        is_unsigned = zero == (2.0 ** (n_bits - 1) if n_bits > 8 else -128.0)
        return n_bits > 0 and float(self.cards.get("BSCALE", 1.0)) == 1.0 and (is_plain or is_unsigned)

    def decode(self) -> NDArray[Any]:
        """Return the stored pixels of a compressed image of two axes, every tile decoded; never in two threads at once.

        astropy's HCOMPRESS decoder keeps its state in static memory and runs without the interpreter's lock: two at once spoil each other.
        """
        n_rows, table = int(self.cards["NAXIS2"]), _Table(self.cards)
        if int(self.cards["NAXIS1"]) != table.dtype.itemsize:
            raise ValueError(f"NAXIS1 = {self.cards['NAXIS1']}, but a row of its columns has {table.dtype.itemsize} bytes")
        table.rows = np.frombuffer(self.data, table.dtype, count=n_rows)
        heap = SimpleNamespace(_data_offset=0, _theap=int(self.cards.get("THEAP", table.rows.nbytes)), _get_raw_data=self._raw)
        last = [-(-int(self.cards[f"ZNAXIS{axis}"]) // int(self.cards[f"ZTILE{axis}"])) - 1 for axis in (2, 1)]
        places = (np.zeros(2, dtype=int), np.array(last))
        pixels: NDArray[Any] = decompress_image_data_section(table, self.cards["ZCMPTYPE"], self.cards, heap, self.cards, *places)
        return pixels

    def _raw(self, n_values: int, dtype: Any, start: int) -> NDArray[Any]:
        """Return some of the data."""
        return np.frombuffer(self.data, dtype, count=n_values, offset=start)


class _Table:
    """The columns of a table of tiles, as astropy's function wants them."""

    rows: NDArray[Any]

    def __init__(self, cards: Cards) -> None:
        numbers = range(1, int(cards["TFIELDS"]) + 1)
        formats = {str(cards[f"TTYPE{n}"]).upper(): str(cards[f"TFORM{n}"]) for n in numbers}
        self.dtype = np.dtype([(name, _TYPES[_column_type(form)]) for name, form in formats.items()])
        self._coldefs = _Columns({name: SimpleNamespace(format=form) for name, form in formats.items()})
        self._coldefs.dtype = self.dtype

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Return a column."""
        column: NDArray[Any] = self.rows[name]
        return column


class _Columns(dict[str, SimpleNamespace]):
    """What a table says of its columns, by name."""

    dtype: np.dtype[Any]


def _column_type(form: str) -> str:
    """Return the letter of a column that holds one value, or one array in the heap, a row."""
    found = _COLUMN.fullmatch(form)
    if found is None:
        raise ValueError(f"TFORM {form!r} is none of a compressed image")
    return found[1]


def image_shape(cards: Cards) -> tuple[int, ...]:
    """Return the shape of an HDU's image, slowest axis first [pix]; empty where it holds none."""
    is_table = "TFIELDS" in cards
    if is_table and cards.get("ZIMAGE") is not True:
        return ()
    prefix = "Z" if is_table else ""
    return tuple(int(cards[f"{prefix}NAXIS{axis}"]) for axis in range(int(cards[f"{prefix}NAXIS"]), 0, -1))


def read_hdus(stream: BinaryIO, *, n_bytes: int, where: str) -> list[Hdu]:
    """Return every HDU of a file of that length.

    Raises
    ------
    SurveyDataError
        The file is truncated, or holds other bytes behind its HDUs.
    ValueError
        A header is none.
    """
    hdus: list[Hdu] = []
    end = 0
    while end < n_bytes:
        try:
            header, cards = read_header(stream, is_first=not hdus)
        except ValueError as error:
            if not hdus:
                raise
            raise SurveyDataError(
                f"{where}: {n_bytes} bytes, but its HDUs end at {end}: cut short in a header, or with foreign bytes ({error})"
            ) from error
        n_data = padded(data_bytes(cards))
        end += len(header) + n_data
        if not 0 <= n_data <= n_bytes or n_bytes < end:
            raise SurveyDataError(f"{where}: truncated, {n_bytes} of {end} bytes")
        hdus.append(Hdu(header, stream.read(n_data), cards))
    return hdus


def read_header(stream: BinaryIO, *, is_first: bool) -> tuple[bytes, Cards]:
    """Return the next header, which is read to its last block, and its cards.

    Raises
    ------
    ValueError
        It begins or ends as no header does.
    """
    start, header, cards = _FIRST if is_first else _EXTENSION, b"", dict[str, Any]()
    for _ in range(_MAX_HEADER_BLOCKS):
        block = stream.read(BLOCK_BYTES)
        if len(block) < BLOCK_BYTES or not (header or block.startswith(start)):
            break
        header += block
        for place in range(0, BLOCK_BYTES, CARD_BYTES):
            card = block[place : place + CARD_BYTES]
            if card.rstrip() == _END:
                _require_pairs(cards)
                return header, cards
            if card[8:10] == b"= ":
                name = card[:8].rstrip().decode("latin-1")
                cards.setdefault(name, _value(name, card[10:].decode("latin-1")))
    raise ValueError(f"no FITS header begins with {start.decode()} and ends with END here")


def _value(name: str, text: str) -> Any:
    """Return the value of a card from what follows its name; one that is badly written is text, unless it tells of storage."""
    found = _VALUE.fullmatch(text)
    if found is not None and found[1] is not None:
        return found[1].replace("''", "'").rstrip()
    bare = text.strip() if found is None else found[2]
    if bare in _LOGICAL:
        return _LOGICAL[bare]
    if _INTEGER.fullmatch(bare):
        return int(bare)
    if _REAL.fullmatch(bare):
        return float(bare.upper().replace("D", "E"))
    if _STORAGE.fullmatch(name):
        raise ValueError(f"card {name} is {text.strip()!r}, which is no value")
    return bare


def _require_pairs(cards: Cards) -> None:
    """Raise where a setting of the compression has a name and no value."""
    lacking = [name for name in cards if name.startswith("ZNAME") and f"ZVAL{name[5:]}" not in cards]
    if lacking:
        raise ValueError(f"cards {lacking} have no ZVAL")
