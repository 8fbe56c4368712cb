"""Laws of a campaign whose blocks a step of EMR does: the same rows and objects, one cluster, whoever asks."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from threading import Thread

import pytest
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import BlocksFailedError
from halo_core.store import schema
from luigi_tasks import BuildManifest, InjectAll, SubmitEmr
from luigi_tasks.cli import main
from luigi_tasks.engines.emr_request import ON_YARN_ALONE, PYTHON
from luigi_tasks.engines.request import BlocksRequest, do_block, outcomes_key
from luigi_tasks.objects import Objects
from tests.fixtures.campaigns import BEFORE_PIXELS, Place
from tests.fixtures.clusters import SparkCluster
from tests.fixtures.commands import BIN
from tests.fixtures.emr import FakeEmr, emr_settings
from tests.fixtures.services import wait_until
from tests.fixtures.storage import S3Place, S3Server
from tests.tasks.test_spark import PLANES, RESULTS

Work = Callable[[list[str], Objects], str]
"""What a step does with its words: it returns the state it ends in."""


@pytest.fixture
def place(done_place: Place, s3_root: str, s3_server: S3Server, fake_emr: FakeEmr, tmp_path: Path) -> S3Place:
    """A place on S3 where the manifest is built and no coadd was read; its blocks go to EMR, whose steps nobody does."""
    reached = s3_server.settings(tmp_path / "halo_data/object_cache")
    settings = {f"emr.{name}": value for name, value in emr_settings(tmp_path).items()}
    settings |= {"engine.name": "spark", "spark.through": "emr", "spark.poll_s": "0.1"}
    found = S3Place(tmp_path, done_place.changes, settings, root=s3_root, server=reached)
    for word in BEFORE_PIXELS:
        for key in done_place.objects.list_sizes(word):
            found.objects.copy_in(key, done_place.objects.path(key))
    schema.upgrade(found.state_url)
    return found


def do_blocks(words: list[str], objects: Objects) -> str:
    """Do the blocks of a step in this process, as the application does."""
    key = words[words.index(str(objects.root)) + 1]
    request = BlocksRequest.from_json(objects.read(key))
    outcomes = [do_block(request, block) for block in request.blocks]
    objects.put(outcomes_key(key), json.dumps([asdict(outcome) for outcome in outcomes]).encode())
    return "COMPLETED"


def worked_on(place: S3Place, cloud: FakeEmr, work: Work) -> Thread:
    """Start to do the work of the first step that comes."""

    def run() -> None:
        wait_until(lambda: bool(cloud.clusters), "a cluster", timeout_s=60)
        cloud.step.state = work(list(cloud.step.args), place.objects)

    thread = Thread(target=run)
    thread.start()
    return thread


def test_blocks_that_emr_did_are_committed_by_their_stage_which_asks_for_nothing(
    place: S3Place, done_place: Place, fake_emr: FakeEmr
) -> None:
    worker = worked_on(place, fake_emr, do_blocks)
    assert place.run(SubmitEmr) == LuigiStatusCode.SUCCESS
    worker.join()
    assert fake_emr.cluster.state == "TERMINATED"
    assert place.task(InjectAll).output().mark() is None
    assert place.run(SubmitEmr) == LuigiStatusCode.SUCCESS
    assert halo("emr", "tiny") == "injection: every block is done\n"
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert len(fake_emr.actions("RunJobFlow")) == 1
    for query in (RESULTS, PLANES):
        assert place.rows(query) == done_place.rows(query)


def halo(*words: str) -> str:
    """Return what a command says that succeeds."""
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_dry_run_prints_the_request_that_is_then_made_and_does_nothing_else(
    place: S3Place, fake_emr: FakeEmr, capsys: pytest.CaptureFixture[str]
) -> None:
    place.run(BuildManifest)
    before = place.seen()
    assert place.run(SubmitEmr, dry_run=True, stage="cache") == LuigiStatusCode.SUCCESS
    printed = json.loads(capsys.readouterr().out)
    assert json.loads(halo("emr", "tiny", "--stage", "cache", "--dry-run")) == printed
    assert place.seen() == before
    assert place.rows("SELECT * FROM blocks") == []
    assert fake_emr.asked == []
    worker = worked_on(place, fake_emr, lambda *_: "FAILED")
    error = place.error(SubmitEmr, stage="cache")
    worker.join()
    assert isinstance(error, BlocksFailedError)
    assert "cache: 3 blocks failed, first 0: EMR ended with EMR j-" in str(error)
    assert "no logs came to s3://" in str(error)
    (made,) = fake_emr.actions("RunJobFlow")
    assert {"RunJobFlow": made} == printed
    assert fake_emr.cluster.state == "TERMINATED"
    assert {row["lease_owner"] for row in place.rows("SELECT lease_owner FROM blocks")} == {None}


def test_the_command_of_a_step_does_its_blocks_on_a_cluster(
    place: S3Place, done_place: Place, fake_emr: FakeEmr, spark_cluster: SparkCluster
) -> None:
    """The words that EMR was given, with another master, the launcher as a local file, and this Python in place of the archive's."""

    def submit(words: list[str], objects: Objects) -> str:
        launcher = words.index(str(objects.root)) - 1
        local = place.folder / "spark_launch.py"
        objects.copy_out(words[launcher].removeprefix(f"{objects.root}/"), local)
        own = [str(BIN / word) if word == "spark-submit" else word.replace(PYTHON, sys.executable) for word in _off_yarn(words[:launcher])]
        command = [*own, *spark_cluster.submit_options(), str(local), *words[launcher + 1 :]]
        done = subprocess.run(command, env={**os.environ, "PYSPARK_PYTHON": sys.executable}, capture_output=True, text=True, check=False)
        (place.folder / "spark.log").write_text(done.stdout + done.stderr)
        return "COMPLETED" if done.returncode == 0 else "FAILED"

    worker = worked_on(place, fake_emr, submit)
    status = place.run(InjectAll)
    worker.join()
    assert status == LuigiStatusCode.SUCCESS, (place.folder / "spark.log").read_text()[-3000:]
    assert len(fake_emr.actions("RunJobFlow")) == 1
    for query in (RESULTS, PLANES):
        assert place.rows(query) == done_place.rows(query)


def _off_yarn(words: list[str]) -> list[str]:
    """Return words without the options, and their values, that name EMR's own cluster and files on S3."""
    pairs = pairwise(["", *words])
    return [word for before, word in pairs if word not in ON_YARN_ALONE and before not in ON_YARN_ALONE]
