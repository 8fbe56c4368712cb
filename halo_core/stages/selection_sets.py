"""Selection sets: named lists of regions, chosen by what the regions hold; which sets hold a region is a table beside the parents.

Sets overlap freely: a galaxy is drawn once, however many sets hold its region. Where there are sets, hosts are drawn from their regions
alone; the galaxies of other regions stay in the parent catalogue.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.records import REGION_SELECTIONS, conform
from halo_core.seeds import hash_order
from halo_core.stages.allocation import UNKNOWN_STRATUM, quantile_edges, strata
from halo_core.stages.parent_regions import MEMBERSHIP

Ints = NDArray[np.int64]

TOP_K, STRATIFIED = "top_k", "stratified"
SELECTION_STRATEGIES = (TOP_K, STRATIFIED)
"""The best k regions of each split; or k regions, in hash order, of each quantile bin in each split."""

RANKING_MODES: Mapping[str, tuple[str, bool]] = {
    "density": ("density_deg2", True),
    "count": ("n_parents", True),
    "area": ("area_deg2", True),
    "psf_quality": ("psfsize_r_median_arcsec", False),
}
"""Column of ``region_statistics.REGIONS`` that each mode ranks by, and whether the largest value is the best."""

_SET_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_KEYS = {TOP_K: {"k"}, STRATIFIED: {"k", "n_bins"}}


@dataclass(frozen=True)
class SelectionSet:
    """How one set chooses its regions.

    Parameters
    ----------
    selection_set_id : str
        Name of the set.
    selection_strategy : {"top_k", "stratified"}
        See ``SELECTION_STRATEGIES``.
    ranking_mode : {"density", "count", "area", "psf_quality"}
        See ``RANKING_MODES``.
    k : int
        Regions per split (top_k), or per quantile bin and split (stratified); >= 1.
    n_bins : int
        Quantile bins of the ranked quantity over the regions of all splits; 1 for top_k, >= 2 for stratified.

    Raises
    ------
    ConfigurationError
        A value is unknown or out of range.
    """

    selection_set_id: str
    selection_strategy: str
    ranking_mode: str
    k: int
    n_bins: int = 1

    def __post_init__(self) -> None:
        """Check every value."""
        where = f"selection set {self.selection_set_id!r}"
        if not isinstance(self.selection_set_id, str) or not _SET_ID.fullmatch(self.selection_set_id):
            raise ConfigurationError(f"{where}: a name of letters, digits, dots, dashes and underscores is needed")
        if self.selection_strategy not in SELECTION_STRATEGIES or self.ranking_mode not in RANKING_MODES:
            raise ConfigurationError(
                f"{where}: selection_strategy {self.selection_strategy!r}, ranking_mode {self.ranking_mode!r}; "
                f"the choice is {', '.join(SELECTION_STRATEGIES)} and {', '.join(RANKING_MODES)}"
            )
        least_bins = 2 if self.selection_strategy == STRATIFIED else 1
        for name, least in (("k", 1), ("n_bins", least_bins)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ConfigurationError(f"{where}: {name} is {value!r}; an integer of at least {least} is needed")


def parse_selection_sets(text: str) -> tuple[SelectionSet, ...]:
    """Return the sets that a text asks for; none where it is blank.

    Parameters
    ----------
    text : str
        A JSON list of objects: selection_set_id, selection_strategy, ranking_mode, k, and n_bins where the strategy is stratified.

    Raises
    ------
    ConfigurationError
        The text is no such list, a key is missing or unknown, a name repeats, or a value cannot be used.
    """
    if not text.strip():
        return ()
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigurationError(f"selection_sets is not valid JSON: {error}") from error
    if not isinstance(raw, list) or not all(isinstance(item, dict) for item in raw):
        raise ConfigurationError(f"selection_sets must be a JSON list of objects, it is {text!r}")
    sets = tuple(_parsed(item) for item in raw)
    repeated = [name for name, count in Counter(item.selection_set_id for item in sets).items() if count > 1]
    if repeated:
        raise ConfigurationError(f"selection_sets: the names {repeated} stand more than once; each set needs a name of its own")
    return sets


def sets_to_parameters(sets: Sequence[SelectionSet]) -> dict[str, object]:
    """Return what enters the parent stage's digest, as JSON values: nothing where there are no sets; their order does not matter."""
    return {"selection_sets": [asdict(item) for item in sorted(sets, key=lambda item: item.selection_set_id)]} if sets else {}


def region_selections(regions: pa.Table, sets: Sequence[SelectionSet], given: pa.Table | None, *, split_seed: int) -> pa.Table | None:
    """Return which regions the configured and the given sets hold, None where there are neither.

    Parameters and errors are those of ``select_regions`` and ``given_selections``.

    Raises
    ------
    ConfigurationError
        A configured set has the name of a given one.
    """
    if given is None:
        return select_regions(regions, sets, split_seed=split_seed) if sets else None
    twice = sorted({item.selection_set_id for item in sets} & set(given["selection_set_id"].to_pylist()))
    if twice:
        raise ConfigurationError(f"selection_sets: {twice} stand in the given region selections too; choose other names")
    return pa.concat_tables([given_selections(given, regions), select_regions(regions, sets, split_seed=split_seed)])


