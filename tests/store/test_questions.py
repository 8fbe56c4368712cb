"""Laws of campaigns, stages, blocks and findings: asking twice changes nothing, contradictions are refused."""

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.records import Finding
from halo_core.store import blocks, campaigns, stages, validation
from halo_core.store.sessions import begin, read

PLANS = [blocks.BlockPlan(0, 10, 20, 2), blocks.BlockPlan(1, 5, 10, 1), blocks.BlockPlan(7, 1, 2, 1)]


@pytest.fixture
def connection(migrated_url):
    with begin(migrated_url) as opened:
        stages.record_stage(opened, "a1b2", "injection", 1, {"x": 0.1}, "0.1.0")
        yield opened


def take(connection: sa.Connection, block: int, *, host: str = "node1", seconds: float = 60.0) -> bool:
    """Take the lease of a block as process 7 of a machine."""
    return blocks.take_lease(connection, "a1b2", block, f"{host}/7", seconds=seconds, host=host)


def test_a_run_is_new_only_when_its_configuration_is(connection):
    first = campaigns.register_campaign(connection, "field", {"a": 1, "b": 2})
    assert campaigns.register_campaign(connection, "field", {"b": 2, "a": 1}) == first
    second = campaigns.register_campaign(connection, "field", {"a": 2})
    assert second > first
    assert campaigns.register_campaign(connection, "field", {"a": 1, "b": 2}) > second
    assert campaigns.campaign_names(connection) == ["field"]


def test_the_latest_campaign_is_the_last_registered(connection):
    assert campaigns.latest_campaign(connection) is None
    ids = [campaigns.register_campaign(connection, name, {"n": 1}) for name in ("zeta", "alpha")]
    assert campaigns.latest_campaign(connection).name == "alpha"
    run = campaigns.latest_campaign(connection, "zeta")
    assert (run.campaign_id, run.config) == (ids[0], '{"n":1}')
    assert abs((run.created_at - datetime.now(UTC)).total_seconds()) < 60
    assert campaigns.latest_campaign(connection, "beta") is None


def test_a_later_link_replaces_the_earlier(connection):
    run = campaigns.register_campaign(connection, "field", {})
    stages.record_stage(connection, "ffff", "injection", 2, {}, "0.1.0")
    for digest in ("a1b2", "ffff", "ffff"):
        campaigns.link_stage(connection, run, "injection", digest)
    assert campaigns.campaign_digests(connection, "field") == {"injection": "ffff"}


def test_an_unknown_campaign_is_refused_with_the_known_names(connection):
    campaigns.register_campaign(connection, "field", {})
    for ask in (campaigns.campaign_digests, campaigns.progress):
        with pytest.raises(StoreError, match="'fields'; known: field"):
            ask(connection, "fields")


def test_a_stage_goes_from_planned_to_done_and_stays(connection):
    assert not stages.stage_is_done(connection, "a1b2")
    assert not stages.stage_is_done(connection, "unknown")
    stages.finish_stage(connection, "a1b2", {"rows": 3})
    stages.record_stage(connection, "a1b2", "injection", 1, {"x": 0.2}, "0.2.0")
    found = stages.stage(connection, "a1b2")
    assert (found.status, found.counts, found.config, found.code_version) == ("done", '{"rows":3}', '{"x":0.1}', "0.1.0")
    assert found.finished_at.tzinfo is not None


def test_a_failed_stage_is_planned_again(connection):
    stages.fail_stage(connection, "a1b2")
    assert stages.stage(connection, "a1b2").status == "failed"
    stages.record_stage(connection, "a1b2", "injection", 1, {}, "0.2.0")
    found = stages.stage(connection, "a1b2")
    assert (found.status, found.finished_at, found.code_version) == ("planned", None, "0.2.0")


def test_one_digest_names_one_stage(connection):
    for word, version in (("manifest", 1), ("injection", 2)):
        with pytest.raises(StoreError, match="a1b2 is recorded as injection of science version 1"):
            stages.record_stage(connection, "a1b2", word, version, {}, "0.1.0")


