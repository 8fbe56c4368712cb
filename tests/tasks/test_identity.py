"""Laws of identity: what decides a stage's output is in its digest, what does not is in none, and old outputs are never touched."""

from pathlib import Path

import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks import BuildManifest, RunCampaign, fingerprints
from luigi_tasks.identity import fingerprint, stage_identities
from luigi_tasks.objects import FolderObjects, sha256_of
from luigi_tasks.parent import iterate_parents
from tests.fixtures.campaigns import ROOT, Place, new_place, part_of

WORDS = ("survey", "parent", "manifest", "cache", "injection", "summary")
"""The stages that have a digest of their own, in the order of the flow."""

OTHER_GRID = (ROOT / "tests/data/grids/grid_tiny.toml").read_text().replace("theta_e_arcsec = [0.3, 1.2]", "theta_e_arcsec = [0.4, 1.2]")


@pytest.mark.parametrize(
    ("changes", "first_changed"),
    [
        ({"campaign_name": "other"}, None),
        ({"tiers": "train,grid,debug", "stamp_sizes": "64,48"}, None),
        ({"snr_matched_min": 12.5}, "summary"),
        ({"min_n": 3}, "summary"),
        ({"psf_model": "gaussian"}, "injection"),
        ({"effort": 2.0}, "injection"),
        ({"shot_noise": "true"}, "injection"),
        ({"sampling_seed": 14}, "manifest"),
        ({"replicates": 2}, "manifest"),
        ({"block_max_bricks": 3}, "manifest"),
        ({"n_per_config_grid": 1}, "manifest"),
        ({"split_seed": 14}, "parent"),
        ({"stamp_sizes": "48,66"}, "parent"),
        ({"ebv_max": 9.0}, "parent"),
        ({"survey_release": "dr11"}, "survey"),
    ],
)
def test_a_parameter_is_in_the_digest_of_its_stage_and_of_all_that_follow(
    place: Place, changes: dict[str, object], first_changed: str | None
) -> None:
    before, after = place.task().identities, place.task(**changes).identities
    unchanged = WORDS if first_changed is None else WORDS[: WORDS.index(first_changed)]
    assert [word for word in WORDS if before[word].digest == after[word].digest] == list(unchanged)


def test_objects_state_and_folder_are_in_no_digest(place: Place, tmp_path: Path) -> None:
    elsewhere = new_place(tmp_path / "elsewhere")
    assert {word: place.task().digest_of(word) for word in WORDS} == {word: elsewhere.task().digest_of(word) for word in WORDS}


def test_the_values_of_a_grid_are_in_the_digest_and_its_name_alone_is_not_enough(place: Place, tmp_path: Path) -> None:
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids/grid_tiny.toml").write_text(OTHER_GRID)
    before, after = place.task(), place.task(grid_path=tmp_path / "grids")
    assert before.digest_of("parent") == after.digest_of("parent")
    assert before.digest_of("manifest") != after.digest_of("manifest")


