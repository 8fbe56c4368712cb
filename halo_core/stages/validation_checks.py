"""What a check is: a law with a name and a sentence, and a function that compares what it sees with what it expects."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, NamedTuple, Protocol, TypeVar

import pyarrow as pa

from halo_core.records import Finding
from halo_core.stages.validation import Raised, attempt

Seen = TypeVar("Seen")


class Verdict(NamedTuple):
    """The outcome of one check."""

    is_ok: bool
    observed: str
    expected: str


class Law(Protocol):
    """What a finding says of any law."""

    @property
    def name(self) -> str:
        """Name of the check."""

    @property
    def sentence(self) -> str:
        """The law in words."""

    @property
    def severity(self) -> Literal["error", "warning"]:
        """Whether breaking it stops the run."""


@dataclass(frozen=True)
class Check(Generic[Seen]):
    """One law of a stage; ``severity`` says whether breaking it stops the run."""

    name: str
    sentence: str
    function: Callable[[Seen], Verdict]
    severity: Literal["error", "warning"] = "error"


def run_checks(stage: str, checks: Sequence[Check[Seen]], seen: Seen) -> list[Finding]:
    """Return one finding per check, passed or not; one that raised has failed."""
    return [finding_of(stage, check, attempt(check.function, seen)) for check in checks]


def finding_of(stage: str, law: Law, verdict: Verdict | Raised) -> Finding:
    """Return the finding of a law, from its verdict or what it raised."""
    if isinstance(verdict, Raised):
        return verdict.finding(stage, law.name, law.sentence)
    return Finding(stage, law.name, verdict.is_ok, law.severity, verdict.observed, verdict.expected, law.sentence)


def schema_verdict(table: pa.Table, schema: pa.Schema) -> Verdict:
    """Return whether a table has every column of the schema in its type."""
    missing = [name for name in schema.names if name not in table.column_names]
    wrong = [field.name for field in schema if field.name not in missing and table.schema.field(field.name).type != field.type]
    return Verdict(
        not missing and not wrong, f"missing {missing or 'none'}, wrong type {wrong or 'none'}", f"{len(schema)} columns in their types"
    )


def nulls_verdict(table: pa.Table, schema: pa.Schema) -> Verdict:
    """Return whether the columns that forbid it hold neither NULL nor NaN."""
    bad = {field.name: n for field in schema if not field.nullable and (n := _n_unknown(table[field.name]))}
    return Verdict(not bad, f"NULL or NaN: {bad or 'none'}", "none")


def none_of(n_bad: int, n_rows: int, what: str) -> Verdict:
    """Return the verdict of a law that no row may break."""
    return Verdict(n_bad == 0, f"{n_bad} of {n_rows} {what}", "0")


def _n_unknown(column: pa.ChunkedArray) -> int:
    """Return the number of NULL or NaN values."""
    if pa.types.is_floating(column.type):
        return int(column.is_null(nan_is_null=True).to_numpy().sum())
    return int(column.null_count)
