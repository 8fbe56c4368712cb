"""Laws of `halo validate`: it asks the laws of what is stored, believes no commit, redoes no stage, and keeps what it saw."""

from pathlib import Path

import luigi
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from luigi.execution_summary import LuigiStatusCode

import luigi_tasks
from halo_core.records import Finding
from halo_core.stages.files import read_table, write_table
from halo_core.stamps import ARCS_FILE, HOSTS_FILE, RESULTS_FILE
from halo_core.store.sessions import read
from halo_core.store.validation import findings
from luigi_tasks.cli import main
from luigi_tasks.targets import CELLS_FILE, DESIGN_FILE, FACTS_FILE, STAGE_MARK, TASKS_FILE, block_prefix
from tests.fixtures.campaigns import BEFORE_PIXELS, Place, part_of


def halo(*words: str) -> Result:
    """Run a subcommand in this process, on a wide terminal."""
    return CliRunner(env={"COLUMNS": "250"}).invoke(main, words)


def failed(place: Place, subject: str) -> dict[str, Finding]:
    """Return the failed errors that the state holds of a stage's checks, by name."""
    digest = place.rows("SELECT stage_digest FROM v_latest_stages WHERE campaign = 'tiny' AND stage = :word", word=f"validation_{subject}")
    with read(place.state_url) as connection:
        found = findings(connection, digest[0]["stage_digest"])
    return {one.check: one for one in found if not one.is_ok and one.severity == "error"}


def block_file(place: Place, word: str, name: str) -> Path:
    """Return a table of the second block of a stage."""
    return place.objects.path(f"{block_prefix(word, place.task().digest_of(word), 1)}/{name}")


def with_wrong_magnification(results: pa.Table) -> pa.Table:
    """Return results with the first magnification a millionth larger."""
    values = results["magnification"].to_numpy().copy()
    values[np.flatnonzero(np.isfinite(values))[0]] *= 1.0 + 1e-6
    place = results.schema.get_field_index("magnification")
    return results.set_column(place, results.schema.field(place), pa.array(values, from_pandas=True))


def marks(place: Place) -> set[str]:
    """Return the stages whose checks are committed."""
    return {
        key.split("/")[0] for key in place.objects.list_sizes("") if key.startswith("validation_") and key.endswith("_stage_config.json")
    }


def test_a_whole_campaign_passes_and_nothing_it_stored_changes(copied_place: Place) -> None:
    copied_place.activate()
    luigi.configuration.get_config().remove_section("mock_survey")  # It stands in a campaign file, which the command does not need.
    before = copied_place.seen()
    result = halo("validate", "tiny")
    assert result.exit_code == 0, result.output
    assert "planes_are_there" in result.output
    assert "not reached" not in result.output
    after = copied_place.seen()
    assert {key: sha256 for key, (_, sha256) in after.items()} == {key: sha256 for key, (_, sha256) in before.items()}
    assert {key for key in after if after[key] != before[key]} <= {key for key in after if key.startswith("validation_")}
    assert copied_place.task().complete()


def test_a_changed_number_fails_is_kept_heads_the_page_and_passes_once_it_is_mended(copied_place: Place) -> None:
    copied_place.activate()
    file = block_file(copied_place, "injection", RESULTS_FILE)
    sound, committed = file.read_bytes(), marks(copied_place)
    write_table(file, with_wrong_magnification(read_table(file)))
    result = halo("validate", "tiny")
    assert result.exit_code == 1
    assert result.output.index("error: injection, views_are_one_injection") < result.output.index("Checks of tiny")
    kept = failed(copied_place, "injection")
    assert {"views_are_one_injection"} <= kept.keys() <= {"views_are_one_injection", "flux_is_accounted", "flux_is_stored", "evidence"}
    status = {row["stage"]: row["status"] for row in copied_place.rows("SELECT stage, status FROM v_progress WHERE campaign = 'tiny'")}
    assert status["validation_injection"] == "failed"
    assert status["injection"] == status["validation_manifest"] == "done"
    assert marks(copied_place) == committed - {"validation_injection"}
    assert not copied_place.task(luigi_tasks.ValidateStage, stage="injection").complete()
    page = copied_place.folder / "page.html"
    assert halo("report", "tiny", "--out", str(page)).exit_code == 0
    body = page.read_text().partition("<body")[2]
    assert body.index(kept["views_are_one_injection"].sentence) < body.index("<table")
    file.write_bytes(sound)
    assert halo("validate", "tiny").exit_code == 0
    assert failed(copied_place, "injection") == {}
    assert marks(copied_place) == committed
    assert copied_place.task().complete()


