"""Laws of a campaign with shot noise: the switch reaches the pixels, the state and the checks, and the campaign without it is untouched."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

from luigi_tasks import ValidateStage
from luigi_tasks.cli import main
from tests.fixtures.campaigns import BEFORE_PIXELS, Place, part_of

METRICS = "snr_matched_r, snr_matched_all, magnification, total_injected_flux_r_nmgy, electrons_per_nmgy_r"


@pytest.fixture(scope="module")
def noisy_place(done_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The tiny campaign, its planes already cached, injected and validated with shot noise."""
    place = part_of(done_place, tmp_path_factory.mktemp("noisy"), (*BEFORE_PIXELS, "cache"))
    place = Place(place.folder, {"shot_noise": "true"})
    task = place.task(ValidateStage, stage="injection")
    assert place.build(task) == LuigiStatusCode.SUCCESS
    return place


def test_every_evaluated_injection_has_its_gain_and_less_signal_to_noise(done_place: Place, noisy_place: Place) -> None:
    query = f"SELECT task_id, {METRICS} FROM v_task_full WHERE metrics_ok AND NOT is_control ORDER BY task_id"
    before, after = done_place.rows(query), noisy_place.rows(query)
    assert [row["task_id"] for row in before] == [row["task_id"] for row in after] != []
    for one, other in zip(before, after, strict=True):
        assert one["electrons_per_nmgy_r"] is None
        assert other["electrons_per_nmgy_r"] > 0.0
        assert other["snr_matched_r"] < one["snr_matched_r"]
        assert other["snr_matched_all"] < one["snr_matched_all"]
        assert other["magnification"] == one["magnification"]
        assert other["total_injected_flux_r_nmgy"] == one["total_injected_flux_r_nmgy"]


def test_a_stamp_shows_its_noise(noisy_place: Place, tmp_path: Path) -> None:
    noisy_place.activate()
    task = noisy_place.rows("SELECT task_id FROM v_task_full WHERE metrics_ok AND NOT is_control ORDER BY task_id LIMIT 1")[0]["task_id"]
    assert CliRunner().invoke(main, ["stamps", "show", task, "--out", str(tmp_path)]).exit_code == 0
    with np.load(tmp_path / f"{task}.npz") as stamp:
        assert stamp["noise"].any()
        assert np.array_equal(stamp["injected"], stamp["host"] + stamp["arc"] + stamp["noise"])


def test_a_sample_of_its_arcs_was_painted_again_at_twice_the_effort(noisy_place: Place) -> None:
    (found,) = noisy_place.rows("SELECT is_ok, observed FROM validation_findings WHERE check_name = 'renders_converged'")
    assert found["is_ok"]
    assert 0.0 < float(found["observed"]) < 1.0
