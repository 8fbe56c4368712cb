"""The hosts a manifest may draw from: in strata of seeing and depth, in hash order, whatever the order of the input.

Parents come in tables, one after the other: what is kept of each is a few numbers.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import SPLITS
from halo_core.errors import ManifestError
from halo_core.records import PARENTS, conform
from halo_core.seeds import hash_order
from halo_core.stages.allocation import N_QUANTILE_BINS, UNKNOWN_STRATUM, Floats, Ints, deal, equal_shares, quantile_edges, strata
from halo_core.stages.planning import PlanRow

Parents = Callable[[Sequence[str]], Iterable[pa.Table]]
"""Gives the parents with the named columns of ``PARENTS``, table by table; every call gives the same rows in the same order."""

CONTROL_CONFIG = -1
"""Index that stands for no configuration."""

_ELIGIBILITY = ("is_guard", "region_id")
_POOL_COLUMNS = (*_ELIGIBILITY, "host_id", "region_split", "psfsize_r_arcsec", "psfdepth_r_mag")
_N_BINS = N_QUANTILE_BINS - UNKNOWN_STRATUM


@dataclass(frozen=True)
class Stratum:
    """One bin of seeing and depth in one split: a slice of the pool."""

    split: str
    psf: int
    depth: int
    start: int
    stop: int

    @property
    def n_hosts(self) -> int:
        """Return the number of eligible hosts."""
        return self.stop - self.start


@dataclass(frozen=True)
class HostPool:
    """Eligible hosts: ``rows`` are row numbers over all parent tables, sorted by split, stratum and hash order.

    ``psf_edges`` [arcsec] and ``depth_edges`` [AB mag] are the inner edges of the strata, over the hosts of all splits.
    """

    rows: Ints
    strata: tuple[Stratum, ...]
    psf_edges: Floats
    depth_edges: Floats

    def bins(self, host: Ints) -> tuple[Ints, Ints]:
        """Return the bins of seeing and of depth of hosts, given by their places in the pool."""
        stratum = np.searchsorted([item.start for item in self.strata], host, side="right") - 1
        bins = np.array([(item.psf, item.depth) for item in self.strata], dtype=np.int64)[stratum]
        return bins[:, 0], bins[:, 1]

    def supply(self) -> dict[str, int]:
        """Return the number of eligible hosts by split."""
        return {split: sum(item.n_hosts for item in self.strata if item.split == split) for split in SPLITS}


@dataclass(frozen=True)
class StratumShare:
    """What one stratum gave to one tier, and by how many hosts it fell short of an equal share."""

    tier: str
    split: str
    psf_stratum: int
    depth_stratum: int
    n_hosts: int
    n_injection_hosts: int
    n_controls: int
    n_short: int


@dataclass(frozen=True)
class Draw:
    """Physical injections and controls of one tier and split as arrays of one length.

    ``host`` is a place in the pool; ``config`` is a 0-based configuration, or ``CONTROL_CONFIG``.
    """

    host: Ints
    config: Ints
    replicate: Ints
    host_repeat: Ints
    sampling_weight: Floats

    def take(self, rows: Ints) -> "Draw":
        """Return some of the injections."""
        return Draw(*(getattr(self, item.name)[rows] for item in fields(self)))


def join_draws(parts: Sequence[Draw]) -> Draw:
    """Return several draws as one."""
    return Draw(*(np.concatenate([getattr(part, item.name) for part in parts]) for item in fields(Draw)))


def in_one_table(parents: pa.Table) -> Parents:
    """Return parents that stand in one table."""
    return lambda columns: [parents.select(list(columns))]


def conformed(parents: Parents, columns: Sequence[str]) -> Iterable[pa.Table]:
    """Yield the tables of the parents with exactly these columns of ``PARENTS``.

    Raises
    ------
    ConventionError
        A column is missing, of another type, or NULL where that is forbidden.
    """
    schema = pa.schema([PARENTS.field(name) for name in columns])
    for table in parents(columns):
        yield conform(table, schema, where="parents of the manifest")


def is_eligible(parents: pa.Table, regions: Collection[int] | None) -> NDArray[np.bool_]:
    """Return which parents may be hosts: those outside the guard bands and, where regions are given, inside one of them."""
    eligible = ~np.asarray(parents["is_guard"], dtype=bool)
    return eligible if regions is None else eligible & np.isin(np.asarray(parents["region_id"]), np.fromiter(regions, np.int64))


def supply_by_brick(parents: Parents, regions: Collection[int] | None) -> dict[str, dict[int, int]]:
    """Return the number of eligible hosts of each split by brick id; a brick without one has no entry."""
    found: dict[str, Counter[int]] = {split: Counter() for split in SPLITS}
    for table in conformed(parents, (*_ELIGIBILITY, "region_split", "brickid")):
        eligible, code, brick = is_eligible(table, regions), _split_codes(table["region_split"]), np.asarray(table["brickid"])
        for number, split in enumerate(SPLITS):
            bricks, counts = np.unique(brick[eligible & (code == number)], return_counts=True)
            found[split].update(dict(zip(bricks.tolist(), counts.tolist(), strict=True)))
    return {split: dict(bricks) for split, bricks in found.items()}


class _Needs(NamedTuple):
    """What the pool needs of eligible hosts, as arrays of one length."""

    row: Ints
    key: NDArray[np.uint64]
    split: NDArray[np.int8]
    psf_arcsec: Floats
    depth_mag: Floats


def pool_hosts(parents: Parents, *, sampling_seed: int, regions: Collection[int] | None = None) -> HostPool:
    """Return the eligible hosts among the parents, each in its stratum.

    Parameters
    ----------
    parents : callable
        See ``Parents``; tables and rows in any order.
    sampling_seed : int
        Salt of the hash order.
    regions : collection of int or None
        Regions of the selection sets; None where there are no sets and every region is eligible.

    Raises
    ------
    ManifestError
        A host appears twice, or a split is unknown.
    """
    needs = _needs(parents, sampling_seed, regions)
    psf_edges, depth_edges = quantile_edges(needs.psf_arcsec), quantile_edges(needs.depth_mag)
    psf, depth = (strata(values, edges) for values, edges in ((needs.psf_arcsec, psf_edges), (needs.depth_mag, depth_edges)))
    group = ((needs.split * _N_BINS + psf - UNKNOWN_STRATUM) * _N_BINS + depth - UNKNOWN_STRATUM).astype(np.int16)
    order = np.argsort(needs.key)
    repeated = int((np.diff(needs.key[order]) == 0).sum())
    if repeated:
        raise ManifestError(f"{repeated} hosts appear more than once among {len(order)} eligible parents; host_id must be unique")
    order = order[np.argsort(group[order], kind="stable")]
    return HostPool(needs.row[order], _groups(group[order]), psf_edges, depth_edges)


def _needs(parents: Parents, sampling_seed: int, regions: Collection[int] | None) -> _Needs:
    """Return what the pool needs of every eligible host, in the order of the parents."""
    none = _Needs(np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0, np.int8), np.empty(0), np.empty(0))
    parts, n_rows = [none], 0
    for table in conformed(parents, _POOL_COLUMNS):
        rows = np.flatnonzero(is_eligible(table, regions))
        split = _split_codes(table["region_split"])[rows]
        hosts = table.select(["host_id", "psfsize_r_arcsec", "psfdepth_r_mag"]).take(pa.array(rows))
        key = hash_order(hosts["host_id"].to_pylist(), sampling_seed)
        parts.append(_Needs(n_rows + rows, key, split, _known(hosts["psfsize_r_arcsec"]), _known(hosts["psfdepth_r_mag"])))
        n_rows += table.num_rows
    row, key, split, psf_arcsec, depth_mag = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _Needs(row.astype(np.int64), key, split, psf_arcsec, depth_mag)


def _split_codes(column: pa.ChunkedArray) -> NDArray[np.int8]:
    """Return the place of each split in ``SPLITS``."""
    split = np.asarray(pc.index_in(column, pa.array(SPLITS)).fill_null(-1))
    if (split < 0).any():
        raise ManifestError(f"parents hold a region_split other than {', '.join(SPLITS)}: {pc.unique(column).to_pylist()}")
    return split.astype(np.int8)


def _known(column: pa.ChunkedArray) -> Floats:
    """Return a condition with NaN where it is not known."""
    return np.asarray(column.fill_null(float("nan")), dtype=np.float64)


def _groups(group: NDArray[np.int16]) -> tuple[Stratum, ...]:
    """Return the strata of hosts that are sorted by split and bins."""
    edges = [0, *(np.flatnonzero(np.diff(group)) + 1).tolist(), len(group)]
    runs = [(start, stop, int(group[start])) for start, stop in pairwise(edges) if stop > start]
    return tuple(
        Stratum(SPLITS[code // _N_BINS**2], code // _N_BINS % _N_BINS + UNKNOWN_STRATUM, code % _N_BINS + UNKNOWN_STRATUM, start, stop)
        for start, stop, code in runs
    )


def draw_hosts(
    pool: HostPool, row: PlanRow, config_ids: Sequence[str], *, replicates: int, sampling_seed: int
) -> tuple[Draw, list[StratumShare]]:
    """Return the physical injections and controls of one tier and split, and what each stratum gave.

    Parameters
    ----------
    pool : HostPool
        Where hosts are drawn from.
    row : PlanRow
        What is wanted; the pool must suffice for it.
    config_ids : sequence of str
        Configurations of the tier's grid; they are dealt in hash order.
    replicates : int
        Repetitions of each pair of host and configuration.
    sampling_seed : int
        Salt of every hash order.
    """
    groups = [item for item in pool.strata if item.split == row.split]
    capacity = np.array([item.n_hosts for item in groups], dtype=np.int64)
    n_hosts = min(row.n_pairs, int(capacity.sum()) - row.n_controls)
    names = [f"{item.psf}:{item.depth}" for item in groups]
    order = np.argsort(hash_order(names, row.tier, row.split, sampling_seed), kind="stable").astype(np.int64)
    given, controls = equal_shares(capacity, order, n_injection_hosts=n_hosts, n_controls=row.n_controls)
    dealing = np.argsort(hash_order(config_ids, row.tier, row.split, sampling_seed), kind="stable").astype(np.int64)
    dealt = deal(given, n_pairs=row.n_pairs, n_configs=row.n_configs)
    parts = [
        _stratum_draw(group, pairs=(ranks, dealing[configs]), n_injection_hosts=int(n), n_controls=int(m), replicates=replicates)
        for group, (ranks, configs), n, m in zip(groups, dealt, given, controls, strict=True)
    ]
    return join_draws(parts), _shares(row, groups, given, controls)


def _stratum_draw(group: Stratum, *, pairs: tuple[Ints, Ints], n_injection_hosts: int, n_controls: int, replicates: int) -> Draw:
    """Return the draw of one stratum: injection hosts come first in hash order, controls follow."""
    ranks, configs = pairs
    n_pairs, n_drawn = len(ranks), n_injection_hosts + n_controls
    repeat = np.bincount(ranks, minlength=n_injection_hosts)[ranks]
    no_config, first, once = np.full(n_controls, CONTROL_CONFIG), np.zeros(n_controls, dtype=np.int64), np.ones(n_controls, dtype=np.int64)
    return Draw(
        host=np.concatenate([np.tile(group.start + ranks, replicates), group.start + n_injection_hosts + np.arange(n_controls)]),
        config=np.concatenate([np.tile(configs, replicates), no_config]),
        replicate=np.concatenate([np.repeat(np.arange(replicates), n_pairs), first]),
        host_repeat=np.concatenate([np.tile(repeat, replicates), once]),
        sampling_weight=np.full(n_pairs * replicates + n_controls, group.n_hosts / max(n_drawn, 1)),
    )


def _shares(row: PlanRow, groups: list[Stratum], given: Ints, controls: Ints) -> list[StratumShare]:
    """Return the record of what each stratum gave; short is what it lacks of an equal share, rounded down."""
    share = int(given.sum() + controls.sum()) // max(len(groups), 1)
    return [
        StratumShare(row.tier, row.split, item.psf, item.depth, item.n_hosts, int(n), int(m), max(0, share - int(n) - int(m)))
        for item, n, m in zip(groups, given, controls, strict=True)
    ]
