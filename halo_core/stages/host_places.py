"""The places of a campaign's hosts for the sky map: each host once, or one of each region and small cell where they are many."""

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from halo_core.seeds import hash_int63_each
from halo_core.survey.regions import region_of

MOST_PLACES = 20_000
"""Hosts above which only one of each region and small cell is kept."""

COLUMNS = ("host_id", "ra", "dec", "region_id", "region_split")
HEALPIX_NSIDE = b"healpix_nside"
"""Key of the table's schema metadata: the resolution of the HEALPix cells (nested) that region ids are; absent where they are not."""

_FINEST_NSIDE = 4096


def gather_hosts(blocks: Iterable[pa.Table], *, nside: int) -> pa.Table:
    """Return the places of the hosts of a manifest.

    Parameters
    ----------
    blocks : iterable of Table
        ``COLUMNS`` of the manifest, block by block; a host may stand in many rows and in several blocks.
    nside : int
        Resolution of the HEALPix cells that regions may be.

    Returns
    -------
    Table
        region_id, region_split, ra_deg, dec_deg, n_hosts: one row per host, or above ``MOST_PLACES`` hosts one row per region and small
        cell at the place of one of its hosts. ``HEALPIX_NSIDE`` in the
        metadata where every region is the cell of its hosts. The same whatever the blocks and their order.

    Notes
    -----
    Some forty bytes are kept of each host.
    """
    parts = [_hosts(block) for block in blocks]
    hosts = pa.concat_tables(parts).combine_chunks() if parts else _hosts(pa.table({name: [] for name in COLUMNS}))
    _, first = np.unique(hosts["key"].to_numpy(), return_index=True)
    once = hosts.take(first)
    is_cell = np.array_equal(region_of(once["ra_deg"].to_numpy(), once["dec_deg"].to_numpy(), nside), once["region_id"].to_numpy())
    return _thinned(once).replace_schema_metadata({HEALPIX_NSIDE: str(nside)} if is_cell else None)


def _hosts(block: pa.Table) -> pa.Table:
    """Return each host of a block once, under a number in place of its name."""
    once = block.group_by("host_id").aggregate([(name, "min") for name in COLUMNS[1:]])
    return pa.table(
        {
            "key": pa.array(hash_int63_each(once["host_id"].to_pylist())),
            "region_id": once["region_id_min"].cast(pa.int64()),
            "region_split": once["region_split_min"].cast(pa.string()).combine_chunks().dictionary_encode().cast(pa.string()),
            "ra_deg": once["ra_min"].cast(pa.float64()),
            "dec_deg": once["dec_min"].cast(pa.float64()),
        }
    )


def _thinned(hosts: pa.Table) -> pa.Table:
    """Return one row per host where they are few, else one per region and the smallest cells that leave few enough rows."""
    columns = ["region_id", "region_split", "ra_deg", "dec_deg"]
    region = hosts["region_id"].to_numpy()
    first, n = np.arange(len(region)), np.ones(len(region), dtype=np.int64)
    cell = region_of(hosts["ra_deg"].to_numpy(), hosts["dec_deg"].to_numpy(), _FINEST_NSIDE) if len(region) > MOST_PLACES else region
    nside = _FINEST_NSIDE
    while len(first) > MOST_PLACES and nside > 1:
        cell, nside = cell >> 2, nside // 2
        _, first, n = np.unique(np.column_stack([region, cell]), axis=0, return_index=True, return_counts=True)
    places = hosts.select(columns).take(first).append_column("n_hosts", pa.array(n, type=pa.int64()))
    return places.sort_by([("region_id", "ascending"), ("ra_deg", "ascending"), ("dec_deg", "ascending")])
