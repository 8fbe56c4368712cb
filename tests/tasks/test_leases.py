"""Laws of leases between processes: a block is worked on once, a dead worker's block goes on, a late worker changes nothing."""

import logging
import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path

import luigi
import pytest
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

import luigi_tasks.block_rows
from halo_core.errors import ConfigurationError, LeaseLostError
from halo_core.store import blocks, stages
from halo_core.store.sessions import begin, read
from luigi_tasks import InjectAll, leases
from luigi_tasks.cli import main
from tests.fixtures.campaigns import Place
from tests.fixtures.freezing import freeze
from tests.store.tiny_campaign import RUN, load_block, plan

FORK = multiprocessing.get_context("fork")
PATIENCE_S = 60

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def planned(place_with_planes: Place) -> Place:
    """A place whose blocks are planned and none of them done."""
    next(iter(place_with_planes.task(InjectAll).run()))
    return place_with_planes


def block_task(place: Place, *, lease_seconds: float) -> luigi.Task:
    """Return the task of block 1."""
    task = place.task(InjectAll).block_task(1)
    luigi.configuration.get_config().set("state", "lease_seconds", str(lease_seconds))
    return task


def inject(place: Place, lease_seconds: float, gate: Path | None) -> None:
    """Run block 1; where there is a gate, say that the work is done and wait for it to open before the rows are loaded."""
    read_table = luigi_tasks.block_rows.read_table

    def wait_and_read(path: Path) -> object:
        gate.with_suffix(".reached").touch()
        wait_for(gate)
        return read_table(path)

    if gate is not None:
        luigi_tasks.block_rows.read_table = wait_and_read
    block_task(place, lease_seconds=lease_seconds).run()


@pytest.fixture(autouse=True)
def no_worker_stays() -> Iterator[None]:
    """Kill what a test that failed left behind, stopped processes too."""
    yield
    for process in multiprocessing.active_children():
        process.kill()
        process.join()


def started(place: Place, *, lease_seconds: float = 60.0, gate: Path | None = None) -> BaseProcess:
    """Start a worker; with a gate, return when it stands before it."""
    process = FORK.Process(target=inject, args=(place, lease_seconds, gate))
    process.start()
    if gate is not None:
        wait_for(gate.with_suffix(".reached"))
    return process


