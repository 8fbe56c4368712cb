"""A detector's scores: joined by task whatever the order, format and blocks; what is missing, twice, unknown or no number is an error."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from halo_core.errors import AccountingError, ConfigurationError, SurveyDataError
from halo_core.flags import Flag
from halo_core.stages.criteria import score_criteria
from halo_core.stages.scores import ScoreTable
from halo_core.stages.summary_blocks import gather
from halo_core.stages.summary_controls import control_table
from halo_core.stages.summary_models import smooth_models
from halo_core.statistics import CompletenessModel
from tests.fixtures.planted import LAW, rows_of, smooth_sample
from tests.fixtures.summaries import MATCHED, PROXY, control, lost, summary_config, tables

CNN = {"cnn": {"score": "CNN_Score", "minimum": 0.0, "label": "my network"}}
CONFIG = summary_config(criteria=(PROXY, MATCHED, *score_criteria(CNN)))


def write(path: Path, columns: dict[str, object]) -> Path:
    """Write a table in the format of the name; a folder of two Parquet files where it has none."""
    table = pa.table(columns)
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    elif path.suffix == ".csv":
        pa.csv.write_csv(table, path)
    elif path.suffix == ".fits":
        Table({name: np.asarray(column.to_pylist()) for name, column in zip(table.column_names, table.columns, strict=True)}).write(path)
    else:
        path.mkdir()
        for number in (0, 1):
            pq.write_table(table.slice(number * 2, 2 if number == 0 else None), path / f"part{number}.parquet")
    return path


@pytest.mark.parametrize("name", ["scores.parquet", "scores.csv", "scores.fits", "folder"])
def test_scores_are_joined_by_task_in_any_order_format_and_blocks(tmp_path: Path, name: str) -> None:
    tasks, results = tables([{}, {}, control(), {}, lost(Flag.BRICK_MISSING)])
    path = write(
        tmp_path / name, {"other": [1, 2, 3, 4], "TASK_ID": ["t000003", "t000000", "t000002", "t000001"], "CNN_Score": [3, 0, 2, 1]}
    )
    blocks = [(tasks.slice(0, 3), results.slice(0, 3).take([2, 0, 1])), (tasks.slice(3), results.slice(3))]
    joined = pa.concat_tables(found for _, found in ScoreTable(path, ["cnn_score"]).join(blocks))
    assert dict(zip(joined["task_id"].to_pylist(), joined["cnn_score"].to_pylist(), strict=True)) == {
        **{f"t{number:06d}": float(number) for number in range(4)},
        "t000004": None,
    }


@pytest.mark.parametrize(
    ("columns", "error", "message"),
    [
        (
            {"task_id": ["t000000"], "cnn_score": [1.0]},
            AccountingError,
            "2 evaluated tasks have no cnn_score .*first t000001; run the detector",
        ),
        ({"cnn_score": [1.0, float("nan"), 1.0]}, AccountingError, "1 evaluated tasks have no cnn_score .*first t000001"),
        ({"task_id": ["t000000", "t000001", "t000002", "z"]}, AccountingError, "1 rows belong to no task of the campaign, first z; leave"),
        ({"task_id": ["t000000", "t000001", "t000002", "t000001"]}, SurveyDataError, "1 rows repeat a task, first t000001; give each"),
        ({"cnn_score": [1.0, float("inf"), 1.0]}, SurveyDataError, "1 scores cnn_score are infinite, first inf of task t000001"),
        ({"cnn_score": ["high", "low", "low"]}, SurveyDataError, "cnn_score is .*first .*high.* of task t000000; numbers"),
        ({"task_id": [1, 2, 3]}, SurveyDataError, "task_id is int64, text is needed"),
        ({"cnn_score": None}, SurveyDataError, r"no column \['cnn_score'\]"),
        ({"task_id": [], "cnn_score": []}, SurveyDataError, "no row; give one row per task"),
    ],
)
def test_scores_that_cannot_be_used_are_named(tmp_path: Path, columns: dict, error: type[Exception], message: str) -> None:
    n = len(columns.get("task_id", "abc"))
    whole = {"task_id": [f"t{number:06d}" for number in range(n)], "cnn_score": [1.0] * n} | columns
    path = write(tmp_path / "s.parquet", {name: values for name, values in whole.items() if values is not None})
    tasks, results = tables([{}, {}, control()])
    with pytest.raises(error, match=message):
        gather(ScoreTable(path, ["cnn_score"]).join((tasks.slice(row, 1), results.slice(row, 1)) for row in range(3)), CONFIG)


def test_controls_are_called_by_their_score_and_never_by_what_reads_the_truth(tmp_path: Path) -> None:
    tasks, results = tables([{}, control(), control(), control(), lost(Flag.BRICK_MISSING, is_control=True)])
    path = write(tmp_path / "s.parquet", {"task_id": [f"t{n:06d}" for n in range(4)], "cnn_score": [1.0, -1.0, 0.0, -0.1]})
    campaign = gather(ScoreTable(path, ["cnn_score"]).join([(tasks, results)]), CONFIG)
    rows = {row["criterion"]: row for row in control_table(((one.key, one.controls) for one in campaign), CONFIG)}
    assert (rows["cnn"]["n_controls"], rows["cnn"]["n_evaluated"], rows["cnn"]["n_called"], rows["cnn"]["called_frac"]) == (4, 3, 1, 1 / 3)
    assert (rows["snr_matched"]["n_called"], rows["proxy_reference"]["called_frac"]) == (None, None)


def test_a_planted_law_of_a_detector_is_fitted_stored_and_read_again(tmp_path: Path) -> None:
    samples = {split: smooth_sample(np.random.default_rng(seed), mean_size=60.0) for split, seed in (("train", 41), ("val", 42))}
    rows = [row for split, sample in samples.items() for row in rows_of(sample, split)]
    tasks, results = tables(rows)
    scores = {"task_id": tasks["task_id"], "cnn_score": [row["snr_aperture_r"] for row in rows]}
    (one,) = gather(ScoreTable(write(tmp_path / "s.parquet", scores), ["cnn_score"]).join([(tasks, results)]), CONFIG)
    made = {found.row["criterion"]: found for found in smooth_models([one], CONFIG)}
    assert [made[name].row["status"] for name in ("proxy_reference", "snr_matched", "cnn")] == [*["DETERMINISTIC_CRITERION"] * 2, "FITTED"]
    (tmp_path / "model.json").write_text(made["cnn"].model.to_json())
    ratio, snr = 0.8, 20.0
    value, lower, upper = CompletenessModel.load(tmp_path / "model.json")(theta_e_arcsec=ratio, psf_fwhm_arcsec=1.0, snr_matched=snr)
    truth = 0.95 / (1.0 + np.exp(-(LAW[0] + LAW[1] * np.log(ratio) + LAW[2] * np.log(snr))))
    assert lower < truth < upper
    assert upper - lower < 0.3
    assert made["cnn"].row["brier"] < made["cnn"].row["brier_constant"]
    assert value == pytest.approx(truth, abs=0.1)


@pytest.mark.parametrize(
    "content",
    [
        {"CNN": {"score": "a", "minimum": 1}},
        {"cnn": {"score": "a"}},
        {"cnn": {"score": "a", "minimum": "1"}},
        {"cnn": {"score": "a", "minimum": True}},
        {"cnn": {"score": "a", "minimum": float("nan")}},
        {"cnn": {"score": "a", "minimum": 1, "maximum": 2}},
        {"cnn": {"score": "SNR_matched_r", "minimum": 1}},
        {"cnn": {"score": "resolution", "minimum": 1}},
        {"cnn": 0.9},
    ],
)
def test_a_criterion_of_another_form_is_refused(content: dict) -> None:
    with pytest.raises(ConfigurationError, match=r"cnn|CNN"):
        score_criteria(content)


def test_a_criterion_on_a_score_reads_no_truth_and_has_a_label() -> None:
    (named,), (bare,) = score_criteria(CNN), score_criteria({"cnn": {"score": "p", "minimum": 0.25}})
    assert (named.minimums, named.is_truth_only, named.label) == ((("cnn_score", 0.0),), False, "my network")
    assert bare.label == "p ≥ 0.25"


def test_a_lost_task_without_a_row_uses_no_other_tasks_row(tmp_path: Path) -> None:
    path = write(tmp_path / "s.parquet", {"task_id": ["z"], "cnn_score": [1.0]})
    with pytest.raises(AccountingError, match="1 rows belong to no task of the campaign, first z"):
        list(ScoreTable(path, ["cnn_score"]).join([tables([lost(Flag.BRICK_MISSING)])]))
