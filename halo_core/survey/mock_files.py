"""Files of the mock survey, in the survey's own format: compression, header cards and checksums, without dates, so bytes repeat.

Compression per type of plane, as the survey writes them: image RICE with an absolute step of 1e-4 nmgy and SUBTRACTIVE_DITHER_2 (exact
zeros stay zero), invvar RICE undithered relative to the noise of its tile, integers HCOMPRESS lossless, depth and psfsize GZIP lossless.
"""

import gzip
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from halo_core.constants import MAG_ZERO_NMGY
from halo_core.seeds import hash_int63
from halo_core.survey.bricks import brick_by_id, brick_wcs
from halo_core.survey.fits_bytes import timeless
from halo_core.survey.layout import split_plane
from halo_core.survey.maskbits import DR10_BITS, card_of_bit
from halo_core.survey.mock_model import MockBrick, MockSurvey

_STAMP = "mock survey"
_WISE = ("WISEM1", "WISEM2")
_TILE_PIX = 100
_MIN_LAST_TILE_PIX = 4
_N_DITHER_SEEDS = 10_000
_SUBTRACTIVE_DITHER_2 = 2
_NO_DITHER = -1
_RICE_IMAGE = {"compression_type": "RICE_1", "quantize_level": -1e-4, "quantize_method": _SUBTRACTIVE_DITHER_2}
_RICE_INVVAR = {"compression_type": "RICE_1", "quantize_level": 16.0, "quantize_method": _NO_DITHER}
_GZIP_LOSSLESS = {"compression_type": "GZIP_1", "quantize_level": 0.0, "quantize_method": _NO_DITHER}
_HCOMPRESS_LOSSLESS = {"compression_type": "HCOMPRESS_1", "hcomp_scale": 0, "hcomp_smooth": 0}
_FORMAT_BY_KIND: Mapping[str, Mapping[str, Any]] = {
    "image": _RICE_IMAGE,
    "invvar": _RICE_INVVAR,
    "psfsize": _GZIP_LOSSLESS,
    "depth": _GZIP_LOSSLESS,
    "nexp": _HCOMPRESS_LOSSLESS,
    "maskbits": _HCOMPRESS_LOSSLESS,
}
_UNIT_BY_KIND = {"image": "nanomaggy", "invvar": "1/nanomaggy^2", "depth": "1/nanomaggy^2", "psfsize": "arcsec"}
_PRODUCT_BY_KIND = {"invvar": "wtmap", "nexp": "expmap", "depth": "psfdepth"}


def write_plane(path: Path, plane: str, pixels: NDArray[Any], *, parameters: MockSurvey, brick: MockBrick) -> None:
    """Write one coadd plane; the maskbits file also holds the two WISE masks, as the survey's does."""
    kind, band = split_plane(plane)
    options = dict(_FORMAT_BY_KIND[kind])
    if kind == "image":
        options["dither_seed"] = 1 + hash_int63("dither", parameters.seed, brick.brickname, plane) % _N_DITHER_SEEDS
    hdus = [_compressed(pixels, "MASKBITS" if kind == "maskbits" else None, options)]
    if kind == "maskbits":
        for name in _WISE:
            hdus.append(_compressed(((pixels >> DR10_BITS[name]) & 1).astype(np.uint8), name, options))
    cards = _brick_cards(parameters, brick) + _type_cards(kind, band)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_file_bytes(hdus, cards))


