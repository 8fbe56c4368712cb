"""Laws of leases: one owner at a time, by the database's clock; who lost a lease changes nothing any more."""

import multiprocessing
import time

import pytest
import sqlalchemy as sa

from halo_core.errors import LeaseLostError
from halo_core.store import blocks, stages
from halo_core.store.sessions import begin, read

FORK = multiprocessing.get_context("fork")
D = "a1b2"

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def url(migrated_url):
    """A state with one stage of four planned blocks."""
    with begin(migrated_url) as connection:
        stages.record_stage(connection, D, "injection", 1, {}, "0.1.0")
        blocks.plan_blocks(connection, D, [blocks.BlockPlan(number, 1, 2, 1) for number in range(4)])
    return migrated_url


def take(url: str, owner: str, *, block: int = 0, seconds: float = 60.0) -> bool:
    """Take the lease of a block."""
    with begin(url) as connection:
        return blocks.take_lease(connection, D, block, owner, seconds=seconds, host="node")


def row(url: str, block: int = 0) -> dict:
    """Return a block's row."""
    with read(url) as connection:
        return dict(connection.execute(sa.text("SELECT * FROM blocks WHERE block = :block"), {"block": block}).mappings().one())


def test_a_live_lease_keeps_others_out_and_counts_no_attempt_of_theirs(url):
    assert take(url, "a")
    assert not take(url, "b")
    assert (row(url)["lease_owner"], row(url)["attempts"]) == ("a", 1)
    assert take(url, "b", block=1)


def test_a_lease_tells_its_owner_and_what_is_left_of_it(url):
    with begin(url) as connection:
        assert blocks.live_lease(connection, D, 0) is None
    assert take(url, "a", seconds=50.0)
    with read(url) as connection:
        found = blocks.live_lease(connection, D, 0)
        assert blocks.live_leases(connection, [D, "other"]) == {(D, 0): "a"}
        assert blocks.live_leases(connection, ["other"]) == {}
    assert found.owner == "a"
    assert found.left_s == pytest.approx(50.0, abs=5.0)


def test_an_expired_lease_is_taken_over_and_its_owner_cannot_finish_renew_or_fail_the_block(url):
    assert take(url, "a", seconds=0.2)
    time.sleep(0.4)
    with read(url) as connection:
        assert blocks.live_lease(connection, D, 0) is None
    assert take(url, "b")
    with begin(url) as connection:
        assert not blocks.renew_lease(connection, D, 0, "a", seconds=60.0)
        assert not blocks.release_lease(connection, D, 0, "a", error="late")
    with pytest.raises(LeaseLostError, match="lease_seconds longer"), begin(url) as connection:
        blocks.finish_block(connection, D, 0, owner="a")
    found = row(url)
    assert (found["lease_owner"], found["error"], found["finished"], found["attempts"]) == ("b", None, None, 2)


def test_a_renewed_lease_lives_on(url):
    assert take(url, "a", seconds=0.3)
    with begin(url) as connection:
        assert blocks.renew_lease(connection, D, 0, "a", seconds=60.0)
    time.sleep(0.4)
    assert not take(url, "b")


def test_an_expired_lease_that_nobody_took_is_renewed_and_finished(url):
    assert take(url, "a", seconds=0.1)
    time.sleep(0.2)
    with begin(url) as connection:
        assert blocks.renew_lease(connection, D, 0, "a", seconds=60.0)
        blocks.finish_block(connection, D, 0, owner="a")
    found = row(url)
    assert found["finished"] is not None
    assert found["lease_owner"] is found["lease_until"] is None


def test_the_end_of_a_lease_is_a_moment_of_the_databases_clock(url):
    assert take(url, "a", seconds=30.0)
    now = {"sqlite": "strftime('%Y-%m-%d %H:%M:%f', 'now')", "postgresql": "clock_timestamp()"}
    with read(url) as connection:
        clock = now[connection.dialect.name]
        assert connection.exec_driver_sql(f"SELECT COUNT(*) FROM blocks WHERE lease_until > {clock}").scalar_one() == 1
    with begin(url) as connection:
        connection.execute(sa.update(blocks.Block).values(lease_until=blocks._clock(connection, -1.0)))
    assert take(url, "b")


def _win(url: str, number: int, wins: multiprocessing.Queue) -> None:
    for block in range(4):
        if take(url, f"worker-{number}", block=block):
            wins.put((block, number))


def test_of_many_processes_that_want_a_block_at_once_one_gets_it(url):
    wins = FORK.Queue()
    workers = [FORK.Process(target=_win, args=(url, number, wins)) for number in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    found = [wins.get(timeout=10) for _ in range(4)]
    assert sorted(block for block, _ in found) == [0, 1, 2, 3]
    assert [row(url, block)["lease_owner"] for block, _ in found] == [f"worker-{number}" for _, number in found]
    assert wins.empty()
