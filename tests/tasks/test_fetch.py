"""Laws of fetching: a plane is stored once and whole, known by its sha256, or lost with a reason that a person understands."""

from dataclasses import replace
from pathlib import Path

import pytest

import luigi_tasks.fetch
from halo_core.errors import ObjectStoreError, SurveyDataError
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks
from luigi_tasks.fetch import MAX_ATTEMPTS, PlaneSource
from luigi_tasks.objects import FolderObjects, open_objects, sha256_of

PLANE = "image-r"


@pytest.fixture
def brick(tiny_survey: tuple[MockSurvey, Path]) -> MockBrick:
    """A brick with all its files."""
    return mock_bricks(tiny_survey[0])[0]


@pytest.fixture
def source(tiny_survey: tuple[MockSurvey, Path], brick: MockBrick, objects_root: str) -> PlaneSource:
    """A survey of that brick's plane alone, and an empty cache; both in a folder and both on S3."""
    files, key = open_objects(f"{objects_root}/survey"), plane_key(brick.brickname, PLANE)
    files.copy_in(key, tiny_survey[1] / key)
    return PlaneSource(files, "dr10-x", open_objects(f"{objects_root}/objects"))


def test_a_fetched_plane_is_the_survey_s_to_the_byte_followed_by_its_sha256(source: PlaneSource, brick: MockBrick) -> None:
    row = source.fetch(brick.brickname, PLANE, block=3)
    original = plane_key(brick.brickname, PLANE)
    assert row["key"] == f"cache/dr10-x/{plane_key(brick.brickname, PLANE)}"
    assert row["sha256"] == sha256_of(source.files.path(original))
    assert (row["status"], row["attempts"], row["block"], row["source_uri"]) == ("ok", 1, 3, source.files.uri(original))
    assert source.objects.read(row["key"]) == source.files.read(original)
    assert source.objects.read(f"{row['key']}.sha256").decode() == f"{row['sha256']}\n"


def test_a_cached_plane_is_not_fetched_again_even_where_the_survey_is_gone(source: PlaneSource, brick: MockBrick) -> None:
    first = source.fetch(brick.brickname, PLANE, block=0)
    source.files.delete(plane_key(brick.brickname, PLANE))
    again = source.fetch(brick.brickname, PLANE, block=1)
    assert again == first | {"attempts": 0, "block": 1}


def test_a_plane_without_its_sha256_is_fetched_again(source: PlaneSource, brick: MockBrick) -> None:
    row = source.fetch(brick.brickname, PLANE, block=0)
    source.objects.delete(f"{row['key']}.sha256")
    source.objects.put(row["key"], b"half a pla")
    assert source.fetch(brick.brickname, PLANE, block=0) == row
    assert sha256_of(source.objects.path(row["key"])) == row["sha256"]


def test_a_deleted_plane_is_fetched_again_and_must_be_what_it_was(source: PlaneSource, brick: MockBrick) -> None:
    row = source.fetch(brick.brickname, PLANE, block=0)
    source.objects.delete(row["key"])
    assert source.fetch(brick.brickname, PLANE, block=0) == row
    source.objects.delete(row["key"])
    source.objects.put(f"{row['key']}.sha256", b"0" * 64)
    with pytest.raises(ObjectStoreError, match=rf"{row['sha256']}, but 0+ was verified before.*\[survey\] release"):
        source.fetch(brick.brickname, PLANE, block=0)
    assert source.objects.size(row["key"]) is None


def test_a_cached_plane_that_changed_is_an_error_that_names_it(source: PlaneSource, brick: MockBrick) -> None:
    row = source.fetch(brick.brickname, PLANE, block=0)
    source.objects.put(row["key"], b"other")
    with pytest.raises(ObjectStoreError, match=rf"cached plane .*{PLANE}\.fits\.fz: sha256 .*{row['sha256']} was verified before"):
        source.fetch(brick.brickname, PLANE, block=0)


def test_a_plane_the_survey_lacks_is_missing_with_a_reason(source: PlaneSource, brick: MockBrick) -> None:
    source.files.delete(plane_key(brick.brickname, PLANE))
    row = source.fetch(brick.brickname, PLANE, block=0)
    assert (row["status"], row["reason"], row["key"], row["sha256"], row["attempts"]) == (
        "missing",
        "the survey has no such file",
        None,
        None,
        1,
    )


def test_a_damaged_plane_is_unverified_after_every_attempt_and_leaves_nothing(source: PlaneSource, brick: MockBrick) -> None:
    key = plane_key(brick.brickname, PLANE)
    source.files.put(key, source.files.read(key)[:10_000])
    row = source.fetch(brick.brickname, PLANE, block=0)
    assert (row["status"], row["attempts"], row["sha256"], row["key"]) == ("unverified", MAX_ATTEMPTS, None, None)
    assert row["reason"].startswith(Path(key).name)
    assert source.objects.list_sizes("") == {}
    assert source.fetch(brick.brickname, PLANE, block=0) == row


def test_a_plane_that_is_whole_at_the_second_attempt_is_kept(
    source: PlaneSource, brick: MockBrick, monkeypatch: pytest.MonkeyPatch
) -> None:
    verify, seen = luigi_tasks.fetch.verify_plane, []

    def fails_once(path: Path, plane: str, brickname: str) -> None:
        seen.append(path)
        if len(seen) == 1:
            raise SurveyDataError("truncated on the way")
        verify(path, plane, brickname)

    monkeypatch.setattr(luigi_tasks.fetch, "verify_plane", fails_once)
    row = source.fetch(brick.brickname, PLANE, block=0)
    assert (row["status"], row["attempts"]) == ("ok", 2)


def test_a_cache_that_cannot_be_written_is_an_error_of_the_store_and_no_loss(source: PlaneSource, brick: MockBrick, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the objects should be")
    with pytest.raises(ObjectStoreError, match="objects_root"):
        replace(source, objects=FolderObjects(tmp_path / "file")).fetch(brick.brickname, PLANE, block=0)
