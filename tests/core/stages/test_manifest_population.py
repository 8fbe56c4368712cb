"""Manifests of populations and of absolute magnitudes: own draws, their density, fluxes, and product grids as they were."""

from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.seeds import hash_hex
from halo_core.stages.grids import AXES, Grid, PopulationGrid, ProductGrid, load_grid
from halo_core.stages.laws import parse_law
from halo_core.stages.manifest import build_manifest
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_rows import TierDesign, physical_ids
from halo_core.stages.planning import plan
from halo_core.stages.priors import parse_priors
from tests.fixtures.parents import PRIORS, make_parents, small_config

LAWS = ("loguniform_0.3_3", "uniform_21_26", "loguniform_0.03_0.5", "uniform_0_0.6", "normal_0_0.05_0_0.2")


def population(mag_kind: str = "src_mag_r", *, n_draws: int = 6, **changes: str) -> PopulationGrid:
    """Return a population, with other laws by axis where given."""
    texts = [changes.get(axis, text) for axis, text in zip(AXES, LAWS, strict=True)]
    return PopulationGrid("drawn", mag_kind, tuple(parse_law("test", text) for text in texts), n_draws)


GRIDS: dict[str, Grid] = {
    "drawn": population(),
    "grid_small": load_grid("grid_small", Path(__file__).parents[3] / "grids"),
    "absolute": ProductGrid("absolute", "src_mag_r", ((0.5, 1.0), (22.0, 24.5), (0.1,), (0.0,), (0.0,))),
}


def config(**changes: object) -> ManifestConfig:
    """Return a campaign whose debug tier is a product, grid tier absolute magnitudes, and train tier a population."""
    given = {"grids": {"debug": "grid_small", "grid": "absolute", "train": "drawn"}, "n_total_train_per_split": 200}
    return small_config(**{**given, **changes})


@cache
def parents() -> pa.Table:
    """Return hosts enough for one each."""
    return make_parents({"train": 700, "val": 700, "test": 700}, seed=4)


@cache
def tasks() -> pa.Table:
    """Return the manifest, one row per physical injection."""
    made = build_manifest(parents(), config(), GRIDS).tasks
    return made.filter(pc.equal(made["stamp_size"], 64))


def drawn() -> dict[str, np.ndarray]:
    """Return the columns of the population's injections."""
    table = tasks().filter(pc.and_(pc.equal(tasks()["grid"], "drawn"), pc.invert(tasks()["is_control"])))
    return {name: table[name].to_numpy() for name in table.column_names}


def test_a_population_has_the_planned_counts_and_numbered_draws_in_balance() -> None:
    row = next(row for row in plan(config(), {name: grid.n_configs for name, grid in GRIDS.items()}) if row.tier == "train")
    columns = drawn()
    mine = (columns["region_split"] == row.split) & (columns["replicate"] == 0)
    ids, counts = np.unique(columns["config_id"][mine], return_counts=True)
    assert ids.tolist() == list(GRIDS["drawn"].config_ids())
    assert counts.max() - counts.min() <= 1
    assert counts.sum() == row.n_pairs == 100


def test_every_injection_of_a_population_has_values_of_its_own() -> None:
    columns = drawn()
    assert len(columns["physical_id"]) == len(np.unique(columns["theta_e_arcsec"])) == 600
    expected = GRIDS["drawn"].parameters(np.zeros(600, dtype=np.int64), columns["physical_id"].tolist())
    np.testing.assert_array_equal(columns["theta_e_arcsec"], expected[:, 0])
    np.testing.assert_array_equal(columns["shear"], expected[:, 4])


