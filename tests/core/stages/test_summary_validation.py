"""Checks of the summary: a sound one passes, each broken law is caught, everything fails closed."""

import numpy as np
import pyarrow as pa
import pytest

from halo_core.records import CELLS
from halo_core.stages.validation_summary import check_summary
from tests.fixtures.summaries import facts_of, random_campaign, summarised, summary_config

CONFIG = summary_config()
FACTS = facts_of(*random_campaign(70, seed=9), CONFIG)


@pytest.fixture(scope="module")
def sound() -> tuple[pa.Table, pa.Table, pa.Table]:
    """Cells, manifest and results of one campaign."""
    tasks, results = random_campaign(70, seed=9)
    return summarised(tasks, results, CONFIG), tasks, results


def failed(cells: pa.Table, tasks: pa.Table, results: pa.Table) -> set[str]:
    """Return the names of the checks that fail."""
    findings = check_summary(cells, [(tasks, results)], CONFIG, facts=FACTS)
    assert all(finding.stage == "summary" and finding.sentence for finding in findings)
    return {finding.check for finding in findings if not finding.is_ok}


def changed(cells: pa.Table, column: str, row: int, value: object) -> pa.Table:
    """Return the cells with one entry changed."""
    values = cells[column].to_pylist()
    values[row] = value
    return cells.set_column(cells.schema.get_field_index(column), CELLS.field(column), pa.array(values, type=CELLS.field(column).type))


def row_of(cells: pa.Table, **key: object) -> int:
    """Return the first row with a key."""
    return next(number for number, row in enumerate(cells.to_pylist()) if all(row[name] == value for name, value in key.items()))


def test_sound_summary_passes_every_check(sound):
    assert failed(*sound) == set()
    assert len(check_summary(sound[0], [sound[1:]], CONFIG, facts=FACTS)) == 24


def test_sound_summary_of_a_population_passes_and_a_marginal_that_lost_a_bin_does_not():
    config = summary_config(population_grids=("grid_small",))
    tasks, results = random_campaign(70, seed=9)
    cells, facts = summarised(tasks, results, config), facts_of(tasks, results, config)
    assert [finding.check for finding in check_summary(cells, [(tasks, results)], config, facts=facts) if not finding.is_ok] == []
    kept = np.ones(cells.num_rows, dtype=bool)
    kept[row_of(cells, axes="resolution_bin", subset="all")] = False
    broken = {finding.check for finding in check_summary(cells.filter(kept), [(tasks, results)], config, facts=facts) if not finding.is_ok}
    assert "marginals_are_sums_of_cells" in broken


def test_pooled_count_that_is_not_the_manifests_is_caught(sound):
    cells, tasks, results = sound
    row = row_of(cells, axes="", subset="all", region_split=None)
    wrong = changed(cells, "n_task", row, cells["n_task"][row].as_py() + 1)
    assert {"counts_add_up_to_manifest", "rows_add_up", "marginals_are_sums_of_cells", "splits_add_up"} <= failed(wrong, tasks, results)


def test_recovered_that_was_never_recovered_is_caught(sound):
    cells, tasks, results = sound
    row = row_of(cells, axes="", subset="all", criterion="snr_matched")
    wrong = changed(cells, "n_recovered", row, cells["n_recovered"][row].as_py() + 1)
    assert "counts_add_up_to_manifest" in failed(wrong, tasks, results)


def test_marginal_that_is_not_the_sum_of_its_cells_is_caught(sound):
    cells, tasks, results = sound
    row = row_of(cells, axes="theta_e_arcsec", subset="all")
    wrong = changed(cells, "n_recovered", row, cells["n_recovered"][row].as_py() + 1)
    assert "marginals_are_sums_of_cells" in failed(wrong, tasks, results)


def test_signal_to_noise_table_that_lost_a_bin_is_caught(sound):
    cells, tasks, results = sound
    kept = np.ones(cells.num_rows, dtype=bool)
    kept[row_of(cells, axes="snr_matched_r_bin", snr_matched_r_bin=2)] = False
    assert "marginals_are_sums_of_cells" in failed(cells.filter(kept), tasks, results)


def test_summary_without_its_full_surface_is_caught(sound):
    cells, tasks, results = sound
    marginals = cells.filter(np.array([axes.count(",") < 2 for axes in cells["axes"].to_pylist()]))
    assert "marginals_are_sums_of_cells" in failed(marginals, tasks, results)


@pytest.mark.parametrize(
    ("column", "value"), [("lower_95", 0.999), ("upper_95", 1.2), ("upper_68", 0.0), ("weighted_lower_95", 1.0), ("bound_upper", 0.0)]
)
def test_interval_that_does_not_hold_its_number_is_caught(sound, column, value):
    cells, tasks, results = sound
    row = row_of(cells, axes="", subset="all", criterion="snr_matched", region_split=None)
    assert cells[column][row].as_py() is not None
    assert "intervals_contain_p" in failed(changed(cells, column, row, value), tasks, results)


def test_missing_number_or_reason_is_caught(sound):
    cells, tasks, results = sound
    row = row_of(cells, axes="", subset="all", region_split=None)
    assert "rows_add_up" in failed(changed(cells, "completeness", row, None), tasks, results)
    assert "missing_interval_has_reason" in failed(changed(cells, "lower_95", row, None), tasks, results)


def test_missing_or_unknown_pool_is_caught(sound):
    cells, tasks, results = sound
    kept = np.ones(cells.num_rows, dtype=bool)
    kept[row_of(cells, axes="", subset="all", stamp_size=96)] = False
    assert "keys_complete" in failed(cells.filter(kept), tasks, results)
    row = row_of(cells, axes="", subset="all")
    assert {"keys_complete", "counts_add_up_to_manifest"} <= failed(changed(cells, "tier", row, "train"), tasks, results)


def test_unknown_missing_and_repeated_ids_are_caught(sound):
    cells, tasks, results = sound
    assert {"ids_match", "counts_add_up_to_manifest"} <= failed(cells, tasks, results.slice(1))
    assert "ids_match" in failed(cells, tasks.slice(1), results)
    assert "ids_match" in failed(cells, tasks, pa.concat_tables([results, results.slice(0, 1)]))


def test_zero_rows_fail_closed(sound):
    cells, tasks, results = sound
    assert failed(cells.slice(0, 0), tasks, results) == {"cells_not_empty"}
    assert failed(cells, tasks.slice(0, 0), results) == {"manifest_not_empty"}
    assert failed(cells, tasks, results.slice(0, 0)) == {"results_not_empty"}


def test_missing_columns_fail_closed(sound):
    cells, tasks, results = sound
    assert failed(cells.drop_columns(["deff"]), tasks, results) == {"cells_schema"}
    assert failed(cells, tasks.drop_columns(["tier"]), results) == {"manifest_columns"}
    assert failed(cells, tasks, results.drop_columns(["snr_peak_pixel_r"])) == {"results_columns"}


def test_results_that_contradict_themselves_are_a_failed_finding(sound):
    cells, tasks, results = sound
    none_ok = results.set_column(results.schema.get_field_index("metrics_ok"), "metrics_ok", pa.array([False] * results.num_rows))
    assert "counts_add_up_to_manifest" in failed(cells, tasks, none_ok)
