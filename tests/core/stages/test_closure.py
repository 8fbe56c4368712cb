"""Closure: with a planted, known law of detection the intervals of the summary cover the truth at their nominal rate.

Truth is the superpopulation mean of a logit with a random effect per sky cell (ICC 0.05), by quadrature; cells are unequal. Each share
of intervals that cover must lie within the 99.9 % binomial range around [0.94, 0.97].
"""

import logging

import numpy as np
import pyarrow.compute as pc
import pytest

from halo_core.stages.summary import read_first, summarise
from halo_core.stages.summary_blocks import gather
from halo_core.stages.summary_config import SummaryConfig
from halo_core.statistics import clustered_interval, weighted_interval, wilson_interval
from tests.fixtures.planted import DETECTOR, THETA_E_ARCSEC, PlantedLaw, campaign, cell_sizes, counts, covered_range
from tests.fixtures.summaries import summary_config

logger = logging.getLogger(__name__)

LAW = PlantedLaw(mean=0.3, slope=1.2, icc=0.05)
TRUTHS = LAW.at(LAW.effect)
TRUTH = float(TRUTHS.mean())
CONFIG: SummaryConfig = summary_config(criteria=(DETECTOR,))
N_CELLS = 30


def assert_covers(n_covered: int, n: int, what: str) -> None:
    """Assert that a number of covering intervals is what a true coverage within [0.94, 0.97] gives."""
    least, most = covered_range(n)
    logger.info("%s: %d of %d cover (%.4f); allowed %d to %d", what, n_covered, n, n_covered / n, least, most)
    assert least <= n_covered <= most, what


def test_planted_law_has_the_icc_and_the_mean_that_were_asked_for():
    rng = np.random.default_rng(1)
    logit = LAW.mean + LAW.slope * np.log(THETA_E_ARCSEC)
    share = (1.0 / (1.0 + np.exp(-(logit[:, None] + LAW.effect * rng.normal(size=400_000))))).mean(axis=0)
    assert share.mean() == pytest.approx(TRUTH, abs=6 * share.std() / np.sqrt(400_000))
    assert share.var() / (TRUTH * (1.0 - TRUTH)) == pytest.approx(0.05, rel=0.02)


def cover_by_functions(n_campaigns: int, seed: int, law: PlantedLaw) -> None:
    """Check the functions that the summary calls, unweighted and weighted, on counts by sky cell; naive Wilson must fail."""
    rng, truth = np.random.default_rng(seed), float(law.at(law.effect).mean())
    unweighted = weighted = naive = 0
    for _ in range(n_campaigns):
        n = cell_sizes(rng, n_cells=N_CELLS, mean_size=40.0)
        k = counts(rng, law, n)
        found = clustered_interval(k, n, 0.95)
        unweighted += found.lower <= truth <= found.upper
        cell = np.repeat(np.arange(N_CELLS), n)
        recovered = np.arange(len(cell)) - np.repeat(np.cumsum(n) - n, n) < k[cell]
        by_weight = weighted_interval(recovered, rng.uniform(0.5, 3.0, len(cell)), cell, 0.95)
        weighted += by_weight.lower <= truth <= by_weight.upper
        lower, upper = wilson_interval(k.sum(), n.sum(), 0.95)
        naive += lower <= truth <= upper
    assert_covers(unweighted, n_campaigns, f"functions, truth {truth:.3f}, unweighted")
    assert_covers(weighted, n_campaigns, f"functions, truth {truth:.3f}, weighted")
    assert naive < 0.85 * n_campaigns


def cover_by_campaigns(n_campaigns: int, seed: int) -> None:
    """Check the cells that ``summarise`` makes of whole tables: pooled over everything, weighted and not, and by Einstein radius."""
    rng = np.random.default_rng(seed)
    covered = dict.fromkeys(("pooled", "pooled, weighted", *(f"theta_e {value}" for value in THETA_E_ARCSEC)), 0)
    for _ in range(n_campaigns):
        cells = summarise(gather([campaign(rng, LAW, n_cells=N_CELLS, mean_size=40.0)], CONFIG), CONFIG)
        (pooled,) = read_first(cells, axes="").to_pylist()
        assert pooled["n_evaluated"] > 800
        assert pooled["n_not_evaluated"] > 0
        assert pooled["n_clusters"] == N_CELLS
        covered["pooled"] += pooled["lower_95"] <= TRUTH <= pooled["upper_95"]
        covered["pooled, weighted"] += pooled["weighted_lower_95"] <= TRUTH <= pooled["weighted_upper_95"]
        by_radius = read_first(cells, axes="theta_e_arcsec")
        for value, truth in zip(THETA_E_ARCSEC, TRUTHS, strict=True):
            (cell,) = by_radius.filter(pc.field("theta_e_arcsec") == value).to_pylist()
            covered[f"theta_e {value}"] += cell["lower_95"] <= truth <= cell["upper_95"]
    for name, number in covered.items():
        assert_covers(number, n_campaigns, f"end to end, {name}")


def test_intervals_cover_a_planted_law_in_a_thousand_simulated_campaigns():
    cover_by_functions(1000, 71, LAW)


def test_cells_of_whole_tables_cover_a_planted_law_in_twenty_simulated_campaigns():
    cover_by_campaigns(20, 72)


@pytest.mark.closure
@pytest.mark.parametrize("mean", [-1.0, 0.3, 1.5])
def test_intervals_cover_a_planted_law_in_four_thousand_simulated_campaigns(mean):
    cover_by_functions(4000, 73, PlantedLaw(mean=mean, slope=1.2, icc=0.05))


@pytest.mark.closure
def test_cells_of_whole_tables_cover_a_planted_law_in_four_hundred_simulated_campaigns():
    cover_by_campaigns(400, 74)
