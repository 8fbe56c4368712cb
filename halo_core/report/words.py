"""What the numbers mean, in sentences: nothing is said here that does not stand in a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from halo_core.flags import SENTENCES, Flag
from halo_core.report.data import Row
from halo_core.report.tables import TOO_FEW, losses_of
from halo_core.stages.summary import read_first

_KEY = ("tier", "grid", "stamp_size", "bandset")


@dataclass(frozen=True)
class Headline:
    """The completeness of one experiment by one criterion, for a person."""

    criterion: str
    label: str
    value: str
    interval: str
    sentences: tuple[str, ...]


@dataclass(frozen=True)
class Experiment:
    """One experiment at its largest stamp: what was planned and lost, and what each criterion recovered."""

    title: str
    sentence: str
    headlines: tuple[Headline, ...]


def experiments(cells: pa.Table, labels: Mapping[str, str], facts: Mapping[str, Sequence[Row]]) -> list[Experiment]:
    """Return the experiments that a reader sees first: of each tier, grid and bandset the largest stamps, all splits together.

    Parameters
    ----------
    cells : Table
        ``records.CELLS``.
    labels : mapping of str to str
        Label by criterion name.
    facts : mapping of str to rows
        As in ``facts.json``; may be empty.
    """
    rows: list[Row] = read_first(cells, axes="").to_pylist()
    largest: dict[tuple[object, ...], int] = {}
    for row in rows:
        key = (row["tier"], row["grid"], row["bandset"])
        largest[key] = max(largest.get(key, 0), int(str(row["stamp_size"])))
    found = []
    for (tier, grid, bandset), size in largest.items():
        members = [row for row in rows if tuple(row[name] for name in _KEY) == (tier, grid, size, bandset)]
        heads = tuple(_headline(row, labels, facts.get("definition", ())) for row in members)
        found.append(Experiment(f"Tier {tier}: {grid}, {size} pixels, {bandset}", _accounts(members[0]), heads))
    return found


def meaning(row: Row) -> str:
    """Return what a row of pooled completeness says, in plain sentences."""
    found = f"Of the {row['n_evaluated']:,} arcs painted and evaluated in tier {row['tier']}, {row['n_recovered']:,}"
    if row["is_too_few"]:
        return f"{found} are recovered: too few arcs for a share."
    sentences = [f"{found} ({_percent(row['completeness'])}) are recovered."]
    if row["deff"] is not None and row["n_eff"] is not None:
        sentences.append(f"They say as much as {row['n_eff']:,.0f} independent arcs (design effect {row['deff']:.2f}).")
    if row["lower_95"] is None:
        sentences.append(f"There is no interval: {row['interval_note']}.")
    if row["completeness_weighted"] is not None:
        bars = _interval(row["weighted_lower_95"], row["weighted_upper_95"])
        sentences.append(
            f"Weighted to the hosts of the parent catalogue: {_percent(row['completeness_weighted'])}{f' ({bars})' if bars else ''}."
        )
    if row["n_not_evaluated"]:
        low, high = (_percent(row[name]) for name in ("bound_lower", "bound_upper"))
        sentences.append(f"Had all {row['n_not_evaluated']:,} that were not evaluated been missed, or found, it would be {low}, or {high}.")
    return " ".join(sentences)


def magnifications(facts: Mapping[str, Sequence[Row]]) -> list[str]:
    """Return a sentence on the magnification of each tier, with what the reference design expects where the tier is of that design."""
    sentences = []
    for row in (row for row in facts.get("magnification", ()) if row["n_physical"]):
        key = (row["tier"], row["grid"])
        expected = {str(one["quantity"]): one for one in facts.get("expected", ()) if (one["tier"], one["grid"]) == key}
        foretold = [
            f"{words} {_number(one['expected'])}{_tolerance(one['tolerance'])}"
            for words, name in (("a median of", "median"), ("a mean of", "mean"), ("a minimum of", "minimum"))
            if (one := expected.get(f"magnification_{name}")) is not None
        ]
        seen = f"median {_number(row['median'])}, mean {_number(row['mean'])}, from {_number(row['minimum'])} to {_number(row['maximum'])}"
        against = f" The reference design expects {', '.join(foretold)}." if foretold else ""
        sentences.append(f"Tier {row['tier']} ({row['grid']}), magnification of {row['n_physical']:,} arcs: {seen}.{against}")
    return sentences


def _headline(row: Row, labels: Mapping[str, str], definitions: Sequence[Row]) -> Headline:
    """Return one criterion's headline, with what its definition alone decides."""
    name = str(row["criterion"])
    label = labels.get(name, name)
    same = [one for one in definitions if one["criterion"] == name and all(one[key] == row[key] for key in _KEY)]
    value = TOO_FEW if row["is_too_few"] else _percent(row["completeness"]) or "–"
    interval = "" if row["is_too_few"] else _interval(row["lower_95"], row["upper_95"])
    return Headline(name, label, value, interval, (meaning(row), *map(_definition, same)))


def _definition(row: Row) -> str:
    """Return what a least resolution does to a criterion's numbers."""
    n_below, n_above = int(str(row["n_below"])), int(str(row["n_above"]))
    below = f"{row['n_recovered_below']:,} of the {n_below:,} arcs with θ_E/FWHM below {_number(row['minimum'])}"
    zero = f"By construction it recovers {below}"
    if not n_above or row["share_above"] is None:
        return f"{zero}; no evaluated arc lies above."
    interval = _interval(row["lower_95"], row["upper_95"])
    above = f"{row['n_recovered_above']:,} of {n_above:,}, {_percent(row['share_above'])}{f' (95 % {interval})' if interval else ''}"
    return f"{zero}; at or above it {above}. So this number mostly says how many arcs were planned above that line."


def _accounts(row: Row) -> str:
    """Return what was planned, evaluated and lost, with the reasons."""
    text = f"{row['n_task']:,} arcs planned, {row['n_evaluated']:,} painted and evaluated on {row['n_clusters']:,} sky cells"
    if not row["n_not_evaluated"]:
        return f"{text}; none was lost."
    reasons = "; ".join(f"{n:,}: {SENTENCES[Flag[flag]].rstrip('.')}" for flag, n in losses_of(row).items())
    return f"{text}, {row['n_not_evaluated']:,} not evaluated ({reasons})."


def _percent(value: object) -> str | None:
    """Return a share in per cent, None for NULL."""
    return f"{100 * value:.1f}\u00a0%" if isinstance(value, (int, float)) else None


def _interval(lower: object, upper: object) -> str:
    """Return an interval in per cent; empty where there is none."""
    is_there = isinstance(lower, (int, float)) and isinstance(upper, (int, float))
    return f"{100 * lower:.1f}\u00a0–\u00a0{100 * upper:.1f}\u00a0%" if is_there else ""  # type: ignore[operator]


def _number(value: object) -> str:
    """Return a number with three digits; a text as it is."""
    return f"{value:.3g}" if isinstance(value, (int, float)) else "not known" if value is None else str(value)


def _tolerance(value: object) -> str:
    """Return how far an expected number may be off; empty where that is not said."""
    return f" ± {value:.3g}" if isinstance(value, (int, float)) and value else ""
