"""The manifest: every task of a campaign with all its parameters and seeds, frozen before a pixel is read.

It depends on the set of parents, the configuration and the grids alone: not on the order of rows, on partitions or on blocks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.errors import ManifestError
from halo_core.records import PARENTS, Finding, conform
from halo_core.stages.blocks import assign_blocks
from halo_core.stages.grids import Grid
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.manifest_hosts import HostPool, StratumShare, draw_hosts, pool_hosts
from halo_core.stages.manifest_rows import HOST_COLUMNS, TierDesign, expand_views, physical_table
from halo_core.stages.planning import PlanRow, fit_to_supply, plan
from halo_core.stages.priors import parse_priors

SCIENCE_VERSION: int = 1


@dataclass(frozen=True)
class ManifestBuild:
    """A manifest and the record of how it came about.

    Parameters
    ----------
    tasks : Table
        Schema ``MANIFEST``, sorted by block, brick (in grid order), host, physical id, stamp size and bandset.
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
    seeds : dict of str to int
        ``split_seed`` and ``sampling_seed``, for the stage's record.
    n_blocks : int
        Units of work.
    """

    tasks: pa.Table
    plan: tuple[PlanRow, ...]
    psf_edges_arcsec: tuple[float, ...]
    depth_edges_mag: tuple[float, ...]
    shares: tuple[StratumShare, ...]
    findings: tuple[Finding, ...]
    supply: dict[str, int]
    seeds: dict[str, int]
    n_blocks: int


def build_manifest(parents: pa.Table, config: ManifestConfig, grids: Mapping[str, Grid]) -> ManifestBuild:
    """Return the manifest of a campaign.

    Parameters
    ----------
    parents : Table
        Schema ``PARENTS``, rows in any order; those in a guard band are never hosts.
    config : ManifestConfig
        What is asked for.
    grids : mapping of str to Grid
        The grids by name; at least those that the configuration names.

    Raises
    ------
    ManifestError
        The plan exceeds ``max_total_tasks``, hosts are short (see ``fit_to_supply``) or appear twice, or one host exceeds a block.
    """
    asked = plan(config, {name: grid.n_configs for name, grid in grids.items()})
    parents = conform(parents, PARENTS, where="parents of the manifest")
    pool = pool_hosts(parents, sampling_seed=config.sampling_seed)
    rows, findings = fit_to_supply(config, asked, pool.supply())
    drawn, shares = _drawn(rows, config, grids, parents, pool)
    physical = _in_blocks(drawn, config)
    del drawn  # a campaign's worth of rows that only the sorted copy still needs
    return ManifestBuild(
        tasks=expand_views(physical, config),
        plan=tuple(rows),
        psf_edges_arcsec=tuple(pool.psf_edges.tolist()),
        depth_edges_mag=tuple(pool.depth_edges.tolist()),
        shares=tuple(shares),
        findings=tuple(findings),
        supply=pool.supply(),
        seeds={"split_seed": config.split_seed, "sampling_seed": config.sampling_seed},
        n_blocks=int(pc.max(physical["block"]).as_py()) + 1,
    )


def _drawn(
    rows: Sequence[PlanRow], config: ManifestConfig, grids: Mapping[str, Grid], parents: pa.Table, pool: HostPool
) -> tuple[pa.Table, list[StratumShare]]:
    """Return the physical rows of every tier and split, and what each stratum gave."""
    priors, tables, shares = parse_priors(config.priors), [], []
    for row in rows:
        design = TierDesign(row.tier, grids[config.grids[row.tier]], priors, config.sampling_seed)
        draw, given = draw_hosts(pool, row, design.grid.config_ids(), replicates=config.replicates, sampling_seed=config.sampling_seed)
        hosts = parents.select([*HOST_COLUMNS, "brickid", "rmag_mw"]).take(pa.array(pool.rows[draw.host]))
        tables.append(physical_table(design, draw, hosts, psf=pool.psf[draw.host], depth=pool.depth[draw.host]))
        shares += given
    return pa.concat_tables(tables), shares


def _in_blocks(physical: pa.Table, config: ManifestConfig) -> pa.Table:
    """Return the physical rows with their block, sorted; ids that collide stop the build."""
    if pc.count_distinct(physical["physical_id"]).as_py() != physical.num_rows:
        raise ManifestError(f"{physical.num_rows} physical injections do not have as many distinct ids; change sampling_seed")
    blocks = assign_blocks(
        physical["brickid"].to_numpy(),
        _bytes(physical["host_id"].to_pylist()),
        max_injections=config.block_max_injections,
        max_bricks=config.block_max_bricks,
    )
    physical = physical.append_column("block", pa.array(blocks))
    keys = [(name, "ascending") for name in ("block", "brickid", "host_id", "physical_id")]
    return physical.take(pc.sort_indices(physical, sort_keys=keys)).drop_columns(["brickid"])


def _bytes(texts: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.bytes_]]:
    """Return texts as a byte array, which sorts fast."""
    return np.array([text.encode() for text in texts], dtype=np.bytes_)
