"""Tables of the injections: what was planned (truth) and what came out (measurement), joined by `task_id`."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from halo_core.store.base import BYTEWISE, Base, allowed, digest_key


class PlannedCount(Base):
    """One row per tier, split and stamp size of a manifest: what was planned; written by BuildManifest, read by v_accounting."""

    __tablename__ = "planned_counts"
    __table_args__ = (sa.CheckConstraint("n_injections >= 0 AND n_controls >= 0", name="counts_not_negative"),)

    stage_digest: Mapped[str] = digest_key()
    tier: Mapped[str] = mapped_column(primary_key=True, comment="debug, grid or train")
    region_split: Mapped[str] = mapped_column(primary_key=True, comment="train, val or test")
    stamp_size: Mapped[int] = mapped_column(primary_key=True, autoincrement=False, comment="[pix]")
    n_injections: Mapped[int] = mapped_column(comment="tasks with an arc, over all bandsets")
    n_controls: Mapped[int] = mapped_column(comment="tasks without an arc, over all bandsets")


class InjectionTask(Base):
    """One row per task: physical injection x stamp size x bandset, every parameter frozen; written by the manifest stage.

    Columns are those of `halo_core.records.MANIFEST`. The key answers a digest's tasks and a task by the start of its id, the index
    the tasks of a block, among them all views of one physical injection.
    """

    __tablename__ = "injection_tasks"
    __table_args__ = (
        sa.Index(None, "stage_digest", "block"),
        allowed("tier", ("debug", "grid", "train"), name="tier_known"),
        sa.CheckConstraint("theta_e_arcsec >= 0 AND src_reff_arcsec >= 0", name="sizes_not_negative"),
        sa.CheckConstraint("lens_e >= 0 AND lens_e < 1 AND src_e >= 0 AND src_e < 1", name="ellipticities_in_range"),
        sa.CheckConstraint("stamp_size > 0", name="stamp_size_positive"),
        sa.CheckConstraint("task_seed >= 0", name="task_seed_not_negative"),
    )

    stage_digest: Mapped[str] = digest_key(BYTEWISE)
    task_id: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    physical_id: Mapped[str]
    experiment_id: Mapped[str]
    block: Mapped[int]
    tier: Mapped[str]
    grid: Mapped[str]
    region_id: Mapped[int]
    region_split: Mapped[str]
    host_id: Mapped[str]
    brickname: Mapped[str]
    objid: Mapped[int]
    ra: Mapped[float]
    dec: Mapped[float]
    rmag: Mapped[float]
    zmag: Mapped[float | None]
    psfsize_g_arcsec: Mapped[float | None]
    psfsize_r_arcsec: Mapped[float | None]
    psfsize_z_arcsec: Mapped[float | None]
    psfdepth_r_mag: Mapped[float | None]
    ebv: Mapped[float]
    psf_stratum: Mapped[int]
    depth_stratum: Mapped[int]
    config_id: Mapped[str]
    theta_e_arcsec: Mapped[float]
    src_dmag: Mapped[float]
    src_reff_arcsec: Mapped[float]
    src_e: Mapped[float]
    shear: Mapped[float]
    stamp_size: Mapped[int]
    bandset: Mapped[str]
    replicate: Mapped[int]
    is_control: Mapped[bool]
    task_seed: Mapped[int]
    src_x_arcsec: Mapped[float]
    src_y_arcsec: Mapped[float]
    src_offset_density_arcsec_m2: Mapped[float | None]
    src_phi_rad: Mapped[float]
    shear_phi_rad: Mapped[float]
    src_gr: Mapped[float]
    src_rz: Mapped[float]
    lens_model: Mapped[str]
    lens_e: Mapped[float]
    lens_phi_rad: Mapped[float]
    src_n_sersic: Mapped[float]
    src_flux_g_nmgy: Mapped[float]
    src_flux_r_nmgy: Mapped[float]
    src_flux_z_nmgy: Mapped[float]
    host_repeat: Mapped[int]
    sampling_weight: Mapped[float]
    parent_flags: Mapped[int]
    proposal_density: Mapped[float | None]


class InjectionResult(Base):
    """One row per task: what was painted and measured, or why not; written by the injection stage block by block.

    Columns are those of `halo_core.records.RESULTS`. The key answers the result of a task, the index the results of a block.
    """

    __tablename__ = "injection_results"
    __table_args__ = (
        sa.Index(None, "stage_digest", "block"),
        sa.CheckConstraint("flags >= 0", name="flags_not_negative"),
        sa.CheckConstraint("cutout_ok OR NOT metrics_ok", name="metrics_need_cutout"),
        sa.CheckConstraint("metrics_ok OR flags > 0", name="loss_has_flag"),
        sa.CheckConstraint("magnification > 0", name="magnification_positive"),
    )

    stage_digest: Mapped[str] = digest_key(BYTEWISE)
    task_id: Mapped[str] = mapped_column(BYTEWISE, primary_key=True)
    block: Mapped[int]
    cutout_ok: Mapped[bool]
    metrics_ok: Mapped[bool]
    flags: Mapped[int]
    host_x_pix: Mapped[float | None]
    host_y_pix: Mapped[float | None]
    stamp_x0_pix: Mapped[int | None]
    stamp_y0_pix: Mapped[int | None]
    magnification: Mapped[float | None]
    total_injected_flux_g_nmgy: Mapped[float | None]
    total_injected_flux_r_nmgy: Mapped[float | None]
    total_injected_flux_z_nmgy: Mapped[float | None]
    flux_frac_inside_g: Mapped[float | None]
    flux_frac_inside_r: Mapped[float | None]
    flux_frac_inside_z: Mapped[float | None]
    snr_matched_g: Mapped[float | None]
    snr_matched_r: Mapped[float | None]
    snr_matched_z: Mapped[float | None]
    snr_matched_all: Mapped[float | None]
    snr_peak_pixel_g: Mapped[float | None]
    snr_peak_pixel_r: Mapped[float | None]
    snr_peak_pixel_z: Mapped[float | None]
    snr_aperture_g: Mapped[float | None]
    snr_aperture_r: Mapped[float | None]
    snr_aperture_z: Mapped[float | None]
    bad_pixel_frac: Mapped[float | None]
    bad_pixel_frac_g: Mapped[float | None]
    bad_pixel_frac_z: Mapped[float | None]
    wise_brightmask_frac: Mapped[float | None]
    psf_fwhm_used_g_arcsec: Mapped[float | None]
    psf_fwhm_used_r_arcsec: Mapped[float | None]
    psf_fwhm_used_z_arcsec: Mapped[float | None]
    psf_fwhm_model_g_arcsec: Mapped[float | None]
    psf_fwhm_model_r_arcsec: Mapped[float | None]
    psf_fwhm_model_z_arcsec: Mapped[float | None]
    psf_source_g: Mapped[int | None]
    psf_source_r: Mapped[int | None]
    psf_source_z: Mapped[int | None]
    flux_frac_good_g: Mapped[float | None]
    flux_frac_good_r: Mapped[float | None]
    flux_frac_good_z: Mapped[float | None]
    electrons_per_nmgy_g: Mapped[float | None]
    electrons_per_nmgy_r: Mapped[float | None]
    electrons_per_nmgy_z: Mapped[float | None]
