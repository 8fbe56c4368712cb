"""What every whole-stage task does: build objects, write the commit mark last, load the rows, say so in the state."""

import logging
import platform
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from halo_core.errors import ObjectStoreError, StoreError
from halo_core.stages.files import read_table, write_table
from halo_core.stages.validation import SCIENCE_VERSION as VALIDATION_VERSION
from halo_core.stages.validation import expect
from halo_core.store import campaigns, stages
from halo_core.store.schema import require_head
from halo_core.store.sessions import begin
from halo_core.store.validation import store_findings
from luigi_tasks.campaign import CampaignTask
from luigi_tasks.identity import VALIDATED, StageIdentity, stage_identities, validation_digest
from luigi_tasks.objects import ObjectRecord, Objects
from luigi_tasks.progress import link
from luigi_tasks.runs import RunRecord, RunStage, keep_run
from luigi_tasks.targets import StageTarget, stage_prefix

logger = logging.getLogger(__name__)

PACKAGES = ("dark-halo-scope", "numpy", "scipy", "astropy", "galsim", "numba", "pyarrow", "luigi", "sqlalchemy")


@dataclass
class Built:
    """What a stage put into the store, and what it counted."""

    objects: dict[str, ObjectRecord] = field(default_factory=dict)
    counts: dict[str, Any] = field(default_factory=dict)


class IdentifiedTask(CampaignTask):
    """A task that knows the digest of every stage of its campaign."""

    @cached_property
    def identities(self) -> dict[str, StageIdentity]:
        """Identity of every stage, by word."""
        return stage_identities(self)

    def digest_of(self, word: str) -> str:
        """Return a stage's digest."""
        return self.identities[word].digest

    def key_of(self, word: str, name: str) -> str:
        """Return the key of an object of a stage."""
        return f"{stage_prefix(word, self.digest_of(word))}/{name}"

    def mark_of(self, word: str) -> dict[str, Any]:
        """Return the commit mark of a stage that is done."""
        mark = StageTarget(self.objects, word, self.digest_of(word), self.state_url).mark()
        if mark is None:
            raise ObjectStoreError(f"stage {word} {self.digest_of(word)} is not committed below {self.objects.root}; run it first")
        return mark

    def table_of(self, word: str, name: str) -> pa.Table:
        """Return a table of a stage."""
        return read_table(self.objects.path(self.key_of(word, name)))

    def config_text(self) -> dict[str, str]:
        """Return the campaign's parameters as text; the state's URL and what only one task takes are no part of it."""
        own = CampaignTask.get_param_names(include_significant=True)
        texts = self.to_str_params()
        return {name: texts[name] for name in own if name in texts and name not in ("state_url", "objects_root")}

    def register(self, connection: sa.Connection) -> int:
        """Name the campaign in the state, link its stages and the checks that were made of them, and return its id.

        The run is kept among the objects too, from which the state can be rebuilt.
        """
        before, record = campaigns.latest_campaign(connection, self.campaign_name), self.run_record()
        campaign_id = record.register(connection)
        latest = campaigns.latest_campaign(connection, self.campaign_name)
        if latest is not None:
            is_new = before is None or before.campaign_id != campaign_id
            keep_run(self.objects, record, created_at=latest.created_at.isoformat(), is_new=is_new)
        return campaign_id

    def run_record(self) -> RunRecord:
        """Return what this run is: its name, its configuration, its stages and their checks."""
        code = version("dark-halo-scope")
        found = [
            RunStage(word, identity.digest, identity.science_version, identity.parameters, code)
            for word, identity in self.identities.items()
        ]
        found += [
            RunStage(f"validation_{subject}", validation_digest(subject, self.identities), VALIDATION_VERSION, {}, code)
            for subject in VALIDATED
        ]
        return RunRecord(self.campaign_name, self.config_text(), tuple(found))


class StageTask(IdentifiedTask):
    """One stage: its objects under its digest, its commit mark, its rows."""

    word: ClassVar[str]

    def output(self) -> StageTarget:
        """Return the stage's commit, which counts once its rows are in the state."""
        return StageTarget(self.objects, self.word, self.digest_of(self.word), self.state_url)

    def run(self) -> None:
        """Build what is not committed, then load the rows."""
        link(self, self.objects.uri(self.output().prefix))
        require_head(self.state_url)
        with begin(self.state_url) as connection:
            self.register(connection)
        mark = self.output().committed()
        if mark is None:
            built = self.build()
            mark = self.output().commit(self.stage_config(built), built.objects)
        with begin(self.state_url) as connection:
            self.load(connection)
            self.finish(connection, self.word, mark["counts"])
        logger.info(
            "%s: done, %s", self.word, ", ".join(f"{name} {value}" for name, value in mark["counts"].items() if isinstance(value, int))
        )

    def finish(self, connection: sa.Connection, word: str, counts: Mapping[str, Any]) -> None:
        """Record a stage as done; what stopped an earlier attempt is over."""
        stages.finish_stage(connection, self.digest_of(word), counts)
        store_findings(connection, self.digest_of(word), [])

    def on_failure(self, exception: BaseException) -> str:
        """Keep the error in the state, where status and report show it, unless another worker has done the stage meanwhile.

        A state that is itself the trouble cannot hold it.
        """
        if not isinstance(exception, StoreError) and not self._is_done():
            digest, text = self.digest_of(self.word), f"{type(exception).__name__}: {exception}"
            found = expect(self.word, "stopped", is_ok=False, observed=text, expected="no error", sentence="The stage stopped.")
            with begin(self.state_url) as connection:
                stages.fail_stage(connection, digest)
                store_findings(connection, digest, [found])
        return str(super().on_failure(exception))

    def _is_done(self) -> bool:
        """Tell whether the stage is complete; objects that cannot be asked say nothing, and the next run puts it right."""
        try:
            return bool(self.complete())
        except ObjectStoreError:
            return False

    @abstractmethod
    def build(self) -> Built:
        """Make and store the stage's objects."""

    def load(self, connection: sa.Connection) -> None:
        """Put the stage's rows into the state."""

    def stage_config(self, built: Built, *, word: str | None = None) -> dict[str, Any]:
        """Return what `_stage_config.json` records beside the objects; of this stage unless another word is given."""
        identity = self.identities[word or self.word]
        return {
            "stage": identity.word,
            "digest": identity.digest,
            "science_version": identity.science_version,
            "parameters": dict(identity.parameters),
            "upstream": dict(identity.upstream),
            "fingerprints": dict(identity.fingerprints),
            "seeds": {"split_seed": self.split_seed, "sampling_seed": self.sampling_seed},
            "counts": built.counts,
            "versions": {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}},
            "processor": processor_name(),
            "created_at_utc": datetime.now(UTC).isoformat(timespec="seconds"),
        }


def put_table(objects: Objects, key: str, table: pa.Table) -> ObjectRecord:
    """Store a table as Parquet under a key."""
    temporary = objects.temporary(key)
    write_table(temporary, table)
    return objects.put_file(key, temporary)


def processor_name() -> str:
    """Return the kind of processor and the vector instructions numpy found: floats agree to the bit only between equals."""
    found = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    return f"{platform.machine()} {' '.join(found)}".strip()
