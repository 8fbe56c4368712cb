"""Facts beside the cells: every physical injection once, the proxy's own limit, numbers of the reference design, and their checks."""

from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pytest

from halo_core.flags import Flag
from halo_core.stages import summary_rows
from halo_core.stages.grids import load_grid
from halo_core.stages.summary_expected import MAGNIFICATION, REFERENCE_PRIORS, is_reference_design
from halo_core.stages.validation_summary_counts import InputCounts, count_inputs
from halo_core.stages.validation_summary_facts import check_facts
from tests.fixtures.summaries import control, facts_of, lost, random_campaign, summarised, summary_config, tables

ROOT = Path(__file__).resolve().parents[3]
CONFIG = summary_config()
BRIGHT = {"snr_matched_r": 30.0, "snr_peak_pixel_r": 8.0, "psf_fwhm_used_r_arcsec": 1.0}


@pytest.fixture(scope="module")
def sound() -> tuple[dict, list[dict], InputCounts]:
    """Facts, pooled cells and counts of one campaign."""
    tasks, results = random_campaign(70, seed=9)
    cells = summarised(tasks, results, CONFIG).filter(pc.field("axes").isin(["", "resolution_bin"]))
    return facts_of(tasks, results, CONFIG), cells.to_pylist(), count_inputs([(tasks, results)], CONFIG)


def broken(facts: dict, cells: list[dict], counts: InputCounts) -> set[str]:
    """Return the checks of the facts that fail."""
    return {found.check for found in check_facts(facts, cells, counts, CONFIG) if not found.is_ok}


def test_a_physical_injection_counts_once_whatever_its_views_and_a_loss_or_control_not_at_all():
    views = [{"physical_id": f"p{number}", "magnification": float(number), "stamp_size": size} for number in (2, 3, 7) for size in (64, 96)]
    views += [lost(Flag.BRICK_MISSING, physical_id="p9", stamp_size=64), {"physical_id": "p9", "magnification": 8.0, "stamp_size": 96}]
    (row,) = facts_of(*tables([*views, control(physical_id="c"), lost(Flag.BRICK_MISSING, physical_id="p10")]), CONFIG)["magnification"]
    assert (row["n_physical"], row["minimum"], row["median"], row["mean"], row["maximum"]) == (4, 2.0, 5.0, 5.0, 8.0)
    assert sum(row["histogram_counts"]) == 4
    assert len(row["histogram_edges"]) == len(row["histogram_counts"]) + 1


def test_definition_counts_below_at_and_above_the_limit():
    rows = [{"theta_e_arcsec": ratio, **BRIGHT, "ra": 5.0 + 4.0 * cell} for cell in range(12) for ratio in (0.5, 0.79, 0.8, 1.2)]
    rows += [{**rows[0], "snr_peak_pixel_r": 1.0, "theta_e_arcsec": 1.2}]
    (row,) = facts_of(*tables(rows), CONFIG)["definition"]
    assert (row["n_below"], row["n_recovered_below"], row["n_above"], row["n_recovered_above"]) == (24, 0, 25, 24)
    assert row["lower_95"] < row["share_above"] == 24 / 25 < row["upper_95"]
    assert (row["criterion"], row["minimum"], row["is_reference"]) == ("proxy_reference", 0.8, True)


def test_psf_provenance_names_every_task_of_every_band_of_the_bandset():
    rows = [{"bandset": "gr", "psf_source_r": 1}, {"bandset": "gr"}, control(bandset="gr"), lost(Flag.BRICK_MISSING, bandset="gr")]
    found = facts_of(*tables(rows), CONFIG)["psf_provenance"]
    counts = {(row["band"], row["psf_source"]): row["n_tasks"] for row in found}
    assert counts == {("g", 0): 3, ("g", None): 1, ("r", 0): 2, ("r", 1): 1, ("r", None): 1}


