"""When a plane was fetched, and how long that took.

Revision ID: 0020
Revises: 0019
"""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

COMMENTS = {
    "fetched_at": "when the row of a fetched plane was loaded, UTC, the database's clock; else NULL",
    "fetch_seconds": "[s] its last fetch with all attempts and pauses; NULL where its block did not fetch it",
}
_TABLE = sa.table("comments", sa.column("relation"), sa.column("column_name"), sa.column("sentence"))


def upgrade() -> None:
    """Add the columns, NULL in the rows that are there, and say what they are."""
    op.add_column("coadd_planes", sa.Column("fetched_at", sa.DateTime(timezone=True), nullable=True))
    op.add_column("coadd_planes", sa.Column("fetch_seconds", sa.Double(), nullable=True))
    op.bulk_insert(_TABLE, [{"relation": "coadd_planes", "column_name": name, "sentence": said} for name, said in COMMENTS.items()])
    if op.get_bind().dialect.name == "postgresql":
        for name, said in COMMENTS.items():
            op.get_bind().execute(sa.text(f"COMMENT ON COLUMN coadd_planes.{name} IS :said"), {"said": said})


def downgrade() -> None:
    """Drop them; nothing else keeps them."""
    op.execute(sa.delete(_TABLE).where(_TABLE.c.relation == "coadd_planes", _TABLE.c.column_name.in_(list(COMMENTS))))
    op.drop_column("coadd_planes", "fetch_seconds")
    op.drop_column("coadd_planes", "fetched_at")
