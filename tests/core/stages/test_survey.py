"""Survey: the bricks of a piece of a survey without a table, from the coadds that are there."""

import pytest

from halo_core.errors import SurveyDataError
from halo_core.records import BRICKS
from halo_core.stages.survey import bricks_of_coadds
from halo_core.survey.bricks import brick_by_name
from halo_core.survey.layout import BRICKS_KEY

NAMES = ["0001m002", "0003m002", "0006m002"]


def test_a_piece_of_a_survey_has_the_bricks_whose_coadds_are_there() -> None:
    bricks = bricks_of_coadds(set(NAMES), where="here")
    assert bricks.schema.equals(BRICKS)
    assert bricks["brickname"].to_pylist() == NAMES
    grid = brick_by_name(NAMES)
    for column in ("brickid", "ra", "dec", "ra1", "dec2"):
        assert bricks[column].to_pylist() == getattr(grid, column).tolist()


def test_conditions_that_no_table_gives_are_null_and_not_zero() -> None:
    (row,) = bricks_of_coadds(["0001m002"], where="here").to_pylist()
    unknown = [name for name in BRICKS.names if name.startswith(("ebv", "nexp", "psfsize", "psfdepth"))]
    assert len(unknown) == 10
    assert all(row[name] is None for name in unknown)


def test_a_place_without_table_and_coadds_is_refused() -> None:
    with pytest.raises(SurveyDataError, match=f"here: neither {BRICKS_KEY} nor a brick below coadd/; check --survey-root"):
        bricks_of_coadds([], where="here")


def test_a_folder_that_is_no_brick_is_refused() -> None:
    with pytest.raises(SurveyDataError, match="notabrick"):
        bricks_of_coadds(["0001m002", "notabrick"], where="here")
