"""The unit of work: neighbouring bricks whose injections share their planes."""

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ManifestError

Ints = NDArray[np.int64]


def assign_blocks(brickid: Ints, n_injections: Ints, *, max_injections: int, max_bricks: int) -> Ints:
    """Return the 0-based block of each host.

    Bricks are taken in the order of the brick grid, which runs along right ascension and then to the next row. A brick
    is divided only where it alone exceeds ``max_injections``; the injections of one host always stay together.

    Parameters
    ----------
    brickid : ndarray of int, shape (n,)
        Brick of each host: 1-based index in the grid; rising.
    n_injections : ndarray of int, shape (n,)
        Physical injections and controls of each host; > 0.
    max_injections, max_bricks : int
        Most physical injections and bricks of a block.

    Returns
    -------
    ndarray of int, shape (n,)
        Numbers without gaps, rising.

    Raises
    ------
    ManifestError
        One host has more injections than a block may hold.
    """
    most = int(n_injections.max(initial=0))
    if most > max_injections:
        brick = int(brickid[int(n_injections.argmax())])
        raise ManifestError(
            f"a host of brick {brick} has {most} injections, above block_max_injections = {max_injections}; raise it or plan more hosts"
        )
    starts = np.flatnonzero(np.diff(brickid, prepend=-1))
    n_hosts = np.diff(starts, append=len(brickid))
    totals = np.add.reduceat(n_injections, starts) if len(starts) else n_injections
    first, parts = np.empty(len(starts), dtype=np.int64), np.zeros(len(brickid), dtype=np.int64)
    block, n_filled, n_bricks = 0, 0, 0
    for brick, total in enumerate(totals.tolist()):
        if n_bricks and (n_filled + total > max_injections or n_bricks == max_bricks):
            block, n_filled, n_bricks = block + 1, 0, 0
        first[brick] = block
        if total <= max_injections:
            n_filled, n_bricks = n_filled + total, n_bricks + 1
            continue
        hosts = slice(starts[brick], starts[brick] + n_hosts[brick])
        parts[hosts], n_filled = _fill(n_injections[hosts], max_injections)
        block, n_bricks = block + int(parts[hosts][-1]), 1
    return np.repeat(first, n_hosts) + parts


def _fill(n_injections: Ints, max_injections: int) -> tuple[Ints, int]:
    """Return the 0-based part of each host of a brick that must be divided, and the injections of the last part."""
    parts = np.empty(len(n_injections), dtype=np.int64)
    part, n_filled = 0, 0
    for index, n in enumerate(n_injections.tolist()):
        if n_filled + n > max_injections:
            part, n_filled = part + 1, 0
        parts[index] = part
        n_filled += n
    return parts, n_filled
