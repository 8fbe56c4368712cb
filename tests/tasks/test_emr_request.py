"""Laws of what EMR is asked: the exact request, words that stay words, the archive of the nodes' own kind."""

import json
from collections.abc import Iterator
from pathlib import Path

import luigi
import pytest

from halo_core.errors import ConfigurationError
from luigi_tasks.engines.emr_request import Staged, emr_request, name_of, step_command
from luigi_tasks.engines.emr_settings import EmrSettings, machine_of
from luigi_tasks.engines.emr_staging import archive_kind, check_archive
from tests.fixtures.campaigns import ROOT
from tests.fixtures.emr import make_archive

STAGED = Staged("s3://your-bucket/halo/_engine/a/environment.tar.gz", "s3://your-bucket/l.py", "s3://your-bucket/b.sh")
KEY = "injection/0123/_engine/emr-0000.json"
ARGUMENTS = ["s3://your-bucket/halo", KEY, "objects.region=us-west-2", "objects.words=two words; 'x' \"y\""]
GOLDEN = ROOT / "tests/data/emr_requests.json"
EVERY_OPTION = {
    "release": "emr-7.10.0",
    "primary_type": "m7i.large",
    "core_type": "c7i.2xlarge",
    "core_count": 3,
    "task_type": "c7i.4xlarge, m7i.4xlarge",
    "task_count": 20,
    "spot_percent": 60.0,
    "spot_wait_minutes": 30,
    "ebs_gb": 200,
    "service_role": "EMR_DefaultRole_V2",
    "job_flow_role": "nodes",
    "subnet": "subnet-a,subnet-b",
    "ec2_key": "mine",
    "primary_security_group": "sg-1",
    "core_security_group": "sg-2",
    "service_security_group": "sg-3",
    "bootstrap": '["s3://your-bucket/prepare.sh"]',
    "tags": '{"project": "lenses", "year": 2026}',
    "idle_minutes": 10,
}


@pytest.fixture(autouse=True)
def no_submit_options() -> Iterator[None]:
    """Let [spark] and [emr] be as shipped, whatever ran in this process before."""
    config = luigi.configuration.get_config()
    for section in ("spark", "emr"):
        config.remove_section(section)
    yield
    config.remove_section("spark")


def asked(**options: object) -> dict[str, dict]:
    """Return the request of the first attempt at a stage."""
    name = name_of("injection", "0123", 0, "s3://your-bucket/halo")
    settings = EmrSettings(**options).check()
    return emr_request(name, step_command(name, STAGED, ARGUMENTS), STAGED, settings, "s3://your-bucket/logs")


@pytest.mark.parametrize(("case", "options"), [("defaults", {}), ("every_option", EVERY_OPTION), ("borrowed", {"cluster_id": "j-1"})])
def test_the_request_is_exactly_the_golden_one(case: str, options: dict[str, object]) -> None:
    assert asked(**options) == json.loads(GOLDEN.read_text())[case]


def test_every_word_of_the_command_stays_a_word() -> None:
    words = asked()["RunJobFlow"]["Steps"][0]["HadoopJarStep"]["Args"]
    assert words[-len(ARGUMENTS) :] == ARGUMENTS
    assert words[0] == "spark-submit"
    assert all(isinstance(word, str) for word in words)


def test_a_cluster_that_is_made_ends_itself() -> None:
    request = asked()["RunJobFlow"]
    assert request["Instances"]["KeepJobFlowAliveWhenNoSteps"] is False
    assert request["Instances"]["TerminationProtected"] is False
    assert request["Steps"][0]["ActionOnFailure"] == "TERMINATE_CLUSTER"
    assert request["AutoTerminationPolicy"] == {"IdleTimeout": 1800}


def test_options_of_the_user_come_after_ours_and_another_master_is_refused() -> None:
    config = luigi.configuration.get_config()
    config.set("spark", "submit", '["--executor-memory", "3g", "--conf", "spark.task.maxFailures=9"]')
    words = asked()["RunJobFlow"]["Steps"][0]["HadoopJarStep"]["Args"]
    assert words.index("3g") > words.index("1g")
    assert words.index("3g") < words.index(STAGED.launcher)
    for submit in ('["--master", "spark://127.0.0.1:7077"]', '["--master=local[2]"]'):
        config.set("spark", "submit", submit)
        with pytest.raises(ConfigurationError, match="names a --master"):
            asked()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"core_count": 0}, "core_count = 0: a number from 1"),
        ({"task_count": -1}, "task_count = -1: a number from 0"),
        ({"spot_percent": 0.0}, "spot_percent = 0.0: a number from 1"),
        ({"spot_wait_minutes": 2}, "spot_wait_minutes = 2: a number from 5"),
        ({"idle_minutes": 0}, "idle_minutes = 0: a number from 1"),
        ({"poll_s": 0.0}, "poll_s = 0.0: a time above 0"),
        ({"bootstrap": "s3://your-bucket/x.sh"}, "bootstrap = s3://your-bucket/x.sh: JSON is needed"),
        ({"bootstrap": '["x.sh"]'}, "s3:// URIs are needed"),
        ({"tags": "[]"}, r"tags = \[\]: JSON is needed"),
    ],
)
def test_a_setting_out_of_its_range_is_named(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        asked(**options)


def test_a_service_url_with_a_password_is_refused_and_not_repeated() -> None:
    with pytest.raises(ConfigurationError, match="holds a user or password") as caught:
        EmrSettings(endpoint_url="https://me:geheim@host").clients()
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "machine"),
    [("m7i.xlarge", "x86_64"), ("g5.xlarge", "x86_64"), ("c6gn.large", "aarch64"), ("m7g.4xlarge", "aarch64"), ("a1.large", "aarch64")],
)
def test_the_name_of_an_instance_type_tells_its_processor(kind: str, machine: str) -> None:
    assert machine_of(kind) == machine


def test_an_archive_must_be_for_the_nodes_python_and_processor(tmp_path: Path) -> None:
    archive = make_archive(tmp_path / "good.tar.gz")
    assert archive_kind(archive) == ("3.11", "x86_64")
    check_archive(archive, EmrSettings())
    with pytest.raises(ConfigurationError, match=r"made for x86_64, but instance types of .emr. are aarch64"):
        check_archive(archive, EmrSettings(task_count=1, task_type="c7g.xlarge"))
    with pytest.raises(ConfigurationError, match=r"holds Python 3\.12, but .emr. python = 3\.11"):
        check_archive(make_archive(tmp_path / "other.tar.gz", python="3.12"), EmrSettings())
    with pytest.raises(ConfigurationError, match="no environment of Python"):
        check_archive(make_archive(tmp_path / "odd.tar.gz", machine=8), EmrSettings())
    with pytest.raises(ConfigurationError, match="make environment makes it"):
        check_archive(tmp_path / "absent.tar.gz", EmrSettings())
