"""Tasks and results are found by digest, by digest and block, and by digest and task: their other indexes made loading slow.

Ids are compared byte by byte on Postgres too, whatever the language of the database: faster, and the start of an id is found by the key.

Revision ID: 0015
Revises: 0014
"""

from alembic import context, op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

INDEXES = (("injection_tasks", "task_id"), ("injection_tasks", "physical_id"), ("injection_results", "task_id"))


def upgrade() -> None:
    """Drop the indexes that no question needs."""
    for table, column in INDEXES:
        op.drop_index(op.f(f"ix_{table}_{column}"), table_name=table)
    _compare_ids_by('"C"')


def downgrade() -> None:
    """Create them again."""
    _compare_ids_by('"default"')
    for table, column in reversed(INDEXES):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def _compare_ids_by(collation: str) -> None:
    """Give the key columns a collation, which no view may read meanwhile; SQLite compares bytes as it is."""
    if op.get_bind().dialect.name != "postgresql":
        return
    views = context.script.get_revision("0013").module
    views._drop_views()
    for table in ("injection_tasks", "injection_results"):
        columns = (f"ALTER COLUMN {column} TYPE text COLLATE {collation}" for column in ("stage_digest", "task_id"))
        op.execute(f"ALTER TABLE {table} {', '.join(columns)}")
    views._create_views(views.COLUMNS)
