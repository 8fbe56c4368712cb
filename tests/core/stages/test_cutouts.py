"""Laws of cut-outs: what is read from them is what was cut from the planes, to the bit, and so is what is injected on them."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.errors import SurveyDataError
from halo_core.stages.cutouts import Cutouts, cut_brick, cutouts_schema
from halo_core.stages.files import StampWriter
from halo_core.stages.hosts import BrickPlanes, Host, cut_hosts, distinct_targets
from halo_core.stages.injection import inject_brick
from halo_core.stamps import HOSTS_FILE, read_stamps
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import CONFIG, planes_of, store, tiny_run, whole_bricks

Tiny = tuple[MockSurvey, Path]
LOST: list[dict[str, str]] = [
    {},
    {"image-g": "missing"},
    {"maskbits": "unverified"},
    {"invvar-r": "missing", "psfsize-r": "missing"},
    {f"{kind}-{band}": "missing" for kind in ("image", "invvar", "psfsize") for band in "grz"},
]
"""Planes that are not there, with their status."""


def tasks_of(run: Any, brickname: str) -> pa.Table:
    """Return the tasks of a brick."""
    return run.tasks.filter(pc.equal(run.tasks["brickname"], brickname))


def written(tables: list[pa.Table], folder: Path) -> Path:
    """Return the file of cut-outs as a block writes it."""
    path = folder / "cutouts.parquet"
    with StampWriter(path, cutouts_schema(CONFIG.store_size_pix)) as writer:
        for table in tables:
            writer.write(table)
    return path


def cut(tasks: pa.Table, planes: BrickPlanes) -> pa.Table:
    """Return the cut-outs of a brick's tasks."""
    return cut_brick(tasks, planes, bands=CONFIG.bands, size_pix=CONFIG.store_size_pix)


def as_bytes(host: Host) -> dict[str, Any]:
    """Return everything a host holds, pixels as type, shape and bytes."""
    return {name: _plain(value) for name, value in asdict(host).items()}


def _plain(value: Any) -> Any:
    """Return a value that compares by content."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return (value.dtype.str, value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


@pytest.mark.parametrize("lost", LOST, ids=["whole", "no image-g", "no maskbits", "no r", "only maskbits"])
def test_a_host_read_from_a_cut_out_is_the_host_cut_from_the_planes(tiny_survey: Tiny, tmp_path: Path, lost: dict[str, str]) -> None:
    run = tiny_run(tiny_survey[1])
    bricks = whole_bricks(run)
    planes = {name: planes_of(tiny_survey[1], name, without=lost) for name in bricks}
    path = written([cut(tasks_of(run, name), planes[name]) for name in bricks], tmp_path)
    with Cutouts(path) as cutouts:
        for name in reversed(bricks):
            targets = distinct_targets(tasks_of(run, name).to_pylist())
            expected = cut_hosts(targets, planes[name], bands=CONFIG.bands, size_pix=CONFIG.store_size_pix)
            assert len(expected) > 0
            assert [as_bytes(host) for host in cutouts.hosts(name)] == [as_bytes(host) for host in expected]
        assert cutouts.hosts("0000p000") == []


@pytest.mark.parametrize("lost", LOST, ids=["whole", "no image-g", "no maskbits", "no r", "only maskbits"])
def test_an_injection_on_cut_outs_is_the_injection_on_planes(tiny_survey: Tiny, tmp_path: Path, lost: dict[str, str]) -> None:
    run = tiny_run(tiny_survey[1])
    name = whole_bricks(run)[0]
    planes, tasks = planes_of(tiny_survey[1], name, without=lost), tasks_of(run, name)
    with Cutouts(written([cut(tasks, planes)], tmp_path)) as cutouts:
        made = inject_brick(tasks, planes, CONFIG, hosts=cutouts.hosts(name))
    expected = inject_brick(tasks, planes, CONFIG)
    assert made.results.equals(expected.results)
    assert made.arcs.equals(expected.arcs)
    assert (made.hosts.num_rows, expected.hosts.num_rows) == (0, len(set(tasks["host_id"].to_pylist())))


def test_a_brick_without_a_plane_has_no_cut_out(tiny_survey: Tiny, tmp_path: Path) -> None:
    run = tiny_run(tiny_survey[1])
    one, other = whole_bricks(run)[:2]
    nothing = cut(tasks_of(run, one), BrickPlanes(one, {}, {"image-g": "missing"}))
    assert nothing.num_rows == 0
    with Cutouts(written([nothing, cut(tasks_of(run, other), planes_of(tiny_survey[1], other))], tmp_path)) as cutouts:
        assert cutouts.hosts(one) == []
        assert len(cutouts.hosts(other)) > 0


def test_a_file_that_no_block_wrote_is_refused(tiny_survey: Tiny, tmp_path: Path) -> None:
    run = tiny_run(tiny_survey[1])
    both = pa.concat_tables([cut(tasks_of(run, name), planes_of(tiny_survey[1], name)) for name in whole_bricks(run)[:2]])
    with pytest.raises(SurveyDataError, match="row group 0 is not of one brick"):
        Cutouts(written([both], tmp_path))


def test_pixels_of_a_cut_out_cannot_be_written(tiny_survey: Tiny, tmp_path: Path) -> None:
    run = tiny_run(tiny_survey[1])
    name = whole_bricks(run)[0]
    with Cutouts(written([cut(tasks_of(run, name), planes_of(tiny_survey[1], name))], tmp_path)) as cutouts:
        host = cutouts.hosts(name)[0]
    with pytest.raises(ValueError, match="read-only"):
        host.image["r"][0, 0] = 1.0


def test_stamps_of_a_block_without_hosts_say_where_they_may_be(tiny_survey: Tiny, tmp_path: Path) -> None:
    run = tiny_run(tiny_survey[1])
    store(run, tmp_path)
    (tmp_path / HOSTS_FILE).unlink()
    with pytest.raises(SurveyDataError, match=r"cache/<digest>/block=<number>/cutouts\.parquet"):
        next(read_stamps(tmp_path, run.tasks.slice(0, 1)))