def select_regions(regions: pa.Table, sets: Sequence[SelectionSet], *, split_seed: int) -> pa.Table:
    """Return which regions each set holds.

    Parameters
    ----------
    regions : Table
        Schema ``region_statistics.REGIONS``, in any order.
    sets : sequence of SelectionSet
        How they choose.
    split_seed : int
        Salt of the hash order inside the bins of a stratified set.

    Returns
    -------
    Table
        Schema ``records.REGION_SELECTIONS``, by set and region. ``region_rank`` counts from 1 in the split (top_k) or in the bin and
        split (stratified); equal values rank by region_id. A split or bin with fewer than k regions gives all it has.

    Raises
    ------
    SurveyDataError
        A set finds no region at all.

    Notes
    -----
    A region whose ranked quantity is not known, or that holds no possible host, is in no set.
    """
    regions = regions.filter(pc.greater(regions["n_hosts"], 0)).sort_by("region_id")
    tables = [_members(regions, item, split_seed) for item in sorted(sets, key=lambda item: item.selection_set_id)]
    return pa.concat_tables([REGION_SELECTIONS.empty_table(), *tables])


def given_selections(membership: pa.Table, regions: pa.Table) -> pa.Table:
    """Return a given table of sets with what its regions hold beside it.

    Parameters
    ----------
    membership : Table
        The columns of ``MEMBERSHIP``, one row per set and region; others are not taken over.
    regions : Table
        Schema ``region_statistics.REGIONS``.

    Returns
    -------
    Table
        Schema ``records.REGION_SELECTIONS``, by set and region; a region without parents has counts of 0 and NULL for the rest.

    Raises
    ------
    SurveyDataError
        A column is missing, a set names a region twice, or a region's split is not that of the parents.
    """
    missing = [name for name in MEMBERSHIP if name not in membership.column_names]
    if missing:
        raise SurveyDataError(f"region selections: columns missing {missing}; found {sorted(membership.column_names)}")
    rows = membership.select(list(MEMBERSHIP)).sort_by([("selection_set_id", "ascending"), ("region_id", "ascending")])
    n_distinct = rows.group_by(["selection_set_id", "region_id"]).aggregate([]).num_rows
    if n_distinct != rows.num_rows:
        raise SurveyDataError(f"region selections: {rows.num_rows - n_distinct} of {rows.num_rows} rows repeat a set and region")
    place = pc.index_in(rows["region_id"].cast(pa.int64()), regions["region_id"].combine_chunks())
    found = regions.take(place)
    differs = pc.fill_null(pc.not_equal(found["region_split"], rows["region_split"]), False)
    if pc.any(differs).as_py():
        first = rows.filter(differs).slice(0, 1).to_pylist()[0]
        raise SurveyDataError(f"region selections put region {first['region_id']} in split {first['region_split']}, the parents in another")
    columns: dict[str, object] = {name: found[name] for name in REGION_SELECTIONS.names if name in found.column_names}
    columns |= {name: pc.fill_null(found[name], 0) for name in ("n_bricks", "n_parents", "n_hosts")}
    columns |= {name: pa.nulls(rows.num_rows, pa.int64()) for name in ("region_rank", "region_bin")}
    columns |= {name: rows[name] for name in MEMBERSHIP}
    return conform(columns, REGION_SELECTIONS, where="region selections")


def selected_regions(selections: pa.Table) -> Ints:
    """Return the regions that any set holds, rising and each once."""
    return np.unique(np.asarray(selections["region_id"], dtype=np.int64))


def _parsed(item: Mapping[str, Any]) -> SelectionSet:
    """Return one set of the configuration."""
    needed = {"selection_set_id", "selection_strategy", "ranking_mode"} | _KEYS.get(str(item.get("selection_strategy")), {"k"})
    if set(item) != needed:
        raise ConfigurationError(f"selection_sets: {dict(item)} must have exactly the keys {sorted(needed)}")
    return SelectionSet(**item)


def _members(regions: pa.Table, one: SelectionSet, split_seed: int) -> pa.Table:
    """Return the regions of one set, from regions by region_id: the sort is stable, so that equal values keep this order."""
    column, is_largest_best = RANKING_MODES[one.ranking_mode]
    values = np.asarray(regions[column].cast(pa.float64()).fill_null(float("nan")), dtype=np.float64)
    bins = strata(values, quantile_edges(values, one.n_bins))
    split = np.array(regions["region_split"].to_pylist(), dtype=np.str_)
    if one.selection_strategy == TOP_K:
        key: NDArray[Any] = -values if is_largest_best else values
    else:
        key = hash_order(map(str, regions["region_id"].to_pylist()), one.selection_set_id, split_seed)
    order = np.lexsort((key, bins, split))
    order = order[bins[order] != UNKNOWN_STRATUM]
    if not order.size:
        raise SurveyDataError(f"selection set {one.selection_set_id!r}: none of {regions.num_rows} regions with hosts has a known {column}")
    rank = _places_in_runs(split[order], bins[order])
    kept = np.sort(order[rank <= one.k])
    rank_of = np.zeros(regions.num_rows, dtype=np.int64)
    rank_of[order] = rank
    chosen = regions.take(pa.array(kept))
    columns: dict[str, object] = {name: chosen[name] for name in REGION_SELECTIONS.names if name in chosen.column_names}
    columns |= {name: [getattr(one, name)] * len(kept) for name in ("selection_set_id", "selection_strategy", "ranking_mode")}
    columns |= {"region_rank": rank_of[kept], "region_bin": bins[kept]}
    return conform(columns, REGION_SELECTIONS, where=f"selection set {one.selection_set_id}")


def _places_in_runs(split: NDArray[np.str_], bins: Ints) -> Ints:
    """Return the place of each row in its run of equal split and bin, from 1."""
    starts = np.flatnonzero(np.concatenate([[True], (split[1:] != split[:-1]) | (bins[1:] != bins[:-1])]))
    lengths = np.diff(np.append(starts, len(bins)))
    return np.arange(len(bins)) - np.repeat(starts, lengths) + 1
