"""One self-contained HTML page that sets two campaigns side by side: no request to anywhere, and whole without its script."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from markupsafe import Markup

from halo_core.report.comparison_figures import difference_figure, place_text
from halo_core.report.data import PlainTable
from halo_core.report.figure_style import svg
from halo_core.report.tables import TOO_FEW, interval, share
from halo_core.report.template import cell_text, render
from halo_core.stages.comparison import PairedRow

HEADINGS = {"theta_e_arcsec": "Einstein radius [arcsec]", "resolution_bin": "Einstein radius / PSF FWHM in r"}
IDENTICAL = "The two are identical: every stage has the same digest, so every difference is 0."
_DIFFERENCE = "B \N{MINUS SIGN} A"
_EXPERIMENT = ("tier", "stamp [pix]", "bands", "criterion")


@dataclass(frozen=True)
class ComparisonData:
    """Everything the page shows.

    Attributes
    ----------
    names : (str, str)
        Campaigns A and B.
    is_identical : bool
        Every stage of both has the same digest.
    digests : sequence of (str, str or None, str or None)
        Stage word, digest of A, digest of B.
    configuration : sequence of (str, object, object)
        Parameters that differ, with both values.
    criterion_labels : mapping of str to str
        Label by criterion name; where the two definitions differ, both.
    cautions : sequence of str
        What a reader must know before comparing.
    cells : mapping of str to sequence of mapping
        By ``axes``, rows of `stages.comparison.cell_differences`.
    paired : sequence of PairedRow
        The same injections in both.
    """

    names: tuple[str, str]
    is_identical: bool
    digests: Sequence[tuple[str, str | None, str | None]]
    configuration: Sequence[tuple[str, object, object]]
    criterion_labels: Mapping[str, str]
    cautions: Sequence[str]
    cells: Mapping[str, Sequence[Mapping[str, Any]]]
    paired: Sequence[PairedRow]


def render_comparison(data: ComparisonData) -> str:
    """Return the page as HTML text, a whole document."""
    return render(
        "comparison.html.j2",
        data=data,
        identical=IDENTICAL if data.is_identical else "",
        headline=_headline_table(data),
        pooled=_pooled_table(data),
        paired=_paired_table(data),
        axes=[_axis(data, axes) for axes in HEADINGS if data.cells.get(axes)],
        configuration=PlainTable("Parameters that differ", ("parameter", *_sides(data)), tuple(map(_texts, data.configuration))),
        digests=PlainTable(
            "Digests of the stages",
            ("stage", *_sides(data), "equal"),
            tuple((word, one, other, "yes" if one == other else "no") for word, one, other in data.digests),
        ),
    )


def headline_lines(data: ComparisonData) -> list[str]:
    """Return a line for each experiment and criterion, subset ``all``: both numbers, their difference, and that of pairs."""
    lines = [IDENTICAL] if data.is_identical else []
    for row, pair in _with_pairs(data):
        values = [_shown(row, side) or "none" for side in ("_a", "_b")]
        text = f"{row['tier']}, {row['stamp_size']} pixels, {row['bandset']}, {row['criterion']}: A {values[0]}, B {values[1]}"
        if row["difference"] is not None:
            text += f", {_DIFFERENCE} {_bracketed(row['difference'], row['lower'], row['upper'])}"
        lines.append(f"{text}; {_pairs_text(pair)}")
    return lines


def _headline_table(data: ComparisonData) -> PlainTable:
    """Return what people read first, subset ``all``: both numbers, their difference, and that of the same injections."""
    headings = (*_EXPERIMENT, "A", "B", _DIFFERENCE, "95 % interval", "pairs", f"{_DIFFERENCE} of pairs", "95 % interval of pairs")
    rows = []
    for row, pair in _with_pairs(data):
        is_few = (bool(row["is_too_few_a"]), bool(row["is_too_few_b"]))
        values = [_shown(row, side) for side in ("_a", "_b")]
        found = pair.difference if pair is not None else None
        paired = (found.n_pairs, _signed(found.difference), _range(found.lower, found.upper)) if found is not None else (None, None, None)
        difference = (TOO_FEW if any(is_few) else _signed(row["difference"]), _range(row["lower"], row["upper"]))
        rows.append((*_experiment(data, (row["tier"], row["stamp_size"], row["bandset"]), row["criterion"]), *values, *difference, *paired))
    note = "Pairs are the same injections, evaluated in both: where there are any, their difference is the sharper answer."
    return PlainTable("Completeness of both campaigns", headings, tuple(rows), note)


def _with_pairs(data: ComparisonData) -> Iterator[tuple[Mapping[str, Any], PairedRow | None]]:
    """Yield the pooled rows of subset ``all``, each with its pairs."""
    pairs = {(*row.key, row.criterion): row for row in data.paired if row.subset == "all"}
    for row in (row for row in data.cells[""] if row["subset"] == "all"):
        yield row, pairs.get((row["tier"], row["stamp_size"], row["bandset"], row["criterion"]))


def _pairs_text(row: PairedRow | None) -> str:
    """Return in words how many injections are the same, and the difference of those."""
    if row is None:
        return "not paired"
    found, (n_a, n_b) = row.difference, row.n_unmatched
    ids = f"{cell_text(row.n_matched)} ids in both, {cell_text(n_a)} in A alone, {cell_text(n_b)} in B alone"
    if not found.n_pairs:
        return f"{ids}: no pairs"
    return f"{ids}: {cell_text(found.n_pairs)} pairs, {_DIFFERENCE} {_bracketed(found.difference, found.lower, found.upper)}"


def _sides(data: ComparisonData) -> tuple[str, str]:
    """Return the headings of both campaigns."""
    return f"A: {data.names[0]}", f"B: {data.names[1]}"


def _texts(row: tuple[str, object, object]) -> tuple[object, ...]:
    """Return a parameter and its values as texts."""
    return row[0], *(None if value is None else str(value) for value in row[1:])


def _experiment(data: ComparisonData, key: Sequence[object], criterion: str) -> tuple[object, ...]:
    """Return the first columns of a row."""
    return (*key, data.criterion_labels.get(criterion, criterion))


def _shown(row: Mapping[str, Any], side: str, name: str = "completeness") -> str | None:
    """Return a completeness of one side as it is shown."""
    return TOO_FEW if row[f"is_too_few{side}"] else share(row[f"{name}{side}"])


def _measured(row: Mapping[str, Any]) -> tuple[object, ...]:
    """Return both numbers with their intervals, and the difference with its own."""
    found: tuple[object, ...] = (row["n_evaluated_a"], row["n_evaluated_b"])
    for side in ("_a", "_b"):
        is_few = bool(row[f"is_too_few{side}"])
        found += (
            (TOO_FEW, None) if is_few else (share(row[f"completeness{side}"]), interval(row[f"lower_95{side}"], row[f"upper_95{side}"]))
        )
    is_few = row["is_too_few_a"] or row["is_too_few_b"]
    return (*found, TOO_FEW if is_few else _signed(row["difference"]), _range(row["lower"], row["upper"]))


_MEASURED = ("evaluated A", "evaluated B", "A", "95 % interval A", "B", "95 % interval B", _DIFFERENCE, "95 % interval")


def _pooled_table(data: ComparisonData) -> PlainTable:
    """Return completeness over all splits and conditions, side by side."""
    weighted = ("weighted A", "weighted B", f"weighted {_DIFFERENCE}", "95 % interval (weighted)")
    rows = []
    for row in data.cells[""]:
        key = _experiment(data, (row["tier"], row["stamp_size"], row["bandset"]), row["criterion"])
        own = [_shown(row, side, "completeness_weighted") for side in ("_a", "_b")]
        difference = (_signed(row["weighted_difference"]), _range(row["weighted_lower"], row["weighted_upper"]))
        rows.append((*key, row["subset"], *_measured(row), *own, *difference))
    note = (
        "Subset clean leaves out masked stamps. The interval of a difference joins those of both campaigns (Newcombe's method 10 on "
        "intervals by sky cell) as if they were independent. Two campaigns on the same sky are not: they share its seeing and depth, "
        "and where they rise and fall together the interval is wider than it need be. Weighted numbers stand for the hosts of the parent "
        "catalogue."
    )
    return PlainTable("Completeness over all splits and conditions", (*_EXPERIMENT, "subset", *_MEASURED, *weighted), tuple(rows), note)


def _paired_table(data: ComparisonData) -> PlainTable:
    """Return what became of the same injections in both campaigns."""
    headings = (
        *(*_EXPERIMENT, "subset", "ids in both", "in A alone", "in B alone", "evaluated in A alone", "evaluated in B alone", "pairs"),
        *("recovered in both", "in A alone", "in B alone", "in neither", _DIFFERENCE, "95 % interval", "sky cells", "McNemar p"),
        "remark",
    )
    rows = []
    for row in data.paired:
        found = row.difference
        counts = (row.n_matched, *row.n_unmatched, *row.n_evaluated_alone, found.n_pairs)
        outcome = (found.n_both, found.n_only_a, found.n_only_b, found.n_neither)
        p_value = f"{found.mcnemar_p:.3g}" if found.n_pairs else None
        measured = (_signed(found.difference), _range(found.lower, found.upper), found.n_clusters, p_value, found.note)
        rows.append((*_experiment(data, row.key, row.criterion), row.subset, *counts, *outcome, *measured))
    note = (
        "A pair is one physical injection in one view, evaluated in both campaigns. The interval treats a sky cell as one unit. McNemar's "
        "exact test looks at the pairs that differ and takes them as independent, which pairs of one sky cell are not: its p is too small "
        "where they go together. Subset clean holds pairs that are clean in both."
    )
    return PlainTable("The same injections in both campaigns", headings, tuple(rows), note)


def _axis(data: ComparisonData, axes: str) -> dict[str, object]:
    """Return figure and table of the differences along an axis."""
    rows = data.cells[axes]
    figure = difference_figure(rows, axes, data.names, data.criterion_labels)
    shown = tuple(
        (*_experiment(data, (row["tier"], row["stamp_size"], row["bandset"]), row["criterion"]), place_text(row), *_measured(row))
        for row in rows
    )
    table = PlainTable(f"Completeness by {HEADINGS[axes]}", (*_EXPERIMENT, HEADINGS[axes], *_MEASURED), shown)
    return {"heading": HEADINGS[axes], "figure": figure, "svg": Markup(svg(figure)) if figure is not None else "", "table": table}


def _signed(value: object) -> str | None:
    """Return a difference as text with its sign; exactly none is 0.000."""
    if not isinstance(value, float) or not isfinite(value):
        return None
    text = f"{value:+.3f}"
    return "0.000" if text in ("+0.000", "-0.000") and value == 0.0 else text


def _range(lower: object, upper: object) -> str | None:
    """Return the interval of a difference as text, None where there is none."""
    ends = (_signed(lower), _signed(upper))
    return None if None in ends else f"{ends[0]} to {ends[1]}"


def _bracketed(difference: object, lower: object, upper: object) -> str:
    """Return a difference with its interval, or that there is none."""
    text = _range(lower, upper)
    return f"{_signed(difference)} ({text if text is not None else 'no interval'})"