def write_table(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a FITS binary table in HDU 1, gzipped without a time where the name ends in .gz."""
    hdu = fits.BinTableHDU.from_columns([_column(name, values) for name, values in columns.items()])
    data = _file_bytes([hdu], b"")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".gz":
        packed = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=0) as stream:
            stream.write(data)
        data = packed.getvalue()
    path.write_bytes(data)


def _compressed(pixels: NDArray[Any], name: str | None, options: Mapping[str, Any]) -> fits.CompImageHDU:
    """Return a tile-compressed image HDU."""
    tile = tuple(_tile_side(n) for n in pixels.shape)
    return fits.CompImageHDU(pixels, name=name, tile_shape=tile, **options)


def _tile_side(n_pix: int) -> int:
    """Return the tile side nearest above 100 that leaves no last tile below 4 pixels, which the compressor refuses."""
    side = min(_TILE_PIX, n_pix)
    while 0 < n_pix % side < _MIN_LAST_TILE_PIX:
        side += 1
    return side


def _file_bytes(hdus: Sequence[Any], cards: bytes) -> bytes:
    """Return a file of an empty primary HDU and these, each with the cards added: as text, which is far faster than one by one."""
    plain = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), *hdus]).writeto(plain)
    return timeless(plain.getvalue(), cards=[b"", *[cards] * len(hdus)], comment=_STAMP)


def _column(name: str, values: NDArray[Any]) -> fits.Column:
    """Return one table column in the FITS format of its type."""
    codes = {"f8": "D", "f4": "E", "i8": "K", "i4": "J", "i2": "I", "b1": "L"}
    if values.dtype.kind in "SU":
        return fits.Column(name=name, format=f"{max(values.dtype.itemsize // (4 if values.dtype.kind == 'U' else 1), 1)}A", array=values)
    return fits.Column(name=name, format=codes[values.dtype.str[1:]], array=values)


@lru_cache(maxsize=2)
def _brick_cards(parameters: MockSurvey, brick: MockBrick) -> bytes:
    """Return the cards that all planes of a brick share: brick, edges, bands, corners, WCS."""
    grid = brick_by_id(brick.brickid)
    header = fits.Header()
    header["LSDR"] = ("MOCK", "simulated, not survey data")
    header["SURVEY"] = "MOCK"
    header["PROCTYPE"] = "tile"
    header["BRICK"] = brick.brickname
    header["BRICKID"] = brick.brickid
    for card, name in (("RAMIN", "ra1"), ("RAMAX", "ra2"), ("DECMIN", "dec1"), ("DECMAX", "dec2"), ("CENTRA", "ra"), ("CENTDEC", "dec")):
        header[card] = float(getattr(grid, name)[0])
    bands = parameters.sky.bands
    header["BANDS"] = "".join(bands)
    header["NBANDS"] = len(bands)
    for index, name in enumerate(bands):
        header[f"BAND{index}"] = name
    _add_wcs(header, brick)
    return _text(header)


@lru_cache(maxsize=64)
def _type_cards(kind: str, band: str | None) -> bytes:
    """Return the cards of one type of plane: band, type, unit, and the names of the bits."""
    header = fits.Header()
    if band is not None:
        header["FILTER"] = band
        header["FILTERX"] = band
    header["IMTYPE"] = kind
    header["PRODTYPE"] = _PRODUCT_BY_KIND.get(kind, kind)
    if kind == "image":
        header["MAGZERO"] = MAG_ZERO_NMGY
    if kind in _UNIT_BY_KIND:
        header["BUNIT"] = _UNIT_BY_KIND[kind]
    if kind == "maskbits":
        _add_bits(header)
    return _text(header)


def _text(header: fits.Header) -> bytes:
    """Return header cards as bytes, 80 each."""
    text: str = header.tostring(sep="", endcard=False, padding=False)
    return text.encode("ascii")


def _add_wcs(header: fits.Header, brick: MockBrick) -> None:
    """Add the TAN projection and the positions of the corner pixels."""
    wcs = brick_wcs(brick.ra_deg, brick.dec_deg, size_pix=brick.size_pix)
    last = brick.size_pix - 1
    corners = wcs.wcs_pix2world(np.array([[0, 0], [0, last], [last, last], [last, 0]], dtype=np.float64), 0)
    for number, (ra, dec) in enumerate(corners.tolist(), start=1):
        header[f"CORN{number}RA"] = ra
        header[f"CORN{number}DEC"] = dec
    for axis in (1, 2):
        header[f"CTYPE{axis}"] = str(wcs.wcs.ctype[axis - 1])
        header[f"CRVAL{axis}"] = float(wcs.wcs.crval[axis - 1])
        header[f"CRPIX{axis}"] = float(wcs.wcs.crpix[axis - 1])
        for other in (1, 2):
            header[f"CD{axis}_{other}"] = float(wcs.wcs.cd[axis - 1, other - 1])
    header["EQUINOX"] = 2000.0


def _add_bits(header: fits.Header) -> None:
    """Add the names of the bits in both of the survey's styles."""
    cards: Sequence[tuple[str, int]] = sorted(DR10_BITS.items(), key=lambda item: item[1])
    for name, bit in cards:
        if (card := card_of_bit(name)) is not None:
            header[card] = 1 << bit
    for name, bit in cards:
        header[f"MBIT_{bit}"] = name
