"""Laws of sections: what is injected on cut-outs is what is injected on planes, planes do not stay, and hosts are stored once."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ObjectStoreError
from halo_core.stages.cache import planes_needed
from halo_core.stages.files import read_table
from halo_core.stamps import ARCS_FILE, CUTOUTS_FILE, RESULTS_FILE
from halo_core.survey.layout import COADD_FOLDER
from luigi_tasks import CacheCoadds, InjectAll, http_files
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.hosts import stored_stamps
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import FetchSettings, forget_connections
from luigi_tasks.objects import open_objects
from luigi_tasks.sections import fetched_bricks
from luigi_tasks.targets import TASKS_FILE, block_prefix
from tests.fixtures.campaigns import BEFORE_PIXELS, Place, content_by, part_of
from tests.fixtures.commands import lay_out
from tests.fixtures.http_archive import Archive, Fault, archive_of
from tests.fixtures.storage import S3Server, new_s3_place
from tests.tasks.test_kill import kill_after_first_block

RESULTS = "SELECT task_id, flags, metrics_ok, magnification, snr_matched_r, arc_snr FROM v_task_full ORDER BY task_id"
PLANES = "SELECT brickname, plane, block, status, reason, sha256, n_bytes FROM coadd_planes ORDER BY brickname, plane"
SECTIONS = {"cache_mode": "sections"}
Served = tuple[PlaneSource, Archive, list[tuple[str, str]]]


@pytest.fixture(scope="module")
def cut_place(done_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where the tiny campaign has run in sections; tests must not change it."""
    part = part_of(done_place, tmp_path_factory.mktemp("sections"), BEFORE_PIXELS)
    place = Place(part.folder, SECTIONS)
    assert place.run(workers=2) == LuigiStatusCode.SUCCESS
    return place


def files_below(folder: Path) -> set[str]:
    """Return the name of every file below a folder, hidden ones too."""
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_a_campaign_in_sections_finds_to_the_bit_what_one_with_whole_planes_finds(cut_place: Place, done_place: Place) -> None:
    for name, key in ((RESULTS_FILE, "task_id"), (ARCS_FILE, "physical_id")):
        assert content_by(cut_place.tables("injection", name), key) == content_by(done_place.tables("injection", name), key) != {}
    for query in (RESULTS, PLANES):
        assert cut_place.rows(query) == done_place.rows(query) != []
    cells = "SELECT cell, axes, n_task, n_recovered, completeness, lower_95 FROM v_completeness ORDER BY cell"
    assert cut_place.rows(cells) == done_place.rows(cells) != []


def test_the_stamps_of_both_modes_are_equal_to_the_bit(cut_place: Place, done_place: Place) -> None:
    n_stamps = 0
    for block in cut_place.attempts("injection"):
        stamps = []
        for place in (cut_place, done_place):
            task = place.task()
            tasks = read_table(place.objects.path(f"{block_prefix('manifest', task.digest_of('manifest'), block)}/{TASKS_FILE}"))
            results = read_table(place.objects.path(f"{block_prefix('injection', task.digest_of('injection'), block)}/{RESULTS_FILE}"))
            evaluated = tasks.filter(results["metrics_ok"])
            stamps.append(list(stored_stamps(place.objects, task.digest_of("injection"), block, evaluated)))
        for one, other in zip(*stamps, strict=True):
            n_stamps += 1
            assert one.truth["task_id"] == other.truth["task_id"]
            for name in ("injected", "host", "arc", "invvar", "maskbits"):
                assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
    assert n_stamps > 20


