"""Where the files of the survey are: the one place that spells their names.

Keys are relative POSIX paths below the survey root, the folder that holds ``coadd/``.
"""

import re
from math import floor

from halo_core.errors import SurveyDataError

BRICKS_KEY = "survey-bricks-dr10-south.fits.gz"
"""Table of the bricks of DR10, relative to the survey root."""

SWEEP_FOLDER = "sweep/10.1"
"""Folder of the sweep catalogues, relative to the survey root."""

TRACTOR_FOLDER = "tractor"
"""Folder of the Tractor catalogues, one per brick, relative to the survey root."""

COADD_FOLDER = "coadd"
"""Folder of the coadds, relative to the survey root."""

FOLDERS = (COADD_FOLDER, SWEEP_FOLDER, TRACTOR_FOLDER)
"""Folders of the survey."""

CHECKSUM_LISTS = {SWEEP_FOLDER: "legacysurvey_dr10_south_sweep_10.1.sha256sum"}
"""Name of the list of checksums that a folder of catalogues holds."""

BAND_PLANES = ("image", "invvar", "psfsize", "nexp", "depth")
"""Types of coadd planes that come once per band."""

BRICK_PLANES = ("maskbits",)
"""Types of coadd planes that come once per brick."""

_NEEDED_PER_BAND = ("image", "invvar", "psfsize")
_CHECKSUM = re.compile(r"([0-9a-f]{64}) [ *](?:\S*/)?([A-Za-z0-9][A-Za-z0-9._=-]*)")
_BRICKNAME = re.compile(r"[0-9]{4}[pm][0-9]{3}")
_BAND = re.compile(r"[a-z]")
_SWEEP_RA_DEG = 10
_SWEEP_DEC_DEG = 5


def split_plane(plane: str) -> tuple[str, str | None]:
    """Return the type and band of a plane: ``"image-g"`` -> ("image", "g"), ``"maskbits"`` -> ("maskbits", None).

    Raises
    ------
    ValueError
        No plane of a brick has this name.
    """
    kind, dash, band = plane.partition("-")
    if dash and kind in BAND_PLANES and _BAND.fullmatch(band):
        return kind, band
    if not dash and kind in BRICK_PLANES:
        return kind, None
    raise ValueError(f"{plane!r} is no coadd plane; planes are {BAND_PLANES} with -<band>, and {BRICK_PLANES}")


def plane_key(brickname: str, plane: str) -> str:
    """Return the path of a coadd plane below the survey root.

    Parameters
    ----------
    brickname : str
        Name such as ``0285m165``; its first three characters, the whole degrees of RA, name the folder.
    plane : str
        Such as ``image-g`` or ``maskbits``.

    Raises
    ------
    SurveyDataError
        The brick name is malformed (it would become part of a path).
    ValueError
        No plane of a brick has this name.
    """
    _require_brickname(brickname)
    split_plane(plane)
    return f"{COADD_FOLDER}/{brickname[:3]}/{brickname}/legacysurvey-{brickname}-{plane}.fits.fz"


def checksums_key(brickname: str) -> str:
    """Return the path of the list of sha256 that the archive keeps of a brick's files.

    Raises
    ------
    SurveyDataError
        The brick name is malformed.
    """
    _require_brickname(brickname)
    return f"{TRACTOR_FOLDER}/{brickname[:3]}/brick-{brickname}.sha256sum"


def read_checksums(content: bytes, *, where: str) -> dict[str, str]:
    """Return the sha256 of files by their names, without folders, from a list as ``sha256sum`` writes it.

    Raises
    ------
    SurveyDataError
        A line is no checksum of a file, or two lines differ on one file.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(content.decode("ascii", "replace").splitlines(), start=1):
        match = _CHECKSUM.fullmatch(line.strip())
        if match is None or found.setdefault(match[2], match[1]) != match[1]:
            raise SurveyDataError(f"{where}: line {number} is {line[:100]!r}, expected a sha256 and the name of a file listed once")
    return found


def planes_for(bands: str | tuple[str, ...]) -> tuple[str, ...]:
    """Return the planes an injection in these bands reads: image, invvar and psfsize per band, and maskbits."""
    planes = tuple(f"{kind}-{band}" for band in bands for kind in _NEEDED_PER_BAND)
    for plane in planes:
        split_plane(plane)
    return (*planes, *BRICK_PLANES)


def sweep_key(ra_deg: float, dec_deg: float) -> str:
    """Return the path of the sweep catalogue that holds a position: boxes of 10 deg in RA by 5 deg in Dec, lower edges included.

    Raises
    ------
    ValueError
        The position is outside 0 <= RA < 360 or -90 <= Dec < 90.
    """
    if not (0.0 <= ra_deg < 360.0 and -90.0 <= dec_deg < 90.0):
        raise ValueError(f"no sweep holds RA {ra_deg}, Dec {dec_deg}; expected 0 <= RA < 360 and -90 <= Dec < 90")
    ra1 = floor(ra_deg / _SWEEP_RA_DEG) * _SWEEP_RA_DEG
    dec1 = floor(dec_deg / _SWEEP_DEC_DEG) * _SWEEP_DEC_DEG
    return f"{SWEEP_FOLDER}/sweep-{_corner(ra1, dec1)}-{_corner(ra1 + _SWEEP_RA_DEG, dec1 + _SWEEP_DEC_DEG)}.fits"


def _require_brickname(brickname: str) -> None:
    """Raise where a name is none of a brick."""
    if not _BRICKNAME.fullmatch(brickname):
        raise SurveyDataError(f"{brickname!r} is no brick name; expected four digits, p or m, three digits, such as 0285m165")


def _corner(ra_deg: int, dec_deg: int) -> str:
    """Return one corner of a sweep's name."""
    return f"{ra_deg:03d}{'p' if dec_deg >= 0 else 'm'}{abs(dec_deg):03d}"
