"""What a manifest was planned to hold, beside what it holds.

Revision ID: 0011
Revises: 0010
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "planned_counts",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("region_split", sa.Text(), nullable=False),
        sa.Column("stamp_size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n_injections", sa.BigInteger(), nullable=False),
        sa.Column("n_controls", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("n_injections >= 0 AND n_controls >= 0", name=op.f("ck_planned_counts_counts_not_negative")),
        sa.PrimaryKeyConstraint("stage_digest", "tier", "region_split", "stamp_size", name=op.f("pk_planned_counts")),
    )


def downgrade() -> None:
    """Drop the table; the plan stands in the manifest's objects too."""
    op.drop_table("planned_counts")
