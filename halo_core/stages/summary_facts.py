"""Facts beside the completeness cells: magnifications, where PSF sizes come from, and what a criterion's own limit decides.

Flat rows by name, for the report and for checks. They are made of what ``summary_blocks.gather`` keeps.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from halo_core.stages.criteria import RESOLUTION, Criterion
from halo_core.stages.summary_blocks import ExperimentRows
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_expected import REFERENCE_PROXY, expected_rows
from halo_core.stages.summary_pools import compact
from halo_core.statistics.clustering import clustered_interval
from halo_core.statistics.intervals import LEVEL_95

Row = dict[str, object]
Facts = Mapping[str, Sequence[Mapping[str, object]]]

FACT_NAMES = ("magnification", "psf_provenance", "definition", "models", "expected")

_BINS_PER_DECADE = 20


def summary_facts(
    campaign: Sequence[ExperimentRows], config: SummaryConfig, *, models: Sequence[Row], reference_grids: frozenset[str]
) -> dict[str, list[Row]]:
    """Return the facts of a campaign, lists of flat rows by ``FACT_NAMES``; None where there is no number.

    Parameters
    ----------
    campaign : sequence of ExperimentRows
        From ``summary_blocks.gather``, with the same ``config``.
    config : SummaryConfig
        Criteria.
    models : sequence of dict
        Rows of ``summary_models.smooth_models``, each with ``key``, the object that holds the model (None where there is none).
    reference_grids : frozenset of str
        Grids of the campaign that are the reference design (``summary_expected.is_reference_design``).

    Returns
    -------
    dict of str to list of dict
        ``magnification``, one row per tier: tier, grid, n_physical (injections that any view evaluated, each once), minimum, q16, median,
        mean, q84, maximum, histogram_edges, histogram_counts (the first bin ends at 1, each other is 0.05 dex wide).
        ``psf_provenance``, one per experiment, split, band and source: tier, grid, stamp_size, bandset, region_split, band, psf_source
        (0 psfsize map at the host, 1 brick value, None where the task has none), n_tasks (controls included).
        ``definition``, one per experiment and criterion with a minimum on the resolution: tier, grid, stamp_size, bandset, criterion,
        metric, minimum, is_reference (the reference campaign's proxy), n_below, n_recovered_below, n_above, n_recovered_above (evaluated
        injections, all splits, subset ``all``), share_above with lower_95, upper_95 by sky cell, n_eff_above and interval_note.
        ``models``, as given.
        ``expected``, for the reference design: tier, grid, stamp_size, bandset, criterion, quantity, expected, tolerance, observed, n
        (effective), n_needed, is_ok (None where n is below n_needed).
    """
    magnification = list(_magnifications(campaign))
    definition = [row for one in campaign for criterion in config.criteria for row in _definition(one, criterion)]
    return {
        "magnification": magnification,
        "psf_provenance": [row for one in campaign for row in _psf_provenance(one)],
        "definition": definition,
        "models": list(models),
        "expected": list(expected_rows(magnification, definition, reference_grids)),
    }


def _magnifications(campaign: Sequence[ExperimentRows]) -> Iterator[Row]:
    """Yield the magnifications of each tier."""
    for tier, grid in sorted({(str(one.key["tier"]), str(one.key["grid"])) for one in campaign}):
        parts = [one.magnification for one in campaign if (one.key["tier"], one.key["grid"]) == (tier, grid)]
        yield {"tier": tier, "grid": grid} | _distribution(np.sort(np.concatenate(parts)))


def _distribution(rising: NDArray[np.float64]) -> Row:
    """Return the columns of a distribution; the numbers depend on no order, because the values are sorted."""
    names = ("minimum", "q16", "median", "q84", "maximum")
    numbers = np.quantile(rising, [0.0, 0.16, 0.5, 0.84, 1.0]).tolist() if len(rising) else [None] * len(names)
    n_bins = int(np.ceil(np.log10(max(rising[-1], 1.0)) * _BINS_PER_DECADE)) + 1 if len(rising) else 1
    edges = [0.0, *(10.0 ** (np.arange(n_bins + 1) / _BINS_PER_DECADE)).tolist()]
    mean = float(rising.mean()) if len(rising) else None
    counts = np.histogram(rising, edges)[0].tolist()
    return {"n_physical": len(rising), "mean": mean, "histogram_edges": edges, "histogram_counts": counts} | dict(
        zip(names, numbers, strict=True)
    )


def _psf_provenance(one: ExperimentRows) -> Iterator[Row]:
    """Yield where the PSF sizes of an experiment come from; in order, an unknown source last."""
    for split, band, source in sorted(one.psf_sources, key=lambda key: (key[0], key[1], key[2] is None, key[2] or 0)):
        n_tasks = one.psf_sources[split, band, source]
        yield {**one.key, "region_split": split, "band": band, "psf_source": source, "n_tasks": n_tasks}


def _definition(one: ExperimentRows, criterion: Criterion) -> Iterator[Row]:
    """Yield what a criterion recovers below and above its own limit on the resolution."""
    rows, is_recovered = one.injections, one.injections.recovered[criterion.name]
    for metric, minimum in criterion.minimums:
        if metric == RESOLUTION:
            is_above = rows.is_evaluated & (rows.resolution >= minimum)
            is_below = rows.is_evaluated & ~is_above
            counts = {"n_below": is_below, "n_recovered_below": is_below & is_recovered}
            counts |= {"n_above": is_above, "n_recovered_above": is_above & is_recovered}
            yield {
                **one.key,
                "criterion": criterion.name,
                "metric": metric,
                "minimum": minimum,
                "is_reference": criterion.minimums == REFERENCE_PROXY,
                **{name: int(np.count_nonzero(chosen)) for name, chosen in counts.items()},
                **_share(rows.sky_cell[is_above], is_recovered[is_above]),
            }


def _share(sky_cell: NDArray[np.int64], is_recovered: NDArray[np.bool_]) -> Row:
    """Return the recovered share of some rows with its interval by sky cell."""
    _, cell = compact(sky_cell, int(sky_cell.max(initial=0)) + 1)
    found = clustered_interval(np.bincount(cell, weights=is_recovered), np.bincount(cell), LEVEL_95)
    numbers = {"share_above": found.p, "lower_95": found.lower, "upper_95": found.upper, "n_eff_above": found.n_eff}
    return {name: None if np.isnan(value) else float(value) for name, value in numbers.items()} | {"interval_note": found.note}
