"""Tests within strata: equal to independent codes where these exist, right in rate where labels are dealt, strong where they are not."""

from itertools import combinations

import numpy as np
import pytest
from scipy.special import kolmogorov
from scipy.stats import binom, fisher_exact, ks_2samp, mannwhitneyu
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from halo_core.statistics.leakage import RIDGE, SeparationInterval, grouped_auc, ks_p_value, separation, share_p_value

N_CELLS = 40
Scene = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def dealt(rng: np.random.Generator, n: int) -> Scene:
    """Return conditions (a magnitude, seeing that a sky cell shares), labels dealt within four strata of unequal shares, strata, folds."""
    cell = rng.integers(0, N_CELLS, n)
    seeing = rng.normal(size=N_CELLS)[cell] + 0.1 * rng.normal(size=n)
    stratum = np.digitize(seeing, [-0.7, 0.0, 0.7])
    is_control = np.zeros(n, dtype=bool)
    for code, share in enumerate((0.5, 0.3, 0.5, 0.7)):
        rows = rng.permutation(np.flatnonzero(stratum == code))
        is_control[rows[: round(share * len(rows))]] = True
    return np.stack([rng.uniform(18.0, 21.0, n), seeing], axis=1), is_control, stratum, cell % 5


def judged(scene: Scene, *, n_permutations: int = 200) -> SeparationInterval:
    columns, is_control, stratum, fold = scene
    rng = np.random.default_rng(7)
    return separation(columns, is_control, stratum=stratum, fold=fold, rng=rng, n_permutations=n_permutations, level=0.99)


def test_in_one_stratum_the_statistic_is_that_of_two_samples() -> None:
    columns, is_control, _, _ = dealt(np.random.default_rng(1), 300)
    values = np.round(columns[:, 0], 1) + 0.1 * is_control
    found = ks_p_value(values, is_control, np.zeros(300, dtype=int))
    d = ks_2samp(values[is_control], values[~is_control]).statistic
    h = is_control.sum() * (~is_control).sum() / 300
    assert found == pytest.approx(kolmogorov(d * np.sqrt(h * 299 / 300)), rel=1e-9)


def test_a_stratum_of_one_class_says_nothing() -> None:
    values, is_control = np.arange(20.0), np.repeat([False, True], 10)
    assert ks_p_value(values, is_control, is_control.astype(int)) == 1.0
    assert share_p_value(values < 10, is_control, is_control.astype(int)) == 1.0


def test_the_share_of_one_stratum_is_fishers_and_that_of_several_counts_every_dealing() -> None:
    marked, is_control = np.arange(30) % 7 < 3, np.arange(30) % 3 == 0
    counts = [[int(np.sum(marked & is_control)), int(np.sum(~marked & is_control))], [int(np.sum(marked & ~is_control)), 0]]
    counts[1][1] = int(np.sum(~marked & ~is_control))
    tails = [fisher_exact(counts, alternative=side).pvalue for side in ("less", "greater")]
    assert share_p_value(marked, is_control, np.zeros(30, dtype=int)) == pytest.approx(min(1.0, 2 * min(tails)))
    marked, is_control = np.array([1, 1, 0, 0, 0, 1, 1, 0, 0], dtype=bool), np.array([1, 1, 0, 0, 0, 1, 0, 1, 0], dtype=bool)
    stratum = np.repeat([0, 1], [5, 4])
    numbers = [
        marked[list(one)].sum() + marked[list(other)].sum() for one in combinations(range(5), 2) for other in combinations(range(5, 9), 2)
    ]
    assert share_p_value(marked, is_control, stratum) == pytest.approx(2 * np.mean(np.array(numbers) >= 3))


