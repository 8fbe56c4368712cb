"""The law across stages: planned = built = processed = summarised, and each book that differs is named."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from halo_core.flags import Flag
from halo_core.records import Finding
from halo_core.stages.planning import PlanRow
from halo_core.stages.validation_campaign import check_campaign
from tests.fixtures.summaries import control, lost, summarised, summary_config, tables

SIZES = (64, 96)
CHECKS = {"built_is_planned", "processed_is_built", "judged_is_processed", "summarised_is_planned", "no_orphans"}


def rows() -> list[dict[str, object]]:
    """Return a campaign of two tiers and two splits: 12 injections and 3 controls each, one injection in six lost."""
    made: list[dict[str, object]] = []
    for tier in ("debug", "grid"):
        for split in ("train", "val"):
            place = {"tier": tier, "region_split": split, "region_id": 1}
            for size in SIZES:
                made += [{**place, "stamp_size": size, "theta_e_arcsec": 0.5 + (i % 2)} for i in range(10)]
                made += [lost(Flag.IMAGE_MISSING_R, **place, stamp_size=size) for _ in range(2)]
                made += [control(**place, stamp_size=size) for _ in range(3)]
    return made


TASKS, RESULTS = tables(rows())
CELLS = summarised(TASKS, RESULTS, summary_config())
PLAN = [PlanRow(tier, split, 2, 6, 6, 12, 3, 6, 30) for tier in ("debug", "grid") for split in ("train", "val")]


def accounts() -> list[dict[str, Any]]:
    """Return the state's counts of the campaign."""
    n_tasks: Counter[tuple[str, str, int]] = Counter()
    n_evaluated: Counter[tuple[str, str, int]] = Counter()
    for task, result in zip(TASKS.to_pylist(), RESULTS.to_pylist(), strict=True):
        key = (task["tier"], task["region_split"], task["stamp_size"])
        n_tasks[key] += 1
        n_evaluated[key] += result["metrics_ok"]
    return [
        {
            "tier": tier,
            "region_split": split,
            "stamp_size": size,
            "n_planned": n,
            "n_controls": 3,
            "n_processed": n,
            "n_evaluated": n_evaluated[tier, split, size],
            "n_not_evaluated": n - n_evaluated[tier, split, size],
        }
        for (tier, split, size), n in sorted(n_tasks.items())
    ]


def check(**changes: Any) -> list[Finding]:
    given = {"plan": PLAN, "stamp_sizes": SIZES, "n_bandsets": 1, "accounts": accounts(), "cells": CELLS, "n_orphans": 0} | changes
    return check_campaign(given.pop("plan"), **given)


def failed(**changes: Any) -> set[str]:
    return {finding.check for finding in check(**changes) if not finding.is_ok}


def test_a_sound_campaign_passes_every_check() -> None:
    findings = check()
    assert {finding.check for finding in findings} == CHECKS
    assert all(finding.is_ok and finding.severity == "error" and finding.stage == "campaign" for finding in findings)


@pytest.mark.parametrize("place", [0, 3, -1])
@pytest.mark.parametrize(
    ("column", "caught"),
    [
        ("n_planned", {"built_is_planned", "processed_is_built"}),
        ("n_processed", {"processed_is_built", "judged_is_processed"}),
        ("n_evaluated", {"judged_is_processed"}),
        ("n_not_evaluated", {"judged_is_processed"}),
    ],
)
def test_one_row_too_few_or_too_many_is_caught(column: str, caught: set[str], place: int) -> None:
    for step in (-1, 1):
        broken = accounts()
        broken[place][column] += step
        assert failed(accounts=broken) == caught


def test_a_line_that_one_book_lacks_is_caught_and_named() -> None:
    broken = accounts()[1:]
    assert failed(accounts=broken) == {"built_is_planned"}
    (finding,) = (finding for finding in check(accounts=broken) if not finding.is_ok)
    assert finding.observed == "('debug', 'train', 64): 0 for 15"


def test_a_tier_that_nobody_planned_is_caught() -> None:
    assert failed(plan=PLAN[:2]) == {"built_is_planned", "summarised_is_planned"}


def test_a_size_that_was_not_built_is_caught() -> None:
    assert failed(stamp_sizes=(64, 96, 128)) == {"built_is_planned", "summarised_is_planned"}
    assert failed(stamp_sizes=(64,)) == {"built_is_planned", "summarised_is_planned"}


def test_controls_stand_in_the_manifest_and_in_no_completeness() -> None:
    fewer = [replace(PLAN[0], n_controls=2), *PLAN[1:]]
    assert failed(plan=fewer) == {"built_is_planned"}
    counted_as_injections = [replace(PLAN[0], n_injections=15, n_controls=0), *PLAN[1:]]
    assert failed(plan=counted_as_injections) == {"summarised_is_planned"}


def test_every_bandset_is_a_row_of_its_own() -> None:
    assert failed(n_bandsets=2) == {"built_is_planned", "summarised_is_planned"}


def changed_cells(pick: dict[str, Any], **values: Any) -> pa.Table:
    """Return the cells with values replaced in the first pooled row that matches."""
    cells = CELLS.to_pylist()
    pooled = {"axes": "", "subset": "all", "region_split": "train", "selection_set_id": None}
    row = next(cell for cell in cells if all(cell[name] == value for name, value in (pooled | pick).items()))
    row |= values
    return pa.Table.from_pylist(cells, schema=CELLS.schema)


def test_injections_that_the_summary_lost_are_caught() -> None:
    for name in ("proxy_reference", "snr_matched"):
        assert failed(cells=changed_cells({"criterion": name}, n_task=11)) == {"summarised_is_planned"}
    assert failed(cells=changed_cells({}, tier="train")) == {"summarised_is_planned"}


def test_a_summary_of_controls_or_of_the_evaluated_alone_would_be_caught() -> None:
    for n_task in (15, 10):
        assert failed(cells=changed_cells({"stamp_size": 96}, n_task=n_task)) == {"summarised_is_planned"}


def test_results_without_a_task_are_caught() -> None:
    assert failed(n_orphans=1) == {"no_orphans"}


def test_empty_books_are_a_failure() -> None:
    assert failed(cells=CELLS.slice(0, 0)) == {"summarised_is_planned"}
    assert failed(accounts=[]) == {"built_is_planned", "processed_is_built", "judged_is_processed"}
    assert failed(plan=[], accounts=[], cells=CELLS.slice(0, 0)) == CHECKS - {"no_orphans"}
    assert failed(plan=[]) == {"built_is_planned", "summarised_is_planned"}
