"""Laws of a parent catalogue read group by group: the same for sweeps and Tractor files, for any groups, after any stop; nothing twice."""

import json
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.store.sessions import read
from halo_core.survey.bricks import brick_by_id
from halo_core.survey.layout import SWEEP_FOLDER, TRACTOR_FOLDER
from halo_core.survey.mock import MockSurvey
from luigi_tasks import BuildParent, ValidateStage, parent, rebuild
from luigi_tasks.parent import group_files, iterate_parents
from luigi_tasks.report_data import errors_of_run
from luigi_tasks.targets import STAGE_MARK
from tests.fixtures.campaigns import Place, new_place

COLOUR = {"faint_and_large": "zmag > 19 and shape_r > 0.2", "not_flagged": "maskbits & 2 == 0 or type == 'DEV'"}


@pytest.fixture
def survey(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> Path:
    """A survey of its own: tables and an empty coadd/."""
    shutil.copytree(tiny_survey[1], tmp_path / "survey", ignore=lambda folder, names: names if Path(folder).name == "coadd" else [])
    return tmp_path / "survey"


def built(folder: Path, survey: Path, **changes: str) -> Place:
    place = new_place(folder, survey_root=str(survey), **changes)
    assert place.run(BuildParent) == LuigiStatusCode.SUCCESS
    return place


def parents_of(place: Place) -> pa.Table:
    return pa.concat_tables(iterate_parents(place.task()))


def counts_of(place: Place) -> dict[str, tuple[int, int]]:
    return {step["name"]: (step["n_before"], step["n_after"]) for step in place.task().mark_of("parent")["counts"]["cut_flow"]}


def as_tractor(survey: Path) -> int:
    """Turn the sweeps into Tractor files, lower case, each with a neighbour's object inside; return the number of those."""
    sweeps = sorted((survey / SWEEP_FOLDER).glob("*.fits"))
    rows = np.concatenate([np.asarray(fits.getdata(sweep, 1)) for sweep in sweeps])
    bricks = np.unique(rows["BRICKID"])
    for number, brickid in enumerate(bricks):
        own, stray = rows[rows["BRICKID"] == brickid], rows[rows["BRICKID"] == bricks[number - 1]][:1].copy()
        stray["BRICKID"], stray["OBJID"] = brickid, own["OBJID"].max() + 1
        table = fits.BinTableHDU(np.concatenate([own, stray]))
        columns = [fits.Column(name=column.name.lower(), format=column.format, array=table.data[column.name]) for column in table.columns]
        columns.append(fits.Column(name="brick_primary", format="L", array=np.arange(len(table.data)) < len(own)))
        name = brick_by_id(int(brickid)).brickname[0]
        (survey / TRACTOR_FOLDER / name[:3]).mkdir(parents=True, exist_ok=True)
        fits.BinTableHDU.from_columns(columns).writeto(survey / TRACTOR_FOLDER / name[:3] / f"tractor-{name}.fits")
    shutil.rmtree(survey / "sweep")
    return len(bricks)


@pytest.fixture(autouse=True)
def a_group_per_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every file of the small survey be a group."""
    monkeypatch.setattr(parent, "GROUP_BYTES", 1)


def test_tractor_files_give_the_parents_of_the_sweeps_and_count_what_is_not_primary(survey: Path, tmp_path: Path) -> None:
    sweeps = built(tmp_path / "sweeps", survey)
    expected, theirs = parents_of(sweeps), counts_of(sweeps)
    n_strays = as_tractor(survey)
    tractor = built(tmp_path / "tractor", survey)
    assert expected.num_rows > 5
    assert parents_of(tractor).equals(expected)
    ours = counts_of(tractor)
    assert ours["primary"] == (theirs["primary"][0] + n_strays, theirs["primary"][1])
    assert set(tractor.task().identities["survey"].fingerprints) == {TRACTOR_FOLDER, "survey-bricks-dr10-south.fits.gz"}


def test_groups_and_chunks_change_no_byte(survey: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one = built(tmp_path / "one", survey)
    assert len(one.task(BuildParent).groups()) > 1
    monkeypatch.setattr(parent, "GROUP_BYTES", 1 << 30)
    monkeypatch.setattr(parent, "sweep_chunks", partial(parent.sweep_chunks, chunk_bytes=1000))
    monkeypatch.setattr(parent, "CellWriter", partial(parent.CellWriter, max_rows=3))
    other = built(tmp_path / "other", survey)
    assert len(other.task(BuildParent).groups()) == 1
    kept = {key: sha256 for key, (_, sha256) in one.seen("parent").items() if "/cell=" in key or key.endswith("/cells.parquet")}
    assert len(kept) > 1
    assert {key: sha256 for key, (_, sha256) in other.seen("parent").items() if key in kept} == kept


def test_what_a_group_has_done_is_not_done_again(survey: Path, tmp_path: Path) -> None:
    place = new_place(tmp_path, survey_root=str(survey))
    task = place.task(BuildParent)
    assert place.build(task.groups()[0]) == LuigiStatusCode.SUCCESS
    before = place.seen("parent")
    assert place.run(ValidateStage, stage="parent") == LuigiStatusCode.SUCCESS
    after = place.seen("parent")
    assert {key: after[key] for key in before} == before
    for key in after:
        if key.endswith(("/cells.parquet", STAGE_MARK)):
            place.objects.delete(key)
    assert place.run(BuildParent) == LuigiStatusCode.SUCCESS
    again = place.seen("parent")
    assert {key: again[key] for key in again if "/files=" in key} == {key: after[key] for key in after if "/files=" in key}


def test_a_sweep_that_is_there_twice_is_refused_and_the_state_says_why(survey: Path, tmp_path: Path) -> None:
    sweep = min((survey / SWEEP_FOLDER).glob("*.fits"))
    shutil.copy(sweep, sweep.with_name("sweep-copy.fits"))
    place = new_place(tmp_path, survey_root=str(survey))
    error = place.error(BuildParent)
    assert isinstance(error, SurveyDataError)
    assert "repeat another's (release, brickid, objid)" in str(error)
    assert not [key for key in place.seen("parent") if key.endswith(STAGE_MARK)]
    with read(place.state_url) as connection:
        assert any("repeat another's" in line for line in errors_of_run(connection, {"parent": place.task().digest_of("parent")}))


def test_a_file_that_cannot_be_read_is_the_error_of_the_stage(survey: Path, tmp_path: Path) -> None:
    sweep = min((survey / SWEEP_FOLDER).glob("*.fits"))
    sweep.write_bytes(sweep.read_bytes()[:-5760])
    place = new_place(tmp_path, survey_root=str(survey))
    assert "cut short" in str(place.error(BuildParent))
    with read(place.state_url) as connection:
        (line,) = errors_of_run(connection, {"parent": place.task().digest_of("parent")})
    assert sweep.name in line


def test_cuts_of_a_campaign_are_counted_in_order_and_known_by_the_digest(survey: Path, tmp_path: Path) -> None:
    plain = built(tmp_path / "plain", survey)
    cut = built(tmp_path / "cut", survey, parent_cuts=json.dumps(COLOUR))
    names = [row["name"] for row in cut.rows("SELECT name FROM parent_cuts ORDER BY position")]
    assert names[names.index("v3_color_relaxed") :] == ["v3_color_relaxed", *COLOUR, "guard_band"]
    ours, theirs = parents_of(cut), parents_of(plain)
    hosts = set(theirs["host_id"].to_pylist())
    assert 0 < ours.num_rows < theirs.num_rows
    assert set(ours["host_id"].to_pylist()) < hosts
    flow = counts_of(cut)
    assert flow["faint_and_large"][0] == theirs.num_rows
    assert flow["not_flagged"][1] == ours.num_rows == flow["guard_band"][0]
    assert plain.task(parent_cuts="{}").digest_of("parent") == plain.task().digest_of("parent") != cut.task().digest_of("parent")


@pytest.mark.parametrize(
    ("cuts", "words"),
    [({"mine": "rmagg > 20"}, "reads rmagg, unknown in"), ({"mine": "rmag"}, "no condition"), ({"mine": "rmag >"}, "is no expression")],
)
def test_cuts_that_mean_nothing_stop_with_their_name(survey: Path, tmp_path: Path, cuts: dict[str, str], words: str) -> None:
    place = new_place(tmp_path, survey_root=str(survey), parent_cuts=json.dumps(cuts))
    if words == "is no expression":
        with pytest.raises(ConfigurationError, match=words):
            place.task().digest_of("parent")
        return
    error = place.error(BuildParent)
    assert isinstance(error, ConfigurationError)
    assert words in str(error)


def test_a_survey_without_a_catalogue_says_what_was_looked_for(survey: Path, tmp_path: Path) -> None:
    shutil.rmtree(survey / "sweep")
    error = new_place(tmp_path, survey_root=str(survey)).error(BuildParent)
    assert "tractor-*.fits" in str(error)
    assert "--parent" in str(error)


def test_a_state_without_parents_has_their_cuts_and_is_no_difference(survey: Path, tmp_path: Path, state_url: str) -> None:
    place = built(tmp_path, survey)
    rebuild.rebuild(state_url, place.objects, say=lambda _line: None, keeps_parents=False)
    with read(state_url) as connection:
        found = {name: connection.exec_driver_sql(f"SELECT COUNT(*) FROM {name}").scalar_one() for name in ("parents", "parent_cuts")}
    assert found["parents"] == 0 < found["parent_cuts"]
    assert list(rebuild.verify(state_url, place.objects, keeps_parents=False)) == []
    differences = list(rebuild.verify(state_url, place.objects))
    assert {difference.table for difference in differences} == {"parents"}
    assert rebuild.repair(state_url, differences) == []
    for keeps_parents in (True, False):
        assert list(rebuild.verify(state_url, place.objects, keeps_parents=keeps_parents)) == []
    other = place.task(BuildParent, state_url=state_url, state_parents="false")
    assert other.digest_of("parent") == place.task().digest_of("parent")


@pytest.mark.parametrize("n_files", [1, 2, 100, 101, 1_436, 256_208])
@pytest.mark.parametrize("n_bytes", [1, 5_000_000, 2_000_000_000])
def test_the_tasks_of_a_campaign_stay_few_and_hold_every_file_once(monkeypatch: pytest.MonkeyPatch, n_files: int, n_bytes: int) -> None:
    monkeypatch.setattr(parent, "GROUP_BYTES", 64 << 20)
    groups = group_files([n_bytes] * (n_files - 1) + [3 * n_bytes])
    assert 1 <= len(groups) <= 100
    assert [index for first, last in groups for index in range(first, last + 1)] == list(range(n_files))
    if n_files * n_bytes < 64 << 20:
        assert len(groups) == 1
