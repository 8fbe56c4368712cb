"""Interval columns of completeness cells: Wilson inside fixed conditions, clustered by sky cell where conditions are pooled."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.stages.summary_pools import NOT_POOLED, PoolCounts, Pooling
from halo_core.statistics.clustering import (
    NOTE_BORROWED,
    NOTE_EMPTY,
    NOTE_MEAN_SIZE,
    RatioPools,
    design_effects,
    interval_note,
    pooled_intervals,
)
from halo_core.statistics.intervals import LEVEL_68, LEVEL_95, wilson_interval
from halo_core.statistics.weights import weighted_n_eff

Columns = dict[str, NDArray[np.generic] | list[str]]
DROP_ORDER = ("psfdepth_r_bin", "psf_fwhm_r_bin")
"""Axes that a coarser pool is looked for without, before any other."""


@dataclass(frozen=True)
class SolvedPools:
    """Pools of one table and criterion whose design effects finer tables may borrow; ``deff`` is NaN where p is 0 or 1."""

    pooling: Pooling
    deff: NDArray[np.float64]


def wilson_columns(counts: PoolCounts, pools: RatioPools, k: NDArray[np.int64]) -> Columns:
    """Return the interval columns of cells of fixed conditions, whose injections are taken as independent and unweighted."""
    lower_68, upper_68 = wilson_interval(k, counts.n_evaluated, LEVEL_68)
    lower_95, upper_95 = wilson_interval(k, counts.n_evaluated, LEVEL_95)
    null = np.full(len(k), np.nan)
    return {
        "interval": ["wilson"] * len(k),
        "interval_note": ["" if n else NOTE_EMPTY for n in counts.n_evaluated.tolist()],
        "lower_68": lower_68,
        "upper_68": upper_68,
        "lower_95": lower_95,
        "upper_95": upper_95,
        "n_clusters": pools.n_clusters,
        "j_eff": pools.j_eff,
        "deff": null,
        "n_eff": null,
        "is_deff_borrowed": np.zeros(len(k), dtype=np.bool_),
        "completeness_weighted": null,
        "weighted_lower_68": null,
        "weighted_upper_68": null,
        "weighted_lower_95": null,
        "weighted_upper_95": null,
        "n_eff_weighted": null,
    }


def clustered_columns(
    counts: PoolCounts, unweighted: RatioPools, weighted: RatioPools, borrowed: tuple[NDArray[np.float64], list[str]]
) -> Columns:
    """Return the interval columns of pooled cells, weighted beside unweighted.

    Parameters
    ----------
    counts : PoolCounts
        Gives Kish's number.
    unweighted, weighted : RatioPools
        Of one criterion.
    borrowed : tuple
        Design effect for pools with p = 0 or 1 (NaN elsewhere) and the note on where it comes from, of each pool.
    """
    borrowed_deff, borrowed_notes = borrowed
    is_borrowed = ~np.isnan(borrowed_deff)
    deff = np.where(is_borrowed, borrowed_deff, design_effects(unweighted))
    n_eff = unweighted.size / deff
    n_eff_weighted = weighted_n_eff(weighted, counts.kish, deff)
    columns: Columns = {
        "interval": ["clustered"] * len(deff),
        "interval_note": _notes(unweighted, weighted, borrowed_notes),
        "n_clusters": unweighted.n_clusters,
        "j_eff": unweighted.j_eff,
        "deff": deff,
        "n_eff": n_eff,
        "is_deff_borrowed": is_borrowed,
        "completeness_weighted": weighted.estimate,
        "n_eff_weighted": n_eff_weighted,
    }
    for level, name in ((LEVEL_68, "68"), (LEVEL_95, "95")):
        columns[f"lower_{name}"], columns[f"upper_{name}"], _ = pooled_intervals(unweighted.estimate, n_eff, unweighted, level)
        columns[f"weighted_lower_{name}"], columns[f"weighted_upper_{name}"], _ = pooled_intervals(
            weighted.estimate, n_eff_weighted, weighted, level
        )
    return columns


def borrow(pooling: Pooling, pools: RatioPools, solved: dict[tuple[str, ...], SolvedPools]) -> tuple[NDArray[np.float64], list[str]]:
    """Return the design effect that each pool with p = 0 or 1 borrows, NaN for the others, and a note.

    Notes
    -----
    It is the largest design effect among the pools one axis coarser that hold the pool and have 0 < p < 1 (axes are dropped
    in the order depth, PSF, any other; the order names the source where two are equal); N/J where there is none.
    """
    is_extreme = (pools.estimate == 0.0) | (pools.estimate == 1.0)
    largest, source = np.full(pooling.n_pools, np.nan), np.full(pooling.n_pools, -1)
    coarser = [axes for axes in _coarser_axes(pooling.axes) if axes in solved]
    for number, axes in enumerate(coarser):
        coarse = solved[axes]
        place = coarse.pooling.index[pooling.first_row]
        deff = np.where(place == NOT_POOLED, np.nan, coarse.deff[np.maximum(place, 0)])
        is_larger = deff > np.where(np.isnan(largest), -np.inf, largest)
        largest, source = np.where(is_larger, deff, largest), np.where(is_larger, number, source)
    mean_size = pools.size / np.maximum(pools.n_clusters, 1)
    notes = [NOTE_MEAN_SIZE if one < 0 else NOTE_BORROWED.format(source=_table_name(coarser[one])) for one in source.tolist()]
    deff = np.where(is_extreme, np.where(source < 0, mean_size, largest), np.nan)
    return deff, [note if extreme else "" for note, extreme in zip(notes, is_extreme.tolist(), strict=True)]


def _coarser_axes(axes: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the axes left when each one is dropped in turn, depth first, then PSF."""
    order = sorted(axes, key=lambda name: DROP_ORDER.index(name) if name in DROP_ORDER else len(DROP_ORDER))
    return [tuple(name for name in axes if name != dropped) for dropped in order]


def _table_name(axes: tuple[str, ...]) -> str:
    """Return the name of a table in a note."""
    return f"({', '.join(axes)})" if axes else "of everything"


def _notes(unweighted: RatioPools, weighted: RatioPools, borrowed: list[str]) -> list[str]:
    """Return why a pool has no interval, or where its design effect comes from."""
    triples = zip(unweighted.n_clusters.tolist(), unweighted.j_eff.tolist(), weighted.j_eff.tolist(), strict=True)
    notes = []
    for (n_clusters, j_eff, j_eff_weighted), note in zip(triples, borrowed, strict=True):
        parts = [interval_note(n_clusters, j_eff) or note]
        if not interval_note(n_clusters, j_eff) and interval_note(n_clusters, j_eff_weighted):
            parts.append(f"weighted: {interval_note(n_clusters, j_eff_weighted)}")
        notes.append("; ".join(part for part in parts if part))
    return notes
