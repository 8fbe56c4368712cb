"""The parent catalogue: which galaxies of the survey may be hosts, where they lie, and to which split they belong.

Magnitudes are AB and raw; the ``_mw`` twins are corrected with A_band = c_band E(B-V) of the object. Region and split come from the
position alone, never from a cut.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError
from halo_core.records import PARENTS, conform
from halo_core.stages.parent_config import EXTERNAL, CutStep, ParentConfig
from halo_core.stages.parent_regions import GivenRegions
from halo_core.stages.parent_variants import DESI_LRG, desi_lrg_mask, variant_masks
from halo_core.survey.bricks import brick_at
from halo_core.survey.photometry import extinction_mag, nmgy_to_mag
from halo_core.survey.regions import near_other_split, region_of, split_of

SCIENCE_VERSION: int = 1

CONDITIONS = tuple(f"{stem}_{band}_{unit}" for stem, unit in (("psfsize", "arcsec"), ("psfdepth", "mag")) for band in BANDS)
"""Condition columns of a host."""

Columns = dict[str, Any]


def select_parents(
    objects: Mapping[str, NDArray[Any]], bricks: pa.Table, config: ParentConfig, *, regions: GivenRegions | None = None
) -> tuple[pa.Table, list[CutStep]]:
    """Return the parents among the objects of some sweeps, and what each cut left.

    Parameters
    ----------
    objects : mapping of str to ndarray, shape (n,)
        Sweep or Tractor columns as ``survey.catalogs.read_sweeps`` gives them.
    bricks : Table
        Schema ``BRICKS``: conditions and quality.
    config : ParentConfig
        Variant, brick limits, regions and splits.
    regions : GivenRegions or None
        Regions of bricks that replace the HEALPix cells; only their bricks are kept, and there is no guard band then.

    Returns
    -------
    table : Table
        Schema ``PARENTS``; rows of the guard band are kept with ``is_guard``.
    cut_flow : list of CutStep
        In the order in which the cuts were applied.

    Raises
    ------
    SurveyDataError
        An object appears twice, or the variant is that of external tables.
    """
    if config.variant == EXTERNAL:
        raise SurveyDataError("variant external is for tables selected elsewhere; choose a variant to select from sweeps")
    _check_unique(objects)
    place = brick_rows(objects["brickname"], bricks)
    magnitudes = raw_magnitudes({band: objects[f"flux_{band}"] for band in (*BANDS, "w1")})
    flags = variant_masks(rmag=magnitudes["rmag"], zmag=magnitudes["zmag"], w1mag=magnitudes["w1mag"], kind=objects["type"])
    flags[DESI_LRG] = desi_lrg_mask(objects)
    cuts = {
        "primary": (is_primary(objects), "The object is the survey's only entry of itself: brick primary, no duplicate."),
        **_brick_cuts(place, bricks, config),
        config.variant: (flags[config.variant], f"The object passes {config.variant}."),
    }
    if regions is not None:
        cuts["selected_region"] = (regions.has_brick(objects["brickname"]), "The object's brick lies in a selected region.")
    kept, flow = apply_cuts(cuts)
    chosen = {name: values[kept] for name, values in objects.items()}
    columns = _columns(chosen, {name: values[kept] for name, values in magnitudes.items()})
    columns |= {f"is_{name}": values[kept] for name, values in flags.items()}
    columns |= {name: bricks[name].take(pa.array(place[kept])) for name in CONDITIONS}
    columns |= region_columns(columns["ra"], columns["dec"], config) if regions is None else regions.columns(chosen["brickname"])
    flow.append(guard_step(columns["is_guard"]))
    return conform(columns, PARENTS, where="parents"), flow


def is_primary(objects: Mapping[str, NDArray[Any]]) -> NDArray[np.bool_]:
    """Return which objects lie in the unique area of their own brick and are not marked as duplicates."""
    kept = (brick_at(objects["ra"], objects["dec"]).brickid == objects["brickid"]) & (objects["type"] != "DUP")
    if "brick_primary" in objects:
        kept &= objects["brick_primary"].astype(bool)
    return np.asarray(kept)


def brick_rows(brickname: NDArray[np.str_], bricks: pa.Table) -> NDArray[np.int64]:
    """Return the row of each object's brick in the brick table; -1 where it has none."""
    found = pc.index_in(pa.array(brickname.astype(str).tolist(), type=pa.string()), bricks["brickname"].combine_chunks())
    return np.asarray(found.fill_null(-1), dtype=np.int64)


def raw_magnitudes(fluxes_nmgy: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float64]]:
    """Return the raw magnitudes ``gmag``, ``rmag``, ``zmag``, ``w1mag`` of fluxes by band [nmgy]; NaN where a flux is not positive."""
    return {f"{band}mag": nmgy_to_mag(flux) for band, flux in fluxes_nmgy.items()}


