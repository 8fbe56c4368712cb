"""Stamps for people: any size of the campaign, in any order, injected = host + arc, and back from a file as they were."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from astropy.io import fits

from halo_core.errors import SurveyDataError
from halo_core.stamps import Stamp, read_stamps, write_fits, write_npz
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import CONFIG, TinyRun, by, store, stored, tiny_run

ARRAYS = ("injected", "host", "arc", "noise", "invvar", "maskbits")


@pytest.fixture
def run(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The tiny campaign, injected."""
    return tiny_run(tiny_survey[1])


@pytest.fixture
def folder(run: TinyRun, tmp_path: Path) -> Path:
    """The stored hosts and arcs of the tiny campaign."""
    store(run, tmp_path)
    return tmp_path


def evaluated(run: TinyRun) -> pa.Table:
    return run.tasks.filter(run.results["metrics_ok"])


def changed(tasks: pa.Table, **values: Any) -> pa.Table:
    """Return tasks with some columns replaced by one value."""
    for name, value in values.items():
        column = pa.array([value] * tasks.num_rows, type=tasks.schema.field(name).type)
        tasks = tasks.set_column(tasks.column_names.index(name), tasks.schema.field(name), column)
    return tasks


def one(folder: Path, tasks: pa.Table, *, control: bool = False) -> Stamp:
    return next(read_stamps(folder, tasks.filter(pc.equal(tasks["is_control"], control)).slice(0, 1)))


def test_stamps_come_in_the_order_of_the_tasks(run: TinyRun, folder: Path) -> None:
    tasks = evaluated(run)
    for order in (np.arange(tasks.num_rows)[::-1], np.random.default_rng(2).permutation(tasks.num_rows)):
        asked = tasks.take(pa.array(order))
        assert [stamp.truth["task_id"] for stamp in read_stamps(folder, asked)] == asked["task_id"].to_pylist()


def test_injected_is_host_plus_arc_and_a_control_is_its_host_bit_for_bit(run: TinyRun, folder: Path) -> None:
    n_controls = 0
    for stamp in read_stamps(folder, evaluated(run)):
        assert stamp.injected.dtype == np.float32
        assert np.array_equal(stamp.injected, stamp.host + stamp.arc)
        assert not stamp.noise.any()
        if stamp.truth["is_control"]:
            assert not stamp.arc.any()
            assert stamp.injected.tobytes() == stamp.host.tobytes()
            n_controls += 1
        else:
            assert all(plane.max() > 0.0 for plane in stamp.arc)
    assert n_controls > 1


@pytest.mark.parametrize("size", [16, 47, 48, 63, 64])
def test_any_size_up_to_the_stored_one_is_its_crop(run: TinyRun, folder: Path, size: int) -> None:
    tasks = changed(evaluated(run), stamp_size=size)
    hosts, arcs = by(run.hosts, "host_id"), by(run.arcs, "physical_id")
    start = CONFIG.store_size_pix // 2 - size // 2
    window = slice(start, start + size)
    for stamp in read_stamps(folder, tasks):
        assert stamp.host.shape == stamp.invvar.shape == stamp.arc.shape == (3, size, size)
        host = hosts[stamp.truth["host_id"]]
        assert np.array_equal(stamp.host[1], stored(host, "image_r")[window, window])
        assert np.array_equal(stamp.invvar[2], stored(host, "invvar_z")[window, window])
        assert np.array_equal(stamp.maskbits, stored(host, "maskbits")[window, window])
        if not stamp.truth["is_control"]:
            assert np.array_equal(stamp.arc[0], stored(arcs[stamp.truth["physical_id"]], "arc_g")[window, window])


def test_a_size_beyond_the_stored_one_is_refused(run: TinyRun, folder: Path) -> None:
    with pytest.raises(ValueError, match="a stamp of 65 pixels cannot be cropped from one of 64"):
        list(read_stamps(folder, changed(evaluated(run), stamp_size=65)))


