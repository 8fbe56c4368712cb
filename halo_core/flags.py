"""Flag bits of results and parents: each has a kind and a sentence; bits are only ever added."""

from enum import IntFlag


class Flag(IntFlag):
    """Why a row was not evaluated (loss), or what a reader should know about it (note)."""

    BRICK_MISSING = 1 << 0
    MASKBITS_MISSING = 1 << 1
    IMAGE_MISSING_G = 1 << 2
    IMAGE_MISSING_R = 1 << 3
    IMAGE_MISSING_Z = 1 << 4
    INVVAR_MISSING_G = 1 << 5
    INVVAR_MISSING_R = 1 << 6
    INVVAR_MISSING_Z = 1 << 7
    PLANE_UNVERIFIED = 1 << 8
    OFF_IMAGE = 1 << 9
    PIXEL_NAN = 1 << 10
    PSF_UNUSABLE_G = 1 << 11
    PSF_UNUSABLE_R = 1 << 12
    PSF_UNUSABLE_Z = 1 << 13
    NO_GOOD_PIXEL_G = 1 << 14
    NO_GOOD_PIXEL_R = 1 << 15
    NO_GOOD_PIXEL_Z = 1 << 16
    CONTROL = 1 << 17
    PSF_FROM_BRICK = 1 << 18
    HAS_BAD_PIXELS = 1 << 19
    ON_WISE_MASK = 1 << 20
    EBV_UNKNOWN = 1 << 21
    W1_UNKNOWN = 1 << 22
    CONDITIONS_UNKNOWN = 1 << 23
    OUTSIDE_PRIMARY = 1 << 24


SENTENCES = {
    Flag.BRICK_MISSING: "The survey has no coadd of this brick.",
    Flag.MASKBITS_MISSING: "The brick's maskbits plane is absent or could not be verified.",
    Flag.IMAGE_MISSING_G: "The g image plane is absent or could not be verified.",
    Flag.IMAGE_MISSING_R: "The r image plane is absent or could not be verified.",
    Flag.IMAGE_MISSING_Z: "The z image plane is absent or could not be verified.",
    Flag.INVVAR_MISSING_G: "The g inverse-variance plane is absent or could not be verified.",
    Flag.INVVAR_MISSING_R: "The r inverse-variance plane is absent or could not be verified.",
    Flag.INVVAR_MISSING_Z: "The z inverse-variance plane is absent or could not be verified.",
    Flag.PLANE_UNVERIFIED: "At least one plane exists but failed verification after its retries.",
    Flag.OFF_IMAGE: "A stamp of this size does not fit in the file around the host.",
    Flag.PIXEL_NAN: "The stamp holds a non-finite pixel where the inverse variance is positive.",
    Flag.PSF_UNUSABLE_G: "No usable g PSF size at the host, neither in the map nor for the brick.",
    Flag.PSF_UNUSABLE_R: "No usable r PSF size at the host, neither in the map nor for the brick.",
    Flag.PSF_UNUSABLE_Z: "No usable z PSF size at the host, neither in the map nor for the brick.",
    Flag.NO_GOOD_PIXEL_G: "The stamp has no good pixel in g.",
    Flag.NO_GOOD_PIXEL_R: "The stamp has no good pixel in r.",
    Flag.NO_GOOD_PIXEL_Z: "The stamp has no good pixel in z.",
    Flag.CONTROL: "A control: the host is left as it is, lens metrics do not apply.",
    Flag.PSF_FROM_BRICK: "The PSF size of at least one band is the brick's value, not the map's.",
    Flag.HAS_BAD_PIXELS: "Some pixels of the stamp are not good in r.",
    Flag.ON_WISE_MASK: "Some pixels of the stamp lie on a WISE bright-star mask.",
    Flag.EBV_UNKNOWN: "E(B-V) is not known and taken as 0: no extinction was applied.",
    Flag.W1_UNKNOWN: "The host has no W1 magnitude.",
    Flag.CONDITIONS_UNKNOWN: "Seeing or depth at the host is not known before the coadds are read.",
    Flag.OUTSIDE_PRIMARY: "The host lies outside the unique area of its brick.",
}

NOTES = (
    Flag.CONTROL
    | Flag.PSF_FROM_BRICK
    | Flag.HAS_BAD_PIXELS
    | Flag.ON_WISE_MASK
    | Flag.EBV_UNKNOWN
    | Flag.W1_UNKNOWN
    | Flag.CONDITIONS_UNKNOWN
    | Flag.OUTSIDE_PRIMARY
)
"""Bits that inform; every other bit is a loss: the row is not evaluated."""

LOSSES = Flag(sum(flag.value for flag in Flag) & ~NOTES.value)


def for_band(stem: str, band: str) -> Flag:
    """Return the bit of a per-band flag, such as ``for_band("IMAGE_MISSING", "r")``."""
    return Flag[f"{stem}_{band.upper()}"]


def names(flags: int) -> tuple[str, ...]:
    """Return the names of the bits that are set, lowest first."""
    return tuple(str(flag.name) for flag in Flag if flags & flag)
