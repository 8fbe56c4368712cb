"""Flag bits: each has its place for ever, a sentence, and one of two kinds."""

import pytest

from halo_core.constants import BANDS
from halo_core.flags import LOSSES, NOTES, SENTENCES, Flag, for_band, names

PINNED = {
    "BRICK_MISSING": 0,
    "MASKBITS_MISSING": 1,
    "IMAGE_MISSING_G": 2,
    "IMAGE_MISSING_R": 3,
    "IMAGE_MISSING_Z": 4,
    "INVVAR_MISSING_G": 5,
    "INVVAR_MISSING_R": 6,
    "INVVAR_MISSING_Z": 7,
    "PLANE_UNVERIFIED": 8,
    "OFF_IMAGE": 9,
    "PIXEL_NAN": 10,
    "PSF_UNUSABLE_G": 11,
    "PSF_UNUSABLE_R": 12,
    "PSF_UNUSABLE_Z": 13,
    "NO_GOOD_PIXEL_G": 14,
    "NO_GOOD_PIXEL_R": 15,
    "NO_GOOD_PIXEL_Z": 16,
    "CONTROL": 17,
    "PSF_FROM_BRICK": 18,
    "HAS_BAD_PIXELS": 19,
    "ON_WISE_MASK": 20,
    "EBV_UNKNOWN": 21,
    "W1_UNKNOWN": 22,
    "CONDITIONS_UNKNOWN": 23,
    "OUTSIDE_PRIMARY": 24,
}
"""Bits are stored in states and objects: a bit may be added here, never moved or renamed."""


def test_bits_keep_their_places() -> None:
    found = {str(flag.name): flag.value.bit_length() - 1 for flag in Flag}
    assert {name: found[name] for name in PINNED} == PINNED
    assert len(set(found.values())) == len(found)
    assert all(flag.value.bit_count() == 1 for flag in Flag)


def test_every_bit_has_a_sentence_of_its_own() -> None:
    assert set(SENTENCES) == set(Flag)
    assert len(set(SENTENCES.values())) == len(SENTENCES)
    assert all(sentence.endswith(".") and sentence[0].isupper() for sentence in SENTENCES.values())


def test_every_bit_is_a_loss_or_a_note() -> None:
    assert Flag(0) == LOSSES & NOTES
    assert LOSSES.value | NOTES.value == sum(flag.value for flag in Flag)
    notes = {"CONTROL", "PSF_FROM_BRICK", "HAS_BAD_PIXELS", "ON_WISE_MASK", "EBV_UNKNOWN", "W1_UNKNOWN", "CONDITIONS_UNKNOWN"}
    assert set(names(NOTES.value)) == notes | {"OUTSIDE_PRIMARY"}


@pytest.mark.parametrize("stem", ["IMAGE_MISSING", "INVVAR_MISSING", "PSF_UNUSABLE", "NO_GOOD_PIXEL"])
def test_per_band_losses_exist_for_every_band_and_name_it(stem: str) -> None:
    bits = [for_band(stem, band) for band in BANDS]
    assert len(set(bits)) == len(BANDS)
    for band, bit in zip(BANDS, bits, strict=True):
        assert bit & LOSSES
        assert f" {band} " in f" {SENTENCES[bit].replace('.', ' ')} "


def test_an_unknown_band_has_no_flag() -> None:
    with pytest.raises(KeyError):
        for_band("IMAGE_MISSING", "i")


def test_names_are_those_of_the_set_bits_lowest_first() -> None:
    assert names(0) == ()
    assert names((Flag.CONTROL | Flag.BRICK_MISSING | Flag.OFF_IMAGE).value) == ("BRICK_MISSING", "OFF_IMAGE", "CONTROL")
