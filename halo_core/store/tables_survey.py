"""Tables of the survey's side: bricks, the coadd planes that were fetched, and the parent catalogue."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from halo_core.store.base import OF_THE_STATE_ALONE, Base, allowed, digest_key


class Brick(Base):
    """One row per brick of the survey; written by the survey stage, read by the manifest and the report.

    Columns are those of `halo_core.records.BRICKS`.
    """

    __tablename__ = "bricks"

    stage_digest: Mapped[str] = digest_key()
    brickname: Mapped[str] = mapped_column(primary_key=True)
    brickid: Mapped[int]
    ra: Mapped[float]
    dec: Mapped[float]
    ra1: Mapped[float]
    ra2: Mapped[float]
    dec1: Mapped[float]
    dec2: Mapped[float]
    ebv: Mapped[float | None]
    nexp_g: Mapped[int | None]
    nexp_r: Mapped[int | None]
    nexp_z: Mapped[int | None]
    psfsize_g_arcsec: Mapped[float | None]
    psfsize_r_arcsec: Mapped[float | None]
    psfsize_z_arcsec: Mapped[float | None]
    psfdepth_g_mag: Mapped[float | None]
    psfdepth_r_mag: Mapped[float | None]
    psfdepth_z_mag: Mapped[float | None]


class CoaddPlane(Base):
    """One row per brick and plane that a manifest names, losses included; written by the cache stage block by block.

    Columns are those of `halo_core.records.PLANES`, and when its block fetched the plane last, which the state alone knows.
    """

    __tablename__ = "coadd_planes"
    __table_args__ = (
        sa.Index(None, "stage_digest", "block"),
        allowed("status", ("ok", "missing", "unverified"), name="status_known"),
        sa.CheckConstraint("status <> 'ok' OR (key IS NOT NULL AND sha256 IS NOT NULL AND n_bytes > 0)", name="ok_is_stored"),
        sa.CheckConstraint("status = 'ok' OR reason IS NOT NULL", name="loss_has_reason"),
    )

    stage_digest: Mapped[str] = digest_key()
    brickname: Mapped[str] = mapped_column(primary_key=True)
    plane: Mapped[str] = mapped_column(primary_key=True)
    block: Mapped[int]
    source_uri: Mapped[str]
    key: Mapped[str | None]
    status: Mapped[str]
    reason: Mapped[str | None]
    sha256: Mapped[str | None]
    n_bytes: Mapped[int | None]
    attempts: Mapped[int]
    fetched_at: Mapped[datetime | None] = mapped_column(
        info=OF_THE_STATE_ALONE, comment="when the row of a fetched plane was loaded, UTC, the database's clock; else NULL"
    )
    fetch_seconds: Mapped[float | None] = mapped_column(
        info=OF_THE_STATE_ALONE, comment="[s] its last fetch with all attempts and pauses; NULL where its block did not fetch it"
    )


class Parent(Base):
    """One row per luminous red galaxy or external target that passed the selection; written by the parent stage, optional at scale.

    Columns are those of `halo_core.records.PARENTS`, and the sky cell that a row's object is the part of.
    """

    __tablename__ = "parents"
    __table_args__ = (sa.Index(None, "stage_digest", "brickname"), sa.Index(None, "stage_digest", "sky_cell"))

    stage_digest: Mapped[str] = digest_key()
    host_id: Mapped[str] = mapped_column(primary_key=True)
    release: Mapped[int | None]
    brickname: Mapped[str]
    brickid: Mapped[int]
    objid: Mapped[int]
    ra: Mapped[float]
    dec: Mapped[float]
    type: Mapped[str | None]
    gmag: Mapped[float | None]
    rmag: Mapped[float]
    zmag: Mapped[float | None]
    w1mag: Mapped[float | None]
    gmag_mw: Mapped[float | None]
    rmag_mw: Mapped[float]
    zmag_mw: Mapped[float | None]
    w1mag_mw: Mapped[float | None]
    rz: Mapped[float | None]
    zw1: Mapped[float | None]
    ebv: Mapped[float]
    maskbits: Mapped[int | None]
    is_v1_pure_massive: Mapped[bool | None]
    is_v2_baseline_dr10: Mapped[bool | None]
    is_v3_color_relaxed: Mapped[bool | None]
    is_v4_mag_relaxed: Mapped[bool | None]
    is_v5_very_relaxed: Mapped[bool | None]
    is_desi_lrg: Mapped[bool | None]
    psfsize_g_arcsec: Mapped[float | None]
    psfsize_r_arcsec: Mapped[float | None]
    psfsize_z_arcsec: Mapped[float | None]
    psfdepth_g_mag: Mapped[float | None]
    psfdepth_r_mag: Mapped[float | None]
    psfdepth_z_mag: Mapped[float | None]
    region_id: Mapped[int]
    region_split: Mapped[str]
    is_guard: Mapped[bool]
    parent_flags: Mapped[int]
    sky_cell: Mapped[int | None] = mapped_column(comment="HEALPix cell (nested, nside 8) of the position; NULL where loaded as a whole")


class ParentCut(Base):
    """One row per cut of a parent selection, in the order in which they were applied; written by the parent stage, read by people.

    Columns are those of `halo_core.records.PARENT_CUTS`.
    """

    __tablename__ = "parent_cuts"
    __table_args__ = (sa.CheckConstraint("n_after >= 0 AND n_after <= n_before", name="counts_fall"),)

    stage_digest: Mapped[str] = digest_key()
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    name: Mapped[str]
    n_before: Mapped[int]
    n_after: Mapped[int]
    is_kept: Mapped[bool]
    sentence: Mapped[str]


class RegionSelection(Base):
    """One row per selection set and region that it holds; written by the parent stage, read by the manifest and by people.

    Columns are those of `halo_core.records.REGION_SELECTIONS`.
    """

    __tablename__ = "region_selections"
    __table_args__ = (
        allowed("region_split", ("train", "val", "test"), name="split_known"),
        sa.CheckConstraint("n_hosts >= 0 AND n_hosts <= n_parents", name="hosts_are_parents"),
    )

    stage_digest: Mapped[str] = digest_key()
    selection_set_id: Mapped[str] = mapped_column(primary_key=True)
    selection_strategy: Mapped[str]
    ranking_mode: Mapped[str]
    region_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    region_split: Mapped[str]
    region_rank: Mapped[int | None]
    region_bin: Mapped[int | None]
    n_bricks: Mapped[int]
    area_deg2: Mapped[float | None]
    n_parents: Mapped[int]
    n_hosts: Mapped[int]
    density_deg2: Mapped[float | None]
    psfsize_r_median_arcsec: Mapped[float | None]
    psfdepth_r_median_mag: Mapped[float | None]
