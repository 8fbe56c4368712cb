"""Completeness cells: three-way accounting, controls, subsets, keys, intervals."""

import json

import numpy as np
import pyarrow as pa
import pytest

from halo_core.flags import Flag
from halo_core.records import CELLS
from halo_core.stages.summary import headline, surface_axes
from halo_core.statistics import clustered_interval, weighted_interval, wilson_interval
from tests.fixtures.summaries import MATCHED, control, lost, random_campaign, regions_of, summarised, summary_config, tables

CONFIG = summary_config()


def cells_of(rows, **changes) -> list[dict]:
    """Return the cells of rows as dicts."""
    return summarised(*tables(rows), summary_config(**changes)).to_pylist()


def pick(cells, **key) -> dict:
    """Return the one cell with this key; pooled over everything and all splits, subset all, matched S/N unless told."""
    key = {"axes": "", "region_split": None, "subset": "all", "criterion": "snr_matched", **key}
    (found,) = [cell for cell in cells if all(cell[name] == value for name, value in key.items())]
    return found


def spread(rows) -> list[dict]:
    """Return the rows placed on different sky cells in turn."""
    return [{"ra": 20.0 + 3.0 * (number % 12), **row} for number, row in enumerate(rows)]


def test_injections_end_as_recovered_missed_or_not_evaluated():
    rows = [{}] * 6 + [{"snr_matched_r": 2.0}] * 3 + [lost(Flag.BRICK_MISSING), lost(Flag.BRICK_MISSING | Flag.PLANE_UNVERIFIED)]
    cell = pick(cells_of(rows))
    assert (cell["n_task"], cell["n_evaluated"], cell["n_not_evaluated"], cell["n_recovered"]) == (11, 9, 2, 6)
    assert cell["completeness"] == pytest.approx(6 / 9)
    assert (cell["bound_lower"], cell["bound_upper"]) == pytest.approx((6 / 11, 8 / 11))
    assert json.loads(cell["losses"]) == {"BRICK_MISSING": 2, "PLANE_UNVERIFIED": 1}


def test_injection_that_is_not_evaluated_is_never_missed():
    with_losses = pick(cells_of([{}] * 5 + [{"snr_matched_r": 1.0}] * 5 + [lost(Flag.OFF_IMAGE)] * 30))
    without = pick(cells_of([{}] * 5 + [{"snr_matched_r": 1.0}] * 5))
    assert with_losses["completeness"] == without["completeness"] == 0.5


def test_metrics_of_a_row_that_is_not_evaluated_do_not_count():
    bright_but_lost = {"cutout_ok": True, "metrics_ok": False, "flags": Flag.NO_GOOD_PIXEL_Z.value, "snr_matched_r": 99.0}
    cell = pick(cells_of([{"snr_matched_r": 1.0}, bright_but_lost]))
    assert (cell["n_evaluated"], cell["n_recovered"], cell["snr_matched_r_mean"]) == (1, 0, 1.0)


def test_controls_never_enter_a_completeness():
    assert cells_of([{}] * 4 + [control()] * 50) == cells_of([{}] * 4)


def test_nothing_evaluated_is_null_and_says_why():
    cells = cells_of([lost(Flag.BRICK_MISSING)] * 3)
    for cell in cells:
        assert cell["completeness"] is None
        assert cell["lower_95"] is None
        assert cell["interval_note"] == "no interval: nothing was evaluated"
    assert pick(cells)["bound_upper"] == 1.0


def test_clean_leaves_out_masked_injections_only_and_its_account_adds_up():
    masked = [{"bad_pixel_frac": 0.21}, {"wise_brightmask_frac": 0.21}]
    at_limit = [{"bad_pixel_frac": 0.2, "wise_brightmask_frac": 0.2}]
    cells = cells_of([{}] * 4 + masked + at_limit + [lost(Flag.IMAGE_MISSING_R)])
    everything, clean = pick(cells), pick(cells, subset="clean")
    assert (everything["n_task"], everything["n_evaluated"], everything["n_not_evaluated"]) == (8, 7, 1)
    assert (clean["n_task"], clean["n_evaluated"], clean["n_not_evaluated"]) == (6, 5, 1)