def test_no_plane_stays_and_every_host_is_stored_once(cut_place: Place) -> None:
    task = cut_place.task()
    kept = files_below(cut_place.objects.path(f"cache/{task.survey.source_id}"))
    assert kept != set()
    assert {name for name in kept if not name.endswith(".fz.sha256")} == set()
    keys = cut_place.objects.list_sizes("")
    assert [key for key in keys if key.endswith("hosts.parquet")] == []
    assert sum(key.endswith(CUTOUTS_FILE) for key in keys) == len(cut_place.attempts("injection"))
    stored = {row["key"] for row in cut_place.rows("SELECT DISTINCT key FROM coadd_planes WHERE status = 'ok'")}
    assert stored == {key for key in keys if key.endswith(CUTOUTS_FILE)}


def test_running_again_fetches_nothing(cut_place: Place) -> None:
    seen, attempts = cut_place.seen("cache"), cut_place.attempts("injection")
    assert cut_place.task().complete()
    assert cut_place.run() == LuigiStatusCode.SUCCESS
    assert (cut_place.seen("cache"), cut_place.attempts("injection")) == (seen, attempts)


def test_the_mode_is_part_of_what_the_cache_is_known_by(place: Place) -> None:
    digests = {
        mode: {word: place.task(cache_mode=mode).digest_of(word) for word in ("manifest", "cache")} for mode in ("whole", "sections")
    }
    assert digests["whole"]["manifest"] == digests["sections"]["manifest"]
    assert digests["whole"]["cache"] != digests["sections"]["cache"]


def test_a_killed_run_is_completed_by_the_next_to_the_same_objects(cut_place: Place, done_place: Place, tmp_path: Path) -> None:
    place = Place(part_of(done_place, tmp_path, BEFORE_PIXELS).folder, SECTIONS)
    lay_out(place)
    kill_after_first_block(place)
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    for name, key in ((RESULTS_FILE, "task_id"), (ARCS_FILE, "physical_id")):
        assert content_by(place.tables("injection", name), key) == content_by(cut_place.tables("injection", name), key) != {}
    cut = {key: seen[1] for key, seen in cut_place.seen("cache").items() if key.endswith((CUTOUTS_FILE, ".fz.sha256"))}
    assert {key: seen[1] for key, seen in place.seen("cache").items() if key.endswith((CUTOUTS_FILE, ".fz.sha256"))} == cut != {}


@pytest.fixture
def cut_copy(cut_place: Place, tmp_path: Path) -> Place:
    """A copy of the place in sections where nothing is injected."""
    copy = part_of(cut_place, tmp_path, (*BEFORE_PIXELS, "cache"))
    return Place(copy.folder, SECTIONS)


