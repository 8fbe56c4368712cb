"""Validation of the parents: every law that the catalogue, its configuration and the brick table can prove or break."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import EXTINCTION_PER_EBV, SPLITS
from halo_core.flags import Flag
from halo_core.records import PARENTS, Finding
from halo_core.stages.parent import CONDITIONS, brick_rows
from halo_core.stages.parent_config import EXTERNAL, ParentConfig
from halo_core.stages.parent_variants import VARIANTS, variant_masks
from halo_core.stages.validation_checks import Check, Verdict, none_of, nulls_verdict, run_checks, schema_verdict
from halo_core.survey.bricks import brick_at
from halo_core.survey.regions import close_to_other_split, near_other_split, region_of, split_of

N_SAMPLED = 200_000
"""Parents whose guard mark is made again."""

_TOLERANCE_MAG = 1e-9


@dataclass(frozen=True)
class ParentView:
    """A parent catalogue with what it was made from."""

    parents: pa.Table
    config: ParentConfig
    bricks: pa.Table
    has_given_splits: bool

    def column(self, name: str) -> NDArray[Any]:
        """Return a column, NULL numbers as NaN."""
        column = self.parents[name]
        return np.asarray(column.fill_null(np.nan).to_numpy() if pa.types.is_floating(column.type) else column.to_numpy())


def check_parent(parents: pa.Table, config: ParentConfig, *, bricks: pa.Table, has_given_splits: bool) -> list[Finding]:
    """Return one finding per law, passed or not.

    Parameters
    ----------
    parents : Table
        The catalogue.
    config : ParentConfig
        What it was asked to be; laws of the selection do not apply to variant ``external``.
    bricks : Table
        Schema ``BRICKS``.
    has_given_splits : bool
        Regions or splits came with the table: they are not compared with the HEALPix cells, and overlaps only warn.

    Notes
    -----
    It fails closed: without rows, or where a column is missing or NULL that must not be, the other laws are not tried.
    """
    view = ParentView(parents, config, bricks, has_given_splits)
    findings: list[Finding] = []
    for entry in _ENTRY:
        findings += run_checks("parent", (entry,), view)
        if not findings[-1].is_ok:
            return findings
    selection = () if config.variant == EXTERNAL else _SELECTION
    return findings + run_checks(
        "parent", (*_COMMON, *(() if has_given_splits else _OWN_SPLITS), *selection, _apart(has_given_splits)), view
    )


def hosts_unique(view: ParentView) -> Verdict:
    """Return whether each galaxy stands once."""
    n = view.parents.num_rows
    n_ids = pc.count_distinct(view.parents["host_id"]).as_py()
    n_keys = view.parents.group_by(["release", "brickid", "objid"]).aggregate([]).num_rows
    return none_of(2 * n - n_ids - n_keys, n, "rows repeat a host_id or a (release, brickid, objid)")


def positions_finite(view: ParentView) -> Verdict:
    """Return whether positions are on the sky."""
    on_sky = np.isfinite(view.column("ra")) & (np.abs(view.column("dec")) <= 90.0)
    return none_of(int((~on_sky).sum()), len(on_sky), "positions are not on the sky")


def places_consistent(view: ParentView) -> Verdict:
    """Return whether positions lie in the brick they name, unless the row says that they do not."""
    is_other = brick_at(view.column("ra"), view.column("dec")).brickid != view.column("brickid")
    is_noted = (view.column("parent_flags") & Flag.OUTSIDE_PRIMARY.value) != 0
    return none_of(int((is_other != is_noted).sum()), len(is_other), "positions and bricks disagree without a flag")


def splits_known(view: ParentView) -> Verdict:
    """Return how many eligible hosts each split has; an unknown split fails, and so does a catalogue without an eligible host."""
    eligible = view.column("region_split")[~view.column("is_guard").astype(bool)]
    names, counts = np.unique(eligible.astype(str), return_counts=True)
    return Verdict(
        len(eligible) > 0 and set(names.tolist()) <= set(SPLITS),
        str(dict(zip(names.tolist(), counts.tolist(), strict=True))),
        f"some of {SPLITS}",
    )


def magnitudes_consistent(view: ParentView) -> Verdict:
    """Return whether corrected magnitudes are raw ones minus A_band = c_band E(B-V)."""
    bad: dict[str, int] = {}
    for band in ("g", "r", "z", "w1"):
        raw, corrected = view.column(f"{band}mag"), view.column(f"{band}mag_mw")
        off = np.abs(raw - EXTINCTION_PER_EBV[band] * view.column("ebv") - corrected) > _TOLERANCE_MAG
        n = int((off | (np.isnan(raw) != np.isnan(corrected))).sum())
        bad |= {band: n} if n else {}
    return Verdict(not bad, f"bands that disagree: {bad or 'none'}", "none")


def unknowns_flagged(view: ParentView) -> Verdict:
    """Return whether what an external row does not know is NULL (E(B-V): 0) exactly where a flag says so."""
    flags = view.column("parent_flags")
    unknown = {
        Flag.W1_UNKNOWN: np.isnan(view.column("w1mag")),
        Flag.CONDITIONS_UNKNOWN: np.isnan(np.column_stack([view.column(name) for name in CONDITIONS])).any(axis=1),
    }
    bad = {str(flag.name): n for flag, mask in unknown.items() if (n := int((((flags & flag.value) != 0) != mask).sum()))}
    n_ebv = int((((flags & Flag.EBV_UNKNOWN.value) != 0) & (view.column("ebv") != 0.0)).sum())
    bad |= {"EBV_UNKNOWN": n_ebv} if n_ebv else {}
    return Verdict(not bad, f"flags that disagree: {bad or 'none'}", "none")


def splits_recomputed(view: ParentView) -> Verdict:
    """Return whether region and split are those of the position and the split seed."""
    config, region = view.config, region_of(view.column("ra"), view.column("dec"), view.config.healpix_nside)
    split = split_of(region, split_seed=config.split_seed, fractions=config.split_fractions)
    wrong = (region != view.column("region_id")) | (split != view.column("region_split").astype(str))
    return none_of(int(wrong.sum()), len(wrong), "rows whose region or split is not that of their position and the split seed")


def guard_recomputed(view: ParentView) -> Verdict:
    """Return whether the guard marks of sampled rows are those of their positions."""
    n = view.parents.num_rows
    rows = np.unique(np.linspace(0, n - 1, min(N_SAMPLED, n)).astype(np.int64))
    ra, dec = view.column("ra")[rows], view.column("dec")[rows]
    near = near_other_split(ra, dec, radius_arcsec=view.config.guard_arcsec, rule=view.config.rule())
    return none_of(int((near != view.column("is_guard")[rows].astype(bool)).sum()), len(rows), "sampled guard marks are wrong")


def splits_apart(view: ParentView) -> Verdict:
    """Return whether eligible hosts of different splits are at least two guard radii apart."""
    rows = np.flatnonzero(~view.column("is_guard").astype(bool))
    ra, dec, split = view.column("ra")[rows], view.column("dec")[rows], view.column("region_split")[rows].astype(str)
    radius = 2.0 * view.config.guard_arcsec
    close = close_to_other_split(ra, dec, split, radius_arcsec=radius)
    return none_of(int(close.sum()), len(rows), f"eligible hosts within {radius:.1f} arcsec of another split's")


def bricks_known(view: ParentView) -> Verdict:
    """Return whether every brick stands in the brick table and keeps the quality limits; an unknown condition fails."""
    place = brick_rows(view.column("brickname").astype(str), view.bricks)
    found = view.bricks.take(pa.array(place[place >= 0]))

    def value(name: str) -> NDArray[np.float64]:
        return np.asarray(found[name].fill_null(np.nan).to_numpy(), dtype=np.float64)

    config = view.config
    good = (value("ebv") <= config.ebv_max) & (value("psfsize_r_arcsec") <= config.psfsize_r_max_arcsec)
    good &= value("psfdepth_r_mag") >= config.psfdepth_r_min_mag
    n_bad = int((place < 0).sum()) + int((~good).sum())
    return none_of(n_bad, len(place), "parents in bricks that are unknown or below the quality limits")


def variant_kept(view: ParentView) -> Verdict:
    """Return whether every parent passes the variant, by its flag and by its magnitudes."""
    name = view.config.variant
    marked = np.asarray(view.parents[f"is_{name}"].fill_null(False).to_numpy(), dtype=bool)
    passes = marked
    if name in VARIANTS:
        kinds = view.column("type").astype(str)
        masks = variant_masks(rmag=view.column("rmag"), zmag=view.column("zmag"), w1mag=view.column("w1mag"), kind=kinds)
        passes = masks[name]
    return none_of(int((~(marked & passes)).sum()), len(marked), f"parents that do not pass {name}")


_ENTRY: tuple[Check[ParentView], ...] = (
    Check("columns", "The catalogue has every column in its type.", lambda view: schema_verdict(view.parents, PARENTS)),
    Check(
        "rows", "The catalogue holds rows.", lambda view: Verdict(view.parents.num_rows > 0, f"{view.parents.num_rows} rows", "more than 0")
    ),
    Check("nulls", "No column that forbids it holds NULL or NaN.", lambda view: nulls_verdict(view.parents, PARENTS)),
    Check("positions", "Positions are on the sky.", positions_finite),
)
_COMMON: tuple[Check[ParentView], ...] = (
    Check("hosts_unique", "Each galaxy stands once.", hosts_unique),
    Check("places", "Positions lie in the bricks they name.", places_consistent),
    Check("splits", "Splits are known and eligible hosts exist.", splits_known),
    Check("magnitudes", "Extinction is applied once, with the coefficients of the survey.", magnitudes_consistent),
    Check("unknowns", "What is not known is NULL, and a flag says so.", unknowns_flagged),
)
_OWN_SPLITS: tuple[Check[ParentView], ...] = (
    Check("regions", "Region and split follow from position and split seed alone.", splits_recomputed),
    Check("guard", "Guard marks follow from the position.", guard_recomputed),
)
_SELECTION: tuple[Check[ParentView], ...] = (
    Check("bricks", "Every parent lies in a brick of the table that is good enough.", bricks_known),
    Check("variant", "Every parent passes the variant.", variant_kept),
)


def _apart(has_given_splits: bool) -> Check[ParentView]:
    """Return the law of separate splits: given splits that overlap only warn."""
    return Check("splits_apart", "No two splits share a pixel.", splits_apart, "warning" if has_given_splits else "error")
