"""What each region of the parent catalogue holds, and which share of the sky and of the galaxies each split reached.

The catalogue is read part by part; the result does not depend on how it is divided. The area of a region is that of the bricks that hold
its parents; a brick that several regions share counts for each by its share of the brick's parents, so that areas add up to the bricks'.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy.stats import binom

from halo_core.constants import SPLITS
from halo_core.errors import SurveyDataError
from halo_core.records import REGION_SELECTIONS, Finding, conform
from halo_core.survey.bricks import brick_by_id

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

REGIONS = pa.schema(
    [
        REGION_SELECTIONS.field(name)
        for name in (
            *("region_id", "region_split", "n_bricks", "area_deg2", "n_parents", "n_hosts", "density_deg2"),
            *("psfsize_r_median_arcsec", "psfdepth_r_median_mag"),
        )
    ]
)
"""One row per region that holds a parent: columns of ``records.REGION_SELECTIONS``."""

STATISTICS_COLUMNS = ("region_id", "region_split", "brickid", "is_guard", "psfsize_r_arcsec", "psfdepth_r_mag")
"""Columns of the parents that the statistics read."""

SHARE_LEVEL = 1e-6
"""False-alarm rate, on either side, of the number of a split's regions."""

_CONDITIONS = {"psfsize_r_median_arcsec": "psfsize_r_arcsec", "psfdepth_r_median_mag": "psfdepth_r_mag"}


@dataclass(frozen=True)
class SplitShare:
    """What one split reached: numbers, and shares of the whole [0..1]; ``configured_frac`` is None for splits that were given."""

    region_split: str
    n_regions: int
    area_deg2: float
    n_parents: int
    n_hosts: int
    region_frac: float
    area_frac: float
    parent_frac: float
    host_frac: float
    configured_frac: float | None

    def is_expected(self, n_all: int) -> bool:
        """Return whether the number of regions is what a hash of n_all regions gives: neither tail of the binomial below 1e-6."""
        if self.configured_frac is None:
            return True
        tails = binom.cdf(self.n_regions, n_all, self.configured_frac), binom.sf(self.n_regions - 1, n_all, self.configured_frac)
        return bool(min(tails) >= SHARE_LEVEL)

    def text(self) -> str:
        """Return the shares as a sentence's part."""
        reached = f"{self.region_frac:.4f} of the regions, {self.area_frac:.4f} of the area, {self.parent_frac:.4f} of the galaxies"
        return f"{self.region_split} {reached}"


def region_statistics(parts: Iterable[pa.Table]) -> pa.Table:
    """Return what each region holds.

    Parameters
    ----------
    parts : iterable of Table
        The parents in any division and order; at least ``STATISTICS_COLUMNS``.

    Returns
    -------
    Table
        Schema ``REGIONS``, by region_id. Medians are over the parents whose condition is known, NULL where none is.

    Raises
    ------
    SurveyDataError
        A region lies in two splits.

    Notes
    -----
    One part is in memory at a time, and beside it one row per region and brick, and per region and distinct condition.
    """
    keys = ["region_id", "region_split", "brickid"]
    counted, known = list[pa.Table](), {name: list[pa.Table]() for name in _CONDITIONS}
    for part in parts:
        is_host = pc.invert(part["is_guard"]).cast(pa.int64())
        rows = part.select([*keys, *_CONDITIONS.values()]).append_column("n_hosts", is_host).append_column("n", pa.repeat(1, len(part)))
        counted.append(_summed(rows, keys, ["n", "n_hosts"]))
        for name, column in _CONDITIONS.items():
            has_value = rows.filter(pc.is_finite(rows[column]))
            known[name].append(_summed(has_value, ["region_id", column], ["n"]))
    if not any(table.num_rows for table in counted):
        return REGIONS.empty_table()
    return _statistics(_summed(pa.concat_tables(counted), keys, ["n", "n_hosts"]), known)


def split_shares(regions: pa.Table, fractions: Mapping[str, float] | None) -> list[SplitShare]:
    """Return what each split reached, in the order of ``constants.SPLITS``.

    Parameters
    ----------
    regions : Table
        Schema ``REGIONS``.
    fractions : mapping of str to float, or None
        Configured shares; None where the splits were given.
    """
    names = regions["region_split"].to_pylist()
    wanted = [name for name in SPLITS if name in names or (fractions or {}).get(name, 0.0) > 0.0]
    columns = {name: np.asarray(regions[name], dtype=np.float64) for name in ("area_deg2", "n_parents", "n_hosts")}
    columns["n_regions"] = np.ones(len(names))
    sums = {name: [float(values[np.array(names) == split].sum()) for split in wanted] for name, values in columns.items()}
    frac = {name: [value / sum(values) if sum(values) else 0.0 for value in values] for name, values in sums.items()}
    return [
        SplitShare(
            region_split=split,
            n_regions=int(sums["n_regions"][i]),
            area_deg2=sums["area_deg2"][i],
            n_parents=int(sums["n_parents"][i]),
            n_hosts=int(sums["n_hosts"][i]),
            region_frac=frac["n_regions"][i],
            area_frac=frac["area_deg2"][i],
            parent_frac=frac["n_parents"][i],
            host_frac=frac["n_hosts"][i],
            configured_frac=None if fractions is None else float(fractions.get(split, 0.0)),
        )
        for i, split in enumerate(wanted)
    ]


