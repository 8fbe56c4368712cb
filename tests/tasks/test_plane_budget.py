"""Laws of the budget of planes: what nobody used for longest goes, what a running block needs stays, and what went can be had again."""

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import luigi
import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ConfigurationError, ObjectStoreError
from halo_core.store import blocks, stages
from halo_core.store.sessions import begin
from luigi_tasks import InjectAll, plane_budget
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.objects import FolderObjects, Objects, open_objects
from luigi_tasks.plane_budget import CacheSettings, PlaneBudget, plane_mark
from tests.crash.content import content_of
from tests.fixtures.campaigns import Place
from tests.tasks.test_repair import delete_block

D = "a1b2"
SIZE = 1000
BRICKS = ("0001p000", "0002p000", "0003p000", "0004p000")


@pytest.fixture(autouse=True)
def _fresh_process() -> None:
    """Let every test begin as a process does."""
    plane_budget._n_new_bytes.clear()
    plane_budget._has_warned.clear()


@pytest.fixture
def state(migrated_url: str) -> str:
    """A state with one stage of three blocks, of which the first is at work."""
    with begin(migrated_url) as connection:
        stages.record_stage(connection, D, "injection", 1, {}, "0.1.0")
        blocks.plan_blocks(connection, D, [blocks.BlockPlan(number, 1, 2, 1) for number in range(3)])
        assert blocks.take_lease(connection, D, 0, "me", seconds=60.0, host="node")
    return migrated_url


def plane(brick: str, name: str = "image-r") -> str:
    """Return the key of a cached plane."""
    return f"cache/dr10-x/coadd/{brick[:3]}/{brick}/legacysurvey-{brick}-{name}.fits.fz"


def fill(objects: Objects, bricks: tuple[str, ...] = BRICKS) -> None:
    """Store a plane of each brick, its mark an hour younger than the mark of the brick before."""
    for hour, brick in enumerate(bricks):
        objects.put(plane(brick), b"x" * SIZE)
        objects.put(plane_mark(plane(brick)), brick.encode())
        if isinstance(objects, FolderObjects):
            os.utime(objects.path(plane_mark(plane(brick))), (3600 * hour, 3600 * hour))


def left(objects: Objects) -> list[str]:
    """Return the bricks whose plane is there."""
    return [brick for brick in BRICKS if objects.size(plane(brick)) is not None]


def budget_of(objects: Objects, state: str, n_planes: float) -> PlaneBudget:
    """Return a budget of so many planes."""
    return PlaneBudget(objects, "dr10-x", state, int(n_planes * SIZE))


@pytest.fixture
def folder(tmp_path: Path) -> FolderObjects:
    """A cache in a folder."""
    return FolderObjects(tmp_path / "objects")


def test_above_the_budget_the_planes_that_were_not_used_for_longest_go_and_their_marks_stay(folder: FolderObjects, state: str) -> None:
    fill(folder)
    budget_of(folder, state, 4).enforce()
    assert left(folder) == list(BRICKS)
    budget_of(folder, state, 3).enforce()
    assert left(folder) == list(BRICKS[2:])
    assert [folder.read(plane_mark(plane(brick))).decode() for brick in BRICKS] == list(BRICKS)


def test_a_plane_that_is_used_is_the_last_to_go(folder: FolderObjects, state: str) -> None:
    fill(folder)
    budget = budget_of(folder, state, 1.1)
    budget.used(plane(BRICKS[0]), "abc")
    assert folder.read(plane_mark(plane(BRICKS[0]))) == b"abc\n"
    budget.enforce()
    assert left(folder) == [BRICKS[0]]


def test_on_s3_a_mark_that_is_put_again_dates_the_use(s3_root: str, state: str) -> None:
    objects = open_objects(s3_root)
    fill(objects)
    times = objects.list_times("cache")
    assert times.keys() == objects.list_sizes("cache").keys()
    budget = budget_of(objects, state, 1.1)
    while objects.list_times("cache") == times:
        budget.used(plane(BRICKS[0]), "abc")
    assert {key for key, moment in objects.list_times("cache").items() if moment > times[key]} == {plane_mark(plane(BRICKS[0]))}
    budget.enforce()
    assert left(objects) == [BRICKS[0]]


def test_what_a_running_block_pins_stays_and_it_is_never_starved(objects_root: str, state: str, caplog: pytest.LogCaptureFixture) -> None:
    objects = open_objects(objects_root)
    fill(objects)
    budget = budget_of(objects, state, 1)
    with budget.pinned(D, 0, BRICKS[:2]):
        budget.enforce()
        assert left(objects) == list(BRICKS[:2])
        budget.enforce()
    assert left(objects) == []
    assert objects.list_sizes("cache/dr10-x/pins") == {}
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "running blocks need 0.000 GB of dr10-x, above [cache] max_bytes" in warnings[0]


def test_a_pin_counts_while_the_block_s_lease_is_alive_and_is_removed_with_it(folder: FolderObjects, state: str) -> None:
    fill(folder)
    for block in (0, 1):
        pin = {"digest": D, "block": block, "bricks": [BRICKS[block]]}
        folder.put(f"cache/dr10-x/pins/{D}-{block:05d}-killed", json.dumps(pin).encode())
    budget_of(folder, state, 2.2).enforce()
    assert left(folder) == [BRICKS[0], BRICKS[3]]
    assert set(folder.list_sizes("cache/dr10-x/pins")) == {f"cache/dr10-x/pins/{D}-00000-killed"}
    with begin(state) as connection:
        assert blocks.release_lease(connection, D, 0, "me")
    budget_of(folder, state, 1).enforce()
    assert folder.list_sizes("cache/dr10-x/pins") == {}
    assert left(folder) == []


