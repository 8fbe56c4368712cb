"""Names of the survey's files."""

import pytest

from halo_core.errors import SurveyDataError
from halo_core.survey.layout import checksums_key, plane_key, planes_for, read_checksums, split_plane, sweep_key


def test_keys_are_those_of_the_survey() -> None:
    assert plane_key("0285m165", "image-g") == "coadd/028/0285m165/legacysurvey-0285m165-image-g.fits.fz"
    assert plane_key("0001m002", "maskbits") == "coadd/000/0001m002/legacysurvey-0001m002-maskbits.fits.fz"


def test_a_bandset_needs_image_invvar_and_psfsize_per_band_and_maskbits() -> None:
    assert planes_for("gz") == ("image-g", "invvar-g", "psfsize-g", "image-z", "invvar-z", "psfsize-z", "maskbits")
    assert planes_for(("r",)) == ("image-r", "invvar-r", "psfsize-r", "maskbits")


@pytest.mark.parametrize("plane", ["image", "maskbits-g", "image-", "image-gr", "images-g", "image-G", "image-g/../x"])
def test_planes_that_are_none_are_refused(plane: str) -> None:
    with pytest.raises(ValueError, match="no coadd plane"):
        split_plane(plane)
    with pytest.raises(ValueError, match="no coadd plane"):
        plane_key("0285m165", plane)


@pytest.mark.parametrize("name", ["../../x", "0285m16", "0285m1655", "", "0285M165"])
def test_names_that_could_leave_the_survey_are_refused(name: str) -> None:
    with pytest.raises(SurveyDataError, match="brick name"):
        plane_key(name, "maskbits")


@pytest.mark.parametrize(
    ("ra", "dec", "name"),
    [
        (0.0, -10.0, "sweep-000m010-010m005"),
        (9.99, -5.01, "sweep-000m010-010m005"),
        (355.0, 30.0, "sweep-350p030-360p035"),
        (12.0, -2.5, "sweep-010m005-020p000"),
        (10.0, 0.0, "sweep-010p000-020p005"),
    ],
)
def test_sweeps_are_boxes_of_ten_by_five_degrees(ra: float, dec: float, name: str) -> None:
    assert sweep_key(ra, dec) == f"sweep/10.1/{name}.fits"


def test_no_sweep_holds_a_position_off_the_sphere() -> None:
    for ra, dec in ((360.0, 0.0), (-1.0, 0.0), (0.0, 90.0), (float("nan"), 0.0)):
        with pytest.raises(ValueError, match="no sweep"):
            sweep_key(ra, dec)


def test_the_list_of_a_brick_names_files_with_or_without_their_folder() -> None:
    assert checksums_key("0285m165") == "tractor/028/brick-0285m165.sha256sum"
    one, two = "a" * 64, "0" * 64
    content = f"{one} *coadd/028/0285m165/legacysurvey-0285m165-image-g.fits.fz\n{two}  tractor-0285m165.fits\n".encode()
    assert read_checksums(content, where="x") == {"legacysurvey-0285m165-image-g.fits.fz": one, "tractor-0285m165.fits": two}
    assert read_checksums(b"", where="x") == {}


@pytest.mark.parametrize(
    "line",
    ["<html>", "abc  file.fits", f"{'a' * 64}", f"{'a' * 64}  ../..", f"{'a' * 64}  f.fits\n{'b' * 64}  f.fits", f"{'A' * 64}  f.fits"],
)
def test_a_list_that_is_none_is_an_error_that_names_the_line(line: str) -> None:
    with pytest.raises(SurveyDataError, match=r"list: line \d is"):
        read_checksums(line.encode(), where="list")


@pytest.mark.parametrize("name", ["../x", "0285m16", "0285m165/..", ""])
def test_a_name_that_is_no_brick_s_is_no_path(name: str) -> None:
    with pytest.raises(SurveyDataError, match="is no brick name"):
        checksums_key(name)