def test_another_way_to_inject_the_same_hosts_fetches_nothing(cut_copy: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a plane was asked for")

    monkeypatch.setattr(PlaneSource, "fetch_copy", refuse)
    assert cut_copy.run(InjectAll, psf_model="gaussian") == LuigiStatusCode.SUCCESS


def test_planes_that_another_campaign_keeps_whole_are_cut_and_stay(place_with_planes: Place, cut_place: Place) -> None:
    place = Place(place_with_planes.folder, SECTIONS)
    planes = {key: seen for key, seen in place.seen("cache").items() if key.endswith(".fz")}
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert place.rows("SELECT max(attempts) AS n FROM coadd_planes WHERE status = 'ok'") == [{"n": 0}]
    assert {key: seen for key, seen in place.seen("cache").items() if key.endswith(".fz")} == planes != {}
    assert content_by(place.tables("injection", ARCS_FILE), "physical_id") == content_by(
        cut_place.tables("injection", ARCS_FILE), "physical_id"
    )


def test_a_campaign_with_other_hosts_fetches_the_planes_again_and_the_state_says_so(cut_copy: Place) -> None:
    assert cut_copy.run(CacheCoadds) == LuigiStatusCode.SUCCESS
    assert cut_copy.run(CacheCoadds, sampling_seed="77") == LuigiStatusCode.SUCCESS
    fetched = cut_copy.rows(
        "SELECT brickname, plane, count(*) AS n_fetches, count(DISTINCT sha256) AS n_contents FROM coadd_planes "
        "WHERE status = 'ok' AND attempts > 0 GROUP BY brickname, plane HAVING count(*) > 1"
    )
    assert len(fetched) > 10
    assert {(row["n_fetches"], row["n_contents"]) for row in fetched} == {(2, 1)}


def test_a_plane_that_is_fetched_again_with_other_bytes_is_an_error(cut_copy: Place) -> None:
    assert cut_copy.run(CacheCoadds) == LuigiStatusCode.SUCCESS
    for path in cut_copy.objects.path(f"cache/{cut_copy.task().survey.source_id}/{COADD_FOLDER}").rglob("*image-g.fits.fz.sha256"):
        path.write_text(f"{'0' * 64}\n")
    error = cut_copy.error(CacheCoadds, sampling_seed="77")
    assert isinstance(error, ObjectStoreError)
    assert re.search(r"but 0{64} was verified before; the survey at .* has changed", str(error))


def test_cut_outs_that_were_changed_are_an_error_and_cut_outs_that_are_gone_are_cut_again(cut_copy: Place) -> None:
    key = next(key for key in cut_copy.objects.list_sizes("cache") if key.endswith(CUTOUTS_FILE))
    data = cut_copy.objects.read(key)
    cut_copy.objects.put(key, bytes([data[0] ^ 1]) + data[1:])
    error = cut_copy.error(InjectAll)
    assert isinstance(error, ObjectStoreError)
    assert f"{key}: sha256" in str(error)
    cut_copy.objects.delete(key)
    assert cut_copy.run() == LuigiStatusCode.SUCCESS
    assert cut_copy.objects.read(key) == data


def test_a_campaign_in_sections_on_s3_finds_the_same(s3_server: S3Server, done_place: Place, tmp_path: Path) -> None:
    place = new_s3_place(tmp_path, s3_server, **SECTIONS)
    assert place.run(workers=2) == LuigiStatusCode.SUCCESS
    assert place.rows(RESULTS) == done_place.rows(RESULTS) != []


@pytest.fixture
def served(done_place: Place, tmp_path: Path) -> Iterator[Served]:
    """The tiny survey on a server, an empty cache, and what is wanted of it."""
    forget_connections()
    http_files.forget_files()
    with archive_of(Path(done_place.task().survey.root)) as archive:
        settings = FetchSettings(backoff_s=0.01, longest_backoff_s=0.05, local_copies=str(tmp_path / "copies"), max_attempts=2)
        source = PlaneSource(HttpFiles(archive.url, settings), "dr10-x", open_objects(str(tmp_path / "objects")))
        yield source, archive, planes_needed([row["brickname"] for row in done_place.rows("SELECT brickname FROM coadd_planes")], "grz")
    forget_connections()


def test_each_plane_is_asked_for_once_and_no_more_than_two_bricks_are_on_the_disk(served: Served) -> None:
    source, archive, wanted = served
    seen = []
    for brickname, fetched in fetched_bricks(source, wanted, block=0):
        seen += [(brickname, row["plane"]) for row, _ in fetched]
        on_disk = [path for path in source.objects.path("cache/dr10-x/coadd").rglob(".*part") if path.is_file()]
        assert len({path.parent for path in on_disk}) <= 2
        assert all(path is None or path in on_disk for _, path in fetched)
    assert seen == wanted
    assert archive.counts("/coadd/")["GET"] == len(wanted)
    assert [path for path in Path(source.objects.root).rglob(".*") if path.is_file()] == []


def test_an_error_or_an_early_end_leaves_no_copy(served: Served) -> None:
    source, archive, wanted = served
    next(iter(fetched_bricks(source, wanted, block=0)))
    archive.faults.append(Fault(f"{wanted[15][0]}-{wanted[15][1]}", status=503, times=99))
    with pytest.raises(ObjectStoreError, match="given up at attempt 2"):
        list(fetched_bricks(source, wanted, block=0))
    assert [path for path in Path(source.objects.root).rglob(".*") if path.is_file()] == []
