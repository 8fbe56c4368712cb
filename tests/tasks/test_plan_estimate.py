"""Laws of the estimate: for the tiny campaign it says what its run made, counts to the one, bytes within a factor, requests exactly."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from halo_core.stages import rates
from halo_core.stages.estimate import Estimate, block_bounds
from halo_core.stages.estimate_requests import PART_BYTES, BlockObjects, puts_of, requests_of_block
from halo_core.stages.planning import plan
from halo_core.store import blocks as block_store
from halo_core.store import stages
from halo_core.store.sessions import begin
from halo_core.survey.layout import planes_for
from luigi_tasks import s3
from luigi_tasks.injection import InjectBlock
from luigi_tasks.plan_estimate import estimate_of
from luigi_tasks.targets import BLOCK_MARK, BLOCKS_FILE
from tests.fixtures.campaigns import Place, part_of
from tests.fixtures.requests import counted
from tests.fixtures.storage import S3Place, S3Server, new_s3_place

WITHIN = 1.5
FILES = {"tasks": "manifest", "hosts": "injection", "arcs": "injection", "results": "injection"}
TABLES = {"tasks": "injection_tasks", "results": "injection_results", "planes": "coadd_planes"}


def estimate(place: Place) -> Estimate:
    """Return the estimate of a place with what is there."""
    task = place.task(plan_only=True)
    rows = plan(task.manifest_config(), {name: grid.n_configs for name, grid in task.grids().items()})
    return estimate_of(task, rows, task.supply(), has_survey=True)


def is_within(found: float, expected: float) -> bool:
    return expected / WITHIN <= found <= expected * WITHIN


def test_the_counts_of_an_estimate_from_a_manifest_are_those_of_the_run(done_place: Place) -> None:
    found, task = estimate(done_place), done_place.task()
    blocks = task.table_of("manifest", BLOCKS_FILE).to_pylist()
    made = task.mark_of("injection")["counts"]
    assert (found.bricks.known, found.bricks.n_blocks) == ("counted", len(blocks)) == ("counted", made["n_blocks"])
    assert found.bricks.n_in_blocks == sum(row["n_bricks"] for row in blocks)
    assert (found.design.n_tasks, found.design.n_hosts) == (made["n_tasks"], task.mark_of("manifest")["counts"]["n_hosts"])
    assert found.design.n_physical == sum(row["n_injections"] for row in blocks)
    for name, table in TABLES.items():
        assert found.n_rows[name] == done_place.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"], name
    assert found.n_rows["planes"] == found.bricks.n_bricks * len(planes_for("grz"))


def test_an_estimate_from_parents_alone_expects_the_hosts_and_bricks_of_the_manifest(done_place: Place, tmp_path: Path) -> None:
    counted_one, place = estimate(done_place), part_of(done_place, tmp_path, ("mock_survey", "survey", "parent"))
    found = estimate(place)
    assert found.bricks.known == "expected"
    assert found.design.n_hosts == pytest.approx(counted_one.design.n_hosts, rel=0.2)
    assert found.design == replace(counted_one.design, n_hosts=found.design.n_hosts)
    assert abs(found.bricks.n_bricks - counted_one.bricks.n_bricks) <= 1
    least, most = block_bounds(found.design, counted_one.bricks.n_bricks)
    assert least <= counted_one.bricks.n_blocks <= most


def test_the_bytes_of_an_estimate_are_those_of_what_was_there_within_a_factor(done_place: Place) -> None:
    sizes, made = done_place.objects.list_sizes(""), done_place.task().mark_of("injection")["counts"]
    found = estimate(done_place)
    found = replace(found, design=replace(found.design, n_arcs=made["n_arcs"], n_hosts=made["n_hosts"]))
    n_ok, n_bytes = done_place.rows("SELECT count(*) AS n, sum(n_bytes) AS s FROM coadd_planes WHERE status = 'ok'")[0].values()
    share_there = n_ok / found.n_rows["planes"]
    assert is_within(found.survey_bytes * share_there, n_bytes)
    for name, word in FILES.items():
        n_bytes = sum(size for key, size in sizes.items() if key.startswith(f"{word}/") and key.endswith(f"/{name}.parquet"))
        assert is_within(found.object_bytes[name], n_bytes), (name, found.object_bytes[name], n_bytes)
    marks = sum(size for key, size in sizes.items() if key.endswith((BLOCK_MARK, "/planes.parquet")))
    assert is_within(found.object_bytes["marks"], marks), (found.object_bytes["marks"], marks)


def test_the_size_of_a_state_is_that_of_the_run_within_a_factor(done_place: Place) -> None:
    found, path = estimate(done_place), done_place.folder / "halo_data/state.sqlite"
    others = done_place.rows("SELECT sum(pgsize) AS n FROM dbstat WHERE name NOT LIKE '%injection_%' AND name NOT LIKE '%coadd_planes%'")
    made = path.stat().st_size - others[0]["n"]
    assert is_within(found.state_bytes("SQLite") - rates.STATE_BYTES["SQLite"], made)


@pytest.fixture
def s3_blocks(done_place: Place, s3_server: S3Server, tmp_path: Path) -> S3Place:
    """A place on S3 with the tiny survey and manifest, whose blocks are planned and not begun."""
    place = new_s3_place(tmp_path, s3_server)
    for key in done_place.objects.list_sizes(""):
        if key.startswith(("mock_survey/", "manifest/")) or key.endswith("/_plan.json"):
            place.objects.put(key, done_place.objects.read(key))
    task = place.task()
    plans = [block_store.BlockPlan(**row) for row in task.table_of("manifest", BLOCKS_FILE).to_pylist()]
    with begin(place.state_url) as connection:
        for word in ("cache", "injection"):
            stages.record_stage(connection, task.digest_of(word), word, 1, {}, "0")
            block_store.plan_blocks(connection, task.digest_of(word), plans)
    return place


def test_a_block_sends_exactly_the_requests_of_its_law_and_no_more_where_planes_are_lost(s3_blocks: S3Place) -> None:
    task = s3_blocks.task()
    assert s3_blocks.objects.is_exclusive()
    assert s3_blocks.objects.size("absent") is None
    for row in task.table_of("manifest", BLOCKS_FILE).to_pylist():
        block = InjectBlock(task.digest_of("injection"), row["block"], task.objects_root, task.survey.root, task.state_url)
        with counted(s3_blocks.server) as sent:
            block.run()
        law = requests_of_block(BlockObjects(row["n_bricks"], (1e5,) * len(planes_for("grz")), (1e5, 1e5), False, "s3"))
        lost = s3_blocks.rows("SELECT count(*) AS n FROM coadd_planes WHERE status <> 'ok' AND block = :block", block=row["block"])[0]["n"]
        assert (sent.total - law, bool(law - sent.total)) == (Counter(), lost > 0), law - sent.total
    assert puts_of(s3.PART_BYTES) == 1 < puts_of(s3.PART_BYTES + 1)
    assert s3.PART_BYTES == PART_BYTES
