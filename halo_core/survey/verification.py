"""What a fetched coadd plane must satisfy before anything is measured on it.

A plane passes when the file is whole (length, FITS checksums where the file has them), every tile decodes, and it is what its name
says: the type, band and brick of its header, and a WCS that lies on the pixel grid of that brick. Non-finite pixels are not a fault
of the file: they are flagged where a stamp meets them. Files without checksum cards exist; there a flipped bit shows only where the
tile's own coding notices it.
"""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io.fits.hdu.compressed._compression import CfitsioException  # astropy raises it but exports it nowhere else

from halo_core.constants import BRICK_SIZE_PIX, MAG_ZERO_NMGY
from halo_core.errors import SurveyDataError
from halo_core.survey.bricks import brick_by_name, brick_wcs
from halo_core.survey.fits_bytes import ALL_ONES, data_bytes, ones_complement_sum, padded
from halo_core.survey.fits_hdus import Cards, Hdu, image_shape, read_hdus, read_header
from halo_core.survey.layout import split_plane
from halo_core.survey.maskbits import MaskBits, require_bits
from halo_core.survey.projection import tan_wcs

WCS_TOLERANCE_PIX = 0.01
"""Largest distance between the file's WCS and the brick's pixel grid [pix]."""

_UNIT_BY_KIND = {"image": "nanomaggy", "invvar": "1/nanomaggy^2"}
_INTEGER_KINDS = ("maskbits", "nexp")
_UNREADABLE = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    RuntimeError,
    OverflowError,
    CfitsioException,
    zlib.error,
)


def verify_plane(path: Path | str, plane: str, brickname: str) -> None:
    """Check that a file is the whole, undamaged plane of this brick.

    Parameters
    ----------
    path : path
        Local file.
    plane : str
        Name such as ``image-g`` or ``maskbits``.
    brickname : str
        Brick the plane was fetched for.

    Raises
    ------
    SurveyDataError
        The file is not FITS, is truncated, fails a checksum, has a tile that does not decode, or is another plane, band or brick
        than named.
    OSError
        The file is not there or may not be read.
    """
    file = Path(path)
    where = f"{file.name} (plane {plane} of brick {brickname})"
    with file.open("rb") as stream, _damage_named(where):
        hdus = read_hdus(stream, n_bytes=file.stat().st_size, where=where)
        _verify_checksums(hdus, where)
        header, shape = _verify_image(hdus, plane, where)
        _verify_identity(header, plane, brickname, where)
        _verify_grid(header, shape, brickname, where)
        if plane == "maskbits":
            require_bits(MaskBits.from_header(header))


def planes_off_grid(paths: Mapping[str, Path]) -> dict[str, str]:
    """Return the planes of one brick that are not on the pixel grid most of its planes share, each with the reason.

    Parameters
    ----------
    paths : mapping of str to Path
        File of each verified plane by its name.

    Notes
    -----
    Files may be pieces of a brick; a stamp is cut at one place from all of them, so they must be the same piece.
    """
    grids = {}
    for plane, path in sorted(paths.items()):
        with path.open("rb") as stream:
            first, cards = read_header(stream, is_first=True)
            stream.seek(len(first) + padded(data_bytes(cards)))
            _, cards = read_header(stream, is_first=False)
        grids[plane] = (*(cards[name] for name in ("CRPIX1", "CRPIX2", "CRVAL1", "CRVAL2")), *image_shape(cards))
    if not grids:
        return {}
    common, _ = Counter(grids.values()).most_common(1)[0]
    return {
        plane: f"its grid (CRPIX, CRVAL, shape) is {grid}, that of the brick's other planes is {common}"
        for plane, grid in grids.items()
        if grid != common
    }


@contextmanager
def _damage_named(where: str) -> Iterator[None]:
    """Turn whatever a damaged file raises while it is read into one error."""
    try:
        yield
    except _UNREADABLE as error:
        raise SurveyDataError(f"{where}: not readable as FITS: {type(error).__name__}: {error}") from error


