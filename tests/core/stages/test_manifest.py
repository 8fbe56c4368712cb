"""The manifest: planned = built, every host drawn as it should be, identities that hold nothing but physics."""

from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.constants import EXTINCTION_PER_EBV
from halo_core.errors import ManifestError
from halo_core.records import MANIFEST, PARENTS
from halo_core.seeds import hash_hex, hash_int63
from halo_core.stages import manifest, manifest_rows
from halo_core.stages.grids import ProductGrid, load_grid
from halo_core.stages.manifest import ManifestBuild, build_manifest
from halo_core.stages.manifest_rows import VIEW_COLUMNS, TierDesign, physical_ids
from halo_core.stages.priors import parse_priors
from tests.fixtures.parents import make_parents, small_config

GRIDS = {name: load_grid(name, Path(__file__).parents[3] / "grids") for name in ("grid_small", "grid_medium")}
HOSTS = {"train": 400, "val": 300, "test": 350}


@cache
def parents() -> pa.Table:
    return make_parents(HOSTS, seed=1)


def build(**changes: object) -> ManifestBuild:
    return build_manifest(parents(), small_config(**changes), GRIDS)


@cache
def small() -> ManifestBuild:
    return build()


def physical(made: ManifestBuild) -> pa.Table:
    return made.tasks.filter(pc.equal(made.tasks["stamp_size"], 64))


def ids(made: ManifestBuild) -> set[str]:
    return set(made.tasks["physical_id"].to_pylist())


def test_built_is_planned_to_the_row() -> None:
    tasks = small().tasks
    assert tasks.schema == MANIFEST
    counted = Counter(zip(tasks["tier"].to_pylist(), tasks["region_split"].to_pylist(), tasks["is_control"].to_pylist(), strict=True))
    for row in small().plan:
        assert counted[row.tier, row.split, False] == 2 * row.n_injections
        assert counted[row.tier, row.split, True] == 2 * row.n_controls
    assert tasks.num_rows == sum(row.n_rows for row in small().plan) == 3_264


def test_ids_and_seeds_are_hashes_of_what_they_name() -> None:
    rows = small().tasks.slice(0, 50).to_pylist()
    assert pc.count_distinct(small().tasks["task_id"]).as_py() == 3_264
    for row in rows:
        assert row["experiment_id"] == f"{row['tier']}_stamp{row['stamp_size']}_bandsgrz_gridgrid_small"
        assert row["task_id"] == hash_hex(row["physical_id"], row["experiment_id"])
        assert row["task_seed"] == hash_int63(row["physical_id"]) >= 0


def test_views_of_one_injection_differ_in_nothing_physical() -> None:
    one = physical(small()).drop_columns(list(VIEW_COLUMNS))
    other = small().tasks.filter(pc.equal(small().tasks["stamp_size"], 96)).drop_columns(list(VIEW_COLUMNS))
    assert one.equals(other)


def test_the_manifest_does_not_depend_on_the_order_of_the_parents() -> None:
    order = np.random.default_rng(2).permutation(parents().num_rows)
    assert build_manifest(parents().take(pa.array(order)), small_config(), GRIDS).tasks.equals(small().tasks)


@pytest.mark.parametrize("n_tables", [2, 7, 1050])
def test_the_manifest_does_not_depend_on_how_the_parents_are_partitioned(n_tables: int) -> None:
    order = np.random.default_rng(n_tables).permutation(parents().num_rows)
    tables = [parents().take(pa.array(rows)) for rows in np.array_split(order, n_tables)] + [parents().slice(0, 0)]
    made = build_manifest(lambda columns: (table.select(list(columns)) for table in tables), small_config(), GRIDS)
    assert made.tasks.equals(small().tasks)
    assert (made.shares, made.supply, made.psf_edges_arcsec) == (small().shares, small().supply, small().psf_edges_arcsec)


def test_blocks_are_the_manifest_cut_at_its_blocks_however_many_are_made_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert small().n_blocks > 5
    for rows_at_once in (1, 500, 10**6):
        monkeypatch.setattr(manifest, "_ROWS_AT_ONCE", rows_at_once)
        blocks = list(small().blocks())
        assert [pc.unique(block["block"]).to_pylist() for block in blocks] == [[number] for number in range(small().n_blocks)]
        assert pa.concat_tables(blocks).equals(small().tasks)


def test_rows_are_sorted_by_block_brick_host_physical_id_size_and_bandset() -> None:
    tasks = build(bandsets=("grz", "r")).tasks
    brickid = dict(zip(parents()["host_id"].to_pylist(), parents()["brickid"].to_pylist(), strict=True))
    rows = [
        (row["block"], brickid[row["host_id"]], row["host_id"], row["physical_id"], row["stamp_size"], row["bandset"])
        for row in tasks.to_pylist()
    ]
    assert rows == sorted(rows)
    assert len(set(rows)) == len(rows) == 6_528


