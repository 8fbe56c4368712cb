"""--plan-only: the exact counts of a campaign and an estimate of its cost, printed; nothing is written."""

from collections.abc import Iterable, Sequence

import luigi
import pyarrow as pa
from rich.console import Console
from rich.table import Table

from halo_core.errors import ManifestError
from halo_core.stages.files import read_table
from halo_core.stages.manifest_hosts import Parents, supply_by_brick
from halo_core.stages.planning import PlanRow, check_supply, fit_to_supply, plan
from luigi_tasks.parent import iterate_parents
from luigi_tasks.places import MOCK, open_survey
from luigi_tasks.plan_estimate import Supply, estimate_of, print_estimate
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import REGION_SELECTIONS_FILE, StageTarget


class PlanOnly(IdentifiedTask):
    """A task that can print its plan instead of running."""

    plan_only = luigi.BoolParameter(
        description="Print exact counts per tier, split and size, and what the campaign will cost, and stop.",
        significant=False,
        positional=False,
    )
    has_planned = False

    def complete(self) -> bool:
        """A plan is complete once it is printed."""
        return self.has_planned if self.plan_only else bool(super().complete())

    def run(self) -> None:
        """Print the plan where only that is asked for."""
        if self.plan_only:
            self.print_plan()
        else:
            super().run()

    def print_plan(self) -> None:
        """Print the plan and what it will cost, and check the supply of hosts where the parent catalogue is there.

        Raises
        ------
        ManifestError
            Hosts are short and on_shortage is error.
        """
        rows = plan(self.manifest_config(), {name: grid.n_configs for name, grid in self.grids().items()})
        console = Console()
        console.print(plan_table(rows, self.stamp_sizes, len(self.bandsets)))
        for tier in dict.fromkeys(row.tier for row in rows):
            mine = [row for row in rows if row.tier == tier]
            n_injections, n_controls = sum(row.n_injections for row in mine), sum(row.n_controls for row in mine)
            console.print(f"{tier}: {n_injections:,} physical injections and {n_controls:,} controls")
        n_physical = sum(row.n_physical for row in rows)
        console.print(f"all: {n_physical:,} physical injections and controls, {sum(row.n_rows for row in rows):,} tasks (rows)")
        by_brick = self.supply()
        if by_brick is None:
            console.print("The supply of hosts is not checked: the parent catalogue is not built yet.")
        else:
            supply = {split: sum(bricks.values()) for split, bricks in by_brick.items()}
            console.print(f"Eligible hosts: {', '.join(f'{split} {n:,}' for split, n in sorted(supply.items()))}")
            self._judge(console, rows, supply)
            rows, _ = fit_to_supply(self.manifest_config(), rows, supply)
        print_estimate(console, estimate_of(self, rows, by_brick, has_survey=self.has_survey()))
        self.has_planned = True

    def _judge(self, console: Console, rows: list[PlanRow], supply: dict[str, int]) -> None:
        """Say what is short."""
        shortages = check_supply(rows, supply)
        for shortage in shortages:
            console.print(f"short: {shortage.sentence()}")
        if shortages and self.on_shortage == "error":
            raise ManifestError(
                f"not enough hosts for {len(shortages)} of {len(rows)} lines of the plan; see above, or set on_shortage = reduce"
            )
        if not shortages:
            console.print("The hosts suffice.")

    def has_survey(self) -> bool:
        """Tell whether the survey is there; a mock survey can be made."""
        return self.survey_root == MOCK or open_survey(self.survey_root).holds("coadd")

    def supply(self) -> Supply | None:
        """Return the eligible hosts by split and brick, None where the parent catalogue is not there."""
        if not self.has_survey():
            return None
        target = StageTarget(self.objects, "parent", self.digest_of("parent"), self.state_url)
        if target.committed() is None:
            return None
        return supply_by_brick(parents_of(self), selected_regions(self))


def parents_of(task: IdentifiedTask) -> Parents:
    """Return the parents of a campaign as the manifest reads them: sky cell by sky cell, some columns at a time."""

    def tables(columns: Sequence[str]) -> Iterable[pa.Table]:
        return iterate_parents(task, list(columns))

    return tables


def selected_regions(task: IdentifiedTask) -> frozenset[int] | None:
    """Return the regions of the selection sets, None where the parent stage has no sets."""
    key = task.key_of("parent", REGION_SELECTIONS_FILE)
    if key not in task.mark_of("parent")["objects"]:
        return None
    return frozenset(read_table(task.objects.path(key), ["region_id"])["region_id"].to_pylist())


def plan_table(rows: list[PlanRow], stamp_sizes: tuple[int, ...], n_bandsets: int) -> Table:
    """Return the plan as a table: one line per tier, split and stamp size."""
    table = Table(title="Plan")
    for name in ("tier", "split", "size [pix]"):
        table.add_column(name)
    for name in ("injections", "controls", "tasks"):
        table.add_column(name, justify="right")
    for row in rows:
        for size in sorted(stamp_sizes):
            numbers = [row.n_injections * n_bandsets, row.n_controls * n_bandsets, row.n_physical * n_bandsets]
            table.add_row(row.tier, row.split, str(size), *(f"{n:,}" for n in numbers))
    return table
