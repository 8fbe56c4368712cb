"""Exact counts of a manifest before it exists: the same arithmetic plans and builds it.

A physical injection is a host, a configuration and a replicate; a row is one view of it (stamp size x bandset). In tiers
debug and grid every configuration gets ``n_per_config`` hosts per split, and controls come on top; in tier train
``n_total_train_per_split`` tasks per split are shared between injections and controls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from halo_core.constants import SPLITS, TIERS
from halo_core.errors import ManifestError
from halo_core.records import Finding
from halo_core.stages.manifest_config import ManifestConfig

__all__ = ["ManifestConfig", "PlanRow", "Shortage", "check_supply", "fit_to_supply", "plan", "plan_row"]


@dataclass(frozen=True)
class PlanRow:
    """Counts of one tier and split.

    ``amount`` is ``n_per_config`` (debug, grid) or ``n_total_train_per_split`` (train); ``n_pairs`` pairs of host and
    configuration make ``n_injections = n_pairs x replicates``; ``n_hosts_best`` hosts serve one configuration each,
    ``n_hosts_least`` is what the tier cannot do with less than. Controls are distinct hosts of their own.
    """

    tier: str
    split: str
    n_configs: int
    amount: int
    n_pairs: int
    n_injections: int
    n_controls: int
    n_injection_hosts_least: int
    n_rows: int

    @property
    def n_injection_hosts(self) -> int:
        """Return the number of injection hosts when each serves one configuration."""
        return self.n_pairs

    @property
    def n_physical(self) -> int:
        """Return injections plus controls."""
        return self.n_injections + self.n_controls

    @property
    def n_hosts_best(self) -> int:
        """Return the number of distinct hosts when no host serves two configurations."""
        return self.n_pairs + self.n_controls

    @property
    def n_hosts_least(self) -> int:
        """Return the number of distinct hosts below which the counts cannot be built."""
        return self.n_injection_hosts_least + self.n_controls


@dataclass(frozen=True)
class Shortage:
    """A tier and split for which the hosts do not suffice."""

    tier: str
    split: str
    n_hosts_needed: int
    n_hosts_found: int

    def sentence(self) -> str:
        """Return what is short, where and by how many."""
        missing = self.n_hosts_needed - self.n_hosts_found
        where = f"tier {self.tier}, split {self.split}"
        return f"{where}: at least {self.n_hosts_needed} distinct hosts are needed, {self.n_hosts_found} exist, {missing} are missing"


def plan_row(config: ManifestConfig, tier: str, split: str, *, n_configs: int, amount: int) -> PlanRow:
    """Return the counts of one tier and split for a given amount.

    Parameters
    ----------
    config : ManifestConfig
        Gives the share of controls, the replicates and the views.
    tier, split : str
        Where.
    n_configs : int
        Configurations of the tier's grid.
    amount : int
        ``n_per_config`` (debug, grid) or ``n_total_train_per_split`` (train); >= 0.

    Notes
    -----
    Counts that the share of controls leaves fractional are rounded half up. The share is taken as the decimal number that was
    written: 0.1 is one tenth.
    """
    share = Fraction(str(config.control_frac[tier]))
    if tier == "train":
        n_pairs = _half_up(amount * (1 - share))
        n_least = n_pairs
        n_controls = (amount - n_pairs) * config.replicates
    else:
        n_pairs = amount * n_configs
        n_least = amount
        n_controls = _half_up(n_pairs * config.replicates * share / (1 - share))
    n_injections = n_pairs * config.replicates
    n_rows = (n_injections + n_controls) * config.n_views
    return PlanRow(tier, split, n_configs, amount, n_pairs, n_injections, n_controls, n_least, n_rows)


def plan(config: ManifestConfig, grid_sizes: Mapping[str, int]) -> list[PlanRow]:
    """Return the counts of every planned tier and split.

    Parameters
    ----------
    config : ManifestConfig
        What is asked for.
    grid_sizes : mapping of str to int
        Number of configurations by name of the grid.

    Raises
    ------
    ManifestError
        The plan has more rows than ``max_total_tasks``.
    """
    rows = []
    for tier in (name for name in TIERS if name in config.tiers):
        amount = config.n_total_train_per_split if tier == "train" else config.n_per_config[tier]
        for split in (name for name in SPLITS if name in config.splits):
            rows.append(plan_row(config, tier, split, n_configs=grid_sizes[config.grids[tier]], amount=amount))
    total = sum(row.n_rows for row in rows)
    if total > config.max_total_tasks:
        raise ManifestError(
            f"the plan has {total:,} tasks, above max_total_tasks = {config.max_total_tasks:,}: plan fewer, or raise max_total_tasks"
        )
    return rows


def check_supply(rows: list[PlanRow], supply: Mapping[str, int]) -> list[Shortage]:
    """Return where the hosts do not suffice.

    Parameters
    ----------
    rows : list of PlanRow
        The plan.
    supply : mapping of str to int
        Eligible hosts by split; a split that is not named has none.
    """
    found = [(row, supply.get(row.split, 0)) for row in rows]
    return [Shortage(row.tier, row.split, row.n_hosts_least, n_hosts) for row, n_hosts in found if n_hosts < row.n_hosts_least]


def fit_to_supply(config: ManifestConfig, rows: list[PlanRow], supply: Mapping[str, int]) -> tuple[list[PlanRow], list[Finding]]:
    """Return the plan that the hosts allow, and a finding for each tier and split that had to be reduced.

    Raises
    ------
    ManifestError
        Hosts are short and ``on_shortage`` is ``error``, or not even one host per configuration (debug, grid) or one task
        (train) is possible.
    """
    shortages = {(item.tier, item.split): item for item in check_supply(rows, supply)}
    if shortages and config.on_shortage == "error":
        _refuse(list(shortages.values()), "widen the selection, plan fewer, or set on_shortage = reduce")
    fitted = [_reduced(config, row, supply.get(row.split, 0)) if (row.tier, row.split) in shortages else row for row in rows]
    empty = [shortages[row.tier, row.split] for row in fitted if row.amount == 0]
    if empty:
        _refuse(empty, "not even the smallest amount is possible; widen the selection or leave out the tier or split")
    return fitted, [_finding(asked, got) for asked, got in zip(rows, fitted, strict=True) if asked != got]


def _refuse(shortages: list[Shortage], advice: str) -> None:
    """Raise with every shortage in one message."""
    raise ManifestError("not enough hosts: " + "; ".join(item.sentence() for item in shortages) + f". {advice}")


def _reduced(config: ManifestConfig, asked: PlanRow, n_hosts: int) -> PlanRow:
    """Return the row with the largest amount that the hosts allow; the need rises with the amount, so bisection finds it."""
    possible, impossible = 0, asked.amount
    while impossible - possible > 1:
        middle = (possible + impossible) // 2
        if plan_row(config, asked.tier, asked.split, n_configs=asked.n_configs, amount=middle).n_hosts_least <= n_hosts:
            possible = middle
        else:
            impossible = middle
    return plan_row(config, asked.tier, asked.split, n_configs=asked.n_configs, amount=possible)


def _finding(asked: PlanRow, got: PlanRow) -> Finding:
    """Return the record of one reduction."""
    word = "n_total_train_per_split" if asked.tier == "train" else "n_per_config"
    return Finding(
        stage="manifest",
        check=f"supply_{asked.tier}_{asked.split}",
        is_ok=False,
        severity="warning",
        observed=f"{word} {got.amount}, {got.n_injections} injections, {got.n_controls} controls",
        expected=f"{word} {asked.amount}, {asked.n_injections} injections, {asked.n_controls} controls",
        sentence=f"Tier {asked.tier} of split {asked.split} was reduced to what its hosts allow.",
    )


def _half_up(value: Fraction) -> int:
    """Return the nearest integer, halves up."""
    return int(value + Fraction(1, 2))
