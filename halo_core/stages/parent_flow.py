"""Cuts one after the other: each sees the rows that passed those before it, and what it left is counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import AccountingError
from halo_core.stages.parent_config import CutStep

Values = NDArray[Any]
Mask = NDArray[np.bool_]


class Survivors(Mapping[str, Values]):
    """Columns of the rows that passed every cut so far; a column is gathered, or derived from others, when it is asked for.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
        One column at least.
    derived : mapping of str to callable
        Makes a column from those of the surviving rows.
    """

    def __init__(self, columns: Mapping[str, Values], derived: Mapping[str, Callable[[Mapping[str, Values]], Values]]) -> None:
        self._columns = columns
        self._derived = derived
        self._rows: NDArray[np.int64] | None = None
        self._made: dict[str, Values] = {}
        self.n_rows = len(next(iter(columns.values())))

    def __getitem__(self, name: str) -> Values:
        if name not in self._made:
            if name in self._columns:
                self._made[name] = self._columns[name] if self._rows is None else self._columns[name][self._rows]
            else:
                self._made[name] = self._derived[name](self)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys((*self._columns, *self._derived))

    def __len__(self) -> int:
        return len(set(self._columns) | set(self._derived))

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the columns given that are still in."""
        return np.arange(self.n_rows) if self._rows is None else self._rows

    def keep(self, passing: Mask) -> None:
        """Leave out the rows that do not pass."""
        if not passing.all():
            self._rows = self.rows[passing]
            self._made = {name: values[passing] for name, values in self._made.items()}
            self.n_rows = len(self._rows)


class Cut(NamedTuple):
    """One cut: its name and sentence in the cut flow, and which of the surviving rows pass."""

    name: str
    sentence: str
    passes: Callable[[Survivors], Mask]


def apply_cuts(rows: Survivors, cuts: Iterable[Cut]) -> list[CutStep]:
    """Leave out the rows that fail a cut, and return what each cut left of those before it."""
    flow = []
    for cut in cuts:
        n_before = rows.n_rows
        rows.keep(cut.passes(rows))
        flow.append(CutStep(cut.name, n_before, rows.n_rows, False, cut.sentence))
    return flow


def add_flows(flows: Iterable[Sequence[CutStep]]) -> list[CutStep]:
    """Return the cut flow of several parts together.

    Raises
    ------
    AccountingError
        The parts were cut by other cuts, or their sum does not add up from one cut to the next.
    """
    before: Counter[str] = Counter()
    after: Counter[str] = Counter()
    steps: dict[str, CutStep] = {}
    for flow in flows:
        if steps and [step.name for step in flow] != list(steps):
            raise AccountingError(f"parts of one selection were cut by {[step.name for step in flow]} and by {list(steps)}")
        for step in flow:
            steps.setdefault(step.name, step)
            before[step.name] += step.n_before
            after[step.name] += step.n_after
    return [replace(step, n_before=before[name], n_after=after[name]) for name, step in steps.items()]
