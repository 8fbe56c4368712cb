"""Each law of a manifest fails where it is broken, the same however the blocks come; errors of earlier pipelines are caught."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from halo_core.records import MANIFEST
from halo_core.stages import validation_manifest_view
from halo_core.stages.grids import Grid, ProductGrid, load_grid
from halo_core.stages.manifest import build_manifest
from halo_core.stages.manifest_hosts import in_one_table
from halo_core.stages.planning import plan, plan_row
from halo_core.stages.priors import stream_uniforms
from halo_core.stages.validation import require
from halo_core.stages.validation_manifest import DESIGN_LAWS, ROW_LAWS, ManifestEvidence, check_manifest
from tests.core.stages.test_validation_manifest import (
    GRIDS,
    a_control,
    changed,
    evidence,
    failed,
    first_id,
    first_injection,
    parents,
    small,
    tiny_config,
)

OTHER_SPLIT = {"train": "val", "val": "test", "test": "train"}


def without(tasks: pa.Table, name: str, value: object) -> pa.Table:
    """Return the tasks but for those with a value."""
    return tasks.filter(pc.not_equal(tasks[name], value))


def with_null(name: str) -> pa.Table:
    """Return the manifest with one NULL."""
    values = [None, *small().tasks[name].to_pylist()[1:]]
    return small().tasks.set_column(MANIFEST.get_field_index(name), MANIFEST.field(name), pa.array(values, MANIFEST.field(name).type))


def chosen_by_angle() -> pa.Table:
    """Return the manifest without the injections whose lens is turned by less than a quarter."""
    ids = pc.unique(small().tasks["physical_id"]).to_pylist()
    turned = pa.array([item for item, u in zip(ids, stream_uniforms(ids)["lens_phi"], strict=True) if u > 0.5])
    return small().tasks.filter(pc.or_(small().tasks["is_control"], pc.is_in(small().tasks["physical_id"], turned)))


def beside_another_split() -> pa.Table:
    """Return the manifest with one host moved next to one of another split."""
    target = next(row for row in small().tasks.to_pylist() if row["region_split"] == "val")
    return changed(first_injection, ra=target["ra"], dec=target["dec"] + 30.0 / 3600.0)


BREAKS: dict[str, Callable[[], set[str]]] = {
    "columns": lambda: failed(small().tasks.drop_columns(["ebv"])),
    "rows": lambda: failed(small().tasks.slice(0, 0)),
    "nulls": lambda: failed(with_null("ebv")),
    "controls_zero": lambda: failed(changed(a_control, lens_e=0.1)),
    "injections_positive": lambda: failed(changed(first_injection, src_flux_z_nmgy=0.0)),
    "ranges": lambda: failed(changed(first_injection, shear_phi_rad=-0.1)),
    "views": lambda: failed(changed(first_injection, src_y_arcsec=lambda row: float(row["stamp_size"]))),
    "configurations": lambda: failed(changed(first_injection, src_dmag=1.01)),
    "frozen": lambda: failed(changed(first_injection, src_rz=0.1)),
    "identities": lambda: failed(changed(first_injection, task_seed=7)),
    "fluxes": lambda: failed(changed(first_injection, src_flux_g_nmgy=lambda row: 1.001 * row["src_flux_g_nmgy"])),
    "plan": lambda: failed(small().tasks, tiny_config(n_total_train_per_split=48)),
    "task_id_unique": lambda: failed(changed(first_injection, task_id="t")),
    "counts": lambda: failed(small().tasks.slice(2)),
    "stamp_sizes": lambda: failed(changed(lambda row: row["tier"] == "debug", stamp_size=64)),
    "experiments": lambda: failed(changed(first_injection, experiment_id="debug_stamp64_bandsgrz_gridother")),
    "seeds": lambda: failed(small().tasks, seeds={"split_seed": 13}),
    "control_fraction": lambda: failed(without(small().tasks, "physical_id", first_id(True))),
    "controls_distinct": lambda: failed(changed(a_control, replicate=1)),
    "bricks": lambda: failed(small().tasks, bricknames=set(parents()["brickname"].to_pylist()) - {small().tasks["brickname"][0].as_py()}),
    "hosts_are_parents": lambda: failed(changed(first_injection, objid=lambda row: row["objid"] + 1)),
    "one_split": lambda: failed(changed(first_injection, region_split=lambda row: OTHER_SPLIT[row["region_split"]])),
    "balanced": lambda: failed(changed(lambda row: row["config_id"].startswith("tiny_0002"), config_id=GRIDS["tiny"].config_ids()[0])),
    "pairs": lambda: failed(changed(first_injection, host_repeat=9)),
    "uniforms": lambda: failed(chosen_by_angle()),
    "blocks": lambda: failed(changed(first_injection, block=lambda row: row["block"] + 1)),
    "weights": lambda: failed(changed(first_injection, sampling_weight=0.5)),
    "hosts": lambda: failed(without(small().tasks, "tier", "debug")),
    "splits_apart": lambda: failed(beside_another_split()),
}


def test_every_law_has_a_manifest_that_breaks_it() -> None:
    assert [*BREAKS] == ["columns", "rows", "nulls", *(law.name for law in ROW_LAWS), *(law.name for law in DESIGN_LAWS), "splits_apart"]


@pytest.mark.parametrize("law", BREAKS)
def test_a_manifest_that_breaks_a_law_is_caught_by_it(law: str) -> None:
    assert law in BREAKS[law]()


@pytest.mark.parametrize("broken", [False, True])
def test_findings_do_not_depend_on_how_the_blocks_come(monkeypatch: pytest.MonkeyPatch, broken: bool) -> None:
    tasks = changed(lambda row: row["tier"] == "grid" and row["replicate"] == 1, host_id="nobody", lens_e=0.96) if broken else small().tasks
    given = replace(
        evidence(), parents=lambda columns: (parents().select(list(columns)).slice(row, 1) for row in range(parents().num_rows))
    )
    whole = check_manifest([tasks], tiny_config(), evidence())
    assert {found.check for found in whole if not found.is_ok} >= ({"ranges", "hosts_are_parents", "identities"} if broken else set())
    blocks = [tasks.filter(pc.equal(tasks["block"], block)) for block in range(small().n_blocks)]
    for part_rows in (1, 100):
        monkeypatch.setattr(validation_manifest_view, "PART_ROWS", part_rows)
        assert [asdict(found) for found in check_manifest(iter(blocks), tiny_config(), given)] == [asdict(found) for found in whole]


@pytest.mark.parametrize("blocks", [[], [MANIFEST.empty_table()] * 3])
def test_a_validator_that_finds_nothing_to_look_at_fails(blocks: list[pa.Table]) -> None:
    findings = check_manifest(blocks, tiny_config(), evidence())
    assert [(found.check, found.is_ok) for found in findings] == [("columns", True), ("rows", False)]
    with pytest.raises(Exception, match="0 tasks, 190 parents, 9 plan rows"):
        require(findings)


def test_a_block_that_is_not_listed_is_caught() -> None:
    findings = check_manifest(list(small().blocks())[:-1], tiny_config(), evidence())
    assert {"counts", "control_fraction"} <= {found.check for found in findings if not found.is_ok}
    findings = check_manifest(list(small().blocks())[1:], tiny_config(), evidence())
    assert "blocks" in {found.check for found in findings if not found.is_ok}


@pytest.mark.parametrize("has_own_ids", [False, True])
def test_galaxies_that_are_drawn_once_for_each_selection_set_are_caught(has_own_ids: bool) -> None:
    again = small().tasks.to_pylist()
    for row in again:
        row["block"] += small().n_blocks
        if has_own_ids:
            row |= {name: f"{row[name]}-set2" for name in ("task_id", "physical_id")}
    found = failed(pa.concat_tables([small().tasks, pa.Table.from_pylist(again, schema=MANIFEST)]))
    as_others = {"counts", "pairs", "controls_distinct", "control_fraction", "blocks", "identities"}
    assert (as_others if has_own_ids else {"counts", "task_id_unique", "views"}) <= found


@pytest.mark.parametrize("replicate", [0, 1])
@pytest.mark.parametrize("name", ["objid", "region_id"])
def test_one_row_of_several_that_says_something_else_of_its_host_is_caught(name: str, replicate: int) -> None:
    host = next(row["host_id"] for row in small().tasks.to_pylist() if first_injection(row))

    def one(row: dict[str, Any]) -> bool:
        return bool(row["host_id"] == host and row["replicate"] == replicate)

    assert "hosts_are_parents" in failed(changed(one, **{name: lambda row: row[name] + 1}))


def test_a_host_outside_every_selection_set_is_caught() -> None:
    every = set(pc.unique(parents()["region_id"]).to_pylist())
    assert failed(small().tasks, regions=every) == set()
    assert failed(small().tasks, regions=every - {1}) == {"hosts_are_parents"}


def test_a_smaller_plan_passes_only_where_reductions_are_allowed() -> None:
    asked, sizes = tiny_config(n_total_train_per_split=48), {"tiny": 4}
    assert "plan" in failed(small().tasks, asked)
    assert "plan" not in failed(small().tasks, replace(asked, on_shortage="reduce"))
    rows = list(plan(asked, sizes))
    rows[0] = replace(plan_row(asked, rows[0].tier, rows[0].split, n_configs=4, amount=rows[0].amount), n_controls=1)
    assert "plan" in failed(small().tasks, replace(asked, on_shortage="reduce"), plan=rows)


def of_grid(grid: Grid, **values: Any) -> set[str]:
    """Return what fails of a manifest of one grid, a value replaced in the first row where one is given."""
    config = tiny_config(tiers=("debug",), grids={"debug": grid.name}, n_per_config={"debug": 2})
    made = build_manifest(parents(), config, {grid.name: grid})
    rows = made.tasks.to_pylist()
    for row in rows:
        if row["physical_id"] == rows[0]["physical_id"]:
            row |= {name: value(row) for name, value in values.items()}
    bricks = set(parents()["brickname"].to_pylist())
    given = ManifestEvidence(in_one_table(parents()), made.plan, {grid.name: grid}, bricks, made.seeds, has_given_splits=False)
    findings = check_manifest([pa.Table.from_pylist(rows, schema=MANIFEST)], config, given)
    return {found.check for found in findings if not found.is_ok}


def test_absolute_magnitudes_are_those_of_the_configuration() -> None:
    grid = ProductGrid("absolute", "src_mag_r", ((0.5, 1.0), (22.0, 23.0), (0.1,), (0.0,), (0.0,)))
    assert of_grid(grid) == set()
    assert "configurations" in of_grid(grid, src_dmag=lambda row: row["src_dmag"] + 1e-6)


def test_parameters_of_a_population_and_their_density_follow_from_its_laws() -> None:
    grid = replace(load_grid("population_wide", Path(__file__).parents[3] / "grids"), n_draws=10)
    assert of_grid(grid) == set()
    assert "configurations" in of_grid(grid, proposal_density=lambda row: 1.001 * row["proposal_density"])
    assert "configurations" in of_grid(grid, theta_e_arcsec=lambda row: np.nextafter(row["theta_e_arcsec"], 9.0))
