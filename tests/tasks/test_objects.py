"""Laws of the object store, in a folder and on S3: whole objects or none, known by their sha256, and errors that say what to do."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks.objects import FolderObjects, ObjectRecord, Objects, check_key, open_objects, sha256_of

LARGE = os.urandom(1 << 20) * 17
"""More than two parts of a multipart upload."""

BAD_KEYS = [
    "../a",
    "a/../b",
    "a/..",
    "/a",
    "a//b",
    "a/",
    "",
    "a/./b",
    "a\nb",
    "a\x00",
    "a b",
    "a\\b",
    "ä",
    "a?b",
    "%2e%2e/a",
    "~/a",
    "C:/a",
]


@pytest.fixture
def objects(objects_root: str) -> Objects:
    """An empty object store."""
    return open_objects(objects_root)


@pytest.fixture
def folder(tmp_path: Path) -> FolderObjects:
    """An empty object store in a folder."""
    return FolderObjects(tmp_path / "objects")


@pytest.mark.parametrize("data", [b"", b"arcs", LARGE], ids=["empty", "small", "large"])
def test_a_put_object_reads_back_and_is_recorded_by_sha256_and_size(objects: Objects, data: bytes) -> None:
    assert objects.put("a/b", data) == ObjectRecord(hashlib.sha256(data).hexdigest(), len(data))
    assert objects.read("a/b") == data
    assert objects.size("a/b") == len(data)
    assert objects.path("a/b").read_bytes() == data
    assert open_objects(objects.uri("a")).read("b") == data


def test_an_object_that_is_put_again_is_read_anew_everywhere(objects: Objects) -> None:
    for data in (b"first", b"other", b"longer than before"):
        objects.put("a/b", data)
        assert objects.read("a/b") == objects.path("a/b").read_bytes() == (objects.local_folder("a") / "b").read_bytes() == data


def test_an_object_that_is_not_there_has_no_size_and_deleting_it_is_no_error(objects: Objects) -> None:
    assert objects.size("a/b") is None
    objects.delete("a/b")
    assert objects.list_sizes("") == objects.list_tags("") == {}
    assert not objects.holds("a")


def test_a_listing_gives_every_object_below_a_prefix_and_nothing_else(objects: Objects) -> None:
    for key in ("a/one", "a/b/two", "ab/three"):
        objects.put(key, key.encode())
    assert objects.list_sizes("a") == {"a/one": 5, "a/b/two": 7}
    assert set(objects.list_sizes("")) == set(objects.list_tags("")) == {"a/one", "a/b/two", "ab/three"}
    assert set(objects.list_tags("a")) == {"a/one", "a/b/two"}
    assert objects.holds("a")
    assert not objects.holds("b")


def test_a_listing_of_more_objects_than_a_server_tells_at_once_is_whole(objects: Objects) -> None:
    keys = {f"many/{number:04d}" for number in range(1100)}
    with ThreadPoolExecutor(8) as writers:
        list(writers.map(lambda key: objects.put(key, b"x"), keys))
    assert objects.list_sizes("many") == dict.fromkeys(keys, 1)


def test_a_listing_while_another_removes_objects_is_no_error(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path)

    def put_and_delete() -> None:
        for _ in range(300):
            objects.put("a/b", b"one")
            objects.delete("a/b")

    with ThreadPoolExecutor(1) as other:
        written = other.submit(put_and_delete)
        while not written.done():
            assert len(objects.list_tags("a/b")) <= 1
            assert len(objects.list_sizes("")) <= 1
        written.result()


def test_nothing_is_below_an_object_and_a_root_that_is_a_file_is_an_error(objects: Objects, tmp_path: Path) -> None:
    objects.put("a/b", b"one")
    assert objects.list_sizes("a/b") == {}
    (tmp_path / "file").write_bytes(b"no folder")
    with pytest.raises(ObjectStoreError, match="Not a directory"):
        FolderObjects(tmp_path / "file").list_sizes("")


def test_the_tag_of_an_object_changes_when_the_object_does(objects: Objects) -> None:
    objects.put("a/b", b"one")
    tags = objects.list_tags("a/b")
    assert set(tags) == {"a/b"}
    assert objects.list_tags("a/b") == tags
    objects.put("a/b", b"two")
    assert objects.list_tags("a/b") != tags
    assert objects.list_tags("a/c") == {}


def test_a_folder_that_is_a_link_is_listed_like_any_other(folder: FolderObjects, tmp_path: Path) -> None:
    folder.put("a/one", b"x")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/two").write_bytes(b"xx")
    (folder.root / "a/b").symlink_to(tmp_path / "elsewhere")
    assert folder.list_sizes("a") == {"a/one": 1, "a/b/two": 2}


def test_a_local_folder_holds_what_is_below_the_prefix_under_its_name(objects: Objects) -> None:
    for key in ("a/one", "a/b/two", "ab/three"):
        objects.put(key, key.encode())
    folder = objects.local_folder("a")
    assert {file.relative_to(folder).as_posix(): file.read_text() for file in folder.rglob("*") if file.is_file()} == {
        "one": "a/one",
        "b/two": "a/b/two",
    }


def test_a_local_file_ends_as_its_key_does_for_readers_that_go_by_the_name(objects: Objects) -> None:
    objects.put("a/table.fits.gz", b"x")
    assert objects.path("a/table.fits.gz").name.endswith("table.fits.gz")


def test_a_range_is_that_piece(objects: Objects) -> None:
    objects.put("a/b", LARGE)
    assert objects.read_range("a/b", 9_000_000, 9_000_100) == LARGE[9_000_000:9_000_100]


def test_a_range_beyond_the_end_gives_what_there_is(objects: Objects) -> None:
    objects.put("a/b", b"0123456789")
    assert [objects.read_range("a/b", *places) for places in ((8, 20), (10, 20), (30, 40), (5, 5))] == [b"89", b"", b"", b""]


def test_what_is_being_written_is_not_visible(objects: Objects) -> None:
    temporary = objects.temporary("a/b")
    temporary.write_bytes(b"half")
    assert objects.list_sizes("") == {}
    assert objects.size("a/b") is None
    assert objects.put_file("a/b", temporary).n_bytes == 4
    assert objects.list_sizes("") == {"a/b": 4}
    assert not temporary.exists()


def test_two_writers_of_one_key_have_temporary_names_of_their_own(objects: Objects) -> None:
    assert objects.temporary("a/b") != objects.temporary("a/b")


def test_a_copy_in_or_out_is_the_source_to_the_byte(objects: Objects, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(LARGE)
    assert objects.copy_in("a/b", tmp_path / "source") == objects.put("a/c", LARGE)
    objects.copy_out("a/b", tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == LARGE
    with pytest.raises(ObjectStoreError, match="a/d"):
        objects.copy_in("a/d", tmp_path / "nowhere")
    assert set(objects.list_sizes("")) == {"a/b", "a/c"}


def test_the_first_object_of_a_key_stays_where_only_a_new_one_may_be_put(objects: Objects) -> None:
    assert objects.put_new("a/b", b"first")
    assert not objects.put_new("a/b", b"second")
    assert objects.read("a/b") == b"first"
    objects.delete("a/b")
    assert objects.put_new("a/b", b"second")
    assert set(objects.list_sizes("")) == {"a/b"}


def test_one_of_many_writers_of_a_new_object_wins(objects: Objects) -> None:
    assert objects.is_exclusive()
    for turn in range(3):
        start = Barrier(8)

        def write(number: int, turn: int = turn, start: Barrier = start) -> bool:
            start.wait()
            return objects.put_new(f"mark/{turn}", str(number).encode())

        with ThreadPoolExecutor(8) as writers:
            has_won = list(writers.map(write, range(8)))
        assert sum(has_won) == 1
        assert objects.read(f"mark/{turn}") == str(has_won.index(True)).encode()
    assert len(objects.list_sizes("")) == 3


def test_reading_what_is_not_there_is_an_error(objects: Objects, tmp_path: Path) -> None:
    calls = (objects.read, lambda key: objects.read_range(key, 0, 9), lambda key: objects.copy_out(key, tmp_path / "x"))
    for call in calls:
        with pytest.raises(ObjectStoreError, match="a/b"):
            call("a/b")
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("key", BAD_KEYS)
def test_a_key_that_could_leave_the_root_or_means_something_elsewhere_is_refused(objects: Objects, key: str) -> None:
    for call in (objects.read, objects.size, objects.path, objects.delete, objects.temporary):
        with pytest.raises(ConfigurationError, match="ASCII letters, digits"):
            call(key)
    for put in (objects.put, objects.put_new):
        with pytest.raises(ConfigurationError, match="ASCII letters, digits"):
            put(key, b"x")
    if key:
        with pytest.raises(ConfigurationError, match="ASCII letters, digits"):
            objects.list_sizes(key)


def test_the_keys_of_this_project_and_of_the_survey_are_keys() -> None:
    for key in (
        "injection/0a/block=00001/hosts.parquet",
        "cache/mock-1/coadd/028/0285m165/legacysurvey-0285m165-image-r.fits.fz",
        "a/_x.json",
    ):
        assert check_key(key) == key


def test_the_clock_of_a_store_on_this_machine_is_this_machine_s(objects: Objects) -> None:
    assert abs(objects.clock_offset_s()) < 2.0


def test_a_put_that_fails_leaves_the_old_object_and_no_temporary(folder: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.put("a/b", b"old")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ObjectStoreError, match=r"'a/b'.*No space left.*free some space"):
        folder.put("a/b", b"new")
    assert folder.read("a/b") == b"old"
    assert [path.name for path in folder.local_folder("a").iterdir()] == ["b"]


def test_a_disk_without_hard_links_keeps_the_first_object_that_is_seen_and_is_not_called_exclusive(
    folder: FolderObjects, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert not folder.is_exclusive()
    assert [folder.put_new("a/b", data) for data in (b"first", b"second")] == [True, False]
    assert folder.read("a/b") == b"first"
    assert [path.name for path in folder.local_folder("a").iterdir()] == ["b"]


@pytest.mark.parametrize("call", ["size", "read", "temporary", "delete", "list_sizes"])
def test_a_root_below_a_file_is_an_error_that_names_key_and_root(tmp_path: Path, call: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    objects = FolderObjects(tmp_path / "file" / "objects")
    with pytest.raises(ObjectStoreError, match=r"'a/b' below .*file/objects: Not a directory; check that objects_root"):
        getattr(objects, call)("a/b")


def test_the_file_of_an_object_in_a_folder_is_the_object(folder: FolderObjects) -> None:
    record = folder.put("a/b", b"pixels")
    assert sha256_of(folder.root / "a/b") == record.sha256
    assert folder.path("a/b") == folder.root / "a/b"


def test_a_root_is_a_folder_or_a_prefix_of_a_bucket_and_other_schemes_are_refused(tmp_path: Path) -> None:
    assert open_objects(f"file://{tmp_path}").root == tmp_path
    assert open_objects("relative/objects").root == Path.cwd() / "relative/objects"
    assert open_objects("s3://bucket/some/prefix/").root == "s3://bucket/some/prefix"
    assert repr(open_objects("s3://bucket")) == "S3Objects('s3://bucket')"
    for root in ("gs://bucket/prefix", "https://host/folder"):
        with pytest.raises(ConfigurationError, match="held by a folder"):
            open_objects(root)
    for root in ("s3://", "s3://bucket/../other", "s3://bucket//prefix", "s3://bu cket", "s3://bucket/ä", "s3://bucket/prefix?x=1"):
        with pytest.raises(ConfigurationError, match="is s3://bucket/prefix"):
            open_objects(root)
