"""One run of a campaign as the report reads it: its configuration, its digests, its objects."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from halo_core.errors import ObjectStoreError
from halo_core.stages.criteria import Criterion
from halo_core.stages.files import read_table
from halo_core.store import campaigns
from luigi_tasks.objects import Objects
from luigi_tasks.places import MOCK, MockSurveySettings
from luigi_tasks.targets import STAGE_MARK, CommitTarget, stage_prefix


@dataclass(frozen=True)
class Run:
    """One run of a campaign: its name, its configuration, its digests by stage word, and where its objects are."""

    name: str
    config: Mapping[str, Any]
    digests: Mapping[str, str]
    objects: Objects

    def has(self, word: str) -> bool:
        """Return whether a stage's objects are committed."""
        return word in self.digests and self.mark(word) is not None

    def holds(self, word: str, name: str) -> bool:
        """Return whether a committed stage has an object of this name."""
        mark = self.mark(word) if word in self.digests else None
        return mark is not None and self.key(word, name) in mark["objects"]

    def mark(self, word: str) -> dict[str, Any] | None:
        """Return a stage's commit mark, None where it is not committed."""
        return CommitTarget(self.objects, stage_prefix(word, self.digests[word]), STAGE_MARK).mark()

    def key(self, word: str, name: str) -> str:
        """Return the key of a stage's object."""
        return f"{stage_prefix(word, self.digests[word])}/{name}"

    def table(self, word: str, name: str) -> pa.Table:
        """Return a stage's table."""
        return read_table(self.objects.path(self.key(word, name)))

    def json(self, word: str, name: str) -> Any:
        """Return a stage's JSON object; ObjectStoreError where it is none."""
        key = self.key(word, name)
        try:
            return json.loads(self.objects.read(key))
        except ValueError as error:
            raise ObjectStoreError(f"{self.objects.uri(key)} is not JSON ({error}); remove it and run its stage again") from error

    def criteria(self) -> list[Criterion]:
        """Return the recovery criteria of the run's summary; none where it was not reached."""
        mark = self.mark("summary") if "summary" in self.digests else None
        found = mark["parameters"]["criteria"] if mark is not None else []
        return [Criterion(**{**one, "minimums": tuple((name, least) for name, least in one["minimums"])}) for one in found]

    def mock_parameters(self) -> dict[str, Any]:
        """Return the parameters of the mock survey that the run was made on; none on another survey."""
        mark = self.mark("survey") if self.config.get("survey_root") == MOCK and "survey" in self.digests else None
        known = mark["parameters"]["mock"] if mark is not None else {}
        return {name: known[name] for name, _ in MockSurveySettings.get_params() if name in known}


def run_of(connection: sa.Connection, name: str, objects: Objects) -> Run:
    """Return the latest run of a campaign."""
    digests = campaigns.campaign_digests(connection, name)
    latest = campaigns.latest_campaign(connection, name)
    return Run(name, json.loads(latest.config) if latest is not None else {}, digests, objects)
