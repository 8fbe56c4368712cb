"""On Postgres v_task_full joins the results of a campaign to its tasks, so that no question reads the results of all campaigns.

The latest run of a name is one run, so that names join as numbers of runs do; and a name that the question gives holds for both sides.

Revision ID: 0017
Revises: 0016
"""

import sqlalchemy as sa
from alembic import context, op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

V_TASK_FULL = """
CREATE VIEW v_task_full AS
SELECT m.campaign, m.campaign_id, m.stage_digest AS manifest_digest,
    COALESCE(i.stage_digest,
        (SELECT l.stage_digest FROM v_latest_stages AS l WHERE l.campaign = m.campaign AND l.stage = 'injection')) AS injection_digest,
    {columns}, r.snr_peak_pixel_r AS arc_snr
FROM v_latest_stages AS m
JOIN injection_tasks AS t ON t.stage_digest = m.stage_digest
LEFT JOIN (v_latest_stages AS i JOIN injection_results AS r ON r.stage_digest = i.stage_digest AND i.stage = 'injection')
    ON i.campaign = m.campaign AND r.task_id = t.task_id
WHERE m.stage = 'manifest'
"""
"""The same rows as before: a task without a result keeps NULL in every column of the result, and the digest of the injection."""


def upgrade() -> None:
    """Make the views again; SQLite keeps those it has, which it answers by the key."""
    if op.get_bind().dialect.name == "postgresql":
        _make_again(V_TASK_FULL)


def downgrade() -> None:
    """Make them as they were."""
    if op.get_bind().dialect.name == "postgresql":
        _make_again(context.script.get_revision("0009").module.V_TASK_FULL)


def _make_again(v_task_full: str) -> None:
    """Make v_task_full and the views that read it, by this text and those of the revisions that made the others, comments included."""
    tasks, losses, accounting, added, said = (
        context.script.get_revision(number).module for number in ("0009", "0010", "0012", "0013", "0016")
    )
    added._drop_views()
    columns = [f"t.{name}" for name in tasks.TASK_COLUMNS.split()]
    columns += [f"r.{name}" for name in (*tasks.RESULT_COLUMNS.split(), *added.COLUMNS)]
    for statement in (v_task_full.format(columns=", ".join(columns)), losses.V_LOSSES, accounting.V_ACCOUNTING):
        op.execute(statement)
    for name in ("v_task_full", "v_losses", "v_accounting"):
        op.get_bind().execute(sa.text(f"COMMENT ON VIEW {name} IS :sentence"), {"sentence": said.VIEWS[name]})
