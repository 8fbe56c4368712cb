"""Completeness of each region at each Einstein radius, and its scatter between regions; kept as objects, not in the state."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from halo_core.records import REGION_CELLS, conform
from halo_core.stages.summary_blocks import ExperimentRows
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_pools import compact
from halo_core.stages.summary_rows import SUBSETS, Injections
from halo_core.statistics.regions import between_region_scatter

GROUP = ("tier", "grid", "stamp_size", "bandset", "criterion", "criterion_version", "subset", "theta_e_arcsec")


def region_cells(campaign: Iterable[ExperimentRows], config: SummaryConfig) -> pa.Table:
    """Return one row per region, Einstein radius, criterion, subset and experiment; a population has no Einstein radii and no rows.

    Parameters and the meaning of subsets are those of :func:`halo_core.stages.summary.summarise`.

    Returns
    -------
    Table
        ``records.REGION_CELLS``.
    """
    tables = [table for experiment in campaign for table in _experiment_regions(experiment, config)]
    return pa.concat_tables(tables) if tables else REGION_CELLS.empty_table()


def region_scatter(cells: pa.Table) -> list[dict[str, object]]:
    """Return the scatter between regions of each Einstein radius: without binomial noise, and raw beside it.

    Parameters
    ----------
    cells : Table
        ``records.REGION_CELLS``.

    Returns
    -------
    list of dict
        The keys of ``GROUP``, n_regions, std_between and std_raw; None where fewer than two regions tell.
    """
    groups: dict[tuple[object, ...], list[tuple[int, int]]] = {}
    for row in cells.to_pylist():
        groups.setdefault(tuple(row[name] for name in GROUP), []).append((row["n_recovered"], row["n_evaluated"]))
    rows = []
    for key, counts in groups.items():
        k, n = np.array(counts, dtype=np.float64).T
        scatter = between_region_scatter(k, n)
        numbers = {"n_regions": scatter.n_regions, "std_between": _or_none(scatter.std_between), "std_raw": _or_none(scatter.std_raw)}
        rows.append(dict(zip(GROUP, key, strict=True)) | numbers)
    return rows


def _experiment_regions(experiment: ExperimentRows, config: SummaryConfig) -> Iterator[pa.Table]:
    """Yield the region cells of one experiment by subset and criterion."""
    if experiment.key["grid"] in config.population_grids:
        return
    for subset in SUBSETS:
        rows = experiment.injections.of_subset(subset)
        if len(rows):
            yield from _region_tables(rows, {**experiment.key, "subset": subset}, config)


def _region_tables(injections: Injections, key: Mapping[str, object], config: SummaryConfig) -> Iterator[pa.Table]:
    """Yield the counts of each (region, Einstein radius) that occurs, by criterion."""
    theta_e = injections.axes["theta_e_arcsec"]
    regions, region = np.unique(injections.region_id, return_inverse=True)
    pools, pool = compact(region * len(theta_e.values) + theta_e.codes, len(regions) * len(theta_e.values))
    n_task = np.bincount(pool, minlength=len(pools))
    n_evaluated = np.bincount(pool[injections.is_evaluated], minlength=len(pools))
    for criterion in config.criteria:
        n_recovered = np.bincount(pool[injections.recovered[criterion.name]], minlength=len(pools))
        shared = {**key, "criterion": criterion.name, "criterion_version": criterion.version}
        columns: dict[str, object] = {name: [value] * len(pools) for name, value in shared.items()}
        columns |= {
            "region_id": regions[pools // len(theta_e.values)],
            "theta_e_arcsec": np.asarray(theta_e.values, dtype=np.float64)[pools % len(theta_e.values)],
            "n_task": n_task,
            "n_evaluated": n_evaluated,
            "n_recovered": n_recovered,
            "completeness": n_recovered / np.where(n_evaluated > 0, n_evaluated, np.nan),
        }
        yield conform(columns, REGION_CELLS, where="region cells")


def _or_none(value: float) -> float | None:
    """Return a number, or None for NaN."""
    return None if np.isnan(value) else value
