"""Fixtures of the tests in this folder."""

from pathlib import Path

import pytest

from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockBrick, MockSurvey, mock_bricks


@pytest.fixture
def brick(tiny_survey: tuple[MockSurvey, Path]) -> MockBrick:
    """Return a wholly observed brick of the tiny survey."""
    return mock_bricks(tiny_survey[0])[0]


@pytest.fixture
def image_r(tiny_survey: tuple[MockSurvey, Path], brick: MockBrick) -> Path:
    """Return the r image of that brick."""
    return tiny_survey[1] / plane_key(brick.brickname, "image-r")