def test_stages_that_the_run_has_not_reached_are_named_and_the_exit_code_says_so(done_place: Place, tmp_path: Path) -> None:
    place = part_of(done_place, tmp_path, BEFORE_PIXELS)
    assert place.run(luigi_tasks.ValidateStage, stage="manifest") == LuigiStatusCode.SUCCESS
    before = place.seen()
    result = halo("validate", "tiny")
    assert result.exit_code == 1
    assert "not reached: cache, injection" in result.output
    assert "not reached: summary" in result.output
    assert place.seen().keys() == before.keys()


@pytest.mark.parametrize(("word", "name", "subject"), [("manifest", TASKS_FILE, "manifest"), ("injection", ARCS_FILE, "injection")])
def test_a_table_that_cannot_be_read_is_a_failed_finding_that_names_it(copied_place: Place, word: str, name: str, subject: str) -> None:
    copied_place.activate()
    file = block_file(copied_place, word, name)
    file.write_bytes(bytes(reversed(file.read_bytes())))
    result = halo("validate", "tiny")
    assert result.exit_code == 1
    found = failed(copied_place, subject)["evidence"]
    assert "could not run: ObjectStoreError" in found.observed
    assert str(file) in found.observed
    assert "parent: checks: 17" in result.stderr


def test_an_object_that_is_gone_is_a_failed_finding_beside_those_of_the_other_laws(copied_place: Place) -> None:
    copied_place.activate()
    file = block_file(copied_place, "injection", ARCS_FILE)
    file.unlink()
    assert halo("validate", "tiny").exit_code == 1
    found = failed(copied_place, "injection")
    assert f"block=00001/{ARCS_FILE} is missing" in found["evidence"].observed
    checks = copied_place.rows("SELECT check_name FROM validation_findings WHERE stage = 'injection' AND is_ok")
    assert {"losses_have_reasons", "planes_are_counted"} <= {row["check_name"] for row in checks}


def test_an_unknown_campaign_is_one_line_and_exit_code_1(done_place: Place) -> None:
    done_place.activate()
    result = halo("validate", "nobody")
    assert result.exit_code == 1
    assert "no campaign is called 'nobody'" in result.stderr


@pytest.mark.parametrize("what", ["results", "hosts", "cells", "facts", "design", "parent mark"])
def test_a_campaign_whose_objects_are_damaged_has_a_page_that_says_so(copied_place: Place, tmp_path: Path, what: str) -> None:
    copied_place.activate()
    digests = {word: copied_place.task().digest_of(word) for word in ("parent", "manifest", "injection", "summary")}
    path = copied_place.objects.path(
        {
            "results": f"{block_prefix('injection', digests['injection'], 1)}/{RESULTS_FILE}",
            "hosts": f"{block_prefix('injection', digests['injection'], 1)}/{HOSTS_FILE}",
            "cells": f"summary/{digests['summary']}/{CELLS_FILE}",
            "facts": f"summary/{digests['summary']}/{FACTS_FILE}",
            "design": f"manifest/{digests['manifest']}/{DESIGN_FILE}",
            "parent mark": f"parent/{digests['parent']}/{STAGE_MARK}",
        }[what]
    )
    path.write_bytes(bytes(path.stat().st_size))
    assert halo("validate", "tiny").exit_code == 1
    page = tmp_path / "page.html"
    result = halo("report", "tiny", "--out", page)
    assert result.exit_code == 0, result.output
    text = page.read_text()
    assert "This campaign failed: its numbers must not be used" in text
    assert "cannot be shown" in text
    assert path.name in text
