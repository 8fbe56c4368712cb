"""Laws of local copies of objects: they stay below their size, and none goes that a process still needs."""

import multiprocessing
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

from luigi.execution_summary import LuigiStatusCode

from luigi_tasks import InjectAll
from luigi_tasks.local_cache import LocalCache, release_copies
from tests.fixtures.campaigns import Place
from tests.fixtures.storage import S3Server, new_s3_place

FORK = multiprocessing.get_context("fork")
N_BYTES = 400


def write(temporary: Path) -> None:
    """Be an object that is fetched."""
    temporary.write_bytes(b"x" * N_BYTES)


def test_local_copies_stay_below_their_size_once_nobody_needs_them(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, "s3://bucket", max_bytes=1000)

    def copy(number: int) -> Path:
        return cache.path(f"a/{number}", "tag", write)

    copies = [copy(number) for number in range(4)]
    assert [path.exists() for path in copies] == [True] * 4
    release_copies()
    assert [path.exists() for path in copies] == [False, False, True, True]
    assert copy(2) == copies[2]
    copies += [copy(number) for number in range(4, 6)]
    assert [path.exists() for path in copies[2:]] == [True, False, True, True]
    release_copies()
    assert [path.exists() for path in copies[2:]] == [False, False, True, True]


def hold_a_copy(folder: Path, is_held: Any, may_end: Any) -> None:
    """Ask for a copy in a process of its own."""
    cache = LocalCache(folder, "s3://bucket", max_bytes=100)
    cache.path("a/held", "tag", write)
    is_held.set()
    may_end.wait(60)
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_copy_stays_while_another_process_that_asked_for_it_lives(tmp_path: Path) -> None:
    is_held, may_end = FORK.Event(), FORK.Event()
    other = FORK.Process(target=hold_a_copy, args=(tmp_path, is_held, may_end))
    other.start()
    assert is_held.wait(60)
    cache = LocalCache(tmp_path, "s3://bucket", max_bytes=100)
    cache.prune()
    (held,) = tmp_path.rglob("*-held")
    may_end.set()
    other.join()
    cache.prune()
    assert not held.exists()
    assert [path.name for path in tmp_path.rglob("holders/*")] == []


def test_a_copy_that_is_being_written_stays(tmp_path: Path) -> None:
    cache = LocalCache(tmp_path, "s3://bucket", max_bytes=100)
    temporary = cache.temporary("a/b")
    write(temporary)
    cache.prune()
    assert temporary.exists()
    os.utime(temporary, (0, 0))
    cache.prune()
    assert not temporary.exists()


def test_blocks_on_s3_with_copies_of_a_tiny_size_find_the_same_and_leave_little(
    s3_server: S3Server, done_place: Place, tmp_path: Path
) -> None:
    place = new_s3_place(tmp_path, s3_server)
    place = replace(place, server=s3_server.settings(tmp_path / "copies", local_cache_gb=1e-5))
    assert place.run(InjectAll, workers=2) == LuigiStatusCode.SUCCESS
    query = "SELECT task_id, flags, metrics_ok, magnification, snr_matched_r, task_seed FROM v_task_full ORDER BY task_id"
    assert place.rows(query) == done_place.rows(query) != []
    planes = list((tmp_path / "copies").rglob("*.fits.fz"))
    n_bytes = sum(row["n"] for row in place.rows("SELECT sum(n_bytes) AS n FROM coadd_planes"))
    assert sum(path.stat().st_size for path in planes) <= 10_000 < n_bytes / 10
