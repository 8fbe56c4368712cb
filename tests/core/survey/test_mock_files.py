"""The mock survey's files: repeatable to the byte, in the survey's own format, with the survey's own traps."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from halo_core.errors import ConfigurationError
from halo_core.survey.bricks import brick_wcs
from halo_core.survey.coadds import open_plane
from halo_core.survey.layout import BRICKS_KEY, plane_key
from halo_core.survey.maskbits import DR10_BITS, MaskBits
from halo_core.survey.mock import DR10_LIKE, MockBrick, MockSurvey, make_mock_brick, make_mock_survey, make_mock_tables, mock_bricks

Tiny = tuple[MockSurvey, Path]
SMALL = MockSurvey(seed=3, n_bricks=4, brick_size_pix=160, lrgs_per_brick=2)


def contents(root: Path) -> dict[str, bytes]:
    """Return the bytes of every file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def test_bytes_depend_on_the_parameters_alone(tiny_survey: Tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters, root = tiny_survey
    monkeypatch.setattr("time.time", lambda: 1e9)  # gzip would write the clock into its tiles
    for index in (2, 1):  # the half covered brick first
        make_mock_brick(parameters, index, tmp_path)
    make_mock_tables(parameters, tmp_path)
    again, first = contents(tmp_path), contents(root)
    assert len(again) > 2 * 16 + 1
    assert [name for name, data in again.items() if data != first[name]] == []


def test_counts_are_those_of_the_files(tmp_path: Path) -> None:
    parameters = MockSurvey(seed=3, n_bricks=1, brick_size_pix=160, lrgs_per_brick=2)
    seen: list[MockBrick] = []
    counts = make_mock_survey(parameters, tmp_path, on_brick=seen.append)
    sweeps = [fits.getdata(path) for path in (tmp_path / "sweep/10.1").glob("*.fits")]
    assert [brick.index for brick in seen] == [0]
    assert counts == {
        "bricks": 1,
        "missing_bricks": 0,
        "planes": len(list(tmp_path.glob("coadd/*/*/*.fits.fz"))),
        "lrgs": 2,
        "sweeps": len(sweeps),
        "sweep_rows": sum(map(len, sweeps)),
    }


def test_another_seed_changes_every_pixel_plane(tmp_path: Path) -> None:
    one, two = mock_bricks(SMALL)[0], mock_bricks(MockSurvey(seed=4, n_bricks=4, brick_size_pix=160, lrgs_per_brick=2))[0]
    assert one.brickname != two.brickname
    assert one.exposures != two.exposures


def card(path: Path, name: str) -> object:
    """Return a card of the compressed HDU as it stands in the file."""
    with fits.open(path, disable_image_compression=True) as hdus:
        return hdus[1].header.get(name)


COMPRESSION = {
    "image-r": ("RICE_1", "SUBTRACTIVE_DITHER_2", "'1D'"),
    "invvar-r": ("RICE_1", "NO_DITHER", "'1D'"),
    "nexp-r": ("HCOMPRESS_1", None, "None"),
    "maskbits": ("HCOMPRESS_1", None, "None"),
    "depth-r": ("GZIP_1", None, "None"),
    "psfsize-r": ("GZIP_1", None, "None"),
}


@pytest.mark.parametrize("plane", COMPRESSION)
def test_compression_is_that_of_the_survey(tiny_survey: Tiny, brick: MockBrick, plane: str) -> None:
    path = tiny_survey[1] / plane_key(brick.brickname, plane)
    codec, dither, scale = COMPRESSION[plane]
    assert card(path, "ZCMPTYPE") == codec
    assert repr(card(path, "TFORM3")) == scale  # the third column is the tile's step, absent where lossless
    assert dither is None or (card(path, "ZQUANTIZ") or "NO_DITHER") == dither
    assert (card(path, "ZTILE1"), card(path, "ZTILE2")) == (100, 100)


def test_images_are_quantised_in_absolute_steps_with_a_known_dither(tiny_survey: Tiny, brick: MockBrick) -> None:
    image = tiny_survey[1] / plane_key(brick.brickname, "image-r")
    with fits.open(image, disable_image_compression=True) as hdus:
        assert np.allclose(hdus[1].data["ZSCALE"], 1e-4, rtol=1e-12)
        assert 1 <= hdus[1].header["ZDITHER0"] <= 10_000


def test_headers_say_what_the_survey_says(tiny_survey: Tiny, brick: MockBrick, image_r: Path) -> None:
    with open_plane(image_r, "image-r") as opened:
        header, wcs = opened.header, opened.wcs
    assert (header["BRICK"], header["BRICKID"], header["FILTERX"], header["IMTYPE"]) == (brick.brickname, brick.brickid, "r", "image")
    assert (header["MAGZERO"], header["BUNIT"], header["BANDS"]) == (22.5, "nanomaggy", "grz")
    corner = wcs.wcs_pix2world(0.0, 0.0, 0)
    assert (header["CORN1RA"], header["CORN1DEC"]) == pytest.approx((float(corner[0]), float(corner[1])), abs=1e-12)
    assert np.allclose(wcs.wcs.crpix, brick_wcs(brick.ra_deg, brick.dec_deg, size_pix=224).wcs.crpix)
    assert not any("DATE" in key for key in header)


def test_maskbits_name_their_bits_and_bring_the_wise_masks(tiny_survey: Tiny, brick: MockBrick) -> None:
    with fits.open(tiny_survey[1] / plane_key(brick.brickname, "maskbits")) as hdus:
        bits = MaskBits.from_header(hdus[1].header)
        assert [hdu.name for hdu in hdus[1:]] == ["MASKBITS", "WISEM1", "WISEM2"]
        assert [hdu.data.dtype.kind for hdu in hdus[1:]] == ["i", "u", "u"]
        assert np.array_equal(hdus[2].data, (hdus[1].data >> 8) & 1)
    assert (bits.source, bits.filled) == ("header", ())
    assert bits.bits == dict(DR10_BITS)


def test_the_missing_brick_is_in_the_tables_and_has_no_file(tiny_survey: Tiny) -> None:
    parameters, root = tiny_survey
    missing = [brick for brick in mock_bricks(parameters) if brick.is_missing]
    assert [brick.index for brick in missing] == [parameters.n_bricks - 1]
    assert not list(root.glob(f"coadd/*/{missing[0].brickname}/*"))
    with fits.open(root / BRICKS_KEY) as hdus:
        assert missing[0].brickname in set(hdus[1].data["brickname"])
    rows = [fits.getdata(path) for path in (root / "sweep/10.1").glob("*.fits")]
    assert sum(int((row["BRICKID"] == missing[0].brickid).sum()) for row in rows) >= parameters.lrgs_per_brick


def test_a_survey_of_few_bricks_has_no_losses() -> None:
    bricks = mock_bricks(MockSurvey(seed=3, n_bricks=3, brick_size_pix=160, lrgs_per_brick=2))
    assert not any(brick.is_missing for brick in bricks)
    assert all(exposures[0].x0 == 0 for brick in bricks for exposures in brick.exposures)


@pytest.mark.parametrize("changes", [{"brick_size_pix": 100}, {"brick_size_pix": 3601}, {"n_bricks": 0}, {"lrgs_per_brick": 0}])
def test_parameters_that_make_no_survey_are_refused(changes: dict[str, int]) -> None:
    values = {"seed": 1, "n_bricks": 2, "brick_size_pix": 200, "lrgs_per_brick": 3} | changes
    with pytest.raises(ConfigurationError, match="mock"):
        MockSurvey(**values)


def test_more_galaxies_than_fit_and_more_bricks_than_cells_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="fewer lrgs_per_brick"):
        make_mock_brick(MockSurvey(seed=1, n_bricks=1, brick_size_pix=200, lrgs_per_brick=80), 0, tmp_path)
    with pytest.raises(ConfigurationError, match="cells of nside 32"):
        mock_bricks(MockSurvey(seed=1, n_bricks=20_000, brick_size_pix=200, lrgs_per_brick=1))


def test_parameters_for_digests_name_every_choice() -> None:
    content = SMALL.to_parameters()
    assert content["seed"] == 3
    assert content["sky"]["psfsize_r_arcsec"] == DR10_LIKE.psfsize_r_arcsec
    assert set(content["sky"]) == set(DR10_LIKE.__dataclass_fields__)
