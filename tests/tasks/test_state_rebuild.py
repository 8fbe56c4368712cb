"""Laws of the index: the objects give back every row, and a comparison sees whatever differs and mends it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ObjectStoreError, StoreError
from halo_core.records import PLANES
from halo_core.stages.parent_cells import SKY_CELLS_FILE
from halo_core.store.sessions import begin, read
from luigi_tasks import BuildManifest, InjectAll, rebuild
from luigi_tasks.cli import main
from luigi_tasks.objects import open_objects
from luigi_tasks.runs import recorded_runs
from luigi_tasks.targets import STAGE_MARK
from tests.fixtures.campaigns import Place

QUERIES = (
    "SELECT campaign_id, name, config FROM campaigns ORDER BY campaign_id",
    "SELECT campaign_id, stage, stage_digest FROM campaign_stages ORDER BY campaign_id, stage",
    "SELECT stage_digest, stage, science_version, config, code_version, counts, status FROM stages ORDER BY stage_digest",
    "SELECT stage_digest, block, n_injections, n_tasks, n_bricks, finished IS NULL AS x, error FROM blocks ORDER BY stage_digest, block",
    "SELECT * FROM bricks ORDER BY stage_digest, brickname",
    "SELECT * FROM parents ORDER BY stage_digest, host_id",
    "SELECT * FROM parent_cuts ORDER BY stage_digest, position",
    "SELECT * FROM planned_counts ORDER BY stage_digest, tier, region_split, stamp_size",
    "SELECT * FROM injection_tasks ORDER BY stage_digest, task_id",
    "SELECT * FROM injection_results ORDER BY stage_digest, task_id",
    f"SELECT stage_digest, {', '.join(PLANES.names)} FROM coadd_planes ORDER BY stage_digest, brickname, plane",
    "SELECT * FROM completeness_cells ORDER BY stage_digest, cell",
    "SELECT stage_digest, stage, check_name, is_ok, severity, observed, expected, sentence FROM validation_findings"
    " ORDER BY stage_digest, check_name",
)
"""Every table, without what only the state knows."""


def rows(url: str, query: str) -> list[dict[str, Any]]:
    with read(url) as connection:
        return [dict(row) for row in connection.execute(sa.text(query)).mappings()]


def change(url: str, statement: str) -> None:
    with begin(url) as connection:
        connection.execute(sa.text(statement))


def rebuilt(url: str, place: Place) -> str:
    """Rebuild a state from the objects of a place, and return its URL."""
    rebuild.rebuild(url, place.objects, say=lambda _line: None)
    return url


def differences(url: str, place: Place, name: str | None = None) -> list[tuple[str, str, int | None]]:
    """Return what differs: stage, table, block."""
    return [(found.stage, found.table, found.block) for found in rebuild.verify(url, place.objects, name)]


@pytest.mark.parametrize("name", ["tiny", None])
def test_the_objects_give_back_every_row(done_place: Place, state_url: str, name: str | None) -> None:
    rebuilt(state_url, done_place)
    for query in QUERIES:
        expected = rows(done_place.state_url, query)
        assert expected, query
        assert rows(state_url, query) == expected, query
    assert differences(state_url, done_place, name) == []
    assert done_place.task(state_url=state_url).complete()


def test_objects_on_s3_give_back_every_row_and_are_compared_alike(done_place: Place, s3_root: str, tmp_path: Path) -> None:
    objects, url = open_objects(s3_root), f"sqlite:///{tmp_path / 'state.sqlite'}"
    for key in done_place.objects.list_sizes(""):
        if not key.startswith(("mock_survey", "report")) and not key.endswith(".fz"):
            objects.copy_in(key, done_place.objects.path(key))
    rebuild.rebuild(url, objects, say=lambda _line: None)
    for query in QUERIES:
        assert rows(url, query) == rows(done_place.state_url, query), query
    assert list(rebuild.verify(url, objects)) == []


def test_a_state_that_a_run_has_made_differs_from_its_objects_in_nothing(done_place: Place) -> None:
    assert differences(done_place.state_url, done_place) == []


def test_a_rebuilt_state_knows_when_a_run_was_first_registered_and_no_attempt(done_place: Place, state_url: str) -> None:
    rebuilt(state_url, done_place)
    query = "SELECT created_at FROM campaigns"
    with read(state_url) as connection:
        found = connection.execute(sa.text(query).columns(created_at=sa.DateTime(timezone=True))).scalar_one()
    assert found.replace(tzinfo=None).isoformat() == recorded_runs(done_place.objects)[0].created_at.removesuffix("+00:00")
    assert rows(state_url, "SELECT DISTINCT attempts, host, started FROM blocks") == [{"attempts": 0, "host": None, "started": None}]


def test_a_state_with_rows_is_not_rebuilt_and_nothing_is_built_from_nothing(done_place: Place, place: Place) -> None:
    with pytest.raises(StoreError, match="halo state verify --repair"):
        rebuilt(done_place.state_url, done_place)
    for act in (rebuilt, differences):
        with pytest.raises(StoreError, match=r"no run of .* is recorded below"):
            act(place.state_url, place)


def test_a_run_that_got_half_way_is_rebuilt_half_way(done_place: Place, place_with_planes: Place, state_url: str) -> None:
    place = place_with_planes
    next(iter(place.task(InjectAll).run()))
    place.task(InjectAll).block_task(1).run()
    rebuilt(state_url, place)
    assert rows(state_url, "SELECT block FROM injection_results GROUP BY block") == [{"block": 1}]
    assert rows(state_url, "SELECT status FROM stages WHERE stage = 'injection'") == [{"status": "planned"}]
    injection = place.task().digest_of("injection")
    assert rows(state_url, f"SELECT block FROM blocks WHERE finished IS NOT NULL AND stage_digest = '{injection}'") == [{"block": 1}]
    assert differences(state_url, place) == []
    assert place.run(InjectAll, state_url=state_url) == LuigiStatusCode.SUCCESS
    attempts = rows(state_url, f"SELECT block, attempts FROM blocks WHERE stage_digest = '{injection}' ORDER BY block")
    assert [row["attempts"] for row in attempts] == [1, 0, 1]
    expected = rows(done_place.state_url, "SELECT * FROM injection_results ORDER BY task_id")
    assert rows(state_url, "SELECT * FROM injection_results ORDER BY task_id") == expected


DAMAGE = {
    "a row is gone": ("DELETE FROM injection_results WHERE task_id = (SELECT MIN(task_id) FROM injection_results)", "injection_results"),
    "a number differs in its last bit": ("UPDATE completeness_cells SET n_eff = n_eff * (1 + 3e-16) WHERE cell = 0", "completeness_cells"),
    "a text differs": ("UPDATE parents SET region_split = 'val' WHERE host_id = (SELECT MIN(host_id) FROM parents)", "parents"),
    "a seed differs by one": ("UPDATE injection_tasks SET task_seed = task_seed - 1 WHERE block = 2", "injection_tasks"),
    "a value is NULL": ("UPDATE bricks SET ebv = NULL", "bricks"),
    "the plan differs": ("UPDATE planned_counts SET n_controls = n_controls + 1", "planned_counts"),
    "planes are gone": ("DELETE FROM coadd_planes WHERE block = 0", "coadd_planes"),
    "a finding differs": ("UPDATE validation_findings SET is_ok = NOT is_ok WHERE stage = 'manifest'", "validation_findings"),
    "a stage is not done": ("UPDATE stages SET status = 'planned', counts = NULL WHERE stage = 'summary'", "stages"),
    "a block is not finished": ("UPDATE blocks SET finished = NULL WHERE block = 1 AND attempts > 0", "injection_results"),
    "rows that no object holds": (
        "INSERT INTO planned_counts SELECT stage_digest, 'debug', 'val', 999, 1, 1 FROM planned_counts LIMIT 1",
        "planned_counts",
    ),
    "a campaign has another name": ("UPDATE campaigns SET name = 'other'", "campaigns"),
    "a link is gone": ("DELETE FROM campaign_stages WHERE stage = 'summary'", "campaigns"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_differs_is_seen_and_repaired(done_place: Place, copied_place: Place, damage: str) -> None:
    statement, table = DAMAGE[damage]
    change(copied_place.state_url, statement)
    found = list(rebuild.verify(copied_place.state_url, copied_place.objects))
    assert {one.table for one in found} == {table}
    assert rebuild.repair(copied_place.state_url, found) == []
    assert differences(copied_place.state_url, copied_place) == []
    for query in QUERIES[2:]:
        assert rows(copied_place.state_url, query) == rows(done_place.state_url, query)


def test_rows_of_a_block_without_objects_are_taken_out_and_the_block_is_to_do(copied_place: Place) -> None:
    prefix = f"injection/{copied_place.task().digest_of('injection')}"
    for key in copied_place.objects.list_sizes(f"{prefix}/block=00001"):
        copied_place.objects.delete(key)
    found = list(rebuild.verify(copied_place.state_url, copied_place.objects))
    assert [(one.table, one.block) for one in found] == [("stages", None), ("blocks", 1), ("injection_results", 1)]
    left = rebuild.repair(copied_place.state_url, found)
    assert ["run the campaign again" in one.sentence for one in left] == [True]
    assert copied_place.rows("SELECT block FROM injection_results GROUP BY block ORDER BY block") == [{"block": 0}, {"block": 2}]
    assert copied_place.run() == LuigiStatusCode.SUCCESS
    assert differences(copied_place.state_url, copied_place) == []


def test_an_object_that_is_not_what_its_mark_says_is_named_and_never_loaded(copied_place: Place) -> None:
    key = f"injection/{copied_place.task().digest_of('injection')}/block=00001/results.parquet"
    data = bytearray(copied_place.objects.read(key))
    data[100] ^= 1
    copied_place.objects.path(key).write_bytes(bytes(data))
    found = list(rebuild.verify(copied_place.state_url, copied_place.objects))
    assert [(one.table, one.block, one.repair) for one in found] == [("injection_results", 1, None)]
    assert key in found[0].sentence


def test_a_state_without_rows_is_repaired_to_the_same_rows(done_place: Place, migrated_url: str) -> None:
    found = list(rebuild.verify(migrated_url, done_place.objects))
    assert {one.table for one in found} >= {"stages", "blocks", "bricks", "injection_results", "campaigns"}
    assert rebuild.repair(migrated_url, found) == []
    for query in QUERIES:
        assert rows(migrated_url, query) == rows(done_place.state_url, query)


def test_runs_come_back_in_their_order_and_the_latest_is_the_latest(copied_place: Place, state_url: str) -> None:
    for changes in ({"campaign_name": "beta"}, {"min_n": "7"}, {}):
        copied_place.task(BuildManifest, **changes).run()
    expected = copied_place.rows("SELECT campaign_id, name FROM campaigns ORDER BY campaign_id")
    assert [row["name"] for row in expected] == ["tiny", "beta", "tiny", "tiny"]
    rebuilt(state_url, copied_place)
    found = rows(state_url, "SELECT name, config FROM campaigns ORDER BY campaign_id")
    assert [row["name"] for row in found] == ["beta", "tiny", "tiny"]
    assert [json.loads(row["config"])["min_n"] for row in found][1] == "7"
    latest = "SELECT config FROM campaigns WHERE name = 'tiny' ORDER BY campaign_id DESC LIMIT 1"
    assert rows(state_url, latest) == copied_place.rows(latest)


def test_a_record_of_a_run_is_written_once_and_a_name_of_any_kind_is_a_key(place: Place) -> None:
    with begin(place.state_url) as connection:
        place.task(campaign_name="../θ_E 1″/x").register(connection)
    (key,) = place.objects.list_sizes("campaigns")
    before = place.seen("campaigns")
    with begin(place.state_url) as connection:
        place.task(campaign_name="../θ_E 1″/x").register(connection)
    assert place.seen("campaigns") == before
    assert key.count("/") == 1
    assert recorded_runs(place.objects, "../θ_E 1″/x")[0].key == key


def test_a_record_that_is_none_is_named(place: Place) -> None:
    place.objects.put("campaigns/tiny.00.json", b"{}")
    with pytest.raises(ObjectStoreError, match=r"campaigns/tiny\.00\.json is no record of a run"):
        recorded_runs(place.objects)


@pytest.fixture
def halo(copied_place: Place) -> Callable[..., Any]:
    """The command, on the copied place."""
    places = ["--state-url", copied_place.state_url, "--objects-root", str(copied_place.objects.root)]
    return lambda *words: CliRunner().invoke(main, [*words, *places])


def test_the_command_says_what_differs_and_exits_with_1_until_it_is_repaired(copied_place: Place, halo: Callable[..., Any]) -> None:
    assert (halo("state", "verify").exit_code, halo("state", "verify", "tiny").exit_code) == (0, 0)
    change(copied_place.state_url, "DELETE FROM bricks")
    result = halo("state", "verify", "tiny")
    n_bricks = json.loads(copied_place.objects.read(f"survey/{copied_place.task().digest_of('survey')}/{STAGE_MARK}"))["counts"]["n_bricks"]
    assert result.exit_code == 1
    assert f"bricks: {n_bricks} rows in objects, 0 in the state" in result.output
    assert "1 differences" in result.output
    change(copied_place.state_url, "DELETE FROM parents")
    change(copied_place.state_url, "DELETE FROM injection_results WHERE block = 1")
    lines = halo("state", "verify", "tiny").output.splitlines()
    assert {line.partition(", ")[2].partition(":")[0] for line in lines if line.startswith(("parent", "injection"))} == {
        *(f"parents, sky cell {row['cell']}" for row in copied_place.task().table_of("parent", SKY_CELLS_FILE).to_pylist()),
        "injection_results, block 1",
    }
    assert halo("state", "verify", "--repair").exit_code == 0
    assert halo("state", "verify").exit_code == 0
    assert halo("state", "verify", "nobody").exit_code == 1
    assert "the state holds campaigns" in halo("state", "rebuild").output
    for file in copied_place.folder.glob("halo_data/state.sqlite*"):
        file.unlink()
    result = halo("state", "rebuild")
    assert result.exit_code == 0, result.output
    assert "state: rebuilt" in result.output
    assert halo("state", "verify").exit_code == 0
