"""The manifest: every task of a campaign with all its parameters and seeds, frozen before a pixel is read.

It depends on the set of parents, the configuration and the grids alone: not on the order of rows, on partitions or on blocks.
Parents are read table by table and tasks are made block by block: between them stand a few numbers of each parent and the columns of
the hosts that were drawn.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.errors import ManifestError
from halo_core.records import Finding
from halo_core.stages.allocation import Ints
from halo_core.stages.blocks import assign_blocks
from halo_core.stages.grids import Grid
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import (
    Draw,
    HostPool,
    Parents,
    StratumShare,
    conformed,
    draw_hosts,
    in_one_table,
    join_draws,
    pool_hosts,
)
from halo_core.stages.manifest_rows import HOST_COLUMNS, TierDesign, expand_views, physical_table
from halo_core.stages.planning import PlanRow, fit_to_supply, plan
from halo_core.stages.priors import parse_priors

SCIENCE_VERSION: int = 2

_ROWS_AT_ONCE = 100_000


@dataclass(frozen=True)
class ManifestBuild:
    """A manifest, made block by block, and the record of how it came about.

    Parameters
    ----------
    config : ManifestConfig
        What was asked for.
    designs : tuple of TierDesign
        One per tier.
    design : ndarray of int, shape (n,)
        Place of each physical injection in ``designs``; injections are sorted by host.
    draw : Draw
        The physical injections, length n; their ``host`` is a row of ``hosts``.
    hosts : Table
        The drawn hosts, sorted by brick (in grid order) and host: parents' columns, strata and block.
    edges : ndarray of int, shape (n_blocks + 1,)
        Block b holds the physical injections from ``edges[b]`` to ``edges[b + 1]``.
    plan : tuple of PlanRow
        What was built, to the row: the plan, reduced where the hosts did not suffice.
    psf_edges_arcsec, depth_edges_mag : tuple of float
        Inner edges of the strata.
    shares : tuple of StratumShare
        What each stratum gave to each tier and split.
    findings : tuple of Finding
        One warning per tier and split that was reduced.
    supply : dict of str to int
        Eligible hosts by split.
    """

    config: ManifestConfig
    designs: tuple[TierDesign, ...]
    design: Ints
    draw: Draw
    hosts: pa.Table
    edges: Ints
    plan: tuple[PlanRow, ...]
    psf_edges_arcsec: tuple[float, ...]
    depth_edges_mag: tuple[float, ...]
    shares: tuple[StratumShare, ...]
    findings: tuple[Finding, ...]
    supply: dict[str, int]

    @property
    def n_blocks(self) -> int:
        """Return the number of units of work."""
        return len(self.edges) - 1

    @property
    def n_physical(self) -> int:
        """Return the number of physical injections and controls."""
        return int(self.edges[-1])

    @property
    def seeds(self) -> dict[str, int]:
        """Return the seeds, for the stage's record."""
        return {"split_seed": self.config.split_seed, "sampling_seed": self.config.sampling_seed}

    @cached_property
    def tasks(self) -> pa.Table:
        """Return the whole manifest, for campaigns that fit in memory."""
        return pa.concat_tables(self.blocks())

    def blocks(self) -> Iterator[pa.Table]:
        """Yield the tasks of each block, in order: schema ``MANIFEST``, sorted by brick, host, physical id, stamp size and bandset.

        Raises
        ------
        ManifestError
            After the last block, where two physical injections have one id or seed.
        """
        seeds, block = [], 0
        while block < self.n_blocks:
            after = int(np.searchsorted(self.edges, self.edges[block] + _ROWS_AT_ONCE // self.config.n_views, side="right")) - 1
            after = max(after, block + 1)
            physical = self._physical(int(self.edges[block]), int(self.edges[after]))
            seeds.append(physical["task_seed"].to_numpy())
            tasks = expand_views(physical, self.config)
            bounds = (self.edges[block : after + 1] - self.edges[block]) * self.config.n_views
            for start, length in zip(bounds.tolist(), np.diff(bounds).tolist(), strict=False):
                yield tasks.slice(start, length)
            block = after
        n_repeated = int((np.diff(np.sort(np.concatenate(seeds))) == 0).sum())
        if n_repeated:
            raise ManifestError(f"{n_repeated} of {self.n_physical} physical injections repeat the seed of another; change sampling_seed")

    def _physical(self, start: int, stop: int) -> pa.Table:
        """Return physical injections, sorted by host and id."""
        tables, hosts = [], []
        for number, design in enumerate(self.designs):
            drawn = self.draw.take(start + np.flatnonzero(self.design[start:stop] == number))
            tables.append(physical_table(design, drawn, self.hosts.take(pa.array(drawn.host))))
            hosts.append(drawn.host)
        physical = pa.concat_tables(tables)
        keys = pa.table({"host": np.concatenate(hosts), "physical_id": physical["physical_id"]})
        return physical.take(pc.sort_indices(keys, sort_keys=[("host", "ascending"), ("physical_id", "ascending")]))


def build_manifest(
    parents: Parents | pa.Table, config: ManifestConfig, grids: Mapping[str, Grid], *, regions: Collection[int] | None = None
) -> ManifestBuild:
    """Return the manifest of a campaign.

    Parameters
    ----------
    parents : callable or Table
        The parents table by table (see ``Parents``), or in one table of at least the columns that are read; rows in any order.
    config : ManifestConfig
        What is asked for.
    grids : mapping of str to Grid
        The grids by name; at least those that the configuration names.
    regions : collection of int or None
        Regions of the selection sets: hosts are drawn there alone. None where there are no sets.

    Raises
    ------
    ManifestError
        The plan exceeds ``max_total_tasks``, hosts are short (see ``fit_to_supply``) or appear twice, or one host exceeds a block.
    """
    asked = plan(config, {name: grid.n_configs for name, grid in grids.items()})
    tables = in_one_table(parents) if isinstance(parents, pa.Table) else parents
    pool = pool_hosts(tables, sampling_seed=config.sampling_seed, regions=regions)
    rows, findings = fit_to_supply(config, asked, pool.supply())
    designs = _designs(rows, config, grids)
    design, draw, shares = _drawn(rows, designs, config, pool)
    hosts, places = _drawn_hosts(tables, pool, draw)
    rank = np.zeros(len(pool.rows), dtype=np.int64)
    rank[places] = np.arange(len(places))
    n_injections = np.bincount(rank[draw.host], minlength=len(places))
    blocks = assign_blocks(
        hosts["brickid"].to_numpy(), n_injections, max_injections=config.block_max_injections, max_bricks=config.block_max_bricks
    )
    order = np.argsort(rank[draw.host], kind="stable")
    return ManifestBuild(
        config=config,
        designs=designs,
        design=design[order],
        draw=replace(draw, host=rank[draw.host]).take(order),
        hosts=hosts.append_column("block", pa.array(blocks)),
        edges=np.concatenate([[0], np.cumsum(np.bincount(blocks, weights=n_injections).astype(np.int64))]),
        plan=tuple(rows),
        psf_edges_arcsec=tuple(pool.psf_edges.tolist()),
        depth_edges_mag=tuple(pool.depth_edges.tolist()),
        shares=tuple(shares),
        findings=tuple(findings),
        supply=pool.supply(),
    )


def _designs(rows: Sequence[PlanRow], config: ManifestConfig, grids: Mapping[str, Grid]) -> tuple[TierDesign, ...]:
    """Return the design of each tier."""
    priors = parse_priors(config.priors)
    tiers = dict.fromkeys(row.tier for row in rows)
    return tuple(TierDesign(tier, grids[config.grids[tier]], priors, config.sampling_seed) for tier in tiers)


def _drawn(
    rows: Sequence[PlanRow], designs: Sequence[TierDesign], config: ManifestConfig, pool: HostPool
) -> tuple[Ints, Draw, list[StratumShare]]:
    """Return the design and the draw of every physical injection, and what each stratum gave."""
    numbers, draws, shares = [], list[Draw](), list[StratumShare]()
    for row in rows:
        number = next(place for place, design in enumerate(designs) if design.tier == row.tier)
        config_ids = designs[number].grid.config_ids()
        draw, given = draw_hosts(pool, row, config_ids, replicates=config.replicates, sampling_seed=config.sampling_seed)
        numbers.append(np.full(len(draw.host), number))
        draws.append(draw)
        shares += given
    return np.concatenate(numbers), join_draws(draws), shares


def _drawn_hosts(parents: Parents, pool: HostPool, draw: Draw) -> tuple[pa.Table, Ints]:
    """Return the columns of the drawn hosts, sorted by brick and host, and their places in the pool."""
    places = np.flatnonzero(np.bincount(draw.host))
    places = places[np.argsort(pool.rows[places])]
    hosts = _rows_of(parents, pool.rows[places])
    order = pc.sort_indices(hosts.select(["brickid", "host_id"]), sort_keys=[("brickid", "ascending"), ("host_id", "ascending")])
    places = places[order.to_numpy()]
    psf, depth = pool.bins(places)
    return hosts.take(order).append_column("psf_stratum", pa.array(psf)).append_column("depth_stratum", pa.array(depth)), places


def _rows_of(parents: Parents, rows: Ints) -> pa.Table:
    """Return some rows of the parents, which are numbered over all tables, with the columns of hosts."""
    columns, tables, n_before = (*HOST_COLUMNS, "brickid", "rmag_mw"), [], 0
    for table in conformed(parents, columns):
        first, last = np.searchsorted(rows, [n_before, n_before + table.num_rows])
        tables.append(table.take(pa.array(rows[first:last] - n_before)))
        n_before += table.num_rows
    return pa.concat_tables(tables)
