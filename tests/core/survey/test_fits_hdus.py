"""Laws of reading a file to prove it: it is read as astropy reads it, and what astropy cannot read is refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.utils.exceptions import AstropyUserWarning

from halo_core.errors import SurveyDataError
from halo_core.survey.fits_hdus import Hdu, image_shape, read_hdus
from halo_core.survey.mock import MockBrick, MockSurvey
from halo_core.survey.verification import verify_plane

N_DAMAGES, HEADER_BYTES = 60, 9000
WRITTEN = [
    (algorithm, dtype)
    for algorithm in ("RICE_1", "GZIP_1", "GZIP_2", "PLIO_1", "HCOMPRESS_1", "NOCOMPRESS")
    for dtype in ("f4", "f8", "u1", "i2", "u2", "i4", "u4")
    if algorithm != "PLIO_1" or dtype in ("u1", "i2", "i4")
]
"""What astropy writes: PLIO takes integers without a zero point alone."""


def read(path: Path) -> list[Hdu]:
    """Return the HDUs of a file."""
    with path.open("rb") as stream:
        return read_hdus(stream, n_bytes=path.stat().st_size, where=path.name)


def written(path: Path, hdu: fits.CompImageHDU | fits.ImageHDU) -> Hdu:
    """Return HDU 1 of a new file."""
    fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(path, overwrite=True)
    return read(path)[1]


def test_every_plane_is_read_as_astropy_reads_it(tiny_survey: tuple[MockSurvey, Path], brick: MockBrick) -> None:
    paths = sorted((tiny_survey[1] / "coadd").glob(f"*/{brick.brickname}/*.fits.fz"))
    assert len(paths) == 16
    for path in paths:
        with fits.open(path) as hdus, fits.open(path, disable_image_compression=True) as tables:
            found = read(path)
            assert len(found) == len(hdus)
            assert np.array_equal(found[1].decode(), hdus[1].data)
            assert image_shape(found[1].cards) == hdus[1].shape
            assert found[1].is_integer == (hdus[1].data.dtype.kind in "iu")
            for hdu, table in zip(found, tables, strict=True):
                assert hdu.cards == {card.keyword: card.value for card in reversed(table.header.cards) if card.keyword != "COMMENT"}


@pytest.mark.parametrize(("algorithm", "dtype"), WRITTEN)
def test_any_compression_of_any_type_is_decoded_as_astropy_does(tmp_path: Path, algorithm: str, dtype: str) -> None:
    rng = np.random.Generator(np.random.Philox(key=5))
    pixels = rng.integers(0, 90, (47, 61)).astype(dtype)
    if pixels.dtype.kind == "f":
        pixels += rng.random(pixels.shape).astype(dtype)
        pixels[5:9, 7:30] = np.nan
        pixels[40:] = 1.5
    hdu = written(tmp_path / "x.fits", fits.CompImageHDU(pixels, compression_type=algorithm, tile_shape=(20, 16)))
    with fits.open(tmp_path / "x.fits", do_not_scale_image_data=True) as hdus:
        assert np.array_equal(hdu.decode(), hdus[1].data, equal_nan=True)
    with fits.open(tmp_path / "x.fits") as hdus:
        assert hdu.is_integer == (hdus[1].data.dtype.kind in "iu") == (pixels.dtype.kind in "iu")


def test_integers_with_a_scale_or_blanks_are_floats_as_astropy_says(tmp_path: Path) -> None:
    for cards in ({"BSCALE": 0.5}, {"BZERO": 3.0}, {"BLANK": -1}, {"BSCALE": 1.0, "BZERO": 0.0}):
        hdu = fits.ImageHDU(np.arange(12, dtype="i2").reshape(3, 4))
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(tmp_path / "x.fits", overwrite=True)
        for name, value in cards.items():
            fits.setval(tmp_path / "x.fits", name, value=value, ext=1)
        with fits.open(tmp_path / "x.fits") as hdus:
            assert read(tmp_path / "x.fits")[1].is_integer == (hdus[1].data.dtype.kind in "iu")


def test_values_of_cards_are_those_of_the_standard(tmp_path: Path) -> None:
    hdu = fits.ImageHDU(np.zeros((2, 2)))
    values = {"A": "it's / no comment", "B": -1.5e-7, "C": True, "D": 12, "E": "", "F": "  x"}
    hdu.header.update(values)
    hdu.header["HIERARCH a long name"] = 1
    cards = written(tmp_path / "x.fits", hdu).cards
    assert {name: cards[name] for name in values} == values
    assert {type(cards[name]) for name in "BCD"} == {float, bool, int}


@pytest.mark.parametrize("plane", ["image-r", "psfsize-g", "maskbits"])
def test_what_astropy_cannot_read_is_refused_wherever_the_damage_is(
    tiny_survey: tuple[MockSurvey, Path], brick: MockBrick, plane: str, tmp_path: Path
) -> None:
    (path,) = (tiny_survey[1] / "coadd").glob(f"*/{brick.brickname}/*-{plane}.fits.fz")
    good = path.read_bytes().replace(b"CHECKSUM=", b"CHACKSUM=").replace(b"DATASUM =", b"DETASUM =")
    (tmp_path / path.name).write_bytes(good)
    verify_plane(tmp_path / path.name, plane, brick.brickname)
    rng = np.random.Generator(np.random.Philox(key=11))
    n_refused = 0
    for number in range(N_DAMAGES):
        data = np.frombuffer(good, np.uint8).copy()
        start, length = int(rng.integers(HEADER_BYTES if number % 2 else len(good))), int(rng.integers(1, 60))
        data[start : start + length] = rng.integers(32, 127, len(data[start : start + length]))
        (tmp_path / path.name).write_bytes(data.tobytes())
        try:
            verify_plane(tmp_path / path.name, plane, brick.brickname)
        except SurveyDataError:
            n_refused += 1
            continue
        with warnings.catch_warnings(action="ignore", category=AstropyUserWarning), fits.open(tmp_path / path.name) as hdus:
            assert hdus[1].data.shape == hdus[1].shape
    assert n_refused > N_DAMAGES // 4
