"""Strata, shares and dealing: counting laws, over many random designs."""

import numpy as np
import pytest

from halo_core.errors import ManifestError
from halo_core.stages.allocation import deal, equal_shares, quantile_edges, strata


def shares(capacity: list[int], n_injection_hosts: int, n_controls: int) -> tuple[list[int], list[int]]:
    order = np.random.default_rng(5).permutation(len(capacity))
    given, controls = equal_shares(np.array(capacity), order, n_injection_hosts=n_injection_hosts, n_controls=n_controls)
    return given.tolist(), controls.tolist()


def test_quartiles_hold_equal_numbers_of_distinct_values() -> None:
    values = np.random.default_rng(1).permutation(1000) / 7.0
    assert np.bincount(strata(values, quantile_edges(values))).tolist() == [250, 250, 250, 250]


@pytest.mark.parametrize(
    ("values", "n_bins"),
    [([1.3], 1), ([1.0, 1.0, 1.0], 1), ([1.0, 2.0], 2), ([1.0] * 9 + [2.0], 1), ([1.0, 2.0, 3.0], 3), ([np.nan, np.nan], 0)],
)
def test_fewer_distinct_values_make_fewer_bins_and_none_is_empty(values: list[float], n_bins: int) -> None:
    bins = strata(np.array(values), quantile_edges(np.array(values)))
    found = np.unique(bins[bins >= 0])
    assert len(found) <= max(n_bins, 1) + (n_bins == 1 and len(set(values)) > 1)
    assert found.tolist() == list(range(len(found)))


def test_unknown_conditions_have_a_bin_of_their_own_and_move_no_edge() -> None:
    known = np.arange(100.0)
    values = np.append(known, [np.nan] * 50)
    np.testing.assert_array_equal(quantile_edges(values), quantile_edges(known))
    assert (strata(values, quantile_edges(values))[100:] == -1).all()


def test_strata_give_equal_shares_to_one() -> None:
    given, controls = shares([100] * 16, 250, 333)
    both = np.add(given, controls)
    assert (sum(given), sum(controls)) == (250, 333)
    assert max(np.ptp(given), np.ptp(controls), np.ptp(both)) == 1


def test_what_a_stratum_lacks_the_others_give_in_equal_parts() -> None:
    given, controls = shares([10, 500, 500, 500], 300, 100)
    assert given[0] + controls[0] == 10
    assert np.ptp(given[1:]) <= 1
    assert np.ptp(controls[1:]) <= 1
    assert (sum(given), sum(controls)) == (300, 100)


def test_a_short_stratum_splits_its_hosts_as_the_whole_is_split() -> None:
    given, controls = shares([40, 500, 500], 300, 100)
    assert (given[0], controls[0]) == (30, 10)


def test_shares_add_up_and_fit_for_any_capacities() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        capacity = rng.integers(1, 60, rng.integers(1, 20))
        total = int(rng.integers(0, capacity.sum() + 1))
        n_injections = int(rng.integers(0, total + 1))
        given, controls = equal_shares(
            capacity, rng.permutation(len(capacity)), n_injection_hosts=n_injections, n_controls=total - n_injections
        )
        both = given + controls
        assert (given.sum(), both.sum()) == (n_injections, total)
        assert (given >= 0).all()
        assert (controls >= 0).all()
        assert (both <= capacity).all()
        rest = both < capacity  # strata that could give more give equal shares, and none gives more than one above them
        if rest.any():
            assert np.ptp(both[rest]) <= 1
            assert both.max() <= both[rest].min() + 1


def test_more_hosts_than_exist_are_refused() -> None:
    with pytest.raises(ManifestError, match="12 distinct hosts are wanted, 11 exist"):
        shares([5, 6], 8, 4)


@pytest.mark.parametrize(
    ("n_hosts", "n_per_config", "n_configs"), [([96], 2, 48), ([48], 48, 48), ([20, 31, 7, 2], 40, 360), ([5], 5, 48), ([7, 1], 3, 11)]
)
def test_dealing_is_balanced_even_and_never_repeats_a_pair(n_hosts: list[int], n_per_config: int, n_configs: int) -> None:
    dealt = deal(np.array(n_hosts), n_pairs=n_per_config * n_configs, n_configs=n_configs)
    over_all = np.zeros(n_configs, dtype=int)
    uses = []
    for n, (ranks, configs) in zip(n_hosts, dealt, strict=True):
        assert len(set(zip(ranks.tolist(), configs.tolist(), strict=True))) == len(ranks)
        assert np.ptp(np.bincount(configs, minlength=n_configs)) <= 1
        uses += np.bincount(ranks, minlength=n).tolist()
        over_all += np.bincount(configs, minlength=n_configs)
    assert (over_all == n_per_config).all()
    assert np.ptp(uses) <= 1


def test_one_host_per_pair_uses_every_host_once() -> None:
    dealt = deal(np.array([30, 70]), n_pairs=100, n_configs=48)
    assert [sorted(ranks.tolist()) for ranks, _ in dealt] == [list(range(30)), list(range(70))]


def test_pairs_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ManifestError, match="cannot be dealt"):
        deal(np.array([4]), n_pairs=5 * 48, n_configs=48)
