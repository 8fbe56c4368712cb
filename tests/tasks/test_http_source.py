"""Laws of a survey on a server: a busy or broken one is asked again within limits, a refusal is an error, what arrives is the file."""

import hashlib
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from halo_core.errors import ConfigurationError, ObjectStoreError
from halo_core.survey import layout
from luigi_tasks import http_files
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import AbsentError, FetchSettings, HttpServer, forget_connections
from luigi_tasks.places import open_survey, survey_place
from tests.fixtures.http_archive import Archive, Fault, archive_of

DATA = bytes(range(256)) * 4000
KEY = "coadd/028/file.fits.fz"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    """An archive that holds one file."""
    (tmp_path / "archive/coadd/028").mkdir(parents=True)
    (tmp_path / "archive" / KEY).write_bytes(DATA)
    forget_connections()
    http_files.forget_files()
    with archive_of(tmp_path / "archive") as found:
        yield found
    forget_connections()


def settings(tmp_path: Path, **changed: object) -> FetchSettings:
    """Return settings of a patient reader with short pauses."""
    values = {"backoff_s": 0.01, "timeout_s": 5.0, "local_copies": str(tmp_path / "copies")}
    return FetchSettings(**(values | changed))


@pytest.fixture
def files(archive: Archive, tmp_path: Path) -> HttpFiles:
    """The archive's files."""
    return HttpFiles(archive.url, settings(tmp_path))


def test_a_file_is_copied_in_one_request_and_connections_are_used_again(files: HttpFiles, archive: Archive, tmp_path: Path) -> None:
    for _ in range(3):
        files.copy_out(KEY, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == DATA
    assert archive.counts() == {"GET": 3}
    assert archive.n_connections == 1
    assert not (tmp_path / "copy.json").exists()


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500, times=2),
        Fault(status=503),
        Fault(status=429),
        Fault(n_sent=100_000, times=3),
        Fault(n_sent=0),
        Fault(n_sent=500_000, is_reset=True, times=2),
        Fault(wait_s=1.5),
    ],
    ids=["500", "503", "429", "truncated", "empty", "reset", "silent"],
)
def test_a_server_that_fails_now_and_then_is_asked_once_more_for_each_failure(archive: Archive, tmp_path: Path, fault: Fault) -> None:
    archive.faults.append(fault)
    n_faults = fault.times
    HttpFiles(archive.url, settings(tmp_path, timeout_s=0.7)).copy_out(KEY, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == DATA
    assert archive.counts() == {"GET": 1 + n_faults}


def test_a_transfer_that_breaks_off_is_taken_up_where_it_ended(files: HttpFiles, archive: Archive, tmp_path: Path) -> None:
    archive.faults.append(Fault(n_sent=400_000))
    assert files.resume(KEY, tmp_path / "part", tmp_path / "note") == len(DATA)
    assert [asked[2] for asked in archive.asked] == [None, "bytes=400000-"]


@pytest.mark.parametrize("lacking", ["has_ranges", "has_etags"])
def test_a_server_without_ranges_or_tags_sends_the_whole_file_again(
    files: HttpFiles, archive: Archive, tmp_path: Path, lacking: str
) -> None:
    setattr(archive, lacking, False)
    archive.faults.append(Fault(n_sent=400_000))
    assert files.resume(KEY, tmp_path / "part", tmp_path / "note") == len(DATA) + 400_000
    assert (tmp_path / "part").read_bytes() == DATA


def test_a_file_that_changed_meanwhile_is_never_sewn_to_its_old_half(files: HttpFiles, archive: Archive, tmp_path: Path) -> None:
    part, note = tmp_path / "part", tmp_path / "note"
    archive.faults += [Fault(n_sent=400_000), Fault(status=403)]
    with pytest.raises(ObjectStoreError, match="403"):
        files.resume(KEY, part, note)
    assert part.stat().st_size == 400_000
    (archive.folder / KEY).write_bytes(DATA[::-1])
    files.resume(KEY, part, note)
    assert part.read_bytes() == DATA[::-1]


def test_a_part_that_is_longer_than_the_file_is_thrown_away(files: HttpFiles, archive: Archive, tmp_path: Path) -> None:
    part, note = tmp_path / "part", tmp_path / "note"
    archive.faults += [Fault(n_sent=400_000), Fault(status=403), Fault(status=416)]
    with pytest.raises(ObjectStoreError, match="403"):
        files.resume(KEY, part, note)
    files.resume(KEY, part, note)
    assert part.read_bytes() == DATA


def test_a_killed_process_leaves_a_part_that_the_next_takes_up(archive: Archive, tmp_path: Path) -> None:
    archive.faults.append(Fault(n_sent=None, drip_s=0.0001))
    copies = str(tmp_path / "copies")
    code = (
        "from pathlib import Path; from luigi_tasks.http_files import HttpFiles; from luigi_tasks.http_source import FetchSettings;"
        f"HttpFiles({archive.url!r}, FetchSettings(local_copies={copies!r})).resume({KEY!r}, Path({str(tmp_path / 'part')!r}),"
        f" Path({str(tmp_path / 'note')!r}))"
    )
    process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code])
    while not (tmp_path / "part").exists() or (tmp_path / "part").stat().st_size == 0:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    n_here = (tmp_path / "part").stat().st_size
    assert 0 < n_here < len(DATA)
    assert HttpFiles(archive.url, settings(tmp_path)).resume(KEY, tmp_path / "part", tmp_path / "note") == len(DATA) - n_here
    assert (tmp_path / "part").read_bytes() == DATA


