"""Parents that were selected elsewhere: a table of positions and fluxes is taken as it is, and what it lacks is NULL with a flag."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS, SPLITS
from halo_core.errors import SurveyDataError
from halo_core.flags import Flag
from halo_core.records import PARENTS, conform
from halo_core.stages.parent import CONDITIONS, DERIVED, PHOTOMETRIC_BANDS, Columns, guard_step, lacks_conditions, region_columns, user_cuts
from halo_core.stages.parent_apart import SplitsApart
from halo_core.stages.parent_bricks import BrickTable, brick_cuts
from halo_core.stages.parent_config import EXTERNAL, CutStep, ParentConfig
from halo_core.stages.parent_flow import Cut, Survivors, apply_cuts
from halo_core.stages.parent_regions import GivenRegions, whole_numbers
from halo_core.stages.parent_variants import VARIANTS, variant_mask
from halo_core.survey.bricks import brick_at, brick_by_id, brick_by_name
from halo_core.survey.coadds import open_plane
from halo_core.survey.photometry import psfdepth_ivar_to_mag
from halo_core.survey.projection import sky_to_pixel
from halo_core.survey.regions import region_of, split_of

Floats = NDArray[np.float64]
Given = Mapping[str, NDArray[Any]]

Maps = Callable[[Floats, Floats, NDArray[np.str_]], Mapping[str, Floats]]
"""Gives conditions at positions [deg] in bricks, as ``conditions_from_maps``."""

_SELECTION_FLAGS = tuple(name for name in PARENTS.names if name.startswith("is_") and name != "is_guard")
_GIVEN_EBV = "ebv as given"
_KNOWN_EBV = "ebv where known"


class ExternalSelector:
    """Parents from an outside table, some rows at a time.

    Parameters
    ----------
    config : ParentConfig
        Regions, splits and guard band. The variant and the limits on bricks are applied unless the variant is ``external``.
    bricks : Table or None
        Schema ``BRICKS``: E(B-V) and conditions of the bricks it holds.
    maps : callable or None
        Conditions at the targets that neither table nor bricks give.
    regions : GivenRegions or None
        Regions of bricks, for a table that names none itself; they replace the HEALPix cells.
    """

    def __init__(
        self, config: ParentConfig, *, bricks: pa.Table | None, maps: Maps | None = None, regions: GivenRegions | None = None
    ) -> None:
        self._config = config
        self._bricks = BrickTable(bricks) if bricks is not None else None
        self._maps = maps
        self._regions = regions
        self._keys: list[NDArray[np.int64]] = []

    def select(self, columns: Given) -> tuple[pa.Table, list[CutStep]]:
        """Return the parents among some rows of the table, and what each cut left.

        Parameters
        ----------
        columns : mapping of str to ndarray, shape (n,)
            Lower-case columns: objid, ra, dec [deg], flux_r [nmgy] or rmag [AB mag, raw]; where known brickname, flux or magnitude in g,
            z and w1 (fluxes go first), ebv, type, maskbits, release, the ``is_v..`` flags (true or 1, false or 0, NaN where not known),
            region_id, region_split, and conditions under the names of ``CONDITIONS``.

        Returns
        -------
        table : Table
            Schema ``PARENTS``; host_id is brickname:objid. A flag that is not known is NULL, and does not pass.
        cut_flow : list of CutStep
            Rows without position or positive r flux are counted and left out.

        Raises
        ------
        SurveyDataError
            A needed column is missing, a brick or split is unknown, or a flag holds anything else.
        """
        _check_needed(columns)
        rows = Survivors(_base(columns), self._derived(columns))
        flow = apply_cuts(rows, self._cuts(rows, columns))
        table = self._identity(rows)
        self._keys.append(np.column_stack([table["brickid"], table["objid"]]))
        table |= {name: rows[name] for name in (*DERIVED, "ebv")}
        table |= self._conditions(rows)
        table |= self._placed(rows)
        table["parent_flags"] = _flags(table, rows[_KNOWN_EBV])
        flow.append(guard_step(table["is_guard"]))
        return conform(table, PARENTS, where="external parents"), flow

    def check_unique(self) -> None:
        """Raise SurveyDataError where a (brickname, objid) was selected twice."""
        keys = np.concatenate(self._keys) if self._keys else np.zeros((0, 2), dtype=np.int64)
        order = np.lexsort(keys.T[::-1])
        n_repeated = int((np.diff(keys[order], axis=0) == 0).all(axis=1).sum())
        if n_repeated:
            raise SurveyDataError(f"external parent table: {n_repeated} of {len(keys)} rows repeat a (brickname, objid)")

    def _derived(self, columns: Given) -> dict[str, Callable[[Mapping[str, NDArray[Any]]], NDArray[Any]]]:
        """Return how columns that the table lacks, or that fluxes go before, are made."""

        def brickid(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            if "brickname" in columns:
                return brick_by_name(rows["brickname"].astype(np.str_)).brickid
            return brick_at(rows["ra"], rows["dec"]).brickid

        def known_ebv(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            given = rows[_GIVEN_EBV] if "ebv" in columns else None
            return _first_known([given, _of_bricks(self._bricks, "ebv", rows["brickid"])], len(rows["ra"]))

        def unknown(rows: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
            return np.full(len(rows["ra"]), np.nan)

        made = dict(DERIVED)
        for band in PHOTOMETRIC_BANDS:
            if f"flux_{band}" not in columns:
                made[f"{band}mag"] = unknown
        return made | {"brickid": brickid, _KNOWN_EBV: known_ebv, "ebv": lambda rows: np.nan_to_num(rows[_KNOWN_EBV])}

    def _cuts(self, rows: Survivors, columns: Given) -> Iterator[Cut]:
        """Yield every cut in the order of the cut flow."""
        yield from _CUTS
        if self._config.variant != EXTERNAL:
            if self._bricks is not None:
                yield from brick_cuts(self._bricks, self._config)
            variant = self._config.variant
            yield Cut(variant, f"The galaxy passes {variant}.", partial(_passes, variant, _flag_name(columns, variant)))
        yield from user_cuts(self._config, rows, "the table")
        if self._regions is not None and not gives_regions(columns):
            has_brick = self._regions.has_brick
            yield Cut("brick_in_region", "The galaxy's brick lies in a given region.", lambda rows: has_brick(rows["brickid"]))

    def _identity(self, rows: Survivors) -> Columns:
        """Return who and where the hosts are, and what the table says about them beside photometry."""
        names = rows["brickname"].astype(np.str_) if "brickname" in rows else _names(rows["brickid"])
        objid = whole_numbers(rows, "objid", where="external parent table")
        texts = [pa.array(names.astype(object), type=pa.string()), pa.array(objid).cast(pa.string())]
        table: Columns = {"host_id": pc.binary_join_element_wise(*texts, ":"), "brickname": texts[0], "brickid": rows["brickid"]}
        table |= {"objid": objid, "ra": rows["ra"].astype(np.float64), "dec": rows["dec"].astype(np.float64)}
        table["type"] = pa.array(rows["type"].astype(object), type=pa.string()) if "type" in rows else pa.nulls(rows.n_rows, pa.string())
        table |= {name: _nullable(rows, name) for name in ("release", "maskbits")}
        return table | {name: _flag_column(rows, name) for name in _SELECTION_FLAGS}

    def _conditions(self, rows: Survivors) -> Columns:
        """Return seeing and depth: the table's own, else the brick's, else the maps'."""
        known = {name: _first_known([rows.get(name), _of_bricks(self._bricks, name, rows["brickid"])], rows.n_rows) for name in CONDITIONS}
        lacking = np.flatnonzero(np.isnan(np.column_stack(list(known.values()))).any(axis=1))
        if self._maps is None or not lacking.size:
            return known
        found = self._maps(rows["ra"][lacking], rows["dec"][lacking], _names(rows["brickid"][lacking]))
        for name, values in known.items():
            values[lacking] = np.where(np.isfinite(values[lacking]), values[lacking], found[name])
        return known

    def _placed(self, rows: Survivors) -> Columns:
        """Return region, split and guard mark; what the table or the bricks give is kept, and then there is no guard band."""
        if self._regions is not None and not gives_regions(rows):
            return self._regions.columns(rows["brickid"])
        return _regions(rows, rows["ra"].astype(np.float64), rows["dec"].astype(np.float64), self._config)


