"""Regions that are given: unions of bricks, each in one split, and the sets that selected them.

A galaxy belongs to the region of its brick and is drawn once, however many sets hold that region; which sets do is a table beside it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.constants import SPLITS
from halo_core.errors import SurveyDataError

MEMBERSHIP = ("selection_set_id", "selection_strategy", "ranking_mode", "region_id", "region_split")
"""Columns of the side table."""


@dataclass(frozen=True)
class GivenRegions:
    """Region by brick, split by region, and the side table of sets; made by ``given_regions``."""

    region_by_brick: Mapping[str, int]
    split_by_region: Mapping[int, str]
    membership: pa.Table

    def has_brick(self, brickname: NDArray[np.str_]) -> NDArray[np.bool_]:
        """Return which bricks lie in a selected region."""
        return np.array([name in self.region_by_brick for name in brickname.tolist()], dtype=bool)

    def columns(self, brickname: NDArray[np.str_]) -> dict[str, Any]:
        """Return region, split and (no) guard mark of objects in these bricks."""
        regions = [self.region_by_brick[name] for name in brickname.tolist()]
        return {
            "region_id": np.array(regions, dtype=np.int64),
            "region_split": np.array([self.split_by_region[region] for region in regions], dtype=np.str_),
            "is_guard": np.zeros(len(regions), dtype=bool),
        }


def given_regions(bricks: Mapping[str, NDArray[Any]], selections: Mapping[str, NDArray[Any]] | None) -> GivenRegions:
    """Return the regions of a brick table, limited to those that a selection names.

    Parameters
    ----------
    bricks : mapping of str to ndarray, shape (n,)
        brickname, region_id and region_split, one row per brick.
    selections : mapping of str to ndarray, shape (m,), or None
        The columns of ``MEMBERSHIP``, one row per set and region; None takes every region.

    Raises
    ------
    SurveyDataError
        A column is missing, a brick repeats, a region has two splits or an unknown one, or a set names a region without bricks.
    """
    _require(bricks, ("brickname", "region_id", "region_split"), "bricks with regions")
    names, regions = bricks["brickname"].tolist(), bricks["region_id"].astype(np.int64).tolist()
    if len(set(names)) != len(names):
        raise SurveyDataError(
            f"bricks with regions: {len(names) - len(set(names))} of {len(names)} rows repeat a brick; a brick lies in one region"
        )
    pairs = list(zip(regions, bricks["region_split"].tolist(), strict=True))
    if selections is None:
        membership = pa.table({name: pa.array([], type=pa.int64() if name == "region_id" else pa.string()) for name in MEMBERSHIP})
        chosen = set(regions)
    else:
        _require(selections, MEMBERSHIP, "region selections")
        membership = pa.table({name: selections[name] for name in MEMBERSHIP})
        pairs += zip(selections["region_id"].astype(np.int64).tolist(), selections["region_split"].tolist(), strict=True)
        chosen = set(selections["region_id"].astype(np.int64).tolist())
    splits = _splits(pairs)
    lost = chosen - set(regions)
    if lost:
        raise SurveyDataError(f"region selections name {len(lost)} regions that have no brick, such as {min(lost)}")
    by_brick = {name: region for name, region in zip(names, regions, strict=True) if region in chosen}
    return GivenRegions(by_brick, {region: splits[region] for region in chosen}, membership)


def _splits(pairs: list[tuple[int, str]]) -> dict[int, str]:
    """Return the one split of each region."""
    found: dict[int, str] = {}
    for region, split in pairs:
        if split not in SPLITS:
            raise SurveyDataError(f"region {region} has region_split {split!r}; expected {', '.join(SPLITS)}")
        if found.setdefault(region, split) != split:
            raise SurveyDataError(f"region {region} is in splits {found[region]} and {split}; a region belongs to one split")
    return found


def _require(columns: Mapping[str, NDArray[Any]], needed: tuple[str, ...], where: str) -> None:
    """Raise where a column is missing."""
    missing = [name for name in needed if name not in columns]
    if missing:
        raise SurveyDataError(f"{where}: columns missing {missing}; found {sorted(columns)}")