@pytest.mark.parametrize("as_date", [False, True])
def test_retry_after_is_honoured_by_every_file_of_the_server(files: HttpFiles, archive: Archive, as_date: bool) -> None:
    archive.faults.append(Fault(status=429, headers={"Retry-After": formatdate(time.time() + 2, usegmt=True) if as_date else "1"}))
    assert files.read(KEY) == DATA
    assert archive.asked[1][3] - archive.asked[0][3] >= (0.8 if as_date else 1.0)


def test_pauses_grow_vary_and_are_limited(archive: Archive, tmp_path: Path) -> None:
    server = HttpServer(archive.url, settings(tmp_path, backoff_s=1.0, longest_backoff_s=8.0))
    pauses = {key: [server._backoff_s(key, attempt) for attempt in range(1, 8)] for key in ("a", "b")}
    assert pauses["a"] != pauses["b"]
    for found in pauses.values():
        assert all(0.5 * limit <= pause <= limit for pause, limit in zip(found, [1, 2, 4, 8, 8, 8, 8], strict=True))


@pytest.mark.parametrize(
    ("fault", "changed", "match"),
    [
        (Fault(status=503, times=99), {"max_attempts": 3}, r"HTTP 503; given up at attempt 3 \(\[fetch\] max_attempts = 3"),
        (Fault(status=429, headers={"Retry-After": "500"}), {"total_s": 60.0}, r"HTTP 429; given up at attempt 1 \(\[fetch\] total_s = 60"),
        (Fault(drip_s=0.01, times=99), {"max_attempts": 2, "request_s": 0.3}, r"longer than \[fetch\] request_s = 0.3; given up"),
    ],
)
def test_limits_of_attempts_and_time_end_in_an_error_that_names_them(
    archive: Archive, tmp_path: Path, fault: Fault, changed: dict[str, object], match: str
) -> None:
    archive.faults.append(fault)
    with pytest.raises(ObjectStoreError, match=match):
        HttpFiles(archive.url, settings(tmp_path, **changed)).copy_out(KEY, tmp_path / "copy")


@pytest.mark.parametrize(("status", "kind", "match"), [(404, AbsentError, "no such file"), (410, AbsentError, "no such file"),
                                                       (403, ObjectStoreError, "no permission"), (401, ObjectStoreError, "no permission"),
                                                       (400, ObjectStoreError, "HTTP 400")])  # fmt: skip
def test_a_refusal_is_asked_once(files: HttpFiles, archive: Archive, status: int, kind: type[Exception], match: str) -> None:
    archive.faults.append(Fault(status=status, times=99))
    with pytest.raises(kind, match=match):
        files.read(KEY)
    assert archive.counts() == {"GET": 1}


def test_a_server_that_is_gone_is_an_error_after_the_last_attempt(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError, match=r"NewConnectionError.*given up at attempt 2"):
        HttpFiles("http://127.0.0.1:9", settings(tmp_path, max_attempts=2)).read(KEY)


