"""Laws of objects on S3 under faults: a server that refuses, is gone, slow or wrong is asked again or an error, never "not there"."""

import hashlib
import logging
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks.objects import open_objects
from luigi_tasks.s3 import PART_BYTES, S3Objects
from luigi_tasks.s3_client import S3Settings
from luigi_tasks.targets import BLOCK_MARK, CommitTarget, block_prefix, committed_marks
from tests.fixtures.proxy import Answer, Fault, Proxy, on
from tests.fixtures.storage import SECRET_KEY, S3Server, name_server

SMALL = b"arcs" * 1000
LARGE = os.urandom(1 << 20) * 20


@pytest.fixture
def direct(s3_server: S3Server, s3_root: str, tmp_path: Path) -> S3Objects:
    """The store, reached without the proxy."""
    return S3Objects(s3_root, s3_server.settings(tmp_path / "cache"))


@pytest.fixture
def through(s3_server: S3Server, s3_root: str, s3_proxy: Proxy, tmp_path: Path) -> S3Objects:
    """The same store through the proxy, with copies of its own."""
    return S3Objects(s3_root, s3_server.settings(tmp_path / "other_cache", endpoint_url=s3_proxy.url, timeout_s=2.0))


def cut_off(answer: Answer) -> None:
    """Let an answer end in the middle."""
    answer.n_sent = len(answer.body) // 2


def flip(answer: Answer) -> None:
    """Change one bit of an answer."""
    answer.body = answer.body[:-1] + bytes([answer.body[-1] ^ 1])
    answer.headers = {name: value for name, value in answer.headers.items() if "checksum" not in name.lower()}


CALLS = {
    "size": lambda objects: objects.size("a/b"),
    "holds": lambda objects: objects.holds("a"),
    "list": lambda objects: objects.list_sizes("a"),
    "tags": lambda objects: objects.list_tags("a"),
    "read": lambda objects: objects.read("a/b"),
    "range": lambda objects: objects.read_range("a/b", 0, 2),
    "path": lambda objects: objects.path("a/b"),
    "put": lambda objects: objects.put("a/b", SMALL),
    "put_large": lambda objects: objects.put("a/b", LARGE),
    "put_new": lambda objects: objects.put_new("a/b", SMALL),
    "delete": lambda objects: objects.delete("a/b"),
    "committed": lambda objects: CommitTarget(objects, "a", BLOCK_MARK).committed(),
    "exists": lambda objects: CommitTarget(objects, "a", BLOCK_MARK).exists(),
}


