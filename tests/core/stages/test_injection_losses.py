"""What is lost is counted with its reason: never a missing row, never a metric that stands for nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.constants import BANDS
from halo_core.flags import LOSSES, Flag, for_band, names
from halo_core.records import RESULTS
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import BrickInjection, inject_brick
from halo_core.survey.mock import MockSurvey, mock_bricks
from tests.core.stages.injection_scenes import CONFIG, TinyRun, by, planes_of, stored, tiny_run, whole_bricks

FREE = {"task_id", "block", "cutout_ok", "metrics_ok", "flags", "host_x_pix", "host_y_pix", "stamp_x0_pix", "stamp_y0_pix"}
NEEDED = ["maskbits", *(f"{kind}-{band}" for band in BANDS for kind in ("image", "invvar"))]


@pytest.fixture
def run(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The tiny campaign, injected."""
    return tiny_run(tiny_survey[1])


def one_brick(run: TinyRun, *, bandset: str = "grz") -> pa.Table:
    """Return the tasks of a whole brick, seen in some bands."""
    tasks = run.tasks.filter(pc.equal(run.tasks["brickname"], whole_bricks(run)[0]))
    return tasks.set_column(tasks.column_names.index("bandset"), "bandset", pa.array([bandset] * tasks.num_rows))


def inject_without(run: TinyRun, lost: dict[str, str], *, bandset: str = "grz") -> tuple[pa.Table, BrickInjection]:
    tasks = one_brick(run, bandset=bandset)
    return tasks, inject_brick(tasks, planes_of(run.root, whole_bricks(run)[0], without=lost), CONFIG)


def metrics(result: dict[str, Any]) -> dict[str, Any]:
    """Return every metric of a result that is not NULL, the PSF apart."""
    return {name: value for name, value in result.items() if name not in FREE and not name.startswith("psf_") and value is not None}


@pytest.mark.parametrize("status", ["missing", "unverified"])
@pytest.mark.parametrize("plane", NEEDED)
def test_a_lost_plane_leaves_every_row_with_its_reason_and_no_metric(run: TinyRun, plane: str, status: str) -> None:
    tasks, made = inject_without(run, {plane: status})
    kind, _, band = plane.partition("-")
    reason = for_band(f"{kind.upper()}_MISSING", band) if band else Flag.MASKBITS_MISSING
    assert made.results["task_id"].to_pylist() == tasks["task_id"].to_pylist()
    assert made.arcs.num_rows == 0
    for result in made.results.to_pylist():
        assert not result["metrics_ok"]
        assert not result["cutout_ok"]
        assert result["flags"] & reason
        assert bool(result["flags"] & Flag.PLANE_UNVERIFIED) == (status == "unverified")
        assert metrics(result) == {}


@pytest.mark.parametrize("status", ["missing", "unverified"])
def test_a_brick_without_planes_has_all_its_rows_and_no_host(run: TinyRun, status: str) -> None:
    tasks = one_brick(run)
    made = inject_brick(tasks, BrickPlanes(whole_bricks(run)[0], {}, dict.fromkeys([*NEEDED, "psfsize-r"], status)), CONFIG)
    assert (made.results.num_rows, made.hosts.num_rows, made.arcs.num_rows) == (tasks.num_rows, 0, 0)
    for result in made.results.to_pylist():
        assert bool(result["flags"] & Flag.BRICK_MISSING) == (status == "missing")
        assert [name for name, value in result.items() if value is not None] == ["task_id", "block", "cutout_ok", "metrics_ok", "flags"]


def test_the_missing_brick_of_the_survey_is_counted(run: TinyRun, tiny_survey: tuple[MockSurvey, Path]) -> None:
    missing = next(brick.brickname for brick in mock_bricks(tiny_survey[0]) if brick.is_missing)
    results = by(run.results, "task_id")
    rows = [results[task["task_id"]] for task in run.tasks.to_pylist() if task["brickname"] == missing]
    assert rows
    assert all(row["flags"] & Flag.BRICK_MISSING for row in rows)