def test_bands_are_those_of_the_bandset_in_the_order_of_the_survey(run: TinyRun, folder: Path) -> None:
    whole = one(folder, evaluated(run))
    for bandset, places in (("gz", [0, 2]), ("r", [1])):
        stamp = one(folder, changed(evaluated(run), bandset=bandset))
        assert stamp.bands == tuple(bandset)
        assert np.array_equal(stamp.host, whole.host[places])
        assert np.array_equal(stamp.arc, whole.arc[places])


def test_no_task_is_no_stamp(run: TinyRun, folder: Path) -> None:
    assert list(read_stamps(folder, run.tasks.slice(0, 0))) == []


def test_a_task_that_was_not_evaluated_is_named(run: TinyRun, folder: Path) -> None:
    tasks = run.tasks.filter(pc.equal(run.tasks["is_control"], False))
    absent = tasks.filter(pc.invert(pc.is_in(tasks["physical_id"], value_set=run.arcs["physical_id"].combine_chunks())))
    for i in range(absent.num_rows):
        with pytest.raises(SurveyDataError, match=f"task {absent['task_id'][i]}: its host or arc is not stored.*flags"):
            list(read_stamps(folder, absent.slice(i, 1)))


def test_a_host_that_is_not_stored_is_named_for_controls_too(run: TinyRun, folder: Path) -> None:
    tasks = changed(evaluated(run), is_control=True, host_id="10000:1:1")
    with pytest.raises(SurveyDataError, match="host or arc is not stored"):
        list(read_stamps(folder, tasks.slice(0, 1)))


def test_a_plane_that_was_lost_is_named_and_never_zero(run: TinyRun, tmp_path: Path) -> None:
    hosts = run.hosts
    null = pa.nulls(hosts.num_rows, type=hosts.schema.field("invvar_z").type)
    place, field = hosts.column_names.index("invvar_z"), hosts.schema.field("invvar_z")
    store(SimpleNamespace(hosts=hosts.set_column(place, field, null), arcs=run.arcs), tmp_path)
    with pytest.raises(SurveyDataError, match=r"invvar_z of row \d+ is not stored"):
        one(tmp_path, evaluated(run))
    assert one(tmp_path, changed(evaluated(run), bandset="gr")).bands == ("g", "r")


@pytest.mark.parametrize("control", [False, True])
def test_npz_gives_every_array_and_the_truth_back(run: TinyRun, folder: Path, tmp_path: Path, control: bool) -> None:
    stamp = one(folder, evaluated(run), control=control)
    write_npz(stamp, tmp_path / "stamp.npz")
    with np.load(tmp_path / "stamp.npz", allow_pickle=False) as data:
        assert tuple(data["bands"].tolist()) == stamp.bands
        for name in ARRAYS:
            assert np.array_equal(data[name], getattr(stamp, name))
            assert data[name].dtype == getattr(stamp, name).dtype
        truth = {name.removeprefix("truth_"): data[name].item() for name in data.files if name.startswith("truth_")}
    assert truth == {name: value for name, value in stamp.truth.items() if value is not None}


@pytest.mark.parametrize("control", [False, True])
def test_fits_gives_every_array_and_the_truth_back(run: TinyRun, folder: Path, tmp_path: Path, control: bool) -> None:
    stamp = one(folder, evaluated(run), control=control)
    path = tmp_path / "stamp.fits"
    write_fits(stamp, path)
    write_fits(stamp, path)  # over itself
    with fits.open(path) as hdus:
        hdus.verify("exception")
        for name in ARRAYS:
            assert np.array_equal(hdus[name.upper()].data, getattr(stamp, name))
        assert [hdus[name].header.get("BUNIT") for name in ("HOST", "ARC", "INVVAR", "MASKBITS")] == [
            "nanomaggy",
            "nanomaggy",
            "1/nanomaggy^2",
            None,
        ]
        header = hdus[0].header
        assert header["BANDS"] == "grz"
        for name, value in stamp.truth.items():
            if isinstance(value, float):
                assert header[name] == pytest.approx(value, rel=1e-14)
            elif value is not None:
                assert header[name] == value
