"""Differences of two proportions: by hand where a hand can, by independent codes, and covered at their level where pairs share a cell."""

import numpy as np
import pytest
from scipy.special import stdtrit
from scipy.stats import binom, binomtest

from halo_core.statistics.intervals import wilson_interval
from halo_core.statistics.pairs import NOTE_ALIKE, NOTE_FEW, PairedDifference, paired_difference, unpaired_difference
from tests.fixtures.planted import cell_sizes


def of_table(table: list[tuple[int, int, int, int]]) -> PairedDifference:
    """Return the difference of cells that hold so many pairs recovered in both, in A alone, in B alone, in neither."""
    kinds = np.array([(1, 1), (1, 0), (0, 1), (0, 0)], dtype=bool)
    cell = np.repeat(np.arange(len(table)), [sum(row) for row in table])
    pairs = np.concatenate([np.repeat(kinds, row, axis=0) for row in table])
    return paired_difference(pairs[:, 0], pairs[:, 1], cell, 0.95)


def test_a_known_table_gives_its_difference_interval_and_p() -> None:
    table = [(4, 1, 3, 2), (5, 0, 2, 3), (2, 2, 4, 2), (6, 1, 1, 2), (3, 0, 6, 1), (1, 1, 2, 6)]
    found = of_table(table)
    assert (found.n_both, found.n_only_a, found.n_only_b, found.n_neither, found.n_pairs) == (21, 5, 18, 16, 60)
    assert found.difference == pytest.approx(13 / 60)
    # six cells of ten pairs: sum d_j = 2 2 2 0 6 1, residuals from 13/6
    residual = np.array([2, 2, 2, 0, 6, 1]) - 13 / 6
    variance = np.sum(residual**2) / (1 - 1 / 6) / 60**2
    independent = (23 - 13**2 / 60) / 60**2
    assert found.variance == pytest.approx(max(variance, independent))
    half = stdtrit(5, 0.975) * np.sqrt(found.variance)
    assert (found.lower, found.upper) == pytest.approx((13 / 60 - half, 13 / 60 + half))
    assert found.mcnemar_p == pytest.approx(binomtest(18, 23, 0.5).pvalue)
    assert found.note == ""


def test_the_variance_is_never_below_that_of_independent_pairs() -> None:
    found = of_table([(5, 2, 3, 0)] * 6)
    assert found.variance == pytest.approx((30 - 6**2 / 60) / 60**2)


def test_what_does_not_differ_and_what_stands_in_few_cells_has_no_interval() -> None:
    alike = of_table([(3, 0, 0, 4)] * 6)
    assert (alike.difference, alike.mcnemar_p, alike.note) == (0.0, 1.0, NOTE_ALIKE)
    few = of_table([(3, 1, 2, 4)] * 4)
    assert "number of sky cells 4" in few.note
    empty = paired_difference([], [], [], 0.95)
    assert empty.n_pairs == 0
    assert all(np.isnan([one.lower, one.upper]).all() for one in (alike, few, empty))
    assert np.isnan(empty.difference)
    assert of_table([(9, 1, 0, 0)] * 6).note == NOTE_FEW


def test_shapes_and_levels_are_checked() -> None:
    with pytest.raises(ValueError, match="vectors of one length"):
        paired_difference([True], [True, False], [0, 1], 0.95)
    with pytest.raises(ValueError, match="level is"):
        paired_difference([True], [True], [0], 1.0)


def test_swapping_campaigns_turns_the_sign() -> None:
    rng = np.random.default_rng(3)
    a, b, cell = rng.random(300) < 0.5, rng.random(300) < 0.6, rng.integers(0, 20, 300)
    one, other = paired_difference(a, b, cell, 0.95), paired_difference(b, a, cell, 0.95)
    assert (one.difference, one.lower, one.upper) == pytest.approx((-other.difference, -other.upper, -other.lower))
    assert one.mcnemar_p == other.mcnemar_p


def test_the_paired_interval_covers_where_differences_go_together_in_a_cell() -> None:
    # truth 0.06: B gains 0.10 to 0.30 by the cell's effect and loses 0.14; 600 campaigns, 99.9 % binomial range around [0.93, 0.97]
    n, n_covered, n_naive = 600, 0, 0
    for number in range(n):
        rng = np.random.default_rng([5, number])
        size = cell_sizes(rng, n_cells=30, mean_size=40.0)
        cell = np.repeat(np.arange(30), size)
        gain = rng.choice([0.10, 0.20, 0.30], 30)[cell]
        draw = rng.random(len(cell))
        b, a = draw < gain, (draw >= gain) & (draw < gain + 0.14)
        found = paired_difference(a, b, cell, 0.95)
        n_covered += found.lower <= 0.06 <= found.upper
        wald = 1.96 * np.sqrt((np.sum(a != b) - (found.difference * len(a)) ** 2 / len(a)) / len(a) ** 2)
        n_naive += abs(found.difference - 0.06) <= wald
    assert binom.ppf(0.0005, n, 0.93) <= n_covered <= binom.ppf(0.9995, n, 0.97)
    assert n_naive < 0.93 * n


def test_the_unpaired_interval_is_newcombes() -> None:
    # Newcombe (1998), table II, example (a): 56/70 - 48/80 = 0.2, method 10: 0.0524 to 0.3339
    sides = [tuple(np.array([value]) for value in (k / n, *wilson_interval(k, n, 0.95))) for k, n in ((48, 80), (56, 70))]
    found = unpaired_difference(*sides)
    assert [float(value[0]) for value in found] == pytest.approx([0.2, 0.0524, 0.3339], abs=5e-5)
    nothing = tuple(np.array([np.nan]) for _ in range(3))
    assert all(np.isnan(value[0]) for value in unpaired_difference(nothing, sides[0]))
