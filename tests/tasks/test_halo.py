"""Laws of the `halo` command: every subcommand does what it says, says what it did, and fails with one sentence and exit code 1."""

import subprocess
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from halo_core.store.schema import head_revision
from luigi_tasks.cli import main
from tests.fixtures.campaigns import Place
from tests.fixtures.commands import BIN, environment


def halo(*words: object) -> Result:
    """Run a subcommand in this process, on a wide terminal."""
    return CliRunner(env={"COLUMNS": "200"}).invoke(main, [str(word) for word in words])


@pytest.fixture
def here(done_place: Place) -> Place:
    """The done place, named by the configuration of this process."""
    done_place.activate()
    return done_place


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command below a group, with its words."""
    for name, command in group.commands.items():
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def test_every_command_and_option_has_a_help_text() -> None:
    found = dict(commands(main))
    assert set(found) == {
        ("campaign",),
        ("campaign", "delete"),
        ("campaign", "list"),
        ("compare",),
        ("doctor",),
        ("emr",),
        ("init",),
        ("report",),
        ("stamps",),
        ("stamps", "show"),
        ("state",),
        ("state", "rebuild"),
        ("state", "upgrade"),
        ("state", "verify"),
        ("status",),
        ("storage",),
        ("storage", "check"),
        ("supervise",),
        ("validate",),
    }
    for words, command in found.items():
        result = halo(*words, "--help")
        assert result.exit_code == 0
        assert command.help
        assert " ".join(command.help.split()[:4]) in result.output
        for option in (parameter for parameter in command.params if isinstance(parameter, click.Option)):
            assert option.help, (words, option.name)


def test_doctor_finds_all_well_in_a_good_place(here: Place) -> None:
    before = here.seen()
    result = halo("doctor")
    assert result.exit_code == 0, result.output
    assert result.output.count("ok") >= 6
    for word in ("python", "packages", "renderer", "state", "objects", "survey", head_revision(), "the mock survey"):
        assert word in result.output
    assert here.seen() == before


def test_doctor_names_a_bad_objects_root_and_an_absent_state_and_exits_1(here: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    result = halo("doctor", "--objects-root", tmp_path / "file/objects", "--state-url", f"sqlite:///{tmp_path}/none.sqlite")
    assert result.exit_code == 1
    text = " ".join(result.output.replace("│", " ").split())
    assert "check that objects_root is a folder you may write to" in text
    assert "halo state upgrade" in text
    assert not (tmp_path / "none.sqlite").exists()


def test_init_writes_a_place_and_overwrites_nothing(tmp_path: Path) -> None:
    result = halo("init", tmp_path / "mysearch")
    assert result.exit_code == 0, result.output
    for name in (
        "luigi.cfg",
        "logging.cfg",
        "campaigns/demo.cfg",
        "campaigns/reference.cfg",
        "campaigns/real_field.cfg",
        "grids/grid_small.toml",
    ):
        assert (tmp_path / "mysearch" / name).stat().st_size > 0
    mine = tmp_path / "mysearch/campaigns/demo.cfg"
    mine.write_text("mine")
    (tmp_path / "mysearch/luigi.cfg").unlink()
    result = halo("init", tmp_path / "mysearch")
    assert result.exit_code == 1
    assert "exist already; give an empty or new folder" in result.output
    assert mine.read_text() == "mine"
    assert not (tmp_path / "mysearch/luigi.cfg").exists()


def test_state_upgrade_makes_the_newest_revision_and_twice_is_the_same_as_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/state.sqlite"
    for _ in range(2):
        result = halo("state", "upgrade", "--state-url", url)
        assert result.exit_code == 0, result.output
        assert result.output == f"state: {head_revision()}, the newest revision\n"


def test_a_state_url_with_a_password_is_refused_and_not_repeated() -> None:
    result = halo("state", "upgrade", "--state-url", "postgresql://me:geheim@host/db")
    assert result.exit_code == 1
    assert "holds a password" in result.output
    assert "geheim" not in result.output


def test_status_shows_stages_books_losses_and_completeness(here: Place) -> None:
    result = halo("status", "tiny")
    assert result.exit_code == 0, result.output
    for word in ("Campaign tiny", "injection", "3 of 3", "52 of 52", "BRICK_MISSING 8", "proxy_reference", "Report:", "v_task_full"):
        assert word in result.output
    rows = [line.split() for line in result.output.splitlines()]
    books = [row for row in rows if len(row) == 8 and row[1] in ("train", "test")]
    assert len(books) == 12
    assert sum(int(row[3]) for row in books) == sum(int(row[5]) for row in books) == 52
    assert sum(int(row[6]) + int(row[7]) for row in books) == 52
    assert halo("status").output == result.output


def test_status_of_an_unknown_campaign_names_the_known_ones(here: Place) -> None:
    result = halo("status", "tinny")
    assert result.exit_code == 1
    assert result.output.startswith("halo: no campaign tinny")
    assert "known: tiny" in result.output


def test_status_of_an_empty_state_says_that_there_is_none(place: Place) -> None:
    place.activate()
    result = halo("status")
    assert result.exit_code == 1
    assert "no campaign at all" in result.output


def test_a_page_does_not_depend_on_what_stands_beside_the_objects_of_a_stage(copied_place: Place, tmp_path: Path) -> None:
    copied_place.activate()
    digest = copied_place.task().digest_of("summary")
    copied_place.objects.put(f"summary/{digest}/figures/drawn_later.csv", b"1\n")
    assert halo("report", "tiny", "--out", tmp_path / "page.html").exit_code == 0
    assert (tmp_path / "page.html").read_bytes() == copied_place.report.read_bytes()


def test_report_renders_the_page_that_the_campaign_kept(here: Place, tmp_path: Path) -> None:
    result = halo("report", "tiny", "--out", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    assert result.output.strip() == str(tmp_path / "page.html")
    assert (tmp_path / "page.html").read_bytes() == here.report.read_bytes()
    result = halo("report", "other")
    assert result.exit_code == 1
    assert "no campaign is called 'other'; known: tiny" in result.output


def test_the_installed_command_says_an_error_in_one_line_and_exits_1(tmp_path: Path) -> None:
    words = [str(BIN / "halo"), "status", "--state-url", f"sqlite:///{tmp_path}/none.sqlite"]
    result = subprocess.run(words, cwd=tmp_path, env=environment(None), capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 1
    assert result.stderr == f"halo: no state database at {tmp_path}/none.sqlite; run: halo state upgrade\n"


def test_the_version_is_that_of_the_package() -> None:
    assert halo("--version").output.split()[-1] == version("dark-halo-scope")
