"""Laws of hard times: a full disk, a store that is busy or slow, a state without a connection left, clocks that disagree.

Each is an error that says what is wrong, or only costs time; when it is over, the next run leaves what an undisturbed one leaves.
"""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from subprocess import PIPE, STDOUT, Popen

import pytest
import sqlalchemy as sa
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ObjectStoreError
from halo_core.stages.cache import planes_needed
from halo_core.store import schema
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockSurvey, mock_bricks
from luigi_tasks import BuildParent, InjectAll
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import FetchSettings, forget_connections
from luigi_tasks.objects import FolderObjects, Objects, sha256_of
from luigi_tasks.plane_budget import plane_mark
from tests.crash.content import content_of, held_leases
from tests.fixtures.campaigns import Place, new_place
from tests.fixtures.commands import TIMEOUT_S, environment, lay_out, luigi_words, run_command
from tests.fixtures.databases import new_database, url_text
from tests.fixtures.http_archive import archive_of
from tests.fixtures.proxy import Fault, Proxy
from tests.fixtures.services import Postgres
from tests.fixtures.storage import S3Server, new_s3_place

TASK_FAILED, SCHEDULING_ERROR = 30, 35
NO_SPACE = ("No space left on device", "database or disk is full")

AN_HOUR_AHEAD = """
import datetime, time
true_time = time.time
time.time = lambda: true_time() + 3600.0

class Ahead(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

datetime.datetime = Ahead
"""
"""What Python runs first where it is on the path: the clock of another host. (libfaketime breaks Python's own waiting.)"""


def can_mount() -> bool:
    """Tell whether this process may mount file systems."""
    return os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def resize(tmp_path: Path) -> Iterator[Callable[[str], None]]:
    """Give what sets the size of a disk of its own that is mounted as the place's data folder."""
    disk = tmp_path / "halo_data"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "halo-test", str(disk)], check=True)
    try:
        yield lambda size: subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True) and None
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


@pytest.mark.skipif(not can_mount(), reason="mounting a small disk needs root's rights")
@pytest.mark.parametrize("size", ["900k", "1700k", "2500k"], ids=["in_the_survey", "in_the_blocks", "at_the_end"])
def test_a_full_disk_stops_the_run_says_so_and_leaves_nothing_wrong(
    done_place: Place, tmp_path: Path, resize: Callable[[str], None], size: str
) -> None:
    place = new_place(tmp_path)
    lay_out(place)
    resize(size)
    done = run_command(place.folder, luigi_words("RunCampaign", "--workers", "2"))
    assert done.returncode != 0
    assert any(words in done.stdout for words in NO_SPACE), done.stdout[-3000:]
    resize("64m")
    assert place.run(workers=2) == LuigiStatusCode.SUCCESS
    assert same(place.state_url, place.objects, done_place)


@pytest.mark.skipif(not can_mount(), reason="mounting a small disk needs root's rights")
def test_a_disk_that_is_full_while_planes_come_from_a_server_is_a_clear_stop_and_no_loss(
    tiny_survey: tuple[MockSurvey, Path], tmp_path: Path, resize: Callable[[str], None]
) -> None:
    wanted = planes_needed([brick.brickname for brick in mock_bricks(tiny_survey[0])[:2]], "grz")
    objects = FolderObjects(tmp_path / "halo_data/objects")
    forget_connections()
    with archive_of(tiny_survey[1]) as archive:
        settings = FetchSettings(connections=2, local_copies=str(tmp_path / "copies"))
        source = PlaneSource(HttpFiles(archive.url, settings), "dr10-x", objects)
        resize("300k")
        with pytest.raises(ObjectStoreError, match=r"No space left on device; free some space"):
            source.fetch_all(wanted, block=0)
        whole = [key for key in objects.list_sizes("cache/dr10-x/coadd") if objects.size(plane_mark(key))]
        assert 0 < len(whole) < len(wanted)
        resize("64m")
        rows = source.fetch_all(wanted, block=0)
        assert [row["status"] for row in rows] == ["ok"] * len(wanted)
        assert [row["attempts"] for row in rows].count(0) == len(whole)
        for row in rows:
            assert sha256_of(objects.path(row["key"])) == sha256_of(tiny_survey[1] / plane_key(row["brickname"], row["plane"]))
        asked = Counter(path for _, path, _, _ in archive.asked)
        assert [asked["/" + key.removeprefix("cache/dr10-x/")] for key in whole] == [1] * len(whole)
    forget_connections()


