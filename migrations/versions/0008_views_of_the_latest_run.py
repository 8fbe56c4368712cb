"""Views of the latest run of each campaign: its stages and their progress.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

V_LATEST_STAGES = """
CREATE VIEW v_latest_stages AS
SELECT c.name AS campaign, c.campaign_id, s.stage, s.stage_digest
FROM campaigns AS c
JOIN campaign_stages AS s ON s.campaign_id = c.campaign_id
WHERE c.campaign_id = (SELECT MAX(later.campaign_id) FROM campaigns AS later WHERE later.name = c.name)
"""

V_PROGRESS = """
CREATE VIEW v_progress AS
SELECT v.campaign, v.campaign_id, v.stage, v.stage_digest, s.status,
    COUNT(b.block) AS blocks_planned,
    COUNT(b.finished) AS blocks_finished,
    COUNT(b.error) AS blocks_failed,
    CAST(SUM(b.n_tasks) AS BIGINT) AS tasks_planned,
    CAST(SUM(CASE WHEN b.block IS NULL THEN NULL WHEN b.finished IS NULL THEN 0 ELSE b.n_tasks END) AS BIGINT) AS tasks_finished,
    MIN(b.started) AS first_started,
    MAX(b.finished) AS last_finished,
    s.created_at, s.finished_at
FROM v_latest_stages AS v
JOIN stages AS s ON s.stage_digest = v.stage_digest
LEFT JOIN blocks AS b ON b.stage_digest = v.stage_digest
GROUP BY v.campaign, v.campaign_id, v.stage, v.stage_digest, s.status, s.created_at, s.finished_at
"""


def upgrade() -> None:
    """Create the views; a stage that has no blocks has NULL tasks, not 0."""
    op.execute(V_LATEST_STAGES)
    op.execute(V_PROGRESS)


def downgrade() -> None:
    """Drop the views, the dependent one first."""
    op.execute("DROP VIEW v_progress")
    op.execute("DROP VIEW v_latest_stages")
