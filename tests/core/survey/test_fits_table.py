"""Laws of tables read by ranges: the same values as astropy gives, whatever the chunk, and never more of the file than asked for."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from halo_core.errors import SurveyDataError
from halo_core.survey.fits_table import open_fits_table
from tests.fixtures.survey import undefine_last

N = 1000
RNG = np.random.default_rng(1)
COLUMNS = (
    fits.Column("RA", "D", array=RNG.uniform(0, 360, N)),
    fits.Column("FLUX_R", "E", array=RNG.normal(size=N)),
    fits.Column("RELEASE", "I", array=np.full(N, -3)),
    fits.Column("BRICKID", "J", array=np.arange(N)),
    fits.Column("REF_ID", "K", array=np.arange(N) + 2**60),
    fits.Column("TYPE", "3A", array=np.resize(["PSF", "DEV", "S"], N)),
    fits.Column("NOTE", "8A", array=np.resize([" x", "", "y  "], N)),
    fits.Column("brick_primary", "L", array=np.arange(N) % 3 == 0),
    fits.Column("DCHISQ", "5E", array=RNG.normal(size=(N, 5))),
    fits.Column("U16", "I", bzero=32768, array=np.arange(N, dtype=np.uint16) + 40_000),
    fits.Column("SCALED", "E", bscale=0.01, bzero=5.0, array=RNG.uniform(0, 100, N)),
    fits.Column("MAYBE", "J", null=-99, array=np.where(np.arange(N) % 4 == 0, -99, np.arange(N))),
)
PLAIN = [column.name.lower() for column in COLUMNS if column.name != "MAYBE"]


def reader(path: Path, asked: list[int] | None = None) -> Callable[[int, int], bytes]:
    def read_range(start: int, stop: int) -> bytes:
        if asked is not None:
            asked.append(stop - start)
        return path.read_bytes()[start:stop]

    return read_range


@pytest.fixture
def path(tmp_path: Path) -> Path:
    primary = fits.PrimaryHDU(np.zeros((3, 5), dtype=np.int16))
    primary.header.extend([(f"KEY{i}", i) for i in range(700)])
    fits.HDUList([primary, fits.BinTableHDU.from_columns(COLUMNS)]).writeto(tmp_path / "t.fits")
    return tmp_path / "t.fits"


@pytest.mark.parametrize("chunk_bytes", [1, 1000, 4321, 1 << 20])
def test_chunks_hold_what_astropy_reads(path: Path, chunk_bytes: int) -> None:
    table = open_fits_table(reader(path), where="t")
    chunks = list(table.chunks(PLAIN, chunk_bytes=chunk_bytes))
    assert (table.n_rows, len(chunks)) == (N, -(-N // max(1, chunk_bytes // table.row_bytes)))
    with fits.open(path) as hdus:
        for name in PLAIN:
            values, expected = np.concatenate([chunk[name] for chunk in chunks]), hdus[1].data[name]
            assert values.dtype.isnative
            np.testing.assert_allclose(values, expected, rtol=1e-6) if name == "scaled" else np.testing.assert_array_equal(values, expected)


def test_undefined_whole_numbers_are_nan(path: Path) -> None:
    (chunk,) = open_fits_table(reader(path), where="t").chunks(["maybe"], chunk_bytes=1 << 20)
    assert np.array_equal(np.isnan(chunk["maybe"]), np.arange(N) % 4 == 0)


def test_truths_that_are_not_known_are_nan(tmp_path: Path) -> None:
    fits.BinTableHDU.from_columns([fits.Column("FLAG", "L", array=[True, False, True])]).writeto(tmp_path / "t.fits")
    undefine_last(tmp_path / "t.fits", [2])
    assert np.array_equal(open_fits_table(reader(tmp_path / "t.fits"), where="t").whole()["flag"], [1.0, 0.0, np.nan], equal_nan=True)


def test_no_read_is_longer_than_a_chunk(path: Path) -> None:
    asked: list[int] = []
    table = open_fits_table(reader(path, asked), where="t")
    asked.clear()
    for _ in table.chunks(["ra"], chunk_bytes=10_000):
        pass
    assert 9_000 < max(asked) <= 10_000
    assert sum(asked) == N * table.row_bytes


def test_files_that_cannot_be_read_by_ranges_say_why(path: Path, tmp_path: Path) -> None:
    def refused(data: bytes) -> str:
        (tmp_path / "bad").write_bytes(data)
        with pytest.raises(SurveyDataError) as caught:
            list(open_fits_table(reader(tmp_path / "bad"), where="bad").chunks(["ra"], chunk_bytes=1000))
        return str(caught.value)

    whole = path.read_bytes()
    assert "gzip" in refused(gzip.compress(whole))
    assert "not a FITS file" in refused(b"no" * 5000)
    assert "not a binary table" in refused(whole[: 2880 * 21])
    assert "does not end" in refused(whole[:2880])
    assert "cut short" in refused(whole[:-10_000])


def test_columns_of_variable_length_and_two_of_one_name_are_refused(tmp_path: Path) -> None:
    odd = fits.Column("V", "PJ()", array=np.array([np.arange(2), np.arange(3), np.arange(1)], dtype=np.object_))
    fits.BinTableHDU.from_columns([odd]).writeto(tmp_path / "v.fits")
    table = open_fits_table(reader(tmp_path / "v.fits"), where="v")
    with pytest.raises(SurveyDataError, match="variable length"):
        next(table.chunks(["v"], chunk_bytes=1000))
    fits.BinTableHDU.from_columns([fits.Column("A", "J"), fits.Column("a", "J")], nrows=1).writeto(tmp_path / "aa.fits")
    with pytest.raises(SurveyDataError, match="differ from another one in case only"):
        open_fits_table(reader(tmp_path / "aa.fits"), where="aa")