def test_a_lost_band_is_lost_for_the_bandsets_that_have_it_alone(run: TinyRun) -> None:
    for bandset, plane in (("rz", "image-g"), ("gr", "invvar-z"), ("r", "image-z")):
        _, made = inject_without(run, {plane: "missing"}, bandset=bandset)
        _, kept = inject_without(run, {}, bandset=bandset)
        assert made.results.equals(kept.results)
        assert pc.any(made.results["metrics_ok"]).as_py()
        absent = next(band for band in BANDS if band not in bandset)
        for result in made.results.to_pylist():
            assert not [name for name in metrics(result) if name.endswith((f"_{absent}", f"_{absent}_nmgy"))]


def test_a_band_without_psf_is_lost_and_not_painted(run: TinyRun) -> None:
    unknown = pa.array([None] * one_brick(run).num_rows, type=pa.float64())
    for bandset, is_lost in (("grz", True), ("rz", False)):
        tasks = one_brick(run, bandset=bandset)
        tasks = tasks.set_column(tasks.column_names.index("psfsize_g_arcsec"), "psfsize_g_arcsec", unknown)
        made = inject_brick(tasks, planes_of(run.root, whole_bricks(run)[0], without={"psfsize-g": "missing"}), CONFIG)
        for result in made.results.to_pylist():
            assert ("PSF_UNUSABLE_G" in names(result["flags"])) == is_lost
            assert result["psf_fwhm_used_g_arcsec"] is None
            assert result["cutout_ok"] or result["flags"] & Flag.OFF_IMAGE
        assert all(value is None for value in made.arcs["arc_g"].to_pylist())
        assert (made.arcs.num_rows == 0) == is_lost


def test_a_size_that_does_not_fit_is_lost_and_the_smaller_one_is_not(run: TinyRun) -> None:
    results = by(run.results, "task_id")
    views: dict[str, dict[int, dict[str, Any]]] = {}
    for task in run.tasks.to_pylist():
        views.setdefault(task["physical_id"], {})[task["stamp_size"]] = results[task["task_id"]]
    cut_off = [view for view in views.values() if view[64]["flags"] & Flag.OFF_IMAGE and not view[48]["flags"] & Flag.OFF_IMAGE]
    assert cut_off
    for view in cut_off:
        assert not view[64]["metrics_ok"]
        assert not view[64]["cutout_ok"]
        assert metrics(view[64]) == {}
        assert view[48]["metrics_ok"]


def test_losses_never_come_without_rows_and_notes_never_lose_one(run: TinyRun) -> None:
    assert run.results.schema.equals(RESULTS)
    for result in run.results.to_pylist():
        assert result["metrics_ok"] == (not result["flags"] & LOSSES.value)
        if not result["cutout_ok"]:
            assert not result["metrics_ok"]


def test_injected_minus_host_is_the_arc_and_zero_flux_leaves_the_host_as_it_is(run: TinyRun) -> None:
    hosts = by(run.hosts, "host_id")
    for arc in run.arcs.to_pylist():
        for band in BANDS:
            host, light = stored(hosts[arc["host_id"]], f"image_{band}"), stored(arc, f"arc_{band}")
            assert light.max() > 0.0
            injected = host + light
            assert np.abs((injected.astype(float) - host) - light).max() <= np.abs(injected).max() * 2.0**-23
            assert (host + 0.0 * light).tobytes() == (host + np.float32(0.0)).tobytes()


def test_hosts_are_the_same_whatever_is_painted_on_them(run: TinyRun) -> None:
    tasks = one_brick(run)
    controls = tasks.set_column(tasks.column_names.index("is_control"), "is_control", pa.array([True] * tasks.num_rows))
    made = inject_brick(controls, planes_of(run.root, whole_bricks(run)[0]), CONFIG)
    painted = inject_brick(tasks, planes_of(run.root, whole_bricks(run)[0]), CONFIG)
    assert made.arcs.num_rows == 0
    assert made.hosts.equals(painted.hosts)


def test_a_note_of_the_parent_is_passed_on(run: TinyRun) -> None:
    tasks = one_brick(run)
    noted = pa.array([Flag.EBV_UNKNOWN.value] * tasks.num_rows)
    made = inject_brick(
        tasks.set_column(tasks.column_names.index("parent_flags"), "parent_flags", noted), planes_of(run.root, whole_bricks(run)[0]), CONFIG
    )
    assert all(flags & Flag.EBV_UNKNOWN for flags in made.results["flags"].to_pylist())
    kept = inject_brick(tasks, planes_of(run.root, whole_bricks(run)[0]), CONFIG)
    assert made.results.drop_columns("flags").equals(kept.results.drop_columns("flags"))
