"""What each cut of the parent selection left, and the sky cell that a parent's object is a part of.

Revision ID: 0018
Revises: 0017
"""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

COMMENTS = {
    ("parent_cuts", ""): "One row per cut of a parent selection, in the order in which they were applied.",
    ("parent_cuts", "stage_digest"): "digest of the stage the row belongs to",
    ("parent_cuts", "position"): "0-based place in the order of the cuts",
    ("parent_cuts", "name"): "name of the cut",
    ("parent_cuts", "n_before"): "objects before the cut",
    ("parent_cuts", "n_after"): "objects that pass it",
    ("parent_cuts", "is_kept"): "the others stay in the table, marked",
    ("parent_cuts", "sentence"): "what passes",
    ("parents", "sky_cell"): "HEALPix cell (nested, nside 8) of the position; NULL where loaded as a whole",
}
_TABLE = sa.table("comments", sa.column("relation"), sa.column("column_name"), sa.column("sentence"))


def upgrade() -> None:
    """Make the table and the column, and say what they are."""
    op.create_table(
        "parent_cuts",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("n_before", sa.BigInteger(), nullable=False),
        sa.Column("n_after", sa.BigInteger(), nullable=False),
        sa.Column("is_kept", sa.Boolean(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.CheckConstraint("n_after >= 0 AND n_after <= n_before", name=op.f("ck_parent_cuts_counts_fall")),
        sa.PrimaryKeyConstraint("stage_digest", "position", name=op.f("pk_parent_cuts")),
    )
    op.add_column("parents", sa.Column("sky_cell", sa.BigInteger(), nullable=True))
    op.create_index(op.f("ix_parents_stage_digest_sky_cell"), "parents", ["stage_digest", "sky_cell"])
    op.bulk_insert(_TABLE, [{"relation": name, "column_name": column, "sentence": said} for (name, column), said in COMMENTS.items()])
    if op.get_bind().dialect.name == "postgresql":
        for (name, column), said in COMMENTS.items():
            place = f"COLUMN {name}.{column}" if column else f"TABLE {name}"
            op.get_bind().execute(sa.text(f"COMMENT ON {place} IS :said"), {"said": said})


def downgrade() -> None:
    """Drop them; the stage's mark keeps the cuts, and the objects their cells."""
    for name, column in COMMENTS:
        op.execute(sa.delete(_TABLE).where(_TABLE.c.relation == name, _TABLE.c.column_name == column))
    op.drop_index(op.f("ix_parents_stage_digest_sky_cell"), "parents")
    op.drop_column("parents", "sky_cell")
    op.drop_table("parent_cuts")