def wait_for(path: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < end, path
        time.sleep(0.01)


def row(place: Place) -> dict:
    return place.rows("SELECT * FROM blocks WHERE block = 1 AND n_tasks > 0 AND stage_digest = :d", d=place.task().digest_of("injection"))[
        0
    ]


def assert_done(place: Place, *, attempts: int) -> None:
    """Assert that block 1 is whole, was tried so often, and that nobody holds it."""
    found = row(place)
    assert (found["attempts"], found["error"], found["lease_owner"], found["lease_until"]) == (attempts, None, None, None)
    assert found["finished"] is not None
    n_rows = place.rows("SELECT COUNT(*) AS n, COUNT(DISTINCT task_id) AS m FROM injection_results WHERE block = 1")[0]
    assert n_rows == {"n": found["n_tasks"], "m": found["n_tasks"]}
    assert place.task(InjectAll).block_task(1).complete()


def test_of_two_workers_on_one_block_one_works_and_the_other_waits_and_does_nothing(planned: Place, tmp_path: Path) -> None:
    first = started(planned, gate=tmp_path / "gate")
    second = started(planned)
    time.sleep(0.5)
    assert second.is_alive()
    assert row(planned)["attempts"] == 1
    (tmp_path / "gate").touch()
    for worker in (first, second):
        worker.join(PATIENCE_S)
    assert [first.exitcode, second.exitcode] == [0, 0]
    assert_done(planned, attempts=1)


def test_status_tells_who_is_at_work(planned: Place, tmp_path: Path) -> None:
    first = started(planned, gate=tmp_path / "gate")
    result = CliRunner().invoke(main, ["status", "tiny", "--state-url", planned.state_url])
    assert f"At work: injection, block 1, on {socket.gethostname()}" in result.output
    (tmp_path / "gate").touch()
    first.join(PATIENCE_S)


def test_the_lease_of_a_killed_worker_of_this_machine_is_taken_over_at_once(planned: Place, tmp_path: Path) -> None:
    first = started(planned, lease_seconds=3600.0, gate=tmp_path / "gate")
    os.kill(first.pid, signal.SIGKILL)
    first.join(PATIENCE_S)
    second = started(planned, lease_seconds=3600.0)
    second.join(PATIENCE_S)
    assert second.exitcode == 0
    assert_done(planned, attempts=2)


def test_a_worker_that_slept_through_its_lease_loads_nothing_and_leaves_the_block_to_the_other(planned: Place, tmp_path: Path) -> None:
    first = started(planned, lease_seconds=0.6, gate=tmp_path / "gate")
    freeze(first.pid, planned)
    second = started(planned)
    second.join(PATIENCE_S)
    assert second.exitcode == 0
    assert_done(planned, attempts=2)
    finished = row(planned)["finished"]
    (tmp_path / "gate").touch()
    os.kill(first.pid, signal.SIGCONT)
    first.join(PATIENCE_S)
    assert first.exitcode == 0
    assert_done(planned, attempts=2)
    assert row(planned)["finished"] == finished


def test_a_worker_whose_block_was_taken_over_and_is_not_done_says_so_and_keeps_the_others_lease(planned: Place, tmp_path: Path) -> None:
    digest = planned.task().digest_of("injection")

    def steal_and_store(connection, *_args: object, **_words: object) -> int:
        connection.exec_driver_sql("UPDATE blocks SET lease_owner = 'elsewhere/9.9/x'")
        return 0

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(luigi_tasks.block_rows, "store_results", steal_and_store)
        with pytest.raises(LeaseLostError, match=f"block 1 of stage {digest}"):
            block_task(planned, lease_seconds=60.0).run()
    assert row(planned)["finished"] is None


def test_work_longer_than_the_lease_keeps_it(planned: Place, tmp_path: Path) -> None:
    first = started(planned, lease_seconds=0.9, gate=tmp_path / "gate")
    time.sleep(2.0)
    with read(planned.state_url) as connection:
        found = blocks.live_lease(connection, planned.task().digest_of("injection"), 1)
    assert found is not None
    assert f"/{first.pid}." in found.owner
    (tmp_path / "gate").touch()
    first.join(PATIENCE_S)
    assert_done(planned, attempts=1)


def test_an_error_gives_the_lease_back_and_stays_in_the_blocks_row(planned: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object, **_words: object) -> int:
        raise KeyboardInterrupt("stop")

    monkeypatch.setattr(luigi_tasks.block_rows, "store_results", fail)
    with pytest.raises(KeyboardInterrupt):
        block_task(planned, lease_seconds=60.0).run()
    found = row(planned)
    assert (found["error"], found["lease_owner"], found["finished"]) == ("KeyboardInterrupt: stop", None, None)


def test_a_state_that_does_not_answer_for_a_moment_does_not_end_the_lease(migrated_url: str, caplog: pytest.LogCaptureFixture) -> None:
    with begin(migrated_url) as connection:
        plan(connection, {"seed": 13})
    luigi.configuration.get_config().set("state", "lease_seconds", "0.9")
    with caplog.at_level(logging.WARNING), leases.leased(migrated_url, RUN, 0, is_done=lambda: False) as lease:
        assert lease is not None
        with begin(migrated_url) as connection:
            connection.exec_driver_sql("ALTER TABLE blocks RENAME COLUMN lease_owner TO away")
        time.sleep(0.5)
        with begin(migrated_url) as connection:
            connection.exec_driver_sql("ALTER TABLE blocks RENAME COLUMN away TO lease_owner")
        time.sleep(0.8)
        with begin(migrated_url) as connection:
            lease.finish(connection)
    assert "could not be renewed" in caplog.text
    assert "lost" not in caplog.text


@pytest.mark.parametrize("owner", ["elsewhere:boot:pid:[1]/{pid}.{start}/x", "{machine}/{pid}.{start}/x"])
def test_nothing_is_known_of_other_machines_and_a_live_process_lives(owner: str) -> None:
    machine, process = leases.process_name(os.getpid()).rsplit("/", 1)
    pid, start = process.split(".")
    assert not leases.has_ended(owner.format(machine=machine, pid=pid, start=start))


def test_a_process_with_a_number_that_is_used_again_has_ended() -> None:
    assert leases.has_ended(f"{leases.process_name(os.getpid())}1/x")


def test_a_lease_without_a_length_is_refused(migrated_url: str) -> None:
    luigi.configuration.get_config().set("state", "lease_seconds", "0")
    with pytest.raises(ConfigurationError, match="lease_seconds"), leases.leased(migrated_url, RUN, 0, is_done=lambda: False):
        pass


def _work_for(url: str, worker: int, end: float) -> None:
    """Lease, load and finish blocks over and over, reading progress in between, as a worker does."""
    luigi.configuration.get_config().set("state", "lease_seconds", "0.05")
    number = 0
    while time.time() < end:
        number += 1
        block = (worker + number) % 2
        with leases.leased(url, RUN, block, is_done=lambda: False) as lease:
            assert lease is not None
            time.sleep(0.03)
            try:
                with begin(url) as connection:
                    load_block(connection, block)
                    lease.finish(connection)
            except LeaseLostError:
                continue
        with read(url) as connection:
            blocks.block_progress(connection, RUN)
            stages.stage(connection, RUN)


def test_four_workers_with_short_leases_are_never_turned_away_by_a_locked_state(migrated_url: str) -> None:
    with begin(migrated_url) as connection:
        plan(connection, {"seed": 13})
    workers = [FORK.Process(target=_work_for, args=(migrated_url, number, time.time() + 5.0)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(PATIENCE_S)
    assert [worker.exitcode for worker in workers] == [0] * 4
    with read(migrated_url) as connection:
        attempts = connection.exec_driver_sql("SELECT SUM(attempts) FROM blocks").scalar_one()
        rows = connection.exec_driver_sql("SELECT COUNT(*), COUNT(DISTINCT task_id) FROM injection_results").one()
    assert attempts > 20
    assert tuple(rows) == (6, 6)


def test_a_campaign_with_four_workers_leaves_no_lease(place_with_planes: Place) -> None:
    assert place_with_planes.run(InjectAll, workers=4) == LuigiStatusCode.SUCCESS
    assert place_with_planes.rows("SELECT * FROM blocks WHERE lease_owner IS NOT NULL OR lease_until IS NOT NULL") == []
    assert set(place_with_planes.attempts("injection").values()) == {1}
