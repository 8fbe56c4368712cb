"""Survey: the bricks of a folder, from its table or from the coadds that are there."""

import shutil
from pathlib import Path

import pytest

from halo_core.errors import SurveyDataError
from halo_core.records import BRICKS
from halo_core.stages.survey import bricks_of_survey
from halo_core.survey.bricks import brick_by_name
from halo_core.survey.catalogs import read_bricks
from halo_core.survey.layout import BRICKS_KEY
from halo_core.survey.mock import MockSurvey, mock_bricks


def test_a_survey_with_a_table_has_its_bricks(tiny_survey: tuple[MockSurvey, Path]) -> None:
    bricks = bricks_of_survey(tiny_survey[1])
    assert bricks.equals(read_bricks(tiny_survey[1] / BRICKS_KEY))
    assert bricks.num_rows == tiny_survey[0].n_bricks
    assert bricks["psfsize_r_arcsec"].null_count == 0


def test_a_piece_of_a_survey_has_the_bricks_whose_coadds_are_there(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> None:
    names = sorted(brick.brickname for brick in mock_bricks(tiny_survey[0]) if not brick.is_missing)
    for name in names:
        (tmp_path / "coadd" / name[:3] / name).mkdir(parents=True)
    (tmp_path / "coadd" / "README").write_text("not a brick")
    bricks = bricks_of_survey(tmp_path)
    assert bricks.schema.equals(BRICKS)
    assert bricks["brickname"].to_pylist() == names
    grid = brick_by_name(names)
    for column in ("brickid", "ra", "dec", "ra1", "dec2"):
        assert bricks[column].to_pylist() == getattr(grid, column).tolist()


def test_conditions_that_no_table_gives_are_null_and_not_zero(tmp_path: Path) -> None:
    (tmp_path / "coadd" / "000" / "0001m002").mkdir(parents=True)
    (row,) = bricks_of_survey(tmp_path).to_pylist()
    unknown = [name for name in BRICKS.names if name.startswith(("ebv", "nexp", "psfsize", "psfdepth"))]
    assert len(unknown) == 10
    assert all(row[name] is None for name in unknown)


def test_a_folder_without_table_and_coadds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SurveyDataError, match=f"neither {BRICKS_KEY} nor a brick below coadd/; check --survey-root"):
        bricks_of_survey(tmp_path)


def test_a_folder_that_is_no_brick_is_refused(tmp_path: Path) -> None:
    (tmp_path / "coadd" / "000" / "notabrick").mkdir(parents=True)
    with pytest.raises(SurveyDataError, match="notabrick"):
        bricks_of_survey(tmp_path)


def test_the_table_goes_before_the_coadds(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> None:
    shutil.copy(tiny_survey[1] / BRICKS_KEY, tmp_path / BRICKS_KEY)
    (tmp_path / "coadd" / "000" / "0001m002").mkdir(parents=True)
    assert bricks_of_survey(tmp_path).equals(bricks_of_survey(tiny_survey[1]))
