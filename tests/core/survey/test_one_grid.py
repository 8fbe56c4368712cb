"""Law of one grid: a stamp is cut at one place from every plane of a brick, so a plane on another grid is no plane of it."""

import shutil

import pytest
from astropy.io import fits

from halo_core.errors import SurveyDataError
from halo_core.survey.layout import plane_key, planes_for
from halo_core.survey.maskbits import MaskBits, require_bits
from halo_core.survey.mock import mock_bricks
from halo_core.survey.verification import planes_off_grid


@pytest.fixture
def paths(tiny_survey, tmp_path):
    parameters, root = tiny_survey
    brick = mock_bricks(parameters)[0].brickname
    copies = {}
    for plane in planes_for(("g", "r", "z")):
        copies[plane] = tmp_path / f"{plane}.fits.fz"
        shutil.copy(root / plane_key(brick, plane), copies[plane])
    return copies


def test_planes_of_a_sound_brick_share_their_grid(paths):
    assert planes_off_grid(paths) == {}
    assert planes_off_grid({}) == {}


def test_a_plane_that_is_another_piece_of_the_brick_is_named(paths):
    with fits.open(paths["invvar-r"], mode="update") as hdus:
        hdus[1].header["CRPIX1"] += 3.0
    found = planes_off_grid(paths)
    assert list(found) == ["invvar-r"]
    assert "CRPIX" in found["invvar-r"]


def test_a_bit_the_masks_need_must_have_a_meaning():
    require_bits(MaskBits.from_header({}))
    with pytest.raises(SurveyDataError, match="BRIGHT"):
        require_bits(MaskBits(bits={"NPRIMARY": 0}, source="header", filled=()))
