"""Laws of `halo storage check`: it says what a store can do, and fails where something needed is missing."""

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from luigi_tasks.cli import main
from luigi_tasks.objects import open_objects
from luigi_tasks.s3_client import forget_clients
from tests.fixtures.proxy import Answer, Fault, Proxy, on
from tests.fixtures.storage import name_server

TRIED = ("put and get", "list", "large object", "range", "put if new", "race", "clock", "delete")


def check(uri: object) -> Result:
    """Run the command on a wide terminal."""
    return CliRunner(env={"COLUMNS": "250"}).invoke(main, ["storage", "check", str(uri)])


def marks(result: Result) -> dict[str, str]:
    """Return ok or no by what was tried."""
    cells = [[cell.strip() for cell in line.split("│")] for line in result.output.splitlines() if line.startswith("│")]
    return {words[2]: words[1] for words in cells if words[2]}


def test_a_good_store_passes_and_nothing_stays(objects_root: str) -> None:
    result = check(objects_root)
    assert result.exit_code == 0, result.output
    assert marks(result) == dict.fromkeys(TRIED, "ok")
    assert "1 of 8 writers at once wins" in result.output
    assert open_objects(objects_root).list_sizes("") == {}


def test_a_store_that_cannot_be_written_fails_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = check(tmp_path / "file/objects")
    assert result.exit_code == 1
    assert marks(result) == {"put and get": "no"}
    assert "check that objects_root is a folder you may write to" in result.output


def test_wrong_credentials_are_named_and_not_shown(s3_root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-geheim")
    forget_clients()
    result = check(s3_root)
    assert result.exit_code == 1
    assert "check that boto3's credentials" in result.output
    assert "geheim" not in result.output


def test_a_store_that_ignores_if_none_match_passes_with_a_warning_that_names_what_protects(
    s3_root: str, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    name_server(monkeypatch, s3_proxy.url)
    s3_proxy.faults = [Fault(lambda method, path: method == "PUT" and path.count("/probe/") == 1 and path.count("/") == 4, refuse=501)]
    result = check(s3_root)
    assert result.exit_code == 0, result.output
    assert marks(result) == {**dict.fromkeys(TRIED, "ok"), "race": "no"}
    assert "does not honour If-None-Match" in result.output
    assert "the leases in the state alone keep two workers" in result.output


def test_a_store_whose_ranges_are_wrong_fails(s3_root: str, s3_proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    name_server(monkeypatch, s3_proxy.url)

    def shift(answer: Answer) -> None:
        if len(answer.body) == 1000 and "Content-Range" in answer.headers:
            answer.body = answer.body[1:] + b"x"

    s3_proxy.faults = [Fault(on("GET", "/large"), change=shift)]
    result = check(s3_root)
    assert result.exit_code == 1
    assert marks(result)["range"] == "no"
