"""Where the survey and the grids are, and what the survey is known by."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import luigi

from halo_core.errors import ConfigurationError
from halo_core.seeds import hash_hex, stage_digest
from halo_core.survey import layout, mock
from halo_core.survey.mock import MockSurvey
from luigi_tasks.http_files import SCHEMES, HttpFiles
from luigi_tasks.object_protocol import Files
from luigi_tasks.objects import S3_SCHEME, Objects, open_objects

MOCK = "mock"


class MockSurveySettings(luigi.Config):
    """The mock survey, [mock_survey] in the campaign file."""

    seed = luigi.IntParameter(description="Seed of every pixel and object.")
    n_bricks = luigi.IntParameter(description="Bricks, each in a sky cell of its own.")
    brick_size_pix = luigi.IntParameter(description="Side of a brick image; 3600 is a full brick [pix].")
    lrgs_per_brick = luigi.IntParameter(description="Luminous red galaxies in a brick image.")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "mock_survey"

    def survey(self) -> MockSurvey:
        """Return the parameters of the mock survey."""
        return MockSurvey(seed=self.seed, n_bricks=self.n_bricks, brick_size_pix=self.brick_size_pix, lrgs_per_brick=self.lrgs_per_brick)


@dataclass(frozen=True)
class SurveyPlace:
    """A survey: the place that holds coadd/, and what it is known by.

    ``root`` is a folder, an s3:// URI or an https:// URL, ``files`` are the survey's files by their keys below it. ``identity`` is the
    parameters of a mock survey, or URI and release of another; ``source_id`` is where its planes are cached.
    """

    root: str
    files: Files
    mock: MockSurvey | None
    identity: dict[str, Any]
    source_id: str


def survey_place(survey_root: str, release: str, objects: Objects) -> SurveyPlace:
    """Return the survey that a root names.

    Raises
    ------
    ConfigurationError
        The root has no coadd/ below it, or is of a scheme that is not read.
    """
    if survey_root == MOCK:
        settings = MockSurveySettings().survey()
        identity = {"mock": settings.to_parameters(), "release": release}
        digest = mock_digest(settings)
        root = objects.uri(f"mock_survey/{digest}/files")
        return SurveyPlace(root, open_objects(root), settings, identity, source_id=f"mock-{digest}")
    files = open_survey(survey_root)
    root = files.uri("")
    if not files.holds(layout.COADD_FOLDER):
        lacking = f"{layout.BRICKS_KEY}, without which no brick of a server is known" if isinstance(files, HttpFiles) else "coadd/"
        raise ConfigurationError(
            f"survey_root {survey_root!r}: there is no {lacking} below {root}; give the place that holds coadd/, or mock"
        )
    return SurveyPlace(root, files, None, {"uri": root, "release": release}, f"{release}-{hash_hex(root, release, n_bytes=5)}")


def open_survey(survey_root: str) -> Files:
    """Return the files of a survey: in a folder, below s3://bucket/prefix or below https://host/path.

    Raises
    ------
    ConfigurationError
        The root is of a scheme that is not read.
    """
    if survey_root.startswith(SCHEMES):
        return HttpFiles(survey_root)
    if "://" in survey_root and not survey_root.startswith(S3_SCHEME):
        raise ConfigurationError(
            f"survey_root {survey_root!r}: a survey is read from a folder, s3://bucket/prefix or https://host/path, or made here (mock)"
        )
    return open_objects(survey_root)


def mock_digest(settings: MockSurvey) -> str:
    """Return the digest of a mock survey."""
    return stage_digest(
        "mock_survey", science_version=mock.SCIENCE_VERSION, parameters=settings.to_parameters(), upstream={}, fingerprints={}
    )


def grid_folder(grid_path: str) -> Path:
    """Return the folder of grid files: the given one, or the shipped one where none is given."""
    if not grid_path:
        return Path(str(files("halo_core.grids")))
    folder = Path(grid_path)
    if not folder.is_dir():
        raise ConfigurationError(f"[grids] path {grid_path!r} is not a folder; leave it empty for the shipped grids")
    return folder
