"""Validation of cache and injection: a sound run passes, and each way to break it is caught by the check that names it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.errors import StageValidationError
from halo_core.flags import LOSSES, Flag
from halo_core.records import Finding
from halo_core.seeds import hash_hex
from halo_core.stages import validation_stamps
from halo_core.stages.validation import require
from halo_core.stages.validation_injection_counts import ROW_LAWS, SAMPLE_SIZE, count_injections
from halo_core.stages.validation_stamps import SampledStamp, SurveyView, theory
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import TinyRun, check_injection, sample_stamps, tiny_run, whole_bricks
from tests.fixtures.summaries import tables

Rows = list[dict[str, Any]]
CHECKS = {
    "results_are_the_manifest",
    "losses_have_reasons",
    "evaluated_means_no_loss",
    "evaluated_is_measured",
    "gain_is_recorded",
    "controls_are_bare",
    "magnification_at_least_one",
    "flux_is_accounted",
    "psf_in_range",
    "hosts_in_the_middle",
    "views_are_one_injection",
    "coverage",
    "planes_are_counted",
    "lost_planes_have_reasons",
    "planes_are_there",
    "sample_is_whole",
    "host_is_the_survey",
    "injected_is_host_plus_arc",
    "lens_on_the_host",
    "arc_where_theory_says",
    "magnification_of_theory",
    "zero_flux_is_the_host",
    "pixels_are_finite",
    "renders_converged",
    "magnification_converged",
    "flux_is_stored",
    "arc_on_the_sky",
}


@pytest.fixture(scope="module")
def run(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The tiny campaign, injected."""
    return tiny_run(tiny_survey[1])


@pytest.fixture(scope="module")
def sample(run: TinyRun, tmp_path_factory: pytest.TempPathFactory) -> list[SampledStamp]:
    """The stamps that validation looks at."""
    return sample_stamps(run, tmp_path_factory.mktemp("block"))


