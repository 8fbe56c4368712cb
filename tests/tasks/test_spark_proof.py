"""Proof of the environment archive (make spark-proof): executors that know nothing of the checkout make the bytes of Luigi's workers."""

import configparser
import json
import logging
import os
import shutil
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.store import schema
from luigi_tasks.block_plan import PLAN
from luigi_tasks.engines import spark_launch
from luigi_tasks.engines.executor_options import executor_options
from luigi_tasks.engines.request import BlocksRequest, outcomes_key, settings_of
from luigi_tasks.engines.software import software
from luigi_tasks.targets import BLOCK_MARK
from tests.crash.content import Content, content_of
from tests.fixtures.campaigns import BEFORE_PIXELS, ROOT, Place, part_of
from tests.fixtures.clusters import SparkCluster, running_cluster
from tests.fixtures.commands import BIN, environment
from tests.fixtures.storage import S3Place, S3Server, new_s3_place
from tests.tasks.test_s3_campaign import ROWS, contents
from tests.tasks.test_spark import injected

pytestmark = pytest.mark.spark_proof

logger = logging.getLogger(__name__)

ARCHIVE = ROOT / "halo_data/environment.tar.gz"
KEPT = ("PATH", "JAVA_HOME", "LANG", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
WHERE = """
import json, os, sys
from pyspark import SparkContext

def where(_):
    import halo_core, luigi_tasks, numba
    names = ("PYTHONPATH", "NUMBA_CACHE_DIR", "OMP_NUM_THREADS")
    return [halo_core.__file__, luigi_tasks.__file__, sys.executable, os.getcwd(), sys.path, *map(os.environ.get, names)]

print("found", json.dumps(SparkContext().parallelize(range(4), 4).map(where).collect()))
"""


@pytest.fixture(scope="module")
def bare_cluster(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    """A cluster whose machines have Java, the system's Python and credentials, and nothing of this project."""
    folder = tmp_path_factory.mktemp("bare")
    bare = {name: os.environ[name] for name in KEPT if name in os.environ} | {"HOME": str(folder / "no_home")}
    bare["PATH"] = os.pathsep.join(part for part in bare["PATH"].split(os.pathsep) if Path(part) != BIN)
    with running_cluster(folder, environment=bare) as cluster:
        yield cluster


def by_archive(cluster: SparkCluster) -> dict[str, str]:
    """Return the settings by which blocks go to a cluster with the archive."""
    return {"engine.name": "spark", "spark.submit": json.dumps(cluster.submit_options()), "spark.archive": str(ARCHIVE)}


@dataclass(frozen=True)
class S3ClusterPlace(S3Place):
    """A place on S3 whose blocks go elsewhere."""

    engine: Mapping[str, str] = field(default_factory=dict)

    def config(self) -> configparser.ConfigParser:
        """Return the place's configuration, which names the engine."""
        parser = super().config()
        for name, value in self.engine.items():
            parser.set(*name.split("."), value)
        return parser


def submit(cluster: SparkCluster, *words: str) -> str:
    """Run an application with the archive, and return what it says."""
    needed = executor_options(str(ARCHIVE), driver_python=sys.executable)
    command = [str(BIN / "spark-submit"), *needed, *cluster.submit_options(), *words]
    path = os.pathsep.join([str(BIN), os.environ["PATH"]])
    return subprocess.run(command, env={**os.environ, "PATH": path}, stdout=subprocess.PIPE, text=True, check=True).stdout


def test_the_archive_holds_the_project_and_no_path_of_this_machine(tmp_path: Path) -> None:
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path / "moved", filter="fully_trusted")
    site = next((tmp_path / "moved/lib").glob("python3.*/site-packages"))
    assert not [path for pattern in ("*.nbi", "*.nbc", "__editable__*", "direct_url.json") for path in site.rglob(pattern)]
    assert not [path for path in site.rglob("*.pyc") if path.is_relative_to(site / "halo_core") and str(ROOT).encode() in path.read_bytes()]
    shown = "import luigi_tasks.engines.request as r, luigi_tasks.engines.software as s; print(r.__file__, s.software()['sources'])"
    words = [str(tmp_path / "moved/bin/python"), "-c", shown]
    found = subprocess.run(words, cwd="/", env={"HOME": str(tmp_path)}, capture_output=True, text=True, check=True).stdout.split()
    assert found == [str(site / "luigi_tasks/engines/request.py"), software()["sources"]]


def test_executors_import_from_the_archive_alone(bare_cluster: SparkCluster, tmp_path: Path) -> None:
    script = tmp_path / "where.py"
    script.write_text(WHERE)
    said = submit(bare_cluster, str(script))
    for core, tasks, python, folder, path, python_path, compiled, threads in json.loads(said.partition("found")[2]):
        assert Path(folder).is_relative_to(bare_cluster.folder)
        assert all(Path(file).is_relative_to(f"{folder}/environment") for file in (core, tasks, python))
        assert str(ROOT) not in path
        assert not [part for part in python_path.split(os.pathsep) if "pyspark" not in part and "spark-" not in part]
        assert (compiled, threads) == ("numba_cache", "1")


def is_asked(key: str) -> bool:
    """Return whether an object is what a cluster was asked or told: the plan of a summary is made for clusters alone."""
    return "/_engine/" in key or (key.startswith("summary/") and key.endswith(f"/{PLAN}"))


def run_demo(folder: Path, engine: dict[str, str]) -> Content:
    """Run the demo campaign by its command line in a new folder, and return what it left behind; rows hold the folder's path."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    config = configparser.ConfigParser(interpolation=None)
    config.read([ROOT / "luigi.cfg", ROOT / "campaigns/demo.cfg"])
    config["core"]["logging_conf_file"] = str(ROOT / "logging.cfg")
    for name, value in engine.items():
        config.set(*name.split("."), value)
    with (folder / "luigi.cfg").open("w") as handle:
        config.write(handle)
    place = Place(folder)
    schema.upgrade(place.state_url)
    words = [str(BIN / "luigi"), "--module", "luigi_tasks", "RunCampaign", "--local-scheduler", "--workers", "2"]
    start = time.monotonic()
    subprocess.run(words, cwd=folder, env=environment(None), check=True)
    logger.info("%s: %.0f s", engine or "local", time.monotonic() - start)
    return content_of(place.objects, place.state_url)


def test_the_demo_on_a_bare_cluster_has_the_bytes_and_rows_of_luigis_workers(bare_cluster: SparkCluster, tmp_path: Path) -> None:
    found, wanted = run_demo(tmp_path / "demo", by_archive(bare_cluster)), run_demo(tmp_path / "demo", {})
    asked = [key for key in found.objects if is_asked(key)]
    for key in asked:
        del found.objects[key]
    assert len(asked) >= 2
    assert found.differences(wanted) == []
    logger.info("the same %d objects and %d rows", len(found.objects), found.n_rows)


def test_a_campaign_on_s3_and_a_bare_cluster_has_the_bytes_and_rows_of_luigis_workers_in_a_folder(
    bare_cluster: SparkCluster, s3_server: S3Server, done_place: Place, tmp_path: Path
) -> None:
    on_s3 = new_s3_place(tmp_path, s3_server)
    place = S3ClusterPlace(tmp_path, root=on_s3.root, server=on_s3.server, settings=on_s3.settings, engine=by_archive(bare_cluster))
    assert place.run() == LuigiStatusCode.SUCCESS
    found, wanted = contents(place.objects), contents(done_place.objects)
    assert [key for key in found.keys() | wanted.keys() if found.get(key) != wanted.get(key) and not is_asked(key)] == []
    for query in ROWS:
        assert place.rows(query) == done_place.rows(query) != []


def test_two_executors_that_do_one_block_at_the_same_time_make_one_commit_and_the_same_bytes(
    bare_cluster: SparkCluster, done_place: Place, tmp_path: Path
) -> None:
    place = part_of(done_place, tmp_path, (*BEFORE_PIXELS, "cache"))
    digest = place.task().digest_of("injection")
    plan = done_place.objects.read(f"injection/{digest}/_plan.json")
    place.objects.put(f"injection/{digest}/_plan.json", plan)
    blocks, key = (0, 0, 1, 1, 2, 2), f"injection/{digest}/_engine/twice.json"
    root = str(place.objects.root)
    place.objects.put(key, BlocksRequest("injection", digest, root, place.task().survey.root, blocks, settings_of(), software()).to_json())
    submit(bare_cluster, spark_launch.__file__, root, key)
    told = json.loads(place.objects.read(outcomes_key(key)))
    assert [(outcome["block"], outcome["error"]) for outcome in told] == [(block, None) for block in blocks]
    names = [name for name in place.seen(f"injection/{digest}") if "/block=" in name]
    assert sum(name.endswith(BLOCK_MARK) for name in names) == 3
    marks = {name for name in names if name.endswith(BLOCK_MARK)}
    ours, theirs = injected(place), injected(done_place)
    assert {name: sha256 for name, sha256 in ours.items() if name not in marks} == {
        name: sha256 for name, sha256 in theirs.items() if name not in marks
    }
    assert {name: json.loads(place.objects.read(name))["objects"] for name in marks} == {
        name: json.loads(done_place.objects.read(name))["objects"] for name in marks
    }
