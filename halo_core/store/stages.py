"""Questions about stage digests: what was asked, whether it is done, and with which counts."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.seeds import canonical_json
from halo_core.store.models import Stage
from halo_core.store.sessions import lock


class StageRecord(NamedTuple):
    """One stage digest; `config` and `counts` are JSON text, `counts` and `finished_at` None until it is done."""

    stage_digest: str
    stage: str
    science_version: int
    config: str
    code_version: str
    counts: str | None
    status: str
    created_at: datetime
    finished_at: datetime | None


_COLUMNS = [getattr(Stage, name) for name in StageRecord._fields]


def record_stage(
    connection: sa.Connection, digest: str, word: str, science_version: int, config: Mapping[str, Any], code_version: str
) -> None:
    """Record that a stage is planned; a stage that is done stays as it is, one that failed is planned again.

    Raises
    ------
    StoreError
        The digest is recorded with another word or science version, which no hash can explain.
    """
    lock(connection, "stages", digest)
    values = {"config": canonical_json(config), "code_version": code_version, "status": "planned", "counts": None, "finished_at": None}
    found = stage(connection, digest)
    if found is None:
        connection.execute(sa.insert(Stage).values(stage_digest=digest, stage=word, science_version=science_version, **values))
        return
    if (found.stage, found.science_version) != (word, science_version):
        raise StoreError(
            f"stage {digest} is recorded as {found.stage} of science version {found.science_version}, "
            f"now asked as {word} of {science_version}: one digest names one stage"
        )
    # The database looks at the status at the moment of the change: another worker may have finished the stage since it was read.
    connection.execute(sa.update(Stage).where(Stage.stage_digest == digest, Stage.status != "done").values(**values))


def finish_stage(connection: sa.Connection, digest: str, counts: Mapping[str, int]) -> None:
    """Record that a stage is done, with its counts."""
    _update(connection, digest, {"status": "done", "counts": canonical_json(counts), "finished_at": sa.func.now()})


def fail_stage(connection: sa.Connection, digest: str) -> None:
    """Record that a stage failed; its findings and its blocks' errors say why."""
    _update(connection, digest, {"status": "failed", "finished_at": sa.func.now()})


def stage(connection: sa.Connection, digest: str) -> StageRecord | None:
    """Return what is recorded of a digest, None where nothing is."""
    row = connection.execute(sa.select(*_COLUMNS).where(Stage.stage_digest == digest)).first()
    return None if row is None else StageRecord(*row)


def stage_is_done(connection: sa.Connection, digest: str) -> bool:
    """Tell whether a stage is recorded as done; an unknown digest is not."""
    found = stage(connection, digest)
    return found is not None and found.status == "done"


def _update(connection: sa.Connection, digest: str, values: Mapping[str, Any]) -> None:
    """Change one stage's row; an unknown digest is an error."""
    result = connection.execute(sa.update(Stage).where(Stage.stage_digest == digest).values(**values))
    if result.rowcount != 1:
        raise StoreError(f"stage {digest} is not recorded; call record_stage first")
