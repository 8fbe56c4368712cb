"""The parent catalogue: which galaxies of the survey may be hosts, where they lie, and to which split they belong.

Magnitudes are AB and raw; the ``_mw`` twins are corrected with A_band = c_band E(B-V) of the object. Region and split come from the
position alone, never from a cut.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError
from halo_core.flags import Flag
from halo_core.records import PARENTS, conform
from halo_core.stages.parent_bricks import BrickTable, brick_cuts
from halo_core.stages.parent_config import EXTERNAL, CutStep, ParentConfig
from halo_core.stages.parent_flow import Cut, Survivors, apply_cuts
from halo_core.stages.parent_regions import GivenRegions
from halo_core.stages.parent_variants import DESI_LRG, VARIANTS, desi_lrg_mask, variant_mask, variant_masks
from halo_core.survey.bricks import brick_at, brick_by_id
from halo_core.survey.photometry import extinction_mag, nmgy_to_mag
from halo_core.survey.regions import near_other_split, region_of, split_of

SCIENCE_VERSION: int = 3

CONDITIONS = tuple(f"{stem}_{band}_{unit}" for stem, unit in (("psfsize", "arcsec"), ("psfdepth", "mag")) for band in BANDS)
"""Condition columns of a host."""

PHOTOMETRIC_BANDS = (*BANDS, "w1")
"""Bands of the magnitudes."""

Columns = dict[str, Any]
Values = NDArray[Any]
Mask = NDArray[np.bool_]


class ParentSelector:
    """The selection of parents from sweeps or Tractor catalogues, some rows at a time: rows do not depend on their neighbours.

    Parameters
    ----------
    bricks : Table
        Schema ``BRICKS``: conditions and quality.
    config : ParentConfig
        Variant, brick limits, cuts of the user's own, regions and splits.
    regions : GivenRegions or None
        Regions of bricks that replace the HEALPix cells; there is no guard band then.

    Raises
    ------
    SurveyDataError
        The variant is that of external tables.
    """

    def __init__(self, bricks: pa.Table, config: ParentConfig, *, regions: GivenRegions | None = None) -> None:
        if config.variant == EXTERNAL:
            raise SurveyDataError("variant external is for tables selected elsewhere; choose a variant to select from sweeps")
        self._bricks = BrickTable(bricks)
        self._config = config
        self._regions = regions

    def select(self, objects: Mapping[str, Values]) -> tuple[pa.Table, list[CutStep]]:
        """Return the parents among some objects, and what each cut left.

        Parameters
        ----------
        objects : mapping of str to ndarray, shape (n,)
            Sweep or Tractor columns as ``survey.catalogs.sweep_chunks`` gives them, no object twice.

        Returns
        -------
        table : Table
            Schema ``PARENTS``; rows of the guard band are kept with ``is_guard``.
        cut_flow : list of CutStep
            In the order in which the cuts were applied; those of several parts add up by ``add_flows``.

        Raises
        ------
        SurveyDataError
            The name of a brick is not that of its number.
        ConfigurationError
            A cut of the user's reads a column that is not there, or is no condition on single rows.
        """
        rows = Survivors(objects, DERIVED)
        flow = apply_cuts(rows, self._cuts(rows))
        columns = _identity(rows) | {name: rows[name] for name in DERIVED} | {"ebv": rows["ebv"].astype(np.float64)}
        columns |= {f"is_{name}": mask for name, mask in _flags(rows).items()}
        columns |= {name: self._bricks.values(name, rows["brickid"]) for name in CONDITIONS}
        columns["parent_flags"] = np.where(lacks_conditions(columns), Flag.CONDITIONS_UNKNOWN.value, 0)
        if self._regions is None:
            columns |= region_columns(columns["ra"], columns["dec"], self._config)
        else:
            columns |= self._regions.columns(rows["brickid"])
        flow.append(guard_step(columns["is_guard"]))
        return conform(columns, PARENTS, where="parents"), flow

    def _cuts(self, rows: Survivors) -> Iterator[Cut]:
        """Yield every cut in the order of the cut flow."""
        config = self._config
        yield Cut("primary", "The object is the survey's only entry of itself: brick primary, no duplicate.", is_primary)
        yield from brick_cuts(self._bricks, config)
        yield Cut(config.variant, f"The object passes {config.variant}.", partial(_passes, config.variant))
        yield from user_cuts(config, rows, "the catalogue")
        if self._regions is not None:
            has_brick = self._regions.has_brick
            yield Cut("brick_in_region", "The object's brick lies in a given region.", lambda rows: has_brick(rows["brickid"]))


def lacks_conditions(columns: Mapping[str, Values]) -> Mask:
    """Return for which rows a condition is not known in some band, as in bricks that the survey saw in fewer bands."""
    return np.asarray(np.isnan(np.column_stack([columns[name] for name in CONDITIONS])).any(axis=1))


def is_primary(objects: Mapping[str, Values]) -> Mask:
    """Return which objects lie in the unique area of their own brick and are not marked as duplicates."""
    kept = (brick_at(objects["ra"], objects["dec"]).brickid == objects["brickid"]) & (objects["type"] != "DUP")
    if "brick_primary" in objects:
        kept &= objects["brick_primary"] == 1
    return np.asarray(kept)


def user_cuts(config: ParentConfig, known: Mapping[str, object], where: str) -> Iterator[Cut]:
    """Yield the cuts of the user's own; one that reads what is not known is a ConfigurationError."""
    for cut in config.cuts:
        cut.require(set(known), where)
        yield Cut(cut.name, f"The user's own: {cut.expression}", cut.passes)


