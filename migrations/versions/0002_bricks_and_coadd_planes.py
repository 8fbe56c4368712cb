"""Bricks of the survey and the coadd planes that were fetched.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "bricks",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("brickname", sa.Text(), nullable=False),
        sa.Column("brickid", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        sa.Column("ra1", sa.Double(), nullable=False),
        sa.Column("ra2", sa.Double(), nullable=False),
        sa.Column("dec1", sa.Double(), nullable=False),
        sa.Column("dec2", sa.Double(), nullable=False),
        sa.Column("ebv", sa.Double(), nullable=True),
        sa.Column("nexp_g", sa.BigInteger(), nullable=True),
        sa.Column("nexp_r", sa.BigInteger(), nullable=True),
        sa.Column("nexp_z", sa.BigInteger(), nullable=True),
        sa.Column("psfsize_g_arcsec", sa.Double(), nullable=True),
        sa.Column("psfsize_r_arcsec", sa.Double(), nullable=True),
        sa.Column("psfsize_z_arcsec", sa.Double(), nullable=True),
        sa.Column("psfdepth_g_mag", sa.Double(), nullable=True),
        sa.Column("psfdepth_r_mag", sa.Double(), nullable=True),
        sa.Column("psfdepth_z_mag", sa.Double(), nullable=True),
        sa.PrimaryKeyConstraint("stage_digest", "brickname", name=op.f("pk_bricks")),
    )
    op.create_table(
        "coadd_planes",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("brickname", sa.Text(), nullable=False),
        sa.Column("plane", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("source_uri", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("sha256", sa.Text(), nullable=True),
        sa.Column("n_bytes", sa.BigInteger(), nullable=True),
        sa.Column("attempts", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("status IN ('ok', 'missing', 'unverified')", name=op.f("ck_coadd_planes_status_known")),
        sa.CheckConstraint(
            "status <> 'ok' OR (key IS NOT NULL AND sha256 IS NOT NULL AND n_bytes > 0)", name=op.f("ck_coadd_planes_ok_is_stored")
        ),
        sa.CheckConstraint("status = 'ok' OR reason IS NOT NULL", name=op.f("ck_coadd_planes_loss_has_reason")),
        sa.PrimaryKeyConstraint("stage_digest", "brickname", "plane", name=op.f("pk_coadd_planes")),
    )
    op.create_index(op.f("ix_coadd_planes_stage_digest_block"), "coadd_planes", ["stage_digest", "block"])


def downgrade() -> None:
    """Drop them."""
    op.drop_table("coadd_planes")
    op.drop_table("bricks")
