"""The columns of every table that crosses a stage: name, type, unit, meaning; the Parquet schemas are made from them.

Positions are degrees (ICRS), angles radians counter-clockwise from +x of the pixel grid, magnitudes AB, fluxes
nanomaggies, sizes arcsec unless the name says ``_pix``. ``psf_fwhm_*`` is the Gaussian-equivalent ``psfsize``.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from halo_core.constants import BANDS
from halo_core.errors import ConventionError

_F = pa.float64()
_I = pa.int64()
_S = pa.string()
_B = pa.bool_()
_ARRAYS = (pa.Array, pa.ChunkedArray)


def _field(name: str, kind: pa.DataType, doc: str, *, null: bool = False) -> pa.Field:
    """Return one column; ``doc`` starts with the unit in brackets where there is one."""
    return pa.field(name, kind, nullable=null, metadata={"doc": doc})


def _per_band(stem: str, kind: pa.DataType, doc: str, *, unit: str = "", null: bool = False) -> Iterator[pa.Field]:
    """Yield one column per band, named stem_band_unit."""
    for band in BANDS:
        yield _field(f"{stem}_{band}{unit}", kind, doc, null=null)


BRICKS = pa.schema(
    [
        _field("brickname", _S, "name of the brick"),
        _field("brickid", _I, "1-based index of the brick in the sky grid"),
        _field("ra", _F, "[deg] centre"),
        _field("dec", _F, "[deg] centre"),
        _field("ra1", _F, "[deg] lower edge"),
        _field("ra2", _F, "[deg] upper edge"),
        _field("dec1", _F, "[deg] lower edge"),
        _field("dec2", _F, "[deg] upper edge"),
        _field("ebv", _F, "[mag] E(B-V), SFD98", null=True),
        *_per_band("nexp", _I, "median number of exposures", null=True),
        *_per_band("psfsize", _F, "[arcsec] median PSF size", unit="_arcsec", null=True),
        *_per_band("psfdepth", _F, "[AB mag] 5-sigma point-source depth", unit="_mag", null=True),
    ]
)
"""One row per brick of the survey."""

PARENTS = pa.schema(
    [
        _field("host_id", _S, "release:brickid:objid, or brickname:objid for external tables"),
        _field("release", _I, "survey release of the object", null=True),
        _field("brickname", _S, "brick that owns the object"),
        _field("brickid", _I, "1-based index of the brick"),
        _field("objid", _I, "number of the object in its brick"),
        _field("ra", _F, "[deg]"),
        _field("dec", _F, "[deg]"),
        _field("type", _S, "Tractor morphology", null=True),
        _field("gmag", _F, "[AB mag] not extinction corrected", null=True),
        _field("rmag", _F, "[AB mag] not extinction corrected"),
        _field("zmag", _F, "[AB mag] not extinction corrected", null=True),
        _field("w1mag", _F, "[AB mag] not extinction corrected", null=True),
        _field("gmag_mw", _F, "[AB mag] extinction corrected", null=True),
        _field("rmag_mw", _F, "[AB mag] extinction corrected"),
        _field("zmag_mw", _F, "[AB mag] extinction corrected", null=True),
        _field("w1mag_mw", _F, "[AB mag] extinction corrected", null=True),
        _field("rz", _F, "[AB mag] rmag - zmag", null=True),
        _field("zw1", _F, "[AB mag] zmag - w1mag", null=True),
        _field("ebv", _F, "[mag] E(B-V); 0 with flag EBV_UNKNOWN where not known"),
        _field("maskbits", _I, "maskbits at the object", null=True),
        _field("is_v1_pure_massive", _B, "variant v1", null=True),
        _field("is_v2_baseline_dr10", _B, "variant v2", null=True),
        _field("is_v3_color_relaxed", _B, "variant v3", null=True),
        _field("is_v4_mag_relaxed", _B, "variant v4", null=True),
        _field("is_v5_very_relaxed", _B, "variant v5", null=True),
        _field("is_desi_lrg", _B, "DESI main-survey LRG cuts, south", null=True),
        *_per_band("psfsize", _F, "[arcsec] condition: brick median, or map value at an external target", unit="_arcsec", null=True),
        *_per_band("psfdepth", _F, "[AB mag] condition: brick median, or map value at an external target", unit="_mag", null=True),
        _field("region_id", _I, "HEALPix cell (nested), or the given region"),
        _field("region_split", _S, "train, val or test"),
        _field("is_guard", _B, "within the guard band of a cell of another split: never a host"),
        _field("parent_flags", _I, "note bits of halo_core.flags"),
    ]
)
"""One row per luminous red galaxy (or external target) that passed the selection."""

PARENT_CUTS = pa.schema(
    [
        _field("position", _I, "0-based place in the order of the cuts"),
        _field("name", _S, "name of the cut"),
        _field("n_before", _I, "objects before the cut"),
        _field("n_after", _I, "objects that pass it"),
        _field("is_kept", _B, "the others stay in the table, marked"),
        _field("sentence", _S, "what passes"),
    ]
)
"""One row per cut of the parent selection, in the order in which they were applied."""

REGION_SELECTIONS = pa.schema(
    [
        _field("selection_set_id", _S, "name of the set"),
        _field("selection_strategy", _S, "how the set chose: top_k, stratified, or as given"),
        _field("ranking_mode", _S, "what it ranked regions by: density, count, area, psf_quality, or as given"),
        _field("region_id", _I, "HEALPix cell (nested), or the given region"),
        _field("region_split", _S, "train, val or test"),
        _field("region_rank", _I, "1-based rank in its split (top_k) or bin and split (stratified); NULL where given", null=True),
        _field("region_bin", _I, "0-based quantile bin of the ranked quantity; NULL where given", null=True),
        _field("n_bricks", _I, "bricks that hold parents of the region"),
        _field("area_deg2", _F, "[deg^2] area of these bricks; NULL where no parent is", null=True),
        _field("n_parents", _I, "parents of the region"),
        _field("n_hosts", _I, "parents outside the guard band"),
        _field("density_deg2", _F, "[deg^-2] n_parents / area_deg2", null=True),
        _field("psfsize_r_median_arcsec", _F, "[arcsec] over the parents", null=True),
        _field("psfdepth_r_median_mag", _F, "[AB mag] over the parents", null=True),
    ]
)
"""One row per selection set and region that it holds."""

MANIFEST = pa.schema(
    [
        _field("task_id", _S, "hash of physical_id and experiment_id"),
        _field("physical_id", _S, "hash of everything physical: the same for every stamp size"),
        _field("experiment_id", _S, "tier_stampSIZE_bandsBANDSET_gridGRID"),
        _field("block", _I, "unit of work"),
        _field("tier", _S, "debug, grid or train"),
        _field("grid", _S, "name of the parameter grid"),
        _field("region_id", _I, "HEALPix cell (nested), or the given region"),
        _field("region_split", _S, "train, val or test"),
        _field("host_id", _S, "the galaxy the arc is painted around"),
        _field("brickname", _S, "brick of the host"),
        _field("objid", _I, "number of the host in its brick"),
        _field("ra", _F, "[deg] host"),
        _field("dec", _F, "[deg] host"),
        _field("rmag", _F, "[AB mag] host, not extinction corrected"),
        _field("zmag", _F, "[AB mag] host, not extinction corrected", null=True),
        *_per_band("psfsize", _F, "[arcsec] condition at selection time", unit="_arcsec", null=True),
        _field("psfdepth_r_mag", _F, "[AB mag] condition at selection time", null=True),
        _field("ebv", _F, "[mag] E(B-V) of the host"),
        _field("psf_stratum", _I, "0-based quantile bin of psfsize_r_arcsec; -1 unknown"),
        _field("depth_stratum", _I, "0-based quantile bin of psfdepth_r_mag; -1 unknown"),
        _field("config_id", _S, "configuration of the grid, or CONTROL"),
        _field("theta_e_arcsec", _F, "[arcsec] area-equivalent Einstein radius; 0 for a control"),
        _field("src_dmag", _F, "[AB mag] unlensed source r minus host r; 0 for a control"),
        _field("src_reff_arcsec", _F, "[arcsec] circularised half-light radius; 0 for a control"),
        _field("src_e", _F, "(1-q)/(1+q) of the source"),
        _field("shear", _F, "external shear, dimensionless"),
        _field("stamp_size", _I, "[pix]"),
        _field("bandset", _S, "bands of the stamp"),
        _field("replicate", _I, "0-based repetition of host and configuration"),
        _field("is_control", _B, "no arc is painted"),
        _field("task_seed", _I, "63-bit hash of physical_id"),
        _field("src_x_arcsec", _F, "[arcsec] source minus lens, +x = +column"),
        _field("src_y_arcsec", _F, "[arcsec] source minus lens, +y = +row"),
        _field("src_offset_density_arcsec_m2", _F, "[arcsec^-2] density the source offset was drawn from", null=True),
        _field("src_phi_rad", _F, "[rad] major axis of the source"),
        _field("shear_phi_rad", _F, "[rad] direction of the external shear"),
        _field("src_gr", _F, "[AB mag] intrinsic g-r of the source"),
        _field("src_rz", _F, "[AB mag] intrinsic r-z of the source"),
        _field("lens_model", _S, "SIE or CONTROL"),
        _field("lens_e", _F, "(1-q)/(1+q) of the lens"),
        _field("lens_phi_rad", _F, "[rad] major axis of the lens"),
        _field("src_n_sersic", _F, "Sersic index of the source; 0 for a control"),
        *_per_band("src_flux", _F, "[nmgy] unlensed source flux as painted (extincted); 0 for a control", unit="_nmgy"),
        _field("host_repeat", _I, "how many configurations of this tier the host serves"),
        _field("sampling_weight", _F, "hosts of the stratum over distinct hosts drawn from it, per tier and split"),
        _field("parent_flags", _I, "note bits of the host"),
        _field("proposal_density", _F, "[arcsec^-2 mag^-1] density a population grid drew the parameters with; NULL otherwise", null=True),
    ]
)
"""One row per task: physical injection x stamp size x bandset, every parameter and seed frozen."""

RESULTS = pa.schema(
    [
        _field("task_id", _S, "task of the manifest"),
        _field("block", _I, "unit of work"),
        _field("cutout_ok", _B, "every pixel and plane the stamp needs is there"),
        _field("metrics_ok", _B, "the task is evaluated: no loss bit"),
        _field("flags", _I, "bits of halo_core.flags"),
        _field("host_x_pix", _F, "[pix] host in the stamp, 0-based", null=True),
        _field("host_y_pix", _F, "[pix] host in the stamp, 0-based", null=True),
        _field("stamp_x0_pix", _I, "[pix] first column of the stamp in the file", null=True),
        _field("stamp_y0_pix", _I, "[pix] first row of the stamp in the file", null=True),
        _field("magnification", _F, "lensed over unlensed flux, image plane, before PSF and crop", null=True),
        *_per_band("total_injected_flux", _F, "[nmgy] flux of the arc inside the stamp", unit="_nmgy", null=True),
        *_per_band("flux_frac_inside", _F, "share of the lensed flux that falls inside the stamp", null=True),
        *_per_band("snr_matched", _F, "sqrt(sum A^2 ivar) over good pixels", null=True),
        _field("snr_matched_all", _F, "the same over all bands", null=True),
        *_per_band("snr_peak_pixel", _F, "max(A sqrt(ivar)) over good pixels", null=True),
        *_per_band("snr_aperture", _F, "sum A / sqrt(sum 1/ivar) over good pixels with A above 1 sigma", null=True),
        _field("bad_pixel_frac", _F, "share of pixels that are not good in r", null=True),
        _field("bad_pixel_frac_g", _F, "share of pixels that are not good in g", null=True),
        _field("bad_pixel_frac_z", _F, "share of pixels that are not good in z", null=True),
        _field("wise_brightmask_frac", _F, "share of pixels with a WISE bright-star bit", null=True),
        *_per_band("psf_fwhm_used", _F, "[arcsec] Gaussian-equivalent psfsize that was used", unit="_arcsec", null=True),
        *_per_band("psf_fwhm_model", _F, "[arcsec] FWHM of the profile itself", unit="_arcsec", null=True),
        *_per_band("psf_source", _I, "0 psfsize map at the host, 1 brick value", null=True),
        *_per_band("flux_frac_good", _F, "share of the lensed flux that falls on good pixels of the stamp", null=True),
        *_per_band("electrons_per_nmgy", _F, "[electrons/nmgy] gain of the shot noise; NULL without noise", null=True),
    ]
)
"""One row per task: what was painted and measured, or why not."""

PLANES = pa.schema(
    [
        _field("brickname", _S, "brick of the plane"),
        _field("plane", _S, "type, or type-band"),
        _field("block", _I, "block that asked first"),
        _field("source_uri", _S, "where it came from"),
        _field("key", _S, "object it was stored as", null=True),
        _field("status", _S, "ok, missing or unverified"),
        _field("reason", _S, "why it was lost", null=True),
        _field("sha256", _S, "of the stored bytes", null=True),
        _field("n_bytes", _I, "[bytes]", null=True),
        _field("attempts", _I, "fetches that were tried"),
    ]
)
"""One row per brick and plane that a manifest names, losses included."""


def hosts_schema(size_pix: int) -> pa.Schema:
    """Return the columns of stored hosts: real survey pixels at the largest stamp size, each host once."""
    pixels = pa.list_(pa.float32(), size_pix * size_pix)
    mask = pa.list_(pa.int32(), size_pix * size_pix)
    return pa.schema(
        [
            _field("host_id", _S, "the galaxy"),
            _field("brickname", _S, "brick of the galaxy"),
            _field("objid", _I, "number of the galaxy in its brick"),
            _field("ra", _F, "[deg]"),
            _field("dec", _F, "[deg]"),
            _field("size_pix", _I, "[pix] side of the stored stamp"),
            _field("x0_pix", _I, "[pix] first column of the stored stamp in the file"),
            _field("y0_pix", _I, "[pix] first row of the stored stamp in the file"),
            _field("host_x_pix", _F, "[pix] host in the stored stamp, 0-based"),
            _field("host_y_pix", _F, "[pix] host in the stored stamp, 0-based"),
            _field("maskbits_source", _S, "header or dr10: where the mask bits' meaning comes from", null=True),
            _field("psf_model", _S, "profile the arcs are convolved with"),
            *_per_band("psf_fwhm_used", _F, "[arcsec] Gaussian-equivalent psfsize", unit="_arcsec", null=True),
            *_per_band("psf_fwhm_model", _F, "[arcsec] FWHM of the profile itself", unit="_arcsec", null=True),
            *_per_band("psf_source", _I, "0 psfsize map at the host, 1 brick value", null=True),
            *_per_band("image", pixels, "[nmgy per pixel] row-major; 0 outside the file", null=True),
            *_per_band("invvar", pixels, "[nmgy^-2] row-major; 0 outside the file", null=True),
            _field("maskbits", mask, "survey bits, with OUTSIDE_MASK_BIT outside the file; row-major", null=True),
        ]
    )


def arcs_schema(size_pix: int) -> pa.Schema:
    """Return the columns of stored arcs: noiseless lensed light at the largest stamp size, each injection once, and its shot noise."""
    pixels = pa.list_(pa.float32(), size_pix * size_pix)
    return pa.schema(
        [
            _field("physical_id", _S, "physical injection"),
            _field("host_id", _S, "host it belongs on"),
            _field("size_pix", _I, "[pix] side of the stored stamp"),
            _field("lens_x_pix", _F, "[pix] lens in the stored stamp, 0-based"),
            _field("lens_y_pix", _F, "[pix] lens in the stored stamp, 0-based"),
            _field("magnification", _F, "lensed over unlensed flux, image plane, before PSF and crop"),
            *_per_band("arc", pixels, "[nmgy per pixel] noiseless; row-major", null=True),
            *_per_band("electrons_per_nmgy", _F, "[electrons/nmgy] gain of the shot noise; NULL without noise", null=True),
            *_per_band("noise", pixels, "[nmgy per pixel] shot noise of the arc; row-major; NULL without noise", null=True),
        ]
    )


CELLS = pa.schema(
    [
        _field("cell", _I, "0-based number of the row in its summary"),
        _field("axes", _S, "comma-separated key columns that vary in this table; the others are NULL and summed over"),
        _field("tier", _S, "debug, grid or train"),
        _field("grid", _S, "name of the parameter grid"),
        _field("stamp_size", _I, "[pix]"),
        _field("bandset", _S, "bands of the stamp"),
        _field("criterion", _S, "name of the recovery criterion"),
        _field("criterion_version", _I, "version of the criterion's definition"),
        _field("subset", _S, "all or clean"),
        _field("region_split", _S, "train, val or test; NULL over all splits", null=True),
        _field("selection_set_id", _S, "set of selected regions; NULL over all regions; sets overlap and are never summed", null=True),
        _field("theta_e_arcsec", _F, "[arcsec]", null=True),
        _field("src_dmag", _F, "[AB mag] grids of magnitudes relative to the host", null=True),
        _field("src_mag_r", _F, "[AB mag] intrinsic source r, grids of absolute magnitudes", null=True),
        _field("src_reff_arcsec", _F, "[arcsec]", null=True),
        _field("psf_fwhm_r_bin", _I, "index of the bin of psf_fwhm_used_r_arcsec", null=True),
        _field("psfdepth_r_bin", _I, "index of the bin of psfdepth_r_mag", null=True),
        _field("resolution_bin", _I, "index of the bin of theta_e / psf_fwhm_used_r", null=True),
        _field("snr_matched_r_bin", _I, "index of the bin of snr_matched_r", null=True),
        _field("bin_lower", _F, "lower edge of the row's bin, where one axis is binned", null=True),
        _field("bin_upper", _F, "upper edge of the row's bin, where one axis is binned", null=True),
        _field("n_task", _I, "injections"),
        _field("n_evaluated", _I, "injections that were evaluated"),
        _field("n_not_evaluated", _I, "injections that were not"),
        _field("losses", _S, "JSON object: number of injections by loss flag (one injection may have several)"),
        _field("n_recovered", _I, "evaluated injections that meet the criterion"),
        _field("is_too_few", _B, "n_evaluated below min_n: not shown as a number"),
        _field("completeness", _F, "n_recovered / n_evaluated; NULL where none was evaluated", null=True),
        _field("interval", _S, "wilson (independent) or clustered (by sky cell)"),
        _field("interval_note", _S, "why there is no interval, or how it was made", null=True),
        _field("lower_68", _F, "68.27 % interval", null=True),
        _field("upper_68", _F, "68.27 % interval", null=True),
        _field("lower_95", _F, "95 % interval", null=True),
        _field("upper_95", _F, "95 % interval", null=True),
        _field("bound_lower", _F, "k / (n + m): every injection not evaluated counted as missed", null=True),
        _field("bound_upper", _F, "(k + m) / (n + m): every injection not evaluated counted as recovered", null=True),
        _field("n_clusters", _I, "sky cells with an evaluated injection"),
        _field("j_eff", _F, "effective number of sky cells", null=True),
        _field("deff", _F, "design effect", null=True),
        _field("n_eff", _F, "effective number of injections", null=True),
        _field("is_deff_borrowed", _B, "deff was taken from a coarser pool or set to N/J"),
        _field("completeness_weighted", _F, "weighted by sampling_weight", null=True),
        _field("weighted_lower_68", _F, "68.27 % interval", null=True),
        _field("weighted_upper_68", _F, "68.27 % interval", null=True),
        _field("weighted_lower_95", _F, "95 % interval", null=True),
        _field("weighted_upper_95", _F, "95 % interval", null=True),
        _field("n_eff_weighted", _F, "effective number of injections of the weighted value", null=True),
        _field("snr_matched_r_mean", _F, "over evaluated injections", null=True),
        _field("snr_matched_r_median", _F, "over evaluated injections", null=True),
    ]
)
"""One row per completeness cell: a pool of injections, a criterion and a subset."""

REGION_CELLS = pa.schema(
    [
        _field("tier", _S, "debug, grid or train"),
        _field("grid", _S, "name of the parameter grid"),
        _field("stamp_size", _I, "[pix]"),
        _field("bandset", _S, "bands of the stamp"),
        _field("criterion", _S, "name of the recovery criterion"),
        _field("criterion_version", _I, "version of the criterion's definition"),
        _field("subset", _S, "all or clean"),
        _field("region_id", _I, "HEALPix cell (nested), or the given region"),
        _field("theta_e_arcsec", _F, "[arcsec]"),
        _field("n_task", _I, "injections"),
        _field("n_evaluated", _I, "injections that were evaluated"),
        _field("n_recovered", _I, "evaluated injections that meet the criterion"),
        _field("completeness", _F, "n_recovered / n_evaluated; NULL where none was evaluated", null=True),
    ]
)
"""One row per region and Einstein radius: kept as objects only, for the scatter between regions."""


@dataclass(frozen=True)
class Finding:
    """What one check of one stage saw: stored whether it passed or not.

    A failed ``error`` stops the run; a failed ``warning`` is reported and the run goes on.
    """

    stage: str
    check: str
    is_ok: bool
    severity: Literal["error", "warning"]
    observed: str
    expected: str
    sentence: str


def conform(columns: Mapping[str, object] | pa.Table, schema: pa.Schema, *, where: str) -> pa.Table:
    """Return a table of exactly this schema.

    Parameters
    ----------
    columns : mapping of str to array, or Table
        At least the columns of the schema; others are refused.
    schema : Schema
        One of this module's.
    where : str
        What the error message calls the table.

    Raises
    ------
    ConventionError
        A column is missing, unknown, of a type that does not convert, or NULL/NaN where that is forbidden.
    """
    given = columns.column_names if isinstance(columns, pa.Table) else list(columns)
    missing = [name for name in schema.names if name not in given]
    unknown = [name for name in given if name not in schema.names]
    if missing or unknown:
        raise ConventionError(f"{where}: columns missing {missing or 'none'}, unknown {unknown or 'none'}; expected exactly {schema.names}")
    arrays = [_conformed(columns[field.name], field, where) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)


def _conformed(values: object, field: pa.Field, where: str) -> pa.Array | pa.ChunkedArray:
    """Return one column in its type, NaN as NULL where the column may be NULL."""
    try:
        given = values if isinstance(values, _ARRAYS) else pa.array(values, from_pandas=True)
        array = given.cast(field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise ConventionError(f"{where}: column {field.name} does not convert to {field.type}: {error}") from error
    if pa.types.is_floating(field.type) and pc.any(pc.is_nan(array)).as_py():
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, field.type), array)
    if array.null_count and not field.nullable:
        raise ConventionError(f"{where}: column {field.name} holds {array.null_count} NULL or NaN of {len(array)} rows, none is allowed")
    return array
