"""Laws of bad input: a bad object is a flagged, counted loss with its reason; a bad table or parameter is an error that names it."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ConfigurationError, ManifestError, ObjectStoreError, StageValidationError, SurveyDataError
from halo_core.flags import Flag
from halo_core.store import campaigns
from halo_core.store.sessions import read
from halo_core.survey.coadds import open_plane
from halo_core.survey.layout import BRICKS_KEY, SWEEP_FOLDER, plane_key
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks
from halo_core.survey.mock_files import write_plane
from luigi_tasks import BuildManifest, BuildParent, InjectAll, ReadSurvey
from luigi_tasks.cli import main
from luigi_tasks.report_data import errors_of_run
from tests.fixtures.campaigns import Place, new_place

SMALL = {
    "tiers": "debug",
    "splits": "train",
    "split_fractions": "train:1.0",
    "bandsets": "r,grz",
    "stamp_sizes": "48",
    "n_per_config_debug": "12",
}


@pytest.fixture(scope="module")
def bricks(tiny_survey: tuple[MockSurvey, Path]) -> tuple[MockBrick, ...]:
    """Bricks of the survey: three with files, the last without."""
    return mock_bricks(tiny_survey[0])


@pytest.fixture(scope="module")
def damaged(tiny_survey: tuple[MockSurvey, Path], bricks: tuple[MockBrick, ...], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A campaign injected into a survey whose files are damaged: brick 0 a cut-off g image, 1 no maskbits, 2 NaN in z."""
    parameters, root = tiny_survey
    folder = tmp_path_factory.mktemp("damaged")
    survey = Path(shutil.copytree(root, folder / "survey"))
    image = survey / plane_key(bricks[0].brickname, "image-g")
    image.write_bytes(image.read_bytes()[:-2880])
    (survey / plane_key(bricks[1].brickname, "maskbits")).unlink()
    path = survey / plane_key(bricks[2].brickname, "image-z")
    with open_plane(path, "image-z") as plane:
        pixels = plane.read().copy()
    pixels[::16, ::16] = np.nan
    write_plane(path, "image-z", pixels, parameters=parameters, brick=bricks[2])
    place = new_place(folder, **SMALL, survey_root=str(survey))
    assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    return place


