"""Tables of a run: campaigns, the stages they link, the blocks of a stage, findings and the names of the flag bits."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from halo_core.store.base import ROW_ID, Base, allowed, created_now, digest_key


class Campaign(Base):
    """One row per run of a named campaign with its configuration; written when a run starts, read by every command that takes a name."""

    __tablename__ = "campaigns"
    __table_args__ = (sa.Index(None, "name"),)

    campaign_id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    name: Mapped[str]
    config: Mapped[str]
    created_at: Mapped[datetime] = created_now()


class CampaignStage(Base):
    """One row per campaign and stage word: which digest the run uses; written by the stage's task."""

    __tablename__ = "campaign_stages"

    campaign_id: Mapped[int] = mapped_column(sa.BigInteger(), sa.ForeignKey("campaigns.campaign_id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    stage_digest: Mapped[str] = mapped_column(sa.ForeignKey("stages.stage_digest"), index=True)


class Stage(Base):
    """One row per stage digest: what was asked, by which code, and how it ended; written by the stage's task."""

    __tablename__ = "stages"
    __table_args__ = (
        allowed("status", ("planned", "done", "failed"), name="status_known"),
        sa.CheckConstraint("status <> 'done' OR (counts IS NOT NULL AND finished_at IS NOT NULL)", name="done_has_counts"),
    )

    stage_digest: Mapped[str] = digest_key()
    stage: Mapped[str]
    science_version: Mapped[int]
    config: Mapped[str]
    code_version: Mapped[str]
    counts: Mapped[str | None]
    status: Mapped[str]
    created_at: Mapped[datetime] = created_now()
    finished_at: Mapped[datetime | None]


class Block(Base):
    """One row per block of a stage; `finished` is NULL until the block's rows are loaded; written by the block's task."""

    __tablename__ = "blocks"
    __table_args__ = (
        sa.CheckConstraint("n_injections >= 0 AND n_tasks >= 0 AND n_bricks >= 0 AND attempts >= 0", name="counts_not_negative"),
        sa.CheckConstraint("finished IS NULL OR error IS NULL", name="finished_without_error"),
    )

    stage_digest: Mapped[str] = mapped_column(sa.ForeignKey("stages.stage_digest"), primary_key=True)
    block: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    n_injections: Mapped[int]
    n_tasks: Mapped[int]
    n_bricks: Mapped[int]
    attempts: Mapped[int]
    host: Mapped[str | None]
    started: Mapped[datetime | None]
    finished: Mapped[datetime | None]
    error: Mapped[str | None]


class ValidationFinding(Base):
    """One row per check of a stage, passed or not; written by the validation tasks, read by the report."""

    __tablename__ = "validation_findings"
    __table_args__ = (
        sa.UniqueConstraint("stage_digest", "check_name"),
        allowed("severity", ("error", "warning"), name="severity_known"),
    )

    finding_id: Mapped[int] = mapped_column(ROW_ID, primary_key=True, autoincrement=True)
    stage_digest: Mapped[str]
    stage: Mapped[str]
    check_name: Mapped[str]
    is_ok: Mapped[bool]
    severity: Mapped[str]
    observed: Mapped[str]
    expected: Mapped[str]
    sentence: Mapped[str]
    created_at: Mapped[datetime] = created_now()


class FlagName(Base):
    """One row per flag bit, with its kind and sentence; written by the migrations, read by `v_losses`."""

    __tablename__ = "flag_names"
    __table_args__ = (sa.UniqueConstraint("name"), allowed("kind", ("loss", "note"), name="kind_known"))

    bit: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    kind: Mapped[str]
    sentence: Mapped[str]
