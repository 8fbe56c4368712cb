"""A campaign with a population, absolute magnitudes and a law named in a file runs to its page; its rows say what was drawn."""

import json

import numpy as np
import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.stages.grids import load_grid
from tests.fixtures.campaigns import ROOT, Place, new_place
from tests.fixtures.parents import PRIORS

CHANGES = {
    "grid_train": "population_tiny",
    "grid_grid": "absolute_tiny",
    "priors": json.dumps(PRIORS | {"src_colours": "tiny_colours"}),
}


@pytest.fixture(scope="module")
def drawn_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where such a campaign has run, page and all; tests must not change it."""
    place = new_place(tmp_path_factory.mktemp("drawn"), **CHANGES)
    assert place.run() == LuigiStatusCode.SUCCESS
    return place


def test_the_population_has_a_density_per_row_and_no_other_grid_has(drawn_place: Place) -> None:
    rows = drawn_place.rows("SELECT * FROM v_task_full WHERE NOT is_control")
    assert {row["proposal_density"] is not None for row in rows if row["grid"] == "population_tiny"} == {True}
    assert {row["proposal_density"] for row in rows if row["grid"] != "population_tiny"} == {None}
    mine = {row["physical_id"]: row for row in rows if row["grid"] == "population_tiny"}
    values = load_grid("population_tiny", ROOT / "tests/data/grids").parameters(np.zeros(len(mine), dtype=np.int64), list(mine))
    assert [row["theta_e_arcsec"] for row in mine.values()] == values[:, 0].tolist()
    assert {row["config_id"] for row in mine.values()} <= {f"population_tiny_{number:04d}_pop" for number in (1, 2, 3)}


def test_absolute_magnitudes_are_painted_and_key_their_cells(drawn_place: Place) -> None:
    rows = drawn_place.rows("SELECT src_flux_r_nmgy, ebv FROM injection_tasks WHERE grid = 'absolute_tiny' AND NOT is_control")
    assert {round(22.5 - 2.5 * np.log10(row["src_flux_r_nmgy"]) - 2.165 * row["ebv"], 6) for row in rows} == {21.0}
    cells = drawn_place.rows("SELECT DISTINCT src_mag_r FROM completeness_cells WHERE grid = 'absolute_tiny' AND axes = 'src_mag_r'")
    assert cells == [{"src_mag_r": 21.0}]


def test_cells_of_the_population_are_pools_and_bins(drawn_place: Place) -> None:
    cells = drawn_place.rows("SELECT axes, n_task, region_split, subset, criterion FROM completeness_cells WHERE grid = 'population_tiny'")
    assert {"", "resolution_bin", "snr_matched_r_bin"} <= {cell["axes"] for cell in cells}
    assert not [cell for cell in cells if "theta_e" in cell["axes"] or "src_" in cell["axes"]]
    (n_task,) = drawn_place.rows("SELECT count(*) AS n FROM injection_tasks WHERE grid = 'population_tiny' AND NOT is_control")
    whole = [cell for cell in cells if (cell["axes"], cell["region_split"], cell["subset"]) == ("", None, "all")]
    assert sum(cell["n_task"] for cell in whole) == 2 * n_task["n"]  # two criteria, each size once


def test_every_check_passed_and_the_page_is_there(drawn_place: Place) -> None:
    failed = drawn_place.rows("SELECT check_name FROM validation_findings WHERE NOT is_ok AND severity = 'error'")
    assert failed == []
    assert drawn_place.report.exists()


def test_a_law_named_in_the_file_enters_the_digest_with_its_values(drawn_place: Place) -> None:
    named = drawn_place.task().manifest_config().to_parameters()["priors"]
    assert named["src_colours"] == "tiny_colours=normal_0.1_0.1_0_0.1_-0.5_1"  # type: ignore[index]
