"""Laws of what executors are given: one environment, one core a block, and the driver's own software or none."""

import configparser
import re
from itertools import pairwise
from pathlib import Path

import pytest

from halo_core.errors import ConfigurationError
from luigi_tasks.engines.executor_options import ONE_THREAD, RULES, executor_options
from luigi_tasks.engines.software import _hash_of, require_software, software

ROOT = Path(__file__).resolve().parents[2]


def rules(words: list[str]) -> dict[str, str]:
    """Return what the words after --conf set."""
    pairs = pairwise(words)
    return dict(value.split("=", 1) for word, value in pairs if word == "--conf")


def test_executors_without_an_archive_keep_the_drivers_python_and_its_compiled_code() -> None:
    words = executor_options("", driver_python="/opt/python")
    assert "--archives" not in words
    assert not [name for name in rules(words) if "pyspark" in name or "NUMBA_CACHE" in name]


def test_executors_with_an_archive_run_its_python_and_keep_compiled_code_in_their_own_folder() -> None:
    words = executor_options("s3://bucket/one.tar.gz", driver_python="/opt/python")
    assert words[:2] == ["--archives", "s3://bucket/one.tar.gz#environment"]
    found = rules(words)
    assert found["spark.pyspark.python"] == "./environment/bin/python"
    assert found["spark.pyspark.driver.python"] == "/opt/python"
    assert not Path(found["spark.executorEnv.NUMBA_CACHE_DIR"]).is_absolute()
    assert "spark.pyspark.driver.python" not in rules(executor_options("s3://bucket/one.tar.gz"))


def test_a_block_has_one_core_and_one_thread_wherever_it_runs() -> None:
    found = rules(executor_options(""))
    for name in ONE_THREAD:
        assert found[f"spark.executorEnv.{name}"] == found[f"spark.yarn.appMasterEnv.{name}"] == "1"
    assert {name: found[name] for name in RULES} == RULES


def test_executors_refuse_a_driver_of_other_software_and_say_what_differs() -> None:
    require_software(software())
    with pytest.raises(ConfigurationError, match=r"sources [0-9a-f]{16} and not older; .*make environment"):
        require_software({**software(), "sources": "older"})
    with pytest.raises(ConfigurationError, match=r"numpy [\d.]+ and not 1\.0"):
        require_software({"numpy": "1.0"})


def test_the_hash_of_the_sources_changes_with_a_file_and_a_name_and_not_with_the_place(tmp_path: Path) -> None:
    hashes = []
    for folder, name, text in (("a", "one", "x = 1"), ("b", "one", "x = 1"), ("c", "one", "x = 2"), ("d", "two", "x = 1")):
        (tmp_path / folder / "halo_core/stages").mkdir(parents=True)
        (tmp_path / folder / f"halo_core/stages/{name}.py").write_text(text)
        hashes.append(_hash_of(tmp_path / folder))
    assert hashes[0] == hashes[1]
    assert len({*hashes}) == 3


def pins(name: str) -> set[str]:
    """Return the pinned packages of a lock file."""
    return set(re.findall(r"^(\S+==\S+(?: ; .*?)?) \\$", (ROOT / name).read_text(), re.MULTILINE))


def test_executors_get_the_drivers_versions_and_no_driver_of_a_database_nor_pyspark() -> None:
    cluster = pins("requirements-cluster.lock")
    assert cluster <= pins("requirements-dev.lock")
    names = {pin.split("==")[0] for pin in cluster}
    assert {"numba", "galsim", "pyarrow", "luigi", "boto3"} <= names
    assert not names & {"pyspark", "psycopg2-binary", "pgpq", "pytest", "moto"}


def test_the_archive_packs_every_package_that_is_installed() -> None:
    setup, make = configparser.ConfigParser(), (ROOT / "Makefile").read_text()
    setup.read(ROOT / "setup.cfg")
    folders = dict(line.split(" = ") for line in setup["options"]["package_dir"].split("\n") if line)
    installed = {folders.get(name, name.partition(".")[0]) for name in setup["options"]["packages"].split()}
    packed = next(line for line in make.splitlines() if line.startswith("PACKAGED :="))
    assert installed <= set(packed.split())
