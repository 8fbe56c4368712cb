"""Laws of the estimate: bricks of a draw and blocks of bricks as the manifest makes them, sums that grow with what is asked for."""

from dataclasses import replace

import numpy as np
import pytest

from halo_core.stages.blocks import assign_blocks
from halo_core.stages.estimate import Bricks, Design, Estimate, block_bounds, expected_bricks, hosts_of, likely_blocks
from halo_core.stages.estimate_requests import BlockObjects, puts_of, requests_of_block
from halo_core.stages.planning import PlanRow

DESIGN = Design(
    n_arcs=9_000,
    n_controls=1_000,
    n_hosts=5_000,
    stamp_sizes=(64, 96),
    bandsets=("grz",),
    bands=("g", "r", "z"),
    block_max_injections=500,
    block_max_bricks=20,
    cache_mode="whole",
    survey="folder",
    n_parents=100_000,
    n_catalogue_rows=1_000_000,
)
ESTIMATE = Estimate(DESIGN, Bricks(800, 40, 810, "counted"))
PLANES = (1e5,) * 10


def test_a_draw_meets_the_expected_number_of_bricks() -> None:
    rng = np.random.Generator(np.random.Philox(key=13))
    brick = rng.integers(0, 2_000, 10_000)
    supply = {"train": dict(zip(*(one.tolist() for one in np.unique(brick, return_counts=True)), strict=True))}
    drawn = len(set(rng.choice(brick, 3_000, replace=False).tolist()))
    assert expected_bricks({"train": 3_000}, supply) == pytest.approx(drawn, abs=60)
    assert expected_bricks({"train": 10_000}, supply) == len(supply["train"])
    assert expected_bricks({"train": 0, "val": 5}, supply) == 0


@pytest.mark.parametrize("mean", [3, 40, 300])
def test_blocks_lie_within_their_bounds_and_near_the_likely_number(mean: int) -> None:
    rng = np.random.Generator(np.random.Philox(key=mean))
    n = rng.integers(1, 2 * mean, 600)
    blocks = assign_blocks(np.repeat(np.arange(600), n), np.ones(n.sum(), np.int64), max_injections=500, max_bricks=20).max() + 1
    design = replace(DESIGN, n_arcs=int(n.sum()), n_controls=0)
    least, most = block_bounds(design, 600)
    assert least <= blocks <= most
    assert likely_blocks(design, 600) == pytest.approx(blocks, rel=0.15 if mean < 300 else 0.35)


def test_tiers_share_hosts_and_splits_do_not() -> None:
    rows = [PlanRow("grid", "train", 4, 10, 40, 80, 8, 10, 176), PlanRow("train", "train", 4, 30, 30, 30, 30, 30, 120)]
    rows.append(PlanRow("grid", "val", 4, 10, 40, 80, 8, 10, 176))
    assert hosts_of(rows) == {"train": 60, "val": 48}
    assert hosts_of(rows, {"train": 50, "val": 1_000}) == {"train": 50, "val": 48}


@pytest.mark.parametrize("change", [{"n_arcs": 18_000}, {"effort": 4.0}, {"renderer": "galsim"}, {"stamp_sizes": (64, 128)}])
def test_what_is_harder_to_paint_costs_more_of_injection_and_nothing_more_of_the_survey(change: dict[str, object]) -> None:
    found = Estimate(replace(DESIGN, **change), ESTIMATE.bricks)
    seconds = [{stage.stage: stage.core_s for stage in one.stages} for one in (ESTIMATE, found)]
    assert seconds[1]["injection"] > seconds[0]["injection"]
    assert seconds[1]["cache"] == seconds[0]["cache"]
    assert found.survey_bytes == ESTIMATE.survey_bytes


def test_sections_keep_no_planes_and_fetch_a_divided_brick_once_a_block() -> None:
    found = Estimate(replace(DESIGN, cache_mode="sections"), ESTIMATE.bricks)
    assert "planes" not in found.object_bytes
    assert found.survey_bytes == pytest.approx(ESTIMATE.survey_bytes * 810 / 800)
    assert found.requests["put"] < ESTIMATE.requests["put"]


def test_more_cores_than_blocks_and_single_processes_set_a_floor() -> None:
    walls = [ESTIMATE.wall_s(n, "Postgres") for n in (1, 10, 40, 1_000)]
    assert walls[0] > walls[1] > walls[2] >= walls[3]
    assert ESTIMATE.blocks_s(1_000) == ESTIMATE.blocks_s(40)
    assert walls[3] > sum(stage.core_s or 0.0 for stage in ESTIMATE.stages if stage.most_processes == 1)


def test_what_parents_cost_is_not_known_without_them() -> None:
    found = Estimate(replace(DESIGN, n_parents=None, n_catalogue_rows=None), ESTIMATE.bricks)
    assert {stage.stage for stage in found.stages if stage.core_s is None} == {"selection", "parent", "parent checks"}


def test_requests_of_a_block_are_a_constant_and_as_much_for_each_brick() -> None:
    one, two, three = (requests_of_block(BlockObjects(n, PLANES, (1e5, 1e5), False, "s3")) for n in (1, 2, 3))
    assert two - one == three - two == {"put": 30, "head": 91, "get": 10, "delete": 10}
    assert puts_of(20e6) == 5
    large = requests_of_block(BlockObjects(1, (20e6, *PLANES[1:]), (1e5, 1e5), False, "s3"))
    assert large - one == {"put": 4, "head": 1}
