"""View v_task_full: every task with its result in the latest run of each campaign.

Revision ID: 0009
Revises: 0008
"""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TASK_COLUMNS = """
    task_id physical_id experiment_id block tier grid region_id region_split host_id brickname objid ra dec
    rmag zmag psfsize_g_arcsec psfsize_r_arcsec psfsize_z_arcsec psfdepth_r_mag ebv psf_stratum depth_stratum
    config_id theta_e_arcsec src_dmag src_reff_arcsec src_e shear stamp_size bandset replicate is_control
    task_seed src_x_arcsec src_y_arcsec src_offset_density_arcsec_m2 src_phi_rad shear_phi_rad src_gr src_rz
    lens_model lens_e lens_phi_rad src_n_sersic src_flux_g_nmgy src_flux_r_nmgy src_flux_z_nmgy host_repeat
    sampling_weight parent_flags
"""
RESULT_COLUMNS = """
    cutout_ok metrics_ok flags host_x_pix host_y_pix stamp_x0_pix stamp_y0_pix magnification
    total_injected_flux_g_nmgy total_injected_flux_r_nmgy total_injected_flux_z_nmgy flux_frac_inside_g
    flux_frac_inside_r flux_frac_inside_z snr_matched_g snr_matched_r snr_matched_z snr_matched_all
    snr_peak_pixel_g snr_peak_pixel_r snr_peak_pixel_z snr_aperture_g snr_aperture_r snr_aperture_z
    bad_pixel_frac bad_pixel_frac_g bad_pixel_frac_z wise_brightmask_frac psf_fwhm_used_g_arcsec
    psf_fwhm_used_r_arcsec psf_fwhm_used_z_arcsec psf_fwhm_model_g_arcsec psf_fwhm_model_r_arcsec
    psf_fwhm_model_z_arcsec psf_source_g psf_source_r psf_source_z
"""

V_TASK_FULL = """
CREATE VIEW v_task_full AS
SELECT m.campaign, m.campaign_id, m.stage_digest AS manifest_digest, i.stage_digest AS injection_digest,
    {columns}, r.snr_peak_pixel_r AS arc_snr
FROM v_latest_stages AS m
JOIN injection_tasks AS t ON t.stage_digest = m.stage_digest
LEFT JOIN v_latest_stages AS i ON i.campaign_id = m.campaign_id AND i.stage = 'injection'
LEFT JOIN injection_results AS r ON r.stage_digest = i.stage_digest AND r.task_id = t.task_id
WHERE m.stage = 'manifest'
"""


def upgrade() -> None:
    """Create the view; a task without a result keeps NULL in every column of the result."""
    columns = [f"t.{name}" for name in TASK_COLUMNS.split()] + [f"r.{name}" for name in RESULT_COLUMNS.split()]
    op.execute(V_TASK_FULL.format(columns=", ".join(columns)))


def downgrade() -> None:
    """Drop the view."""
    op.execute("DROP VIEW v_task_full")