def test_parents_are_read_with_the_columns_that_are_needed_alone() -> None:
    asked: list[str] = []

    def tables(columns: Sequence[str]) -> list[pa.Table]:
        asked.extend(columns)
        return [parents().select(list(columns))]

    build_manifest(tables, small_config(), GRIDS)
    assert {"w1mag", "gmag_mw", "maskbits", "is_v3_color_relaxed"}.isdisjoint(asked)


def test_physical_injections_of_one_seed_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifest_rows, "hash_int63_each", lambda ids: np.zeros(len(list(ids)), dtype=np.int64))
    with pytest.raises(ManifestError, match="1631 of 1632 physical injections repeat the seed of another"):
        list(build().blocks())


def test_hosts_are_drawn_in_the_selected_regions_alone_each_once() -> None:
    regions = np.arange(parents().num_rows) % 20
    table = parents().set_column(parents().schema.get_field_index("region_id"), PARENTS.field("region_id"), pa.array(regions))
    sets = {"dense": {1, 2, 3, 4, 5, 6, 7, 8, 9}, "deep": {5, 6, 7, 8, 9, 10, 11, 12, 13, 14}}
    config = small_config(tiers=("train",))
    made = build_manifest(table, config, GRIDS, regions=set.union(*sets.values()))
    assert set(pc.unique(made.tasks["region_id"]).to_pylist()) == set(range(1, 15))
    controls = made.tasks.filter(pc.and_(made.tasks["is_control"], pc.equal(made.tasks["stamp_size"], 64)))
    assert pc.count_distinct(controls["host_id"]).as_py() == controls.num_rows
    assert sum(made.supply.values()) == int(np.isin(regions, list(range(1, 15))).sum())
    one_by_one = build_manifest(table.filter(pc.is_in(table["region_id"], pa.array(range(1, 15)))), config, GRIDS)
    assert made.tasks.equals(one_by_one.tasks)


@pytest.mark.parametrize(
    "changes", [{"stamp_sizes": (64,)}, {"bandsets": ("grz", "r")}, {"split_seed": 99}, {"block_max_injections": 999}, {"tiers": ("grid",)}]
)
def test_physical_ids_hold_no_view_no_split_seed_no_block_and_no_other_tier(changes: dict[str, object]) -> None:
    made = build(**changes)
    tiers = made.tasks["tier"].unique()
    kept = small().tasks.filter(pc.is_in(small().tasks["tier"], tiers))
    assert ids(made) == set(kept["physical_id"].to_pylist())


@pytest.mark.parametrize("changes", [{"sampling_seed": 14}, {"priors": small_config().priors | {"src_offset": "disc_0.9"}}])
def test_another_seed_or_law_makes_other_injections(changes: dict[str, object]) -> None:
    assert not ids(build(**changes)) & ids(small())


def test_the_same_values_under_another_grid_name_are_the_same_injections() -> None:
    grid, priors = GRIDS["grid_small"], parse_priors(small_config().priors)
    designs = [TierDesign("debug", ProductGrid(name, "src_dmag", grid.axes), priors, 13) for name in ("grid_small", "again")]
    one, other = (physical_ids(design, ["a"] * 49, [-1, *range(48)], [0] * 49) for design in designs)
    assert one == other
    assert len(set(one)) == 49


def test_replicates_repeat_host_and_configuration_with_new_frozen_variables() -> None:
    rows = [row for row in physical(small()).to_pylist() if not row["is_control"]]
    first = {(row["tier"], row["host_id"], row["config_id"]): row for row in rows if row["replicate"] == 0}
    second = {(row["tier"], row["host_id"], row["config_id"]): row for row in rows if row["replicate"] == 1}
    assert first.keys() == second.keys()
    for name in ("src_x_arcsec", "src_y_arcsec", "src_phi_rad", "lens_phi_rad", "shear_phi_rad", "lens_e", "task_seed"):
        assert not any(row[name] == second[key][name] for key, row in first.items())
    assert sum(row["src_gr"] == second[key]["src_gr"] for key, row in first.items()) < 5  # equal only where both are clamped


def test_painted_fluxes_are_extincted_once() -> None:
    for row in physical(small()).slice(0, 400).to_pylist():
        if not row["is_control"]:
            src_r = row["rmag"] - EXTINCTION_PER_EBV["r"] * row["ebv"] + row["src_dmag"]
            expected = {"g": src_r + row["src_gr"], "r": src_r, "z": src_r - row["src_rz"]}
            for band, mag in expected.items():
                painted = mag + EXTINCTION_PER_EBV[band] * row["ebv"]
                assert row[f"src_flux_{band}_nmgy"] == pytest.approx(10 ** (0.4 * (22.5 - painted)), rel=1e-12)
            assert row["src_flux_r_nmgy"] == pytest.approx(10 ** (0.4 * (22.5 - row["rmag"] - row["src_dmag"])), rel=1e-12)


