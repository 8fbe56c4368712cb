"""Tables of a run: campaigns, the stages they link, the blocks of a stage, findings and the names of the flag bits."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from halo_core.store.base import DIGEST, ROW_ID, Base, allowed, created_now, digest_key


class Campaign(Base):
    """One row per run of a named campaign with its configuration; written when a run starts, read by every command that takes a name."""

    __tablename__ = "campaigns"
    __table_args__ = (sa.Index(None, "name"),)

    campaign_id: Mapped[int] = mapped_column(
        ROW_ID, primary_key=True, autoincrement=True, comment="number of the run, larger for a later one"
    )
    name: Mapped[str] = mapped_column(comment="label for people; a campaign that is run again keeps it")
    config: Mapped[str] = mapped_column(comment="JSON object: every parameter of the run as text")
    created_at: Mapped[datetime] = created_now()


class CampaignStage(Base):
    """One row per campaign and stage word: which digest the run uses; written by the stage's task."""

    __tablename__ = "campaign_stages"

    campaign_id: Mapped[int] = mapped_column(sa.BigInteger(), sa.ForeignKey("campaigns.campaign_id"), primary_key=True, comment="the run")
    stage: Mapped[str] = mapped_column(primary_key=True, comment="word of the stage; validation_WORD for its checks")
    stage_digest: Mapped[str] = mapped_column(sa.ForeignKey("stages.stage_digest"), index=True, comment="digest the run uses for it")


class Stage(Base):
    """One row per stage digest: what was asked, by which code, and how it ended; written by the stage's task."""

    __tablename__ = "stages"
    __table_args__ = (
        allowed("status", ("planned", "done", "failed"), name="status_known"),
        sa.CheckConstraint("status <> 'done' OR (counts IS NOT NULL AND finished_at IS NOT NULL)", name="done_has_counts"),
    )

    stage_digest: Mapped[str] = digest_key()
    stage: Mapped[str] = mapped_column(comment="word of the stage; validation_WORD for its checks")
    science_version: Mapped[int] = mapped_column(comment="version of what decides the stage's bytes")
    config: Mapped[str] = mapped_column(comment="JSON object: the stage's own parameters")
    code_version: Mapped[str] = mapped_column(comment="version of dark-halo-scope")
    counts: Mapped[str | None] = mapped_column(comment="JSON object: what the stage counted; NULL until it is done")
    status: Mapped[str] = mapped_column(comment="planned, done or failed")
    created_at: Mapped[datetime] = created_now()
    finished_at: Mapped[datetime | None] = mapped_column(comment="UTC, the database's clock; NULL until it ended")


class Block(Base):
    """One row per block of a stage; `finished` is NULL until the block's rows are loaded; written by the block's task.

    `lease_owner` works on the block and no one else does, until `lease_until` by the database's clock.
    """

    __tablename__ = "blocks"
    __table_args__ = (
        sa.CheckConstraint("n_injections >= 0 AND n_tasks >= 0 AND n_bricks >= 0 AND attempts >= 0", name="counts_not_negative"),
        sa.CheckConstraint("finished IS NULL OR error IS NULL", name="finished_without_error"),
    )

    stage_digest: Mapped[str] = mapped_column(sa.ForeignKey("stages.stage_digest"), primary_key=True, comment=DIGEST)
    block: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="0-based number of the block")
    n_injections: Mapped[int] = mapped_column(comment="physical injections and controls")
    n_tasks: Mapped[int] = mapped_column(comment="tasks: injections x stamp sizes x bandsets")
    n_bricks: Mapped[int] = mapped_column(comment="bricks of its hosts")
    attempts: Mapped[int] = mapped_column(comment="how often it was started; 0 where its rows alone were loaded")
    host: Mapped[str | None] = mapped_column(comment="machine of the last attempt")
    started: Mapped[datetime | None] = mapped_column(comment="start of the last attempt, UTC, the database's clock")
    finished: Mapped[datetime | None] = mapped_column(comment="when its rows were loaded, UTC, the database's clock; NULL until then")
    error: Mapped[str | None] = mapped_column(comment="what ended the last attempt; NULL where nothing did")
    lease_owner: Mapped[str | None] = mapped_column(comment="machine and process that works on it; NULL where none does")
    lease_until: Mapped[datetime | None] = mapped_column(comment="end of the lease unless it is renewed, UTC, the database's clock")


class ValidationFinding(Base):
    """One row per check of a stage, passed or not; written by the validation tasks, read by the report."""

    __tablename__ = "validation_findings"
    __table_args__ = (
        sa.UniqueConstraint("stage_digest", "check_name"),
        allowed("severity", ("error", "warning"), name="severity_known"),
    )

    finding_id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True, comment="number of the row")
    stage_digest: Mapped[str] = mapped_column(comment="digest of the checks, or of the stage that stopped")
    stage: Mapped[str] = mapped_column(comment="word of the stage that was checked")
    check_name: Mapped[str] = mapped_column(comment="name of the check")
    is_ok: Mapped[bool] = mapped_column(comment="whether it passed")
    severity: Mapped[str] = mapped_column(comment="error stops the run, warning does not")
    observed: Mapped[str] = mapped_column(comment="what was seen")
    expected: Mapped[str] = mapped_column(comment="what was to be seen")
    sentence: Mapped[str] = mapped_column(comment="the law that was checked")
    created_at: Mapped[datetime] = created_now()


class FlagName(Base):
    """One row per flag bit, with its kind and sentence; written by the migrations, read by `v_losses`."""

    __tablename__ = "flag_names"
    __table_args__ = (sa.UniqueConstraint("name"), allowed("kind", ("loss", "note"), name="kind_known"))

    bit: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="value of the bit in flags")
    name: Mapped[str] = mapped_column(comment="name of the flag")
    kind: Mapped[str] = mapped_column(comment="loss: the task is not evaluated; note: it is")
    sentence: Mapped[str] = mapped_column(comment="what the flag says")


class Comment(Base):
    """One row per table, view and column of the state; written by the migrations, which put the same texts beside them in Postgres."""

    __tablename__ = "comments"

    relation: Mapped[str] = mapped_column(primary_key=True, comment="table or view")
    column_name: Mapped[str] = mapped_column(primary_key=True, comment="column; empty for the table or view itself")
    sentence: Mapped[str] = mapped_column(comment="what it is; a unit stands first, in brackets")
