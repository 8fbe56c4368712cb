"""Completeness from a manifest and its results: one row per cell, every injection accounted for.

Each injection ends as recovered, missed or not evaluated (for a reason); only evaluated ones enter a denominator, the
others stand beside it. Controls never enter. Tables of cells are made along ``surface_axes`` (conditions fixed: Wilson
intervals) and along the marginals people read (conditions pooled: intervals by sky cell, weighted beside unweighted), each
once per split and once over all splits, for every criterion and subset.

Subset ``clean`` leaves out the evaluated injections whose stamp is masked beyond the limits. Injections that were not
evaluated stay in its account, because nobody knows whether they were clean: n_task = n_evaluated + n_not_evaluated holds in
both subsets, and n_task of ``clean`` is smaller than that of ``all`` by exactly the evaluated injections that are not clean.

The snr_matched_r table holds evaluated injections only: one that was not evaluated has no S/N, so it is accounted for in
every other table. Bin -1 means that the quantity is not known: a PSF size that was never measured (always not evaluated),
or a depth that the host's catalogue does not give.

Injections of a population grid have parameters of their own each: no cell is keyed by theta_e, source magnitude or size. They pool over
all, and by the bins of PSF size, depth, resolution (theta_e over PSF size) and S/N.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.records import CELLS, conform
from halo_core.stages.criteria import Criterion
from halo_core.stages.summary_blocks import ExperimentRows
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_intervals import SolvedPools, borrow, clustered_columns, wilson_columns
from halo_core.stages.summary_pools import PoolCounts, Pooling, count_pools, count_recovered, pool_rows, sky_pairs
from halo_core.stages.summary_rows import SUBSETS, Injections
from halo_core.statistics.clustering import design_effects

SCIENCE_VERSION: int = 2

Values = NDArray[np.generic] | list[str] | list[float | int | str | None]
Sets = Mapping[str, frozenset[int]]
Solved = dict[str, dict[tuple[str, ...], SolvedPools]]

_LENDERS = ((), ("theta_e_arcsec",), ("psf_fwhm_r_bin",))
"""Axes of the tables that a finer one may borrow a design effect from."""


SOURCES = ("src_dmag", "src_mag_r", None)
"""Axis of source brightness: that of the grid; None for a population, whose drawn parameters are no keys of cells, only their bins."""


def surface_axes(source: str | None) -> tuple[str, ...]:
    """Return the key columns of the full surface; ``source`` is one of ``SOURCES``."""
    values = () if source is None else ("theta_e_arcsec", source, "src_reff_arcsec")
    return (*values, "psf_fwhm_r_bin", "psfdepth_r_bin", "resolution_bin")


def marginal_axes(source: str | None) -> tuple[tuple[str, ...], ...]:
    """Return the key columns of each pooled table, coarser ones before the finer ones that borrow from them."""
    one_axis = tuple((name,) for name in (*surface_axes(source), "snr_matched_r_bin"))
    two_axes = () if source is None else (("theta_e_arcsec", "psf_fwhm_r_bin"), ("theta_e_arcsec", "psfdepth_r_bin"))
    return ((), *one_axis, *two_axes)


def summarise(
    campaign: Iterable[ExperimentRows], config: SummaryConfig, *, selection_sets: Mapping[str, Iterable[int]] | None = None
) -> pa.Table:
    """Return the completeness cells of a campaign.

    Parameters
    ----------
    campaign : iterable of ExperimentRows
        From :func:`halo_core.stages.summary_blocks.gather`, with the same ``config``.
    config : SummaryConfig
        Criteria, bins, limits.
    selection_sets : mapping of str to iterable of int, optional
        region_id members of each selection set; None where there are no sets. Sets overlap: each is summarised by itself,
        beside the rows over all regions (selection_set_id NULL), and they are never summed.

    Returns
    -------
    Table
        ``records.CELLS``.

    Notes
    -----
    Experiments (tier, grid, size, bandset) are worked off one by one.
    """
    sets = {name: frozenset(members) for name, members in (selection_sets or {}).items()}
    tables = [table for experiment in campaign for table in _experiment_cells(experiment, config, sets)]
    cells = pa.concat_tables(tables) if tables else CELLS.empty_table()
    numbered = cells.set_column(CELLS.get_field_index("cell"), CELLS.field("cell"), pa.array(np.arange(cells.num_rows)))
    return conform(numbered, CELLS, where="completeness cells")


def headline(cells: pa.Table) -> list[dict[str, object]]:
    """Return the rows that people read first: per experiment and criterion, over all splits and conditions, subset ``all``.

    Returns
    -------
    list of dict
        tier, grid, stamp_size, bandset, criterion, n_planned, n_evaluated, n_not_evaluated, n_recovered, is_too_few,
        completeness, lower_95, upper_95, completeness_weighted, weighted_lower_95, weighted_upper_95, n_clusters, deff,
        interval_note; None where there is no number.
    """
    names = {"n_planned": "n_task"}
    keys = (
        "tier",
        "grid",
        "stamp_size",
        "bandset",
        "criterion",
        "n_planned",
        "n_evaluated",
        "n_not_evaluated",
        "n_recovered",
        "is_too_few",
    )
    values = ("completeness", "lower_95", "upper_95", "completeness_weighted", "weighted_lower_95", "weighted_upper_95")
    rows = read_first(cells, axes="").to_pylist()
    return [{name: row[names.get(name, name)] for name in (*keys, *values, "n_clusters", "deff", "interval_note")} for row in rows]


def read_first(cells: pa.Table, *, axes: str) -> pa.Table:
    """Return the rows of one table of cells that people read: subset ``all``, over all splits and regions."""
    is_whole = (pc.field("subset") == "all") & pc.field("region_split").is_null() & pc.field("selection_set_id").is_null()
    return cells.filter(is_whole & (pc.field("axes") == axes))


def _experiment_cells(experiment: ExperimentRows, config: SummaryConfig, sets: Sets) -> Iterator[pa.Table]:
    """Yield the cells of one experiment: all regions, then each selection set; all, then clean."""
    injections = experiment.injections
    for set_id in (None, *sorted(sets)):
        chosen = injections if set_id is None else injections.take(np.isin(injections.region_id, list(sets[set_id])))
        for subset in SUBSETS:
            rows = chosen.of_subset(subset)
            if len(rows):
                key = {**experiment.key, "selection_set_id": set_id, "subset": subset}
                yield from _subset_cells(rows, key, config)


def _subset_cells(injections: Injections, key: Mapping[str, object], config: SummaryConfig) -> Iterator[pa.Table]:
    """Yield the tables of one subset: marginals first, because finer ones borrow from coarser ones, then the full surface."""
    source = next((name for name in SOURCES if name in injections.axes), None)
    everything = np.ones(len(injections), dtype=np.bool_)
    for is_by_split in (True, False):
        solved: Solved = {criterion.name: {} for criterion in config.criteria}
        for axes in marginal_axes(source):
            is_in = injections.is_evaluated if "snr_matched_r_bin" in axes else everything
            pooling = pool_rows(injections, axes, is_by_split=is_by_split, is_in=is_in)
            yield from _pooled_cells(injections, pooling, solved, key, config)
        pooling = pool_rows(injections, surface_axes(source), is_by_split=is_by_split, is_in=everything)
        yield from _surface_cells(injections, pooling, key, config)


def _pooled_cells(
    injections: Injections, pooling: Pooling, solved: Solved, key: Mapping[str, object], config: SummaryConfig
) -> Iterator[pa.Table]:
    """Yield one marginal table by criterion, and leave in ``solved`` the design effects that finer tables may borrow."""
    counts, pairs = count_pools(injections, pooling), sky_pairs(injections, pooling)
    for criterion in config.criteria:
        is_recovered = injections.recovered[criterion.name]
        pools = pairs.unweighted(is_recovered)
        borrowed = borrow(pooling, pools, solved[criterion.name])
        intervals = clustered_columns(counts, pools, pairs.weighted(is_recovered, injections.weight), borrowed)
        if pooling.axes in _LENDERS:
            solved[criterion.name][pooling.axes] = SolvedPools(pooling, design_effects(pools))
        counted = _counted(counts, count_recovered(pooling, is_recovered), config)
        yield _cells({**key, **_criterion_key(criterion)}, _keys(injections, pooling) | counted | intervals, pooling.n_pools)


def _surface_cells(injections: Injections, pooling: Pooling, key: Mapping[str, object], config: SummaryConfig) -> Iterator[pa.Table]:
    """Yield the full surface by criterion."""
    counts, pairs = count_pools(injections, pooling), sky_pairs(injections, pooling)
    for criterion in config.criteria:
        is_recovered = injections.recovered[criterion.name]
        k = count_recovered(pooling, is_recovered)
        intervals = wilson_columns(counts, pairs.unweighted(is_recovered), k)
        columns = _keys(injections, pooling) | _counted(counts, k, config) | intervals
        yield _cells({**key, **_criterion_key(criterion)}, columns, pooling.n_pools)


def _criterion_key(criterion: Criterion) -> dict[str, object]:
    """Return the key columns of a criterion."""
    return {"criterion": criterion.name, "criterion_version": criterion.version}


def _counted(counts: PoolCounts, k: NDArray[np.int64], config: SummaryConfig) -> dict[str, Values]:
    """Return the columns of counts, shares and S/N."""
    n_not = counts.n_task - counts.n_evaluated
    n_evaluated, n_task = _divisor(counts.n_evaluated), _divisor(counts.n_task)
    return {
        "n_task": counts.n_task,
        "n_evaluated": counts.n_evaluated,
        "n_not_evaluated": n_not,
        "losses": counts.losses,
        "n_recovered": k,
        "is_too_few": counts.n_evaluated < config.min_n,
        "completeness": k / n_evaluated,
        "bound_lower": k / n_task,
        "bound_upper": (k + n_not) / n_task,
        "snr_matched_r_mean": counts.snr_mean,
        "snr_matched_r_median": counts.snr_median,
    }


def _keys(injections: Injections, pooling: Pooling) -> dict[str, Values]:
    """Return the key columns of each pool, and the edges of its bin where one axis is binned."""
    columns: dict[str, Values] = {"axes": [",".join(pooling.axes)] * pooling.n_pools}
    for name in pooling.axes + (("region_split",) if pooling.is_by_split else ()):
        axis = injections.axes[name]
        columns[name] = [axis.values[code] for code in axis.codes[pooling.first_row].tolist()]
    binned = [axis for axis in (injections.axes[name] for name in pooling.axes) if axis.is_binned]
    if len(binned) == 1:
        codes = binned[0].codes[pooling.first_row]
        columns |= {"bin_lower": binned[0].lower[codes], "bin_upper": binned[0].upper[codes]}
    return columns


def _cells(shared: Mapping[str, object], columns: Mapping[str, Values], n_rows: int) -> pa.Table:
    """Return one table of cells; what is neither shared nor a column is NULL, the cell's number is set at the end."""
    arrays = []
    for field in CELLS:
        if field.name in columns:
            arrays.append(pa.array(columns[field.name], type=field.type, from_pandas=True))
        elif shared.get(field.name) is not None:
            arrays.append(pa.repeat(pa.scalar(shared[field.name], type=field.type), n_rows))
        else:
            arrays.append(pa.nulls(n_rows, type=field.type))
    return pa.Table.from_arrays(arrays, schema=CELLS)


def _divisor(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return counts as divisors: NaN for 0, which a table stores as NULL."""
    return np.where(counts > 0, counts, np.nan)
