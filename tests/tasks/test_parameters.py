"""Laws of the parameters: text and value are each other's inverse, and progress is told as a person reads it."""

from pathlib import Path
from types import SimpleNamespace

import luigi
import pytest

from halo_core.errors import ConfigurationError
from luigi_tasks.objects import FolderObjects
from luigi_tasks.parameters import EdgesParameter, NamesParameter, NumbersParameter, SizesParameter, SwitchParameter
from luigi_tasks.places import MOCK, survey_place
from luigi_tasks.progress import Progress, describe, duration
from tests.fixtures.campaigns import Place

CASES = [
    (NamesParameter, "debug, grid ,train", ("debug", "grid", "train"), "debug,grid,train"),
    (SizesParameter, "64, 96", (64, 96), "64,96"),
    (NumbersParameter, "train:0.7, val:0.15", (("train", 0.7), ("val", 0.15)), "train:0.7,val:0.15"),
    (EdgesParameter, "0.4,0.60,1", (0.4, 0.6, 1.0), "0.4,0.6,1.0"),
]
SWITCHES = [("true", True), ("false", False)]


@pytest.mark.parametrize(("kind", "text", "value", "written"), CASES)
def test_a_parameter_reads_what_it_writes(kind: type[luigi.Parameter], text: str, value: tuple[object, ...], written: str) -> None:
    parameter = kind()
    assert parameter.parse(text) == value
    assert parameter.serialize(value) == written
    assert parameter.parse(written) == value
    assert parameter.normalize(list(value)) == parameter.normalize(text) == value


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (SizesParameter, "64,big", "stamp sizes '64,big'.*such as 64,96"),
        (NumbersParameter, "train=0.7", "such as train:0.70"),
        (NumbersParameter, "train:much", "such as train:0.70"),
        (EdgesParameter, "0.4;0.6", "edges '0.4;0.6'.*such as 0.4,0.6"),
        (SwitchParameter, "on", "switch 'on': true or false"),
        (SwitchParameter, "", "switch '': true or false"),
    ],
)
def test_a_text_that_cannot_be_read_is_an_error_with_an_example(kind: type[luigi.Parameter], text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        kind().parse(text)


@pytest.mark.parametrize(("text", "value"), SWITCHES)
def test_a_switch_reads_what_it_writes_and_has_no_default(text: str, value: bool) -> None:
    parameter = SwitchParameter()
    assert parameter.parse(text) is parameter.normalize(text) is parameter.normalize(value) is value
    assert parameter.serialize(value) == text
    with pytest.raises(luigi.parameter.MissingParameterException):
        parameter.task_value("AnyTask", "any_switch")


def test_a_task_s_parameters_survive_the_way_through_text(place: Place) -> None:
    task = place.task()
    assert type(task).from_str_params(task.to_str_params()) == task


def test_the_name_of_a_task_is_short_and_holds_no_state_url(place: Place) -> None:
    assert repr(place.task()) == "RunCampaign(campaign=tiny, plan_only=False)"


def test_two_releases_or_folders_of_a_survey_share_no_cache(tmp_path: Path) -> None:
    objects = FolderObjects(tmp_path / "objects")
    for name in ("a", "b"):
        (tmp_path / name / "coadd").mkdir(parents=True)
    places = [survey_place(str(tmp_path / name), release, objects) for name in ("a", "b") for release in ("dr10", "dr11")]
    assert len({place.source_id for place in places}) == 4
    assert all(place.source_id.startswith(str(place.identity["release"])) for place in places)


def test_the_mock_survey_is_known_by_its_parameters_and_lies_among_the_objects(place: Place) -> None:
    place.activate()
    found = survey_place(MOCK, "dr10", place.objects)
    assert found.mock is not None
    assert (found.mock.n_bricks, found.mock.brick_size_pix) == (6, 220)
    assert Path(found.root).is_relative_to(place.objects.root / "mock_survey")


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (3600, "60 min"), (5400, "1.5 h")])
def test_a_length_of_time_is_told_in_its_own_unit(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("done", "elapsed_s", "text"),
    [(0, 0.0, "0.0/s, starting"), (500, 10.0, "50.0/s, about 30 s left"), (2000, 10.0, "200.0/s, done")],
)
def test_progress_says_how_much_how_fast_and_how_long_still(done: int, elapsed_s: float, text: str) -> None:
    assert describe("injection", done=done, total=2000, unit="tasks", elapsed_s=elapsed_s) == f"injection: {done:,} of 2,000 tasks, {text}"


def test_the_last_step_is_shown_on_the_scheduler_s_page_and_a_task_run_by_hand_needs_none() -> None:
    percentages: list[int] = []
    messages: list[str] = []
    Progress("x", total=4, unit="tasks", task=SimpleNamespace(set_progress_percentage=None, set_status_message=None)).step(4)  # type: ignore[arg-type]
    told = SimpleNamespace(set_progress_percentage=percentages.append, set_status_message=messages.append)
    progress = Progress("x", total=4, unit="tasks", task=told)  # type: ignore[arg-type]
    progress.step(3)
    progress.step(1)
    assert percentages == [100]
    assert messages[0].startswith("x: 4 of 4 tasks")
