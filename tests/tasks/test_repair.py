"""Laws of repair: what was deleted is made again and nothing else, and the state is an index that the objects give back."""

import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ObjectStoreError
from halo_core.store import schema
from halo_core.survey.layout import plane_key
from luigi_tasks import CacheCoadds, InjectAll, RenderReport, RunCampaign
from luigi_tasks.targets import block_prefix
from tests.fixtures.campaigns import Place, Seen

TABLES = (
    "SELECT * FROM injection_tasks ORDER BY task_id",
    "SELECT * FROM injection_results ORDER BY task_id",
    "SELECT brickname, plane, block, key, status, sha256 FROM coadd_planes ORDER BY brickname, plane",
    "SELECT * FROM parents ORDER BY host_id",
    "SELECT * FROM bricks ORDER BY brickname",
    "SELECT * FROM completeness_cells ORDER BY cell",
    "SELECT * FROM planned_counts ORDER BY tier, region_split, stamp_size",
    "SELECT stage_digest, stage, science_version, config, counts, status FROM stages ORDER BY stage_digest",
)


def delete_block(place: Place, word: str, block: int) -> str:
    """Delete every object of a block and return their prefix."""
    prefix = block_prefix(word, place.task().digest_of(word), block)
    for key in place.objects.list_sizes(prefix):
        place.objects.delete(key)
    return prefix


def plane_of_block(place: Place, block: int, plane: str) -> str:
    """Return the key of a cached plane of the first brick of a block."""
    rows = place.rows("SELECT key FROM coadd_planes WHERE status = 'ok' AND block = :block AND plane = :plane", block=block, plane=plane)
    return str(rows[0]["key"])


def without_plans(seen: Seen) -> Seen:
    """Return all but the plans that a stage writes anew whenever it yields its blocks."""
    return {key: value for key, value in seen.items() if not key.endswith("_plan.json")}


def test_deleting_the_objects_of_a_block_redoes_that_block_alone(copied_place: Place) -> None:
    before, tables = copied_place.seen(), [copied_place.rows(query) for query in TABLES]
    prefix = delete_block(copied_place, "injection", 1)
    assert not copied_place.task().complete()
    assert copied_place.run() == LuigiStatusCode.SUCCESS
    after = copied_place.seen()
    assert {key: sha256 for key, (_, sha256) in after.items()} == {key: sha256 for key, (_, sha256) in before.items()}
    touched = {key for key in without_plans(after) if after[key] != before[key]}
    assert touched == {key for key in before if key.startswith(prefix)} != set()
    assert copied_place.attempts("injection") == {0: 1, 1: 2, 2: 1}
    assert [copied_place.rows(query) for query in TABLES] == tables


def test_the_state_is_loaded_again_from_the_objects_without_touching_one(copied_place: Place) -> None:
    before, tables = copied_place.seen(), [copied_place.rows(query) for query in TABLES]
    for file in copied_place.folder.glob("halo_data/state.sqlite*"):
        file.unlink()
    schema.upgrade(copied_place.state_url)
    assert not copied_place.task().complete()
    assert copied_place.run() == LuigiStatusCode.SUCCESS
    assert without_plans(copied_place.seen()) == without_plans(before)
    assert [copied_place.rows(query) for query in TABLES] == tables
    assert copied_place.task().complete()


def test_a_state_that_was_deleted_and_not_upgraded_stops_the_run_and_says_what_to_run(copied_place: Place) -> None:
    for file in copied_place.folder.glob("halo_data/state.sqlite*"):
        file.unlink()
    assert "halo state upgrade" in str(copied_place.error())
    assert not list(copied_place.folder.glob("halo_data/state.sqlite*"))


