"""Selection sets in a campaign: hosts from their regions alone, the side table in objects and state, and back from the objects."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
from luigi.execution_summary import LuigiStatusCode

import luigi_tasks
from halo_core.records import REGION_SELECTIONS
from halo_core.store import schema, selections
from halo_core.store.sessions import read
from luigi_tasks.rebuild import rebuild, verify
from luigi_tasks.targets import REGION_SELECTIONS_FILE
from tests.fixtures.campaigns import Place, new_place

SETS = [
    {"selection_set_id": "crowded", "selection_strategy": "top_k", "ranking_mode": "count", "k": 1},
    {"selection_set_id": "again", "selection_strategy": "top_k", "ranking_mode": "count", "k": 1},
    {"selection_set_id": "seeing", "selection_strategy": "stratified", "ranking_mode": "psf_quality", "k": 1, "n_bins": 2},
]
# One set of the best region of each split, and few tasks, so that its hosts suffice.
FEW = {"tiers": "debug", "n_per_config_debug": "1", "selection_sets": json.dumps(SETS[:2])}


@pytest.fixture(scope="module")
def selected_place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where a manifest was built from selection sets; tests must not change it."""
    place = new_place(tmp_path_factory.mktemp("selected"), **FEW)
    assert place.run(luigi_tasks.BuildManifest) == LuigiStatusCode.SUCCESS
    return place


def side_table(place: Place) -> pa.Table:
    """Return the side table of the place's objects."""
    return place.task().table_of("parent", REGION_SELECTIONS_FILE)


def test_hosts_come_from_the_regions_of_the_sets_and_the_others_stay_parents(selected_place: Place) -> None:
    held = set(side_table(selected_place)["region_id"].to_pylist())
    hosts = {row["region_id"] for row in selected_place.rows("SELECT DISTINCT region_id FROM injection_tasks")}
    parents = {row["region_id"] for row in selected_place.rows("SELECT DISTINCT region_id FROM parents")}
    assert hosts == held
    assert len(held) == 2 < len(parents)
    assert selected_place.rows("SELECT count(*) AS n FROM injection_tasks GROUP BY task_id HAVING count(*) > 1") == []


def test_the_side_table_stands_in_objects_and_state_and_its_sets_are_the_best_regions(selected_place: Place) -> None:
    table, digest = side_table(selected_place), selected_place.task().digest_of("parent")
    assert table.schema.equals(REGION_SELECTIONS)
    with read(selected_place.state_url) as connection:
        stored = selections.selections(connection, stage_digest=digest)
    assert stored.to_pylist() == table.to_pylist()
    best = selected_place.rows(
        "SELECT region_split, max(n) AS n FROM (SELECT region_split, region_id, count(*) AS n FROM parents WHERE NOT is_guard"
        " GROUP BY region_split, region_id) AS r GROUP BY region_split ORDER BY region_split"
    )
    n_hosts = {(row["selection_set_id"], row["region_split"]): row["n_hosts"] for row in stored.to_pylist()}
    assert len(n_hosts) == stored.num_rows
    assert n_hosts == {(name, row["region_split"]): row["n"] for name in ("again", "crowded") for row in best}


def test_shares_of_the_splits_are_recorded_and_reported(selected_place: Place) -> None:
    splits = selected_place.task().mark_of("parent")["counts"]["splits"]
    assert [share["configured_frac"] for share in splits] == [0.5, 0.5]
    assert sum(share["n_parents"] for share in splits) == selected_place.rows("SELECT count(*) AS n FROM parents")[0]["n"]
    (found,) = selected_place.rows("SELECT is_ok, observed FROM validation_findings WHERE check_name = 'split_fractions'")
    assert found["is_ok"]
    assert "of the area" in found["observed"]


def test_sets_enter_the_parents_digest_only_where_there_are_some(selected_place: Place) -> None:
    task, none = selected_place.task(), selected_place.task(selection_sets="")
    assert task.digest_of("survey") == none.digest_of("survey")
    assert task.digest_of("parent") != none.digest_of("parent")
    assert "selection_sets" not in none.identities["parent"].parameters
    turned = selected_place.task(selection_sets=json.dumps(SETS[1::-1]))
    assert turned.digest_of("parent") == task.digest_of("parent")


def test_the_state_gets_them_back_from_the_objects(selected_place: Place, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'again.sqlite'}"
    rebuild(url, selected_place.objects, say=lambda _: None)
    schema.require_head(url)
    with read(url) as connection:
        found = selections.selections(connection, stage_digest=selected_place.task().digest_of("parent"))
    assert found.to_pylist() == side_table(selected_place).to_pylist()
    assert list(verify(url, selected_place.objects)) == []
    (tmp_path / "again.sqlite").unlink()


def test_a_summary_has_each_set_beside_all_regions(tmp_path: Path) -> None:
    place = new_place(tmp_path, **FEW | {"selection_sets": json.dumps([SETS[0], SETS[2]])})
    assert place.run() == LuigiStatusCode.SUCCESS
    cells = place.rows("SELECT DISTINCT selection_set_id FROM completeness_cells ORDER BY selection_set_id")
    assert {row["selection_set_id"] for row in cells} == {None, "crowded", "seeing"}