def test_the_science_version_of_a_stage_is_in_its_digest(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    before = stage_identities(place.task())
    monkeypatch.setattr("halo_core.stages.injection.SCIENCE_VERSION", 999)
    after = stage_identities(place.task())
    assert [word for word in WORDS if before[word].digest != after[word].digest] == ["injection", "summary"]


def test_a_table_is_known_by_its_bytes_and_not_by_its_time(tmp_path: Path) -> None:
    table, twin = tmp_path / "a.csv", tmp_path / "b.csv"
    table.write_text("ra,dec\n1,2\n")
    twin.write_text("ra,dec\n1,2\n")
    objects = FolderObjects(tmp_path / "objects")

    def known_by(path: Path) -> str:
        return fingerprint(objects, path, "--parent")

    assert known_by(table) == known_by(twin)
    twin.write_text("ra,dec\n1,3\n")
    assert known_by(table) != known_by(twin)
    with pytest.raises(ConfigurationError, match=r"nowhere\.csv: No such file.*--parent"):
        known_by(tmp_path / "nowhere.csv")


def test_a_folder_is_known_by_the_names_and_bytes_of_its_files(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    seen = set()
    for name, text in (("1.parquet", "x"), ("2.parquet", "y"), ("2.parquet", "z"), (".hidden", "z")):
        (folder / name).write_text(text)
        seen.add(fingerprint(FolderObjects(tmp_path / "objects"), folder, "--parent"))
    assert len(seen) == 3


def test_a_long_hash_is_remembered_by_another_process_until_the_table_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    objects, table = FolderObjects(tmp_path / "objects"), tmp_path / "t.csv"
    table.write_text("ra,dec\n1,2\n")
    first = fingerprint(objects, table, "--parent")
    assert objects.list_sizes("") == {}
    monkeypatch.setattr(fingerprints, "REMEMBERED_BYTES", 1)
    monkeypatch.setattr(fingerprints, "_HASHES", {})
    assert fingerprint(objects, table, "--parent") == first == sha256_of(table)
    (memory,) = objects.list_sizes("fingerprints")
    monkeypatch.setattr(fingerprints, "_HASHES", {})
    objects.put(memory, objects.read(memory).replace(first.encode(), b"0" * 64))
    assert fingerprint(objects, table, "--parent") == "0" * 64
    table.write_text("ra,dec\n1,20\n")
    assert fingerprint(objects, table, "--parent") == sha256_of(table)
    objects.put(memory, b"{}}")
    monkeypatch.setattr(fingerprints, "_HASHES", {})
    with pytest.raises(ObjectStoreError, match="no memory of fingerprints"):
        fingerprint(objects, table, "--parent")


def test_another_sampling_seed_draws_another_manifest_and_touches_nothing_old(copied_place: Place) -> None:
    before, n_rows = copied_place.seen(), len(copied_place.rows("SELECT task_id FROM injection_tasks"))
    assert copied_place.run(BuildManifest, sampling_seed=14) == LuigiStatusCode.SUCCESS
    after = copied_place.seen()
    assert {key: after[key] for key in before} == before
    assert {key.split("/")[0] for key in set(after) - set(before)} == {"campaigns", "manifest"}
    ids = copied_place.rows("SELECT stage_digest, task_id FROM injection_tasks")
    assert len(ids) == len({row["task_id"] for row in ids}) == 2 * n_rows


def test_another_threshold_counts_the_same_injections_anew_in_a_run_that_shows_every_check(copied_place: Place) -> None:
    before, attempts = copied_place.seen(), copied_place.attempts("injection")
    changes = {"snr_matched_min": 1.0e6}
    assert copied_place.run(RunCampaign, **changes) == LuigiStatusCode.SUCCESS
    after = copied_place.seen()
    assert {key: after[key] for key in before} == before
    new = {key.split("/")[0] for key in set(after) - set(before)}
    assert new == {"campaigns", "summary", "validation_summary", "validation_campaign", "report"}
    assert copied_place.attempts("injection") == attempts
    cells = copied_place.rows("SELECT n_recovered FROM v_completeness WHERE campaign = 'tiny' AND criterion = 'snr_matched'")
    assert {row["n_recovered"] for row in cells} == {0}
    stages = copied_place.rows("SELECT campaign_id, stage FROM campaign_stages ORDER BY campaign_id, stage")
    first, second = ([row["stage"] for row in stages if row["campaign_id"] == number] for number in (1, 2))
    assert first == second


def _splits_of(task: RunCampaign) -> list[str]:
    """Return the split of every parent of a campaign."""
    return [split for table in iterate_parents(task, ["region_split"]) for split in table["region_split"].to_pylist()]


def test_the_split_seed_gives_another_parent_and_keeps_the_old(done_place: Place, tmp_path: Path) -> None:
    place = part_of(done_place, tmp_path, ("mock_survey", "survey", "parent"))
    before = place.seen()
    task = place.task(split_seed=99)
    assert place.build(task.clone(BuildManifest, on_shortage="reduce").requires()[0]) == LuigiStatusCode.SUCCESS
    after = place.seen()
    assert {key: after[key] for key in before} == before
    splits = [_splits_of(place.task(**words)) for words in ({}, {"split_seed": 99})]
    assert splits[0] != splits[1]
