"""The unit of work: neighbouring bricks whose injections share their planes."""

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ManifestError

Ints = NDArray[np.int64]


def assign_blocks(brickid: Ints, host_id: NDArray[np.bytes_], *, max_injections: int, max_bricks: int) -> Ints:
    """Return the 0-based block of each physical injection.

    Bricks are taken in the order of the brick grid, which runs along right ascension and then to the next row. A brick
    is divided only where it alone exceeds ``max_injections``; the injections of one host always stay together.

    Parameters
    ----------
    brickid : ndarray of int, shape (n,)
        Brick of each injection's host: 1-based index in the grid.
    host_id : ndarray of bytes, shape (n,)
        Host of each injection.
    max_injections, max_bricks : int
        Most physical injections and bricks of a block.

    Returns
    -------
    ndarray of int, shape (n,)
        Numbers without gaps; they depend on the set of injections alone, not on its order.

    Raises
    ------
    ManifestError
        One host has more injections than a block may hold.
    """
    order = np.lexsort((host_id, brickid))
    bricks, hosts = brickid[order], host_id[order]
    is_first = np.ones(len(order), dtype=bool)
    is_first[1:] = (bricks[1:] != bricks[:-1]) | (hosts[1:] != hosts[:-1])
    starts = np.flatnonzero(is_first)
    counts = np.diff(np.append(starts, len(order)))
    if counts.size and counts.max() > max_injections:
        host = hosts[starts[int(counts.argmax())]].decode()
        raise ManifestError(
            f"host {host} has {counts.max()} injections, above block_max_injections = {max_injections}; raise it or plan more hosts"
        )
    blocks = np.empty(len(order), dtype=np.int64)
    blocks[order] = np.repeat(_pack(bricks[starts], counts, max_injections, max_bricks), counts)
    return blocks


def _pack(bricks: Ints, counts: Ints, max_injections: int, max_bricks: int) -> Ints:
    """Return the block of each host; hosts are sorted by brick, ``counts`` are their injections."""
    edges = np.flatnonzero(np.diff(bricks, prepend=-1))
    blocks = np.empty(len(bricks), dtype=np.int64)
    block, n_injections, n_bricks = 0, 0, 0
    for start, end in zip(edges, np.append(edges[1:], len(bricks)), strict=True):
        n_brick = int(counts[start:end].sum())
        if n_bricks and (n_injections + n_brick > max_injections or n_bricks == max_bricks):
            block, n_injections, n_bricks = block + 1, 0, 0
        filled = _fill(counts[start:end], max_injections) if n_brick > max_injections else np.zeros(end - start, dtype=np.int64)
        blocks[start:end] = block + filled
        block, n_bricks = block + int(filled[-1]), n_bricks + 1 if filled[-1] == 0 else 1
        n_injections = n_injections + n_brick if filled[-1] == 0 else int(counts[start:end][filled == filled[-1]].sum())
    return blocks


def _fill(counts: Ints, max_injections: int) -> Ints:
    """Return the 0-based part of each host of a brick that must be divided."""
    parts = np.empty(len(counts), dtype=np.int64)
    part, n_injections = 0, 0
    for index, n in enumerate(counts):
        if n_injections + n > max_injections:
            part, n_injections = part + 1, 0
        parts[index] = part
        n_injections += int(n)
    return parts
