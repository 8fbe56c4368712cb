"""Survey: the mock survey where one is asked for, and the survey's brick table with our column names and units."""

from collections.abc import Iterator

import luigi
import sqlalchemy as sa

from halo_core.errors import ConfigurationError
from halo_core.stages.survey import bricks_of_survey
from halo_core.store.survey import store_bricks
from halo_core.survey.layout import plane_key
from halo_core.survey.mock import MockSurvey, make_mock_brick, make_mock_tables, mock_bricks
from luigi_tasks.objects import ObjectRecord, sha256_of
from luigi_tasks.places import mock_digest
from luigi_tasks.progress import Progress
from luigi_tasks.stage import Built, IdentifiedTask, StageTask, put_table
from luigi_tasks.targets import BLOCK_MARK, STAGE_MARK, CommitTarget, stage_prefix

_BRICKS_PER_TASK = 5


class MockTask(IdentifiedTask):
    """What the tasks of the mock survey share."""

    @property
    def mock(self) -> MockSurvey:
        """The parameters of the mock survey."""
        if self.survey.mock is None:
            raise ConfigurationError(f"survey_root is {self.survey_root!r}: only the survey named mock is made here")
        return self.survey.mock

    @property
    def prefix(self) -> str:
        """Where the mock survey's objects are."""
        return stage_prefix("mock_survey", mock_digest(self.mock))

    def records(self, keys: list[str]) -> dict[str, ObjectRecord]:
        """Return what a commit says of some files."""
        paths = {key: self.objects.path(key) for key in keys}
        return {key: ObjectRecord(sha256_of(path), path.stat().st_size) for key, path in paths.items()}


class MakeMockBricks(MockTask):
    """The coadds of some neighbouring bricks of the mock survey are there. Safe to run again: seeded, bit for bit."""

    first = luigi.IntParameter(description="Index of the first brick.", positional=False)
    last = luigi.IntParameter(description="Index of the last brick.", positional=False)

    def output(self) -> CommitTarget:
        """Return the commit of these bricks."""
        prefix = f"{self.prefix}/bricks={self.first:05d}-{self.last:05d}"
        return CommitTarget(self.objects, prefix, BLOCK_MARK, listed=f"{self.prefix}/files")

    def run(self) -> None:
        """Make each brick, then commit."""
        progress = Progress(f"mock survey, bricks {self.first}-{self.last}", total=self.last - self.first + 1, unit="bricks", task=self)
        keys: list[str] = []
        for brick in mock_bricks(self.mock)[self.first : self.last + 1]:
            make_mock_brick(self.mock, brick.index, self.survey.root)
            folder = plane_key(brick.brickname, "maskbits").rsplit("/", 1)[0]
            keys += self.objects.list_sizes(f"{self.prefix}/files/{folder}")
            progress.step(1)
        self.output().commit({"stage": "mock_survey", "counts": {"n_files": len(keys)}}, self.records(keys))


class MakeMockSurvey(MockTask):
    """The mock survey is there: coadds, brick table and sweeps in the survey's own layout. Safe to run again: seeded."""

    def output(self) -> CommitTarget:
        """Return the mock survey's commit."""
        return CommitTarget(self.objects, self.prefix, STAGE_MARK)

    def run(self) -> Iterator[list[luigi.Task]]:
        """Have every brick made, write the tables, then commit."""
        n_bricks = self.mock.n_bricks
        parts = [(first, min(first + _BRICKS_PER_TASK, n_bricks) - 1) for first in range(0, n_bricks, _BRICKS_PER_TASK)]
        yield [self.clone(MakeMockBricks, first=first, last=last) for first, last in parts]
        counts = make_mock_tables(self.mock, self.survey.root)
        keys = list(self.objects.list_sizes(f"{self.prefix}/files"))
        content = {"stage": "mock_survey", "parameters": self.mock.to_parameters(), "counts": {**counts, "n_files": len(keys)}}
        self.output().commit(content, self.records(keys))


class ReadSurvey(StageTask):
    """The bricks of the survey are known: name, edges, seeing, depth, extinction, with units in their names."""

    word = "survey"

    def requires(self) -> list[luigi.Task]:
        """The mock survey where it is the survey."""
        return [self.clone(MakeMockSurvey)] if self.survey.mock is not None else []

    def build(self) -> Built:
        """Read and check the brick table."""
        bricks = bricks_of_survey(self.survey.root)
        key = self.key_of(self.word, "bricks.parquet")
        return Built({key: put_table(self.objects, key, bricks)}, {"n_bricks": bricks.num_rows})

    def load(self, connection: sa.Connection) -> None:
        """One row per brick."""
        store_bricks(connection, self.table_of(self.word, "bricks.parquet"), stage_digest=self.digest_of(self.word))
