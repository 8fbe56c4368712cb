"""Laws of a campaign on S3: the same objects to the byte as in a folder, nothing in a shared folder, nothing lost with the server."""

import json
import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

import luigi_tasks.block_work
from halo_core.errors import ConfigurationError
from halo_core.stages.files import read_table
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import BrickInjection, inject_brick
from halo_core.survey.layout import BRICKS_KEY
from luigi_tasks import BuildParent, ReadSurvey
from luigi_tasks.cli import main
from luigi_tasks.objects import Objects
from luigi_tasks.parent import iterate_parents
from luigi_tasks.report import REPORT_FILE
from luigi_tasks.s3 import S3Objects
from luigi_tasks.targets import BLOCK_MARK, PLANES_FILE, STAGE_MARK
from tests.fixtures.campaigns import Place
from tests.fixtures.commands import lay_out, luigi_words, run_command
from tests.fixtures.storage import ACCESS_KEY, BUCKET, SECRET_KEY, S3Place, S3Server, new_s3_place

ROWS = (
    "SELECT task_id, flags, metrics_ok, magnification, snr_matched_r, arc_snr, task_seed FROM v_task_full ORDER BY task_id",
    "SELECT brickname, plane, status, reason, sha256, key FROM coadd_planes ORDER BY brickname, plane",
    "SELECT cell, axes, n_task, n_recovered, completeness, lower_95 FROM v_completeness ORDER BY cell",
)


