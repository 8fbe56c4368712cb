"""Laws of commit marks: nothing is there before its mark, and a mark that an object does not bear out counts for nothing."""

from pathlib import Path

import pytest

from halo_core.errors import ObjectStoreError, StoreError
from halo_core.store import blocks, schema, stages
from halo_core.store.sessions import begin
from luigi_tasks.objects import FolderObjects
from luigi_tasks.targets import BLOCK_MARK, BlockTarget, CommitTarget, StageTarget

DIGEST = "0123456789abcdef0123"


@pytest.fixture
def target(tmp_path: Path) -> CommitTarget:
    """A block whose two objects are put and whose mark is not."""
    target = CommitTarget(FolderObjects(tmp_path), "injection/d/block=00000", BLOCK_MARK)
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


@pytest.mark.parametrize("harm", [lambda path: path.unlink(), lambda path: path.write_bytes(b"longer")])
def test_a_named_object_that_is_gone_or_of_another_size_undoes_the_commit(target: CommitTarget, harm: object) -> None:
    commit(target)
    assert target.exists()
    harm(target.objects.path(f"{target.prefix}/b"))  # type: ignore[operator]
    assert target.committed() is None
    assert target.mark() is not None


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
