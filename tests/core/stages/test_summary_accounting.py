"""What the summary refuses to count, controls, criteria, configuration and regions."""

import numpy as np
import pyarrow as pa
import pytest

from halo_core.errors import AccountingError, ConfigurationError, ConventionError
from halo_core.flags import Flag
from halo_core.stages.criteria import Criterion, meets
from halo_core.stages.summary_regions import region_scatter
from halo_core.stages.summary_rows import TASK_COLUMNS, result_columns
from halo_core.statistics import between_region_scatter
from tests.fixtures.summaries import (
    MATCHED,
    PROXY,
    control,
    controls_of,
    lost,
    random_campaign,
    regions_of,
    summarised,
    summary_config,
    tables,
)

CONFIG = summary_config()
METRICS = ("snr_matched_r", "snr_peak_pixel_r", "psf_fwhm_used_r_arcsec", "bad_pixel_frac", "wise_brightmask_frac")


@pytest.mark.parametrize("metric", METRICS)
def test_evaluated_row_without_a_metric_is_an_error_and_never_zero_or_missed(metric):
    with pytest.raises(AccountingError, match=metric):
        summarised(*tables([{}, {metric: None}]), CONFIG)


def test_metric_that_is_not_finite_is_an_error():
    with pytest.raises(AccountingError, match="snr_matched_r"):
        summarised(*tables([{"snr_matched_r": float("inf")}]), CONFIG)


@pytest.mark.parametrize(
    "row",
    [
        {"metrics_ok": False},
        {"cutout_ok": False},
        {"flags": Flag.BRICK_MISSING.value},
        {"metrics_ok": False, "flags": Flag.HAS_BAD_PIXELS.value},
    ],
)
def test_loss_without_reason_or_count_in_spite_of_one_is_an_error(row):
    with pytest.raises(AccountingError, match="loss flag"):
        summarised(*tables([{}, row]), CONFIG)


def test_note_bits_do_not_make_a_loss():
    cells = summarised(*tables([{"flags": (Flag.HAS_BAD_PIXELS | Flag.PSF_FROM_BRICK).value}]), CONFIG)
    assert cells["n_evaluated"][0].as_py() == 1


def test_every_task_needs_exactly_one_result():
    tasks, results = tables([{}] * 4)
    with pytest.raises(AccountingError, match=r"1 of 4 tasks have no result, first t000003"):
        summarised(tasks, results.slice(0, 3), CONFIG)
    with pytest.raises(AccountingError, match="1 results belong to no task"):
        summarised(tasks.slice(0, 3), results, CONFIG)
    with pytest.raises(AccountingError, match="results: 5 rows have 4 distinct"):
        summarised(tasks, pa.concat_tables([results, results.slice(0, 1)]), CONFIG)
    with pytest.raises(AccountingError, match="manifest: 5 rows have 4 distinct"):
        summarised(pa.concat_tables([tasks, tasks.slice(0, 1)]), results, CONFIG)


def test_empty_manifest_is_an_error():
    with pytest.raises(AccountingError, match="no task"):
        summarised(*tables([]), CONFIG)


def test_missing_column_is_named():
    tasks, results = tables([{}])
    with pytest.raises(ConventionError, match=r"manifest: columns missing \['ra'\]"):
        summarised(tasks.drop_columns(["ra"]), results, CONFIG)
    with pytest.raises(ConventionError, match=r"results: columns missing \['flags'\]"):
        summarised(tasks, results.drop_columns(["flags"]), CONFIG)


def test_columns_that_are_read_are_enough():
    tasks, results = random_campaign(30, seed=1)
    few = summarised(tasks.select(list(TASK_COLUMNS)), results.select(list(result_columns(CONFIG))), CONFIG)
    assert few.equals(summarised(tasks, results, CONFIG))


def test_weight_that_is_not_positive_is_an_error():
    with pytest.raises(AccountingError, match="sampling_weight is 0"):
        summarised(*tables([{"sampling_weight": 0.0}]), CONFIG)


def test_manifest_of_controls_alone_has_no_cells():
    assert summarised(*tables([control()] * 3), CONFIG).num_rows == 0


