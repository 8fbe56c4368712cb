"""Laws of the Spark engine, on a real cluster: the bytes of Luigi's workers, whatever is killed; a bad block fails alone."""

import json
from dataclasses import replace
from pathlib import Path
from threading import Thread

import pyarrow.compute as pc
import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import BlocksFailedError
from luigi_tasks import InjectAll
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


def test_a_cluster_makes_the_same_bytes_and_rows_as_luigis_workers(done_place: Place, spark_place: Place) -> None:
    assert spark_place.run() == LuigiStatusCode.SUCCESS
    assert injected(spark_place) == injected(done_place)
    for query in (RESULTS, PLANES):
        assert spark_place.rows(query) == done_place.rows(query)


def test_a_poisoned_block_fails_alone_with_its_reason_and_is_done_once_it_is_mended(
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
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert injected(place) == injected(done_place)


@pytest.mark.parametrize("victim", ["executor", "worker"])
def test_a_cluster_that_loses_a_process_in_mid_stage_makes_the_same_bytes(
    done_place: Place, spark_place: Place, spark_cluster: SparkCluster, victim: str
) -> None:
    place = replace(spark_place, changes={"block_max_injections": "3", "block_max_bricks": "1"})
    killer = Thread(target=kill_after_first_block, args=(place, spark_cluster, victim))
    killer.start()
    status = place.run(InjectAll)
    killer.join()
    assert status == LuigiStatusCode.SUCCESS
    for name, key in KEYS.items():
        assert content_by(place.tables("injection", name), key) == content_by(done_place.tables("injection", name), key), name
    assert len(spark_cluster.killed) >= 1


def kill_after_first_block(place: Place, cluster: SparkCluster, victim: str) -> None:
    """Kill a process of the cluster once a block is committed."""
    folder = place.objects.root / "injection"
    wait_until(lambda: any(folder.glob("*/block=*/_commit.json")), "a committed block", timeout_s=120)
    cluster.kill(victim)
