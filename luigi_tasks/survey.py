"""Survey: the mock survey where one is asked for, and the survey's brick table with our column names and units."""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import luigi
import pyarrow as pa
import sqlalchemy as sa

from halo_core.errors import ConfigurationError
from halo_core.stages.survey import bricks_of_coadds
from halo_core.store.survey import store_bricks
from halo_core.survey import layout
from halo_core.survey.catalogs import read_bricks
from halo_core.survey.mock import MockSurvey, make_mock_brick, make_mock_tables
from luigi_tasks.objects import ObjectRecord
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

    def stored(self, make: Callable[[Path], object]) -> dict[str, ObjectRecord]:
        """Return the records of what a function writes below a folder, stored as files of the survey."""
        with tempfile.TemporaryDirectory() as name:
            make(Path(name))
            made = {path.relative_to(name).as_posix(): path for path in sorted(Path(name).rglob("*")) if path.is_file()}
            return {f"{self.prefix}/files/{key}": self.objects.copy_in(f"{self.prefix}/files/{key}", path) for key, path in made.items()}


class MakeMockBricks(MockTask):
    """The coadds of some neighbouring bricks of the mock survey are there. Safe to run again: seeded, bit for bit."""

    first = luigi.IntParameter(description="Index of the first brick.", positional=False)
    last = luigi.IntParameter(description="Index of the last brick.", positional=False)

    def output(self) -> CommitTarget:
        """Return the commit of these bricks."""
        prefix = f"{self.prefix}/bricks={self.first:05d}-{self.last:05d}"
        return CommitTarget(self.objects, prefix, BLOCK_MARK, listed=self.prefix)

    def run(self) -> None:
        """Make each brick, then commit."""
        progress = Progress(f"mock survey, bricks {self.first}-{self.last}", total=self.last - self.first + 1, unit="bricks", task=self)
        records: dict[str, ObjectRecord] = {}
        for index in range(self.first, self.last + 1):
            records |= self.stored(partial(make_mock_brick, self.mock, index))
            progress.step(1)
        self.output().commit({"stage": "mock_survey", "counts": {"n_files": len(records)}}, records)


class MakeMockSurvey(MockTask):
    """The mock survey is there: coadds, brick table and sweeps in the survey's own layout. Safe to run again: seeded."""

    def output(self) -> CommitTarget:
        """Return the mock survey's commit."""
        return CommitTarget(self.objects, self.prefix, STAGE_MARK)

    def run(self) -> Iterator[list[luigi.Task]]:
        """Have every brick made, write the tables, then commit."""
        n_bricks = self.mock.n_bricks
        parts = [(first, min(first + _BRICKS_PER_TASK, n_bricks) - 1) for first in range(0, n_bricks, _BRICKS_PER_TASK)]
        bricks = [self.clone(MakeMockBricks, first=first, last=last) for first, last in parts]
        yield bricks
        counts: dict[str, int] = {}
        records = self.stored(lambda folder: counts.update(make_mock_tables(self.mock, folder)))
        for task in bricks:
            mark = task.output().mark()
            records |= {key: ObjectRecord(**record) for key, record in mark["objects"].items()}
        content = {"stage": "mock_survey", "parameters": self.mock.to_parameters(), "counts": {**counts, "n_files": len(records)}}
        self.output().commit(content, records)


class ReadSurvey(StageTask):
    """The bricks of the survey are known: name, edges, seeing, depth, extinction, with units in their names."""

    word = "survey"

    def requires(self) -> list[luigi.Task]:
        """The mock survey where it is the survey."""
        return [self.clone(MakeMockSurvey)] if self.survey.mock is not None else []

    def build(self) -> Built:
        """Read and check the brick table."""
        bricks = self._bricks()
        key = self.key_of(self.word, "bricks.parquet")
        return Built({key: put_table(self.objects, key, bricks)}, {"n_bricks": bricks.num_rows})

    def load(self, connection: sa.Connection) -> None:
        """One row per brick."""
        store_bricks(connection, self.table_of(self.word, "bricks.parquet"), stage_digest=self.digest_of(self.word))

    def _bricks(self) -> pa.Table:
        """Return the survey's brick table or, for a piece of a survey without one, the bricks that have coadds."""
        files = self.survey.files
        if files.size(layout.BRICKS_KEY) is not None:
            return read_bricks(files.path(layout.BRICKS_KEY))
        return bricks_of_coadds({key.split("/")[2] for key in files.list_sizes("coadd") if key.count("/") > 2}, where=self.survey.root)
