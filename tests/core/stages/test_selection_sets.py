"""Selection sets: rankings and strategies against their definitions, ties by region, membership beside the galaxies."""

import json

import numpy as np
import pyarrow as pa
import pytest

from halo_core.constants import SPLITS
from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.records import REGION_SELECTIONS
from halo_core.stages.manifest import build_manifest
from halo_core.stages.parent_regions import MEMBERSHIP
from halo_core.stages.region_statistics import REGIONS, region_statistics
from halo_core.stages.selection_sets import (
    RANKING_MODES,
    SelectionSet,
    given_selections,
    parse_selection_sets,
    region_selections,
    select_regions,
    selected_regions,
    sets_to_parameters,
)
from tests.core.stages.test_manifest import GRIDS
from tests.fixtures.parents import make_parents, small_config

TOP = {"selection_set_id": "dense", "selection_strategy": "top_k", "ranking_mode": "density", "k": 3}
STRATA = {"selection_set_id": "seeing", "selection_strategy": "stratified", "ranking_mode": "psf_quality", "k": 2, "n_bins": 4}


def regions(n: int = 120, *, seed: int = 2, **columns: object) -> pa.Table:
    """Return regions whose statistics are independent of each other; any column may be replaced."""
    rng = np.random.default_rng(seed)
    n_parents, area = rng.integers(50, 900, n), rng.uniform(0.1, 0.9, n)
    table: dict[str, object] = {"region_id": rng.permutation(10 * n)[:n], "region_split": rng.choice(SPLITS, n), "n_bricks": [9] * n}
    table |= {"area_deg2": area, "n_parents": n_parents, "n_hosts": n_parents - 5, "density_deg2": n_parents / area}
    table |= {"psfsize_r_median_arcsec": rng.uniform(0.9, 1.6, n), "psfdepth_r_median_mag": rng.uniform(23.6, 25.0, n)}
    return pa.Table.from_pydict({name: (table | columns)[name] for name in REGIONS.names}, schema=REGIONS)