@pytest.fixture(scope="module")
def s3_place(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> S3Place:
    """A place on S3 where the tiny campaign has run with two workers; tests must not change it."""
    place = new_s3_place(tmp_path_factory.mktemp("s3"), s3_server)
    assert place.run(workers=2) == LuigiStatusCode.SUCCESS
    return place


def contents(objects: Objects) -> dict[str, Any]:
    """Return what every object says, by key: bytes, without what tells where and when (URIs of planes, the time in marks and pages)."""
    return {key: _content(objects, key) for key in objects.list_sizes("")}


def _content(objects: Objects, key: str) -> Any:
    """Return what one object says."""
    if key.endswith(REPORT_FILE):
        return None
    if key.endswith(PLANES_FILE):
        return read_table(objects.path(key)).drop_columns("source_uri").to_pylist()
    if key.endswith((STAGE_MARK, BLOCK_MARK)) or key.startswith("campaigns/"):
        content = {name: value for name, value in json.loads(objects.read(key)).items() if not name.startswith("created_at")}
        dated = (PLANES_FILE, BLOCK_MARK, STAGE_MARK, REPORT_FILE)
        named = {name: None if name.endswith(dated) else record for name, record in content.get("objects", {}).items()}
        return {**content, "objects": named}
    return objects.read(key)


def test_a_campaign_on_s3_has_the_objects_and_rows_of_one_in_a_folder_to_the_byte(s3_place: S3Place, done_place: Place) -> None:
    found, expected = contents(s3_place.objects), contents(done_place.objects)
    assert found.keys() == expected.keys()
    assert [key for key in expected if found[key] != expected[key]] == []
    assert sum(isinstance(content, bytes) for content in found.values()) > 80
    for query in ROWS:
        assert s3_place.rows(query) == done_place.rows(query) != []


def test_a_campaign_on_s3_leaves_no_objects_in_a_folder_and_planes_come_from_the_survey_on_s3(s3_place: S3Place) -> None:
    assert {path.name for path in (s3_place.folder / "halo_data").iterdir()} <= {
        "object_cache",
        "report.html",
        *(f"state.sqlite{end}" for end in ("", "-wal", "-shm")),
    }
    uris = {row["source_uri"] for row in s3_place.rows("SELECT source_uri FROM coadd_planes")}
    assert {uri.split("/coadd/")[0] for uri in uris} == {s3_place.task().survey.root}
    assert str(s3_place.task().survey.root).startswith(f"{s3_place.root}/mock_survey/")


def test_running_again_on_s3_does_nothing_even_without_local_copies(s3_place: S3Place) -> None:
    tags, attempts = s3_place.objects.list_tags(""), s3_place.attempts("injection")
    assert s3_place.task().complete()
    assert s3_place.run() == LuigiStatusCode.SUCCESS
    assert s3_place.objects.list_tags("") == tags
    assert s3_place.attempts("injection") == attempts == {0: 1, 1: 1, 2: 1}


def test_an_object_that_is_gone_from_s3_is_made_again_alone(s3_place: S3Place, s3_server: S3Server, tmp_path: Path) -> None:
    key = next(key for key in s3_place.objects.list_sizes("summary") if key.endswith("cells.parquet"))
    data = s3_place.objects.read(key)
    tags = s3_place.objects.list_tags("injection")
    s3_place.objects.delete(key)
    assert not s3_place.task().complete()
    assert s3_place.run() == LuigiStatusCode.SUCCESS
    assert s3_place.objects.read(key) == data
    assert s3_place.objects.list_tags("injection") == tags


def test_the_command_line_reads_objects_on_s3(s3_place: S3Place, done_place: Place, tmp_path: Path) -> None:
    s3_place.activate()
    task_id = s3_place.rows("SELECT task_id FROM v_task_full WHERE metrics_ok ORDER BY task_id")[0]["task_id"]
    runner = CliRunner(env={"COLUMNS": "200"})
    for words in (["doctor"], ["report", "tiny", "--out", f"{tmp_path}/page.html"], ["stamps", "show", task_id, "--out", f"{tmp_path}/s3"]):
        result = runner.invoke(main, words)
        assert result.exit_code == 0, result.output
    done_place.activate()
    assert runner.invoke(main, ["stamps", "show", task_id, "--out", f"{tmp_path}/folder"]).exit_code == 0
    assert (tmp_path / f"s3/{task_id}.npz").read_bytes() == (tmp_path / f"folder/{task_id}.npz").read_bytes()
    assert s3_place.root not in (tmp_path / "page.html").read_text()


def test_no_credentials_are_in_rows_objects_or_the_report(s3_place: S3Place) -> None:
    state = b"".join(path.read_bytes() for path in (s3_place.folder / "halo_data").glob("state.sqlite*"))
    texts = [state, s3_place.report.read_bytes()]
    texts += [s3_place.objects.read(key) for key in s3_place.objects.list_sizes("") if key.endswith((".json", ".html"))]
    for text in texts:
        assert SECRET_KEY.encode() not in text
        assert ACCESS_KEY.encode() not in text
    assert b"injection_tasks" in state


def test_a_run_with_wrong_credentials_fails_names_them_and_shows_no_secret(
    s3_server: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = new_s3_place(tmp_path, s3_server)
    lay_out(place)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-geheim")
    result = run_command(place.folder, luigi_words("ReadSurvey"))
    assert result.returncode != 0
    assert "check that boto3's credentials" in result.stdout
    assert "geheim" not in result.stdout
    assert place.objects.root in result.stdout


def test_a_server_killed_in_the_middle_is_an_error_in_the_state_and_a_second_run_ends_as_if_nothing_was(
    own_s3_server: S3Server, done_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, bricks = new_s3_place(tmp_path, own_s3_server), []

    def inject(tasks: pa.Table, planes: BrickPlanes, *words: Any, **options: Any) -> BrickInjection:
        bricks.append(planes.brickname)
        if len(bricks) == 3:
            own_s3_server.kill()
        return inject_brick(tasks, planes, *words, **options)

    with monkeypatch.context() as patch:
        patch.setattr(luigi_tasks.block_work, "inject_brick", inject)
        assert place.run() != LuigiStatusCode.SUCCESS
    assert sorted(place.attempts("injection").values())[-1] == 1
    errors = [row["error"] for row in place.rows("SELECT error FROM blocks WHERE error IS NOT NULL")]
    assert errors
    assert all("Could not connect" in error and "check that the server runs" in error for error in errors)
    own_s3_server.start()
    assert place.run() == LuigiStatusCode.SUCCESS
    assert contents(place.objects) == contents(done_place.objects)
    for query in ROWS:
        assert place.rows(query) == done_place.rows(query)


def test_a_survey_on_s3_is_known_by_its_uri_and_its_tables_and_read_where_it_is(
    s3_place: S3Place, s3_server: S3Server, tmp_path: Path
) -> None:
    files = s3_place.task().survey.files
    root = f"s3://{BUCKET}/{uuid.uuid4().hex}"
    survey = S3Objects(root, s3_place.server)
    for key in files.list_sizes(""):
        survey.copy_in(key, files.path(key))
    place = new_s3_place(tmp_path, s3_server, survey_root=root)
    assert place.run(BuildParent) == LuigiStatusCode.SUCCESS
    task = place.task()
    assert task.identities["survey"].parameters == {"uri": root, "release": task.survey_release}
    parents = [pa.concat_tables(iterate_parents(one.task())) for one in (place, s3_place)]
    assert parents[0].equals(parents[1])
    digest = task.digest_of("survey")
    survey.put(BRICKS_KEY, survey.read(BRICKS_KEY) + b"\0")
    assert place.task(sampling_seed=1).digest_of("survey") != digest
    survey.delete(BRICKS_KEY)
    assert place.run(ReadSurvey, sampling_seed=2) == LuigiStatusCode.SUCCESS
    bricks = place.task(sampling_seed=2).table_of("survey", "bricks.parquet")
    assert bricks["brickname"].to_pylist() == sorted({key.split("/")[2] for key in survey.list_sizes("coadd")})


def test_a_survey_root_without_coadds_on_s3_is_refused(s3_place: S3Place, s3_server: S3Server, tmp_path: Path) -> None:
    place = new_s3_place(tmp_path, s3_server, survey_root=f"s3://{BUCKET}/nothing-here")
    with pytest.raises(ConfigurationError, match=rf"there is no coadd/ below s3://{BUCKET}/nothing-here"):
        place.task().survey  # noqa: B018
