"""Laws of deletion: what another campaign uses stays to the row, what none uses goes to the row, and nothing is touched by looking."""

from collections.abc import Callable
from typing import Any

import luigi
import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ObjectStoreError, StoreError
from halo_core.store import blocks, campaigns, removal, stages, summary
from halo_core.store.models import Base
from halo_core.store.sessions import begin, read
from luigi_tasks import RenderReport, rebuild
from luigi_tasks.cli import main
from luigi_tasks.objects import FolderObjects
from tests.fixtures.campaigns import Place
from tests.store.tiny_campaign import CELL_TABLE, RUN, cell_rows, finish

OTHER_TABLE = "f2"


@pytest.fixture
def shared(migrated_url: str) -> str:
    """A state where campaign wide uses all that field uses, but has a summary of its own."""
    with begin(migrated_url) as connection:
        finish(connection)
        run = campaigns.register_campaign(connection, "wide", {"min_n": 7})
        for word, digest in campaigns.campaign_digests(connection, "field").items():
            if word != "summary":
                campaigns.link_stage(connection, run, word, digest)
        stages.record_stage(connection, OTHER_TABLE, "summary", 1, {}, "0.1.0")
        campaigns.link_stage(connection, run, "summary", OTHER_TABLE)
        summary.store_cells(connection, cell_rows(), stage_digest=OTHER_TABLE)
    return migrated_url


def contents(url: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row of every table."""
    with read(url) as connection:
        found = {name: connection.execute(sa.select(table)).all() for name, table in Base.metadata.tables.items()}
    return {name: sorted((tuple(row) for row in rows), key=repr) for name, rows in found.items()}


def delete(url: str, name: str) -> list[removal.DigestUse]:
    with begin(url) as connection:
        return removal.delete_campaign(connection, name)


def test_only_digests_that_no_other_campaign_uses_go(shared: str) -> None:
    before = contents(shared)
    own = delete(shared, "wide")
    assert [(use.stage, use.stage_digest, use.n_rows) for use in own] == [("summary", OTHER_TABLE, 2)]
    after = contents(shared)
    for name, rows in before.items():
        gone = {"completeness_cells": OTHER_TABLE, "stages": OTHER_TABLE}.get(name)
        kept = [row for row in rows if row[0] != gone]
        if name in ("campaigns", "campaign_stages"):
            kept = [row for row in rows if row[0] == 1]
        assert after[name] == kept, name


def test_the_last_user_of_a_digest_takes_it_along(shared: str) -> None:
    for name in ("wide", "field"):
        delete(shared, name)
    assert {name for name, rows in contents(shared).items() if rows} == {"flag_names", "comments"}


def test_looking_tells_who_uses_what_and_changes_nothing(shared: str) -> None:
    before = contents(shared)
    with read(shared) as connection:
        lines = removal.campaign_lines(connection)
        uses = removal.digests_of(connection, "field")
    assert lines == [("field", 1, 6, 1), ("wide", 1, 6, 1)]
    assert [use.stage for use in uses] == ["survey", "parent", "manifest", "cache", "injection", "summary"]
    assert {use.stage_digest: use.others for use in uses if not use.others} == {CELL_TABLE: ()}
    assert {use.stage: use.n_rows for use in uses} == {
        "survey": 1, "parent": 3, "manifest": 10, "cache": 2, "injection": 8, "summary": 2
    }  # fmt: skip
    assert contents(shared) == before


def test_a_campaign_that_is_at_work_is_left_alone_and_the_worker_named(migrated_url: str) -> None:
    with begin(migrated_url) as connection:
        finish(connection)
        assert blocks.take_lease(connection, RUN, 1, "node1/77", seconds=60.0, host="node1")
    before = contents(migrated_url)
    with pytest.raises(StoreError, match=f"'field' is at work: 1 blocks are held, block 1 of stage {RUN} by node1/77"):
        delete(migrated_url, "field")
    assert contents(migrated_url) == before


def test_a_name_that_nobody_has_is_refused_with_those_there_are(shared: str) -> None:
    for act in (removal.digests_of, removal.delete_campaign):
        with begin(shared) as connection, pytest.raises(StoreError, match="no campaign is called 'fields'; known: field, wide"):
            act(connection, "fields")


@pytest.fixture
def two(copied_place: Place) -> Place:
    """A place where beta shares everything with tiny but what its own threshold decides."""
    assert copied_place.run(campaign_name="beta", min_n="7") == LuigiStatusCode.SUCCESS
    return copied_place


@pytest.fixture
def halo(two: Place) -> Callable[..., Any]:
    """The command, in that place."""
    places = ["--state-url", two.state_url, "--objects-root", str(two.objects.root)]
    return lambda *words: CliRunner().invoke(main, [*words, *places])


def is_whole(place: Place) -> bool:
    """Tell whether every stage and check of campaign tiny is complete; the copy of the latest report is beta's."""
    return all(task.complete() for task in place.task().requires() if not isinstance(task, RenderReport))


def listed(place: Place) -> dict[str, list[str]]:
    """Return runs, digests and own digests of each campaign, as the command shows them."""
    result = CliRunner().invoke(main, ["campaign", "list", "--state-url", place.state_url])
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.output.splitlines()]
    return {words[0]: words[1:] for words in lines if len(words) == 4 and words[1].isdigit()}


