"""Laws of the whole chain: every task is accounted for, every object is named, and running again does nothing."""

import json
import re
from importlib.metadata import version

from astropy.table import Table
from luigi.execution_summary import LuigiStatusCode

from halo_core.flags import Flag
from halo_core.stages.planning import plan
from halo_core.survey.layout import planes_for
from luigi_tasks.figures import FIGURES_MARK
from luigi_tasks.identity import validation_digest
from luigi_tasks.objects import sha256_of
from luigi_tasks.targets import BLOCK_MARK, CELLS_ECSV_FILE, CELLS_FILE, STAGE_MARK
from tests.fixtures.campaigns import Place
from tests.fixtures.commands import lay_out, luigi_words, run_command


def test_planned_is_built_is_processed_is_summarised_for_every_tier_split_and_size(done_place: Place) -> None:
    task = done_place.task()
    rows = plan(task.manifest_config(), {name: grid.n_configs for name, grid in task.grids().items()})
    planned = {(row.tier, row.split, size): (row.n_physical, row.n_injections) for row in rows for size in task.stamp_sizes}
    books = done_place.rows("SELECT * FROM v_accounting WHERE campaign = 'tiny'")
    assert {(row["tier"], row["region_split"], row["stamp_size"]) for row in books} == set(planned)
    for row in books:
        n_tasks, n_injections = planned[row["tier"], row["region_split"], row["stamp_size"]]
        assert row["n_planned"] == row["n_built"] == row["n_processed"] == n_tasks
        assert row["n_evaluated"] + row["n_not_evaluated"] == n_tasks
        assert row["n_planned_injections"] == row["n_built_injections"] == row["n_summarised_injections"] == n_injections
    assert len(planned) == 3 * 2 * 2


def test_some_tasks_are_evaluated_and_every_other_one_has_a_reason(done_place: Place) -> None:
    results = done_place.rows("SELECT flags, metrics_ok FROM v_task_full WHERE campaign = 'tiny'")
    losses = done_place.rows("SELECT task_id FROM v_task_full t JOIN flag_names f ON (t.flags & f.bit) <> 0 WHERE f.kind = 'loss'")
    assert 0 < sum(not row["metrics_ok"] for row in results) == len({row["task_id"] for row in losses}) < len(results)


def test_every_plane_the_manifest_names_has_a_row_and_a_brick_without_files_a_reason(done_place: Place) -> None:
    bricks = {row["brickname"] for row in done_place.rows("SELECT DISTINCT brickname FROM injection_tasks")}
    planes = done_place.rows("SELECT brickname, plane, status, reason, sha256, key FROM coadd_planes")
    assert sorted((row["brickname"], row["plane"]) for row in planes) == sorted((b, p) for b in bricks for p in planes_for("grz"))
    missing = {row["brickname"] for row in planes if row["status"] != "ok"}
    flagged = done_place.rows(f"SELECT DISTINCT brickname FROM v_task_full WHERE (flags & {Flag.BRICK_MISSING.value}) <> 0")
    assert missing == {row["brickname"] for row in flagged} != set()
    for row in planes:
        if row["status"] == "ok":
            assert row["sha256"] == sha256_of(done_place.objects.path(row["key"]))
        else:
            assert row["reason"] == "the survey has no such file"


def test_every_object_is_named_with_its_sha256_by_a_mark_and_nothing_else_is_there(done_place: Place) -> None:
    sizes = done_place.objects.list_sizes("")
    marks = [key for key in sizes if key.endswith((STAGE_MARK, BLOCK_MARK, FIGURES_MARK))]
    named: dict[str, str] = {}
    for mark in marks:
        for key, record in json.loads(done_place.objects.read(mark))["objects"].items():
            assert sizes[key] == record["n_bytes"]
            assert named.setdefault(key, record["sha256"]) == record["sha256"]
    for key, sha256 in named.items():
        assert sha256_of(done_place.objects.path(key)) == sha256, key
    planes = [key for key in sizes if key.endswith(".sha256")]
    for key in planes:
        named[key.removesuffix(".sha256")] = done_place.objects.read(key).decode().strip()
    runs = {key for key in sizes if key.startswith("campaigns/")}
    assert len(runs) == 1
    others = set(sizes) - set(named) - set(marks) - set(planes) - runs
    assert {key.rsplit("/", 1)[1] for key in others} == {"_plan.json"}


