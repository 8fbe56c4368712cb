"""A block is worked on by one owner at a time, until its lease ends by the database's clock.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the columns; nobody holds a lease."""
    op.add_column("blocks", sa.Column("lease_owner", sa.Text(), nullable=True))
    op.add_column("blocks", sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    """Drop the columns; leases that are held are forgotten."""
    op.drop_column("blocks", "lease_until")
    op.drop_column("blocks", "lease_owner")