def test_proxy_recovers_exactly_nothing_below_its_resolution():
    resolutions = [0.79, 0.8, 0.81]
    rows = [{"theta_e_arcsec": value, "snr_peak_pixel_r": snr} for value in resolutions for snr in (4.9, 5.0)]
    cells = cells_of(rows)
    low = pick(cells, axes="resolution_bin", criterion="proxy_reference", resolution_bin=2)
    high = pick(cells, axes="resolution_bin", criterion="proxy_reference", resolution_bin=3)
    assert (low["n_evaluated"], low["n_recovered"]) == (2, 0)
    assert (high["n_evaluated"], high["n_recovered"]) == (4, 2)
    assert (high["bin_lower"], high["bin_upper"]) == (0.8, 1.0)


def test_unknown_condition_has_its_own_bin_so_that_marginals_add_up():
    rows = [{}, lost(Flag.BRICK_MISSING), {"psfdepth_r_mag": None}]
    cells = cells_of(rows)
    unknown_psf = pick(cells, axes="psf_fwhm_r_bin", psf_fwhm_r_bin=-1)
    assert (unknown_psf["n_task"], unknown_psf["n_evaluated"], unknown_psf["bin_lower"]) == (1, 0, None)
    assert pick(cells, axes="psfdepth_r_bin", psfdepth_r_bin=-1)["n_evaluated"] == 1


def test_signal_to_noise_table_holds_evaluated_injections_only():
    cells = cells_of([{"snr_matched_r": 4.0}, {"snr_matched_r": 30.0}, lost(Flag.BRICK_MISSING)])
    of_snr = [cell for cell in cells if cell["axes"] == "snr_matched_r_bin" and cell["region_split"] is None and cell["subset"] == "all"]
    assert sum(cell["n_task"] for cell in of_snr if cell["criterion"] == "snr_matched") == 2
    assert all(cell["n_not_evaluated"] == 0 for cell in of_snr)


def test_splits_stand_beside_the_row_over_all_of_them():
    rows = [{"region_split": "train"}] * 3 + [{"region_split": "val", "snr_matched_r": 1.0}]
    cells = cells_of(rows)
    assert pick(cells, region_split="train")["completeness"] == 1.0
    assert pick(cells, region_split="val")["completeness"] == 0.0
    assert pick(cells)["completeness"] == 0.75


def test_pooled_interval_is_the_clustered_one_and_weighted_stands_beside_it():
    rng = np.random.default_rng(8)
    recovered, weight, place = rng.random(120) < 0.6, rng.uniform(0.5, 4.0, 120), np.arange(120) % 12
    rows = [
        {"snr_matched_r": 20.0 if r else 2.0, "sampling_weight": w, "ra": 20.0 + 3.0 * c}
        for r, w, c in zip(recovered, weight, place.tolist(), strict=True)
    ]
    cell = pick(cells_of(rows))
    plain = clustered_interval(np.bincount(place, recovered), np.bincount(place), 0.95)
    weighted = weighted_interval(recovered, weight, place, 0.95)
    assert (cell["lower_95"], cell["upper_95"], cell["deff"]) == pytest.approx((plain.lower, plain.upper, plain.deff), rel=1e-12)
    assert (cell["n_clusters"], cell["interval"], cell["interval_note"]) == (12, "clustered", "")
    found = (cell["completeness_weighted"], cell["weighted_lower_95"], cell["weighted_upper_95"], cell["n_eff_weighted"])
    assert found == pytest.approx((weighted.p, weighted.lower, weighted.upper, weighted.n_eff), rel=1e-12)


