"""The law across stages: planned = built = processed = summarised, for every tier, split and stamp size."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from halo_core.records import Finding
from halo_core.stages.planning import PlanRow
from halo_core.stages.validation import expect

STAGE = "campaign"

Key = tuple[str, str, int]


def check_campaign(
    plan: Sequence[PlanRow],
    *,
    stamp_sizes: Sequence[int],
    n_bandsets: int,
    accounts: Sequence[Mapping[str, Any]],
    cells: pa.Table,
    n_orphans: int,
) -> list[Finding]:
    """Return the findings across stages.

    Parameters
    ----------
    plan : sequence of PlanRow
        What the manifest was built to.
    stamp_sizes : sequence of int
        Every size of the campaign [pix].
    n_bandsets : int
        Band sets of the campaign.
    accounts : sequence of mapping
        The state's counts by tier, region_split and stamp_size: n_planned, n_controls, n_processed, n_evaluated, n_not_evaluated.
    cells : Table
        `records.CELLS`.
    n_orphans : int
        Results in the state that belong to no task.
    """
    planned = {(row.tier, row.split, size): row.n_physical * n_bandsets for row in plan for size in stamp_sizes}
    injections = {(row.tier, row.split, size): row.n_injections * n_bandsets for row in plan for size in stamp_sizes}
    by_key = {(a["tier"], a["region_split"], a["stamp_size"]): a for a in accounts}
    built = {key: a["n_planned"] for key, a in by_key.items()}
    processed = {key: a["n_processed"] for key, a in by_key.items()}
    judged = {key: a["n_evaluated"] + a["n_not_evaluated"] for key, a in by_key.items()}
    return [
        _equal("built_is_planned", built, planned, "Rows in the state, by tier, split and size, against the plan."),
        _equal("processed_is_built", processed, built, "Results in the state against tasks."),
        _equal("judged_is_processed", judged, processed, "Evaluated plus not evaluated against results."),
        _equal("summarised_is_planned", _summarised(cells), injections, "Injections in the completeness tables against the plan."),
        expect(STAGE, "no_orphans", is_ok=n_orphans == 0, observed=n_orphans, expected=0, sentence="Results that belong to no task."),
    ]


def _summarised(cells: pa.Table) -> dict[Key, int]:
    """Return the injections that the pooled cells of each split account for; every criterion must say the same."""
    counts: dict[Key, set[int]] = {}
    sums: dict[tuple[Key, str], int] = {}
    for row in cells.to_pylist():
        is_pooled = row["axes"] == "" and row["subset"] == "all" and row["region_split"] is not None and row["selection_set_id"] is None
        if is_pooled:
            key = (row["tier"], row["region_split"], row["stamp_size"])
            sums[key, row["criterion"]] = sums.get((key, row["criterion"]), 0) + row["n_task"]
    for (key, _), n_task in sums.items():
        counts.setdefault(key, set()).add(n_task)
    return {key: found.pop() if len(found) == 1 else -1 for key, found in counts.items()}


def _equal(check: str, observed: Mapping[Key, int], expected: Mapping[Key, int], sentence: str) -> Finding:
    """Return the finding that two books agree in every line; an empty book fails."""
    keys = sorted(observed.keys() | expected.keys())
    wrong = [f"{key}: {observed.get(key, 0)} for {expected.get(key, 0)}" for key in keys if observed.get(key, 0) != expected.get(key, 0)]
    return expect(
        STAGE,
        check,
        is_ok=bool(keys) and not wrong,
        observed="; ".join(wrong[:5]) or f"{sum(observed.values())} in {len(keys)} lines",
        expected=f"{sum(expected.values())} in {len(expected)} lines",
        sentence=sentence,
    )
