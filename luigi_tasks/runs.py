"""Runs of campaigns as small objects: name, configuration and every stage's digest, so that the state can be rebuilt from objects alone.

A run's record never changes; the records say in which order the runs were.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from halo_core.errors import ObjectStoreError
from halo_core.seeds import canonical_json, hash_hex
from halo_core.store import campaigns, stages
from luigi_tasks.objects import Objects

FOLDER = "campaigns"


@dataclass(frozen=True)
class RunStage:
    """One stage of a run, as the state records it; the checks of a stage are a stage too."""

    stage: str
    stage_digest: str
    science_version: int
    config: Mapping[str, Any]
    code_version: str

    def record(self, connection: sa.Connection) -> None:
        """Record the stage in the state as planned; one that is done stays as it is."""
        stages.record_stage(connection, self.stage_digest, self.stage, self.science_version, self.config, self.code_version)


@dataclass(frozen=True)
class RunRecord:
    """What a run of a campaign is, and its place among the runs that the store knows."""

    name: str
    config: Mapping[str, str]
    stages: tuple[RunStage, ...]
    number: int = 0
    created_at: str = ""

    @cached_property
    def key(self) -> str:
        """Key of the record: the name for people, and a hash of what the run is."""
        digest = hash_hex(self.name, canonical_json(dict(self.config)), *(stage.stage_digest for stage in self.stages), n_bytes=10)
        return f"{FOLDER}/{re.sub('[^A-Za-z0-9_-]', '_', self.name)}.{digest}.json"

    def register(self, connection: sa.Connection) -> int:
        """Name the run in the state, record and link its stages, and link those of its checks that were made; return the run's id."""
        campaign_id = campaigns.register_campaign(connection, self.name, self.config)
        for one in self.stages:
            if not one.stage.startswith("validation_"):
                one.record(connection)
            elif stages.stage(connection, one.stage_digest) is None:
                continue
            campaigns.link_stage(connection, campaign_id, one.stage, one.stage_digest)
        return campaign_id


def keep_run(objects: Objects, record: RunRecord, *, created_at: str, is_new: bool) -> None:
    """Store a run as the latest of its name, unless it is that; a run that the state knew already and the store holds is left alone."""
    if not is_new and objects.size(record.key) is not None:
        return
    known = recorded_runs(objects)
    mine = [run for run in known if run.name == record.name]
    if mine and mine[-1].key == record.key:
        return
    number = 1 + max((run.number for run in known), default=0)
    content = {**asdict(record), "number": number, "created_at": created_at}
    objects.put(record.key, json.dumps(content, indent=1, sort_keys=True).encode())


def recorded_runs(objects: Objects, name: str | None = None) -> list[RunRecord]:
    """Return every run that the store knows, of one name or of all, the earliest first.

    Raises
    ------
    ObjectStoreError
        A record is not what this project writes.
    """
    found = [_read(objects, key) for key in objects.list_sizes(FOLDER)]
    return sorted((run for run in found if name in (None, run.name)), key=lambda run: (run.number, run.created_at, run.key))


def _read(objects: Objects, key: str) -> RunRecord:
    """Return one record."""
    try:
        content = json.loads(objects.read(key))
        return RunRecord(**{**content, "stages": tuple(RunStage(**stage) for stage in content["stages"])})
    except (json.JSONDecodeError, TypeError, KeyError) as error:
        raise ObjectStoreError(f"{objects.uri(key)} is no record of a run ({error}); remove it and run the campaign again") from error
