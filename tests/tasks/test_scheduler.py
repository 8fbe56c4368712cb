"""Laws of the central scheduler: workers share a campaign, failures are tried again, and its page and history tell what was done."""

import signal
from typing import Any

import pytest
import sqlalchemy as sa
from luigi.execution_summary import LuigiStatusCode

import luigi_tasks.block_rows
from halo_core.errors import StoreError
from luigi_tasks import InjectAll
from luigi_tasks.report import REPORT_FILE
from luigi_tasks.targets import block_prefix
from tests.fixtures.campaigns import Place
from tests.fixtures.freezing import freeze
from tests.fixtures.schedulers import Scheduler, start_scheduler
from tests.fixtures.services import WAIT_S, wait_until

RUN_BY_ANOTHER_TOO = 10
"""Exit code of a worker that ends well while luigid believes that another, dead by now, is at work too."""


def history(url: str) -> dict[str, set[str]]:
    """Return the events of each task family that luigid wrote into its database."""
    query = "SELECT name, event_name FROM tasks JOIN task_events ON task_events.task_id = tasks.id"
    found: dict[str, set[str]] = {}
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect() as connection:
        for name, event in connection.execute(sa.text(query)):
            found.setdefault(name, set()).add(event)
    return found


def test_the_chain_succeeds_against_a_running_scheduler_that_tells_and_keeps_what_was_done(scheduler: Scheduler) -> None:
    place = scheduler.place
    assert place.build(place.task(), workers=2, **scheduler.options) == LuigiStatusCode.SUCCESS
    done = scheduler.tasks("DONE")
    names = [task["name"] for task in done]
    assert names.count("InjectBlock") == 3
    assert names.count("ValidateStage") == 4
    assert {"ReadSurvey", "BuildParent", "BuildManifest", "InjectAll", "SummariseCompleteness", "RenderReport", "RunCampaign"} <= set(names)
    assert scheduler.tasks("FAILED") == []
    blocks = [task for task in done if task["name"] == "InjectBlock"]
    assert all("state_url" not in task["params"] for task in blocks)
    assert any("tasks" in (task.get("status_message") or "") for task in blocks)
    digest = place.task().digest_of("injection")
    urls = {place.objects.path(block_prefix("injection", digest, block)).as_uri() for block in range(3)}
    assert {task["tracking_url"] for task in blocks} == urls
    (report,) = [task for task in done if task["name"] == "RenderReport"]
    assert report["tracking_url"].startswith("file:///")
    assert report["tracking_url"].endswith(REPORT_FILE)
    assert place.task().complete()
    assert {"PENDING", "RUNNING", "DONE"} <= history(scheduler.history_url)["InjectBlock"]
    with scheduler.worker("late") as late:
        assert late.wait(WAIT_S) == 0, scheduler.log("late")


def test_a_block_that_fails_is_tried_again_without_luigid_looking_by_itself(
    prompted_scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, failed = prompted_scheduler.place, []
    original = luigi_tasks.block_rows.store_results

    def fails_once(*args: Any, **words: Any) -> int:
        if not failed:
            failed.append(words["block"])
            raise StoreError("the first time")
        return original(*args, **words)

    monkeypatch.setattr(luigi_tasks.block_rows, "store_results", fails_once)
    assert place.build(place.task(InjectAll), **prompted_scheduler.options) == LuigiStatusCode.SUCCESS_WITH_RETRY
    assert place.attempts("injection")[failed[0]] == 2


def test_what_a_killed_worker_was_at_is_done_by_the_next_without_luigid_looking_by_itself(prompted_scheduler: Scheduler) -> None:
    place = prompted_scheduler.place
    with prompted_scheduler.worker("first", task="InjectAll") as first:
        wait_until(lambda: any(task["name"] == "InjectBlock" for task in prompted_scheduler.tasks("RUNNING")), "a block", pause_s=0.02)
        first.kill()
        first.wait()
    with prompted_scheduler.worker("second", task="InjectAll") as second:
        assert second.wait(WAIT_S) in (0, RUN_BY_ANOTHER_TOO), prompted_scheduler.log("second")
    assert place.task(InjectAll).complete()


@pytest.mark.parametrize("words", [(), ("--assistant",)], ids=["worker", "assistant"])
def test_two_worker_processes_share_the_blocks_of_a_campaign(scheduler: Scheduler, words: tuple[str, ...]) -> None:
    """The first is frozen while the second does its first block, so that both have some whatever the machine's speed."""
    place = scheduler.place
    with scheduler.worker("first", task="InjectAll") as first:
        wait_until(lambda: bool(place.rows("SELECT 1 FROM blocks WHERE finished IS NOT NULL")), "the first block", pause_s=0.02)
        freeze(first.pid, place)
        with scheduler.worker("second", *words, task="InjectAll") as second:
            wait_until(lambda: "injection, block" in scheduler.log("second"), "a block of the second worker")
            first.send_signal(signal.SIGCONT)
            wait_until(lambda: place.task(InjectAll).complete(), "the blocks")
            first.wait(WAIT_S)
            second.send_signal(signal.SIGUSR1)
            second.wait(WAIT_S)
    assert "injection, block" in scheduler.log("first")
    assert place.attempts("injection") == {0: 1, 1: 1, 2: 1}
    assert place.rows("SELECT COUNT(*) AS n, COUNT(DISTINCT task_id) AS m FROM injection_results") == [{"n": 52, "m": 52}]


def test_what_luigid_knew_outlives_its_stop_and_a_lost_memory_loses_no_work(place_with_planes: Place, history_url: str) -> None:
    place = place_with_planes
    for scheduler in start_scheduler(place, history_url):
        assert place.build(place.task(InjectAll), **scheduler.options) == LuigiStatusCode.SUCCESS
    attempts = place.attempts("injection")
    for scheduler in start_scheduler(place, history_url):
        assert "InjectAll" in [task["name"] for task in scheduler.tasks("DONE")]
    (place.folder / "halo_data/luigid.pickle").unlink()
    for scheduler in start_scheduler(place, history_url):
        assert scheduler.tasks("DONE") == []
        assert place.build(place.task(), **scheduler.options) == LuigiStatusCode.SUCCESS
    assert place.attempts("injection") == attempts