def test_truth_only_criteria_are_not_applicable_to_controls_and_never_zero():
    rows = controls_of(*tables([{}] * 3 + [control()] * 4 + [{**lost(Flag.BRICK_MISSING), "is_control": True}]), CONFIG)
    assert [row["criterion"] for row in rows] == ["proxy_reference", "snr_matched"]
    for row in rows:
        assert (row["n_controls"], row["n_evaluated"], row["n_not_evaluated"]) == (5, 4, 1)
        assert (row["n_called"], row["called_frac"]) == (None, None)
        assert row["note"].startswith("not applicable")


def test_detector_is_counted_on_controls_and_on_injections():
    tasks, results = tables([{}] * 4 + [control()] * 4)
    results = results.append_column("score", pa.array([0.9, 0.8, 0.7, 0.1, 0.6, 0.2, 0.1, 0.0]))
    config = summary_config(criteria=(Criterion("detector", 3, (("score", 0.5),), False, "score ≥ 0.5"),))
    (row,) = controls_of(tasks, results, config)
    assert (row["n_called"], row["called_frac"], row["note"]) == (1, 0.25, "")
    cell = summarised(tasks, results, config).to_pylist()[0]
    assert (cell["criterion"], cell["criterion_version"], cell["n_recovered"]) == ("detector", 3, 3)


def test_control_without_a_score_is_an_error():
    tasks, results = tables([control()] * 2)
    config = summary_config(criteria=(Criterion("detector", 1, (("score", 0.5),), False, "score"),))
    with pytest.raises(AccountingError, match="score"):
        controls_of(tasks, results.append_column("score", pa.array([0.3, None])), config)


def test_thresholds_are_inclusive_and_all_must_hold():
    metrics = {"snr_peak_pixel_r": np.array([5.0, 4.99, 9.0, np.nan]), "resolution": np.array([0.8, 0.9, 0.79, 1.0])}
    np.testing.assert_array_equal(meets(PROXY, metrics), [True, False, False, False])
    assert PROXY.metrics == ("snr_peak_pixel_r", "resolution")
    assert (PROXY.is_truth_only, MATCHED.is_truth_only) == (True, True)


@pytest.mark.parametrize(
    "change",
    [
        {"criteria": ()},
        {"criteria": (PROXY, PROXY)},
        {"cluster_nside": 33},
        {"cluster_nside": 0},
        {"min_n": 0},
        {"clean_max_bad_pixel_frac": 1.2},
        {"clean_max_wise_frac": -0.1},
        {"psf_fwhm_bin_width_arcsec": 0.0},
        {"psfdepth_bin_width_mag": float("nan")},
        {"resolution_edges": (0.4, 0.4)},
        {"snr_matched_r_edges": ()},
    ],
)
def test_configuration_that_cannot_be_summarised_is_refused(change):
    with pytest.raises(ConfigurationError, match=next(iter(change))):
        summary_config(**change)


@pytest.mark.parametrize("minimums", [(), (("score", float("nan")),)])
def test_criterion_without_a_threshold_is_refused(minimums):
    with pytest.raises(ConfigurationError, match="detector"):
        Criterion("detector", 1, minimums, False, "")


def test_region_cells_add_up_and_their_scatter_has_no_binomial_noise():
    tasks, results = random_campaign(300, seed=6)
    cells = regions_of(tasks, results, CONFIG)
    rows = [row for row in cells.to_pylist() if row["subset"] == "all" and row["criterion"] == "snr_matched"]
    assert sum(row["n_task"] for row in rows) == np.count_nonzero(~tasks["is_control"].to_numpy())
    scatter = region_scatter(cells)
    first = scatter[0]
    members = [
        row
        for row in cells.to_pylist()
        if all(row[name] == first[name] for name in ("tier", "stamp_size", "criterion", "subset", "theta_e_arcsec"))
    ]
    expected = between_region_scatter([row["n_recovered"] for row in members], [row["n_evaluated"] for row in members])
    assert (first["std_between"], first["std_raw"], first["n_regions"]) == (expected.std_between, expected.std_raw, expected.n_regions)
    assert all(row["std_between"] is None or 0 <= row["std_between"] <= row["std_raw"] + 1e-12 for row in scatter)


def test_region_where_nothing_was_evaluated_is_null():
    (row, *_) = regions_of(*tables([lost(Flag.BRICK_MISSING, region_id=7)]), CONFIG).to_pylist()
    assert (row["region_id"], row["n_task"], row["completeness"]) == (7, 1, None)
    assert region_scatter(regions_of(*tables([{}]), CONFIG))[0]["std_raw"] is None
