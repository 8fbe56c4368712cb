"""Blocks: limits kept, hosts whole, numbers without gaps, independent of the order of rows."""

import numpy as np
import pytest
from numpy.typing import NDArray

from halo_core.errors import ManifestError
from halo_core.stages.blocks import assign_blocks


def random_injections(seed: int, n: int, n_bricks: int) -> tuple[NDArray[np.int64], NDArray[np.bytes_]]:
    rng = np.random.default_rng(seed)
    host = rng.integers(0, n // 3 + 1, n)
    brick = 1 + (host * 7919) % n_bricks
    return brick, np.array([f"h{i}".encode() for i in host])


@pytest.mark.parametrize(("max_injections", "max_bricks"), [(50, 5), (1000, 3), (60, 1000), (20, 1)])
def test_blocks_keep_both_limits_and_hosts_whole(max_injections: int, max_bricks: int) -> None:
    brick, host = random_injections(1, 2000, 40)
    block = assign_blocks(brick, host, max_injections=max_injections, max_bricks=max_bricks)
    assert np.bincount(block).max() <= max_injections
    assert max(len(np.unique(brick[block == b])) for b in range(block.max() + 1)) <= max_bricks
    assert all(len(np.unique(block[host == name])) == 1 for name in np.unique(host))
    assert np.array_equal(np.unique(block), np.arange(block.max() + 1))


def test_blocks_run_along_the_brick_grid() -> None:
    brick, host = random_injections(2, 900, 60)
    block = assign_blocks(brick, host, max_injections=100, max_bricks=10)
    assert (np.diff(block[np.argsort(brick, kind="stable")]) >= 0).sum() > 0
    lowest = [brick[block == b].min() for b in range(block.max() + 1)]
    highest = [brick[block == b].max() for b in range(block.max() + 1)]
    assert all(high <= low for high, low in zip(highest[:-1], lowest[1:], strict=True))


def test_a_brick_that_fits_in_a_block_is_not_divided() -> None:
    brick, host = random_injections(3, 900, 60)
    block = assign_blocks(brick, host, max_injections=40, max_bricks=10)
    assert np.bincount(brick).max() <= 40
    assert all(len(np.unique(block[brick == b])) == 1 for b in np.unique(brick))


def test_a_brick_beyond_the_limit_is_divided_between_hosts() -> None:
    brick = np.full(30, 9)
    host = np.array([f"h{i // 3}".encode() for i in range(30)])
    block = assign_blocks(brick, host, max_injections=10, max_bricks=100)
    assert np.bincount(block).tolist() == [9, 9, 9, 3]


def test_what_follows_a_divided_brick_fills_its_last_part() -> None:
    brick = np.array([1] * 12 + [2] * 3 + [3] * 8)
    host = np.array([f"b{b}h{i}".encode() for i, b in enumerate(brick)])
    block = assign_blocks(brick, host, max_injections=10, max_bricks=100)
    assert np.bincount(block).tolist() == [10, 5, 8]


def test_blocks_do_not_depend_on_the_order_of_rows() -> None:
    brick, host = random_injections(4, 1500, 30)
    order = np.random.default_rng(0).permutation(1500)
    limits = {"max_injections": 70, "max_bricks": 4}
    np.testing.assert_array_equal(assign_blocks(brick, host, **limits)[order], assign_blocks(brick[order], host[order], **limits))


def test_a_host_beyond_the_limit_is_refused() -> None:
    with pytest.raises(ManifestError, match="host h0 has 11 injections, above block_max_injections = 10"):
        assign_blocks(np.ones(11, dtype=np.int64), np.array([b"h0"] * 11), max_injections=10, max_bricks=1)