_CUTS = (
    Cut(
        "position",
        "Right ascension and declination are finite.",
        lambda rows: np.isfinite(rows["ra"]) & (np.abs(rows["dec"]) <= 90.0),
    ),
    Cut("r_flux", "The r flux is positive.", lambda rows: np.isfinite(rows["rmag"])),
)


def overlap_step(apart: SplitsApart) -> CutStep:
    """Return the record of hosts whose stamps may share pixels with another given split's; they are kept, with this warning."""
    n = apart.n_hosts
    sentence = "No host of another given split is near; the others stay, with this warning."
    return CutStep("given_splits_apart", n, n - apart.n_close(), True, sentence)


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


def _base(columns: Given) -> dict[str, NDArray[Any]]:
    """Return the table's columns without those that are made from others; positions and magnitudes in double precision."""
    fluxes = {f"{band}mag" for band in PHOTOMETRIC_BANDS if f"flux_{band}" in columns}
    made = {name for name in DERIVED if name not in columns or not name.endswith("mag") or name in fluxes}
    base = {name: values for name, values in columns.items() if name not in made and name not in ("ebv", "brickid")}
    base |= {name: base[name].astype(np.float64) for name in ("ra", "dec", *DERIVED) if name in base}
    return base | ({_GIVEN_EBV: columns["ebv"]} if "ebv" in columns else {})