def test_a_pin_of_a_block_that_this_state_does_not_know_counts_for_a_day(folder: FolderObjects, state: str) -> None:
    fill(folder)
    key = "cache/dr10-x/pins/ffff-00000-other"
    folder.put(key, json.dumps({"digest": "ffff", "block": 0, "bricks": [BRICKS[0]]}).encode())
    budget_of(folder, state, 1.2).enforce()
    assert left(folder) == [BRICKS[0]]
    now = folder.list_times(key.rpartition("/")[0])[key]
    os.utime(folder.path(key), (now - 86_500, now - 86_500))
    budget_of(folder, state, 0.5).enforce()
    assert left(folder) == []


def test_planes_are_counted_as_they_come_and_listed_now_and_then(
    folder: FolderObjects, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed: list[str] = []
    monkeypatch.setattr(PlaneBudget, "enforce", lambda _self: listed.append("") or None)
    budget = budget_of(folder, state, 100)
    counts = []
    for _ in range(13):
        budget.added(SIZE)
        counts.append(len(listed))
    assert counts == [1] * 6 + [2] * 6 + [3]


def test_without_a_budget_nothing_is_asked_of_the_store(folder: FolderObjects, state: str) -> None:
    fill(folder)
    times = folder.list_times("")
    budget = budget_of(folder, state, 0)
    with budget.pinned(D, 0, BRICKS):
        budget.used(plane(BRICKS[0]), "abc")
        budget.added(SIZE)
    assert folder.list_times("") == times


def test_several_that_remove_at_once_remove_no_more_than_one_would(objects_root: str, state: str) -> None:
    objects = open_objects(objects_root)
    fill(objects)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: budget_of(objects, state, 2.2).enforce(), range(4))) == [None] * 4
    assert len(left(objects)) == 2
    assert [key for key in objects.list_sizes("") if key.endswith("lease")] == []


@pytest.mark.parametrize("text", ["-1", "nan"])
def test_a_budget_that_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"\[cache\] max_bytes"):
        CacheSettings(max_bytes=float(text)).n_bytes()


@pytest.fixture
def tight(place_before_pixels: Place) -> Iterator[Place]:
    """A place where less than one block's planes may stay."""
    place_before_pixels.activate()
    luigi.configuration.get_config().set("cache", "max_bytes", "1e5")
    yield place_before_pixels
    luigi.configuration.get_config().set("cache", "max_bytes", "0")


def kept(place: Place) -> dict[str, int]:
    """Return the size of every whole plane that is cached."""
    return {key: size for key, size in place.objects.list_sizes("cache").items() if key.endswith(".fz")}


def test_a_campaign_with_a_tiny_budget_finds_what_one_without_finds(tight: Place, done_place: Place) -> None:
    task = tight.task()
    luigi.configuration.get_config().set("cache", "max_bytes", "1e5")
    assert tight.build(task, workers=2) == LuigiStatusCode.SUCCESS
    assert sum(kept(tight).values()) <= 100_000 < sum(kept(done_place).values())
    found, expected = content_of(tight.objects, tight.state_url), content_of(done_place.objects, done_place.state_url)
    for table in ("injection_tasks", "injection_results", "completeness_cells", "validation_findings"):
        assert found.rows[table] == expected.rows[table], table
    arcs = {key: sha256 for key, sha256 in expected.objects.items() if key.startswith("injection/") and key.endswith(".parquet")}
    assert arcs.items() <= found.objects.items()
    lacking = kept(done_place).keys() - kept(tight).keys()
    assert found.objects.keys() == expected.objects.keys() - lacking


def test_a_block_whose_planes_went_fetches_them_again_and_they_must_be_what_they_were(tight: Place) -> None:
    assert tight.build(tight.task(InjectAll)) == LuigiStatusCode.SUCCESS
    before = tight.seen("injection")
    for key in kept(tight):
        tight.objects.delete(key)
    prefix = delete_block(tight, "injection", 1)
    assert tight.build(tight.task()) == LuigiStatusCode.SUCCESS
    after = tight.seen("injection")
    assert {key: sha256 for key, (_, sha256) in after.items() if key.startswith(prefix) and key.endswith("parquet")} == {
        key: sha256 for key, (_, sha256) in before.items() if key.startswith(prefix) and key.endswith("parquet")
    }


def test_a_plane_that_went_and_comes_back_otherwise_is_an_error(folder: FolderObjects, state: str, tmp_path: Path) -> None:
    source = PlaneSource(FolderObjects(tmp_path / "survey"), "dr10-x", folder, budget_of(folder, state, 1))
    folder.put(plane_mark(plane(BRICKS[0])), b"0" * 64)
    temporary = folder.temporary(plane(BRICKS[0]))
    temporary.write_bytes(b"other")
    with pytest.raises(ObjectStoreError, match="was verified before"):
        source._put(plane(BRICKS[0]), temporary)