def test_redirects_are_followed_on_the_same_scheme_alone(files: HttpFiles, archive: Archive) -> None:
    archive.faults.append(Fault(status=302, headers={"Location": f"/{KEY}"}))
    assert files.read(KEY) == DATA
    for location in ("https://127.0.0.1/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "http://example.org/x", "http://a:b@127.0.0.1/x"):
        archive.faults.append(Fault(status=302, headers={"Location": location}))
        with pytest.raises(ObjectStoreError, match=r"a redirect to|leads elsewhere"):
            files.read(KEY)
    archive.faults.append(Fault(status=302, headers={"Location": f"/{KEY}"}, times=99))
    with pytest.raises(ObjectStoreError, match="more than 5 redirects"):
        files.read(KEY)


def test_ranges_are_those_of_the_file_and_a_server_without_them_is_read_from_one_local_copy(files: HttpFiles, archive: Archive) -> None:
    assert files.size(KEY) == len(DATA)
    assert files.read_range(KEY, 1000, 3000) == DATA[1000:3000]
    assert archive.counts() == {"HEAD": 1, "GET": 1}
    archive.has_ranges = False
    for start in (0, 5000):
        assert files.read_range(KEY, start, start + 77) == DATA[start : start + 77]
    assert archive.counts() == {"HEAD": 1, "GET": 1 + 2 + 1}


def test_a_range_that_reaches_beyond_the_end_gives_what_there_is(files: HttpFiles, archive: Archive) -> None:
    assert files.read_range(KEY, len(DATA) - 10, len(DATA) + 5) == DATA[-10:]
    assert files.read_range(KEY, len(DATA), len(DATA) + 5) == b""
    archive.faults.append(Fault(n_sent=4))
    assert files.read_range(KEY, 10, 30) == DATA[10:30]


def test_a_file_that_changes_between_two_ranges_is_an_error(files: HttpFiles, archive: Archive) -> None:
    files.size(KEY)
    (archive.folder / KEY).write_bytes(DATA[::-1])
    with pytest.raises(ObjectStoreError, match="changed while it was read"):
        files.read_range(KEY, 0, 10)


@pytest.mark.parametrize("has_etags", [True, False])
def test_a_file_that_changes_before_it_is_copied_is_an_error_and_no_copy_of_the_old_one(
    files: HttpFiles, archive: Archive, has_etags: bool
) -> None:
    archive.has_etags = has_etags
    assert files.size(KEY) == len(DATA)
    (archive.folder / KEY).write_bytes(DATA[:1000])
    with pytest.raises(ObjectStoreError, match=r"file\.fits\.fz changed while it was read: .*n_bytes=1000.*; run again"):
        files.path(KEY)
    http_files.forget_files()
    assert files.path(KEY).read_bytes() == DATA[:1000]


def test_what_is_not_there_has_no_size_and_what_cannot_be_listed_says_what_is_needed(files: HttpFiles, archive: Archive) -> None:
    assert files.size("coadd/none") is None
    assert not files.holds("coadd")
    with pytest.raises(ObjectStoreError, match=rf"cannot be listed; its brick table {layout.BRICKS_KEY} must be there"):
        files.list_sizes("coadd")
    with pytest.raises(ConfigurationError, match=rf"there is no {layout.BRICKS_KEY}"):
        survey_place(archive.url, "dr10", open_survey("/tmp"))  # type: ignore[arg-type]
    (archive.folder / layout.BRICKS_KEY).write_bytes(b"table")
    assert files.holds("coadd")
    assert list(files.list_tags(layout.BRICKS_KEY)) == [layout.BRICKS_KEY]


def test_the_sweeps_of_a_server_are_those_of_its_list_of_checksums(files: HttpFiles, archive: Archive) -> None:
    assert files.list_tags(layout.SWEEP_FOLDER) == {}
    folder, digest = archive.folder / layout.SWEEP_FOLDER, hashlib.sha256(b"x").hexdigest()
    folder.mkdir(parents=True)
    (folder / layout.CHECKSUM_LISTS[layout.SWEEP_FOLDER]).write_text(f"{digest}  sweep-000m005-010p000.fits\n")
    assert files.list_tags(layout.SWEEP_FOLDER) == {f"{layout.SWEEP_FOLDER}/sweep-000m005-010p000.fits": f"sha256:{digest}"}


def test_a_full_disk_is_an_error_that_asks_for_space(files: HttpFiles, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this machine has no disk that is always full")
    (tmp_path / "part").symlink_to("/dev/full")
    with pytest.raises(ObjectStoreError, match="No space left on device; free some space"):
        files.resume(KEY, tmp_path / "part", tmp_path / "note")


@pytest.mark.parametrize(
    "root",
    [
        "http://a:b@127.0.0.1/x",
        "https://",
        "https://host/a/../b",
        "https://host/x?y=1",
        "https://host/x#y",
        "https://ho st/x",
        "HTTPS://host/x",
    ],
)
def test_a_root_is_a_plain_url_and_its_password_is_not_repeated(root: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as found:
        HttpFiles(root, settings(tmp_path))
    assert "a:b" not in str(found.value)


def test_another_machine_is_read_without_tls_only_where_that_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="plain_http"):
        HttpFiles("http://example.org/dr10", settings(tmp_path))
    assert HttpFiles("http://example.org/dr10/", settings(tmp_path, plain_http=True)).root == "http://example.org/dr10"
    assert HttpFiles("https://example.org/dr10", settings(tmp_path)).uri("a") == "https://example.org/dr10/a"


@pytest.mark.parametrize("key", ["../etc/passwd", "coadd//x", "/coadd", "coadd/a b", "coadd/%2e%2e/x"])
def test_no_key_leaves_the_root(files: HttpFiles, archive: Archive, key: str) -> None:
    with pytest.raises(ConfigurationError, match="object key"):
        files.read(key)
    assert not archive.asked


def test_a_forked_process_has_connections_of_its_own(files: HttpFiles, archive: Archive) -> None:
    files.read(KEY)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(0 if files.read(KEY) == DATA else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert files.read(KEY) == DATA
    assert archive.n_connections == 2


@pytest.mark.parametrize("name", ["connections", "max_attempts", "timeout_s", "request_s", "total_s", "backoff_s"])
def test_a_setting_that_cannot_be_worked_with_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"\[fetch\] {name} = -1"):
        HttpFiles("https://example.org/x", settings(tmp_path, **{name: -1}))
