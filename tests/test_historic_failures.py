"""Errors that earlier pipelines of this field made: each is made again in the production code, and a law must catch it.

A law is a check of the validation, an error the code raises, or the test that holds the law, called as a function.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core import stamps
from halo_core.errors import AccountingError, ConventionError, StageValidationError, SurveyDataError
from halo_core.flags import LOSSES, Flag
from halo_core.lensing import deflectors, trace
from halo_core.stages import hosts, injection, manifest_hosts, metrics, summary_rows, validation_manifest, validation_summary
from halo_core.stages.injection import inject_brick
from halo_core.stages.manifest import build_manifest
from halo_core.stages.manifest_hosts import Draw
from halo_core.stages.validation import require
from halo_core.stages.validation_injection_counts import count_injections
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockSurvey
from luigi_tasks import fetch
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.objects import open_objects
from tests.core.lensing import test_deflectors as deflector_laws
from tests.core.stages import test_metrics as metric_laws
from tests.core.stages import test_validation_manifest as manifest_checks
from tests.core.stages.injection_scenes import CONFIG, TinyRun, check_injection, inject, planes_of, sample_stamps, tiny_run, whole_bricks
from tests.core.survey import test_photometry as photometry_laws
from tests.fixtures.summaries import facts_of, lost, summarised, summary_config, tables

Patch = pytest.MonkeyPatch


@pytest.fixture
def run(tiny_survey: tuple[MockSurvey, Path]) -> TinyRun:
    """The tiny campaign as it is injected by sound code."""
    return tiny_run(tiny_survey[1])


def failed_after(run: TinyRun, folder: Path) -> set[str]:
    """Return the checks that fail when the wide arcs of a brick are injected anew by the code as it is now."""
    name = whole_bricks(run)[0]
    tasks = run.tasks.filter(pc.and_(pc.equal(run.tasks["brickname"], name), pc.not_equal(run.tasks["theta_e_arcsec"], 0.3)))
    planes = run.planes.filter(pc.equal(run.planes["brickname"], name))
    made = inject(tasks, planes, run.root)
    again = TinyRun(run.root, run.manifest, tasks, planes, made.hosts, made.arcs, made.results)
    findings = check_injection(count_injections([(tasks, made.results)]), planes, sample_stamps(again, folder))
    return {finding.check for finding in findings if not finding.is_ok}


def test_sound_code_passes_the_checks_that_the_others_fail(run: TinyRun, tmp_path: Path) -> None:
    assert failed_after(run, tmp_path) == set()


def test_a_lens_at_the_middle_of_the_stamp_is_caught(run: TinyRun, tmp_path: Path, monkeypatch: Patch) -> None:
    right = injection.lens_and_source

    def wrong(row: Any, x: float, y: float, *, size_pix: int, bands: Any) -> Any:
        return right(row, (size_pix - 1) / 2, (size_pix - 1) / 2, size_pix=size_pix, bands=bands)

    monkeypatch.setattr(injection, "lens_and_source", wrong)
    assert failed_after(run, tmp_path) == {"arc_where_theory_says"}


def test_an_einstein_radius_without_sqrt_q_is_caught_in_the_renderer(run: TinyRun, tmp_path: Path, monkeypatch: Patch) -> None:
    right = trace.lens_numbers
    monkeypatch.setattr(trace, "lens_numbers", lambda lens: right(replace(lens, theta_e_arcsec=lens.theta_e_arcsec / np.sqrt(lens.q))))
    assert failed_after(run, tmp_path) == {"magnification_of_theory", "arc_where_theory_says"}


def test_an_einstein_radius_without_sqrt_q_is_caught_in_the_theory(run: TinyRun, tmp_path: Path, monkeypatch: Patch) -> None:
    right = deflectors._unit_deflection
    monkeypatch.setattr(deflectors, "_unit_deflection", lambda c, s, q: tuple(part / np.sqrt(q) for part in right(c, s, q)))
    assert failed_after(run, tmp_path) == {"magnification_of_theory", "arc_where_theory_says"}
    with pytest.raises(AssertionError):
        deflector_laws.test_deflection_without_the_factor_sqrt_q_would_miss_the_critical_curve(0.3)


def test_tasks_without_a_mask_that_are_counted_as_missed_are_caught(monkeypatch: Patch) -> None:
    tasks, results = tables([{}] * 12 + [lost(Flag.MASKBITS_MISSING)] * 4)
    config = summary_config()
    assert summarised(tasks, results, config)["n_evaluated"][0].as_py() == 12
    monkeypatch.setattr(summary_rows, "evaluated", lambda table: np.ones(table.num_rows, dtype=bool))
    with pytest.raises(AccountingError, match="evaluated results have no finite"):
        summarised(tasks, results, config)
    monkeypatch.setattr(summary_rows, "require_measured", lambda *_: None)
    cells = summarised(tasks, results, config)
    assert cells["n_evaluated"][0].as_py() == 16
    findings = validation_summary.check_summary(cells, [(tasks, results)], config, facts=facts_of(tasks, results, config))
    assert "counts_add_up_to_manifest" in {finding.check for finding in findings if not finding.is_ok}


def test_a_null_that_is_counted_as_zero_is_caught(run: TinyRun, monkeypatch: Patch) -> None:
    tasks, results = tables([{}] * 11 + [{"snr_matched_r": None}])
    with pytest.raises(AccountingError, match="no finite snr_matched_r"):
        summarised(tasks, results, summary_config())
    right = summary_rows._floats
    monkeypatch.setattr(summary_rows, "_floats", lambda table, name: np.nan_to_num(right(table, name)))
    assert summarised(tasks, results, summary_config())["n_evaluated"][0].as_py() == 12  # the summary alone would not see it now
    row = next(i for i, result in enumerate(run.results.to_pylist()) if result["snr_matched_r"] is not None)
    values = [None if i == row else value for i, value in enumerate(run.results["snr_matched_r"].to_pylist())]
    place = run.results.column_names.index("snr_matched_r")
    broken = run.results.set_column(place, run.results.schema.field("snr_matched_r"), pa.array(values, type=pa.float64()))
    findings = check_injection(count_injections([(run.tasks, broken)]), run.planes, [])
    assert "evaluated_is_measured" in {finding.check for finding in findings if not finding.is_ok}


def careless_draw(drawn: Draw, group: Any, mistake: str) -> Draw:
    """Return the draw of a stratum whose controls stand on hosts that are used already."""
    is_control = drawn.config == manifest_hosts.CONTROL_CONFIG
    number = np.cumsum(is_control) - 1
    hosts_of = {"one host for all": np.full_like(drawn.host, group.start), "hosts of injections": group.start + number}
    host = np.where(is_control, hosts_of[mistake], drawn.host)
    return replace(drawn, host=host, replicate=np.where(is_control & (mistake == "one host for all"), number, drawn.replicate))


@pytest.mark.parametrize("mistake", ["one host for all", "hosts of injections"])
def test_controls_that_repeat_hosts_are_caught(monkeypatch: Patch, mistake: str) -> None:
    right = manifest_hosts._stratum_draw
    monkeypatch.setattr(manifest_hosts, "_stratum_draw", lambda group, **given: careless_draw(right(group, **given), group, mistake))
    made = build_manifest(manifest_checks.parents(), manifest_checks.tiny_config(), manifest_checks.GRIDS)
    evidence = manifest_checks.evidence(plan=made.plan, seeds=made.seeds)
    findings = validation_manifest.check_manifest(made.blocks(), manifest_checks.tiny_config(), evidence)
    with pytest.raises(StageValidationError, match="controls_distinct"):
        require(findings)


@pytest.mark.parametrize("signs", [(-1.0, 1.0), (1.0, -1.0)])
def test_one_negated_component_of_a_tractor_shape_is_caught(monkeypatch: Patch, signs: tuple[float, float]) -> None:
    right = photometry_laws.pixel_shape
    laws: list[Callable[[], None]] = [
        photometry_laws.test_both_tractor_components_change_sign_in_pixels,
        photometry_laws.test_drawn_galaxy_has_the_shape_of_its_tractor_components,
        photometry_laws.test_shapes_survive_the_round_trip,
    ]
    for law in laws:
        law()
    monkeypatch.setattr(photometry_laws, "pixel_shape", lambda e1, e2: right(-signs[0] * np.asarray(e1), -signs[1] * np.asarray(e2)))
    for law in laws:
        with pytest.raises(AssertionError):
            law()


def assert_damage_is_a_loss(survey: Path, folder: Path, brickname: str) -> None:
    """Assert that the r image, which is damaged, is not stored and that its row says why."""
    row = PlaneSource(open_objects(str(survey)), "test", open_objects(str(folder))).fetch(brickname, "image-r", block=0)
    assert (row["status"], row["key"], row["sha256"]) == ("unverified", None, None)
    assert "image-r" in row["reason"]


def test_a_plane_that_fails_verification_and_is_taken_as_fine_is_caught(run: TinyRun, tmp_path: Path, monkeypatch: Patch) -> None:
    name = whole_bricks(run)[0]
    path = tmp_path / "survey" / plane_key(name, "image-r")
    path.parent.mkdir(parents=True)
    content = bytearray((run.root / plane_key(name, "image-r")).read_bytes())
    content[-3000] ^= 0x55
    path.write_bytes(content)
    assert_damage_is_a_loss(tmp_path / "survey", tmp_path / "objects", name)
    monkeypatch.setattr(fetch, "verify_plane", lambda *_: None)
    with pytest.raises(AssertionError):
        assert_damage_is_a_loss(tmp_path / "survey", tmp_path / "careless", name)


def test_a_lost_plane_that_raises_no_flag_is_caught(run: TinyRun, tmp_path: Path, monkeypatch: Patch) -> None:
    name = whole_bricks(run)[0]
    tasks = run.tasks.filter(pc.equal(run.tasks["brickname"], name))
    planes = planes_of(run.root, name, without={"image-r": "unverified"})
    assert all(flags & LOSSES.value for flags in inject_brick(tasks, planes, CONFIG).results["flags"].to_pylist())
    for module in (hosts, injection):
        monkeypatch.setattr(module, "plane_flags", lambda *_: Flag(0))
    made = inject_brick(tasks, planes, CONFIG)
    assert any(made.results["metrics_ok"].to_pylist())
    careless = TinyRun(run.root, run.manifest, tasks, run.planes, made.hosts, made.arcs, made.results)
    with pytest.raises(SurveyDataError, match=r"image_r of row \d+ is not stored: the plane was lost"):
        sample_stamps(careless, tmp_path)


def without_psf_map(run: TinyRun) -> tuple[pa.Table, Any]:
    """Return the controls of a brick whose seeing is recorded as 0, and its planes without the r map."""
    name = whole_bricks(run)[0]
    tasks = run.tasks.filter(pc.and_(pc.equal(run.tasks["brickname"], name), run.tasks["is_control"]))
    place = tasks.column_names.index("psfsize_r_arcsec")
    zero = tasks.set_column(place, tasks.schema.field("psfsize_r_arcsec"), pa.array([0.0] * tasks.num_rows))
    return zero, planes_of(run.root, name, without={"psfsize-r": "missing"})


def test_a_psf_of_size_zero_is_caught(run: TinyRun, monkeypatch: Patch) -> None:
    tasks, planes = without_psf_map(run)
    assert all(flags & Flag.PSF_UNUSABLE_R for flags in inject_brick(tasks, planes, CONFIG).results["flags"].to_pylist())
    monkeypatch.setattr(hosts, "PSF_FWHM_MIN_ARCSEC", 0.0)
    with pytest.raises(ConventionError, match=r"psf_fwhm_arcsec = 0.0 is outside .*flag the band, do not render it"):
        inject_brick(tasks, planes, CONFIG)
    monkeypatch.setattr(injection, "profile_fwhm_arcsec", lambda size, **_: size)
    results = inject_brick(tasks, planes, CONFIG).results
    findings = check_injection(count_injections([(tasks, results)]), run.planes, [])
    assert "psf_in_range" in {finding.check for finding in findings if not finding.is_ok}


@pytest.mark.parametrize("start", [0, 7])
def test_a_small_stamp_that_is_not_the_middle_of_the_big_one_is_caught(
    run: TinyRun, tmp_path: Path, monkeypatch: Patch, start: int
) -> None:
    right = metrics.crop_start

    def wrong(big: int, small: int) -> int:
        return right(big, small) if big == small else start

    for module in (metrics, injection, stamps):
        monkeypatch.setattr(module, "crop_start", wrong)
    assert "hosts_in_the_middle" in failed_after(run, tmp_path)
    with pytest.raises(AssertionError):
        metric_laws.test_a_view_is_the_exact_crop(96, 64, 16)


def test_a_reader_that_crops_otherwise_than_the_metrics_is_caught(run: TinyRun, tmp_path: Path, monkeypatch: Patch) -> None:
    monkeypatch.setattr(stamps, "crop_start", lambda *_: 0)
    assert {"host_is_the_survey", "arc_where_theory_says"} <= failed_after(run, tmp_path)