@pytest.fixture
def survey(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> Path:
    """A copy of the survey's tables that a test may damage; its coadds are not copied."""
    root = tmp_path / "survey"
    shutil.copytree(tiny_survey[1], root, ignore=shutil.ignore_patterns("*.fits.fz"))
    return root


def flags_of(place: Place, brick: MockBrick, bandset: str) -> set[int]:
    """Return the different flags that the tasks of a brick have in one bandset."""
    query = "SELECT DISTINCT flags FROM v_task_full WHERE brickname = :brick AND bandset = :bandset"
    return {row["flags"] for row in place.rows(query, brick=brick.brickname, bandset=bandset)}


def test_a_cut_off_image_loses_the_tasks_of_its_band_and_no_other(damaged: Place, bricks: tuple[MockBrick, ...]) -> None:
    lost = Flag.PLANE_UNVERIFIED | Flag.IMAGE_MISSING_G
    assert flags_of(damaged, bricks[0], "grz") != set()
    assert all(flags & lost == lost for flags in flags_of(damaged, bricks[0], "grz"))
    assert not any(flags & lost for flags in flags_of(damaged, bricks[0], "r"))
    rows = damaged.rows("SELECT brickname, plane, reason, attempts, sha256 FROM coadd_planes WHERE status = 'unverified'")
    assert [(row["brickname"], row["plane"]) for row in rows] == [(bricks[0].brickname, "image-g")]
    assert (rows[0]["attempts"], rows[0]["sha256"]) == (2, None)
    assert "truncated" in rows[0]["reason"]
    assert plane_key(bricks[0].brickname, "image-g").rsplit("/", 1)[1] in rows[0]["reason"]
    assert ".part" not in rows[0]["reason"]


def test_a_brick_without_maskbits_is_lost_in_every_band(damaged: Place, bricks: tuple[MockBrick, ...]) -> None:
    for bandset in ("r", "grz"):
        found = flags_of(damaged, bricks[1], bandset)
        assert found != set()
        assert all(flags & Flag.MASKBITS_MISSING and not flags & Flag.BRICK_MISSING for flags in found)


def test_a_pixel_that_is_no_number_where_it_has_weight_loses_the_stamps_that_hold_it(damaged: Place, bricks: tuple[MockBrick, ...]) -> None:
    assert any(flags & Flag.PIXEL_NAN for flags in flags_of(damaged, bricks[2], "grz"))
    assert not any(flags & Flag.PIXEL_NAN for flags in flags_of(damaged, bricks[2], "r"))


def test_a_brick_without_files_is_lost_with_its_own_flag(damaged: Place, bricks: tuple[MockBrick, ...]) -> None:
    assert bricks[3].is_missing
    assert all(flags & Flag.BRICK_MISSING for flags in flags_of(damaged, bricks[3], "r"))


def test_every_loss_is_counted_by_reason_and_every_task_ends_once(damaged: Place) -> None:
    books = damaged.rows("SELECT SUM(n_planned) AS p, SUM(n_processed) AS q, SUM(n_evaluated) AS e FROM v_accounting")[0]
    assert books["p"] == books["q"] == 12 * 2 * 2
    assert 0 < books["e"] < books["q"]
    reasons = {row["flag_name"] for row in damaged.rows("SELECT DISTINCT flag_name FROM v_losses")}
    assert {"BRICK_MISSING", "PLANE_UNVERIFIED", "IMAGE_MISSING_G", "MASKBITS_MISSING", "PIXEL_NAN"} <= reasons
    wrong = "SELECT task_id FROM v_task_full WHERE NOT metrics_ok AND (flags = 0 OR snr_matched_r IS NOT NULL)"
    assert damaged.rows(wrong) == []


def test_a_stamp_of_one_band_is_shown_without_a_colour_picture(damaged: Place, tmp_path: Path) -> None:
    damaged.activate()
    task = damaged.rows("SELECT task_id FROM v_task_full WHERE metrics_ok AND bandset = 'r' ORDER BY task_id LIMIT 1")[0]["task_id"]
    result = CliRunner().invoke(main, ["stamps", "show", task, "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert {path.name for path in tmp_path.iterdir()} == {f"{task}.npz", f"{task}.fits"}


@pytest.mark.parametrize("column", ["FLUX_W1", "SHAPE_R", "OBJID"])
def test_a_sweep_without_a_column_is_an_error_that_names_column_and_file(survey: Path, tmp_path: Path, column: str) -> None:
    sweep = sorted((survey / SWEEP_FOLDER).glob("*.fits"))[0]
    with fits.open(sweep) as hdus:
        table = hdus[1]
        names = [name for name in table.columns.names if name.upper() != column]
        kept = fits.BinTableHDU.from_columns([table.columns[name] for name in names], header=None)
        assert len(names) == len(table.columns.names) - 1
        kept.writeto(tmp_path / "kept.fits")
    shutil.move(tmp_path / "kept.fits", sweep)
    error = new_place(tmp_path, **SMALL, survey_root=str(survey)).error(BuildParent)
    assert isinstance(error, SurveyDataError)
    assert column.lower() in str(error).lower()
    assert sweep.name in str(error)


def test_a_selection_from_a_survey_without_a_brick_table_finds_no_parent_and_fails_its_checks(survey: Path, tmp_path: Path) -> None:
    (survey / BRICKS_KEY).unlink()
    for folder in (survey / "coadd").glob("*/*"):
        (survey / plane_key(folder.name, "maskbits")).touch()
    place = new_place(tmp_path, **SMALL, survey_root=str(survey))
    error = place.error(BuildManifest)
    assert isinstance(error, StageValidationError)
    assert "parent" in str(error)
    assert {key.split("/")[0] for key in place.seen()} == {"campaigns", "survey", "parent"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tiers": "debug,gird"}, "tiers is .*gird"),
        ({"grid_debug": "grid_huge"}, "grid_huge"),
        ({"grid_path": "/nowhere"}, r"\[grids\] path '/nowhere' is not a folder"),
        ({"variant": "v9_all"}, "v9_all"),
        ({"bandsets": "gxz"}, "bandsets is .*gxz"),
        ({"splits": "train,validation"}, "splits is .*validation"),
        ({"survey_root": "/nowhere/dr10"}, r"survey_root '/nowhere/dr10': there is no coadd/ below /nowhere/dr10"),
        ({"survey_root": "ftp://survey.example/dr10"}, "a survey is read from a folder, s3://"),
        ({"objects_root": "gs://bucket/prefix"}, "objects are held by a folder"),
        ({"objects_root": "s3://key:word@bucket/prefix"}, "without credentials"),
        ({"parent": "/nowhere/targets.csv"}, r"cannot read the table /nowhere/targets\.csv"),
        ({"split_fractions": "train:0.5,test:0.4"}, "split fractions are .*sum 1"),
        ({"control_frac_train": 1.0}, "control_frac of tier train is 1.0"),
    ],
)
def test_a_parameter_that_cannot_be_is_an_error_that_says_which_and_why(place: Place, changes: dict[str, object], words: str) -> None:
    error = place.error(**changes)
    assert isinstance(error, ConfigurationError)
    with pytest.raises(ConfigurationError, match=words):
        raise error
    assert place.seen() == {}


def test_too_few_hosts_are_an_error_that_says_how_many_are_missing_where(copied_place: Place) -> None:
    error = copied_place.error(n_per_config_debug=1000)
    assert isinstance(error, ManifestError)
    assert "tier debug, split train: at least 1000 distinct hosts are needed" in str(error)
    findings = "stages s JOIN validation_findings f ON f.stage_digest = s.stage_digest"
    kept = copied_place.rows(f"SELECT s.status, f.observed FROM {findings} WHERE f.check_name = 'stopped'")
    assert [row["status"] for row in kept] == ["failed"]
    assert "not enough hosts" in kept[0]["observed"]
    with read(copied_place.state_url) as connection:
        errors = errors_of_run(connection, campaigns.campaign_digests(connection, "tiny"))
    assert errors == [f"manifest: {kept[0]['observed']}"], "status and report head with the reason"


def test_a_plan_above_the_limit_is_an_error_that_names_number_and_parameter(copied_place: Place) -> None:
    before = copied_place.seen()
    error = copied_place.error(max_total_tasks=51, sampling_seed=14)
    assert isinstance(error, ManifestError)
    assert "52" in str(error)
    assert "max_total_tasks" in str(error)
    new = copied_place.seen().keys() - before.keys()
    assert [key.split("/")[0] for key in new] == ["campaigns"], "the run is on record, and nothing else is there"


def test_an_objects_root_below_a_file_is_an_error_of_the_object_store(place: Place, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    error = place.error(ReadSurvey, objects_root=tmp_path / "file/objects")
    assert isinstance(error, ObjectStoreError)
    assert str(tmp_path / "file/objects") in str(error)
