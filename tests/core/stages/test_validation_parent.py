"""Validation of the parents: a good catalogue passes, each broken one is caught by the law that names it."""

from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from halo_core.flags import Flag
from halo_core.stages.parent_cells import cell_of, in_order, split_by_cell
from halo_core.stages.parent_cuts import UserCut
from halo_core.stages.validation_parent import check_parent
from tests.fixtures.parents import external_parents, make_bricks, make_objects, parent_config, select_parents


@cache
def good() -> tuple[pa.Table, pa.Table]:
    sky = make_objects(60_000, seed=11)
    near = np.flatnonzero((sky["ra"] > 20.0) & (sky["ra"] < 40.0) & (np.abs(sky["dec"]) < 8.0))[:500]
    objects = {name: values[near] for name, values in sky.items()}
    bricks = make_bricks(objects["brickid"])
    return select_parents(objects, bricks, parent_config())[0], bricks


def failed(parents: pa.Table, *, bricks: pa.Table | None = None, has_given_splits: bool = False, **changes: Any) -> set[str]:
    findings = check_parent(parents, parent_config(**changes), bricks=bricks or good()[1], has_given_splits=has_given_splits)
    return {finding.check for finding in findings if not finding.is_ok}


def changed(**values: Any) -> pa.Table:
    """Return the catalogue with values replaced in its first row; a callable value is given the old one."""
    content = good()[0].to_pylist()
    content[0] |= {name: value(content[0][name]) if callable(value) else value for name, value in values.items()}
    return pa.Table.from_pylist(content, schema=good()[0].schema)


def test_a_good_catalogue_passes_every_law() -> None:
    assert failed(good()[0]) == set()


def test_validation_fails_closed() -> None:
    parents, _ = good()
    assert failed(parents.slice(0, 0)) == {"rows"}
    assert failed(parents.drop_columns(["region_id"])) == {"columns"}
    assert failed(parents.set_column(parents.schema.get_field_index("rmag"), "rmag", pa.nulls(500, pa.float64()))) == {"nulls"}


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"host_id": good()[0]["host_id"][1].as_py()}, "hosts_unique"),
        ({"dec": 91.0}, "positions"),
        ({"brickid": lambda brickid: brickid + 1}, "places"),
        ({"region_split": "dev"}, "splits"),
        ({"rmag_mw": lambda mag: mag + 0.01}, "magnitudes"),
        ({"gmag": None}, "magnitudes"),
        ({"w1mag": None, "w1mag_mw": None}, "unknowns"),
        ({"psfsize_z_arcsec": None}, "unknowns"),
        ({"parent_flags": Flag.EBV_UNKNOWN.value}, "unknowns"),
        ({"region_id": lambda cell: cell + 1}, "regions"),
        ({"region_split": lambda split: "val" if split == "train" else "train"}, "regions"),
        ({"is_guard": lambda mark: not mark}, "guard"),
        ({"brickname": "0001m002"}, "bricks"),
        ({"is_v3_color_relaxed": False}, "variant"),
        ({"zmag": 20.5}, "variant"),
    ],
)
def test_one_wrong_parent_is_caught(values: dict[str, Any], check: str) -> None:
    assert check in failed(changed(**values))


def test_a_galaxy_that_stands_in_two_sky_cells_is_caught() -> None:
    parents, _ = good()
    first = parents.slice(0, 1).to_pylist()[0]
    far = next(row for row in parents.to_pylist() if cell_of(np.array([row["ra"]]), np.array([row["dec"]])) != _cell(first))
    twin = first | {"ra": far["ra"], "dec": far["dec"]}
    assert "hosts_unique" in failed(pa.concat_tables([parents, pa.Table.from_pylist([twin], schema=parents.schema)]))


def test_parts_that_mix_cells_or_are_out_of_order_are_caught() -> None:
    parents, bricks = good()
    parts = [in_order(part) for _, part in split_by_cell(parents)]
    large = max(range(len(parts)), key=lambda number: parts[number].num_rows)
    wrong = [pa.concat_tables(parts[:2]), parts[large].take(pa.array([1, 0, *range(2, parts[large].num_rows)]))]
    for changed_part, number in zip(wrong, (0, large), strict=True):
        given = [*parts[:number], changed_part, *parts[number + 1 :]]
        if number == 0:
            given = [changed_part, *parts[2:]]
        findings = check_parent(lambda given=given: given, parent_config(), bricks=bricks, has_given_splits=False)
        assert {finding.check for finding in findings if not finding.is_ok} == {"cells"}
    assert check_parent(lambda: parts, parent_config(), bricks=bricks, has_given_splits=False) == check_parent(
        parents, parent_config(), bricks=bricks, has_given_splits=False
    )


def test_parents_that_fail_a_cut_of_the_campaign_are_caught() -> None:
    cut = UserCut("faint", "zmag > 18.5 and maskbits == 0")
    assert failed(good()[0], cuts=(cut,)) == set()
    assert failed(changed(zmag=18.4, zmag_mw=lambda mag: mag - 1.0), cuts=(cut,)) >= {"cut_faint"}


def _cell(row: dict[str, Any]) -> int:
    return int(cell_of(np.array([row["ra"]]), np.array([row["dec"]]))[0])


def test_another_split_seed_than_the_recorded_one_is_caught() -> None:
    assert "regions" in failed(good()[0], split_seed=14)


def test_bricks_below_the_limits_are_caught() -> None:
    assert failed(good()[0], ebv_max=0.04) == {"bricks"}
    assert failed(good()[0], psfsize_r_max_arcsec=1.2) == {"bricks"}


def test_neighbours_of_another_split_stop_own_splits_and_only_warn_for_given_ones() -> None:
    parents, bricks = good()
    split = parents["region_split"].to_pylist()
    other = parents.slice(next(i for i, name in enumerate(split) if name != split[0]), 1).to_pylist()[0]
    near = changed(ra=other["ra"], dec=other["dec"] + 20.0 / 3600.0)
    findings = check_parent(near, parent_config(), bricks=bricks, has_given_splits=True)
    assert [(f.is_ok, f.severity) for f in findings if f.check == "splits_apart"] == [(False, "warning")]
    assert "splits_apart" in failed(near)


def test_an_outside_table_is_not_held_to_the_selection() -> None:
    columns = {"objid": np.arange(3), "ra": np.array([10.0, 20.0, 30.0]), "dec": np.zeros(3), "rmag": np.full(3, 23.0)}
    parents, _ = external_parents(columns)
    assert failed(parents, variant="external") == set()