def test_the_density_of_each_draw_stands_in_its_row_and_nowhere_else() -> None:
    columns = drawn()
    magnitude = columns["src_dmag"] + np.asarray(_rmag_mw(columns["host_id"]))
    values = np.column_stack([columns["theta_e_arcsec"], magnitude, columns["src_reff_arcsec"], columns["src_e"], columns["shear"]])
    np.testing.assert_allclose(columns["proposal_density"], GRIDS["drawn"].proposal_density(values), rtol=1e-9)
    others = tasks().filter(pc.or_(pc.not_equal(tasks()["grid"], "drawn"), tasks()["is_control"]))
    assert others["proposal_density"].null_count == others.num_rows > 0


def _rmag_mw(host_id: np.ndarray) -> np.ndarray:
    """Return the corrected r magnitudes of hosts."""
    place = pc.index_in(pa.array(host_id, type=pa.string()), parents()["host_id"].combine_chunks())
    return np.asarray(parents()["rmag_mw"].take(place))


@pytest.mark.parametrize("grid", ["drawn", "absolute"])
def test_absolute_magnitudes_are_painted_whatever_the_host_and_dmag_follows(grid: str) -> None:
    table = tasks().filter(pc.and_(pc.equal(tasks()["grid"], grid), pc.invert(tasks()["is_control"])))
    intrinsic = 22.5 - 2.5 * np.log10(table["src_flux_r_nmgy"].to_numpy()) - 2.165 * table["ebv"].to_numpy()
    np.testing.assert_allclose(intrinsic, table["src_dmag"].to_numpy() + _rmag_mw(table["host_id"].to_numpy()), atol=1e-9)
    if grid == "absolute":
        assert set(np.round(intrinsic, 9)) == {22.0, 24.5}
    else:
        assert 21.0 <= intrinsic.min() < 22.0 < 25.0 < intrinsic.max() <= 26.0


def test_a_population_relative_to_the_host_is_drawn_in_dmag() -> None:
    grids = GRIDS | {"drawn": population("src_dmag", src_mag="uniform_0.5_2")}
    made = build_manifest(parents(), config(tiers=("train",)), grids).tasks
    dmag = made.filter(pc.invert(made["is_control"]))["src_dmag"].to_numpy()
    assert 0.5 <= dmag.min() < 0.6 < 1.9 < dmag.max() <= 2.0


def test_order_of_parents_blocks_and_more_draws_of_other_tiers_change_no_row() -> None:
    shuffled = parents().take(pa.array(np.random.default_rng(3).permutation(parents().num_rows)))
    made = build_manifest(shuffled, config(block_max_injections=77, block_max_bricks=3, tiers=("train",)), GRIDS).tasks
    mine = made.filter(pc.equal(made["stamp_size"], 64)).sort_by("task_id").drop_columns("block")
    same = tasks().filter(pc.equal(tasks()["tier"], "train")).sort_by("task_id").drop_columns("block")
    assert mine.equals(same)


def test_physical_ids_of_a_population_hold_laws_and_the_number_of_the_draw_but_no_name_of_the_grid() -> None:
    priors = parse_priors(PRIORS)

    def ids(grid: Grid, config: int = 0) -> list[str]:
        return physical_ids(TierDesign("train", grid, priors, 13), ["a:1"], [config], [0])

    renamed = PopulationGrid("other", "src_mag_r", population().laws, 9)
    assert ids(population()) == ids(renamed)
    different = [ids(population(), 1), ids(population(shear="fixed_0")), ids(population("src_dmag", src_mag="uniform_20_25"))]
    assert len({*ids(population()), *(one for many in different for one in many)}) == 4


def test_physical_ids_of_product_grids_are_the_hashes_they_were() -> None:
    priors, grid = parse_priors(PRIORS), GRIDS["grid_small"]
    found = physical_ids(TierDesign("grid", grid, priors, 13), ["a:1", "b:2"], [1, -1], [1, 0])
    text = priors.text()
    assert found == [
        hash_hex("a:1", "grid", "src_dmag", 0.3, 1.0, 0.08, 0.0, 0.03, text, 1, False, 13),
        hash_hex("b:2", "grid", "CONTROL", 0.0, 0.0, 0.0, 0.0, 0.0, text, 0, True, 13),
    ]
