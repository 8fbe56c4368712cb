"""Shot noise of arcs: off it changes nothing, on it is the noise of the arc's own photons, the same whatever is injected beside it."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from halo_core.constants import BANDS
from halo_core.errors import ConfigurationError
from halo_core.flags import Flag
from halo_core.lensing import electrons_per_nmgy, shot_noise, snr_aperture, snr_matched, snr_peak_pixel
from halo_core.stages import injection
from halo_core.stages.injection import inject_brick
from halo_core.stages.metrics import crop
from halo_core.stamps import Stamp, read_stamps
from halo_core.survey.maskbits import MaskBits, good_pixels
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import CONFIG, TinyRun, by, inject, planes_of, store, stored, tiny_run, whole_bricks

NOISY = replace(CONFIG, shot_noise=True)
BITS = MaskBits.from_header({})
OF_NOISE = tuple(f"{stem}_{band}" for stem in ("noise", "electrons_per_nmgy") for band in BANDS)
SNR = tuple(f"{stem}_{band}" for stem in ("snr_matched", "snr_peak_pixel", "snr_aperture") for band in BANDS)


@pytest.fixture
def run(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The tiny campaign without noise."""
    return tiny_run(tiny_survey[1])


@pytest.fixture
def noisy(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The same campaign with noise."""
    return noisy_run(tiny_survey[1])


@cache
def noisy_run(root: Path) -> TinyRun:
    run = tiny_run(root)
    made = inject(run.tasks, run.planes, root, NOISY)
    return replace(run, hosts=made.hosts, arcs=made.arcs, results=made.results)


def stamps_of(run: TinyRun, folder: Path) -> list[tuple[Stamp, dict[str, Any]]]:
    """Return every evaluated injection's stamp, as readers get it, beside its result."""
    store(run, folder)
    results = by(run.results, "task_id")
    tasks = run.tasks.filter(run.results["metrics_ok"]).filter(~np.array(run.tasks.filter(run.results["metrics_ok"])["is_control"]))
    return [(stamp, results[stamp.truth["task_id"]]) for stamp in read_stamps(folder, tasks)]


def without(table: pa.Table, *names: str) -> pa.Table:
    return table.drop_columns([name for name in names if name in table.column_names])


def test_without_noise_there_is_no_noise_and_no_gain(run: TinyRun) -> None:
    assert all(run.arcs[name].null_count == run.arcs.num_rows for name in OF_NOISE)
    assert all(run.results[f"electrons_per_nmgy_{band}"].null_count == run.results.num_rows for band in BANDS)


def test_noise_changes_neither_hosts_nor_arcs_nor_anything_but_signal_to_noise(run: TinyRun, noisy: TinyRun) -> None:
    assert noisy.hosts.equals(run.hosts)
    assert without(noisy.arcs, *OF_NOISE).equals(without(run.arcs, *OF_NOISE))
    changed = [*OF_NOISE, *SNR, "snr_matched_all"]
    assert without(noisy.results, *changed).equals(without(run.results, *changed))


def test_signal_to_noise_falls_by_the_arcs_own_photons(run: TinyRun, noisy: TinyRun) -> None:
    injected = [(one, other) for one, other in zip(run.results.to_pylist(), noisy.results.to_pylist(), strict=True) if one["magnification"]]
    assert injected
    for before, after in injected:
        assert all(after[name] < before[name] for name in SNR if before[name] > 0.0 and not name.startswith("snr_aperture"))
        assert after["snr_matched_all"] ** 2 == pytest.approx(sum(after[f"snr_matched_{band}"] ** 2 for band in BANDS))


def test_an_infinite_gain_is_no_noise_to_the_bit(run: TinyRun, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(injection, "electrons_per_nmgy", lambda *_, **__: float("inf"))
    made = inject(run.tasks, run.planes, run.root, NOISY)
    assert without(made.results, *OF_NOISE).equals(without(run.results, *OF_NOISE))
    for row in made.arcs.to_pylist():
        assert not any(stored(row, f"noise_{band}").any() for band in BANDS)
    (tmp_path / "quiet").mkdir()
    (tmp_path / "infinite").mkdir()
    infinite = replace(run, arcs=made.arcs, results=made.results)
    for (one, _), (other, _) in zip(stamps_of(run, tmp_path / "quiet"), stamps_of(infinite, tmp_path / "infinite"), strict=True):
        assert one.injected.tobytes() == other.injected.tobytes()
        assert one.invvar.tobytes() == other.invvar.tobytes()


def test_no_light_or_no_weight_is_no_noise(noisy: TinyRun, tmp_path: Path) -> None:
    n_dark = 0
    for stamp, result in stamps_of(noisy, tmp_path):
        dark = (stamp.arc <= 0.0) | (stamp.invvar == 0.0)
        assert not stamp.noise[dark].any()
        n_dark += int(dark.sum())
        assert stamp.noise.any()
        assert all(result[f"electrons_per_nmgy_{band}"] > 0.0 for band in BANDS)
    assert n_dark > 0


def test_readers_get_host_arc_and_noise_and_the_weight_that_the_metrics_used(noisy: TinyRun, tmp_path: Path) -> None:
    hosts, arcs = by(noisy.hosts, "host_id"), by(noisy.arcs, "physical_id")
    for stamp, result in stamps_of(noisy, tmp_path):
        host, arc, size = hosts[stamp.truth["host_id"]], arcs[stamp.truth["physical_id"]], stamp.truth["stamp_size"]
        assert np.array_equal(stamp.injected, stamp.host + stamp.arc + stamp.noise)
        for i, band in enumerate(BANDS):
            gain = result[f"electrons_per_nmgy_{band}"]
            light, weight = stored(arc, f"arc_{band}").astype(float), stored(host, f"invvar_{band}").astype(float)
            noise, updated = shot_noise(light, weight, electrons_per_nmgy=gain, physical_id=arc["physical_id"], band=band)
            assert np.array_equal(stamp.noise[i], crop(noise.astype(np.float32), size))
            assert np.array_equal(stamp.invvar[i], crop(updated.astype(np.float32), size))
            good = good_pixels(stamp.maskbits, stamp.invvar[i], band, BITS)
            given = (stamp.arc[i].astype(float), stamp.invvar[i].astype(float), good)
            assert result[f"snr_matched_{band}"] == snr_matched(*given)
            assert result[f"snr_peak_pixel_{band}"] == snr_peak_pixel(*given)
            assert result[f"snr_aperture_{band}"] == snr_aperture(*given)


def test_one_gain_a_stamp_and_band_from_the_good_pixels_of_the_largest_stamp(noisy: TinyRun) -> None:
    hosts, arcs = by(noisy.hosts, "host_id"), by(noisy.arcs, "physical_id")
    for task, result in zip(noisy.tasks.to_pylist(), noisy.results.to_pylist(), strict=True):
        for band in BANDS if result["magnification"] else ():
            host = hosts[task["host_id"]]
            weight = stored(host, f"invvar_{band}")
            gain = electrons_per_nmgy(weight.astype(float), good_pixels(stored(host, "maskbits"), weight, band, BITS), band=band)
            assert result[f"electrons_per_nmgy_{band}"] == arcs[task["physical_id"]][f"electrons_per_nmgy_{band}"] == gain
        if not result["magnification"]:
            assert all(result[f"electrons_per_nmgy_{band}"] is None for band in BANDS)


def test_noise_is_that_of_the_photons(noisy: TinyRun, tmp_path: Path) -> None:
    squares = expected = 0.0
    for stamp, result in stamps_of(noisy, tmp_path):
        for i, band in enumerate(BANDS):
            bright = stamp.arc[i].astype(float) * result[f"electrons_per_nmgy_{band}"] > 5.0
            squares += (
                float(np.sum(stamp.noise[i][bright].astype(float) ** 2 / stamp.arc[i][bright])) * result[f"electrons_per_nmgy_{band}"]
            )
            expected += float(bright.sum())
    # sum of squares over variances has a relative scatter sqrt((2 + 1 / mean) / n); views share pixels: half of n.
    assert abs(squares / expected - 1.0) < 4.0 * np.sqrt(2.2 / (0.5 * expected))
    assert expected > 2000


@pytest.mark.parametrize("order", ["turned", "alone"])
def test_noise_is_the_same_in_any_order_and_alone(noisy: TinyRun, order: str) -> None:
    arcs = by(noisy.arcs, "physical_id")
    name = whole_bricks(noisy)[0]
    mine = noisy.tasks.filter([brickname == name for brickname in noisy.tasks["brickname"].to_pylist()])
    parts = [mine.take(pa.array(np.arange(mine.num_rows)[::-1]))] if order == "turned" else [mine.slice(i, 1) for i in range(mine.num_rows)]
    n_arcs = 0
    for part in parts:
        for row in inject_brick(part, planes_of(noisy.root, name), NOISY).arcs.to_pylist():
            assert row == arcs[row["physical_id"]]
            n_arcs += 1
    assert n_arcs > 1


def test_a_band_without_a_good_pixel_has_no_noise_and_the_others_have_theirs(run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    right = injection.cut_hosts
    monkeypatch.setattr(injection, "cut_hosts", lambda *given, **named: [dimmed(host) for host in right(*given, **named)])
    tasks = run.tasks.set_column(run.tasks.column_names.index("bandset"), "bandset", pa.array(["rz"] * run.tasks.num_rows))
    made = inject(tasks, run.planes, run.root, NOISY)
    assert made.arcs.num_rows == run.arcs.num_rows
    assert made.arcs["noise_g"].null_count == made.arcs["electrons_per_nmgy_g"].null_count == made.arcs.num_rows
    assert made.arcs["noise_r"].null_count == 0
    assert all(
        row["flags"] & Flag.NO_GOOD_PIXEL_G
        for row in inject(run.tasks, run.planes, run.root, NOISY).results.to_pylist()
        if row["host_x_pix"]
    )


def test_a_weight_that_is_not_finite_at_the_edge_has_no_part_in_the_gain(run: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    right = injection.cut_hosts
    edge = np.ones((64, 64), dtype=np.bool_)
    edge[8:56, 8:56] = False
    monkeypatch.setattr(injection, "cut_hosts", lambda *given, **named: [with_infinite(host, edge) for host in right(*given, **named)])
    made = inject(run.tasks, run.planes, run.root, NOISY)
    hosts, n_checked = by(run.hosts, "host_id"), 0
    for task, result in zip(run.tasks.to_pylist(), made.results.to_pylist(), strict=True):
        assert not (result["metrics_ok"] and task["stamp_size"] == 64)
        if result["magnification"]:
            weight = stored(hosts[task["host_id"]], "invvar_g").astype(float)
            good = good_pixels(stored(hosts[task["host_id"]], "maskbits"), weight, "g", BITS) & ~edge
            assert result["electrons_per_nmgy_g"] == electrons_per_nmgy(weight, good, band="g")
            n_checked += 1
    assert n_checked > 5


def with_infinite(host: Any, place: np.ndarray) -> Any:
    """Return a host whose weight in g is infinite at some pixels."""
    return replace(host, invvar={**host.invvar, "g": np.where(place, np.float32(np.inf), host.invvar["g"])})


def dimmed(host: Any) -> Any:
    """Return a host without weight in g."""
    return replace(host, invvar={**host.invvar, "g": np.zeros_like(host.invvar["g"])})


def test_arcs_come_in_parts_with_the_same_bits(noisy: TinyRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "PART_ARCS", 1)
    name, written = whole_bricks(noisy)[0], list[pa.Table]()
    mine = noisy.tasks.filter([brickname == name for brickname in noisy.tasks["brickname"].to_pylist()])
    kept = inject_brick(mine, planes_of(noisy.root, name), NOISY)
    made = inject_brick(mine, planes_of(noisy.root, name), NOISY, write_arcs=written.append)
    assert made.arcs.num_rows == 0
    assert [part.num_rows for part in written] == [1] * kept.arcs.num_rows
    assert len(written) > 1
    assert pa.concat_tables(written).equals(kept.arcs)
    assert made.results.equals(kept.results)
    arcs = by(noisy.arcs, "physical_id")
    assert all(row == arcs[row["physical_id"]] for row in kept.arcs.to_pylist())


@pytest.mark.parametrize("effort", [0.2, 8.1, float("nan")])
def test_an_effort_that_cannot_be_doubled_is_refused_before_anything_is_read(effort: float) -> None:
    with pytest.raises(ConfigurationError, match=r"effort .* is outside 0\.25-8\.0"):
        replace(CONFIG, effort=effort)
