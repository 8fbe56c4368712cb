"""Reading coadd planes: sections, edges, positions."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from halo_core.errors import SurveyDataError
from halo_core.survey.coadds import crop_start, open_plane, sky_to_pixel, stamp_corner
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockBrick, MockSurvey


@pytest.mark.parametrize("plane", ["image-r", "invvar-g", "psfsize-z", "nexp-r", "depth-g", "maskbits"])
def test_a_section_is_the_slice_of_the_whole_plane_bit_for_bit(tiny_survey: tuple[MockSurvey, Path], brick: MockBrick, plane: str) -> None:
    path = tiny_survey[1] / plane_key(brick.brickname, plane)
    with fits.open(path) as hdus:
        whole = np.array(hdus[1].data)
    with open_plane(path, plane) as opened:
        for x0, y0, size in ((0, 0, 64), (93, 77, 64), (160, 128, 64), (0, 0, 224), (201, 3, 5)):
            stamp, outside = opened.cutout(x0, y0, size, 0)
            assert stamp.dtype == whole.dtype.newbyteorder("=")
            assert np.array_equal(stamp, whole[y0 : y0 + size, x0 : x0 + size])
            assert not outside.any()
        assert np.array_equal(opened.read(), whole)
        assert np.array_equal(opened.cutout(93, 77, 64, 0)[0], whole[77:141, 93:157])


@pytest.mark.parametrize("plane", ["image-r", "maskbits"])
def test_the_header_is_that_of_the_file(tiny_survey: tuple[MockSurvey, Path], brick: MockBrick, plane: str) -> None:
    path = tiny_survey[1] / plane_key(brick.brickname, plane)
    with fits.open(path) as hdus, open_plane(path, plane) as opened:
        opened.cutout(10, 10, 20, 0)
        assert opened.header.tostring() == hdus[1].header.tostring()
        assert opened.shape == hdus[1].shape


def test_an_image_that_is_not_compressed_is_read_alike(image_r: Path, tmp_path: Path) -> None:
    with fits.open(image_r) as hdus:
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(hdus[1].data, hdus[1].header)]).writeto(tmp_path / "plain.fits")
    with open_plane(image_r, "image-r") as packed, open_plane(tmp_path / "plain.fits", "image-r") as plain:
        assert np.array_equal(plain.cutout(30, 40, 64, 0)[0], packed.cutout(30, 40, 64, 0)[0])
        assert np.array_equal(plain.read(), packed.read())


@pytest.mark.parametrize(("x0", "y0"), [(-20, 50), (200, 50), (50, -63), (50, 223), (-10, -10), (190, 200)])
def test_pixels_beyond_the_file_are_filled_and_marked(image_r: Path, x0: int, y0: int) -> None:
    with open_plane(image_r, "image-r") as opened:
        padded = np.pad(opened.read(), 100, constant_values=-7.0)
        y, x = np.mgrid[y0 : y0 + 64, x0 : x0 + 64]
    with open_plane(image_r, "image-r") as opened:
        stamp, outside = opened.cutout(x0, y0, 64, -7.0)
    assert np.array_equal(stamp, padded[y0 + 100 : y0 + 164, x0 + 100 : x0 + 164])
    assert np.array_equal(outside, (x < 0) | (y < 0) | (x >= 224) | (y >= 224))


@pytest.mark.parametrize(("x0", "y0"), [(-64, 0), (224, 0), (0, 400), (-500, -500)])
def test_a_stamp_wholly_beyond_the_file_is_all_outside(image_r: Path, x0: int, y0: int) -> None:
    with open_plane(image_r, "image-r") as opened:
        stamp, outside = opened.cutout(x0, y0, 64, 0.0)
    assert stamp.shape == (64, 64)
    assert stamp.dtype == np.float32
    assert not stamp.any()
    assert outside.all()


def test_value_is_that_of_the_nearest_pixel_and_nan_outside(image_r: Path) -> None:
    with open_plane(image_r, "image-r") as opened:
        values = [opened.value_at(x, y) for x, y in ((9.5, 20.49), (10.49, 20.0), (9.49, 20.0), (-0.5, 0.0), (223.49, 223.49))]
        outside = [opened.value_at(x, y) for x, y in ((-0.51, 0.0), (0.0, 223.5), (224.0, 5.0))]
        whole = opened.read()
    assert values == [whole[20, 10], whole[20, 10], whole[20, 9], whole[0, 0], whole[223, 223]]
    assert np.isnan(outside).all()


def test_positions_are_those_of_the_full_header_wcs(image_r: Path) -> None:
    with open_plane(image_r, "image-r") as opened, fits.open(image_r) as hdus:
        reference = WCS(hdus[1].header)
        assert opened.shape == (224, 224)
        ra, dec = reference.all_pix2world([3.2, 111.5, 220.9], [200.1, 111.5, 7.7], 0)
        x, y = sky_to_pixel(opened.wcs, ra, dec)
        assert np.allclose(x, [3.2, 111.5, 220.9], atol=1e-6, rtol=0.0)
        assert np.allclose(y, [200.1, 111.5, 7.7], atol=1e-6, rtol=0.0)
        one = sky_to_pixel(opened.wcs, float(ra[0]), float(dec[0]))
    assert all(isinstance(value, float) for value in one)
    assert one == (x[0], y[0])


def test_the_antipode_has_no_pixel(image_r: Path) -> None:
    with open_plane(image_r, "image-r") as opened:
        ra, dec = opened.wcs.wcs.crval
        assert np.isnan(sky_to_pixel(opened.wcs, ra + 180.0, -dec)).all()


@pytest.mark.parametrize("size", [64, 96, 101])
@pytest.mark.parametrize("position", [100.0, 100.49, 100.5, 99.51, -3.2])
def test_target_stands_within_a_pixel_of_the_middle_of_its_stamp(size: int, position: float) -> None:
    offset = position - stamp_corner(position, size) - (size - 1) / 2
    low, high = (0.0, 1.0) if size % 2 == 0 else (-0.5, 0.5)
    assert low <= offset <= high


@pytest.mark.parametrize(("big", "small"), [(96, 64), (96, 96), (101, 64), (96, 63), (101, 99)])
def test_a_crop_of_the_big_stamp_is_the_small_stamp(image_r: Path, big: int, small: int) -> None:
    start = crop_start(big, small)
    with open_plane(image_r, "image-r") as opened:
        corners = [(stamp_corner(111.3, size), stamp_corner(98.5, size)) for size in (big, small)]
        (large, _), (tiny, _) = (opened.cutout(x0, y0, size, 0.0) for (x0, y0), size in zip(corners, (big, small), strict=True))
    assert np.array_equal(large[start : start + small, start : start + small], tiny)
    assert crop_start(96, 64) == 16


def test_impossible_stamps_are_refused(image_r: Path) -> None:
    with pytest.raises(ValueError, match="cannot be cropped"):
        crop_start(64, 96)
    with open_plane(image_r, "image-r") as opened, pytest.raises(ValueError, match="positive"):
        opened.cutout(0, 0, 0, 0.0)


def test_a_file_without_an_image_or_with_another_projection_is_refused(tmp_path: Path) -> None:
    empty, sine = tmp_path / "empty.fits", tmp_path / "sine.fits"
    fits.PrimaryHDU().writeto(empty)
    header = fits.Header({"CTYPE1": "RA---SIN", "CTYPE2": "DEC--SIN", "CRVAL1": 1.0, "CRVAL2": 2.0, "CRPIX1": 1.0, "CRPIX2": 1.0})
    header.update({"CD1_1": 1e-4, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 1e-4})
    fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((5, 5)), header)]).writeto(sine)
    with pytest.raises(SurveyDataError, match="no two-dimensional image"):
        open_plane(empty, "image-r")
    with pytest.raises(SurveyDataError, match="RA---SIN"):
        open_plane(sine, "image-r")
    with pytest.raises(FileNotFoundError):
        open_plane(tmp_path / "none.fits", "image-r")
