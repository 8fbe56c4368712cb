"""The parent catalogue of possible hosts.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "parents",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("release", sa.BigInteger(), nullable=True),
        sa.Column("brickname", sa.Text(), nullable=False),
        sa.Column("brickid", sa.BigInteger(), nullable=False),
        sa.Column("objid", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        sa.Column("type", sa.Text(), nullable=True),
        sa.Column("gmag", sa.Double(), nullable=True),
        sa.Column("rmag", sa.Double(), nullable=False),
        sa.Column("zmag", sa.Double(), nullable=True),
        sa.Column("w1mag", sa.Double(), nullable=True),
        sa.Column("gmag_mw", sa.Double(), nullable=True),
        sa.Column("rmag_mw", sa.Double(), nullable=False),
        sa.Column("zmag_mw", sa.Double(), nullable=True),
        sa.Column("w1mag_mw", sa.Double(), nullable=True),
        sa.Column("rz", sa.Double(), nullable=True),
        sa.Column("zw1", sa.Double(), nullable=True),
        sa.Column("ebv", sa.Double(), nullable=False),
        sa.Column("maskbits", sa.BigInteger(), nullable=True),
        sa.Column("is_v1_pure_massive", sa.Boolean(), nullable=True),
        sa.Column("is_v2_baseline_dr10", sa.Boolean(), nullable=True),
        sa.Column("is_v3_color_relaxed", sa.Boolean(), nullable=True),
        sa.Column("is_v4_mag_relaxed", sa.Boolean(), nullable=True),
        sa.Column("is_v5_very_relaxed", sa.Boolean(), nullable=True),
        sa.Column("is_desi_lrg", sa.Boolean(), nullable=True),
        sa.Column("psfsize_g_arcsec", sa.Double(), nullable=True),
        sa.Column("psfsize_r_arcsec", sa.Double(), nullable=True),
        sa.Column("psfsize_z_arcsec", sa.Double(), nullable=True),
        sa.Column("psfdepth_g_mag", sa.Double(), nullable=True),
        sa.Column("psfdepth_r_mag", sa.Double(), nullable=True),
        sa.Column("psfdepth_z_mag", sa.Double(), nullable=True),
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("region_split", sa.Text(), nullable=False),
        sa.Column("is_guard", sa.Boolean(), nullable=False),
        sa.Column("parent_flags", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("stage_digest", "host_id", name=op.f("pk_parents")),
    )
    op.create_index(op.f("ix_parents_stage_digest_brickname"), "parents", ["stage_digest", "brickname"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("parents")
