"""Laws of the real command line: exit codes, what an error says, and a plan that counts exactly and leaves nothing."""

import configparser
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

import luigi_tasks
from luigi_tasks.cli import main
from tests.fixtures.campaigns import Place
from tests.fixtures.commands import lay_out, luigi_words, run_command

TASK_FAILED, SCHEDULING_ERROR = 30, 35


def files_below(folder: Path) -> set[Path]:
    """Return every file below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def ask_for(name: str, value: str) -> Callable[[configparser.ConfigParser], None]:
    """Return a change of one parameter of the campaign."""

    def change(config: configparser.ConfigParser) -> None:
        config["campaign"][name] = value

    return change


def forget_the_seed(config: configparser.ConfigParser) -> None:
    """Take the sampling seed out of the campaign."""
    del config["campaign"]["sampling_seed"]


def put_objects_below_a_file(config: configparser.ConfigParser) -> None:
    """Name a root of objects that is below a file."""
    config["objects"]["root"] = "luigi.cfg/objects"


REFERENCE_FLAGS = """
    --variant v3_color_relaxed  --tiers debug,grid,train  --stamp-sizes 64,96  --bandsets grz
    --n-total-train-per-split 200000  --n-per-config-grid 40  --n-per-config-debug 5  --replicates 2
    --control-frac-train 0.50  --control-frac-grid 0.10  --control-frac-debug 0.0  --split-seed 13  --sampling-seed 13
    --grid-debug grid_small  --grid-grid grid_medium  --grid-train grid_small
"""


@pytest.mark.parametrize(("task", "flags"), [("RunCampaign", ""), ("BuildManifest", REFERENCE_FLAGS)])
def test_the_plan_of_the_reference_campaign_has_its_exact_counts_exits_0_and_leaves_no_file(tmp_path: Path, task: str, flags: str) -> None:
    assert CliRunner().invoke(main, ["init", str(tmp_path)]).exit_code == 0
    before = files_below(tmp_path)
    result = run_command(tmp_path, luigi_words(task, *flags.split(), "--plan-only"), campaign="campaigns/reference.cfg")
    assert result.returncode == 0, result.stdout
    for sentence in (
        "debug: 1,440 physical injections and 0 controls",
        "grid: 86,400 physical injections and 9,600 controls",
        "train: 600,000 physical injections and 600,000 controls",
        "all: 1,297,440 physical injections and controls, 2,594,880 tasks (rows)",
        "Bricks: at most 662,174, for the parents are not selected yet; blocks: 260 to ",
        "Hosts: 900,000; arcs: 687,840; stored at 96 pixels in grz.",
    ):
        assert sentence in result.stdout
    assert files_below(tmp_path) == before


def test_a_plan_checks_the_supply_of_a_parent_catalogue_that_is_there(done_place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    before = done_place.seen()
    done_place.task(plan_only=True).run()
    printed = capsys.readouterr().out
    assert "The hosts suffice." in printed
    assert "Bricks: 6, as the manifest has them; blocks: 3." in printed
    task = done_place.task(plan_only=True, n_per_config_debug=1000, on_shortage="reduce")
    assert not task.complete()
    task.run()
    assert task.complete()
    assert "short: tier debug, split train: at least 1000 distinct hosts are needed" in capsys.readouterr().out
    assert done_place.seen() == before


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (ask_for("n_per_config_debug", "1000"), TASK_FAILED, ["ManifestError", "tier debug", "1000 distinct hosts"]),
        (put_objects_below_a_file, SCHEDULING_ERROR, ["ObjectStoreError", "luigi.cfg/objects", "Not a directory"]),
        (forget_the_seed, None, ["sampling_seed"]),
    ],
)
def test_a_run_that_cannot_be_exits_with_its_code_and_says_why(
    copied_place: Place, change: Callable[[configparser.ConfigParser], None], code: int | None, words: list[str]
) -> None:
    lay_out(copied_place, change)
    before = copied_place.seen()
    result = run_command(copied_place.folder, luigi_words("RunCampaign"))
    assert result.returncode != 0
    assert code is None or result.returncode == code
    for word in words:
        assert word in result.stdout
    assert {key: value for key, value in copied_place.seen().items() if key in before} == before


def test_every_parameter_of_every_entry_task_is_explained_and_says_where_its_value_stands() -> None:
    for name in luigi_tasks.__all__:
        for parameter_name, parameter in getattr(luigi_tasks, name).get_params():
            assert parameter.description, (name, parameter_name)
    words = dict(luigi_tasks.RunCampaign.get_params())
    assert words["sampling_seed"].description.endswith("[campaign] sampling_seed")
    assert words["survey_root"].description.endswith("[survey] root")
