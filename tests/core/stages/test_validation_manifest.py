"""Validation of a manifest: a good one passes every law, and each way to break it is caught by the law that names it."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.stages.grids import ProductGrid
from halo_core.stages.manifest import ManifestBuild, build_manifest
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import in_one_table
from halo_core.stages.validation_manifest import DESIGN_LAWS, ROW_LAWS, ManifestEvidence, check_manifest
from tests.fixtures.parents import make_parents, small_config

GRIDS = {"tiny": ProductGrid("tiny", "src_dmag", ((0.5, 1.0), (1.0,), (0.1,), (0.0, 0.3), (0.0,)))}


def tiny_config(**changes: object) -> ManifestConfig:
    """Return a campaign of 24 debug, 64 grid and 144 train injections and controls."""
    given = {"grids": dict.fromkeys(("debug", "grid", "train"), "tiny"), "n_total_train_per_split": 24}
    return small_config(**(given | changes))


@cache
def parents() -> pa.Table:
    return make_parents({"train": 80, "val": 60, "test": 50}, seed=1)


@cache
def small() -> ManifestBuild:
    return build_manifest(parents(), tiny_config(), GRIDS)


def evidence(**changes: object) -> ManifestEvidence:
    made = small()
    given = ManifestEvidence(
        in_one_table(parents()), made.plan, GRIDS, set(parents()["brickname"].to_pylist()), made.seeds, has_given_splits=False
    )
    return replace(given, **changes)  # type: ignore[arg-type]


def failed(tasks: pa.Table, config: ManifestConfig | None = None, **changes: object) -> set[str]:
    findings = check_manifest([tasks], config or tiny_config(), evidence(**changes))
    return {finding.check for finding in findings if not finding.is_ok}


def changed(rows: Callable[[dict[str, Any]], bool], **values: Any) -> pa.Table:
    """Return the manifest with values replaced in the rows that a condition picks; a callable value is given the row."""
    content = small().tasks.to_pylist()
    picked = [row for row in content if rows(row)]
    assert picked
    for row in picked:
        row |= {name: value(row) if callable(value) else value for name, value in values.items()}
    return pa.Table.from_pylist(content, schema=small().tasks.schema)


@cache
def first_id(is_control: bool) -> str:
    return next(row["physical_id"] for row in small().tasks.to_pylist() if row["is_control"] == is_control)


def first_injection(row: dict[str, Any]) -> bool:
    return bool(row["physical_id"] == first_id(False))


def a_control(row: dict[str, Any]) -> bool:
    return bool(row["physical_id"] == first_id(True))


def test_a_good_manifest_passes_every_law() -> None:
    findings = check_manifest([small().tasks], tiny_config(), evidence())
    assert [finding.check for finding in findings if not finding.is_ok] == []
    assert len(findings) == len(ROW_LAWS) + len(DESIGN_LAWS) + 4
    assert "effective sample size" in next(finding.observed for finding in findings if finding.check == "hosts")


def test_validation_fails_closed_on_no_rows_a_missing_column_a_null_and_a_wrong_type() -> None:
    tasks = small().tasks
    assert failed(tasks.slice(0, 0)) == {"rows"}
    assert failed(tasks.drop_columns(["task_seed"])) == {"columns"}
    assert failed(tasks, plan=()) == {"rows"}
    assert failed(tasks, parents=in_one_table(parents().slice(0, 0))) == {"rows"}
    index = tasks.schema.get_field_index("src_gr")
    assert failed(tasks.set_column(index, "src_gr", pa.array(np.full(tasks.num_rows, np.nan)))) == {"nulls"}
    assert failed(tasks.set_column(index, "src_gr", tasks["src_gr"].cast(pa.float32()))) == {"columns"}


@pytest.mark.parametrize(
    ("values", "check"),
    [
        ({"theta_e_arcsec": 5.1}, "ranges"),
        ({"theta_e_arcsec": 0.0}, "injections_positive"),
        ({"lens_e": 0.96}, "ranges"),
        ({"shear": 0.6}, "ranges"),
        ({"lens_phi_rad": 3.2}, "ranges"),
        ({"src_gr": 1.6}, "ranges"),
        ({"src_flux_z_nmgy": 0.0}, "injections_positive"),
        ({"src_flux_r_nmgy": lambda row: row["src_flux_r_nmgy"] * 0.9}, "fluxes"),
        ({"lens_e": 0.3}, "frozen"),
        ({"src_reff_arcsec": 0.09}, "configurations"),
        ({"config_id": "tiny_0049"}, "configurations"),
        ({"task_seed": 7}, "identities"),
        ({"task_id": "t"}, "task_id_unique"),
        ({"host_repeat": 2}, "pairs"),
        ({"replicate": 7}, "pairs"),
        ({"sampling_weight": 1.37}, "weights"),
        ({"brickname": "9999p999"}, "bricks"),
        ({"host_id": "nobody"}, "hosts_are_parents"),
        ({"experiment_id": "debug_64"}, "experiments"),
        ({"block": 999}, "blocks"),
        ({"src_x_arcsec": lambda row: float(row["stamp_size"])}, "views"),
        ({"tier": "deep"}, "stamp_sizes"),
        ({"grid": "grid_other"}, "experiments"),
    ],
)
def test_one_wrong_injection_is_caught(values: dict[str, Any], check: str) -> None:
    assert check in failed(changed(first_injection, **values))


@pytest.mark.parametrize("values", [{"theta_e_arcsec": 0.5}, {"src_flux_g_nmgy": 1.0}, {"lens_model": "SIE"}, {"shear_phi_rad": 1.0}])
def test_a_control_with_a_lens_or_a_source_is_caught(values: dict[str, Any]) -> None:
    assert "controls_zero" in failed(changed(a_control, **values))


def test_controls_that_repeat_hosts_are_caught() -> None:
    one = next(row for row in small().tasks.to_pylist() if a_control(row))
    same = {name: one[name] for name in ("host_id", "brickname", "objid", "ra", "dec", "region_id", "region_split", "block")}
    found = failed(
        changed(lambda row: row["is_control"] and row["tier"] == one["tier"] and row["region_split"] == one["region_split"], **same)
    )
    assert "controls_distinct" in found


def test_a_control_that_is_also_an_injection_of_its_tier_or_a_replicate_is_caught() -> None:
    host = next(row["host_id"] for row in small().tasks.to_pylist() if row["tier"] == "train" and not row["is_control"])
    picked = next(row["physical_id"] for row in small().tasks.to_pylist() if row["tier"] == "train" and row["is_control"])
    assert "controls_distinct" in failed(changed(lambda row: row["physical_id"] == picked, host_id=host))
    assert "controls_distinct" in failed(changed(a_control, replicate=1))


def test_every_configuration_on_every_host_is_caught() -> None:
    # n_per_config hosts for each configuration became all hosts of all configurations: rows grow as n_configs squared
    debug = (
        small().tasks.filter(pc.and_(pc.equal(small().tasks["tier"], "debug"), pc.equal(small().tasks["region_split"], "val"))).to_pylist()
    )
    labels = sorted({row["config_id"] for row in debug})
    extra = [
        row | {"config_id": label, "task_id": f"{row['task_id']}{label}", "physical_id": f"{row['physical_id']}{label}"}
        for row in debug
        for label in labels
    ]
    found = failed(pa.concat_tables([small().tasks, pa.Table.from_pylist(extra, schema=small().tasks.schema)]))
    assert {"counts", "control_fraction", "identities", "pairs"} <= found


def test_one_size_missing_in_one_tier_is_caught() -> None:
    tasks = small().tasks
    kept = tasks.filter(pc.invert(pc.and_(pc.equal(tasks["tier"], "debug"), pc.equal(tasks["stamp_size"], 96))))
    assert {"counts", "stamp_sizes", "views"} <= failed(kept)


def test_a_lost_row_is_caught() -> None:
    assert {"counts", "views"} <= failed(small().tasks.slice(1))


def test_relabelled_splits_are_caught() -> None:
    other = {"train": "val", "val": "test", "test": "train"}
    found = failed(changed(bool, region_split=lambda row: other[row["region_split"]]))
    assert found == {"hosts_are_parents"}
    assert {"hosts_are_parents", "one_split"} <= failed(changed(first_injection, region_split=lambda row: other[row["region_split"]]))


def test_a_hard_coded_seed_is_caught() -> None:
    made = build_manifest(parents(), tiny_config(sampling_seed=42), GRIDS)
    assert {"identities"} <= failed(made.tasks, plan=made.plan)
    assert {"seeds"} == failed(small().tasks, seeds={"split_seed": 42, "sampling_seed": 13})
    assert {"seeds"} == failed(small().tasks, seeds={})


def test_unbalanced_configurations_are_caught() -> None:
    label = GRIDS["tiny"].config_ids()[0]
    assert "balanced" in failed(changed(lambda row: row["config_id"].startswith("tiny_0002"), config_id=label))


def test_a_host_used_twice_in_train_is_caught() -> None:
    train = [
        row["host_id"]
        for row in small().tasks.to_pylist()
        if row["tier"] == "train" and not row["is_control"] and row["region_split"] == "val"
    ]
    one, other = sorted(set(train))[:2]
    assert "pairs" in failed(changed(lambda row: row["host_id"] == one and row["tier"] == "train", host_id=other))


def test_frozen_variables_that_are_not_uniform_are_caught() -> None:
    assert "frozen" in failed(changed(lambda row: not row["is_control"], lens_phi_rad=lambda row: 0.5 * row["lens_phi_rad"]))
    assert "uniforms" not in failed(small().tasks)


def test_hosts_in_a_guard_band_are_caught() -> None:
    is_guard = np.isin(np.asarray(parents()["host_id"]), [small().tasks["host_id"][0].as_py()])
    guarded = make_parents({"train": 80, "val": 60, "test": 50}, seed=1, is_guard=is_guard)
    assert failed(small().tasks, parents=in_one_table(guarded)) == {"hosts_are_parents"}


def test_neighbours_of_another_split_stop_own_splits_and_only_warn_for_given_ones() -> None:
    target = next(row for row in small().tasks.to_pylist() if row["region_split"] == "val")
    near = changed(lambda row: first_injection(row), ra=target["ra"], dec=target["dec"] + 30.0 / 3600.0)
    assert "splits_apart" in failed(near)
    findings = check_manifest([near], tiny_config(), evidence(has_given_splits=True))
    assert [finding.severity for finding in findings if finding.check == "splits_apart"] == ["warning"]