def test_unrecorded_stages_and_unplanned_blocks_are_refused(connection):
    with pytest.raises(StoreError, match="stage 0000 is not recorded"):
        stages.finish_stage(connection, "0000", {})
    with pytest.raises(StoreError, match="block 3 of stage a1b2 was never planned"):
        take(connection, 3)
    with pytest.raises(StoreError, match="block 3 of stage a1b2 was never planned"):
        blocks.finish_block(connection, "a1b2", 3)


def test_a_plan_is_recorded_once_and_cannot_change(connection):
    blocks.plan_blocks(connection, "a1b2", PLANS)
    blocks.finish_block(connection, "a1b2", 1)
    blocks.plan_blocks(connection, "a1b2", reversed(PLANS))
    assert blocks.planned_blocks(connection, "a1b2") == PLANS
    assert blocks.finished_blocks(connection, "a1b2") == {1}
    assert [blocks.is_finished(connection, "a1b2", number) for number in (0, 1, 7)] == [False, True, False]
    for other in (PLANS[:2], [*PLANS, blocks.BlockPlan(8, 1, 2, 1)], [blocks.BlockPlan(0, 10, 21, 2), *PLANS[1:]]):
        with pytest.raises(StoreError, match="another plan"):
            blocks.plan_blocks(connection, "a1b2", other)


def test_progress_counts_finished_blocks_and_the_databases_clock(connection):
    assert blocks.block_progress(connection, "a1b2") == (0, 0, 0, 0, None, 0, 0)
    blocks.plan_blocks(connection, "a1b2", PLANS)
    assert blocks.block_progress(connection, "a1b2") == (0, 3, 0, 32, None, 0, 4)
    past = {"sqlite": "datetime('now', '-90 seconds')", "postgresql": "now() - interval '90 seconds'"}[connection.dialect.name]
    for number in (0, 1):
        assert take(connection, number)
    connection.execute(sa.text(f"UPDATE blocks SET started = {past} WHERE block = 0"))
    blocks.finish_block(connection, "a1b2", 0)
    progress = blocks.block_progress(connection, "a1b2")
    assert progress[:4] == (1, 3, 20, 32)
    assert progress[5:] == (2, 4)
    assert progress.elapsed_s == pytest.approx(90.0, abs=3.0)


def test_attempts_are_counted_and_errors_kept_until_the_next(connection):
    blocks.plan_blocks(connection, "a1b2", PLANS)
    for number in (0, 0, 1):
        assert take(connection, number)
        assert blocks.release_lease(connection, "a1b2", number, "node1/7", error="plane refused")
    assert blocks.failed_blocks(connection, "a1b2") == {0: "plane refused", 1: "plane refused"}
    assert take(connection, 0, host="node2")
    blocks.finish_block(connection, "a1b2", 0, owner="node2/7")
    assert blocks.failed_blocks(connection, "a1b2") == {1: "plane refused"}
    row = connection.execute(sa.text("SELECT attempts, host FROM blocks WHERE block = 0")).one()
    assert tuple(row) == (3, "node2")


def test_findings_return_as_they_were_and_replace_the_earlier(connection):
    passed = Finding("manifest", "task ids unique", True, "error", "0", "0", "No id stands twice — “θ”.")
    failed = Finding("manifest", "colours", False, "warning", "nan", "", "")
    validation.store_findings(connection, "c1", [failed])
    validation.store_findings(connection, "c1", [passed, failed])
    validation.store_findings(connection, "d1", [])
    assert validation.findings(connection, "c1") == [passed, failed]
    assert validation.findings(connection, "d1") == []


def test_a_check_stands_once(migrated_url):
    finding = Finding("manifest", "colours", True, "warning", "", "", "")
    with pytest.raises(StoreError, match="refused"), begin(migrated_url) as connection:
        validation.store_findings(connection, "c1", [finding, finding])
    with read(migrated_url) as connection:
        assert validation.findings(connection, "c1") == []
