"""Laws of commit: killing anything at any instant leaves nothing half visible, loses nothing and duplicates nothing."""

import contextlib
import json
import os
import signal
import subprocess
import time
from typing import Any

import luigi
import pytest
from luigi.execution_summary import LuigiStatusCode

import luigi_tasks.block_rows
from halo_core.errors import StoreError
from luigi_tasks import CacheCoadds, InjectAll
from luigi_tasks.objects import sha256_of
from luigi_tasks.targets import BLOCK_MARK, STAGE_MARK, CommitTarget
from tests.fixtures.campaigns import Place
from tests.fixtures.commands import environment, lay_out, luigi_words

N_TASKS = 52


def sha256_by_key(place: Place, prefix: str) -> dict[str, str]:
    """Return the sha256 of every object below a prefix."""
    return {key: sha256 for key, (_, sha256) in place.seen(prefix).items()}


def marks(place: Place, prefix: str = "") -> dict[str, Any]:
    """Return every commit mark below a prefix, by key."""
    keys = place.objects.list_sizes(prefix)
    return {key: json.loads(place.objects.read(key)) for key in keys if key.endswith((STAGE_MARK, BLOCK_MARK))}


def assert_the_books_are_whole(place: Place) -> None:
    """Assert that every task has exactly one result, and that no row stands twice."""
    assert place.rows("SELECT COUNT(*) AS n, COUNT(DISTINCT task_id) AS m FROM injection_results") == [{"n": N_TASKS, "m": N_TASKS}]
    assert place.rows("SELECT SUM(n_planned) AS n, SUM(n_processed) AS m FROM v_accounting") == [{"n": N_TASKS, "m": N_TASKS}]
    assert place.rows("SELECT brickname, plane FROM coadd_planes GROUP BY brickname, plane HAVING COUNT(*) > 1") == []


def kill_after_first_block(place: Place) -> None:
    """Start the injection as a command and kill it with all its workers when the first block is committed."""
    process = subprocess.Popen(
        luigi_words("InjectAll", "--workers", "2"),
        cwd=place.folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    digest = place.task().digest_of("injection")
    try:
        while process.poll() is None and not marks(place, f"injection/{digest}"):
            time.sleep(0.01)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.returncode == -signal.SIGKILL


def test_a_killed_run_shows_only_whole_objects_and_a_second_run_completes_it(done_place: Place, place_before_pixels: Place) -> None:
    place = place_before_pixels
    lay_out(place)
    kill_after_first_block(place)
    prefix = f"injection/{place.task().digest_of('injection')}/block="
    named = {key: record for mark in marks(place).values() for key, record in mark["objects"].items()}
    for key, record in named.items():
        assert sha256_of(place.objects.path(key)) == record["sha256"], key
    assert 1 <= len(marks(place, "injection")) < 3
    committed = {key: value for key, value in place.seen().items() if key in named and key.startswith(prefix)}
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert {key: place.seen()[key] for key in committed} == committed
    ours, theirs = sha256_by_key(place, "injection"), sha256_by_key(done_place, "injection")
    assert {key: ours[key] for key in ours if key.startswith(prefix)} == {key: theirs[key] for key in theirs if key.startswith(prefix)}
    assert_the_books_are_whole(place)


@pytest.mark.parametrize("step", ["commit", "store_results"])
def test_a_block_that_dies_before_its_commit_is_redone_and_after_it_only_its_rows_are_loaded(
    done_place: Place, place_with_planes: Place, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    place, is_committed = place_with_planes, step == "store_results"
    prefix = f"injection/{place.task().digest_of('injection')}/block=00001"
    with monkeypatch.context() as patch:
        _let_block_1_die_in(patch, step)
        assert "killed" in str(place.error(InjectAll))
    assert place.attempts("injection") == {0: 1, 1: 1, 2: 1}
    errors = place.rows("SELECT block, error FROM blocks WHERE error IS NOT NULL")
    assert errors == [{"block": 1, "error": "StoreError: killed"}]
    before = place.seen(prefix)
    assert (f"{prefix}/{BLOCK_MARK}" in before) == is_committed
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert (place.seen(prefix) == before) == is_committed
    assert sha256_by_key(place, prefix) == sha256_by_key(done_place, prefix)
    assert place.attempts("injection") == {0: 1, 1: 2, 2: 1}
    assert_the_books_are_whole(place)


def _let_block_1_die_in(patch: pytest.MonkeyPatch, step: str) -> None:
    """Make one step of the injection of block 1 raise."""
    commit, store_results = CommitTarget.commit, luigi_tasks.block_rows.store_results

    def commit_or_die(self: CommitTarget, *args: Any) -> Any:
        if self.prefix.startswith("injection/") and self.prefix.endswith("block=00001"):
            raise StoreError("killed")
        return commit(self, *args)

    def store_or_die(*args: Any, **words: Any) -> int:
        if words["block"] == 1:
            raise StoreError("killed")
        return store_results(*args, **words)

    if step == "commit":
        patch.setattr(CommitTarget, "commit", commit_or_die)
    else:
        patch.setattr(luigi_tasks.block_rows, "store_results", store_or_die)


def test_a_block_that_fails_once_is_tried_once_more_and_the_run_succeeds(place_with_planes: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place = place_with_planes
    original, failed = luigi_tasks.block_rows.store_results, []

    def fails_once(*args: Any, **words: Any) -> int:
        if not failed:
            failed.append(words["block"])
            raise StoreError("the first time")
        return original(*args, **words)

    monkeypatch.setattr(luigi_tasks.block_rows, "store_results", fails_once)
    task, config = place.task(InjectAll), luigi.configuration.get_config()
    config.set("scheduler", "retry_count", "2")
    config.set("scheduler", "retry_delay", "0")
    assert place.build(task) == LuigiStatusCode.SUCCESS_WITH_RETRY
    attempts = place.attempts("injection")
    assert attempts.pop(failed[0]) == 2
    assert set(attempts.values()) == {1}
    assert place.rows("SELECT * FROM blocks WHERE error IS NOT NULL") == []
    assert_the_books_are_whole(place)


def test_each_block_counts_as_one_reader_of_the_survey(place: Place) -> None:
    task = place.task(InjectAll)
    assert [kind.block_task(0).resources for kind in (task, task.clone(CacheCoadds))] == [{"survey_reads": 1}] * 2