def _flag_name(columns: Given, variant: str) -> str | None:
    """Return the table's own flag of a variant, ``is_v3`` or ``is_v3_color_relaxed``; None where it has to be made."""
    names = (f"is_{variant}", f"is_{variant.split('_')[0]}")
    found = next((name for name in names if name in columns), None)
    if found is None and (variant not in VARIANTS or "type" not in columns):
        raise SurveyDataError(f"external parent table: neither {names[0]} nor {names[1]} nor what makes {variant}; found {sorted(columns)}")
    return found


def _passes(variant: str, flag: str | None, rows: Survivors) -> NDArray[np.bool_]:
    """Return which galaxies pass a variant, by the table's own flag where it has one."""
    if flag is not None:
        return _truths(rows, flag)[0]
    return variant_mask(VARIANTS[variant], rmag=rows["rmag"], zmag=rows["zmag"], w1mag=rows["w1mag"], kind=rows["type"])


def _names(brickid: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the names of bricks."""
    return brick_by_id(brickid).brickname if len(brickid) else np.array([], dtype=np.str_)


def _nullable(rows: Survivors, name: str) -> pa.Array:
    """Return a column of whole numbers of the table, or NULLs."""
    return pa.array(rows[name], type=pa.int64(), from_pandas=True) if name in rows else pa.nulls(rows.n_rows, pa.int64())


def _flag_column(rows: Survivors, name: str) -> pa.Array:
    """Return a flag of the table, ``is_v3`` standing for ``is_v3_color_relaxed``, or NULLs."""
    for key in (name, "_".join(name.split("_")[:2])):
        if key in rows:
            is_set, is_known = _truths(rows, key)
            return pa.array(is_set, mask=~is_known)
    return pa.nulls(rows.n_rows, pa.bool_())


def _truths(rows: Survivors, name: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where a flag of the table is set and where it is known; NaN stands for NULL."""
    values = rows[name]
    advice = "a flag is true or 1, false or 0, or NULL; correct the table"
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise SurveyDataError(f"external parent table: column {name} is of type {values.dtype}, such as {values[:1].tolist()}; {advice}")
    is_known = ~np.isnan(values)
    wrong = np.flatnonzero(is_known & (values != 0) & (values != 1))
    if wrong.size:
        first = f"{values[wrong[0]]} at objid {rows['objid'][wrong[0]]}"
        raise SurveyDataError(f"external parent table: {name} is no flag in {wrong.size} rows, the first {first}; {advice}")
    return np.asarray(values == 1), is_known


def _of_bricks(bricks: BrickTable | None, name: str, brickid: NDArray[np.int64]) -> Floats | None:
    """Return a column of the brick table by host, NaN for bricks it does not hold."""
    return None if bricks is None else bricks.values(name, brickid)


def _first_known(sources: list[NDArray[Any] | None], n: int) -> Floats:
    """Return, row by row, the first source that is finite; NaN where none is."""
    values = np.full(n, np.nan)
    for source in sources:
        if source is not None:
            values = np.where(np.isfinite(values), values, source.astype(np.float64))
    return values


def _regions(given: Given, ra_deg: Floats, dec_deg: Floats, config: ParentConfig) -> Columns:
    """Return region, split and guard mark; what the table gives is kept, and then there is no guard band."""
    if not gives_regions(given):
        return region_columns(ra_deg, dec_deg, config)
    has_region = "region_id" in given
    region = (
        whole_numbers(given, "region_id", where="external parent table") if has_region else region_of(ra_deg, dec_deg, config.healpix_nside)
    )
    hashed = split_of(region, split_seed=config.split_seed, fractions=config.split_fractions)
    split = given["region_split"].astype(np.str_) if "region_split" in given else hashed
    unknown = sorted(set(split.tolist()) - set(SPLITS))
    if unknown:
        raise SurveyDataError(f"external parent table: region_split holds {unknown}; expected {', '.join(SPLITS)}")
    return {"region_id": region, "region_split": split, "is_guard": np.zeros(len(ra_deg), dtype=bool)}


def gives_regions(given: Given) -> bool:
    """Return whether a table brings its own regions or splits."""
    return "region_id" in given or "region_split" in given


def _flags(table: Columns, ebv: Floats) -> NDArray[np.int64]:
    """Return the note bits of what is not known."""
    owner = brick_at(table["ra"], table["dec"])
    notes = {
        Flag.EBV_UNKNOWN: ~np.isfinite(ebv),
        Flag.W1_UNKNOWN: ~np.isfinite(table["w1mag"]),
        Flag.CONDITIONS_UNKNOWN: lacks_conditions(table),
        Flag.OUTSIDE_PRIMARY: owner.brickid != table["brickid"],
    }
    return sum((mask.astype(np.int64) * flag.value for flag, mask in notes.items()), start=np.zeros(len(ebv), dtype=np.int64))