def _verify_checksums(hdus: Sequence[Hdu], where: str) -> None:
    """Check the checksums that the headers carry."""
    for index, hdu in enumerate(hdus):
        checksum, datasum = _card(hdu.cards, "CHECKSUM").strip("0 "), _card(hdu.cards, "DATASUM")
        header_sum, data_sum = ones_complement_sum(hdu.header), ones_complement_sum(hdu.data)
        if datasum and int(datasum) % ALL_ONES != data_sum % ALL_ONES:
            raise SurveyDataError(f"{where}: DATASUM of HDU {index} is {data_sum}, its card says {datasum}: the data are damaged")
        if checksum and (header_sum + data_sum) % ALL_ONES != 0:
            raise SurveyDataError(f"{where}: CHECKSUM of HDU {index} fails: header or data are damaged")


def _verify_image(hdus: Sequence[Hdu], plane: str, where: str) -> tuple[Cards, tuple[int, int]]:
    """Check that HDU 1 is an image of a possible size and type whose every tile decodes; return its cards and shape."""
    if len(hdus) < 2:
        raise SurveyDataError(f"{where}: no HDU 1")
    image = hdus[1]
    shape = image_shape(image.cards)
    if len(shape) != 2 or not all(1 <= n <= BRICK_SIZE_PIX for n in shape):
        raise SurveyDataError(f"{where}: HDU 1 has shape {shape}, expected two axes of 1..{BRICK_SIZE_PIX} pixels")
    if image.is_compressed:
        image.decode()
    is_integer = split_plane(plane)[0] in _INTEGER_KINDS
    if image.is_integer != is_integer:
        found, expected = ("integers" if flag else "floats" for flag in (image.is_integer, is_integer))
        raise SurveyDataError(f"{where}: holds {found}, expected {expected} of shape {shape}")
    return image.cards, (shape[0], shape[1])


def _verify_identity(header: Mapping[str, Any], plane: str, brickname: str, where: str) -> None:
    """Check the cards that say what the plane is, where the file has them."""
    kind, band = split_plane(plane)
    given = {
        "BRICK": (brickname, _card(header, "BRICK")),
        "IMTYPE": (kind, _card(header, "IMTYPE").lower()),
        "BUNIT": (_UNIT_BY_KIND.get(kind, ""), _card(header, "BUNIT").lower()),
        "band": (band or "", _band_card(header)),
    }
    for name, (expected, found) in given.items():
        if expected and found and expected != found:
            raise SurveyDataError(f"{where}: header says {name} {found!r}, expected {expected!r}")
    if kind == "image" and float(header.get("MAGZERO", MAG_ZERO_NMGY)) != MAG_ZERO_NMGY:
        raise SurveyDataError(f"{where}: MAGZERO {header['MAGZERO']}, expected {MAG_ZERO_NMGY}: the fluxes are not nanomaggies")


def _card(header: Mapping[str, Any], name: str) -> str:
    """Return a card as text, empty where there is none."""
    return str(header.get(name, "")).strip()


def _band_card(header: Mapping[str, Any]) -> str:
    """Return the band of a header: FILTERX is the letter, FILTER the instrument's name that starts with it."""
    for card in ("FILTERX", "BAND", "FILTER"):
        words = _card(header, card).lower().split()
        if words:
            return words[0]
    return ""


def _verify_grid(header: Mapping[str, Any], shape: tuple[int, int], brickname: str, where: str) -> None:
    """Check that the four corners lie on whole pixels of the brick's grid, all at one offset, inside the brick image."""
    brick = brick_by_name(brickname)
    ny, nx = shape
    corners = np.array([[0, 0], [nx - 1, 0], [0, ny - 1], [nx - 1, ny - 1]], dtype=np.float64)
    sky = tan_wcs(header, shape, where=where).wcs_pix2world(corners, 0)
    offset = brick_wcs(float(brick.ra[0]), float(brick.dec[0])).wcs_world2pix(sky, 0) - corners
    start = np.rint(offset[0])
    distance = float(np.max(np.abs(offset - start))) if np.isfinite(offset).all() else np.inf
    if not distance <= WCS_TOLERANCE_PIX:
        raise SurveyDataError(f"{where}: its WCS is {distance:.3g} pixels off the grid of the brick, allowed {WCS_TOLERANCE_PIX}")
    x0, y0 = int(start[0]), int(start[1])
    if min(x0, y0) < 0 or max(x0 + nx, y0 + ny) > BRICK_SIZE_PIX:
        raise SurveyDataError(f"{where}: {nx} x {ny} pixels from ({x0}, {y0}) reach outside the {BRICK_SIZE_PIX}-pixel brick")
