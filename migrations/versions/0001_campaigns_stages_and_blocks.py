"""Campaigns, the stages they link and the blocks of a stage.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables of a run."""
    op.create_table(
        "campaigns",
        sa.Column("campaign_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.PrimaryKeyConstraint("campaign_id", name=op.f("pk_campaigns")),
    )
    op.create_index(op.f("ix_campaigns_name"), "campaigns", ["name"])
    op.create_table(
        "stages",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("science_version", sa.BigInteger(), nullable=False),
        sa.Column("config", sa.Text(), nullable=False),
        sa.Column("code_version", sa.Text(), nullable=False),
        sa.Column("counts", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status IN ('planned', 'done', 'failed')", name=op.f("ck_stages_status_known")),
        sa.CheckConstraint("status <> 'done' OR (counts IS NOT NULL AND finished_at IS NOT NULL)", name=op.f("ck_stages_done_has_counts")),
        sa.PrimaryKeyConstraint("stage_digest", name=op.f("pk_stages")),
    )
    op.create_table(
        "campaign_stages",
        sa.Column("campaign_id", sa.BigInteger(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.campaign_id"], name=op.f("fk_campaign_stages_campaign_id_campaigns")),
        sa.ForeignKeyConstraint(["stage_digest"], ["stages.stage_digest"], name=op.f("fk_campaign_stages_stage_digest_stages")),
        sa.PrimaryKeyConstraint("campaign_id", "stage", name=op.f("pk_campaign_stages")),
    )
    op.create_index(op.f("ix_campaign_stages_stage_digest"), "campaign_stages", ["stage_digest"])
    op.create_table(
        "blocks",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n_injections", sa.BigInteger(), nullable=False),
        sa.Column("n_tasks", sa.BigInteger(), nullable=False),
        sa.Column("n_bricks", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.Column("host", sa.Text(), nullable=True),
        sa.Column("started", sa.DateTime(timezone=True), nullable=True),
        sa.Column("finished", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.CheckConstraint(
            "n_injections >= 0 AND n_tasks >= 0 AND n_bricks >= 0 AND attempts >= 0", name=op.f("ck_blocks_counts_not_negative")
        ),
        sa.CheckConstraint("finished IS NULL OR error IS NULL", name=op.f("ck_blocks_finished_without_error")),
        sa.ForeignKeyConstraint(["stage_digest"], ["stages.stage_digest"], name=op.f("fk_blocks_stage_digest_stages")),
        sa.PrimaryKeyConstraint("stage_digest", "block", name=op.f("pk_blocks")),
    )


def downgrade() -> None:
    """Drop them, children first."""
    op.drop_table("blocks")
    op.drop_table("campaign_stages")
    op.drop_table("stages")
    op.drop_table("campaigns")
