"""The results of injection tasks.

Revision ID: 0005
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "injection_results",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("cutout_ok", sa.Boolean(), nullable=False),
        sa.Column("metrics_ok", sa.Boolean(), nullable=False),
        sa.Column("flags", sa.BigInteger(), nullable=False),
        sa.Column("host_x_pix", sa.Double(), nullable=True),
        sa.Column("host_y_pix", sa.Double(), nullable=True),
        sa.Column("stamp_x0_pix", sa.BigInteger(), nullable=True),
        sa.Column("stamp_y0_pix", sa.BigInteger(), nullable=True),
        sa.Column("magnification", sa.Double(), nullable=True),
        sa.Column("total_injected_flux_g_nmgy", sa.Double(), nullable=True),
        sa.Column("total_injected_flux_r_nmgy", sa.Double(), nullable=True),
        sa.Column("total_injected_flux_z_nmgy", sa.Double(), nullable=True),
        sa.Column("flux_frac_inside_g", sa.Double(), nullable=True),
        sa.Column("flux_frac_inside_r", sa.Double(), nullable=True),
        sa.Column("flux_frac_inside_z", sa.Double(), nullable=True),
        sa.Column("snr_matched_g", sa.Double(), nullable=True),
        sa.Column("snr_matched_r", sa.Double(), nullable=True),
        sa.Column("snr_matched_z", sa.Double(), nullable=True),
        sa.Column("snr_matched_all", sa.Double(), nullable=True),
        sa.Column("snr_peak_pixel_g", sa.Double(), nullable=True),
        sa.Column("snr_peak_pixel_r", sa.Double(), nullable=True),
        sa.Column("snr_peak_pixel_z", sa.Double(), nullable=True),
        sa.Column("snr_aperture_g", sa.Double(), nullable=True),
        sa.Column("snr_aperture_r", sa.Double(), nullable=True),
        sa.Column("snr_aperture_z", sa.Double(), nullable=True),
        sa.Column("bad_pixel_frac", sa.Double(), nullable=True),
        sa.Column("bad_pixel_frac_g", sa.Double(), nullable=True),
        sa.Column("bad_pixel_frac_z", sa.Double(), nullable=True),
        sa.Column("wise_brightmask_frac", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_used_g_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_used_r_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_used_z_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_model_g_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_model_r_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_fwhm_model_z_arcsec", sa.Double(), nullable=True),
        sa.Column("psf_source_g", sa.BigInteger(), nullable=True),
        sa.Column("psf_source_r", sa.BigInteger(), nullable=True),
        sa.Column("psf_source_z", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("flags >= 0", name=op.f("ck_injection_results_flags_not_negative")),
        sa.CheckConstraint("cutout_ok OR NOT metrics_ok", name=op.f("ck_injection_results_metrics_need_cutout")),
        sa.CheckConstraint("metrics_ok OR flags > 0", name=op.f("ck_injection_results_loss_has_flag")),
        sa.CheckConstraint("magnification > 0", name=op.f("ck_injection_results_magnification_positive")),
        sa.PrimaryKeyConstraint("stage_digest", "task_id", name=op.f("pk_injection_results")),
    )
    op.create_index(op.f("ix_injection_results_task_id"), "injection_results", ["task_id"])
    op.create_index(op.f("ix_injection_results_stage_digest_block"), "injection_results", ["stage_digest", "block"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("injection_results")
