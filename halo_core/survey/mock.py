"""A mock survey in the survey's own layout: coadds, brick table and sweeps of bricks that nobody observed.

It exists so that the whole chain can run, and be tested, without a download: same files, same columns, same traps (a brick without
files, a band that covers half a brick, saturated stars, galaxies at the edge). It is a simulation with simple galaxies and no
photon noise of objects: completeness measured on it says nothing about the real survey.
"""

from collections.abc import Callable
from pathlib import Path

from halo_core.survey.layout import plane_key
from halo_core.survey.mock_files import write_plane
from halo_core.survey.mock_model import DR10_LIKE, MockBrick, MockSky, MockSurvey, mock_bricks
from halo_core.survey.mock_objects import LRG, mock_objects
from halo_core.survey.mock_pixels import band_pixels, maskbits_plane
from halo_core.survey.mock_tables import write_tables

__all__ = [
    "DR10_LIKE",
    "SCIENCE_VERSION",
    "MockBrick",
    "MockSky",
    "MockSurvey",
    "make_mock_brick",
    "make_mock_survey",
    "make_mock_tables",
    "mock_bricks",
]

SCIENCE_VERSION = 1
"""Raised whenever the code changes a byte of the mock survey."""

_KINDS = ("image", "invvar", "psfsize", "depth", "nexp")


def make_mock_survey(parameters: MockSurvey, root: Path, *, on_brick: Callable[[MockBrick], None] | None = None) -> dict[str, int]:
    """Write a whole mock survey, brick after brick; writing it again gives the same bytes.

    Parameters
    ----------
    parameters : MockSurvey
        What to make.
    root : Path
        The survey root: ``coadd/``, the brick table and ``sweep/`` are written below it.
    on_brick : callable
        Called with each brick when its files are there.

    Returns
    -------
    dict of str to int
        Numbers of bricks, missing_bricks, planes, lrgs, sweeps, sweep_rows.
    """
    n_planes = 0
    bricks = mock_bricks(parameters)
    for brick in bricks:
        n_planes += make_mock_brick(parameters, brick.index, root)
        if on_brick is not None:
            on_brick(brick)
    n_missing = sum(brick.is_missing for brick in bricks)
    return {"bricks": len(bricks), "missing_bricks": n_missing, "planes": n_planes} | make_mock_tables(parameters, root)


def make_mock_brick(parameters: MockSurvey, index: int, root: Path) -> int:
    """Write the coadd planes of one brick, whatever the others; return how many (none for the missing brick).

    Raises
    ------
    IndexError
        The survey has no brick of this index.
    """
    brick = mock_bricks(parameters)[index]
    if brick.is_missing:
        return 0
    objects = mock_objects(parameters, brick)
    for band in parameters.sky.bands:
        pixels = band_pixels(parameters, brick, objects, band)
        for kind in _KINDS:
            plane = f"{kind}-{band}"
            write_plane(root / plane_key(brick.brickname, plane), plane, getattr(pixels, kind), parameters=parameters, brick=brick)
    bits = maskbits_plane(parameters, brick, objects)
    write_plane(root / plane_key(brick.brickname, "maskbits"), "maskbits", bits, parameters=parameters, brick=brick)
    return len(_KINDS) * len(parameters.sky.bands) + 1


def make_mock_tables(parameters: MockSurvey, root: Path) -> dict[str, int]:
    """Write the brick table and the sweeps, which need no pixels; return the numbers of lrgs, sweeps and sweep_rows."""
    bricks = mock_bricks(parameters)
    objects = {brick.index: mock_objects(parameters, brick) for brick in bricks}
    counts = write_tables(root, parameters, bricks, objects)
    return {"lrgs": sum(int((item.kind == LRG).sum()) for item in objects.values())} | counts
