"""The quality bits of a brick: named by the file's own header, and the two masks this project makes of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError

DR10_BITS: Mapping[str, int] = {
    "NPRIMARY": 0,
    "BRIGHT": 1,
    "SATUR_G": 2,
    "SATUR_R": 3,
    "SATUR_Z": 4,
    "ALLMASK_G": 5,
    "ALLMASK_R": 6,
    "ALLMASK_Z": 7,
    "WISEM1": 8,
    "WISEM2": 9,
    "BAILOUT": 10,
    "MEDIUM": 11,
    "GALAXY": 12,
    "CLUSTER": 13,
    "SATUR_I": 14,
    "ALLMASK_I": 15,
    "SUB_BLOB": 16,
}
"""Bit number by name in DR10."""

_CARD_BY_NAME = {
    "NPRIMARY": "MB_NPRIM",
    "BRIGHT": "MB_BRIGH",
    "WISEM1": "MB_WISE1",
    "WISEM2": "MB_WISE2",
    "BAILOUT": "MB_BAIL",
    "MEDIUM": "MB_MED",
    "GALAXY": "MB_GAL",
    "CLUSTER": "MB_CLUST",
    **{f"SATUR_{band}": f"MB_SAT_{band}" for band in "GRZI"},
    **{f"ALLMASK_{band}": f"MB_ALL_{band}" for band in "GRZI"},
}
_N_BITS = 31
_BAD_ANY_BAND = ("BRIGHT", "MEDIUM", "BAILOUT")
_BAD_PER_BAND = ("SATUR", "ALLMASK")
_WISE = ("WISEM1", "WISEM2")


@dataclass(frozen=True)
class MaskBits:
    """Which bit means what in one file.

    Attributes
    ----------
    bits : mapping of str to int
        Bit number by name.
    source : {"header", "dr10"}
        Whether the file named its bits, or none was named and the DR10 table stands in.
    filled : tuple of str
        Names the file left out whose DR10 bit no other name of the file uses; they come from the DR10 table.
    """

    bits: Mapping[str, int]
    source: Literal["header", "dr10"]
    filled: tuple[str, ...]

    @classmethod
    def from_header(cls, header: Mapping[str, Any]) -> "MaskBits":
        """Return the bits that a maskbits header names by ``MBIT_<n>`` and ``MB_*`` cards.

        Raises
        ------
        SurveyDataError
            Two cards disagree, or a value is not one bit.
        """
        named = _named_bits(header)
        taken = set(named.values())
        filled = tuple(name for name, bit in DR10_BITS.items() if name not in named and bit not in taken)
        return cls(bits=named | {name: DR10_BITS[name] for name in filled}, source="header" if named else "dr10", filled=filled)

    def value(self, names: Iterable[str]) -> int:
        """Return the bits of these names, set.

        Raises
        ------
        SurveyDataError
            A name has no bit in this file.
        """
        total = 0
        for name in names:
            if name not in self.bits:
                raise SurveyDataError(f"the maskbits header has no bit {name}; it names {sorted(self.bits)}")
            total |= 1 << self.bits[name]
        return total


def good_pixels(maskbits: NDArray[np.integer[Any]], invvar: NDArray[np.floating[Any]], band: str, bits: MaskBits) -> NDArray[np.bool_]:
    """Return which pixels count as data in one band.

    Parameters
    ----------
    maskbits : ndarray of int, shape (ny, nx)
        Bits of the brick.
    invvar : ndarray, shape (ny, nx)
        Inverse variance of the band [nmgy^-2]; 0, negative and NaN are no data.
    band : str
        Band whose SATUR and ALLMASK bits count.
    bits : MaskBits
        Meaning of the bits.

    Returns
    -------
    ndarray of bool, shape (ny, nx)
        None of BRIGHT, MEDIUM, BAILOUT, SATUR_band, ALLMASK_band, and invvar > 0. NPRIMARY is ownership and makes no pixel bad.
    """
    bad = bits.value((*_BAD_ANY_BAND, *(f"{stem}_{band.upper()}" for stem in _BAD_PER_BAND)))
    good: NDArray[np.bool_] = ((maskbits & bad) == 0) & (invvar > 0)
    return good


def require_bits(bits: MaskBits) -> None:
    """Raise SurveyDataError where a bit that the masks of any band need has no meaning in the file."""
    bits.value((*_BAD_ANY_BAND, *_WISE, *(f"{stem}_{band.upper()}" for stem in _BAD_PER_BAND for band in BANDS)))


def wise_pixels(maskbits: NDArray[np.integer[Any]], bits: MaskBits) -> NDArray[np.bool_]:
    """Return which pixels lie on a WISE bright-star mask (W1 or W2)."""
    on_mask: NDArray[np.bool_] = (maskbits & bits.value(_WISE)) != 0
    return on_mask


def card_of_bit(name: str) -> str | None:
    """Return the ``MB_*`` card of a bit's name, None where the survey has none (SUB_BLOB)."""
    return _CARD_BY_NAME.get(name)


def _named_bits(header: Mapping[str, Any]) -> dict[str, int]:
    """Return bit by name from both styles of cards; they must agree."""
    named: dict[str, int] = {}
    for bit in range(_N_BITS):
        if f"MBIT_{bit}" in header:
            _add(named, str(header[f"MBIT_{bit}"]).strip().upper(), bit)
    for name, card in _CARD_BY_NAME.items():
        if card in header:
            value = int(header[card])
            if value <= 0 or value & (value - 1):
                raise SurveyDataError(f"maskbits card {card} = {value} is not one bit")
            _add(named, name, value.bit_length() - 1)
    return named


def _add(named: dict[str, int], name: str, bit: int) -> None:
    """Record one name, refusing a second meaning of the name or of the bit."""
    owners = [other for other, taken in named.items() if taken == bit and other != name]
    if owners or named.get(name, bit) != bit:
        raise SurveyDataError(f"maskbits header gives bit {bit} to {name}, but also {owners or named[name]}: its cards disagree")
    named[name] = bit
