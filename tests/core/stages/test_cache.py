"""Cache: every plane a block needs is asked for once, has one row, and is used only where it was verified."""

from pathlib import Path
from typing import Any

import pytest

from halo_core.errors import ConventionError
from halo_core.records import PLANES
from halo_core.stages.cache import brick_planes, planes_needed, planes_table

ROW: dict[str, Any] = {
    "brickname": "0001m002",
    "plane": "image-r",
    "block": 3,
    "source_uri": "/survey/coadd/000/0001m002/legacysurvey-0001m002-image-r.fits.fz",
    "key": "cache/x/image-r",
    "status": "ok",
    "reason": None,
    "sha256": "ab",
    "n_bytes": 7,
    "attempts": 1,
}
LOST = ROW | {"key": None, "reason": "the survey has no such file", "sha256": None, "n_bytes": None}


def test_each_brick_needs_its_planes_once_whatever_the_order_of_tasks() -> None:
    asked = planes_needed(["0003p001", "0001m002", "0003p001"], ("g", "r"))
    kinds = ["image-g", "invvar-g", "psfsize-g", "image-r", "invvar-r", "psfsize-r", "maskbits"]
    assert asked == [(name, plane) for name in ("0001m002", "0003p001") for plane in kinds]
    assert planes_needed(["0001m002", "0003p001"], ("g", "r")) == asked


def test_bands_that_nobody_uses_are_not_fetched() -> None:
    assert not any(plane.endswith(("-g", "-z")) for _, plane in planes_needed(["0001m002"], ("r",)))


def test_only_verified_planes_have_a_path_and_every_other_has_its_status(tmp_path: Path) -> None:
    rows = [
        ROW,
        LOST | {"plane": "image-g", "status": "missing"},
        LOST | {"plane": "maskbits", "status": "unverified"},
        ROW | {"brickname": "0003p001", "plane": "image-z"},
    ]
    table = planes_table(rows)
    assert table.schema.equals(PLANES)
    planes = brick_planes(table, "0001m002", tmp_path.joinpath)
    assert planes.brickname == "0001m002"
    assert planes.paths == {"image-r": tmp_path / "cache/x/image-r"}
    assert planes.lost == {"image-g": "missing", "maskbits": "unverified"}


def test_an_unverified_plane_is_never_used_even_where_its_bytes_are_stored(tmp_path: Path) -> None:
    planes = brick_planes(planes_table([ROW | {"status": "unverified", "reason": "truncated"}]), "0001m002", tmp_path.joinpath)
    assert planes.paths == {}
    assert planes.lost == {"image-r": "unverified"}


def test_a_brick_without_rows_has_nothing(tmp_path: Path) -> None:
    planes = brick_planes(planes_table([ROW]), "0009p009", tmp_path.joinpath)
    assert (planes.paths, planes.lost) == ({}, {})


def test_a_row_without_a_status_is_refused() -> None:
    with pytest.raises(ConventionError, match="planes of a block: column status"):
        planes_table([ROW | {"status": None}])