def region_columns(ra_deg: NDArray[np.float64], dec_deg: NDArray[np.float64], config: ParentConfig) -> Columns:
    """Return region, split and guard mark of each position, from the HEALPix cells."""
    region = region_of(ra_deg, dec_deg, config.healpix_nside)
    return {
        "region_id": region,
        "region_split": split_of(region, split_seed=config.split_seed, fractions=config.split_fractions),
        "is_guard": near_other_split(ra_deg, dec_deg, radius_arcsec=config.guard_arcsec, rule=config.rule()),
    }


def guard_step(is_guard: Mask) -> CutStep:
    """Return the record of the guard band."""
    n = len(is_guard)
    return CutStep(
        "guard_band",
        n,
        n - int(is_guard.sum()),
        True,
        "The galaxy shares no pixel with another split; the others stay and are never hosts.",
    )


def _derived() -> Iterator[tuple[str, Callable[[Mapping[str, Values]], Values]]]:
    """Yield how magnitudes, their corrected twins and colours follow from fluxes and E(B-V)."""

    def raw(rows: Mapping[str, Values], band: str) -> Values:
        return nmgy_to_mag(rows[f"flux_{band}"])

    def corrected(rows: Mapping[str, Values], band: str) -> Values:
        return rows[f"{band}mag"] - extinction_mag(band, rows["ebv"].astype(np.float64))

    for band in PHOTOMETRIC_BANDS:
        yield f"{band}mag", partial(raw, band=band)
    for band in PHOTOMETRIC_BANDS:
        yield f"{band}mag_mw", partial(corrected, band=band)
    yield "rz", lambda rows: rows["rmag"] - rows["zmag"]
    yield "zw1", lambda rows: rows["zmag"] - rows["w1mag"]


DERIVED: Mapping[str, Callable[[Mapping[str, Values]], Values]] = dict(_derived())
"""Columns that are made from those of a catalogue, by name: magnitudes, ``_mw`` twins and colours."""


def _passes(variant: str, rows: Mapping[str, Values]) -> Mask:
    """Return which objects pass a variant."""
    if variant == DESI_LRG:
        return desi_lrg_mask(rows)
    return variant_mask(VARIANTS[variant], rmag=rows["rmag"], zmag=rows["zmag"], w1mag=rows["w1mag"], kind=rows["type"])


def _flags(rows: Mapping[str, Values]) -> dict[str, Mask]:
    """Return which objects pass each variant."""
    masks = variant_masks(rmag=rows["rmag"], zmag=rows["zmag"], w1mag=rows["w1mag"], kind=rows["type"])
    return masks | {DESI_LRG: desi_lrg_mask(rows)}


def _identity(rows: Survivors) -> Columns:
    """Return who and where the objects are."""
    columns: Columns = {name: rows[name].astype(np.int64) for name in ("release", "brickid", "objid", "maskbits")}
    columns |= {name: rows[name].astype(np.float64) for name in ("ra", "dec")}
    texts = [pa.array(columns[name]).cast(pa.string()) for name in ("release", "brickid", "objid")]
    columns |= {"host_id": pc.binary_join_element_wise(*texts, ":"), "type": pa.array(rows["type"].astype(object), type=pa.string())}
    columns["brickname"] = pa.array(_bricknames(rows).astype(object), type=pa.string())
    return columns


def _bricknames(rows: Survivors) -> NDArray[np.str_]:
    """Return the names of the objects' bricks, which must be those of their numbers."""
    ids, inverse = np.unique(rows["brickid"], return_inverse=True)
    names = brick_by_id(ids).brickname[inverse] if len(ids) else np.array([], dtype=np.str_)
    wrong = np.flatnonzero(names != rows["brickname"])
    if wrong.size:
        row = int(wrong[0])
        raise SurveyDataError(
            f"{wrong.size} objects have a brickname that is not that of their brickid, the first {rows['brickname'][row]} "
            f"with {rows['brickid'][row]}, which is {names[row]}"
        )
    return names
