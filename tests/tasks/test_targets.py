"""Laws of commit marks: nothing is there before its mark, and a mark that an object does not bear out counts for nothing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from halo_core.errors import ObjectStoreError, StoreError
from halo_core.store import blocks, schema, stages
from halo_core.store.sessions import begin
from luigi_tasks.objects import FolderObjects, Objects, open_objects
from luigi_tasks.targets import BLOCK_MARK, BlockTarget, CommitTarget, StageTarget, block_prefix, committed_marks

DIGEST = "0123456789abcdef0123"


@pytest.fixture
def target(objects_root: str) -> CommitTarget:
    """A block whose two objects are put and whose mark is not, in a folder and on S3."""
    target = CommitTarget(open_objects(objects_root), "injection/d/block=00000", BLOCK_MARK)
    for name in ("hosts", "arcs"):
        target.objects.put(f"{target.prefix}/{name}", name.encode())
    return target


def commit(target: CommitTarget) -> None:
    """Put two objects and the mark that names them."""
    target.commit({"counts": {"n": 2}}, {f"{target.prefix}/{name}": target.objects.put(f"{target.prefix}/{name}", b"x") for name in "ab"})


def test_objects_without_a_mark_are_no_commit(target: CommitTarget) -> None:
    assert target.mark() is None
    assert target.committed() is None
    assert not target.exists()


def test_a_mark_names_every_object_by_sha256_and_size(target: CommitTarget) -> None:
    record = target.objects.put(f"{target.prefix}/arcs", b"arc")
    mark = target.commit({"counts": {"n_arcs": 1}}, {f"{target.prefix}/arcs": record})
    assert mark == target.committed() == target.mark()
    assert mark["objects"] == {f"{target.prefix}/arcs": {"sha256": record.sha256, "n_bytes": 3}}
    assert mark["counts"] == {"n_arcs": 1}


@pytest.mark.parametrize("harm", [lambda objects, key: objects.delete(key), lambda objects, key: objects.put(key, b"longer")])
def test_a_named_object_that_is_gone_or_of_another_size_undoes_the_commit(
    target: CommitTarget, harm: Callable[[Objects, str], object]
) -> None:
    commit(target)
    assert target.exists()
    harm(target.objects, f"{target.prefix}/b")
    assert target.committed() is None
    assert target.mark() is not None


def test_of_two_that_commit_the_same_objects_the_first_mark_stays(target: CommitTarget) -> None:
    record = target.objects.put(f"{target.prefix}/arcs", b"arc")
    first = target.commit({"who": "first"}, {f"{target.prefix}/arcs": record})
    assert target.commit({"who": "second"}, {f"{target.prefix}/arcs": record}) == first
    assert target.committed() == first


@pytest.mark.parametrize("is_gone", [True, False])
def test_a_mark_whose_objects_are_gone_or_others_now_is_replaced(
    target: CommitTarget, caplog: pytest.LogCaptureFixture, is_gone: bool
) -> None:
    key = f"{target.prefix}/arcs"
    target.commit({"who": "first"}, {key: target.objects.put(key, b"arc")})
    if is_gone:
        target.objects.delete(key)
        key = f"{target.prefix}/other"
    record = target.objects.put(key, b"new")
    assert target.commit({"who": "second"}, {key: record})["who"] == "second"
    assert target.committed() == target.mark() == {"who": "second", "objects": {key: {"sha256": record.sha256, "n_bytes": 3}}}
    assert "it is replaced" in caplog.text


def test_the_whole_blocks_of_a_stage_are_those_whose_marks_hold(target: CommitTarget) -> None:
    for block in (0, 1, 2):
        one = CommitTarget(target.objects, block_prefix("injection", "d", block), BLOCK_MARK)
        one.commit({"block": block}, {f"{one.prefix}/x": target.objects.put(f"{one.prefix}/x", b"x")})
    target.objects.delete(f"{block_prefix('injection', 'd', 1)}/x")
    marks = committed_marks(target.objects, "injection", "d", range(5))
    assert {block: mark["block"] for block, mark in marks.items()} == {0: 0, 2: 2}


@pytest.mark.parametrize(("content", "words"), [(b"{half", "is not JSON"), (b"[]", "names no objects"), (b"{}", "names no objects")])
def test_a_garbled_mark_is_an_error_that_names_it_and_says_to_remove_it(target: CommitTarget, content: bytes, words: str) -> None:
    target.objects.put(target.mark_key, content)
    with pytest.raises(ObjectStoreError, match=rf"_commit\.json {words}.*remove it and run again"):
        target.exists()


def test_a_mark_refuses_what_json_cannot_say(target: CommitTarget) -> None:
    with pytest.raises(ValueError, match="JSON"):
        target.commit({"counts": {"mean": float("nan")}}, {})
    assert target.mark() is None


def test_a_target_says_where_its_mark_is_and_equals_its_twin(target: CommitTarget) -> None:
    twin = CommitTarget(target.objects, target.prefix, BLOCK_MARK)
    other = CommitTarget(target.objects, "injection/d/block=00001", BLOCK_MARK)
    assert repr(target) == f"CommitTarget('{target.objects.root}/injection/d/block=00000/_commit.json')"
    assert target == twin
    assert len({target, twin, other}) == 2


@pytest.mark.parametrize("kind", ["stage", "block"])
def test_a_commit_counts_once_the_state_holds_its_rows(tmp_path: Path, kind: str) -> None:
    url, objects = f"sqlite:///{tmp_path / 'state.sqlite'}", FolderObjects(tmp_path / "objects")
    target = StageTarget(objects, "injection", DIGEST, url) if kind == "stage" else BlockTarget(objects, "injection", DIGEST, 3, url)
    assert not target.exists()
    commit(target)
    with pytest.raises(StoreError, match="halo state upgrade"):
        target.exists()
    schema.upgrade(url)
    assert not target.exists()
    with begin(url) as connection:
        stages.record_stage(connection, DIGEST, "injection", 1, {}, "0")
        blocks.plan_blocks(connection, DIGEST, [blocks.BlockPlan(3, 1, 2, 1)])
    assert not target.exists()
    with begin(url) as connection:
        if kind == "stage":
            stages.finish_stage(connection, DIGEST, {})
        else:
            blocks.finish_block(connection, DIGEST, 3)
    assert target.exists()
