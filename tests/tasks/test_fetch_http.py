"""Laws of fetching from a server: every plane is right or lost with its reason, asked for once, whoever asks and whatever is killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from halo_core.errors import ObjectStoreError
from halo_core.stages.cache import planes_needed
from halo_core.survey.layout import checksums_key, plane_key
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks
from luigi_tasks import http_files
from luigi_tasks.fetch import ABSENT, MAX_ATTEMPTS, PlaneSource
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import FetchSettings, forget_connections
from luigi_tasks.object_protocol import sha256_of
from luigi_tasks.objects import Objects, open_objects
from luigi_tasks.plane_locks import leased_object
from tests.fixtures.http_archive import Archive, Fault, archive_of
from tests.fixtures.services import wait_until

PLANE = "image-r"


@pytest.fixture
def brick(tiny_survey: tuple[MockSurvey, Path]) -> MockBrick:
    """A brick with all its files."""
    return mock_bricks(tiny_survey[0])[0]


@pytest.fixture
def archive(tiny_survey: tuple[MockSurvey, Path]) -> Iterator[Archive]:
    """The tiny survey on a server."""
    forget_connections()
    http_files.forget_files()
    with archive_of(tiny_survey[1]) as found:
        yield found
    forget_connections()


def source_of(archive: Archive, objects: Objects, tmp_path: Path, **changed: object) -> PlaneSource:
    """Return a source of short pauses."""
    values = {"backoff_s": 0.01, "timeout_s": 5.0, "local_copies": str(tmp_path / "copies")}
    return PlaneSource(HttpFiles(archive.url, FetchSettings(**(values | changed))), "dr10-x", objects)


@pytest.fixture
def source(archive: Archive, objects_root: str, tmp_path: Path) -> PlaneSource:
    """The server's planes and an empty cache, in a folder and on S3."""
    return source_of(archive, open_objects(f"{objects_root}/objects"), tmp_path)


@pytest.fixture
def local(archive: Archive, tmp_path: Path) -> PlaneSource:
    """The server's planes and an empty cache in a folder."""
    return source_of(archive, open_objects(str(tmp_path / "objects")), tmp_path)


def leftovers(folder: Path) -> list[str]:
    """Return the names of every hidden file below a folder."""
    return sorted(path.name for path in folder.rglob(".*") if path.is_file())


def test_a_plane_of_a_server_is_stored_as_one_of_a_folder_is(source: PlaneSource, archive: Archive, brick: MockBrick) -> None:
    row = source.fetch(brick.brickname, PLANE, block=3)
    key = plane_key(brick.brickname, PLANE)
    assert (row["status"], row["attempts"], row["block"], row["source_uri"]) == ("ok", 1, 3, f"{archive.url}/{key}")
    assert row["sha256"] == sha256_of(archive.folder / key)
    assert source.objects.read(row["key"]) == (archive.folder / key).read_bytes()
    assert archive.counts("coadd") == {"GET": 1}
    assert source.fetch(brick.brickname, PLANE, block=4) == row | {"block": 4, "attempts": 0}
    assert archive.counts("coadd") == {"GET": 1}
    assert set(source.objects.list_sizes("cache/dr10-x/coadd")) == {row["key"], f"{row['key']}.sha256"}


def test_a_block_s_planes_come_in_order_over_a_few_connections(
    local: PlaneSource, archive: Archive, tiny_survey: tuple[MockSurvey, Path]
) -> None:
    wanted = planes_needed([brick.brickname for brick in mock_bricks(tiny_survey[0])[:3]], "grz")
    archive.faults.append(Fault(wait_s=0.02, times=99))
    rows = local.fetch_all(wanted, block=0)
    assert [(row["brickname"], row["plane"]) for row in rows] == wanted
    assert archive.counts("coadd")["GET"] == len(wanted)
    assert 2 <= archive.most_at_once <= 4
    assert archive.n_connections <= 4
    assert leftovers(Path(local.objects.root)) == []


def test_what_a_server_lacks_is_missing_and_not_asked_for_again_for_some_time(
    local: PlaneSource, archive: Archive, tiny_survey: tuple[MockSurvey, Path], tmp_path: Path
) -> None:
    absent = mock_bricks(tiny_survey[0])[-1].brickname
    row = local.fetch(absent, PLANE, block=0)
    assert (row["status"], row["reason"], row["attempts"]) == ("missing", ABSENT, 1)
    again = source_of(archive, local.objects, tmp_path).fetch(absent, PLANE, block=1)
    assert again == row | {"block": 1, "attempts": 0}
    assert archive.counts() == {"GET": 1}
    assert source_of(archive, local.objects, tmp_path, absent_hours=0.0).fetch(absent, PLANE, block=2) == row | {"block": 2}
    assert archive.counts() == {"GET": 2}


