"""Views v_completeness (cells by campaign) and v_losses (tasks by loss flag), both of the latest run.

Revision ID: 0010
Revises: 0009
"""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

CELL_COLUMNS = """
    cell axes tier grid stamp_size bandset criterion criterion_version subset region_split selection_set_id
    theta_e_arcsec src_dmag src_mag_r src_reff_arcsec psf_fwhm_r_bin psfdepth_r_bin resolution_bin
    snr_matched_r_bin bin_lower bin_upper n_task n_evaluated n_not_evaluated losses n_recovered is_too_few
    completeness interval interval_note lower_68 upper_68 lower_95 upper_95 bound_lower bound_upper n_clusters
    j_eff deff n_eff is_deff_borrowed completeness_weighted weighted_lower_68 weighted_upper_68
    weighted_lower_95 weighted_upper_95 n_eff_weighted snr_matched_r_mean snr_matched_r_median
"""

V_COMPLETENESS = """
CREATE VIEW v_completeness AS
SELECT v.campaign, v.campaign_id, v.stage_digest AS summary_digest, {columns}
FROM v_latest_stages AS v
JOIN completeness_cells AS c ON c.stage_digest = v.stage_digest
WHERE v.stage = 'summary'
"""

V_LOSSES = """
CREATE VIEW v_losses AS
SELECT t.campaign, t.tier, t.region_split, t.stamp_size, t.bandset, f.name AS flag_name, f.sentence, COUNT(*) AS n_tasks
FROM v_task_full AS t
JOIN flag_names AS f ON (t.flags & f.bit) <> 0
WHERE f.kind = 'loss'
GROUP BY t.campaign, t.tier, t.region_split, t.stamp_size, t.bandset, f.name, f.sentence
"""


def upgrade() -> None:
    """Create the views; a task with several loss bits counts once for each of them."""
    op.execute(V_COMPLETENESS.format(columns=", ".join(f"c.{name}" for name in CELL_COLUMNS.split())))
    op.execute(V_LOSSES)


def downgrade() -> None:
    """Drop the views."""
    op.execute("DROP VIEW v_losses")
    op.execute("DROP VIEW v_completeness")
