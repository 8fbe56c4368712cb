"""The quality bits: what names them, and which pixels they make bad."""

import numpy as np
import pytest

from halo_core.errors import SurveyDataError
from halo_core.survey.maskbits import DR10_BITS, MaskBits, good_pixels, wise_pixels

DR10 = MaskBits.from_header({})
ONE = np.ones((1, 1), dtype=np.float32)


def bit(name: str) -> np.ndarray:
    """Return a one-pixel mask with this DR10 bit."""
    return np.full((1, 1), 1 << DR10_BITS[name], dtype=np.int32)


def test_a_header_that_names_nothing_leaves_the_table_of_dr10() -> None:
    assert DR10.source == "dr10"
    assert DR10.bits == dict(DR10_BITS)
    assert (DR10.bits["MEDIUM"], DR10.bits["SUB_BLOB"]) == (11, 16)


def test_both_card_styles_name_the_bits() -> None:
    for header in ({"MBIT_1": "BRIGHT", "MBIT_5": "ALLMASK_G"}, {"MB_BRIGH": 2, "MB_ALL_G": 32}):
        bits = MaskBits.from_header(header)
        assert bits.source == "header"
        assert bits.bits == dict(DR10_BITS)
        assert set(bits.filled) == set(DR10_BITS) - {"BRIGHT", "ALLMASK_G"}


def test_the_file_wins_over_the_table() -> None:
    bits = MaskBits.from_header({"MBIT_20": "BRIGHT", "MBIT_1": "GALAXY"})
    assert (bits.bits["BRIGHT"], bits.bits["GALAXY"]) == (20, 1)
    mask = np.array([[1 << 20, 1 << 1]], dtype=np.int32)
    assert good_pixels(mask, np.ones((1, 2)), "r", bits).tolist() == [[False, True]]


def test_a_dr10_bit_that_the_file_gives_to_another_name_is_not_filled_in() -> None:
    bits = MaskBits.from_header({"MBIT_11": "NEWBIT"})
    assert "MEDIUM" not in bits.bits
    with pytest.raises(SurveyDataError, match="no bit MEDIUM"):
        good_pixels(bit("NPRIMARY"), ONE, "r", bits)


@pytest.mark.parametrize("header", [{"MBIT_1": "BRIGHT", "MB_BRIGH": 4}, {"MB_BRIGH": 4, "MB_SAT_G": 4}, {"MB_BRIGH": 6}, {"MB_BRIGH": 0}])
def test_cards_that_disagree_are_refused(header: dict[str, object]) -> None:
    with pytest.raises(SurveyDataError, match=r"cards disagree|not one bit"):
        MaskBits.from_header(header)


@pytest.mark.parametrize("name", ["BRIGHT", "MEDIUM", "BAILOUT", "SATUR_R", "ALLMASK_R"])
def test_these_bits_make_a_pixel_bad(name: str) -> None:
    assert not good_pixels(bit(name), ONE, "r", DR10).any()


@pytest.mark.parametrize("name", ["NPRIMARY", "SATUR_G", "ALLMASK_Z", "WISEM1", "WISEM2", "GALAXY", "CLUSTER", "SUB_BLOB", "SATUR_I"])
def test_these_bits_do_not(name: str) -> None:
    assert good_pixels(bit(name), ONE, "r", DR10).all()


def test_a_pixel_without_weight_is_never_good() -> None:
    invvar = np.array([[0.0, -1.0, np.nan, 1e-9]])
    assert good_pixels(np.zeros((1, 4), np.int32), invvar, "g", DR10).tolist() == [[False, False, False, True]]


def test_wise_pixels_are_those_of_either_mask() -> None:
    mask = np.array([[1 << 8, 1 << 9, (1 << 8) | (1 << 9), 1 << 7, 0]], dtype=np.int32)
    assert wise_pixels(mask, DR10).tolist() == [[True, True, True, False, False]]