def test_deleting_the_copy_of_the_report_restores_it_from_its_object(copied_place: Place) -> None:
    before, page = copied_place.seen(), copied_place.report.read_bytes()
    copied_place.report.write_bytes(page + b"changed")
    assert not copied_place.task(RenderReport).complete()
    copied_place.report.unlink()
    assert not copied_place.task().complete()
    assert copied_place.run() == LuigiStatusCode.SUCCESS
    assert copied_place.report.read_bytes() == page
    assert copied_place.seen() == before


def test_a_deleted_plane_is_fetched_again_when_its_block_is_done_again(copied_place: Place) -> None:
    before = {key: sha256 for key, (_, sha256) in copied_place.seen().items()}
    delete_block(copied_place, "injection", 1)
    copied_place.objects.delete(plane_of_block(copied_place, 1, "image-r"))
    copied_place.objects.delete(plane_of_block(copied_place, 1, "image-z"))
    copied_place.objects.delete(f"{plane_of_block(copied_place, 1, 'image-z')}.sha256")
    assert copied_place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert {key: sha256 for key, (_, sha256) in copied_place.seen().items()} == before


def test_a_deleted_asset_table_is_made_again_from_the_cached_planes(copied_place: Place) -> None:
    before = copied_place.seen()
    assert copied_place.run(CacheCoadds) == LuigiStatusCode.SUCCESS
    prefix = delete_block(copied_place, "cache", 0)
    assert copied_place.run(CacheCoadds) == LuigiStatusCode.SUCCESS
    after = without_plans(copied_place.seen())
    mark = f"cache/{copied_place.task().digest_of('cache')}/_stage_config.json"
    assert {key for key in after if after[key] != before[key]} == {mark} | {key for key in before if key.startswith(prefix)}


@pytest.mark.parametrize("is_same_size", [True, False])
def test_a_cached_plane_whose_bytes_changed_is_an_error_that_names_it(copied_place: Place, is_same_size: bool) -> None:
    key = plane_of_block(copied_place, 1, "image-r")
    data = bytearray(copied_place.objects.read(key))
    data[len(data) // 2] ^= 1
    copied_place.objects.path(key).write_bytes(bytes(data) if is_same_size else bytes(data) + b"\0" * 2880)
    delete_block(copied_place, "injection", 1)
    error = copied_place.error(InjectAll)
    assert isinstance(error, ObjectStoreError)
    assert f"cached plane {copied_place.objects.uri(key)}: sha256" in str(error)
    assert "was verified before" in str(error)
    row = copied_place.rows("SELECT error FROM blocks WHERE error IS NOT NULL")
    assert [str(error) in found["error"] for found in row] == [True]


def test_a_survey_that_replaced_a_plane_is_an_error_that_asks_for_another_release(copied_place: Place) -> None:
    key = plane_of_block(copied_place, 1, "image-r")
    brickname = key.rsplit("/", 2)[1]
    delete_block(copied_place, "injection", 1)
    copied_place.objects.delete(key)
    copied_place.objects.delete(f"{key}.sha256")
    copied_place.task().survey.files.delete(plane_key(brickname, "image-r"))
    error = copied_place.error(InjectAll)
    assert isinstance(error, ObjectStoreError)
    assert f"plane image-r of {brickname}" in str(error)
    assert "[survey] release" in str(error)


def test_a_campaign_of_another_name_is_another_run_of_the_same_stages(copied_place: Place) -> None:
    before = copied_place.seen()
    assert copied_place.run(RunCampaign, campaign_name="twin") == LuigiStatusCode.SUCCESS
    new = {key for key, value in copied_place.seen().items() if before.get(key) != value}
    assert {key.split("/")[0] for key in new} == {"campaigns", "report"}
    runs = copied_place.rows("SELECT c.name, s.stage, s.stage_digest FROM campaigns c JOIN campaign_stages s USING (campaign_id)")
    digests = {name: {(row["stage"], row["stage_digest"]) for row in runs if row["name"] == name} for name in ("tiny", "twin")}
    assert digests["twin"] == digests["tiny"]
    assert len(digests["twin"]) == 6 + 5