def test_the_auc_is_that_of_independent_codes() -> None:
    rng = np.random.default_rng(2)
    score, is_control, group = rng.integers(0, 12, 200).astype(float), rng.random(200) < 0.4, np.repeat([0, 1, 2], [90, 70, 40])
    one = grouped_auc(score[:90, None], is_control[:90, None], group[:90])[0]
    assert one == pytest.approx(roc_auc_score(is_control[:90], score[:90]))
    inside = [group == number for number in range(3)]
    u = sum(mannwhitneyu(score[rows & is_control], score[rows & ~is_control]).statistic for rows in inside)
    n_pairs = sum(int(np.sum(rows & is_control) * np.sum(rows & ~is_control)) for rows in inside)
    assert grouped_auc(score[:, None], is_control[:, None], group)[0] == pytest.approx(u / n_pairs)


def test_the_classifier_is_that_of_an_independent_code_on_folds_it_has_not_seen() -> None:
    columns, is_control, _, fold = dealt(np.random.default_rng(3), 600)
    columns[:, 0] += 0.7 * is_control
    z = (columns - columns.mean(axis=0)) / columns.std(axis=0)
    z = np.hstack([z, z**2])
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    score = np.zeros(600)
    for number in range(5):
        fitted = LogisticRegression(C=1.0 / RIDGE, tol=1e-8, max_iter=500).fit(z[fold != number], is_control[fold != number])
        score[fold == number] = fitted.decision_function(z[fold == number])
    expected = grouped_auc(score[:, None], is_control[:, None], fold)[0]
    assert expected > 0.55
    assert judged((columns, is_control, np.zeros(600, dtype=int), fold), n_permutations=10).auc == pytest.approx(expected, abs=1e-3)


def test_labels_dealt_within_strata_raise_no_more_alarms_than_stated() -> None:
    # 400 dealings: at most as many p below 5 % as one in a thousand binomial campaigns would have, for each column and for the share
    scenes = [dealt(np.random.default_rng([11, number]), 400) for number in range(400)]
    limit = binom.ppf(0.999, 400, 0.05)
    for column in range(2):
        assert sum(ks_p_value(s[0][:, column], s[1], s[2]) < 0.05 for s in scenes) <= limit
    assert 0 < sum(share_p_value(s[0][:, 0] < 18.9, s[1], s[2]) < 0.05 for s in scenes) <= limit
    # without strata the unequal shares alone would be an alarm nearly always
    assert sum(ks_p_value(s[0][:, 1], s[1], np.zeros(400, dtype=int)) < 0.05 for s in scenes[:40]) > 30


def test_intervals_of_dealt_labels_hold_one_half_at_their_level() -> None:
    # 50 dealings with 99 % intervals: three outside happen once in 600 such tests
    found = [judged(dealt(np.random.default_rng([13, number]), 400), n_permutations=100) for number in range(50)]
    assert sum(one.lower > 0.5 or one.upper < 0.5 for one in found) <= 2
    assert np.mean([one.upper - one.lower for one in found]) == pytest.approx(2 * 2.58 * np.std([one.auc for one in found]), rel=0.35)


def test_a_shift_a_wider_spread_and_a_null_are_told_apart() -> None:
    for leak in range(3):
        columns, is_control, stratum, fold = dealt(np.random.default_rng([17, leak]), 1000)
        if leak == 0:
            columns[:, 0] += 0.6 * is_control
        elif leak == 1:
            columns[:, 0] += np.where(is_control, 1.5 * (columns[:, 0] - 19.5), 0.0)
        else:
            columns[is_control & (np.arange(1000) % 2 == 0), 0] = np.nan
        assert judged((columns, is_control, stratum, fold)).lower > 0.55


def test_labels_follow_the_generator_and_folds_need_both_classes() -> None:
    scene = dealt(np.random.default_rng(5), 400)
    assert judged(scene) == judged(scene)
    with pytest.raises(ValueError, match="of one class"):
        judged((scene[0], scene[1], scene[2], scene[1].astype(int)))
    with pytest.raises(ValueError, match="no group holds both classes"):
        grouped_auc(np.zeros((4, 1)), np.array([[True], [True], [False], [False]]), np.array([0, 0, 1, 1]))
