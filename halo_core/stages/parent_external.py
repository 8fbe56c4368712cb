"""Parents that were selected elsewhere: a table of positions and fluxes is taken as it is, and what it lacks is NULL with a flag."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.constants import BANDS, SPLITS
from halo_core.errors import SurveyDataError
from halo_core.flags import Flag
from halo_core.records import PARENTS, conform
from halo_core.stages.parent import CONDITIONS, Columns, apply_cuts, brick_rows, guard_step, photometric_columns, region_columns
from halo_core.stages.parent_config import CutStep, ParentConfig
from halo_core.survey.bricks import brick_at, brick_by_name
from halo_core.survey.coadds import open_plane
from halo_core.survey.photometry import nmgy_to_mag, psfdepth_ivar_to_mag
from halo_core.survey.projection import sky_to_pixel
from halo_core.survey.regions import close_to_other_split, region_of, split_of

Floats = NDArray[np.float64]
Given = Mapping[str, NDArray[Any]]

_SELECTION_FLAGS = tuple(name for name in PARENTS.names if name.startswith("is_") and name != "is_guard")


def external_parents(
    columns: Given, config: ParentConfig, *, bricks: pa.Table | None, conditions: Mapping[str, Floats] | None
) -> tuple[pa.Table, list[CutStep]]:
    """Return a parent catalogue from an outside table.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        Lower-case columns: objid, ra, dec [deg], flux_r [nmgy] or rmag [AB mag, raw]; where known brickname, flux or magnitude in g, z and
        w1 (fluxes go first), ebv, type, maskbits, release, the ``is_v..`` flags, region_id, region_split, and conditions under the names
        of ``CONDITIONS``.
    config : ParentConfig
        Regions, splits and guard band; the variant and the limits on bricks are not applied.
    bricks : Table or None
        Schema ``BRICKS``: E(B-V) and conditions of the bricks it holds.
    conditions : mapping of str to ndarray, shape (n,), or None
        Conditions at the targets from the maps (``conditions_from_maps``), for those the table and the bricks do not give.

    Returns
    -------
    table : Table
        Schema ``PARENTS``; host_id is brickname:objid.
    cut_flow : list of CutStep
        Rows without position or positive r flux are counted and left out; hosts of given splits that overlap are counted and kept.

    Raises
    ------
    SurveyDataError
        A needed column is missing, a brick or split is unknown, or a host repeats.
    """
    _check_needed(columns)
    magnitudes = {f"{band}mag": _magnitude(columns, band) for band in (*BANDS, "w1")}
    ra, dec = columns["ra"].astype(np.float64), columns["dec"].astype(np.float64)
    kept, flow = apply_cuts(
        {
            "position": (np.isfinite(ra) & (np.abs(dec) <= 90.0), "Right ascension and declination are finite."),
            "r_flux": (np.isfinite(magnitudes["rmag"]), "The r flux is positive."),
        }
    )
    given = {name: values[kept] for name, values in columns.items()}
    table = _identity(given, ra[kept], dec[kept])
    place = brick_rows(np.asarray(table["brickname"], dtype=np.str_), bricks) if bricks is not None else np.full(len(kept), -1)
    ebv = _first_known([given.get("ebv"), _of_bricks(bricks, "ebv", place)], len(kept))
    for name in CONDITIONS:
        maps = conditions[name][kept] if conditions is not None else None
        table[name] = _first_known([given.get(name), _of_bricks(bricks, name, place), maps], len(kept))
    table |= photometric_columns({name: values[kept] for name, values in magnitudes.items()}, np.nan_to_num(ebv))
    table |= _regions(given, ra[kept], dec[kept], config)
    table["parent_flags"] = _flags(table, ebv)
    flow += [guard_step(table["is_guard"]), *_overlaps(given, table, config)]
    return conform(table, PARENTS, where="external parents"), flow


def conditions_from_maps(
    ra_deg: Floats, dec_deg: Floats, brickname: NDArray[np.str_], plane_path: Callable[[str, str], Path | None]
) -> dict[str, Floats]:
    """Return seeing and depth at each target, from the psfsize and depth maps of its brick.

    Parameters
    ----------
    ra_deg, dec_deg : ndarray, shape (n,)
        Targets, ICRS [deg].
    brickname : ndarray of str, shape (n,)
        Their bricks.
    plane_path : callable
        Gives the file of (brickname, plane), such as ("0285m165", "psfsize-r"), or None where there is none.

    Returns
    -------
    dict of str to ndarray, shape (n,)
        The columns of ``CONDITIONS`` [arcsec, AB mag]; NaN where the map is absent, not positive, or does not reach the target.
    """
    found = {name: np.full(len(ra_deg), np.nan) for name in CONDITIONS}
    for brick in np.unique(brickname).tolist():
        rows = np.flatnonzero(brickname == brick)
        for band in BANDS:
            sizes = _map_values(plane_path(brick, f"psfsize-{band}"), f"psfsize-{band}", ra_deg[rows], dec_deg[rows])
            ivars = _map_values(plane_path(brick, f"depth-{band}"), f"depth-{band}", ra_deg[rows], dec_deg[rows])
            found[f"psfsize_{band}_arcsec"][rows] = np.where(sizes > 0.0, sizes, np.nan)
            found[f"psfdepth_{band}_mag"][rows] = psfdepth_ivar_to_mag(ivars)
    return found


def _map_values(path: Path | None, plane: str, ra_deg: Floats, dec_deg: Floats) -> Floats:
    """Return the values of one map at sky positions."""
    if path is None:
        return np.full(len(ra_deg), np.nan)
    with open_plane(path, plane) as opened:
        x, y = sky_to_pixel(opened.wcs, ra_deg, dec_deg)
        return np.array([opened.value_at(float(one), float(other)) for one, other in zip(x, y, strict=True)], dtype=np.float64)


def _check_needed(columns: Given) -> None:
    """Raise where a column is missing that nothing can stand in for."""
    missing = [name for name in ("objid", "ra", "dec") if name not in columns]
    if "flux_r" not in columns and "rmag" not in columns:
        missing.append("flux_r (or rmag)")
    if missing:
        raise SurveyDataError(f"external parent table: columns missing: {', '.join(missing)}; found {', '.join(sorted(columns)) or 'none'}")


def _magnitude(columns: Given, band: str) -> Floats:
    """Return a raw magnitude from a flux, else from a magnitude, else NaN."""
    if f"flux_{band}" in columns:
        return nmgy_to_mag(columns[f"flux_{band}"])
    if f"{band}mag" in columns:
        return columns[f"{band}mag"].astype(np.float64)
    return np.full(len(columns["ra"]), np.nan)


def _identity(given: Given, ra_deg: Floats, dec_deg: Floats) -> Columns:
    """Return who and where the hosts are, and what the table says about them beside photometry."""
    owner = brick_at(ra_deg, dec_deg)
    names = given["brickname"].astype(np.str_) if "brickname" in given else owner.brickname
    objid = given["objid"].astype(np.float64)
    if not np.array_equal(objid, np.floor(objid)):
        raise SurveyDataError("external parent table: objid must hold integers")
    hosts = [f"{name}:{number}" for name, number in zip(names.tolist(), given["objid"].astype(np.int64).tolist(), strict=True)]
    if len(set(hosts)) != len(hosts):
        raise SurveyDataError(f"external parent table: {len(hosts) - len(set(hosts))} of {len(hosts)} rows repeat a (brickname, objid)")
    table: Columns = {
        "host_id": hosts,
        "brickname": names.tolist(),
        "brickid": brick_by_name(names).brickid,
        "objid": objid.astype(np.int64),
    }
    table |= {"ra": ra_deg, "dec": dec_deg, "type": given["type"].tolist() if "type" in given else pa.nulls(len(hosts), pa.string())}
    table |= {name: _nullable(given, name, pa.int64(), len(hosts)) for name in ("release", "maskbits")}
    return table | {name: _nullable(given, name, pa.bool_(), len(hosts)) for name in _SELECTION_FLAGS}


def _nullable(given: Given, name: str, kind: pa.DataType, n: int) -> pa.Array:
    """Return a column of the table, ``is_v3`` standing for ``is_v3_color_relaxed``, or NULLs."""
    for key in (name, "_".join(name.split("_")[:2])):
        if key in given:
            return pa.array(given[key].astype(bool) if kind == pa.bool_() else given[key], type=kind, from_pandas=True)
    return pa.nulls(n, kind)


def _of_bricks(bricks: pa.Table | None, name: str, place: NDArray[np.int64]) -> Floats | None:
    """Return a column of the brick table by host, NaN for bricks it does not hold."""
    if bricks is None:
        return None
    values = np.append(np.asarray(bricks[name].cast(pa.float64()).fill_null(float("nan")), dtype=np.float64), np.nan)
    return np.asarray(values[place])


def _first_known(sources: list[NDArray[Any] | None], n: int) -> Floats:
    """Return, row by row, the first source that is finite; NaN where none is."""
    values = np.full(n, np.nan)
    for source in sources:
        if source is not None:
            values = np.where(np.isfinite(values), values, source.astype(np.float64))
    return values


def _regions(given: Given, ra_deg: Floats, dec_deg: Floats, config: ParentConfig) -> Columns:
    """Return region, split and guard mark; what the table gives is kept, and then there is no guard band."""
    if not _gives_regions(given):
        return region_columns(ra_deg, dec_deg, config)
    region = given["region_id"].astype(np.int64) if "region_id" in given else region_of(ra_deg, dec_deg, config.healpix_nside)
    hashed = split_of(region, split_seed=config.split_seed, fractions=config.split_fractions)
    split = given["region_split"].astype(np.str_) if "region_split" in given else hashed
    unknown = sorted(set(split.tolist()) - set(SPLITS))
    if unknown:
        raise SurveyDataError(f"external parent table: region_split holds {unknown}; expected {', '.join(SPLITS)}")
    return {"region_id": region, "region_split": split, "is_guard": np.zeros(len(ra_deg), dtype=bool)}


def _gives_regions(given: Given) -> bool:
    """Return whether the table brings its own regions or splits."""
    return "region_id" in given or "region_split" in given


def _flags(table: Columns, ebv: Floats) -> NDArray[np.int64]:
    """Return the note bits of what is not known."""
    is_unknown = np.isnan(np.column_stack([table[name] for name in CONDITIONS])).any(axis=1)
    owner = brick_at(table["ra"], table["dec"])
    notes = {
        Flag.EBV_UNKNOWN: ~np.isfinite(ebv),
        Flag.W1_UNKNOWN: ~np.isfinite(table["w1mag"]),
        Flag.CONDITIONS_UNKNOWN: is_unknown,
        Flag.OUTSIDE_PRIMARY: owner.brickid != table["brickid"],
    }
    return sum((mask.astype(np.int64) * flag.value for flag, mask in notes.items()), start=np.zeros(len(ebv), dtype=np.int64))


def _overlaps(given: Given, table: Columns, config: ParentConfig) -> Iterator[CutStep]:
    """Yield the count of hosts whose stamps may share pixels with another given split's."""
    if _gives_regions(given):
        close = close_to_other_split(table["ra"], table["dec"], table["region_split"], radius_arcsec=2.0 * config.guard_arcsec)
        n = len(close)
        yield CutStep(
            "given_splits_apart",
            n,
            n - int(close.sum()),
            True,
            "No host of another given split is near; the others stay, with this warning.",
        )
