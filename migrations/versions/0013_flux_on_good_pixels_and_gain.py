"""Results know the flux on good pixels and the gain of the shot noise; v_task_full shows them.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COLUMNS = (
    "flux_frac_good_g",
    "flux_frac_good_r",
    "flux_frac_good_z",
    "electrons_per_nmgy_g",
    "electrons_per_nmgy_r",
    "electrons_per_nmgy_z",
)


def upgrade() -> None:
    """Add the columns, NULL in the rows that are there, and make the views again; arc_snr stays the last column."""
    _drop_views()
    for name in COLUMNS:
        op.add_column("injection_results", sa.Column(name, sa.Double(), nullable=True))
    _create_views(COLUMNS)


def downgrade() -> None:
    """Drop the columns and make the views again without them."""
    _drop_views()
    for name in reversed(COLUMNS):
        op.drop_column("injection_results", name)
    _create_views(())


def _drop_views() -> None:
    """Drop v_task_full and the views that read it."""
    for name in ("v_accounting", "v_losses", "v_task_full"):
        op.execute(f"DROP VIEW {name}")


def _create_views(added: tuple[str, ...]) -> None:
    """Create the views by the text of the revisions that made them, which no one edits, with these columns more."""
    tasks, losses, accounting = (context.script.get_revision(number).module for number in ("0009", "0010", "0012"))
    columns = [f"t.{name}" for name in tasks.TASK_COLUMNS.split()]
    columns += [f"r.{name}" for name in (*tasks.RESULT_COLUMNS.split(), *added)]
    op.execute(tasks.V_TASK_FULL.format(columns=", ".join(columns)))
    op.execute(losses.V_LOSSES)
    op.execute(accounting.V_ACCOUNTING)