@pytest.mark.parametrize("call", sorted(CALLS))
def test_wrong_credentials_are_an_error_that_names_them_and_not_their_value(
    direct: S3Objects, monkeypatch: pytest.MonkeyPatch, s3_server: S3Server, tmp_path: Path, call: str
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-geheim")
    objects = S3Objects(str(direct.root), s3_server.settings(tmp_path / "cache", timeout_s=7.0))
    with pytest.raises(ObjectStoreError, match=r"403\); check that boto3's credentials") as caught:
        CALLS[call](objects)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("call", sorted(CALLS))
def test_a_server_that_is_gone_is_an_error_and_never_an_object_that_is_not_there(s3_root: str, tmp_path: Path, call: str) -> None:
    settings = S3Settings(endpoint_url="http://127.0.0.1:9", region="us-east-1", local_cache=str(tmp_path), max_attempts=2)
    with pytest.raises(ObjectStoreError, match=r"at http://127\.0\.0\.1:9: Could not connect.*check that the server runs"):
        CALLS[call](S3Objects(s3_root, settings))


@pytest.mark.parametrize("call", ["size", "holds", "list", "read", "path", "committed", "exists"])
def test_a_bucket_that_is_not_there_is_an_error_and_not_an_empty_store(
    s3_server: S3Server, s3_root: str, tmp_path: Path, call: str
) -> None:
    with pytest.raises(ObjectStoreError, match=r"NoSuchBucket \(HTTP 404\); make the bucket"):
        CALLS[call](S3Objects("s3://no-such-bucket/objects", s3_server.settings(tmp_path)))


def test_an_object_that_may_not_be_looked_at_is_an_error_also_where_the_bucket_is_known(through: S3Objects, s3_proxy: Proxy) -> None:
    assert through.size("a/b") is None
    s3_proxy.faults = [Fault(on("HEAD"), refuse=403)]
    with pytest.raises(ObjectStoreError, match=r"cannot look at object .*a/b .*403"):
        through.size("a/b")


def test_credentials_that_boto3_does_not_find_are_an_error_that_says_where_it_looks(
    s3_server: S3Server, s3_root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ObjectStoreError, match="Unable to locate credentials; check that boto3's credentials"):
        S3Objects(s3_root, s3_server.settings(tmp_path / "cache", timeout_s=8.0)).size("a/b")


@pytest.mark.parametrize("call", sorted(set(CALLS) - {"committed", "exists"}))
def test_a_server_that_is_busy_now_and_then_is_asked_again(direct: S3Objects, through: S3Objects, s3_proxy: Proxy, call: str) -> None:
    direct.put("a/b", SMALL)
    assert through.is_exclusive()
    s3_proxy.faults = [Fault(on(method), refuse=503, times=1) for method in ("GET", "HEAD", "PUT", "POST", "DELETE")]
    CALLS[call](through)
    assert any(fault.times == 0 for fault in s3_proxy.faults)


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_that_stays_busy_is_an_error_after_the_last_attempt(through: S3Objects, s3_proxy: Proxy, status: int) -> None:
    s3_proxy.faults = [Fault(on("PUT"), refuse=status)]
    with pytest.raises(ObjectStoreError, match=rf"cannot write object .*a/b at .*HTTP {status}\)"):
        through.put("a/b", SMALL)
    assert s3_proxy.counts() == {"PUT": 3}


def test_a_slow_answer_is_asked_for_again_and_an_error_where_every_one_is_slow(
    direct: S3Objects, through: S3Objects, s3_proxy: Proxy
) -> None:
    direct.put("a/b", SMALL)
    s3_proxy.faults = [Fault(on("GET"), wait_s=3.0, times=1)]
    assert through.read("a/b") == SMALL
    s3_proxy.faults = [Fault(on("GET"), wait_s=3.0)]
    start = time.monotonic()
    with pytest.raises(ObjectStoreError, match=r"Read timeout.*check that the server runs"):
        through.read("a/b")
    assert time.monotonic() - start < 30.0


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_a_download_that_breaks_off_is_made_again_and_never_taken_as_whole(
    direct: S3Objects, through: S3Objects, s3_proxy: Proxy, tmp_path: Path, data: bytes
) -> None:
    direct.put("a/b", data)
    for read in (through.read, lambda key: through.path(key).read_bytes()):
        s3_proxy.faults = [Fault(on("GET"), change=cut_off, times=1)]
        assert read("a/b") == data
    direct.put("a/b", data + b"other")
    s3_proxy.faults = [Fault(on("GET"), change=cut_off)]
    for call in (through.read, through.path, lambda key: through.copy_out(key, tmp_path / "copy")):
        with pytest.raises(ObjectStoreError, match="cannot read object"):
            call("a/b")
    assert [file for file in (tmp_path / "other_cache").rglob("*.part") if file.is_file()] == []


@pytest.mark.parametrize("data", [SMALL, LARGE], ids=["small", "large"])
def test_bytes_that_changed_on_the_way_are_an_error(direct: S3Objects, through: S3Objects, s3_proxy: Proxy, data: bytes) -> None:
    direct.put("a/b", data)
    s3_proxy.faults = [Fault(on("GET"), change=flip)]
    for call in (through.read, through.path):
        with pytest.raises(ObjectStoreError, match=r"a/b.*(sha256 differs|checksum)"):
            call("a/b")


def test_an_object_is_uploaded_in_parts_where_it_is_large(through: S3Objects, s3_proxy: Proxy) -> None:
    record = through.put("a/b", LARGE)
    parts = -(-len(LARGE) // PART_BYTES)
    assert s3_proxy.counts() == {"POST": 2, "PUT": parts, "HEAD": 1}
    assert record.n_bytes == len(LARGE)


def test_a_local_copy_is_read_without_asking_for_the_bytes_again(through: S3Objects, s3_proxy: Proxy) -> None:
    temporary = through.temporary("a/b")
    temporary.write_bytes(SMALL)
    through.put_file("a/b", temporary)
    assert through.path("a/b").read_bytes() == SMALL
    assert s3_proxy.counts()["GET"] == 0
    through.put("a/b", SMALL[::-1])
    assert through.path("a/b").read_bytes() == SMALL[::-1]
    assert through.path("a/b").read_bytes() == SMALL[::-1]
    assert s3_proxy.counts()["GET"] == 1


def test_a_server_that_ignores_if_none_match_is_found_out_and_then_asked_whether_the_object_is_there(
    through: S3Objects, s3_proxy: Proxy
) -> None:

    def overwrite(answer: Answer) -> None:
        if answer.status == 412:
            answer.status, answer.body = 200, b""
            answer.headers["ETag"] = f'"{hashlib.md5(b"halo").hexdigest()}"'

    s3_proxy.faults = [Fault(on("PUT", "/probe/"), change=overwrite)]
    assert not through.is_exclusive()
    assert [through.put_new("a/b", data) for data in (b"first", b"second")] == [True, False]
    assert through.read("a/b") == b"first"
    assert set(through.list_sizes("")) == {"a/b"}


def test_a_server_that_refuses_if_none_match_does_without(through: S3Objects, s3_proxy: Proxy) -> None:
    s3_proxy.faults = [Fault(on("PUT", "/probe/"), refuse=501)]
    assert not through.is_exclusive()
    assert [through.put_new("a/b", data) for data in (b"first", b"second")] == [True, False]


def test_the_probe_is_made_once_per_process_and_root(through: S3Objects, s3_proxy: Proxy) -> None:
    for number in range(3):
        assert through.put_new(f"a/{number}", b"x")
    assert s3_proxy.counts() == {"PUT": 2 + 3, "DELETE": 1}


def test_a_mark_whose_first_answer_was_lost_is_the_mark(through: S3Objects, s3_proxy: Proxy) -> None:
    assert through.is_exclusive()
    record = through.put("a/arcs", b"arc")
    target = CommitTarget(through, "a", BLOCK_MARK)

    s3_proxy.faults = [Fault(on("PUT", BLOCK_MARK), change=lose, times=1)]
    assert target.commit({"counts": {}}, {"a/arcs": record}) == target.committed()
    assert s3_proxy.counts()["PUT"] == 2 + 1 + 2


def lose(answer: Answer) -> None:
    """Lose the answer to a request that the server has met."""
    answer.status, answer.body = 503, b""


def test_a_probe_whose_first_answer_was_lost_still_finds_out_that_the_server_is_exclusive(through: S3Objects, s3_proxy: Proxy) -> None:
    s3_proxy.faults = [Fault(on("PUT", "/probe/"), change=lose, times=1)]
    assert through.is_exclusive()
    assert through.list_sizes("") == {}


def test_deleting_what_is_not_there_is_no_error_on_a_server_that_says_so(through: S3Objects, s3_proxy: Proxy) -> None:
    s3_proxy.faults = [Fault(on("DELETE"), refuse=404)]
    through.delete("a/b")
    with pytest.raises(ObjectStoreError, match="make the bucket"):
        S3Objects("s3://no-such-bucket/objects", through._settings).delete("a/b")


def test_a_download_that_is_whole_and_too_short_is_an_error_and_not_asked_for_without_end(
    direct: S3Objects, through: S3Objects, s3_proxy: Proxy
) -> None:
    direct.put("a/b", SMALL)

    def shorten(answer: Answer) -> None:
        answer.body = answer.body[: len(answer.body) // 2]
        answer.headers = {name: value for name, value in answer.headers.items() if "checksum" not in name.lower()}

    s3_proxy.faults = [Fault(on("GET"), change=shorten)]
    with pytest.raises(ObjectStoreError, match=rf"size {len(SMALL) // 2}, not {len(SMALL)} bytes"):
        through.path("a/b")


def test_many_blocks_are_proven_whole_by_one_listing_and_their_marks(direct: S3Objects, through: S3Objects, s3_proxy: Proxy) -> None:
    for block in range(40):
        prefix = block_prefix("injection", "d", block)
        records = {f"{prefix}/{name}": direct.put(f"{prefix}/{name}", b"x") for name in ("hosts", "arcs")}
        if block != 7:
            CommitTarget(direct, prefix, BLOCK_MARK).commit({"counts": {"block": block}}, records)
    direct.delete(f"{block_prefix('injection', 'd', 9)}/arcs")
    marks = committed_marks(through, "injection", "d", range(40))
    assert {block: mark["counts"]["block"] for block, mark in marks.items()} == {b: b for b in range(40) if b not in (7, 9)}
    assert s3_proxy.counts() == {"LIST": 1, "GET": 39}


def _work(root: str, number: int) -> tuple[int, bytes]:
    """Write and read in a forked process, through the store its parent used before."""
    objects = open_objects(root)
    objects.put(f"fork/{number}", LARGE[:100_000] + bytes([number]))
    return os.getpid(), objects.read(f"fork/{number}")[-1:] + objects.path("fork/first").read_bytes()


def test_forked_workers_share_a_store_and_no_connection(s3_root: str) -> None:
    open_objects(s3_root).put("fork/first", b"parent")
    with multiprocessing.get_context("fork").Pool(4) as pool:
        found = pool.starmap(_work, [(s3_root, number) for number in range(16)], chunksize=1)
    assert os.getpid() not in {pid for pid, _ in found}
    assert [content for _, content in found] == [bytes([number]) + b"parent" for number in range(16)]
    assert open_objects(s3_root).read("fork/first") == b"parent"


def test_loggers_of_boto3_are_quiet_and_no_secret_is_logged(
    direct: S3Objects, through: S3Objects, s3_proxy: Proxy, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    s3_proxy.faults = [Fault(on("HEAD"), refuse=503, times=1)]
    direct.put("a/b", LARGE)
    assert through.path("a/b").read_bytes() == LARGE
    assert [record.name for record in caplog.records if record.name.startswith(("boto", "s3transfer", "urllib3"))] == []
    assert SECRET_KEY not in caplog.text


@pytest.mark.parametrize("root", [f"s3://key:{SECRET_KEY}@bucket/a", f"s3://{SECRET_KEY}@bucket"])
def test_a_root_with_credentials_is_refused_and_not_repeated(root: str) -> None:
    with pytest.raises(ConfigurationError, match="without credentials") as caught:
        open_objects(root)
    assert SECRET_KEY not in str(caught.value)


def test_an_endpoint_with_a_password_is_refused_and_not_repeated(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match=r"endpoint_url.* holds a user or password") as caught:
        S3Objects(s3_root, S3Settings(endpoint_url=f"http://key:{SECRET_KEY}@127.0.0.1:1")).size("a")
    assert SECRET_KEY not in str(caught.value)
    name_server(monkeypatch, f"http://key:{SECRET_KEY}@127.0.0.1:1")
    with pytest.raises(ConfigurationError, match=r"AWS_ENDPOINT_URL.* holds a user or password") as caught:
        S3Objects(s3_root, S3Settings()).size("a")
    assert SECRET_KEY not in str(caught.value)
    with pytest.raises(ConfigurationError, match="endpoint_url 'nowhere'"):
        S3Objects(s3_root, S3Settings(endpoint_url="nowhere")).size("a")


def test_a_server_named_by_boto3_s_own_environment_is_used(s3_server: S3Server, s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name_server(monkeypatch, s3_server.url)
    assert open_objects(s3_root).put("a/b", b"x").n_bytes == 1


def test_a_full_local_disk_is_an_error_that_says_so(direct: S3Objects, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct.put("a/b", SMALL)

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ObjectStoreError, match=r"'a/b' below .*cache.*No space left.*free some space"):
        direct.path("a/b")
