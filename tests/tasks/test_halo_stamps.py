"""Laws of `halo stamps show`: the files hold injected = host + arc to the bit, and the truth of the task."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner, Result

from luigi_tasks.cli import main
from tests.fixtures.campaigns import Place

_IS_EVALUATED = "metrics_ok AND {} AND stamp_size = {}"


def show(task_id: str, out: Path) -> Result:
    """Show the stamp of a task."""
    return CliRunner().invoke(main, ["stamps", "show", task_id, "--out", str(out)])


@pytest.fixture
def here(done_place: Place) -> Place:
    """The done place, named by the configuration of this process."""
    done_place.activate()
    return done_place


def first_task(place: Place, condition: str) -> dict[str, Any]:
    """Return the first task of the campaign that meets a condition."""
    return place.rows(f"SELECT * FROM v_task_full WHERE {condition} ORDER BY task_id LIMIT 1")[0]


@pytest.mark.parametrize("size", [48, 64])
def test_the_archive_holds_host_plus_arc_and_the_truth(here: Place, tmp_path: Path, size: int) -> None:
    task = first_task(here, f"metrics_ok AND NOT is_control AND stamp_size = {size}")
    result = show(task["task_id"], tmp_path)
    assert result.exit_code == 0, result.output
    assert [Path(line).suffix for line in result.output.split()] == [".npz", ".fits", ".png"]
    with np.load(tmp_path / f"{task['task_id']}.npz", allow_pickle=False) as stamp:
        assert stamp["injected"].shape == (3, size, size)
        assert np.array_equal(stamp["injected"], stamp["host"] + stamp["arc"])
        assert stamp["arc"].max() > 0
        assert stamp["maskbits"].shape == (size, size)
        assert float(stamp["truth_theta_e_arcsec"]) == task["theta_e_arcsec"]
        flux = float(stamp["arc"][1].sum(dtype=np.float64))
    assert flux == pytest.approx(task["total_injected_flux_r_nmgy"], rel=1e-6)


def test_the_fits_file_holds_the_same_pixels_with_units_and_truth(here: Place, tmp_path: Path) -> None:
    task = first_task(here, "metrics_ok AND NOT is_control")
    assert show(task["task_id"], tmp_path).exit_code == 0
    base = tmp_path / task["task_id"]
    with fits.open(base.with_suffix(".fits")) as hdus, np.load(base.with_suffix(".npz")) as stamp:
        for name in ("injected", "host", "arc", "invvar", "maskbits"):
            assert np.array_equal(hdus[name.upper()].data, stamp[name])
        assert hdus["ARC"].header["BUNIT"] == "nanomaggy"
        assert hdus[0].header["BANDS"] == "grz"
        assert hdus[0].header["THETA_E_ARCSEC"] == task["theta_e_arcsec"]


def test_the_picture_is_a_png(here: Place, tmp_path: Path) -> None:
    task = first_task(here, "metrics_ok AND NOT is_control")
    assert show(task["task_id"], tmp_path).exit_code == 0
    assert (tmp_path / f"{task['task_id']}.png").read_bytes().startswith(b"\x89PNG")


def test_a_control_is_its_host(here: Place, tmp_path: Path) -> None:
    task = first_task(here, "metrics_ok AND is_control")
    assert show(task["task_id"], tmp_path).exit_code == 0
    with np.load(tmp_path / f"{task['task_id']}.npz") as stamp:
        assert np.array_equal(stamp["injected"], stamp["host"])
        assert not stamp["arc"].any()


def test_a_small_stamp_is_the_exact_crop_of_the_large_one(here: Place, tmp_path: Path) -> None:
    large = first_task(here, "metrics_ok AND NOT is_control AND stamp_size = 64")
    small = first_task(here, f"physical_id = '{large['physical_id']}' AND stamp_size = 48")
    for task in (large, small):
        assert show(task["task_id"], tmp_path).exit_code == 0
    with np.load(tmp_path / f"{large['task_id']}.npz") as a, np.load(tmp_path / f"{small['task_id']}.npz") as b:
        for name in ("injected", "host", "arc", "invvar"):
            assert np.array_equal(a[name][:, 8:56, 8:56], b[name])


def test_the_start_of_an_id_is_enough_where_it_is_of_one_task(here: Place, tmp_path: Path) -> None:
    task = first_task(here, "metrics_ok AND NOT is_control")
    assert show(task["task_id"][:10], tmp_path).exit_code == 0
    assert (tmp_path / f"{task['task_id']}.npz").exists()


@pytest.mark.parametrize(("task_id", "n"), [("zzz", "0"), ("", "52")])
def test_an_id_of_no_task_or_of_several_is_an_error_that_says_how_many(here: Place, tmp_path: Path, task_id: str, n: str) -> None:
    result = show(task_id, tmp_path / "out")
    assert result.exit_code == 1
    assert f"{n} tasks start with '{task_id}'; give more of the id" in result.output
    assert not (tmp_path / "out").exists()


def test_a_task_that_was_not_evaluated_has_no_stamp_and_the_error_says_so(here: Place, tmp_path: Path) -> None:
    task = first_task(here, "NOT metrics_ok AND NOT is_control AND host_x_pix IS NULL")
    result = show(task["task_id"], tmp_path / "out")
    assert result.exit_code == 1
    assert "its host or arc is not stored, it was not evaluated; see its flags" in result.output
