"""Planes that must not pass: damaged, or not what they are called."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from halo_core.errors import SurveyDataError
from halo_core.survey.coadds import verify_plane
from halo_core.survey.fits_bytes import ALL_ONES, encode, ones_complement_sum
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks

Edit = Callable[[fits.Header], None]


def unedited(header: fits.Header) -> None:
    """Leave a header as it is."""


@pytest.fixture
def copy(image_r: Path, tmp_path: Path) -> Path:
    """Return a copy of the r image that a test may damage."""
    path = tmp_path / image_r.name
    path.write_bytes(image_r.read_bytes())
    return path


def rewritten(path: Path, edit: Edit, pixels: np.ndarray | None = None) -> Path:
    """Return the plane written again with an edited header and without checksums."""
    with fits.open(path) as hdus:
        header, data = hdus[1].header.copy(), hdus[1].data if pixels is None else pixels
        edit(header)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header, compression_type="GZIP_1", quantize_level=0.0)]).writeto(
        path, overwrite=True
    )
    return path


def test_every_plane_of_the_mock_survey_passes(tiny_survey: tuple[MockSurvey, Path]) -> None:
    files = sorted((tiny_survey[1] / "coadd").glob("*/*/*.fits.fz"))
    assert len(files) == 3 * 16
    for path in files:
        verify_plane(path, path.name.removesuffix(".fits.fz").split("-", 2)[2], path.parent.name)


def test_checksum_cards_are_those_an_independent_code_accepts(image_r: Path) -> None:
    with fits.open(image_r, checksum=True, disable_image_compression=True) as hdus:  # astropy warns, and so fails, where one is wrong
        assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
    for total in (0, 1, ALL_ONES, 868_229_149, 0x3A3A3A3A, 123_456_789):
        text = encode(total).encode()
        assert text.isalnum()
        # Rotated back by one byte, the text adds up to what the zeros it replaces gave, plus the complement of the sum.
        zeros, letters = ones_complement_sum(b"0" * 16), ones_complement_sum(text[1:] + text[:1])
        assert (letters - zeros + total) % ALL_ONES == 0


@pytest.mark.parametrize("n_bytes", [0, 100, 2880, 9000, -2880, -1])
def test_a_truncated_file_is_refused(copy: Path, brick: MockBrick, n_bytes: int) -> None:
    copy.write_bytes(copy.read_bytes()[:n_bytes])
    with pytest.raises(SurveyDataError, match=r"truncated|cut short|not readable|no HDU 1"):
        verify_plane(copy, "image-r", brick.brickname)


@pytest.mark.parametrize("place", [0.01, 0.2, 0.5, 0.9])
def test_one_flipped_bit_anywhere_is_found(copy: Path, brick: MockBrick, place: float) -> None:
    data = bytearray(copy.read_bytes())
    data[int(place * len(data))] ^= 4
    copy.write_bytes(data)
    with pytest.raises(SurveyDataError):
        verify_plane(copy, "image-r", brick.brickname)


def test_a_flipped_bit_in_the_pixels_is_called_damage(copy: Path, brick: MockBrick) -> None:
    data = bytearray(copy.read_bytes())
    data[-4000] ^= 1
    copy.write_bytes(data)
    with pytest.raises(SurveyDataError, match=r"DATASUM of HDU 1 .* damaged"):
        verify_plane(copy, "image-r", brick.brickname)


def test_appended_bytes_and_foreign_formats_are_refused(copy: Path, brick: MockBrick) -> None:
    good = copy.read_bytes()
    copy.write_bytes(good + b"<html>" * 480)
    with pytest.raises(SurveyDataError):
        verify_plane(copy, "image-r", brick.brickname)
    copy.write_bytes(b"<html><body>404 not found</body></html>" * 100)
    with pytest.raises(SurveyDataError, match="not readable as FITS"):
        verify_plane(copy, "image-r", brick.brickname)


def test_a_tile_that_does_not_decode_is_refused_without_checksums(copy: Path, brick: MockBrick) -> None:
    rewritten(copy, unedited)
    verify_plane(copy, "image-r", brick.brickname)
    data = bytearray(copy.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = b"\x55" * 3000
    copy.write_bytes(data)
    with pytest.raises(SurveyDataError, match="not readable as FITS"):
        verify_plane(copy, "image-r", brick.brickname)


def test_another_brick_band_or_type_is_refused(tiny_survey: tuple[MockSurvey, Path], image_r: Path, brick: MockBrick) -> None:
    other = mock_bricks(tiny_survey[0])[1].brickname
    with pytest.raises(SurveyDataError, match="header says BRICK"):
        verify_plane(image_r, "image-r", other)
    with pytest.raises(SurveyDataError, match="header says band 'r', expected 'g'"):
        verify_plane(image_r, "image-g", brick.brickname)
    with pytest.raises(SurveyDataError, match="header says IMTYPE 'image', expected 'invvar'"):
        verify_plane(image_r, "invvar-r", brick.brickname)
    with pytest.raises(SurveyDataError, match="expected integers"):
        verify_plane(image_r, "maskbits", brick.brickname)
    maskbits = tiny_survey[1] / plane_key(brick.brickname, "maskbits")
    with pytest.raises(SurveyDataError, match="expected floats"):
        verify_plane(maskbits, "image-r", brick.brickname)


EDITS: dict[str, Edit] = {
    "pixels off the grid": lambda header: header.update({"CRVAL2": header["CRVAL2"] + 2e-6}),
    "outside the 3600-pixel brick": lambda header: header.update({"CRPIX1": header["CRPIX1"] + 2000.0}),
    "lacks the WCS cards": lambda header: header.remove("CD1_1"),
    "projection": lambda header: header.update({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN"}),
    "BUNIT": lambda header: header.update({"BUNIT": "adu"}),
    "MAGZERO": lambda header: header.update({"MAGZERO": 25.0}),
    r"\d\.\d+ pixels off": lambda header: header.update({"CD1_1": header["CD1_1"] * 1.0005}),
}


@pytest.mark.parametrize("reason", EDITS)
def test_a_header_that_contradicts_the_brick_is_refused(copy: Path, brick: MockBrick, reason: str) -> None:
    rewritten(copy, EDITS[reason])
    with pytest.raises(SurveyDataError, match=reason):
        verify_plane(copy, "image-r", brick.brickname)


def test_a_wcs_within_the_tolerance_and_a_header_that_says_little_pass(copy: Path, brick: MockBrick) -> None:
    def edit(header: fits.Header) -> None:
        header["CRVAL2"] += 0.005 * 0.262 / 3600.0
        header["CD1_1"] = -7.2777777777777e-05
        for card in ("BRICK", "IMTYPE", "BUNIT", "FILTER", "FILTERX", "MAGZERO"):
            del header[card]

    verify_plane(rewritten(copy, edit), "image-r", brick.brickname)


def test_the_instrument_filter_name_is_read_by_its_first_word(copy: Path, brick: MockBrick) -> None:
    def edit(header: fits.Header) -> None:
        del header["FILTERX"]
        header["FILTER"] = "r DECam SDSS c0002 6415.0 1480.0"

    verify_plane(rewritten(copy, edit), "image-r", brick.brickname)
    with pytest.raises(SurveyDataError, match="band"):
        verify_plane(copy, "image-z", brick.brickname)


def test_non_finite_pixels_are_no_damage(copy: Path, brick: MockBrick) -> None:
    with fits.open(copy) as hdus:
        pixels = np.array(hdus[1].data)
    pixels[10:20, 10:20] = np.nan
    verify_plane(rewritten(copy, unedited, pixels), "image-r", brick.brickname)


def test_a_file_that_is_not_there_is_not_called_damaged(tmp_path: Path, brick: MockBrick) -> None:
    with pytest.raises(FileNotFoundError):
        verify_plane(tmp_path / "none.fits.fz", "image-r", brick.brickname)
