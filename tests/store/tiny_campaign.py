"""A hand-made campaign of six tasks whose every count is known: two injections and a control, each in two sizes.

One injection does not fit at 96 pixels and lacks its r image there; everything else is evaluated.
"""

import pyarrow as pa
import sqlalchemy as sa

from halo_core.flags import Flag
from halo_core.records import BRICKS, CELLS, MANIFEST, PARENTS, PLANES, RESULTS
from halo_core.store import blocks, cache, campaigns, injection, manifest, parent, stages, summary, survey
from tests.fixtures.databases import rows_of

SURVEY, PARENT, TASKS, CACHE, RUN, CELL_TABLE = "a1", "b1", "c1", "d1", "e1", "f1"
LOST = int(Flag.OFF_IMAGE | Flag.IMAGE_MISSING_R | Flag.HAS_BAD_PIXELS)
SNR = [10.0, 12.0, None, None, 7.0, None]


def manifest_rows() -> pa.Table:
    """Six tasks: p0 at 64 and 96, the control p1, and p2, which is of another split and block."""
    return rows_of(
        MANIFEST,
        6,
        task_id=["t0", "t1", "t2", "t3", "t4", "t5"],
        physical_id=["p0", "p0", "p1", "p1", "p2", "p2"],
        task_seed=[5, 5, 6, 6, 2**63 - 1, 2**63 - 1],
        objid=[1, 1, 2, 2, 3, 3],
        stamp_size=[64, 96] * 3,
        block=[0, 0, 0, 0, 1, 1],
        region_split=["train"] * 4 + ["test"] * 2,
        is_control=[False, False, True, True, False, False],
        theta_e_arcsec=[0.6, 0.6, 0.0, 0.0, 1.0, 1.0],
        tier="debug",
        brickname="0001p000",
        bandset="grz",
        zmag=[20.0, None, 20.0, 20.0, 20.0, 20.0],
    )


def result_rows(snr: list[float | None] = SNR) -> pa.Table:
    """Six results; t5 is not evaluated, t2 and t3 are controls."""
    measured = [value is not None for value in snr]
    return rows_of(
        RESULTS,
        6,
        task_id=["t0", "t1", "t2", "t3", "t4", "t5"],
        block=[0, 0, 0, 0, 1, 1],
        cutout_ok=[True] * 5 + [False],
        metrics_ok=[True] * 5 + [False],
        flags=[0, 0, int(Flag.CONTROL), int(Flag.CONTROL), 0, LOST],
        snr_peak_pixel_r=snr,
        snr_matched_r=snr,
        magnification=pa.array([3.5 if is_measured else None for is_measured in measured]).to_pylist(),
    )


def cell_rows() -> pa.Table:
    """One headline and one cell in which nothing was evaluated."""
    columns = {"n_task": [2, 1], "n_evaluated": [2, 0], "n_not_evaluated": [0, 1], "n_recovered": [1, 0], "completeness": [0.5, None]}
    return rows_of(CELLS, 2, tier="debug", axes=["", "region_split"], region_split=[None, "test"], **columns)


def plan(connection: sa.Connection, config: dict[str, int]) -> int:
    """Register a run of the campaign "field" with its survey, parent, manifest and planned blocks; return its id."""
    run = campaigns.register_campaign(connection, "field", config)
    for word, digest in (("survey", SURVEY), ("parent", PARENT), ("manifest", TASKS), ("injection", RUN)):
        stages.record_stage(connection, digest, word, 1, {"word": word}, "0.1.0")
        campaigns.link_stage(connection, run, word, digest)
    survey.store_bricks(connection, rows_of(BRICKS, 1, brickname="0001p000"), stage_digest=SURVEY)
    parent.store_parents(connection, rows_of(PARENTS, 3, is_guard=[False, False, True], region_split="train"), stage_digest=PARENT)
    plan_rows = [manifest.PlannedRow("debug", split, size, 1, int(split == "train")) for split in ("train", "test") for size in (64, 96)]
    manifest.store_plan(connection, plan_rows, stage_digest=TASKS)
    manifest.store_tasks(connection, manifest_rows(), stage_digest=TASKS)
    stages.finish_stage(connection, TASKS, {"tasks": 6})
    blocks.plan_blocks(connection, RUN, [blocks.BlockPlan(0, 2, 4, 1), blocks.BlockPlan(1, 1, 2, 1)])
    return run


def load_block(connection: sa.Connection, number: int, *, owner: str | None = None) -> None:
    """Load the results of one block, which ends its owner's lease."""
    rows = result_rows()
    part = rows.filter([block == number for block in rows["block"].to_pylist()])
    injection.store_results(connection, part, stage_digest=RUN, block=number)
    blocks.finish_block(connection, RUN, number, owner=owner)


def finish(connection: sa.Connection) -> None:
    """Plan, load both blocks, and add the planes and the summary."""
    run = plan(connection, {"seed": 13})
    for number in (0, 1):
        assert blocks.take_lease(connection, RUN, number, f"node1/{number}", seconds=60.0, host="node1")
        load_block(connection, number, owner=f"node1/{number}")
    for word, digest in (("cache", CACHE), ("summary", CELL_TABLE)):
        stages.record_stage(connection, digest, word, 1, {}, "0.1.0")
        campaigns.link_stage(connection, run, word, digest)
    planes = rows_of(PLANES, 2, status=["ok", "missing"], reason=[None, "404"], sha256=["ab", None], key=["k", None], n_bytes=[9, None])
    cache.store_planes(connection, planes, stage_digest=CACHE)
    summary.store_cells(connection, cell_rows(), stage_digest=CELL_TABLE)
