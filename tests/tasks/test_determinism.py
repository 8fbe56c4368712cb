"""Law: the pixels and numbers of a task are the same for any number of workers, any blocks, any order of the parents."""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.stages.files import read_table
from halo_core.stamps import ARCS_FILE, HOSTS_FILE, RESULTS_FILE
from luigi_tasks import BuildManifest, InjectAll
from luigi_tasks.parent import iterate_parents
from luigi_tasks.targets import TASKS_FILE
from tests.fixtures.campaigns import Place, content_by, part_of

KEYS = {HOSTS_FILE: "host_id", ARCS_FILE: "physical_id", RESULTS_FILE: "task_id"}


def test_two_workers_make_the_same_files_as_one(done_place: Place, place_before_pixels: Place) -> None:
    digest = place_before_pixels.task().digest_of("injection")
    assert place_before_pixels.run(InjectAll, workers=2) == LuigiStatusCode.SUCCESS
    ours, theirs = place_before_pixels.seen(f"injection/{digest}"), done_place.seen(f"injection/{digest}")
    blocks = {key: sha256 for key, (_, sha256) in theirs.items() if "/block=" in key}
    assert {key: sha256 for key, (_, sha256) in ours.items() if "/block=" in key} == blocks
    assert len(blocks) == 3 * 4


@pytest.mark.parametrize(("n_injections", "n_bricks", "n_blocks", "workers"), [(3, 1, 12, 2), (5000, 100, 1, 1)])
def test_other_blocks_and_workers_make_the_same_hosts_arcs_and_results(
    done_place: Place, tmp_path: Path, n_injections: int, n_bricks: int, n_blocks: int, workers: int
) -> None:
    place = part_of(done_place, tmp_path, ("mock_survey", "survey", "parent", "validation_parent"))
    changes = {"block_max_injections": n_injections, "block_max_bricks": n_bricks}
    assert place.run(InjectAll, workers=workers, **changes) == LuigiStatusCode.SUCCESS
    digest = place.task(**changes).digest_of("injection")
    assert digest != done_place.task().digest_of("injection")
    assert place.task(**changes).mark_of("injection")["counts"]["n_blocks"] == n_blocks
    for name, key in KEYS.items():
        assert content_by(place.tables("injection", name, **changes), key) == content_by(done_place.tables("injection", name), key), name


def test_the_order_of_a_parent_table_changes_no_task_and_its_content_the_digest(done_place: Place, tmp_path: Path) -> None:
    parents = pa.concat_tables(iterate_parents(done_place.task())).select(
        ["brickname", "objid", "ra", "dec", "rmag", "gmag", "zmag", "ebv"]
    )
    place = part_of(done_place, tmp_path, ("mock_survey", "survey"))
    made: list[pa.Table] = []
    digests = set()
    for name, order in (("forth", range(parents.num_rows)), ("back", reversed(range(parents.num_rows)))):
        table = tmp_path / f"{name}.csv"
        pa_csv.write_csv(parents.take(list(order)), table)
        changes = {"parent": table, "tiers": "debug"}
        assert place.run(BuildManifest, **changes) == LuigiStatusCode.SUCCESS
        made.append(place.tables("manifest", TASKS_FILE, **changes))
        digests.add(place.task(**changes).digest_of("manifest"))
    assert made[0].equals(made[1])
    assert len(digests) == 2


def test_stored_results_are_the_rows_of_the_state(done_place: Place) -> None:
    stored = done_place.tables("injection", RESULTS_FILE).sort_by("task_id")
    rows = done_place.rows("SELECT task_id, flags, magnification FROM injection_results ORDER BY task_id")
    assert stored.select(["task_id", "flags", "magnification"]).to_pylist() == rows


def test_every_task_stands_in_one_block_in_order_and_no_block_is_above_its_limits(done_place: Place) -> None:
    tasks = done_place.tables("manifest", TASKS_FILE)
    assert len(set(tasks["task_id"].to_pylist())) == tasks.num_rows
    assert tasks["block"].to_pylist() == sorted(tasks["block"].to_pylist())
    task = done_place.task()
    blocks = read_table(done_place.objects.path(task.key_of("manifest", "blocks.parquet")))
    assert sum(blocks["n_tasks"].to_pylist()) == tasks.num_rows
    assert max(blocks["n_bricks"].to_pylist()) <= task.block_max_bricks
    assert max(blocks["n_injections"].to_pylist()) <= task.block_max_injections
