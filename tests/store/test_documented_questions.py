"""Laws of docs/sql.md: each of its twenty questions is asked as it is printed, and gives the answer known by construction."""

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from halo_core.records import BRICKS, CELLS, PARENTS, PLANES, Finding
from halo_core.store import blocks, cache, campaigns, injection, manifest, parent, stages, summary, survey, validation
from halo_core.store.sessions import begin, read
from tests.fixtures.databases import rows_of
from tests.store.tiny_campaign import manifest_rows, result_rows

DOCUMENT = Path(__file__).resolve().parents[2] / "docs/sql.md"
TASK_IDS = ["0a1b2c3d", "b1", "b2", "b3", "b4", "b5"]
SEEING = [1.1, 1.1, 1.3, 1.3, 1.3, 1.3]
SENTENCE = "A stamp of this size does not fit in the file around the host."
EARLY, LATE = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 2, tzinfo=UTC)


def questions() -> dict[int, str]:
    """Return the statement of each numbered question."""
    found = re.findall(r"^### (\d+)\. .*?^```sql\n(.*?)^```", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    return {int(number): statement.strip().rstrip(";") for number, statement in found}


def changed(table: pa.Table, **columns: list[Any]) -> pa.Table:
    """Return the rows with other columns."""
    for name, values in columns.items():
        position = table.schema.get_field_index(name)
        table = table.set_column(position, table.schema.field(name), pa.array(values, table.schema.field(name).type))
    return table


def tasks() -> pa.Table:
    """Six tasks: p0 and p2 are painted around host h0, the control p1 around h1; each in two sizes."""
    return changed(
        manifest_rows(),
        task_id=TASK_IDS,
        host_id=["h0", "h0", "h1", "h1", "h0", "h0"],
        brickname=["n1", "n1", "n2", "n2", "n1", "n1"],
        region_id=[7] * 6,
    )


def results(snr: list[float | None]) -> pa.Table:
    """Their results; the last is not evaluated, two are controls."""
    return changed(result_rows(snr), task_id=TASK_IDS, psf_fwhm_used_r_arcsec=SEEING)


def cells() -> pa.Table:
    """Headline, two Einstein radii and two bins of seeing."""
    return rows_of(
        CELLS,
        5,
        axes=["", "theta_e_arcsec", "theta_e_arcsec", "psf_fwhm_r_bin", "psf_fwhm_r_bin"],
        tier="grid",
        stamp_size=96,
        criterion="proxy_reference",
        subset="all",
        region_split=pa.array([None] * 5, pa.string()).to_pylist(),
        theta_e_arcsec=[None, 1.0, 0.6, None, None],
        bin_lower=[None, None, None, 1.1, 1.3],
        bin_upper=[None, None, None, 1.2, 1.4],
        n_task=[9, 4, 5, 3, 6],
        n_evaluated=[8, 4, 4, 2, 6],
        n_not_evaluated=[1, 0, 1, 1, 0],
        n_recovered=[4, 3, 1, 2, 2],
        completeness=[0.5, 0.75, 0.25, 1.0, 1.0 / 3.0],
        lower_95=[0.2, 0.4, 0.1, 0.4, 0.1],
        upper_95=[0.8, 0.9, 0.6, 1.0, 0.7],
        completeness_weighted=[0.5, 0.7, 0.3, 1.0, 0.3],
        n_clusters=[3, 2, 2, 1, 3],
        deff=[1.0, 1.5, 1.25, 1.0, 1.0],
        is_too_few=[False, False, True, True, True],
    )


def register(connection: sa.Connection, name: str, digests: dict[str, str], config: dict[str, int], moment: datetime) -> int:
    """Register a run with these stages, at a moment."""
    run = campaigns.register_campaign(connection, name, config)
    campaigns.set_created(connection, run, moment.isoformat())
    for word, digest in digests.items():
        stages.record_stage(connection, digest, word, 1, {"word": digest}, "0.1.0")
        campaigns.link_stage(connection, run, word, digest)
    return run


def make(connection: sa.Connection) -> None:
    """Make campaign demo in two runs, and campaign wide, which has another injection."""
    shared = {"survey": "s1", "parent": "p1", "manifest": "m1", "cache": "c1"}
    own = {"injection": "i1", "summary": "f1"}
    register(connection, "demo", {"validation_manifest": "v1"}, {"seed": 1}, EARLY)
    register(connection, "demo", shared | own | {"validation_manifest": "v2"}, {"seed": 2}, LATE)
    register(connection, "wide", shared | {"injection": "i2", "summary": "f2"}, {"seed": 2}, LATE)
    check = Finding("manifest", "colours", False, "error", "nan", "finite", "Colours are finite.")
    validation.store_findings(connection, "v1", [check])
    validation.store_findings(connection, "v2", [replace(check, is_ok=True, observed="finite")])
    survey.store_bricks(connection, rows_of(BRICKS, 1, brickname="n1"), stage_digest="s1")
    parent.store_parents(connection, rows_of(PARENTS, 3, is_guard=[False, False, True], region_split="train"), stage_digest="p1")
    planned = [manifest.PlannedRow("debug", split, size, 1, int(split == "train")) for split in ("train", "test") for size in (64, 96)]
    manifest.store_plan(connection, planned, stage_digest="m1")
    manifest.store_tasks(connection, tasks(), stage_digest="m1")
    planes = rows_of(
        PLANES, 2, brickname=["n1", "n2"], plane="image-r", status=["ok", "missing"], reason=[None, "HTTP 404"], sha256=["ab", None],
        key=["k", None], n_bytes=[9, None],
    )  # fmt: skip
    cache.store_planes(connection, planes, stage_digest="c1")
    for digest, snr in (("i1", [10.0, 12.0, None, None, 7.0, None]), ("i2", [10.0, 12.0, None, None, 9.0, None])):
        injection.store_results(connection, results(snr), stage_digest=digest)
        blocks.plan_blocks(connection, digest, [blocks.BlockPlan(0, 2, 4, 1), blocks.BlockPlan(1, 1, 2, 1)])
    for block, error in ((0, None), (1, "plane refused")):
        assert blocks.take_lease(connection, "i1", block, f"owner-{block}", seconds=60.0, host="node1")
        if error is None:
            blocks.finish_block(connection, "i1", block, owner=f"owner-{block}")
        else:
            blocks.release_lease(connection, "i1", block, f"owner-{block}", error=error)
    summary.store_cells(connection, cells(), stage_digest="f1")


@pytest.fixture(scope="module")
def ask(shared_url):
    """Ask a question by its number: rows as tuples, numbers of any kind as they compare."""
    with begin(shared_url) as connection:
        make(connection)

    def rows(number: int) -> list[dict[str, Any]]:
        with read(shared_url) as connection:
            return [dict(row) for row in connection.execute(sa.text(questions()[number])).mappings()]

    return rows


def values(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in rows]


def test_there_are_twenty_questions_and_each_has_its_answer_here():
    assert sorted(questions()) == list(range(1, 21))
    asked = {int(number) for number in re.findall(r"\bask\((\d+)\)", Path(__file__).read_text())}
    assert asked | set(ANSWERS) == set(questions())


ANSWERS: dict[int, list[tuple[Any, ...]]] = {
    1: [
        ("cache", "planned", 0, 0, None, None),
        ("injection", "planned", 1, 2, 4, 6),
        ("manifest", "planned", 0, 0, None, None),
        ("parent", "planned", 0, 0, None, None),
        ("summary", "planned", 0, 0, None, None),
        ("survey", "planned", 0, 0, None, None),
        ("validation_manifest", "planned", 0, 0, None, None),
    ],
    3: [
        ("debug", "test", 96, "IMAGE_MISSING_R", 1, "The r image plane is absent or could not be verified."),
        ("debug", "test", 96, "OFF_IMAGE", 1, SENTENCE),
    ],
    4: [("n2", "image-r", "missing", "HTTP 404")],
    5: [("injection", 1, 1, "node1", None, "plane refused")],
    10: [("h0", 2, 4)],
    11: [("grid", 96, "proxy_reference", 9, 8, 1, 4, 0.5, 0.2, 0.8)],
    12: [(0.6, 0.25, 0.1, 0.6, 0.3, 2, 1.25, True), (1.0, 0.75, 0.4, 0.9, 0.7, 2, 1.5, False)],
    13: [(96, "proxy_reference", 1.3, 1.4, 6, 2, 1.0 / 3.0, 0.1, 0.7)],
    14: [("debug", 64, 2, 1, 0.5), ("debug", 96, 1, 1, 1.0)],
    15: [(0.6, 64, 1, 3.5, 10.0, 10.0), (0.6, 96, 1, 3.5, 12.0, 12.0), (1.0, 64, 1, 3.5, 7.0, 7.0)],
    16: [("n1", 7, 4, 1)],
    17: [("train", 3, 2, 2)],
    18: [("injection", "i1", "i2", '{"word":"i1"}', '{"word":"i2"}'), ("summary", "f1", "f2", '{"word":"f1"}', '{"word":"f2"}')],
    19: [("b4", 0, 0, 7.0, 9.0)],
}
"""Rows of the answers that are short."""


@pytest.mark.parametrize("number", ANSWERS)
def test_the_answer_is_the_one_known_by_construction(ask, number):
    found = [tuple(float(v) if type(v).__name__ == "Decimal" else v for v in row) for row in values(ask(number))]
    assert found == ANSWERS[number]


def test_tasks_that_no_cell_counts_are_missed_and_a_whole_campaign_misses_none(ask, done_place):
    found = [(row["region_split"], row["stamp_size"], row["n_processed"], row["n_summarised_injections"]) for row in ask(2)]
    assert sorted(found) == [("test", 64, 1, None), ("test", 96, 1, None), ("train", 64, 2, None), ("train", 96, 2, None)]
    assert done_place.rows(questions()[2].replace("'demo'", "'tiny'")) == []


def test_every_stage_tells_its_parameters_and_its_code(ask):
    found = ask(6)
    assert [row["stage"] for row in found] == ["cache", "injection", "manifest", "parent", "summary", "survey", "validation_manifest"]
    assert all(json.loads(row["config"]) == {"word": row["stage_digest"]} and row["code_version"] == "0.1.0" for row in found)


def test_a_task_is_found_whole_by_the_beginning_of_its_id(ask):
    (row,) = ask(7)
    assert (row["task_id"], row["stamp_size"], row["metrics_ok"], row["arc_snr"], row["injection_digest"]) == (
        "0a1b2c3d",
        64,
        True,
        10.0,
        "i1",
    )
    assert row["flux_frac_good_r"] is not None


def test_seeds_and_drawn_variables_come_with_the_parameters_of_the_manifest(ask):
    (row,) = ask(8)
    expected = tasks().slice(0, 1).to_pylist()[0]
    assert {name: value for name, value in row.items() if name != "manifest_parameters"} == {
        name: expected[name] for name in row if name != "manifest_parameters"
    }
    assert (row["task_seed"], json.loads(row["manifest_parameters"])) == (5, {"word": "m1"})


def test_the_other_views_are_those_of_the_same_injection(ask):
    assert [(row["task_id"], row["stamp_size"], row["arc_snr"]) for row in ask(9)] == [("0a1b2c3d", 64, 10.0), ("b1", 96, 12.0)]


def test_checks_that_failed_are_told_of_every_run_and_not_of_the_latest_alone(ask):
    (row,) = ask(20)
    assert (row["check_name"], row["observed"], row["severity"], bool(row["is_ok"])) == ("colours", "nan", "error", False)
    assert str(row["created_at"])[:10] == "2026-01-01"
