"""Completeness cells and validation findings.

Revision ID: 0006
Revises: 0005
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "completeness_cells",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("cell", sa.BigInteger(), nullable=False),
        sa.Column("axes", sa.Text(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("grid", sa.Text(), nullable=False),
        sa.Column("stamp_size", sa.BigInteger(), nullable=False),
        sa.Column("bandset", sa.Text(), nullable=False),
        sa.Column("criterion", sa.Text(), nullable=False),
        sa.Column("criterion_version", sa.BigInteger(), nullable=False),
        sa.Column("subset", sa.Text(), nullable=False),
        sa.Column("region_split", sa.Text(), nullable=True),
        sa.Column("selection_set_id", sa.Text(), nullable=True),
        sa.Column("theta_e_arcsec", sa.Double(), nullable=True),
        sa.Column("src_dmag", sa.Double(), nullable=True),
        sa.Column("src_mag_r", sa.Double(), nullable=True),
        sa.Column("src_reff_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_r_bin", sa.BigInteger(), nullable=True),
        sa.Column("psfdepth_r_bin", sa.BigInteger(), nullable=True),
        sa.Column("resolution_bin", sa.BigInteger(), nullable=True),
        sa.Column("snr_matched_r_bin", sa.BigInteger(), nullable=True),
        sa.Column("bin_lower", sa.Double(), nullable=True),
        sa.Column("bin_upper", sa.Double(), nullable=True),
        sa.Column("n_task", sa.BigInteger(), nullable=False),
        sa.Column("n_evaluated", sa.BigInteger(), nullable=False),
        sa.Column("n_not_evaluated", sa.BigInteger(), nullable=False),
        sa.Column("losses", sa.Text(), nullable=False),
        sa.Column("n_recovered", sa.BigInteger(), nullable=False),
        sa.Column("is_too_few", sa.Boolean(), nullable=False),
        sa.Column("completeness", sa.Double(), nullable=True),
        sa.Column("interval", sa.Text(), nullable=False),
        sa.Column("interval_note", sa.Text(), nullable=True),
        sa.Column("lower_68", sa.Double(), nullable=True),
        sa.Column("upper_68", sa.Double(), nullable=True),
        sa.Column("lower_95", sa.Double(), nullable=True),
        sa.Column("upper_95", sa.Double(), nullable=True),
        sa.Column("bound_lower", sa.Double(), nullable=True),
        sa.Column("bound_upper", sa.Double(), nullable=True),
        sa.Column("n_clusters", sa.BigInteger(), nullable=False),
        sa.Column("j_eff", sa.Double(), nullable=True),
        sa.Column("deff", sa.Double(), nullable=True),
        sa.Column("n_eff", sa.Double(), nullable=True),
        sa.Column("is_deff_borrowed", sa.Boolean(), nullable=False),
        sa.Column("completeness_weighted", sa.Double(), nullable=True),
        sa.Column("weighted_lower_68", sa.Double(), nullable=True),
        sa.Column("weighted_upper_68", sa.Double(), nullable=True),
        sa.Column("weighted_lower_95", sa.Double(), nullable=True),
        sa.Column("weighted_upper_95", sa.Double(), nullable=True),
        sa.Column("n_eff_weighted", sa.Double(), nullable=True),
        sa.Column("snr_matched_r_mean", sa.Double(), nullable=True),
        sa.Column("snr_matched_r_median", sa.Double(), nullable=True),
        sa.CheckConstraint("n_task = n_evaluated + n_not_evaluated", name=op.f("ck_completeness_cells_counts_add_up")),
        sa.CheckConstraint("n_recovered >= 0 AND n_recovered <= n_evaluated", name=op.f("ck_completeness_cells_recovered_are_evaluated")),
        sa.CheckConstraint("completeness >= 0 AND completeness <= 1", name=op.f("ck_completeness_cells_completeness_in_range")),
        sa.CheckConstraint("n_evaluated > 0 OR completeness IS NULL", name=op.f("ck_completeness_cells_nothing_evaluated_is_null")),
        sa.PrimaryKeyConstraint("stage_digest", "cell", name=op.f("pk_completeness_cells")),
    )
    op.create_table(
        "validation_findings",
        sa.Column("finding_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("check_name", sa.Text(), nullable=False),
        sa.Column("is_ok", sa.Boolean(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("observed", sa.Text(), nullable=False),
        sa.Column("expected", sa.Text(), nullable=False),
        sa.Column("sentence", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.func.now(), nullable=False),
        sa.CheckConstraint("severity IN ('error', 'warning')", name=op.f("ck_validation_findings_severity_known")),
        sa.PrimaryKeyConstraint("finding_id", name=op.f("pk_validation_findings")),
        sa.UniqueConstraint("stage_digest", "check_name", name=op.f("uq_validation_findings_stage_digest_check_name")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("validation_findings")
    op.drop_table("completeness_cells")
