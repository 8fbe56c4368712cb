"""The hosts a manifest may draw from: in strata of seeing and depth, in hash order, whatever the order of the input."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import SPLITS
from halo_core.errors import ManifestError
from halo_core.seeds import hash_order
from halo_core.stages.allocation import Floats, Ints, deal, equal_shares, quantile_edges, strata
from halo_core.stages.planning import PlanRow

CONTROL_CONFIG = -1
"""Index that stands for no configuration."""


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
    """Eligible hosts: ``rows`` are row numbers of the parent table, sorted by split, stratum and hash order.

    ``psf_edges`` [arcsec] and ``depth_edges`` [AB mag] are the inner edges of the strata, over the hosts of all splits.
    """

    rows: Ints
    psf: Ints
    depth: Ints
    strata: tuple[Stratum, ...]
    psf_edges: Floats
    depth_edges: Floats

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


def pool_hosts(parents: pa.Table, *, sampling_seed: int) -> HostPool:
    """Return the eligible hosts of a parent table: those outside the guard bands, each in its stratum.

    Raises
    ------
    ManifestError
        A host appears twice.
    """
    rows = np.flatnonzero(~np.asarray(parents["is_guard"], dtype=bool))
    eligible = parents.select(["host_id", "region_split", "psfsize_r_arcsec", "psfdepth_r_mag"]).take(pa.array(rows))
    psf_edges, psf = _binned(eligible["psfsize_r_arcsec"])
    depth_edges, depth = _binned(eligible["psfdepth_r_mag"])
    split = np.asarray(pc.index_in(eligible["region_split"], pa.array(SPLITS)).fill_null(-1), dtype=np.int64)
    if (split < 0).any():
        raise ManifestError(
            f"parents hold a region_split other than {', '.join(SPLITS)}: {pc.unique(eligible['region_split']).to_pylist()}"
        )
    key = hash_order(eligible["host_id"].to_pylist(), sampling_seed)
    order = np.lexsort((key, depth, psf, split))
    repeated = np.flatnonzero(np.diff(np.sort(key)) == 0)
    if repeated.size:
        raise ManifestError(f"{repeated.size} hosts appear more than once among {len(rows)} eligible parents; host_id must be unique")
    groups = _groups(split[order], psf[order], depth[order])
    return HostPool(rows[order], psf[order], depth[order], groups, psf_edges, depth_edges)


def _binned(column: pa.ChunkedArray) -> tuple[Floats, Ints]:
    """Return edges and bins of one condition."""
    values = np.asarray(column.cast(pa.float64()).fill_null(float("nan")), dtype=np.float64)
    edges = quantile_edges(values)
    return edges, strata(values, edges)


def _groups(split: Ints, psf: Ints, depth: Ints) -> tuple[Stratum, ...]:
    """Return the runs of equal split and bins."""
    changes = (np.diff(split) != 0) | (np.diff(psf) != 0) | (np.diff(depth) != 0)
    edges = [0, *(np.flatnonzero(changes) + 1).tolist(), len(split)]
    runs = [(start, stop) for start, stop in pairwise(edges) if stop > start]
    return tuple(Stratum(SPLITS[int(split[i])], int(psf[i]), int(depth[i]), i, j) for i, j in runs)


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
    return _joined(parts), _shares(row, groups, given, controls)


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


def _joined(parts: list[Draw]) -> Draw:
    """Return the strata's draws as one."""

    def column(name: str) -> NDArray[np.int64]:
        return np.concatenate([getattr(part, name) for part in parts])

    return Draw(
        column("host"),
        column("config"),
        column("replicate"),
        column("host_repeat"),
        np.concatenate([part.sampling_weight for part in parts]),
    )


def _shares(row: PlanRow, groups: list[Stratum], given: Ints, controls: Ints) -> list[StratumShare]:
    """Return the record of what each stratum gave; short is what it lacks of an equal share, rounded down."""
    share = int(given.sum() + controls.sum()) // max(len(groups), 1)
    return [
        StratumShare(row.tier, row.split, item.psf, item.depth, item.n_hosts, int(n), int(m), max(0, share - int(n) - int(m)))
        for item, n, m in zip(groups, given, controls, strict=True)
    ]
