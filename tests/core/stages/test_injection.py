"""Injection: the arc stands on its host, is painted once, and what the metrics say can be had again from what is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.constants import BANDS, EXTINCTION_PER_EBV, PIXEL_SCALE_ARCSEC
from halo_core.flags import LOSSES, Flag
from halo_core.lensing import psf_from_size
from halo_core.stages import injection
from halo_core.stages.hosts import Host
from halo_core.stages.injection import inject_brick, lens_and_source, render_row
from halo_core.stages.validation_stamps import theory
from halo_core.survey.coadds import crop_start
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import CONFIG, TinyRun, by, centroid, inject, planes_of, stored, tiny_run, whole_bricks

SUB_PIXEL = [(0.0, 0.0), (0.31, -0.42), (0.499, 0.499), (-0.5, 0.17)]
LENS_METRICS = [f"{stem}_{band}" for band in BANDS for stem in ("flux_frac_inside", "snr_matched", "snr_peak_pixel", "snr_aperture")]
LENS_METRICS += [f"total_injected_flux_{band}_nmgy" for band in BANDS] + ["snr_matched_all", "magnification"]
MASK_METRICS = ["bad_pixel_frac", "bad_pixel_frac_g", "bad_pixel_frac_z", "wise_brightmask_frac"]


@pytest.fixture
def run(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The tiny campaign, injected."""
    return tiny_run(tiny_survey[1])