def test_a_store_that_is_busy_and_slow_all_the_time_only_costs_time(
    s3_server: S3Server, s3_proxy: Proxy, tmp_path: Path, done_place: Place
) -> None:
    busy, slow = count(1), count(1)
    s3_proxy.faults = [
        Fault(lambda *_: next(busy) % 23 == 0, refuse=503),
        Fault(lambda *_: next(slow) % 37 == 0, wait_s=0.3),
    ]
    place = new_s3_place(tmp_path, s3_server)
    hindered = replace(place, server=s3_server.settings(tmp_path / "cache", endpoint_url=s3_proxy.url, max_attempts=6))
    assert hindered.run() == LuigiStatusCode.SUCCESS
    assert len(s3_proxy.asked) > 300
    assert same(place.state_url, place.objects, done_place)


@pytest.fixture
def own_postgres(team_folder: Path) -> Iterator[Postgres]:
    """A Postgres of the test's own, where a user may have two connections at a time."""
    postgres = Postgres(team_folder, environment(None))
    try:
        postgres.start()
        postgres.execute("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
        postgres.execute("ALTER DATABASE halo OWNER TO few")
        yield postgres
    finally:
        if postgres.service is not None:
            postgres.service.stop()


def test_a_state_without_a_connection_left_is_an_error_that_says_so_and_few_are_enough(
    done_place: Place, place: Place, own_postgres: Postgres
) -> None:
    url = own_postgres.url("halo", user="few")
    schema.upgrade(url)
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    with engine.connect(), engine.connect():
        assert "too many connections" in str(place.error(InjectAll, state_url=url))
    for _ in range(5):
        if place.run(workers=4, state_url=url) in (LuigiStatusCode.SUCCESS, LuigiStatusCode.SUCCESS_WITH_RETRY):
            break
    assert same(url, place.objects, done_place)


def test_a_worker_whose_clock_is_an_hour_ahead_takes_no_block_that_another_has(
    done_place: Place, place_before_pixels: Place, postgres_server: sa.URL
) -> None:
    place = place_before_pixels
    with new_database(postgres_server, None) as database:
        url = url_text(database)
        schema.upgrade(url)
        lay_out(place)
        (place.folder / "sitecustomize.py").write_text(AN_HOUR_AHEAD)
        skewed = {"PYTHONPATH": str(place.folder)}
        assert 3500 < clock(skewed) - clock({}) < 3700
        words = luigi_words("RunCampaign", "--state-url", url, "--workers", "2")
        workers = [Popen(words, cwd=place.folder, env=environment() | own, stdout=PIPE, stderr=STDOUT, text=True) for own in ({}, skewed)]
        said = [worker.communicate(timeout=TIMEOUT_S)[0] for worker in workers]
        assert [worker.returncode for worker in workers] == [0, 0], "\n=====\n".join(said)
        with sa.create_engine(url, poolclass=sa.pool.NullPool).connect() as connection:
            attempts = connection.execute(sa.text("SELECT attempts FROM blocks WHERE host IS NOT NULL")).scalars().all()
        assert list(attempts) == [1, 1, 1]
        assert same(url, place.objects, done_place)


def test_what_stopped_a_stage_is_forgotten_once_it_is_done(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = "SELECT s.status FROM stages s JOIN validation_findings f ON f.stage_digest = s.stage_digest WHERE f.check_name = 'stopped'"
    with monkeypatch.context() as patch:
        patch.setattr(BuildParent, "build", _broken)
        assert "out of reach" in str(place.error(BuildParent))
    assert place.rows(stopped) == [{"status": "failed"}]
    assert place.run(BuildParent) == LuigiStatusCode.SUCCESS
    assert place.rows(stopped) == []


def _broken(*_: object) -> None:
    """Be a store that is gone."""
    raise ObjectStoreError("out of reach")


def clock(own: dict[str, str]) -> float:
    """Return what a process with these variables takes for the time."""
    words = [sys.executable, "-c", "from datetime import datetime; print(datetime.now().timestamp())"]
    return float(subprocess.run(words, env=environment() | own, stdout=PIPE, check=True).stdout)


def same(state_url: str, objects: Objects, done_place: Place) -> bool:
    """Assert that a folder's campaign left the keys, and the rows without the folder's name, of the undisturbed one; return True."""
    found, calm = content_of(objects, state_url), content_of(done_place.objects, done_place.state_url)
    assert found.objects.keys() == calm.objects.keys()
    for table in ("blocks", "injection_tasks", "injection_results", "completeness_cells", "validation_findings", "parents", "stages"):
        assert found.rows[table] == calm.rows[table], table
    bulk = [key for key in calm.objects if key.startswith("injection/") and key.endswith(".parquet")]
    assert {key: found.objects[key] for key in bulk} == {key: calm.objects[key] for key in bulk}
    assert held_leases(state_url) == []
    return True