def test_cells_of_fixed_conditions_have_wilson_intervals_and_no_weights():
    cells = cells_of(spread([{"sampling_weight": 9.0}] * 8 + [{"snr_matched_r": 1.0}] * 2))
    cell = pick(cells, axes=",".join(surface_axes("src_dmag")))
    assert (cell["lower_95"], cell["upper_95"]) == tuple(float(end) for end in wilson_interval(8, 10, 0.95))
    assert (cell["lower_68"], cell["upper_68"]) == tuple(float(end) for end in wilson_interval(8, 10, 0.6827))
    assert (cell["interval"], cell["completeness_weighted"], cell["deff"]) == ("wilson", None, None)


def test_extreme_share_borrows_the_largest_design_effect_one_axis_coarser():
    rows = [{"theta_e_arcsec": 0.3, "snr_matched_r": 1.0}] * 24
    rows += [{"theta_e_arcsec": 1.0, "snr_matched_r": 1.0 if number % 12 < 5 else 20.0} for number in range(24)]
    cells = cells_of(spread(rows))
    pooled, extreme = pick(cells), pick(cells, axes="theta_e_arcsec", theta_e_arcsec=0.3)
    assert pooled["deff"] > 1.0
    assert (extreme["deff"], extreme["is_deff_borrowed"]) == (pooled["deff"], True)
    assert extreme["interval_note"] == "p is 0 or 1: design effect of the coarser pool of everything"
    fine = pick(cells, axes="theta_e_arcsec,psf_fwhm_r_bin", theta_e_arcsec=0.3)
    assert fine["deff"] == pick(cells, axes="psf_fwhm_r_bin")["deff"]
    assert "(psf_fwhm_r_bin)" in fine["interval_note"]


def test_extreme_share_without_a_coarser_pool_takes_the_mean_cluster_size():
    cell = pick(cells_of(spread([{}] * 36)))
    assert (cell["completeness"], cell["deff"], cell["n_eff"], cell["is_deff_borrowed"]) == (1.0, 3.0, 12.0, True)
    assert "N/J" in cell["interval_note"]


def test_few_sky_cells_give_no_interval_but_a_share_and_a_reason():
    cell = pick(cells_of([{}] * 15 + [{"snr_matched_r": 1.0}] * 15))
    assert (cell["completeness"], cell["lower_95"], cell["weighted_upper_68"]) == (0.5, None, None)
    assert "number of sky cells 1" in cell["interval_note"]


def test_few_injections_are_marked():
    assert pick(cells_of([{}] * 9))["is_too_few"]
    assert not pick(cells_of([{}] * 10))["is_too_few"]


def test_mean_and_median_signal_to_noise_are_over_evaluated_injections():
    cell = pick(cells_of([{"snr_matched_r": value} for value in (1.0, 2.0, 4.0, 13.0)] + [lost(Flag.OFF_IMAGE)]))
    assert (cell["snr_matched_r_mean"], cell["snr_matched_r_median"]) == (5.0, 3.0)


def test_grids_of_absolute_magnitudes_are_keyed_by_intrinsic_magnitude():
    rows = [
        {"src_dmag": dmag, "src_flux_r_nmgy": 10 ** (0.4 * (22.5 - 21.0 - 2.165 * ebv)), "ebv": ebv}
        for dmag, ebv in ((1.1, 0.0), (2.3, 0.1))
    ]
    cells = cells_of(rows, absolute_magnitude_grids=("grid_small",))
    assert pick(cells, axes="src_mag_r", src_mag_r=21.0)["n_task"] == 2
    assert not [cell for cell in cells if "src_dmag" in cell["axes"]]


