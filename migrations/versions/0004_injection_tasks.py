"""The injection tasks of a manifest.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "injection_tasks",
        sa.Column("stage_digest", sa.Text(), nullable=False),
        sa.Column("task_id", sa.Text(), nullable=False),
        sa.Column("physical_id", sa.Text(), nullable=False),
        sa.Column("experiment_id", sa.Text(), nullable=False),
        sa.Column("block", sa.BigInteger(), nullable=False),
        sa.Column("tier", sa.Text(), nullable=False),
        sa.Column("grid", sa.Text(), nullable=False),
        sa.Column("region_id", sa.BigInteger(), nullable=False),
        sa.Column("region_split", sa.Text(), nullable=False),
        sa.Column("host_id", sa.Text(), nullable=False),
        sa.Column("brickname", sa.Text(), nullable=False),
        sa.Column("objid", sa.BigInteger(), nullable=False),
        sa.Column("ra", sa.Double(), nullable=False),
        sa.Column("dec", sa.Double(), nullable=False),
        sa.Column("rmag", sa.Double(), nullable=False),
        sa.Column("zmag", sa.Double(), nullable=True),
        sa.Column("psfsize_g_arcsec", sa.Double(), nullable=True),
        sa.Column("psfsize_r_arcsec", sa.Double(), nullable=True),
        sa.Column("psfsize_z_arcsec", sa.Double(), nullable=True),
        sa.Column("psfdepth_r_mag", sa.Double(), nullable=True),
        sa.Column("ebv", sa.Double(), nullable=False),
        sa.Column("psf_stratum", sa.BigInteger(), nullable=False),
        sa.Column("depth_stratum", sa.BigInteger(), nullable=False),
        sa.Column("config_id", sa.Text(), nullable=False),
        sa.Column("theta_e_arcsec", sa.Double(), nullable=False),
        sa.Column("src_dmag", sa.Double(), nullable=False),
        sa.Column("src_reff_arcsec", sa.Double(), nullable=False),
        sa.Column("src_e", sa.Double(), nullable=False),
        sa.Column("shear", sa.Double(), nullable=False),
        sa.Column("stamp_size", sa.BigInteger(), nullable=False),
        sa.Column("bandset", sa.Text(), nullable=False),
        sa.Column("replicate", sa.BigInteger(), nullable=False),
        sa.Column("is_control", sa.Boolean(), nullable=False),
        sa.Column("task_seed", sa.BigInteger(), nullable=False),
        sa.Column("src_x_arcsec", sa.Double(), nullable=False),
        sa.Column("src_y_arcsec", sa.Double(), nullable=False),
        sa.Column("src_offset_density_arcsec_m2", sa.Double(), nullable=True),
        sa.Column("src_phi_rad", sa.Double(), nullable=False),
        sa.Column("shear_phi_rad", sa.Double(), nullable=False),
        sa.Column("src_gr", sa.Double(), nullable=False),
        sa.Column("src_rz", sa.Double(), nullable=False),
        sa.Column("lens_model", sa.Text(), nullable=False),
        sa.Column("lens_e", sa.Double(), nullable=False),
        sa.Column("lens_phi_rad", sa.Double(), nullable=False),
        sa.Column("src_n_sersic", sa.Double(), nullable=False),
        sa.Column("src_flux_g_nmgy", sa.Double(), nullable=False),
        sa.Column("src_flux_r_nmgy", sa.Double(), nullable=False),
        sa.Column("src_flux_z_nmgy", sa.Double(), nullable=False),
        sa.Column("host_repeat", sa.BigInteger(), nullable=False),
        sa.Column("sampling_weight", sa.Double(), nullable=False),
        sa.Column("parent_flags", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("tier IN ('debug', 'grid', 'train')", name=op.f("ck_injection_tasks_tier_known")),
        sa.CheckConstraint("theta_e_arcsec >= 0 AND src_reff_arcsec >= 0", name=op.f("ck_injection_tasks_sizes_not_negative")),
        sa.CheckConstraint(
            "lens_e >= 0 AND lens_e < 1 AND src_e >= 0 AND src_e < 1", name=op.f("ck_injection_tasks_ellipticities_in_range")
        ),
        sa.CheckConstraint("stamp_size > 0", name=op.f("ck_injection_tasks_stamp_size_positive")),
        sa.CheckConstraint("task_seed >= 0", name=op.f("ck_injection_tasks_task_seed_not_negative")),
        sa.PrimaryKeyConstraint("stage_digest", "task_id", name=op.f("pk_injection_tasks")),
    )
    op.create_index(op.f("ix_injection_tasks_task_id"), "injection_tasks", ["task_id"])
    op.create_index(op.f("ix_injection_tasks_physical_id"), "injection_tasks", ["physical_id"])
    op.create_index(op.f("ix_injection_tasks_stage_digest_block"), "injection_tasks", ["stage_digest", "block"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("injection_tasks")
