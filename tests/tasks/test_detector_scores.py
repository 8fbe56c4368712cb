"""A detector's scores in a campaign that has run: the summary alone is made anew, and the detector stands in every table."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import AccountingError, ConfigurationError
from halo_core.stamps import RESULTS_FILE
from luigi_tasks import SummariseCompleteness, ValidateStage
from luigi_tasks.targets import CELLS_ECSV_FILE, CELLS_FILE, CONTROLS_FILE, FACTS_FILE, TASKS_FILE
from tests.fixtures.campaigns import Place

CRITERIA = json.dumps({"cnn": {"score": "cnn_score", "minimum": 0.5}})


def test_a_table_of_scores_makes_the_summary_anew_and_the_detector_stands_in_every_table(copied_place: Place, tmp_path: Path) -> None:
    tasks, results = (copied_place.tables(word, name) for word, name in (("manifest", TASKS_FILE), ("injection", RESULTS_FILE)))
    seen = results.filter(results["metrics_ok"])["task_id"].to_pylist()
    scores = np.random.default_rng(7).random(tasks.num_rows)
    table = pa.table({"task_id": tasks["task_id"], "cnn_score": scores})
    lacking, path = tmp_path / "lacking.parquet", tmp_path / "scores.parquet"
    pq.write_table(table.filter(pc.invert(pc.equal(table["task_id"], seen[0]))), lacking)
    pq.write_table(table, path)
    words = {"scores": path, "score_criteria": CRITERIA}
    before, plain = copied_place.seen("injection"), copied_place.task().identities
    error = copied_place.error(SummariseCompleteness, **{**words, "scores": lacking})
    assert isinstance(error, AccountingError)
    assert f"1 evaluated tasks have no cnn_score (no row, or NaN), first {seen[0]}" in str(error)
    assert copied_place.run(ValidateStage, stage="summary", **words) == LuigiStatusCode.SUCCESS
    task = copied_place.task(**words)
    assert copied_place.seen("injection") == before
    assert {word for word, found in task.identities.items() if found.digest != plain[word].digest} == {"summary"}
    assert set(task.mark_of("summary")["fingerprints"]) == {"scores"}

    kind = {row["task_id"]: row["is_control"] for row in tasks.select(["task_id", "is_control"]).to_pylist()}
    score = dict(zip(tasks["task_id"].to_pylist(), scores.tolist(), strict=True))
    n_recovered, n_called = (sum(score[one] >= 0.5 for one in seen if kind[one] is is_control) for is_control in (False, True))

    def pooled(rows: list[dict]) -> int:
        whole = [row for row in rows if row["axes"] == "" and row["subset"] == "all" and row["region_split"] is None]
        return sum(row["n_recovered"] for row in whole if row["criterion"] == "cnn")

    ecsv = Table.read(copied_place.objects.path(task.key_of("summary", CELLS_ECSV_FILE))).filled(None)
    state = copied_place.rows("SELECT * FROM completeness_cells WHERE stage_digest = :digest", digest=task.digest_of("summary"))
    assert pooled(task.table_of("summary", CELLS_FILE).to_pylist()) == pooled(state) == n_recovered > 0
    assert set(ecsv["criterion"]) == {"cnn", "proxy_reference", "snr_matched"}
    controls = json.loads(copied_place.objects.read(task.key_of("summary", CONTROLS_FILE)))
    assert sum(row["n_called"] for row in controls if row["criterion"] == "cnn") == n_called > 0
    models = json.loads(copied_place.objects.read(task.key_of("summary", FACTS_FILE)))["models"]
    assert {row["status"] for row in models if row["criterion"] == "cnn"} == {"TOO_FEW_CLUSTERS"}
    assert {row["status"] for row in models if row["criterion"] != "cnn"} == {"DETERMINISTIC_CRITERION"}


@pytest.mark.parametrize("words", [{"scores": "s.parquet"}, {"score_criteria": CRITERIA}])
def test_scores_without_criteria_and_criteria_without_scores_are_refused(done_place: Place, words: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="give both"):
        _ = done_place.task(**words).identities