def test_a_population_pools_in_bins_and_has_no_cell_per_drawn_value():
    rng = np.random.default_rng(6)
    rows = [{"theta_e_arcsec": rng.uniform(0.3, 2.0), "src_dmag": rng.normal(), "src_reff_arcsec": rng.random()} for _ in range(60)]
    rows = spread([row | {"snr_matched_r": float(rng.choice([2.0, 30.0]))} for row in rows])
    cells, product = cells_of(rows, population_grids=("grid_small",)), cells_of(rows)
    assert not [cell for cell in cells if any(name in cell["axes"] for name in ("theta_e", "src_"))]
    assert all(cell[name] is None for cell in cells for name in ("theta_e_arcsec", "src_dmag", "src_mag_r", "src_reff_arcsec"))
    for axes in ("", "resolution_bin", "psf_fwhm_r_bin", "snr_matched_r_bin"):
        keys = ("n_task", "n_recovered", "completeness", "bin_lower", "region_split", "criterion", "subset")
        counted = [[[cell[name] for name in keys] for cell in given if cell["axes"] == axes] for given in (cells, product)]
        assert counted[0] == counted[1] != []
    assert sum(cell["n_task"] for cell in cells if cell["axes"] == ",".join(surface_axes(None))) == 60 * 2 * 2 * 2
    assert regions_of(*tables(rows), summary_config(population_grids=("grid_small",))).num_rows == 0


def test_a_population_beside_a_product_grid_leaves_its_cells_as_they_are():
    rows = [{"task_id": f"p{number}", "grid": "drawn", "theta_e_arcsec": 0.5 + 0.01 * number} for number in range(20)]
    product = [{"task_id": f"g{number}"} for number in range(12)]
    together = [cell for cell in cells_of(rows + product, population_grids=("drawn",)) if cell["grid"] == "grid_small"]
    assert [{**cell, "cell": 0} for cell in together] == [{**cell, "cell": 0} for cell in cells_of(product)]


def test_selection_sets_are_summarised_beside_and_never_summed():
    rows = [{"region_id": 1}, {"region_id": 2, "snr_matched_r": 1.0}, {"region_id": 3}]
    sets = {"a": [1, 2], "b": [2, 3]}
    cells = summarised(*tables(rows), CONFIG, selection_sets=sets).to_pylist()
    counted = {cell: pick(cells, selection_set_id=cell)["n_task"] for cell in (None, "a", "b")}
    assert counted == {None: 3, "a": 2, "b": 2}
    assert pick(cells, selection_set_id="a")["completeness"] == 0.5


def test_order_of_rows_and_other_experiments_change_nothing():
    tasks, results = random_campaign(50, seed=2)
    cells = summarised(tasks, results, CONFIG)
    shuffle = np.random.default_rng(0).permutation(tasks.num_rows)
    shuffled = summarised(tasks.take(pa.array(shuffle)), results, CONFIG)
    assert cells.schema == CELLS
    assert cells.num_rows == shuffled.num_rows
    for name in ("n_task", "n_evaluated", "n_recovered", "losses", "completeness", "theta_e_arcsec"):
        assert cells[name].equals(shuffled[name])
    np.testing.assert_allclose(_numbers(cells, "lower_95"), _numbers(shuffled, "lower_95"), rtol=1e-9, equal_nan=True)
    one = tasks.filter(np.equal(tasks["tier"].to_numpy(), "grid"))
    alone = summarised(one, results.filter(np.isin(results["task_id"].to_numpy(), one["task_id"].to_numpy())), CONFIG)
    of_tier = cells.filter(np.equal(cells["tier"].to_numpy(), "grid"))
    assert alone.drop_columns(["cell"]).equals(of_tier.drop_columns(["cell"]))


def test_headline_gives_one_row_per_experiment_and_criterion():
    rows = headline(summarised(*random_campaign(60, seed=4), CONFIG))
    assert [(row["tier"], row["stamp_size"], row["criterion"]) for row in rows][:3] == [
        ("debug", 64, "proxy_reference"),
        ("debug", 64, MATCHED.name),
        ("debug", 96, "proxy_reference"),
    ]
    assert all(row["n_planned"] == row["n_evaluated"] + row["n_not_evaluated"] for row in rows)


def _numbers(cells: pa.Table, name: str) -> np.ndarray:
    """Return a column as float64."""
    return np.asarray(cells[name].to_numpy(), dtype=np.float64)