def test_controls_are_distinct_hosts_without_lens_that_keep_their_conditions() -> None:
    controls = physical(small()).filter(physical(small())["is_control"])
    rows = controls.to_pylist()
    for tier in ("grid", "train"):
        used = [row["host_id"] for row in rows if row["tier"] == tier]
        injected = {row["host_id"] for row in physical(small()).to_pylist() if row["tier"] == tier and not row["is_control"]}
        assert len(set(used)) == len(used) == (192 if tier == "grid" else 288)
        assert not injected & set(used)
    for row in rows:
        assert (row["config_id"], row["lens_model"], row["replicate"], row["host_repeat"]) == ("CONTROL", "CONTROL", 0, 1)
        assert row["theta_e_arcsec"] == row["src_dmag"] == row["src_x_arcsec"] == row["lens_e"] == row["src_flux_r_nmgy"] == 0.0
        assert row["src_offset_density_arcsec_m2"] is None
        assert row["psfsize_r_arcsec"] > 0.0


def test_strata_give_equal_shares_and_weights_undo_them() -> None:
    for row in small().plan:
        given = [share for share in small().shares if (share.tier, share.split) == (row.tier, row.split)]
        drawn = [share.n_injection_hosts + share.n_controls for share in given]
        assert max(drawn) - min(share for share, whole in zip(drawn, given, strict=True) if share < whole.n_hosts) <= 1
        assert sum(share.n_hosts for share in given) == HOSTS[row.split]
    rows = physical(small()).to_pylist()
    hosts = {(row["tier"], row["region_split"], row["host_id"]): row["sampling_weight"] for row in rows}
    for split, n_hosts in HOSTS.items():
        total = sum(weight for (tier, where, _), weight in hosts.items() if (tier, where) == ("train", split))
        assert total == pytest.approx(n_hosts)  # every stratum is drawn from, so the weights count every host


def test_strata_edges_are_quartiles_over_the_hosts_of_all_splits() -> None:
    values = np.sort(np.asarray(parents()["psfsize_r_arcsec"]))
    np.testing.assert_allclose(small().psf_edges_arcsec, np.quantile(values, [0.25, 0.5, 0.75]), atol=0.01)
    one_split = build_manifest(parents(), small_config(splits=("val",)), GRIDS)
    assert one_split.psf_edges_arcsec == small().psf_edges_arcsec


def test_guard_hosts_are_never_drawn() -> None:
    is_guard = np.zeros(parents().num_rows, dtype=bool)
    is_guard[::7] = True
    guarded = make_parents(HOSTS, seed=1, is_guard=is_guard)
    made = build_manifest(guarded, small_config(), GRIDS)
    assert not set(made.tasks["host_id"].to_pylist()) & set(np.asarray(parents()["host_id"])[is_guard].tolist())


def test_hosts_without_conditions_form_a_stratum_of_their_own() -> None:
    unknown = make_parents(HOSTS, seed=1, psfsize_r_arcsec=np.full(1050, np.nan), psfdepth_r_mag=np.full(1050, np.nan))
    made = build_manifest(unknown, small_config(), GRIDS)
    assert set(made.tasks["psf_stratum"].to_pylist()) == set(made.tasks["depth_stratum"].to_pylist()) == {-1}
    assert made.tasks["psfsize_r_arcsec"].null_count == made.tasks.num_rows


def test_absolute_source_magnitudes_give_every_host_the_same_source() -> None:
    grid = ProductGrid("absolute", "src_mag_r", ((0.5, 1.0), (22.0,), (0.1,), (0.0,), (0.0,)))
    config = small_config(tiers=("debug",), grids={"debug": "absolute"}, n_per_config={"debug": 30})
    rows = build_manifest(parents(), config, {"absolute": grid}).tasks.to_pylist()
    for row in rows:
        intrinsic = 22.5 - 2.5 * np.log10(row["src_flux_r_nmgy"]) - EXTINCTION_PER_EBV["r"] * row["ebv"]
        assert intrinsic == pytest.approx(22.0, abs=1e-12)
        assert row["src_dmag"] == pytest.approx(22.0 - (row["rmag"] - EXTINCTION_PER_EBV["r"] * row["ebv"]), abs=1e-12)


def test_a_repeated_host_is_refused() -> None:
    with pytest.raises(ManifestError, match="1 hosts appear more than once"):
        build_manifest(pa.concat_tables([parents(), parents().slice(5, 1)]), small_config(), GRIDS)


def test_a_plan_above_the_limit_is_refused_before_parents_are_looked_at() -> None:
    with pytest.raises(ManifestError, match="max_total_tasks = 3,263"):
        build_manifest(pa.table({}), small_config(max_total_tasks=3_263), GRIDS)