def test_the_mark_of_a_stage_records_digest_parameters_seeds_upstream_and_versions(done_place: Place) -> None:
    task = done_place.task()
    for word, identity in task.identities.items():
        mark = task.mark_of(word)
        assert (mark["stage"], mark["digest"], mark["science_version"]) == (word, identity.digest, identity.science_version)
        assert mark["upstream"] == {name: task.digest_of(name) for name in identity.upstream}
        assert mark["parameters"] == json.loads(json.dumps(identity.parameters))
        assert mark["seeds"] == {"split_seed": task.split_seed, "sampling_seed": task.sampling_seed}
        assert mark["versions"]["luigi"] == version("luigi")
        assert mark["processor"]
    assert task.mark_of("injection")["counts"]["n_tasks"] == 52


def test_the_cells_as_text_are_those_of_the_parquet_and_stand_in_the_mark(done_place: Place) -> None:
    task = done_place.task()
    key, cells = task.key_of("summary", CELLS_ECSV_FILE), task.table_of("summary", CELLS_FILE)
    assert key in task.mark_of("summary")["objects"]
    found = Table.read(done_place.objects.path(key))
    assert found.colnames == cells.column_names
    for name in ("cell", "n_task", "lower_95"):
        assert found[name].tolist() == cells[name].to_pylist()
    assert found["theta_e_arcsec"].unit == "arcsec"


def test_the_mark_of_a_block_records_the_sha256_of_the_planes_it_used(done_place: Place) -> None:
    task = done_place.task()
    planes = done_place.rows("SELECT brickname || ' ' || plane AS name, sha256 FROM coadd_planes WHERE status = 'ok'")
    used: dict[str, str] = {}
    for key in done_place.objects.list_sizes(f"injection/{task.digest_of('injection')}"):
        if key.endswith(BLOCK_MARK):
            used |= json.loads(done_place.objects.read(key))["planes_sha256"]
    assert used == {row["name"]: row["sha256"] for row in planes}


def test_the_state_says_every_stage_and_validation_is_done_and_no_check_that_must_pass_failed(done_place: Place) -> None:
    task = done_place.task()
    stages = {row["stage"]: row["stage_digest"] for row in done_place.rows("SELECT * FROM v_progress WHERE campaign = 'tiny'")}
    assert {row["status"] for row in done_place.rows("SELECT status FROM v_progress")} == {"done"}
    subjects = ("parent", "manifest", "injection", "summary", "campaign")
    expected = {f"validation_{subject}": validation_digest(subject, task.identities) for subject in subjects}
    assert stages == expected | {word: identity.digest for word, identity in task.identities.items()}
    assert done_place.rows("SELECT * FROM validation_findings WHERE NOT is_ok AND severity = 'error'") == []
    found = done_place.rows("SELECT DISTINCT s.stage FROM validation_findings f JOIN stages s ON s.stage_digest = f.stage_digest")
    assert {row["stage"] for row in found} == set(expected)


def test_the_report_is_one_page_that_asks_for_nothing_from_anywhere(done_place: Place) -> None:
    page = done_place.report.read_text()
    assert "tiny" in page
    assert page.count("<script") == 1
    assert "script-src 'sha256-" in page
    assert "@import" not in page
    wanted = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)["']""", page) + re.findall(r"url\(([^)]*)\)", page)
    assert [link for link in wanted if not link.startswith(("data:", "#"))] == []
    assert set(re.findall(r"https?://[^\s\"'<]*", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_running_again_does_nothing(done_place: Place) -> None:
    objects, attempts, report = done_place.seen(), done_place.attempts("injection"), done_place.report.stat().st_mtime_ns
    assert done_place.task().complete()
    assert done_place.run() == LuigiStatusCode.SUCCESS
    assert done_place.seen() == objects
    assert done_place.attempts("injection") == attempts == {0: 1, 1: 1, 2: 1}
    assert done_place.report.stat().st_mtime_ns == report
    assert len(done_place.rows("SELECT * FROM campaigns")) == 1


def test_running_again_in_another_process_does_nothing_and_exits_0(copied_place: Place) -> None:
    lay_out(copied_place)
    objects = copied_place.seen()
    result = run_command(copied_place.folder, luigi_words("RunCampaign", "--workers", "2"))
    assert result.returncode == 0, result.stdout
    assert copied_place.seen() == objects
    assert set(copied_place.attempts("injection").values()) == {1}
