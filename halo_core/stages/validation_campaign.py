"""The law across stages: planned = built = processed = summarised, for every tier, split and stamp size."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from halo_core.records import Finding
from halo_core.stages.planning import PlanRow
from halo_core.stages.validation_checks import Check, Verdict, run_checks

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
    return run_checks(STAGE, _CHECKS, _Books(plan, stamp_sizes, n_bandsets, accounts, cells, n_orphans))


@dataclass(frozen=True)
class _Books:
    """What `check_campaign` is given, and the book of each step by tier, split and size."""

    plan: Sequence[PlanRow]
    stamp_sizes: Sequence[int]
    n_bandsets: int
    accounts: Sequence[Mapping[str, Any]]
    cells: pa.Table
    n_orphans: int

    def planned(self) -> dict[Key, int]:
        """Return the planned tasks."""
        return {(row.tier, row.split, size): row.n_physical * self.n_bandsets for row in self.plan for size in self.stamp_sizes}

    def injections(self) -> dict[Key, int]:
        """Return the planned tasks that are no controls."""
        return {(row.tier, row.split, size): row.n_injections * self.n_bandsets for row in self.plan for size in self.stamp_sizes}

    def counted(self, *names: str) -> dict[Key, int]:
        """Return the sum of some counts of the state."""
        return {(a["tier"], a["region_split"], a["stamp_size"]): sum(a[name] for name in names) for a in self.accounts}


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


def _equal(observed: Mapping[Key, int], expected: Mapping[Key, int]) -> Verdict:
    """Return whether two books agree in every line; an empty book fails."""
    keys = sorted(observed.keys() | expected.keys())
    wrong = [f"{key}: {observed.get(key, 0)} for {expected.get(key, 0)}" for key in keys if observed.get(key, 0) != expected.get(key, 0)]
    seen = "; ".join(wrong[:5]) or f"{sum(observed.values())} in {len(keys)} lines"
    return Verdict(bool(keys) and not wrong, seen, f"{sum(expected.values())} in {len(expected)} lines")


_CHECKS: tuple[Check[_Books], ...] = (
    Check(
        "built_is_planned",
        "Rows in the state, by tier, split and size, against the plan.",
        lambda books: _equal(books.counted("n_planned"), books.planned()),
    ),
    Check(
        "processed_is_built",
        "Results in the state against tasks.",
        lambda books: _equal(books.counted("n_processed"), books.counted("n_planned")),
    ),
    Check(
        "judged_is_processed",
        "Evaluated plus not evaluated against results.",
        lambda books: _equal(books.counted("n_evaluated", "n_not_evaluated"), books.counted("n_processed")),
    ),
    Check(
        "summarised_is_planned",
        "Injections in the completeness tables against the plan.",
        lambda books: _equal(_summarised(books.cells), books.injections()),
    ),
    Check("no_orphans", "Results that belong to no task.", lambda books: Verdict(books.n_orphans == 0, str(books.n_orphans), "0")),
)
