"""View v_accounting: planned, built, processed and summarised, by tier, split and stamp size of the latest run.

Revision ID: 0012
Revises: 0011
"""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

V_ACCOUNTING = """
CREATE VIEW v_accounting AS
WITH books AS (
    SELECT campaign, tier, region_split, stamp_size,
        COUNT(*) AS n_built,
        SUM(CASE WHEN is_control THEN 1 ELSE 0 END) AS n_built_controls,
        COUNT(flags) AS n_processed,
        SUM(CASE WHEN metrics_ok THEN 1 ELSE 0 END) AS n_evaluated,
        SUM(CASE WHEN metrics_ok THEN 0 WHEN flags IS NULL THEN 0 ELSE 1 END) AS n_not_evaluated
    FROM v_task_full
    GROUP BY campaign, tier, region_split, stamp_size
), pooled AS (
    SELECT campaign, tier, region_split, stamp_size, criterion, SUM(n_task) AS n_task
    FROM v_completeness
    WHERE axes = '' AND subset = 'all' AND region_split IS NOT NULL AND selection_set_id IS NULL
    GROUP BY campaign, tier, region_split, stamp_size, criterion
), summarised AS (
    SELECT campaign, tier, region_split, stamp_size, CASE WHEN MIN(n_task) = MAX(n_task) THEN MIN(n_task) ELSE -1 END AS n_task
    FROM pooled
    GROUP BY campaign, tier, region_split, stamp_size
)
SELECT v.campaign, p.tier, p.region_split, p.stamp_size,
    p.n_injections + p.n_controls AS n_planned,
    b.n_built, b.n_processed, b.n_evaluated, b.n_not_evaluated,
    p.n_injections AS n_planned_injections,
    b.n_built - b.n_built_controls AS n_built_injections,
    s.n_task AS n_summarised_injections
FROM v_latest_stages AS v
JOIN planned_counts AS p ON p.stage_digest = v.stage_digest
LEFT JOIN books AS b
    ON b.campaign = v.campaign AND b.tier = p.tier AND b.region_split = p.region_split AND b.stamp_size = p.stamp_size
LEFT JOIN summarised AS s
    ON s.campaign = v.campaign AND s.tier = p.tier AND s.region_split = p.region_split AND s.stamp_size = p.stamp_size
WHERE v.stage = 'manifest'
"""


def upgrade() -> None:
    """Create the view; a stage that was not reached is NULL, criteria that disagree are -1."""
    op.execute(V_ACCOUNTING)


def downgrade() -> None:
    """Drop the view."""
    op.execute("DROP VIEW v_accounting")
