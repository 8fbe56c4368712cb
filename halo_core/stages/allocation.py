"""Which hosts a tier draws from which stratum, and which configuration each of them serves.

Strata are quantile bins of seeing and depth. Everything here is counting: hosts stand for their rank in hash order.
"""

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ManifestError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

N_QUANTILE_BINS = 4
"""Bins a side: quartiles of psfsize_r and of psfdepth_r."""

UNKNOWN_STRATUM = -1
"""Bin of hosts whose condition is not known."""


def quantile_edges(values: Floats, n_bins: int = N_QUANTILE_BINS) -> Floats:
    """Return the inner edges of quantile bins.

    Parameters
    ----------
    values : ndarray, shape (n,)
        A condition; NaN where unknown, which does not count.
    n_bins : int
        Bins to aim for.

    Returns
    -------
    ndarray, shape (<= n_bins - 1,)
        Rising edges; each is one of the values and above the smallest, so that no bin is empty: fewer distinct values
        make fewer bins.
    """
    known = values[np.isfinite(values)]
    if known.size == 0:
        return np.empty(0)
    edges = np.unique(np.quantile(known, np.arange(1, n_bins) / n_bins, method="higher"))
    return np.asarray(edges[edges > known.min()])


def strata(values: Floats, edges: Floats) -> Ints:
    """Return the 0-based bin of each value: edge <= value < next edge; unknown values have bin -1."""
    bins = np.searchsorted(edges, values, side="right").astype(np.int64)
    return np.where(np.isfinite(values), bins, UNKNOWN_STRATUM)


def equal_shares(capacity: Ints, order: Ints, *, n_injection_hosts: int, n_controls: int) -> tuple[Ints, Ints]:
    """Return how many injection hosts and controls each stratum gives.

    Strata give equal shares (to one; the remainder goes along ``order``). A stratum that cannot gives all it has, split between
    injections and controls as the whole is; what it lacks the others give in equal parts.

    Parameters
    ----------
    capacity : ndarray of int, shape (n,)
        Hosts of each stratum; > 0.
    order : ndarray of int, shape (n,)
        The strata in hash order.
    n_injection_hosts, n_controls : int
        Distinct hosts wanted of each kind.

    Raises
    ------
    ManifestError
        All strata together have fewer hosts.
    """
    total = n_injection_hosts + n_controls
    if total > int(capacity.sum()):
        raise ManifestError(f"{total} distinct hosts are wanted, {int(capacity.sum())} exist in {len(capacity)} strata; plan fewer")
    is_short = _short_strata(capacity, total)
    injections, controls = np.zeros_like(capacity), np.zeros_like(capacity)
    if is_short.any():
        given = np.cumsum(capacity[is_short])
        injections[is_short] = np.diff(given * n_injection_hosts // total, prepend=0)
        controls[is_short] = capacity[is_short] - injections[is_short]
    rest = order[~is_short[order]]
    left = n_injection_hosts - int(injections.sum())
    injections[rest] = _dealt(left, len(rest), start=0)
    controls[rest] = _dealt(n_controls - int(controls.sum()), len(rest), start=left)
    return injections, controls


def _short_strata(capacity: Ints, total: int) -> NDArray[np.bool_]:
    """Return which strata have fewer hosts than the share that the others leave to each."""
    is_short = np.zeros(len(capacity), dtype=bool)
    while True:
        left, n_rest = total - int(capacity[is_short].sum()), int((~is_short).sum())
        newly = ~is_short & (capacity * n_rest < left)
        if not newly.any():
            return is_short
        is_short |= newly


def _dealt(n: int, n_heaps: int, *, start: int) -> Ints:
    """Return the heaps of n cards dealt one by one, the first to heap ``start % n_heaps``."""
    heaps = np.arange(n_heaps)
    return n // n_heaps + ((heaps - start) % n_heaps < n % n_heaps).astype(np.int64)


def deal(n_hosts: Ints, *, n_pairs: int, n_configs: int) -> list[tuple[Ints, Ints]]:
    """Return which host serves which configuration, by stratum.

    Numbers of hosts per configuration differ by at most 1 within each stratum and over all; each host serves as many
    configurations as any other, to one, and none twice.

    Parameters
    ----------
    n_hosts : ndarray of int, shape (n,)
        Injection hosts of each stratum.
    n_pairs : int
        Pairs of host and configuration to make; sum(n_hosts) <= n_pairs <= sum(n_hosts) x n_configs.
    n_configs : int
        Configurations.

    Returns
    -------
    list of (ndarray, ndarray)
        By stratum: rank of the host in its stratum, place of the configuration in its dealing order.

    Notes
    -----
    Pairs are laid out stratum after stratum, and pair p has configuration p mod n_configs: any run of pairs is balanced. Inside a
    stratum the pairs, sorted by configuration, go round its hosts: a configuration has no more pairs there than there are
    hosts, so none meets the same host twice.
    """
    total = int(n_hosts.sum())
    if n_pairs and not total <= n_pairs <= total * n_configs:
        raise ManifestError(f"{n_pairs} pairs of host and configuration cannot be dealt to {total} hosts and {n_configs} configurations")
    ends = np.cumsum(n_hosts) * n_pairs // max(total, 1)
    starts = np.concatenate([[0], ends[:-1]])
    dealt = []
    for n, start, end in zip(n_hosts, starts, ends, strict=True):
        configs = np.sort(np.arange(start, end) % n_configs)
        dealt.append((np.arange(len(configs)) % max(int(n), 1), configs))
    return dealt