@pytest.fixture(autouse=True)
def ray_shooting_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray-shoot each injection once for all tests of this module."""
    monkeypatch.setattr(validation_stamps, "theory", lambda row: _theory(tuple(sorted(row.items(), key=lambda item: item[0]))))


@cache
def _theory(items: tuple[tuple[str, Any], ...]) -> Any:
    return theory(dict(items))


def table(like: pa.Table, rows: Rows) -> pa.Table:
    return pa.Table.from_pylist(rows, schema=like.schema)


def changed(like: pa.Table, pick: Callable[[dict[str, Any]], bool], *, every: bool = False, **values: Any) -> pa.Table:
    """Return a table with values replaced in the first row (or every one) that a condition picks."""
    rows = like.to_pylist()
    picked = [row for row in rows if pick(row)]
    assert picked
    for row in picked if every else picked[:1]:
        row |= {name: value(row) if callable(value) else value for name, value in values.items()}
    return table(like, rows)


def failed(findings: list[Finding]) -> set[str]:
    return {finding.check for finding in findings if not finding.is_ok and finding.severity == "error"}


def evaluated(row: dict[str, Any]) -> bool:
    return bool(row["metrics_ok"] and row["magnification"] is not None)


def lost(row: dict[str, Any]) -> bool:
    return bool(row["flags"] & LOSSES)


def lost_off_image(row: dict[str, Any]) -> bool:
    return bool(row["flags"] & Flag.OFF_IMAGE)


def a_control(row: dict[str, Any]) -> bool:
    return bool(row["metrics_ok"] and row["flags"] & Flag.CONTROL)


def test_a_sound_run_passes_every_check(run: TinyRun, sample: list[SampledStamp]) -> None:
    findings = check_injection(count_injections([(run.tasks, run.results)]), run.planes, sample)
    require(findings)
    assert sorted(finding.check for finding in findings) == sorted(CHECKS)
    assert {finding.check for finding in findings if not finding.is_ok} == {"planes_are_there"}  # a brick without files is worth a look
    assert len(sample) == min(SAMPLE_SIZE, sum(evaluated(row) for row in run.results.to_pylist()))


def test_a_run_on_whole_bricks_has_nothing_to_warn_of(run: TinyRun) -> None:
    names = whole_bricks(run)
    keep = {name: pa.array([row in names for row in getattr(run, name)["brickname"].to_pylist()]) for name in ("tasks", "planes")}
    findings = check_injection(
        count_injections([(run.tasks.filter(keep["tasks"]), run.results.filter(keep["tasks"]))]), run.planes.filter(keep["planes"]), []
    )
    assert failed(findings) == {"sample_is_whole"}
    assert all(finding.is_ok for finding in findings if finding.severity == "warning")


def twice(like: pa.Table) -> pa.Table:
    return table(like, [*like.to_pylist(), like.to_pylist()[0]])


def with_gains(like: pa.Table) -> pa.Table:
    """Return the results of a campaign with shot noise."""
    return changed(like, evaluated, every=True, **{f"electrons_per_nmgy_{band}": 5e3 for band in "grz"})


BROKEN_RESULTS: list[tuple[str, Callable[[pa.Table], pa.Table]]] = [
    ("results_are_the_manifest", lambda t: t.slice(1)),
    ("results_are_the_manifest", twice),
    ("results_are_the_manifest", lambda t: changed(t, lost, task_id="0" * 24)),
    ("losses_have_reasons", lambda t: changed(t, lost, flags=Flag.HAS_BAD_PIXELS.value)),
    ("evaluated_means_no_loss", lambda t: changed(t, lost, metrics_ok=True)),
    ("evaluated_means_no_loss", lambda t: changed(t, evaluated, cutout_ok=False)),
    ("evaluated_is_measured", lambda t: changed(t, evaluated, snr_matched_z=None)),
    ("evaluated_is_measured", lambda t: changed(t, evaluated, snr_peak_pixel_g=None)),
    ("evaluated_is_measured", lambda t: changed(t, evaluated, snr_matched_all=float("inf"))),
    ("evaluated_is_measured", lambda t: changed(t, evaluated, flux_frac_good_r=None)),
    ("evaluated_is_measured", lambda t: changed(t, evaluated, magnification=None)),
    ("evaluated_is_measured", lambda t: changed(t, a_control, bad_pixel_frac=None)),
    ("evaluated_is_measured", lambda t: changed(t, a_control, psf_fwhm_used_g_arcsec=None)),
    ("gain_is_recorded", lambda t: changed(t, evaluated, electrons_per_nmgy_g=5e3)),
    ("gain_is_recorded", lambda t: changed(with_gains(t), evaluated, electrons_per_nmgy_z=None)),
    ("gain_is_recorded", lambda t: changed(with_gains(t), a_control, electrons_per_nmgy_r=5e3)),
    ("controls_are_bare", lambda t: changed(t, a_control, snr_matched_r=0.0)),
    ("controls_are_bare", lambda t: changed(t, a_control, magnification=1.0)),
    ("controls_are_bare", lambda t: changed(t, a_control, flags=0)),
    ("controls_are_bare", lambda t: changed(t, evaluated, flags=lambda row: row["flags"] | Flag.CONTROL.value)),
    ("magnification_at_least_one", lambda t: changed(t, evaluated, magnification=0.99)),
    (
        "flux_is_accounted",
        lambda t: changed(t, evaluated, total_injected_flux_g_nmgy=lambda row: 1.001 * row["total_injected_flux_g_nmgy"]),
    ),
    ("flux_is_accounted", lambda t: changed(t, evaluated, flux_frac_inside_r=0.0, total_injected_flux_r_nmgy=0.0)),
    ("psf_in_range", lambda t: changed(t, evaluated, psf_fwhm_used_z_arcsec=0.0)),
    ("psf_in_range", lambda t: changed(t, lambda row: row["psf_fwhm_used_g_arcsec"] is not None, psf_fwhm_used_g_arcsec=3.6)),
    ("hosts_in_the_middle", lambda t: changed(t, lost_off_image, host_x_pix=lambda r: r["host_x_pix"] + 1.0)),
    ("hosts_in_the_middle", lambda t: changed(t, a_control, host_y_pix=lambda r: r["host_y_pix"] - 8.0)),
    ("views_are_one_injection", lambda t: changed(t, evaluated, magnification=lambda row: row["magnification"] * (1 + 1e-12))),
    ("coverage", lambda t: changed(t, evaluated, every=True, metrics_ok=False, flags=Flag.OFF_IMAGE.value)),
]


@pytest.mark.parametrize(("check", "breaks"), BROKEN_RESULTS)
def test_broken_results_are_caught(run: TinyRun, check: str, breaks: Callable[[pa.Table], pa.Table]) -> None:
    assert check in failed(check_injection(count_injections([(run.tasks, breaks(run.results))]), run.planes, []))


def plane_ok(row: dict[str, Any]) -> bool:
    return bool(row["status"] == "ok")


def plane_lost(row: dict[str, Any]) -> bool:
    return not plane_ok(row)


BROKEN_PLANES: list[tuple[str, Callable[[pa.Table], pa.Table]]] = [
    ("planes_are_counted", lambda t: t.slice(1)),
    ("planes_are_counted", lambda t: t.slice(0, 0)),
    ("planes_are_counted", twice),
    ("planes_are_counted", lambda t: table(t, [*t.to_pylist()[1:], t.to_pylist()[1]])),
    ("planes_are_counted", lambda t: changed(t, plane_ok, brickname="0001p000")),
    ("lost_planes_have_reasons", lambda t: changed(t, plane_lost, reason=None)),
    ("lost_planes_have_reasons", lambda t: changed(t, plane_ok, sha256=None)),
    ("lost_planes_have_reasons", lambda t: changed(t, plane_ok, sha256="")),
    ("lost_planes_have_reasons", lambda t: changed(t, plane_ok, reason="why")),
    ("lost_planes_have_reasons", lambda t: changed(t, plane_ok, status="unverified")),
]


@pytest.mark.parametrize(("check", "breaks"), BROKEN_PLANES)
def test_broken_books_of_planes_are_caught(run: TinyRun, check: str, breaks: Callable[[pa.Table], pa.Table]) -> None:
    assert check in failed(check_injection(count_injections([(run.tasks, run.results)]), breaks(run.planes), []))


def with_stamp(item: SampledStamp, **arrays: Any) -> SampledStamp:
    return replace(item, stamp=replace(item.stamp, **arrays))


def with_view(item: SampledStamp, **changes: Callable[[SurveyView], Any]) -> SampledStamp:
    """Return the stamp with something else of the survey."""
    assert item.survey is not None
    return replace(item, survey=replace(item.survey, **{name: change(item.survey) for name, change in changes.items()}))


def with_result(item: SampledStamp, name: str, value: Any) -> SampledStamp:
    """Return the stamp with another result; a callable value is given the old one."""
    return replace(item, result=item.result | {name: value(item.result[name]) if callable(value) else value})


def with_converged(item: SampledStamp, **values: Any) -> SampledStamp:
    """Return the stamp with another arc at twice the effort."""
    return replace(item, converged=replace(item.converged, **values))


def with_magnification(item: SampledStamp, factor: float) -> SampledStamp:
    return replace(item, result=item.result | {"magnification": factor * item.result["magnification"]})


def with_nan(image: np.ndarray) -> np.ndarray:
    broken = image.copy()
    broken[0, 3, 4] = np.nan
    return broken


def without_weight(invvar: np.ndarray) -> np.ndarray:
    """Return the weights with none where `with_nan` puts a NaN."""
    broken = invvar.copy()
    broken[0, 3, 4] = 0.0
    return broken


def with_dent(arc: np.ndarray) -> np.ndarray:
    """Return an arc with two pixels off by 1 % of the peak, its flux unchanged."""
    broken = arc.copy()
    peak = np.unravel_index(arc[1].argmax(), arc[1].shape)
    broken[1][peak] *= np.float32(0.99)
    broken[1, 0, 0] += np.float32(0.01) * arc[1].max()
    return broken


BROKEN_STAMPS: list[tuple[str, Callable[[SampledStamp], SampledStamp]]] = [
    ("host_is_the_survey", lambda s: with_view(s, pixels=lambda v: np.roll(v.pixels, 1, axis=2))),
    ("host_is_the_survey", lambda s: with_view(s, pixels=lambda v: v.pixels * np.float32(1.0 + 1e-6))),
    ("host_is_the_survey", lambda s: with_view(s, pixels=lambda v: with_nan(v.pixels))),
    ("injected_is_host_plus_arc", lambda s: with_stamp(s, injected=s.stamp.host)),
    ("injected_is_host_plus_arc", lambda s: with_stamp(s, injected=with_nan(s.stamp.injected))),
    ("lens_on_the_host", lambda s: with_view(s, x_pix=lambda v: v.x_pix + 0.03)),
    ("lens_on_the_host", lambda s: with_view(s, y_pix=lambda _: float("nan"))),
    ("arc_where_theory_says", lambda s: with_stamp(s, arc=np.roll(s.stamp.arc, 1, axis=1))),
    ("arc_where_theory_says", lambda s: with_stamp(s, arc=s.stamp.arc[:, :, ::-1])),
    ("arc_where_theory_says", lambda s: with_stamp(s, arc=np.full_like(s.stamp.arc, np.nan))),
    ("renders_converged", lambda s: with_stamp(s, arc=s.stamp.arc * np.float32(1.002))),
    ("renders_converged", lambda s: with_stamp(s, arc=with_dent(s.stamp.arc))),
    ("renders_converged", lambda s: with_stamp(s, arc=with_nan(s.stamp.arc))),
    ("renders_converged", lambda s: with_converged(s, image=s.converged.image[:, ::-1])),
    ("zero_flux_is_the_host", lambda s: replace(s, unlit=s.unlit + np.float32(1e-6) * s.stamp.arc)),
    ("zero_flux_is_the_host", lambda s: replace(s, unlit=with_nan(s.unlit))),
    ("pixels_are_finite", lambda s: with_stamp(s, injected=with_nan(s.stamp.injected))),
    ("pixels_are_finite", lambda s: with_stamp(s, noise=with_nan(s.stamp.noise))),
    ("pixels_are_finite", lambda s: with_stamp(s, invvar=-s.stamp.invvar)),
    ("magnification_converged", lambda s: with_magnification(s, 1.002)),
    ("flux_is_stored", lambda s: with_stamp(s, arc=s.stamp.arc * np.float32(1.0 + 1e-5))),
    ("flux_is_stored", lambda s: with_result(s, "total_injected_flux_g_nmgy", lambda flux: 0.99999 * flux)),
    ("flux_is_stored", lambda s: with_result(s, "flux_frac_inside_z", lambda share: 0.99999 * share)),
    ("arc_on_the_sky", lambda s: with_stamp(s, arc=np.roll(s.stamp.arc, 1, axis=2))),
    ("arc_on_the_sky", lambda s: with_result(s, "host_x_pix", lambda x: x + 0.021)),
    ("arc_on_the_sky", lambda s: with_converged(s, image=np.full_like(s.converged.image, np.nan))),
    ("magnification_of_theory", lambda s: with_magnification(s, 1.02)),
    ("magnification_of_theory", lambda s: with_magnification(s, float("nan"))),
]


@pytest.mark.parametrize("place", [0, -1])
@pytest.mark.parametrize(("check", "breaks"), BROKEN_STAMPS)
def test_one_broken_stamp_of_the_sample_is_caught(
    run: TinyRun, sample: list[SampledStamp], check: str, breaks: Callable[[SampledStamp], SampledStamp], place: int
) -> None:
    broken = list(sample)
    broken[place] = breaks(sample[place])
    assert check in failed(check_injection(count_injections([(run.tasks, run.results)]), run.planes, broken))


def test_gains_of_every_injection_in_a_campaign_with_noise_are_sound(run: TinyRun) -> None:
    assert "gain_is_recorded" not in failed(check_injection(count_injections([(run.tasks, with_gains(run.results))]), run.planes, []))


def test_a_sample_with_fewer_stamps_than_asked_for_is_caught(run: TinyRun, sample: list[SampledStamp]) -> None:
    assert failed(check_injection(count_injections([(run.tasks, run.results)]), run.planes, sample[1:])) == {"sample_is_whole"}
    assert failed(check_injection(count_injections([(run.tasks, run.results)]), run.planes, [])) == {"sample_is_whole"}


def test_every_check_is_broken_once_in_this_module() -> None:
    broken = {check for check, _ in (*BROKEN_RESULTS, *BROKEN_PLANES, *BROKEN_STAMPS)}
    assert broken == CHECKS - {"sample_is_whole", "planes_are_there"}


@pytest.mark.parametrize("empty", ["tasks", "results", "both"])
def test_nothing_to_look_at_is_a_failure(run: TinyRun, sample: list[SampledStamp], empty: str) -> None:
    tasks = run.tasks.slice(0, 0) if empty != "results" else run.tasks
    results = run.results.slice(0, 0) if empty != "tasks" else run.results
    findings = check_injection(count_injections([(tasks, results)]), run.planes, sample)
    assert failed(findings) == {"results_are_the_manifest"}
    with pytest.raises(StageValidationError, match="Every manifest row ends as exactly one result row"):
        require(findings)
    with pytest.raises(StageValidationError, match="no check was made"):
        require([])


def test_nan_without_weight_in_host_and_survey_alike_is_no_difference(run: TinyRun, sample: list[SampledStamp]) -> None:
    item = sample[0]
    same = replace(item, stamp=replace(item.stamp, host=with_nan(item.stamp.host), injected=with_nan(item.stamp.injected)))
    same = with_view(replace(same, unlit=with_nan(item.unlit)), pixels=lambda view: with_nan(view.pixels))
    same = with_stamp(same, invvar=without_weight(item.stamp.invvar))
    assert failed(check_injection(count_injections([(run.tasks, run.results)]), run.planes, [same, *sample[1:]])) == set()


def blocks_of(run: TinyRun, results: pa.Table) -> list[tuple[pa.Table, pa.Table]]:
    """Return a run in blocks of its bricks, as if each were one, the results of each turned round."""
    blocks = []
    for name in sorted(set(run.tasks["brickname"].to_pylist())):
        tasks = run.tasks.filter(pc.equal(run.tasks["brickname"], name))
        its = results.filter(pc.is_in(results["task_id"], value_set=tasks["task_id"].combine_chunks()))
        blocks.append((tasks, its.take(np.arange(its.num_rows)[::-1])))
    return blocks


@pytest.mark.parametrize(
    ("check", "breaks"), [("", lambda t: t), *((check, breaks) for check, breaks in BROKEN_RESULTS if check in (*ROW_LAWS, "coverage"))]
)
def test_findings_do_not_depend_on_the_blocks(run: TinyRun, check: str, breaks: Callable[[pa.Table], pa.Table]) -> None:
    results = breaks(run.results)
    blocks = blocks_of(run, results)
    assert len(blocks) > 1
    whole = count_injections([(run.tasks, results)])
    assert count_injections(blocks) == count_injections(blocks[::-1]) == whole
    assert (check in failed(check_injection(whole, run.planes, []))) == bool(check)


def test_a_result_that_stands_in_two_blocks_is_caught(run: TinyRun) -> None:
    blocks = blocks_of(run, run.results)
    assert "results_are_the_manifest" in failed(check_injection(count_injections([*blocks, blocks[0]]), run.planes, []))


def many_results(n: int) -> tuple[pa.Table, pa.Table]:
    """Return manifest and results of many evaluated injections, ids as hashes."""
    tasks, results = tables([{"region_id": 1, "stamp_size": 64} for _ in range(n)])
    ids = pa.array([hash_hex("sample", str(i), n_bytes=12) for i in range(n)])
    return tuple(t.set_column(t.schema.get_field_index("task_id"), "task_id", ids) for t in (tasks, results))  # type: ignore[return-value]


def test_a_hundredth_of_many_injections_is_looked_at_whatever_the_blocks() -> None:
    tasks, results = many_results(6000)
    sample = count_injections([(tasks, results)]).sample
    ids = sorted(tasks["task_id"].to_pylist())
    assert [task_id for task_id, _ in sample] == [task_id for task_id in ids if int(task_id, 16) < 0.01 * 16**24] == ids[: len(sample)]
    assert 0.007 < len(sample) / 6000 < 0.013
    parts = [(tasks.slice(start, 700), results.slice(start, 700)) for start in range(0, 6000, 700)]
    assert count_injections(parts[::-1]).sample == sample


def test_the_sample_is_of_evaluated_injections_the_first_by_id(run: TinyRun) -> None:
    sample = count_injections([(run.tasks, run.results)]).sample
    controls = set(run.tasks.filter(run.tasks["is_control"])["task_id"].to_pylist())
    ids = sorted(row["task_id"] for row in run.results.to_pylist() if row["metrics_ok"] and row["task_id"] not in controls)
    assert [task_id for task_id, _ in sample] == ids[:SAMPLE_SIZE]
    block_of = {row["task_id"]: row["block"] for row in run.tasks.to_pylist()}
    assert all(block_of[task_id] == block for task_id, block in sample)
