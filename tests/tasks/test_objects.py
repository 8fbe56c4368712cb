"""Laws of the object store: whole objects or none, known by their sha256, and an error that says where and what to do."""

import hashlib
import os
from pathlib import Path

import pytest

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks.objects import FolderObjects, ObjectRecord, open_objects, sha256_of


@pytest.fixture
def objects(tmp_path: Path) -> FolderObjects:
    """An empty object store."""
    return FolderObjects(tmp_path / "objects")


def test_a_put_object_reads_back_and_is_recorded_by_sha256_and_size(objects: FolderObjects) -> None:
    data = b"arcs" * 400_000
    assert objects.put("a/b", data) == ObjectRecord(hashlib.sha256(data).hexdigest(), len(data))
    assert objects.read("a/b") == data
    assert objects.size("a/b") == len(data)
    assert sha256_of(objects.path("a/b")) == hashlib.sha256(data).hexdigest()


def test_an_object_that_is_not_there_has_no_size_and_deleting_it_is_no_error(objects: FolderObjects) -> None:
    assert objects.size("a/b") is None
    objects.delete("a/b")
    assert objects.list_sizes("") == {}


def test_a_listing_gives_every_object_below_a_prefix_and_nothing_else(objects: FolderObjects) -> None:
    for key in ("a/one", "a/b/two", "ab/three"):
        objects.put(key, key.encode())
    assert objects.list_sizes("a") == {"a/one": 5, "a/b/two": 7}


def test_what_is_being_written_is_not_visible(objects: FolderObjects) -> None:
    temporary = objects.temporary("a/b")
    temporary.write_bytes(b"half")
    assert objects.list_sizes("") == {}
    assert objects.size("a/b") is None
    objects.put_file("a/b", temporary)
    assert objects.list_sizes("") == {"a/b": 4}
    assert [path.name for path in objects.path("a").iterdir()] == ["b"]


def test_a_put_that_fails_leaves_the_old_object_and_no_temporary(objects: FolderObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    objects.put("a/b", b"old")

    def full(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ObjectStoreError, match=r"'a/b'.*No space left.*free some space"):
        objects.put("a/b", b"new")
    assert objects.read("a/b") == b"old"
    assert [path.name for path in objects.path("a").iterdir()] == ["b"]


def test_two_writers_of_one_key_have_temporary_names_of_their_own(objects: FolderObjects) -> None:
    assert objects.temporary("a/b") != objects.temporary("a/b")


def test_a_copied_file_is_the_source_to_the_byte(objects: FolderObjects, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(b"pixels")
    assert objects.copy_in("a/b", tmp_path / "source") == objects.put("a/c", b"pixels")
    with pytest.raises(ObjectStoreError, match="'a/d'"):
        objects.copy_in("a/d", tmp_path / "nowhere")
    assert set(objects.list_sizes("")) == {"a/b", "a/c"}


@pytest.mark.parametrize("call", ["size", "read", "temporary", "delete", "list_sizes"])
def test_a_root_below_a_file_is_an_error_that_names_key_and_root(tmp_path: Path, call: str) -> None:
    (tmp_path / "file").write_text("not a folder")
    objects = FolderObjects(tmp_path / "file" / "objects")
    with pytest.raises(ObjectStoreError, match=r"'a/b' below .*file/objects: Not a directory; check that objects_root"):
        getattr(objects, call)("a/b")


def test_reading_what_is_not_there_is_an_error(objects: FolderObjects) -> None:
    with pytest.raises(ObjectStoreError, match="cannot read object 'a/b'"):
        objects.read("a/b")


def test_a_root_is_a_folder_and_other_schemes_are_refused(tmp_path: Path) -> None:
    assert open_objects(f"file://{tmp_path}").root == tmp_path
    assert open_objects("relative/objects").root == Path.cwd() / "relative/objects"
    with pytest.raises(ConfigurationError, match="only folders hold objects"):
        open_objects("s3://bucket/prefix")
