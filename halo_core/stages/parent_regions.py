"""Regions that are given: unions of bricks, each in one split, and the sets that selected some of them.

A galaxy belongs to the region of its brick and is drawn once, however many sets hold that region; which sets do is a table beside it.
Parents of regions that no set holds stay in the catalogue.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.constants import SPLITS
from halo_core.errors import SurveyDataError
from halo_core.survey.bricks import N_BRICKS, brick_by_name

MEMBERSHIP = ("selection_set_id", "selection_strategy", "ranking_mode", "region_id", "region_split")
"""Columns of the side table."""

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class GivenRegions:
    """Region by brick, split by region, and the side table of sets, None without; made by ``given_regions``."""

    place_of_brick: Ints
    """Index into ``regions`` by brickid, -1 for bricks without a region."""
    regions: Ints
    splits: NDArray[np.str_]
    membership: pa.Table | None

    def has_brick(self, brickid: Ints) -> NDArray[np.bool_]:
        """Return which bricks lie in a region."""
        return np.asarray(self.place_of_brick[np.asarray(brickid, dtype=np.int64)] >= 0)

    def columns(self, brickid: Ints) -> dict[str, Any]:
        """Return region, split and (no) guard mark of objects in these bricks, all of which lie in a region."""
        place = self.place_of_brick[np.asarray(brickid, dtype=np.int64)]
        return {"region_id": self.regions[place], "region_split": self.splits[place], "is_guard": np.zeros(len(place), dtype=bool)}


def given_regions(bricks: Mapping[str, NDArray[Any]], selections: Mapping[str, NDArray[Any]] | None) -> GivenRegions:
    """Return the regions of a brick table.

    Parameters
    ----------
    bricks : mapping of str to ndarray, shape (n,)
        brickname, region_id and region_split, one row per brick.
    selections : mapping of str to ndarray, shape (m,), or None
        The columns of ``MEMBERSHIP``, one row per set and region.

    Raises
    ------
    SurveyDataError
        A column is missing, a brick repeats, a region is NULL or no integer, has two splits or an unknown one, or a set names a region
        without bricks.
    """
    _require(bricks, ("brickname", "region_id", "region_split"), "bricks with regions")
    brickid, region = brick_by_name(bricks["brickname"]).brickid, whole_numbers(bricks, "region_id", where="bricks with regions")
    split = bricks["region_split"]
    n_twice = len(brickid) - len(np.unique(brickid))
    if n_twice:
        raise SurveyDataError(f"bricks with regions: {n_twice} of {len(brickid)} rows repeat a brick; a brick lies in one region")
    membership = None
    if selections is not None:
        _require(selections, MEMBERSHIP, "region selections")
        chosen = whole_numbers(selections, "region_id", where="region selections")
        membership = pa.table({name: selections[name] for name in MEMBERSHIP})
        region, split = np.concatenate([region, chosen]), np.concatenate([split, selections["region_split"]])
        lost = np.setdiff1d(chosen, region[: len(brickid)])
        if lost.size:
            raise SurveyDataError(f"region selections name {len(lost)} regions that have no brick, such as {lost[0]}")
    regions, splits = _one_split_each(region, split)
    place_of_brick = np.full(N_BRICKS + 1, -1, dtype=np.int64)
    place_of_brick[brickid] = np.searchsorted(regions, region[: len(brickid)])
    return GivenRegions(place_of_brick, regions, splits, membership)


def whole_numbers(columns: Mapping[str, NDArray[Any]], name: str, *, where: str) -> Ints:
    """Return a column of integers, which a file may hold as floats.

    Raises
    ------
    SurveyDataError
        A value is NULL, or no integer.
    """
    values = columns[name]
    if values.dtype.kind in "iu":
        return values.astype(np.int64)
    wrong = ~(np.isfinite(values) & (values == np.floor(values))) if values.dtype.kind == "f" else np.ones(len(values), dtype=bool)
    if wrong.any():
        raise SurveyDataError(
            f"{where}: {name} must hold integers; {int(wrong.sum())} of {len(values)} rows hold none, the first {values[wrong][0]!r}"
        )
    return values.astype(np.int64)


def _one_split_each(region: Ints, split: NDArray[np.str_]) -> tuple[Ints, NDArray[np.str_]]:
    """Return the regions, rising, and the one split of each."""
    unknown = np.flatnonzero(~np.isin(split, SPLITS))
    if unknown.size:
        row = unknown[0]
        raise SurveyDataError(f"region {region[row]} has region_split {str(split[row])!r}; expected {', '.join(SPLITS)}")
    regions, first, inverse = np.unique(region, return_index=True, return_inverse=True)
    splits = split[first]
    other = np.flatnonzero(splits[inverse] != split)
    if other.size:
        row = other[0]
        raise SurveyDataError(f"region {region[row]} is in splits {splits[inverse[row]]} and {split[row]}; a region belongs to one split")
    return regions, splits


def _require(columns: Mapping[str, NDArray[Any]], needed: tuple[str, ...], where: str) -> None:
    """Raise where a column is missing."""
    missing = [name for name in needed if name not in columns]
    if missing:
        raise SurveyDataError(f"{where}: columns missing {missing}; found {sorted(columns)}")