def shares_finding(shares: Sequence[SplitShare]) -> Finding:
    """Return what the splits reached as a finding of the parent stage; one that a hash would not give fails, given splits pass."""
    n_all = sum(share.n_regions for share in shares)
    configured = [f"{share.region_split} {share.configured_frac:g}" for share in shares if share.configured_frac is not None]
    return Finding(
        stage="parent",
        check="split_fractions",
        is_ok=bool(n_all) and all(share.is_expected(n_all) for share in shares),
        severity="error",
        observed=f"{n_all} regions: " + "; ".join(share.text() for share in shares),
        expected=f"{', '.join(configured) or 'as given'}, of the regions to a binomial tail of {SHARE_LEVEL:g}",
        sentence="Every split reaches its share of the regions.",
    )


def brick_area_deg2(brickid: Ints) -> Floats:
    """Return the unique area of bricks [deg^2], exact on the sphere; rows at the poles end there."""
    bricks = brick_by_id(brickid)
    top, bottom = np.sin(np.deg2rad(np.minimum(bricks.dec2, 90.0))), np.sin(np.deg2rad(np.maximum(bricks.dec1, -90.0)))
    return np.asarray(np.rad2deg(top - bottom) * (bricks.ra2 - bricks.ra1))


def _summed(table: pa.Table, keys: list[str], columns: list[str]) -> pa.Table:
    """Return the sums of columns by key, under their own names."""
    found = table.group_by(keys).aggregate([(name, "sum") for name in columns])
    return found.rename_columns([name.removesuffix("_sum") for name in found.column_names]).select([*keys, *columns])


def _statistics(pairs: pa.Table, known: Mapping[str, list[pa.Table]]) -> pa.Table:
    """Return the regions from one row per region, split and brick, and from the counts of conditions."""
    pairs = pairs.sort_by([("region_id", "ascending"), ("brickid", "ascending")])
    region, n = pairs["region_id"].to_numpy(), pairs["n"].to_numpy()
    regions, first, place = np.unique(region, return_index=True, return_inverse=True)
    splits = pairs["region_split"].to_pylist()
    mixed = [i for i in range(len(region)) if splits[i] != splits[first[place[i]]]]
    if mixed:
        one = mixed[0]
        raise SurveyDataError(f"region {region[one]} is in splits {splits[first[place[one]]]} and {splits[one]}; it belongs to one split")
    bricks, brick = np.unique(pairs["brickid"].to_numpy(), return_inverse=True)
    share = n / np.bincount(brick, weights=n)[brick]
    area = np.bincount(place, weights=brick_area_deg2(bricks)[brick] * share)
    n_parents = np.bincount(place, weights=n).astype(np.int64)
    columns: dict[str, object] = {
        "region_id": regions,
        "region_split": [splits[i] for i in first],
        "n_bricks": np.bincount(place),
        "area_deg2": area,
        "n_parents": n_parents,
        "n_hosts": np.bincount(place, weights=pairs["n_hosts"].to_numpy()).astype(np.int64),
        "density_deg2": n_parents / area,
    }
    columns |= {name: _medians(pa.concat_tables(tables), _CONDITIONS[name], regions) for name, tables in known.items()}
    return conform(columns, REGIONS, where="regions of the parents")


def _medians(counts: pa.Table, column: str, regions: Ints) -> Floats:
    """Return the median of each region from counts of distinct values; NaN where a region has none."""
    counts = counts.sort_by([("region_id", "ascending"), (column, "ascending")])
    values, ends = counts[column].to_numpy(), np.cumsum(counts["n"].to_numpy())
    place = np.searchsorted(regions, counts["region_id"].to_numpy())
    n = np.bincount(place, weights=counts["n"].to_numpy(), minlength=len(regions)).astype(np.int64)
    start, is_known = np.cumsum(n) - n, n > 0
    lower, upper = (np.searchsorted(ends, (start + half)[is_known], side="right") for half in ((n - 1) // 2, n // 2))
    medians = np.full(len(regions), np.nan)
    medians[is_known] = 0.5 * (values[lower] + values[upper])
    return medians