def test_a_dry_run_says_what_goes_and_what_stays(two: Place, halo: Callable[..., Any]) -> None:
    assert listed(two) == {"beta": ["1", "11", "3"], "tiny": ["1", "11", "3"]}
    before, seen = contents(two.state_url), two.seen()
    result = halo("campaign", "delete", "beta", "--dry-run", "--objects")
    assert result.exit_code == 0
    lines = {line.split()[0]: line for line in result.output.splitlines()}
    assert lines["injection"].endswith("stays, used by tiny")
    assert lines["summary"].endswith("would go")
    assert contents(two.state_url) == before
    assert two.seen() == seen


def test_rows_without_their_objects_go_and_come_back_by_a_rerun(two: Place, halo: Callable[..., Any]) -> None:
    seen = two.seen()
    assert halo("campaign", "delete", "beta").exit_code == 0
    assert two.seen() == seen
    assert is_whole(two)
    assert listed(two) == {"tiny": ["1", "11", "11"]}
    assert {one.table for one in rebuild.verify(two.state_url, two.objects, "tiny")} == set()
    before = {key: sha256 for key, (_, sha256) in seen.items() if not key.endswith("_plan.json")}
    assert two.run(campaign_name="beta", min_n="7") == LuigiStatusCode.SUCCESS
    assert {key: sha256 for key, (_, sha256) in two.seen().items() if not key.endswith("_plan.json")} == before


def test_objects_of_other_campaigns_and_planes_stay_and_all_else_goes(two: Place, halo: Callable[..., Any]) -> None:
    seen = two.seen()
    summary_prefix = f"summary/{two.task(min_n='7').digest_of('summary')}"
    assert halo("campaign", "delete", "beta", "--objects").exit_code == 0
    gone = {key for key in seen if key not in two.seen()}
    assert {key.split("/")[0] for key in gone} == {"summary", "validation_summary", "validation_campaign", "campaigns"}
    assert all(key.startswith(summary_prefix) for key in gone if key.startswith("summary/"))
    assert is_whole(two)
    assert halo("campaign", "delete", "tiny", "--objects").exit_code == 0
    left = {key.split("/")[0] for key in two.seen()}
    assert left == {"mock_survey", "cache", "report"}
    assert not any("block=" in key for key in two.seen() if key.startswith("cache"))
    assert listed(two) == {}
    assert two.run() == LuigiStatusCode.SUCCESS


def test_a_deletion_that_is_interrupted_can_be_given_again(two: Place, halo: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = FolderObjects.delete, []

    def fail_later(self: FolderObjects, key: str) -> None:
        calls.append(key)
        if len(calls) == 3:
            raise ObjectStoreError("unplugged")
        original(self, key)

    with monkeypatch.context() as patch:
        patch.setattr(FolderObjects, "delete", fail_later)
        assert halo("campaign", "delete", "tiny", "--objects").exit_code == 1
    assert calls[0].endswith("_stage_config.json")
    assert not is_whole(two)
    assert two.rows("SELECT DISTINCT name FROM campaigns ORDER BY name") == [{"name": "beta"}, {"name": "tiny"}]
    assert halo("campaign", "delete", "tiny", "--objects").exit_code == 0
    assert two.rows("SELECT DISTINCT name FROM campaigns") == [{"name": "beta"}]
    assert luigi.build([two.task(campaign_name="beta", min_n="7")], local_scheduler=True, log_level="WARNING")