def one_set(**changes: object) -> SelectionSet:
    """Return the set of the densest regions, changed."""
    return SelectionSet(**(TOP | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", list(RANKING_MODES))
def test_top_k_holds_the_best_regions_of_each_split(mode: str) -> None:
    table = regions()
    column, is_largest_best = RANKING_MODES[mode]
    found = select_regions(table, [one_set(ranking_mode=mode)], split_seed=13).to_pylist()
    for split in SPLITS:
        mine = [row for row in table.to_pylist() if row["region_split"] == split]
        best = sorted(mine, key=lambda row: row[column], reverse=is_largest_best)[:3]
        chosen = sorted((row for row in found if row["region_split"] == split), key=lambda row: row["region_rank"])
        assert [row["region_id"] for row in chosen] == [row["region_id"] for row in best]
        assert [row["region_rank"] for row in chosen] == [1, 2, 3]


def test_good_seeing_ranks_first_and_many_galaxies_rank_first() -> None:
    table = regions(
        2, region_split=["train"] * 2, region_id=[1, 2], psfsize_r_median_arcsec=[1.5, 1.0], n_parents=[900, 100], n_hosts=[9, 9]
    )
    assert select_regions(table, [one_set(ranking_mode="psf_quality", k=1)], split_seed=1)["region_id"].to_pylist() == [2]
    assert select_regions(table, [one_set(ranking_mode="count", k=1)], split_seed=1)["region_id"].to_pylist() == [1]


def test_a_stratified_set_holds_as_many_of_each_quantile_bin_and_split() -> None:
    table = regions(400)
    found = select_regions(table, [SelectionSet(**STRATA)], split_seed=13)  # type: ignore[arg-type]
    edges = np.quantile(np.asarray(table["psfsize_r_median_arcsec"]), [0.25, 0.5, 0.75], method="higher")
    rows = found.to_pylist()
    assert [row["region_bin"] for row in rows] == np.searchsorted(edges, [row["psfsize_r_median_arcsec"] for row in rows], "right").tolist()
    for split in SPLITS:
        for bin_ in range(4):
            assert sorted(row["region_rank"] for row in rows if (row["region_split"], row["region_bin"]) == (split, bin_)) == [1, 2]


def test_inside_a_bin_regions_are_a_sample_and_not_the_best_of_it() -> None:
    table = regions(4_000, region_split=["train"] * 4_000)
    chosen = select_regions(table, [SelectionSet(**STRATA | {"k": 200})], split_seed=13)  # type: ignore[arg-type]
    values, every = (np.asarray(one["psfsize_r_median_arcsec"]) for one in (chosen, table))
    # 800 of 4,000: 5 standard errors of a mean without replacement.
    assert abs(values.mean() - every.mean()) < 5.0 * every.std() * np.sqrt(0.8 / 800)
    other = select_regions(table, [SelectionSet(**STRATA | {"k": 200})], split_seed=14)  # type: ignore[arg-type]
    assert set(other["region_id"].to_pylist()) != set(chosen["region_id"].to_pylist())


def test_equal_values_rank_by_region_whatever_the_order_of_the_input() -> None:
    table = regions(30, region_split=["val"] * 30, density_deg2=[100.0] * 30)
    expected = sorted(table["region_id"].to_pylist())[:3]
    for order in (np.arange(30), np.arange(30)[::-1], np.random.default_rng(1).permutation(30)):
        found = select_regions(table.take(pa.array(order)), [one_set()], split_seed=13)
        assert found["region_id"].to_pylist() == expected


def test_sets_overlap_and_do_not_depend_on_each_other_or_their_order() -> None:
    table, sets = regions(), [one_set(), one_set(selection_set_id="crowded", ranking_mode="count"), one_set(selection_set_id="again")]
    together = select_regions(table, sets, split_seed=13)
    assert together.equals(select_regions(table, sets[::-1], split_seed=13))
    alone = select_regions(table, sets[:1], split_seed=13)
    assert together.filter(pa.compute.equal(together["selection_set_id"], "dense")).equals(alone)
    assert len(selected_regions(together)) < together.num_rows
    assert together.schema.equals(REGION_SELECTIONS)


def test_a_short_bin_gives_all_it_has_and_what_is_not_known_is_in_no_set() -> None:
    table = regions(6, region_split=["train", "train", "val", "val", "val", "test"], n_hosts=[9, 9, 9, 9, 0, 9])
    unknown = regions(
        6, region_split=["train", "train", "val", "val", "val", "test"], psfsize_r_median_arcsec=[1.1, None, 1.2, None, 1.3, None]
    )
    found = select_regions(table, [one_set(k=50)], split_seed=13)
    assert found.num_rows == 5
    assert select_regions(unknown, [one_set(ranking_mode="psf_quality", k=50)], split_seed=13).num_rows == 3
    with pytest.raises(SurveyDataError, match="none of 6 regions"):
        select_regions(regions(6, psfsize_r_median_arcsec=[None] * 6), [one_set(ranking_mode="psf_quality")], split_seed=13)


def test_no_sets_hold_no_region_and_enter_no_digest() -> None:
    assert select_regions(regions(), [], split_seed=13).equals(REGION_SELECTIONS.empty_table())
    assert sets_to_parameters(parse_selection_sets("  ")) == {}
    given = parse_selection_sets(json.dumps([TOP, STRATA]))
    assert sets_to_parameters(given) == sets_to_parameters(given[::-1]) == {"selection_sets": [TOP | {"n_bins": 1}, STRATA]}


def test_a_galaxy_is_drawn_once_however_many_sets_hold_its_region() -> None:
    parents = make_parents({"train": 700, "val": 700, "test": 700}, seed=4)
    band, number = parents["region_id"].to_numpy(), np.arange(2_100) % 2
    column = parents.column_names.index("region_id")
    parents = parents.set_column(column, "region_id", pa.array(2 * band + number))
    found = region_statistics([parents])
    sets = [one_set(k=1), one_set(selection_set_id="again", k=1), one_set(selection_set_id="crowded", ranking_mode="count", k=1)]
    held = selected_regions(select_regions(found, sets, split_seed=13))
    assert 3 <= len(held) < 6
    config = small_config(n_total_train_per_split=48, n_per_config={"debug": 1, "grid": 1})
    made = build_manifest(parents, config, GRIDS, regions=held.tolist())
    assert set(made.tasks["region_id"].to_pylist()) <= set(held.tolist())
    once = build_manifest(parents.filter(pa.compute.is_in(parents["region_id"], pa.array(held))), config, GRIDS)
    assert once.tasks.equals(made.tasks)


def test_a_given_table_keeps_its_columns_and_gets_what_its_regions_hold() -> None:
    table = regions(5, region_id=[1, 2, 3, 4, 5], region_split=["train"] * 5)
    given = pa.table(
        {
            "selection_set_id": ["b", "a", "a"],
            "selection_strategy": ["theirs"] * 3,
            "ranking_mode": ["n_gal", "n_gal", "psf"],
            "region_id": [4, 4, 77],
            "region_split": ["train", "train", "val"],
            "more": [1, 2, 3],
        }
    )
    rows = given_selections(given, table).to_pylist()
    assert [[row[name] for name in MEMBERSHIP] for row in rows] == [
        ["a", "theirs", "n_gal", 4, "train"],
        ["a", "theirs", "psf", 77, "val"],
        ["b", "theirs", "n_gal", 4, "train"],
    ]
    assert rows[0]["n_parents"] == table["n_parents"][3].as_py()
    assert (rows[1]["n_parents"], rows[1]["area_deg2"], rows[1]["region_rank"]) == (0, None, None)


def test_configured_and_given_sets_stand_side_by_side_under_names_of_their_own() -> None:
    table = regions(5, region_id=[1, 2, 3, 4, 5], region_split=["train"] * 5)
    given = pa.table({name: ["theirs"] for name in MEMBERSHIP} | {"region_id": [2], "region_split": ["train"]})
    assert region_selections(table, [], None, split_seed=13) is None
    both = region_selections(table, [one_set()], given, split_seed=13)
    assert both is not None
    assert both["selection_set_id"].to_pylist() == ["theirs", "dense", "dense", "dense"]
    with pytest.raises(ConfigurationError, match="given region selections too"):
        region_selections(table, [one_set(selection_set_id="theirs")], given, split_seed=13)


def test_a_given_table_that_contradicts_itself_or_the_parents_is_refused() -> None:
    table = regions(2, region_id=[1, 2], region_split=["train"] * 2)
    given = {"selection_set_id": ["a", "a"], "selection_strategy": ["x"] * 2, "ranking_mode": ["y"] * 2, "region_id": [1, 1]}
    with pytest.raises(SurveyDataError, match=r"missing \['region_split'\]"):
        given_selections(pa.table(given), table)
    with pytest.raises(SurveyDataError, match="1 of 2 rows repeat"):
        given_selections(pa.table(given | {"region_split": ["train"] * 2}), table)
    with pytest.raises(SurveyDataError, match="region 2 in split val"):
        given_selections(pa.table(given | {"region_id": [1, 2], "region_split": ["train", "val"]}), table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[", "not valid JSON"),
        ("{}", "list of objects"),
        (json.dumps([{**TOP, "k": 0}]), "k is 0"),
        (json.dumps([{**TOP, "k": True}]), "k is True"),
        (json.dumps([{**TOP, "n_bins": 4}]), "exactly the keys"),
        (json.dumps([{**STRATA, "n_bins": 1}]), "n_bins is 1"),
        (json.dumps([{name: value for name, value in STRATA.items() if name != "n_bins"}]), "exactly the keys"),
        (json.dumps([{**TOP, "ranking_mode": "beauty"}]), "'beauty'"),
        (json.dumps([{**TOP, "selection_strategy": "random"}]), "'random'"),
        (json.dumps([{**TOP, "selection_set_id": "a b"}]), "letters, digits"),
        (json.dumps([TOP, TOP]), "more than once"),
    ],
)
def test_a_bad_list_of_sets_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        parse_selection_sets(text)