def test_the_archive_s_list_of_a_brick_is_asked_for_once_and_its_sha256_must_be_met(
    tiny_survey: tuple[MockSurvey, Path], brick: MockBrick, tmp_path: Path
) -> None:
    key, other = plane_key(brick.brickname, PLANE), plane_key(brick.brickname, "image-g")
    for name in (key, other, checksums_key(brick.brickname)):
        (tmp_path / "archive" / name).parent.mkdir(parents=True, exist_ok=True)
    for name in (key, other):
        (tmp_path / "archive" / name).write_bytes((tiny_survey[1] / name).read_bytes())
    lines = [f"{sha256_of(tmp_path / 'archive' / key)} *{key}", f"{'0' * 64} *{other}"]
    (tmp_path / "archive" / checksums_key(brick.brickname)).write_text("\n".join(lines))
    with archive_of(tmp_path / "archive") as archive:
        source = source_of(archive, open_objects(str(tmp_path / "objects")), tmp_path)
        assert source.fetch(brick.brickname, PLANE, block=0)["status"] == "ok"
        row = source.fetch(brick.brickname, "image-g", block=0)
        assert (row["status"], row["attempts"]) == ("unverified", MAX_ATTEMPTS)
        assert row["reason"].startswith(
            f"{Path(other).name}: sha256 {sha256_of(tmp_path / 'archive' / other)}, the archive's list says 000"
        )
        assert archive.counts("sha256sum") == {"GET": 1}
    forget_connections()
    folder = PlaneSource(open_objects(str(tmp_path / "archive")), "dr10-y", open_objects(str(tmp_path / "objects")))
    assert [folder.fetch(brick.brickname, plane, block=0)["status"] for plane in (PLANE, "image-g")] == ["ok", "unverified"]


@pytest.mark.parametrize("times", [1, 2])
def test_a_file_of_other_content_is_fetched_again_and_then_lost_with_its_reason(
    source: PlaneSource, archive: Archive, brick: MockBrick, times: int
) -> None:
    archive.faults.append(Fault(PLANE, body=b"<html>please log in</html>", times=times))
    row = source.fetch(brick.brickname, PLANE, block=0)
    assert (row["status"], row["attempts"]) == (("ok", 2) if times == 1 else ("unverified", 2))
    assert times == 1 or row["reason"].startswith(Path(plane_key(brick.brickname, PLANE)).name)
    assert archive.counts(PLANE) == {"GET": 2}
    assert times == 1 or source.objects.list_sizes("cache/dr10-x/coadd") == {}


def test_a_refused_plane_is_an_error_and_no_loss(local: PlaneSource, archive: Archive, brick: MockBrick) -> None:
    archive.faults.append(Fault(PLANE, status=403))
    with pytest.raises(ObjectStoreError, match="no permission"):
        local.fetch_all([(brick.brickname, PLANE)], block=0)
    assert local.objects.list_sizes("") == {}


def test_several_that_ask_for_one_plane_at_once_download_it_once(
    source: PlaneSource, archive: Archive, brick: MockBrick, tmp_path: Path
) -> None:
    archive.faults.append(Fault(PLANE, wait_s=0.5))
    sources = [source_of(archive, source.objects, tmp_path) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda found: found.fetch(brick.brickname, PLANE, block=0), sources))
    assert sorted(row["attempts"] for row in rows) == [0, 0, 0, 1]
    assert {row["sha256"] for row in rows} == {sha256_of(archive.folder / plane_key(brick.brickname, PLANE))}
    assert archive.counts(PLANE) == {"GET": 1}
    assert [key for key in source.objects.list_sizes("") if key.endswith("lease")] == []


def test_a_killed_fetch_leaves_nothing_to_read_and_the_next_takes_it_up(
    local: PlaneSource, archive: Archive, brick: MockBrick, tmp_path: Path
) -> None:
    archive.faults.append(Fault(PLANE, drip_s=0.0005))
    code = (
        "from luigi_tasks.fetch import PlaneSource; from luigi_tasks.http_files import HttpFiles;"
        "from luigi_tasks.objects import open_objects;"
        f"PlaneSource(HttpFiles({archive.url!r}), 'dr10-x', open_objects({str(local.objects.root)!r}))"
        f".fetch({brick.brickname!r}, {PLANE!r}, block=0)"
    )
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code])
    while not any(path.stat().st_size for path in Path(local.objects.root).rglob(".*.part")):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert local.objects.list_sizes("") == {}
    row = local.fetch(brick.brickname, PLANE, block=0)
    assert (row["status"], row["sha256"]) == ("ok", sha256_of(archive.folder / plane_key(brick.brickname, PLANE)))
    assert [asked[2] is None for asked in archive.asked if PLANE in asked[1]] == [True, False]
    assert leftovers(Path(local.objects.root)) == []


def test_a_lease_whose_owner_is_gone_is_taken_over_and_one_that_is_renewed_is_not(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    objects.put("a.lease", b"gone 0\n")
    start = time.monotonic()
    taken: list[float] = []

    def hold(seconds: float) -> None:
        with leased_object(objects, "a.lease", lease_s=0.3):
            taken.append(time.monotonic() - start)
            time.sleep(seconds)

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(hold, 1.0)
        wait_until(lambda: bool(taken), "the lease of the one who is gone", pause_s=0.01)
        second = pool.submit(hold, 0.0)
        first.result()
        second.result()
    assert taken[0] >= 0.3
    assert taken[1] >= taken[0] + 1.0
    assert objects.list_sizes("") == {}
