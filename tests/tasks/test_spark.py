"""Laws of the Spark engine, on a real cluster: the bytes of Luigi's workers, whatever is killed; a bad block fails alone."""

import json
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pyarrow.compute as pc
import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import BlocksFailedError
from halo_core.stages.files import read_table
from luigi_tasks import InjectAll
from luigi_tasks.plane_locks import locked_key
from luigi_tasks.targets import PLANES_FILE
from tests.fixtures.campaigns import BEFORE_PIXELS, Place, content_by, part_of
from tests.fixtures.clusters import SparkCluster
from tests.fixtures.services import wait_until
from tests.tasks.test_determinism import KEYS

RESULTS = "SELECT * FROM injection_results ORDER BY task_id"
BLOCKS = "SELECT block, finished IS NOT NULL AS is_done, error FROM blocks WHERE stage_digest = :digest ORDER BY block"
PLANES = "SELECT brickname, plane, block, status, reason, sha256, n_bytes FROM coadd_planes ORDER BY brickname, plane"


@pytest.fixture
def spark_place(done_place: Place, spark_cluster: SparkCluster, tmp_path: Path) -> Place:
    """A copy of the done place where no coadd was read yet, whose blocks go to the cluster."""
    return on_cluster(part_of(done_place, tmp_path, BEFORE_PIXELS), spark_cluster)


def on_cluster(place: Place, cluster: SparkCluster) -> Place:
    """Return a place whose blocks go to a cluster."""
    settings = {"engine.name": "spark", "spark.submit": json.dumps(cluster.submit_options()), "spark.poll_s": "0.5"}
    return replace(place, settings=settings)


def injected(place: Place) -> dict[str, str]:
    """Return the sha256 of every object of the injected blocks."""
    digest = place.task().digest_of("injection")
    return {key: sha256 for key, (_, sha256) in place.seen(f"injection/{digest}").items() if "/block=" in key}


def summarised(place: Place) -> dict[str, str]:
    """Return the sha256 of every object that the summary's mark names; none else stays but what a cluster was asked."""
    digest = place.task().digest_of("summary")
    named = place.task().mark_of("summary")["objects"]
    seen = place.seen(f"summary/{digest}")
    assert not [key for key in seen if key.endswith(".npz")]
    return {key: sha256 for key, (_, sha256) in seen.items() if key in named}


def test_a_cluster_makes_the_same_bytes_and_rows_as_luigis_workers(done_place: Place, spark_place: Place) -> None:
    assert spark_place.run() == LuigiStatusCode.SUCCESS
    assert injected(spark_place) == injected(done_place)
    assert summarised(spark_place) == summarised(done_place)
    for query in (RESULTS, PLANES):
        assert spark_place.rows(query) == done_place.rows(query)


def test_a_poisoned_block_fails_alone_with_its_reason_and_luigis_workers_do_it_once_it_is_mended(
    done_place: Place, place_with_planes: Place, spark_cluster: SparkCluster
) -> None:
    place = on_cluster(place_with_planes, spark_cluster)
    digest = place.task().digest_of("injection")
    brick = place.tables("cache", PLANES_FILE).filter((pc.field("block") == 2) & (pc.field("status") == "ok"))
    path = place.objects.path(brick["key"][-1].as_py())
    good = path.read_bytes()
    path.write_bytes(bytes(len(good)))
    error = place.error(InjectAll)
    assert isinstance(error, BlocksFailedError)
    assert "1 blocks failed, first 2: ObjectStoreError: cached plane" in str(error)
    found = place.rows(BLOCKS, digest=digest)
    assert [row["is_done"] for row in found] == [1, 1, 0]
    assert found[2]["error"].startswith("ObjectStoreError")
    path.write_bytes(good)
    assert place_with_planes.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert injected(place) == injected(done_place)


def test_a_cluster_that_loses_an_executor_and_a_worker_in_mid_stage_makes_the_same_bytes(
    done_place: Place, spark_place: Place, spark_cluster: SparkCluster
) -> None:
    place = replace(spark_place, changes={"block_max_injections": "3", "block_max_bricks": "1"})
    planes = done_place.tables("cache", PLANES_FILE).filter(pc.field("status") == "ok")
    held = dict(zip(planes["brickname"].to_pylist(), planes["key"].to_pylist(), strict=True))
    names = list(held)[-2:]
    with ThreadPoolExecutor(1) as pool, ExitStack() as planes_held:
        for name in names:
            planes_held.enter_context(locked_key(place.objects, held[name]))
        killing = pool.submit(kill_two, place, spark_cluster, names, planes_held)
        assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
        killing.result()
    for name, key in KEYS.items():
        assert content_by(place.tables("injection", name), key) == content_by(done_place.tables("injection", name), key), name


def kill_two(place: Place, cluster: SparkCluster, bricknames: Collection[str], planes_held: ExitStack) -> None:
    """Kill an executor, then a worker, once only blocks are left that wait for a plane of these bricks; then let the planes go."""
    with planes_held:
        wait_until(lambda: n_left(place) == n_blocks_of(place, bricknames), "the blocks that need no held plane", timeout_s=120)
        cluster.kill("executor")
        cluster.kill("worker")


def n_left(place: Place) -> int:
    """Return how many blocks of the cut into single bricks are not committed."""
    n_plans = {len([*stage.glob("block=*")]) for stage in (place.objects.root / "manifest").iterdir()}
    return max(n_plans) - len([*(place.objects.root / "injection").glob("*/block=*/_commit.json")])


def n_blocks_of(place: Place, bricknames: Collection[str]) -> int:
    """Return how many blocks of that cut are of these bricks."""
    stage = max((place.objects.root / "manifest").iterdir(), key=lambda folder: len([*folder.glob("block=*")]))
    tables = (read_table(file, ["brickname"]) for file in stage.glob("block=*/tasks.parquet"))
    return sum(not set(bricknames).isdisjoint(table["brickname"].to_pylist()) for table in tables)
