"""FITS files as bytes: checksums (FITS Standard 4.0, section 4.4.2.7 and appendix J), and files that hold no time of their making."""

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

BLOCK_BYTES = 2880
CARD_BYTES = 80
ALL_ONES = 0xFFFFFFFF
"""Sum of an HDU whose CHECKSUM card is right; in ones' complement arithmetic it is zero."""

_N_CHARACTERS = 16
_PUNCTUATION = {*range(0x3A, 0x41), *range(0x5B, 0x61)}
_ZERO = ord("0")
_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_HEADER_BYTES = 10


def ones_complement_sum(data: bytes) -> int:
    """Return the 32-bit ones' complement sum of bytes, a multiple of four of them."""
    total = int(np.frombuffer(data, dtype=">u4").sum(dtype=np.uint64))
    while total > ALL_ONES:
        total = (total & ALL_ONES) + (total >> 32)
    return total


def timeless(data: bytes, *, cards: Sequence[bytes], comment: str) -> bytes:
    """Return a FITS file with more header cards and checksums, and without any trace of the time it was made.

    Parameters
    ----------
    data : bytes
        A whole file whose headers have no checksum cards.
    cards : sequence of bytes
        Header cards to add to each HDU, 80 bytes each, joined; one item per HDU.
    comment : str
        Comment of the DATASUM and CHECKSUM cards, where a date is usual.
    """
    parts = zip(_hdus(data), cards, strict=True)
    return b"".join(_signed(header, more, _without_gzip_times(header, content), comment) for (header, content), more in parts)


def encode(total: int) -> str:
    """Return the 16 letters and digits that make a sum of ``total`` come out as zero (FITS Standard 4.0, appendix J.2)."""
    rest = ALL_ONES - total
    letters = [[0] * 4 for _ in range(4)]
    for index in range(4):
        byte = (rest >> (24 - 8 * index)) & 0xFF
        four = [byte // 4 + byte % 4 + _ZERO, *[byte // 4 + _ZERO] * 3]
        while any(value in _PUNCTUATION for value in four):
            for first in (0, 2):
                if four[first] in _PUNCTUATION or four[first + 1] in _PUNCTUATION:
                    four[first] += 1
                    four[first + 1] -= 1
        for group in range(4):
            letters[group][index] = four[group]
    text = "".join(chr(value) for group in letters for value in group)
    return text[-1] + text[:-1]


def data_bytes(cards: Mapping[str, Any]) -> int:
    """Return the number of data bytes that a header's cards announce: |BITPIX| / 8 x GCOUNT x (PCOUNT + product of the axes)."""
    n_axes = int(cards["NAXIS"])
    if n_axes == 0:
        return 0
    n_values = prod(int(cards[f"NAXIS{axis}"]) for axis in range(1, n_axes + 1))
    return abs(int(cards["BITPIX"])) // 8 * int(cards.get("GCOUNT", 1)) * (int(cards.get("PCOUNT", 0)) + n_values)


def padded(n_bytes: int) -> int:
    """Return the length in whole blocks."""
    return -(-n_bytes // BLOCK_BYTES) * BLOCK_BYTES


def _hdus(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield header and data of every HDU, both padded to whole blocks."""
    start = 0
    while start < len(data):
        end = start
        while data[end : end + CARD_BYTES].rstrip() != b"END":
            end += CARD_BYTES
        data_start = start + padded(end + CARD_BYTES - start)
        stop = data_start + padded(data_bytes(_values(data[start:end])))
        yield data[start:data_start], data[data_start:stop]
        start = stop


def _without_gzip_times(header: bytes, content: bytes) -> bytes:
    """Return the data of a tile-compressed image with the time in each gzipped tile set to zero; other data as they are."""
    cards = _values(header)
    if cards.get("ZIMAGE") != "T":
        return content
    width, n_tiles = int(cards["NAXIS1"]), int(cards["NAXIS2"])
    rows = np.frombuffer(content, dtype=np.uint8, count=width * n_tiles).reshape(n_tiles, width)
    data = bytearray(content)
    # Every column of such a table is eight bytes wide: a descriptor (length, place in the heap) or one double.
    for column in range(width // 8):
        if cards[f"TFORM{column + 1}"].startswith("'1P"):
            for length, place in rows[:, 8 * column : 8 * column + 8].copy().view(">i4").tolist():
                start = width * n_tiles + place
                if length > _GZIP_HEADER_BYTES and data[start : start + 2] == _GZIP_MAGIC:
                    data[start + 4 : start + 8] = bytes(4)
    return bytes(data)


def _values(header: bytes) -> dict[str, str]:
    """Return the values of a header's cards as they are written, by keyword."""
    cards = (header[i : i + CARD_BYTES].decode("ascii") for i in range(0, len(header), CARD_BYTES))
    return {card[:8].rstrip(): card[10:].split("/")[0].strip() for card in cards if card[8:10] == "= "}


def _signed(header: bytes, more: bytes, content: bytes, comment: str) -> bytes:
    """Return one HDU with its two cards: CHECKSUM is first written as zeros, then set so that the whole sums to zero."""
    cards = header[: header.rindex(b"END")].rstrip(b" ")
    cards += b" " * (-len(cards) % CARD_BYTES)
    data_sum = ones_complement_sum(content)
    signed = cards + more + _card("DATASUM", str(data_sum), comment)
    unsigned_tail = _card("CHECKSUM", "0" * _N_CHARACTERS, comment) + b"END".ljust(CARD_BYTES)
    n_bytes = padded(len(signed) + len(unsigned_tail))
    total = ones_complement_sum((signed + unsigned_tail).ljust(n_bytes)) + data_sum
    tail = _card("CHECKSUM", encode((total & ALL_ONES) + (total >> 32)), comment) + b"END".ljust(CARD_BYTES)
    return (signed + tail).ljust(n_bytes) + content


def _card(name: str, value: str, comment: str) -> bytes:
    """Return one header card of a text; the CHECKSUM text starts at byte 12, a whole number of words, as the encoding expects."""
    quoted = f"'{value:<8}'"
    return f"{name:<8}= {quoted:<20} / {comment}".ljust(CARD_BYTES).encode("ascii")
