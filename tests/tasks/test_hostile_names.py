"""Laws of names: whatever a table calls a brick, and whatever a survey is called, no path leaves the cache and nothing is asked for."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.table import Table

from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.survey.layout import BRICKS_KEY
from halo_core.survey.mock import MockSurvey, mock_bricks
from luigi_tasks import BuildParent, ReadSurvey
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import FetchSettings
from luigi_tasks.objects import open_objects
from tests.fixtures.campaigns import Place, new_place
from tests.fixtures.http_archive import archive_of

SHORT = ("../../..", "/etc/pwd", "028/../m", "..\\..\\..", "%2e%2e/m", "0285m16/", "02 5m165", "9999p999")
LONG = ("../../../../etc/passwd", "0285m165/../../x", "0285m165\n", "file:///etc/passwd", "0285m165?x=1", "\u0660285m165", "")


def files_below(folder: Path) -> set[Path]:
    """Return every file below a folder."""
    return {path for path in folder.rglob("*") if path.is_file()}


def hostile_bricks(survey: Path, name: str) -> None:
    """Give a brick of a survey's table another name."""
    with fits.open(survey / BRICKS_KEY) as hdus:
        table = Table(hdus[1].data)
    column = next(column for column in table.colnames if column.lower() == "brickname")
    table[column] = [name, *(str(one) for one in table[column][1:])]
    (survey / BRICKS_KEY).unlink()
    fits.BinTableHDU(table).writeto(survey / BRICKS_KEY)


@pytest.mark.parametrize("name", [name for name in (*SHORT, *LONG) if name != "9999p999"])
@pytest.mark.parametrize("where", ["folder", "server"])
def test_a_name_that_is_no_brick_s_is_neither_asked_for_nor_written(tmp_path: Path, name: str, where: str) -> None:
    (tmp_path / "outer/survey").mkdir(parents=True)
    (tmp_path / "outer/secret").write_text("secret")
    before = files_below(tmp_path)
    with archive_of(tmp_path / "outer/survey") as archive:
        server = HttpFiles(archive.url, FetchSettings(local_copies=str(tmp_path / "copies")))
        files = server if where == "server" else open_objects(str(tmp_path / "outer/survey"))
        source = PlaneSource(files, "x", open_objects(str(tmp_path / "outer/objects")))
        with pytest.raises(SurveyDataError, match="is no brick name"):
            source.fetch_all([(name, "image-r")], block=0)
        assert archive.asked == []
    assert files_below(tmp_path) == before


@pytest.mark.parametrize("plane", ["image-r/../../../x", "../image-r", "image-", "image-r\n", "image-r.fits.fz#", "image-\u0433"])
def test_a_name_that_is_no_plane_s_is_neither_asked_for_nor_written(tmp_path: Path, plane: str) -> None:
    source = PlaneSource(open_objects(str(tmp_path / "survey")), "x", open_objects(str(tmp_path / "objects")))
    with pytest.raises(ValueError, match="is no coadd plane"):
        source.fetch("0285m165", plane, block=0)
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("source_id", ["../../other", "..", "a/../../b", "/etc", "x\n", "a b", ""])
@pytest.mark.parametrize("where", ["folder", "s3"])
def test_no_name_of_a_survey_leads_out_of_the_cache(request: pytest.FixtureRequest, tmp_path: Path, source_id: str, where: str) -> None:
    root = request.getfixturevalue("s3_root") if where == "s3" else str(tmp_path / "outer/objects")
    source = PlaneSource(open_objects(str(tmp_path / "survey")), source_id, open_objects(root))
    with pytest.raises(ConfigurationError, match="object key"):
        source.fetch("0285m165", "image-r", block=0)
    assert files_below(tmp_path) == set()


@pytest.mark.parametrize("name", SHORT)
def test_a_brick_table_of_hostile_names_is_refused(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path, name: str) -> None:
    survey = Path(shutil.copytree(tiny_survey[1], tmp_path / "survey", ignore=shutil.ignore_patterns("*.fits.fz")))
    hostile_bricks(survey, name)
    place = new_place(tmp_path, survey_root=str(survey))
    error = place.error(ReadSurvey)
    assert isinstance(error, SurveyDataError)
    assert repr(name) in str(error)
    assert {key.split("/")[0] for key in place.seen()} <= {"campaigns"}


@pytest.mark.parametrize("name", [*SHORT, "../../../../etc/passwd", "0285m165/../../x"])
def test_a_parent_table_of_hostile_names_is_refused(place_of_tables: Place, tiny_survey: tuple[MockSurvey, Path], name: str) -> None:
    brick = mock_bricks(tiny_survey[0])[0]
    targets = Table({"objid": np.arange(2), "brickname": [brick.brickname, name], "ra": [brick.ra_deg] * 2, "dec": [brick.dec_deg] * 2})
    targets["flux_r"] = 50.0
    targets.write(place_of_tables.folder / "targets.csv")
    error = place_of_tables.error(BuildParent, parent=str(place_of_tables.folder / "targets.csv"))
    assert isinstance(error, SurveyDataError)
    assert repr(name) in str(error)
    assert "parent" not in {key.split("/")[0] for key in place_of_tables.seen()}


@pytest.fixture
def place_of_tables(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> Place:
    """A place that reads the tiny survey's tables."""
    survey = Path(shutil.copytree(tiny_survey[1], tmp_path / "survey", ignore=shutil.ignore_patterns("*.fits.fz")))
    return new_place(tmp_path, survey_root=str(survey))
