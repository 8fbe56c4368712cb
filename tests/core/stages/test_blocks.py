"""Blocks: limits kept, hosts whole, numbers without gaps, independent of the order of rows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from halo_core.errors import ManifestError
from halo_core.stages.blocks import assign_blocks


def random_hosts(seed: int, n: int, n_bricks: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return bricks in rising order, and injections, of some hosts."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(1, n_bricks + 1, n)), rng.integers(1, 7, n)


@pytest.mark.parametrize(("max_injections", "max_bricks"), [(50, 5), (1000, 3), (60, 1000), (20, 1)])
def test_blocks_keep_both_limits_and_have_no_gaps(max_injections: int, max_bricks: int) -> None:
    brick, count = random_hosts(1, 600, 40)
    block = assign_blocks(brick, count, max_injections=max_injections, max_bricks=max_bricks)
    assert np.bincount(block, weights=count).max() <= max_injections
    assert max(len(np.unique(brick[block == b])) for b in range(block.max() + 1)) <= max_bricks
    assert np.array_equal(np.unique(block), np.arange(block.max() + 1))


def test_blocks_run_along_the_brick_grid() -> None:
    brick, count = random_hosts(2, 300, 60)
    block = assign_blocks(brick, count, max_injections=100, max_bricks=10)
    assert (np.diff(block) >= 0).all()
    assert block.max() > 5


def test_a_brick_that_fits_in_a_block_is_not_divided() -> None:
    brick, count = random_hosts(3, 300, 60)
    most = int(np.bincount(brick, weights=count).max())
    block = assign_blocks(brick, count, max_injections=most, max_bricks=10)
    assert all(len(np.unique(block[brick == b])) == 1 for b in np.unique(brick))


def test_no_block_can_take_the_next_brick() -> None:
    brick, count = random_hosts(4, 300, 60)
    block = assign_blocks(brick, count, max_injections=80, max_bricks=6)
    per_block, per_brick = np.bincount(block, weights=count), np.bincount(brick, weights=count)
    for after in range(1, block.max() + 1):
        following = brick[block == after][0]
        is_full = len(np.unique(brick[block == after - 1])) == 6 or per_block[after - 1] + per_brick[following] > 80
        assert is_full


def test_a_brick_beyond_the_limit_is_divided_between_hosts() -> None:
    block = assign_blocks(np.full(10, 9), np.full(10, 3), max_injections=10, max_bricks=100)
    assert np.bincount(block, weights=np.full(10, 3)).tolist() == [9, 9, 9, 3]


def test_what_follows_a_divided_brick_fills_its_last_part() -> None:
    brick = np.array([1] * 12 + [2] * 3 + [3] * 8)
    block = assign_blocks(brick, np.ones(23, dtype=np.int64), max_injections=10, max_bricks=100)
    assert np.bincount(block).tolist() == [10, 5, 8]


def test_a_host_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ManifestError, match="a host of brick 7 has 11 injections, above block_max_injections = 10"):
        assign_blocks(np.array([5, 7]), np.array([10, 11]), max_injections=10, max_bricks=1)


def test_no_hosts_make_no_blocks() -> None:
    none = np.empty(0, dtype=np.int64)
    assert assign_blocks(none, none, max_injections=10, max_bricks=1).tolist() == []