def photometric_columns(magnitudes: Mapping[str, NDArray[np.float64]], ebv: NDArray[np.float64]) -> Columns:
    """Return raw magnitudes, their extinction-corrected twins and the colours r - z and z - W1 [AB mag]."""
    twins = {f"{name}_mw": values - extinction_mag(name.removesuffix("mag"), ebv) for name, values in magnitudes.items()}
    colours = {"rz": magnitudes["rmag"] - magnitudes["zmag"], "zw1": magnitudes["zmag"] - magnitudes["w1mag"]}
    return {**magnitudes, **twins, **colours, "ebv": ebv}


def region_columns(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], config: ParentConfig) -> Columns:
    """Return region, split and guard mark of each position, from the HEALPix cells."""
    region = region_of(ra_deg, dec_deg, config.healpix_nside)
    return {
        "region_id": region,
        "region_split": split_of(region, split_seed=config.split_seed, fractions=config.split_fractions),
        "is_guard": near_other_split(ra_deg, dec_deg, radius_arcsec=config.guard_arcsec, rule=config.rule()),
    }


def guard_step(is_guard: NDArray[np.bool_]) -> CutStep:
    """Return the record of the guard band."""
    n = len(is_guard)
    return CutStep(
        "guard_band",
        n,
        n - int(is_guard.sum()),
        True,
        "The galaxy shares no pixel with another split; the others stay and are never hosts.",
    )


def apply_cuts(cuts: Mapping[str, tuple[NDArray[np.bool_], str]]) -> tuple[NDArray[np.int64], list[CutStep]]:
    """Return the rows that pass every cut, and what each cut left of those before it."""
    n_rows = len(next(iter(cuts.values()))[0])
    passing, flow = np.ones(n_rows, dtype=bool), []
    for name, (mask, sentence) in cuts.items():
        n_before = int(passing.sum())
        passing &= mask
        flow.append(CutStep(name, n_before, int(passing.sum()), False, sentence))
    return np.flatnonzero(passing), flow


def _brick_cuts(place: NDArray[np.int64], bricks: pa.Table, config: ParentConfig) -> dict[str, tuple[NDArray[np.bool_], str]]:
    """Return the quality cuts on the object's brick; an unknown condition fails."""

    def value(name: str) -> NDArray[np.float64]:
        values = np.append(np.asarray(bricks[name].cast(pa.float64()).fill_null(float("nan")), dtype=np.float64), np.nan)
        return values[place]

    return {
        "brick_in_table": (place >= 0, "The object's brick stands in the brick table."),
        "brick_ebv": (value("ebv") <= config.ebv_max, f"E(B-V) of the brick is at most {config.ebv_max}."),
        "brick_psfsize_r": (
            value("psfsize_r_arcsec") <= config.psfsize_r_max_arcsec,
            f"psfsize_r of the brick is at most {config.psfsize_r_max_arcsec} arcsec.",
        ),
        "brick_psfdepth_r": (
            value("psfdepth_r_mag") >= config.psfdepth_r_min_mag,
            f"psfdepth_r of the brick is at least {config.psfdepth_r_min_mag} mag.",
        ),
    }


def _check_unique(objects: Mapping[str, NDArray[Any]]) -> None:
    """Raise where (release, brickid, objid), the survey's key, repeats."""
    keys = np.column_stack([objects[name].astype(np.int64) for name in ("release", "brickid", "objid")])
    order = np.lexsort(keys.T[::-1])
    repeated = np.flatnonzero((np.diff(keys[order], axis=0) == 0).all(axis=1))
    if repeated.size:
        release, brickid, objid = keys[order[repeated[0]]].tolist()
        raise SurveyDataError(
            f"{repeated.size} objects of {len(keys)} repeat another's (release, brickid, objid), the first {release}:{brickid}:{objid}; "
            "give each sweep once"
        )


def _columns(chosen: Mapping[str, NDArray[Any]], magnitudes: Mapping[str, NDArray[np.float64]]) -> Columns:
    """Return the columns of the chosen objects that the sweeps give."""
    keys = [chosen[name].astype(np.int64).tolist() for name in ("release", "brickid", "objid")]
    columns: Columns = {name: chosen[name].astype(np.int64) for name in ("release", "brickid", "objid", "maskbits")}
    columns |= {name: chosen[name].astype(np.float64) for name in ("ra", "dec")}
    columns |= {name: chosen[name].astype(str).tolist() for name in ("brickname", "type")}
    columns["host_id"] = [f"{release}:{brickid}:{objid}" for release, brickid, objid in zip(*keys, strict=True)]
    columns["parent_flags"] = np.zeros(len(keys[0]), dtype=np.int64)
    return columns | photometric_columns(magnitudes, chosen["ebv"].astype(np.float64))
