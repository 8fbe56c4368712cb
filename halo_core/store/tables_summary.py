"""The table of completeness cells."""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from halo_core.store.base import Base, digest_key


class CompletenessCell(Base):
    """One row per completeness cell: a pool of injections, a criterion and a subset; written by the summary stage.

    Columns are those of `halo_core.records.CELLS`.
    """

    __tablename__ = "completeness_cells"
    __table_args__ = (
        sa.CheckConstraint("n_task = n_evaluated + n_not_evaluated", name="counts_add_up"),
        sa.CheckConstraint("n_recovered >= 0 AND n_recovered <= n_evaluated", name="recovered_are_evaluated"),
        sa.CheckConstraint("completeness >= 0 AND completeness <= 1", name="completeness_in_range"),
        sa.CheckConstraint("n_evaluated > 0 OR completeness IS NULL", name="nothing_evaluated_is_null"),
    )

    stage_digest: Mapped[str] = digest_key()
    cell: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    axes: Mapped[str]
    tier: Mapped[str]
    grid: Mapped[str]
    stamp_size: Mapped[int]
    bandset: Mapped[str]
    criterion: Mapped[str]
    criterion_version: Mapped[int]
    subset: Mapped[str]
    region_split: Mapped[str | None]
    selection_set_id: Mapped[str | None]
    theta_e_arcsec: Mapped[float | None]
    src_dmag: Mapped[float | None]
    src_mag_r: Mapped[float | None]
    src_reff_arcsec: Mapped[float | None]
    psf_fwhm_r_bin: Mapped[int | None]
    psfdepth_r_bin: Mapped[int | None]
    resolution_bin: Mapped[int | None]
    snr_matched_r_bin: Mapped[int | None]
    bin_lower: Mapped[float | None]
    bin_upper: Mapped[float | None]
    n_task: Mapped[int]
    n_evaluated: Mapped[int]
    n_not_evaluated: Mapped[int]
    losses: Mapped[str]
    n_recovered: Mapped[int]
    is_too_few: Mapped[bool]
    completeness: Mapped[float | None]
    interval: Mapped[str]
    interval_note: Mapped[str | None]
    lower_68: Mapped[float | None]
    upper_68: Mapped[float | None]
    lower_95: Mapped[float | None]
    upper_95: Mapped[float | None]
    bound_lower: Mapped[float | None]
    bound_upper: Mapped[float | None]
    n_clusters: Mapped[int]
    j_eff: Mapped[float | None]
    deff: Mapped[float | None]
    n_eff: Mapped[float | None]
    is_deff_borrowed: Mapped[bool]
    completeness_weighted: Mapped[float | None]
    weighted_lower_68: Mapped[float | None]
    weighted_upper_68: Mapped[float | None]
    weighted_lower_95: Mapped[float | None]
    weighted_upper_95: Mapped[float | None]
    n_eff_weighted: Mapped[float | None]
    snr_matched_r_mean: Mapped[float | None]
    snr_matched_r_median: Mapped[float | None]
