"""Laws of a failed validation: the findings are kept, nothing after it runs, the exit code says so, and a page still shows it."""

from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner

import luigi_tasks.block_work
import luigi_tasks.checks
from halo_core.errors import StageValidationError
from halo_core.stages.injection import BrickInjection, inject_brick
from luigi_tasks.cli import main
from tests.fixtures.campaigns import BEFORE_PIXELS, Place, part_of
from tests.fixtures.commands import lay_out, luigi_words, run_command


def with_wrong_magnifications(tasks: pa.Table, *args: Any, **named: Any) -> BrickInjection:
    """Inject a brick, and record twice the magnification in every result."""
    made = inject_brick(tasks, *args, **named)
    place = made.results.column_names.index("magnification")
    field = made.results.schema.field(place)
    doubled = pa.array([None if value is None else 2 * value for value in made.results["magnification"].to_pylist()], type=pa.float64())
    return BrickInjection(made.hosts, made.arcs, made.results.set_column(place, field, doubled))


@pytest.fixture(scope="module")
def failed(done_place: Place, tmp_path_factory: pytest.TempPathFactory) -> tuple[Place, BaseException]:
    """A place whose injections were recorded wrong, and what the run raised."""
    place = part_of(done_place, tmp_path_factory.mktemp("failed"), (*BEFORE_PIXELS, "cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(luigi_tasks.block_work, "inject_brick", with_wrong_magnifications)
        error = place.error()
    return place, error


def test_the_error_names_the_check_and_what_it_saw(failed: tuple[Place, BaseException]) -> None:
    assert isinstance(failed[1], StageValidationError)
    assert "magnification" in str(failed[1])


def test_findings_and_status_are_in_the_state(failed: tuple[Place, BaseException]) -> None:
    rows = failed[0].rows("SELECT stage, check_name FROM validation_findings WHERE NOT is_ok AND severity = 'error'")
    assert rows != []
    assert {row["stage"] for row in rows} == {"injection"}
    status = {row["stage"]: row["status"] for row in failed[0].rows("SELECT stage, status FROM v_progress")}
    assert status["validation_injection"] == "failed"
    assert status["injection"] == status["validation_manifest"] == "done"


def test_nothing_after_it_ran(failed: tuple[Place, BaseException]) -> None:
    place = failed[0]
    assert {key.split("/")[0] for key in place.seen()} == {*BEFORE_PIXELS, "cache", "injection", "campaigns"}
    assert place.rows("SELECT * FROM completeness_cells") == []
    assert not place.task().complete()


def test_the_page_is_rendered_and_headed_by_the_failure(failed: tuple[Place, BaseException]) -> None:
    place = failed[0]
    place.activate()
    out = place.folder / "failed.html"
    result = CliRunner().invoke(main, ["report", "tiny", "--out", str(out)])
    assert result.exit_code == 0, result.output
    page = out.read_text()
    sentence = place.rows("SELECT sentence FROM validation_findings WHERE NOT is_ok AND severity = 'error'")[0]["sentence"]
    body = page[page.index("<body") :]
    assert sentence in body
    assert body.index(sentence) < body.index("<table")


def test_the_status_shows_the_failure(failed: tuple[Place, BaseException]) -> None:
    failed[0].activate()
    result = CliRunner().invoke(main, ["status", "tiny"])
    assert result.exit_code == 0, result.output
    assert "error: injection:" in result.output
    assert "failed" in result.output


def test_a_command_that_meets_it_exits_non_zero_and_says_why(failed: tuple[Place, BaseException]) -> None:
    lay_out(failed[0])
    before = failed[0].seen()
    result = run_command(failed[0].folder, luigi_words("RunCampaign"))
    assert result.returncode == 30
    assert "StageValidationError" in result.stdout
    assert failed[0].seen() == before


def test_a_law_that_could_not_run_is_kept_and_logged_with_its_traceback(
    copied_place: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken_off(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("no parents")

    task = copied_place.task(luigi_tasks.ValidateStage, stage="parent")
    copied_place.objects.delete(task.output().mark_key)
    monkeypatch.setattr(luigi_tasks.checks, "check_parent", broken_off)
    with pytest.raises(StageValidationError, match="evidence: observed could not run: ZeroDivisionError: no parents"):
        task.run()
    rows = copied_place.rows("SELECT check_name, is_ok FROM validation_findings WHERE stage = 'parent' ORDER BY check_name")
    assert [(row["check_name"], bool(row["is_ok"])) for row in rows] == [("evidence", False), ("split_fractions", True)]
    assert "in broken_off" in caplog.text
    assert not task.complete()