def test_no_injection_and_nothing_above_the_limit_give_null_and_no_number():
    facts = facts_of(*tables([control(), {"theta_e_arcsec": 0.3, "tier": "train", "metrics_ok": True}]), CONFIG)
    assert [(row["n_physical"], row["median"]) for row in facts["magnification"]] == [(0, None), (1, 4.0)]
    assert [(row["n_above"], row["share_above"], row["lower_95"]) for row in facts["definition"]] == [(0, None, None)] * 2


def test_reference_design_is_judged_where_injections_are_many_enough():
    for n in (200, MAGNIFICATION["median"].n_needed):
        drawn = 1.6 + np.random.default_rng(1).gamma(1.6, 1.75, n)
        found = facts_of(*tables([{"magnification": value} for value in drawn]), CONFIG, reference_grids=("grid_small",))["expected"]
        judged = {row["quantity"]: row["is_ok"] for row in found if row["quantity"].startswith("magnification")}
        assert judged["magnification_minimum"] is True
        assert (judged["magnification_mean"] is None) == (n == 200)
    assert facts_of(*tables([{}]), CONFIG)["expected"] == []


def test_a_grid_is_the_reference_design_by_its_values_and_priors_alone():
    small, medium = (load_grid(name, ROOT / "grids") for name in ("grid_small", "grid_medium"))
    assert is_reference_design(small, REFERENCE_PRIORS, small)
    assert not is_reference_design(medium, REFERENCE_PRIORS, small)
    assert not is_reference_design(small, {**REFERENCE_PRIORS, "src_offset": "disc_0.5"}, small)
    written_out = {**REFERENCE_PRIORS, "src_colours": "normal_0.2_0.2_0.1_0.2_-0.5_1.5"}
    assert is_reference_design(small, written_out, small)


def test_a_recovery_code_that_forgets_the_resolution_breaks_the_law_of_the_proxy(sound, monkeypatch):
    _, cells, counts = sound
    right = summary_rows.meets
    monkeypatch.setattr(
        summary_rows, "meets", lambda one, numbers: right(one, {**numbers, "resolution": np.ones_like(numbers["resolution"])})
    )
    tasks, results = random_campaign(70, seed=9)
    assert "nothing_recovered_below_own_limit" in broken(facts_of(tasks, results, CONFIG), cells, counts)
    below = next(number for number, cell in enumerate(cells) if cell["axes"] == "resolution_bin" and cell["bin_upper"] == 0.8)
    wrong = [*cells[:below], {**cells[below], "criterion": "proxy_reference", "n_recovered": 1}, *cells[below + 1 :]]
    assert broken(sound[0], wrong, counts) == {"nothing_recovered_below_own_limit"}


@pytest.mark.parametrize(
    ("name", "column", "value", "check"),
    [
        ("magnification", "minimum", 0.99, "magnification_at_least_one"),
        ("magnification", "n_physical", 5, "magnifications_counted"),
        ("magnification", "minimum", 1.7, "magnifications_counted"),
        ("magnification", "histogram_counts", [1], "magnifications_counted"),
        ("definition", "n_below", 5, "definition_adds_up"),
        ("definition", "n_recovered_below", 1, "nothing_recovered_below_own_limit"),
        ("psf_provenance", "n_tasks", 5, "psf_provenance_adds_up"),
    ],
)
def test_a_fact_that_is_wrong_is_caught(sound, name, column, value, check):
    facts, *others = sound
    assert broken(*sound) == set()
    assert check in broken({**facts, name: [{**facts[name][0], column: value}, *facts[name][1:]]}, *others)
    assert broken({**facts, name: facts[name][1:]}, *others)
    assert broken({key: rows for key, rows in facts.items() if key != name}, *others) == {"facts_present"}


def test_an_unexpected_number_of_the_reference_design_is_a_warning(sound):
    _, cells, counts = sound
    facts = facts_of(*tables([{"magnification": 9.0} for _ in range(2400)]), CONFIG, reference_grids=("grid_small",))
    (found,) = [one for one in check_facts(facts, cells, counts, CONFIG) if one.check == "reference_numbers_reproduced"]
    assert (found.severity, found.is_ok) == ("warning", False)
    assert "magnification_mean 9.0, expected 4.4 +- 0.2" in found.observed