def pairs(run: TinyRun, *, evaluated: bool | None = None, control: bool | None = None) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Return task and result side by side."""
    rows = zip(run.tasks.to_pylist(), run.results.to_pylist(), strict=True)
    chosen = [(t, r) for t, r in rows if evaluated in (None, r["metrics_ok"]) and control in (None, t["is_control"])]
    assert chosen
    return chosen


def an_injection(run: TinyRun) -> dict[str, Any]:
    """Return the task of an injection with a bright wide arc."""
    return max((t for t, _ in pairs(run, evaluated=True, control=False)), key=lambda t: (t["theta_e_arcsec"], t["task_id"]))


def host_at(x_pix: float, y_pix: float, size_pix: int) -> Host:
    """Return a host of nothing but its place in the stamp."""
    return Host("h", size_pix, 0, 0, x_pix, y_pix, (224, 224), psf_fwhm_arcsec={"r": 1.3})


@pytest.mark.parametrize("size", [64, 63, 96])
@pytest.mark.parametrize("offset", SUB_PIXEL)
def test_the_arc_stands_on_the_hosts_sub_pixel_place(run: TinyRun, size: int, offset: tuple[float, float]) -> None:
    row = an_injection(run)
    host = host_at(size // 2 + offset[0], size // 2 + offset[1], size)
    arc = render_row(row, host, {"r": psf_from_size(1.3, model="moffat")}, CONFIG).image[0]
    from_lens = theory(row)[1] / PIXEL_SCALE_ARCSEC
    # 1e-3 px of the convolution, and of the PSF's wings beyond the stamp.
    assert np.hypot(*(centroid(arc) - np.array([host.host_x_pix, host.host_y_pix]) - from_lens)) < 5e-3


def test_lens_and_source_move_with_the_host_and_keep_their_distance(run: TinyRun) -> None:
    row = an_injection(run)
    for x, y in ((31.5, 31.5), (32.4, 31.9)):
        lens, source = lens_and_source(row, x, y, size_pix=64, bands=BANDS)
        assert (lens.x_arcsec, lens.y_arcsec) == ((x - 31.5) * PIXEL_SCALE_ARCSEC, (y - 31.5) * PIXEL_SCALE_ARCSEC)
        assert source.x_arcsec - lens.x_arcsec == pytest.approx(row["src_x_arcsec"], abs=1e-12)
        assert source.y_arcsec - lens.y_arcsec == pytest.approx(row["src_y_arcsec"], abs=1e-12)
        assert source.flux_nmgy == tuple(row[f"src_flux_{band}_nmgy"] for band in BANDS)
        assert lens.q == pytest.approx((1 - row["lens_e"]) / (1 + row["lens_e"]))
        assert source.q == pytest.approx((1 - row["src_e"]) / (1 + row["src_e"]))
        assert np.hypot(lens.gamma1, lens.gamma2) == pytest.approx(row["shear"])
        assert np.arctan2(lens.gamma2, lens.gamma1) == pytest.approx(np.angle(np.exp(2j * row["shear_phi_rad"])))


def test_every_task_has_one_result_in_its_order(run: TinyRun) -> None:
    assert run.results["task_id"].to_pylist() == run.tasks["task_id"].to_pylist()
    assert run.results["block"].to_pylist() == run.tasks["block"].to_pylist()


def test_evaluated_means_no_loss_bit(run: TinyRun) -> None:
    for task, result in pairs(run):
        is_lost = bool(result["flags"] & LOSSES.value)
        assert result["metrics_ok"] != is_lost
        assert bool(result["flags"] & Flag.CONTROL.value) == task["is_control"]
        lens = [result[name] for name in LENS_METRICS]
        assert all(value is None for value in lens) if is_lost or task["is_control"] else all(np.isfinite(lens))
        mask = [result[name] for name in MASK_METRICS]
        assert all(value is None for value in mask) if is_lost else all(0.0 <= value <= 1.0 for value in mask)


def test_one_arc_per_physical_injection_and_none_for_controls(run: TinyRun) -> None:
    painted = {task["physical_id"] for task, _ in pairs(run, evaluated=True, control=False)}
    assert sorted(run.arcs["physical_id"].to_pylist()) == sorted(painted)
    hosts = {task["host_id"] for task, _ in pairs(run) if task["brickname"] in {row["brickname"] for row in run.hosts.to_pylist()}}
    assert sorted(run.hosts["host_id"].to_pylist()) == sorted(hosts)


def test_each_arc_is_rendered_once_for_all_its_views(run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []
    right = injection.render_row
    monkeypatch.setattr(injection, "render_row", lambda row, *given: rendered.append(row["physical_id"]) or right(row, *given))
    name = whole_bricks(run)[0]
    made = inject_brick(run.tasks.filter(pc.equal(run.tasks["brickname"], name)), planes_of(run.root, name), CONFIG)
    assert rendered == made.arcs["physical_id"].to_pylist()


def test_views_of_one_injection_share_magnification_and_are_crops(run: TinyRun) -> None:
    arcs = by(run.arcs, "physical_id")
    for task, result in pairs(run, evaluated=True, control=False):
        row = arcs[task["physical_id"]]
        assert result["magnification"] == row["magnification"]
        start = crop_start(row["size_pix"], task["stamp_size"])
        window = slice(start, start + task["stamp_size"])
        for band in BANDS:
            inside = stored(row, f"arc_{band}")[window, window].astype(np.float64).sum()
            assert result[f"total_injected_flux_{band}_nmgy"] == inside
        assert result["host_x_pix"] == row["lens_x_pix"] - start
        assert result["host_y_pix"] == row["lens_y_pix"] - start


def test_flux_is_magnification_times_unlensed_flux_times_the_share_inside(run: TinyRun) -> None:
    for task, result in pairs(run, evaluated=True, control=False):
        for band in BANDS:
            whole = result["magnification"] * task[f"src_flux_{band}_nmgy"]
            assert result[f"total_injected_flux_{band}_nmgy"] == pytest.approx(whole * result[f"flux_frac_inside_{band}"], rel=1e-12)
            assert 0.98 < result[f"flux_frac_inside_{band}"] < 1.0005


def test_magnification_is_that_of_ray_shooting(run: TinyRun) -> None:
    for task, result in pairs(run, evaluated=True, control=False)[:6]:
        assert result["magnification"] == pytest.approx(theory(task)[0], rel=2e-3)
        assert result["magnification"] > 1.0


def test_extinction_is_painted_once(run: TinyRun) -> None:
    reddened = 0
    for task, result in pairs(run, evaluated=True, control=False):
        r_mag = task["rmag"] - EXTINCTION_PER_EBV["r"] * task["ebv"] + task["src_dmag"]
        intrinsic = {"g": r_mag + task["src_gr"], "r": r_mag, "z": r_mag - task["src_rz"]}
        for band in BANDS:
            unlensed = result[f"total_injected_flux_{band}_nmgy"] / result["magnification"] / result[f"flux_frac_inside_{band}"]
            expected = 10 ** (0.4 * (22.5 - intrinsic[band] - EXTINCTION_PER_EBV[band] * task["ebv"]))
            assert unlensed == pytest.approx(expected, rel=1e-9)
        reddened += task["ebv"] > 0.01
    assert reddened


@pytest.mark.parametrize("order", ["turned", "shuffled"])
def test_order_of_tasks_changes_no_bit(run: TinyRun, order: str) -> None:
    n = run.tasks.num_rows
    places = np.arange(n)[::-1] if order == "turned" else np.random.default_rng(4).permutation(n)
    made = inject(run.tasks.take(pa.array(places)), run.planes, run.root)
    assert by(made.results, "task_id") == by(run.results, "task_id")
    assert by(made.arcs, "physical_id") == by(run.arcs, "physical_id")
    assert by(made.hosts, "host_id") == by(run.hosts, "host_id")


def test_each_task_alone_gives_the_same_bits(run: TinyRun) -> None:
    results, arcs = by(run.results, "task_id"), by(run.arcs, "physical_id")
    name = whole_bricks(run)[0]
    mine = run.tasks.filter(pc.equal(run.tasks["brickname"], name))
    for i in range(mine.num_rows):
        made = inject_brick(mine.slice(i, 1), planes_of(run.root, name), CONFIG)
        assert made.results.to_pylist() == [results[mine["task_id"][i].as_py()]]
        assert all(row == arcs[row["physical_id"]] for row in made.arcs.to_pylist())


def test_a_brighter_source_changes_nothing_but_flux_and_snr(run: TinyRun) -> None:
    row = an_injection(run)
    brighter = row | {f"src_flux_{band}_nmgy": 8.0 * row[f"src_flux_{band}_nmgy"] for band in BANDS}
    planes = planes_of(run.root, row["brickname"])
    one, other = (inject_brick(pa.Table.from_pylist([t], schema=run.tasks.schema), planes, CONFIG) for t in (row, brighter))
    first, second = one.results.to_pylist()[0], other.results.to_pylist()[0]
    for name, value in first.items():
        if name.startswith(("total_injected", "snr_matched", "snr_peak")):
            assert second[name] == pytest.approx(8.0 * value, rel=1e-6)
        elif not name.startswith("snr_aperture"):
            assert second[name] == value
    assert one.hosts.equals(other.hosts)


def test_the_other_renderer_and_the_other_profile_paint_the_same_flux(run: TinyRun) -> None:
    row = an_injection(run)
    task = pa.Table.from_pylist([row], schema=run.tasks.schema)
    planes = planes_of(run.root, row["brickname"])
    made = [inject_brick(task, planes, replace(CONFIG, **change)) for change in ({}, {"renderer": "galsim"}, {"psf_model": "gaussian"})]
    fluxes = [item.results["total_injected_flux_r_nmgy"][0].as_py() for item in made]
    assert fluxes == pytest.approx([fluxes[0]] * 3, rel=2e-3)
    images = [stored(item.arcs.to_pylist()[0], "arc_r") for item in made]
    assert np.abs(images[1] - images[0]).max() < 5e-3 * images[0].max()
    assert np.abs(images[2] - images[0]).max() > 2e-2 * images[0].max()
    assert [item.hosts["psf_model"][0].as_py() for item in made] == ["moffat", "moffat", "gaussian"]
    widths = [(item.results["psf_fwhm_used_r_arcsec"][0].as_py(), item.results["psf_fwhm_model_r_arcsec"][0].as_py()) for item in made]
    assert widths[2][0] == widths[2][1] == widths[0][0]
    assert widths[0][0] / widths[0][1] == pytest.approx(1.232531, rel=1e-6)
