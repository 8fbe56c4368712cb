"""Tables of the report, from rows as the stages and the state give them."""

from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from halo_core.flags import SENTENCES, Flag
from halo_core.records import Finding
from halo_core.report.data import PlainTable, Row
from halo_core.stages.summary import headline

TOO_FEW = "too few"
_COUNT_STAGES = ("planned", "built", "processed", "summarised")


def from_rows(caption: str, rows: Sequence[Row], *, headings: Mapping[str, str] | None = None, note: str = "") -> PlainTable:
    """Return a table of mappings: the given headings choose and name the columns, else all of them in order of appearance."""
    names = headings or {name: name.replace("_", " ") for name in dict.fromkeys(name for row in rows for name in row)}
    shown = tuple(tuple(row.get(name) for name in names) for row in rows)
    return PlainTable(caption, tuple(names.values()), shown, note)


def counts_table(rows: Sequence[Row]) -> PlainTable:
    """Return planned, built, processed and summarised tasks; rows that do not agree, or were not reached, are marked."""
    keys = ("tier", "region_split", "stamp_size")
    headings = ("tier", "split", "stamp [pix]", *_COUNT_STAGES, "agree")
    shown, bad = [], set()
    for number, row in enumerate(rows):
        values = [row.get(name) for name in _COUNT_STAGES]
        is_equal = None not in values and len(set(values)) == 1
        shown.append((*(row.get(name) for name in keys), *values, "yes" if is_equal else "no"))
        if not is_equal:
            bad.add(number)
    return PlainTable("Tasks by stage, controls included", headings, tuple(shown), bad_rows=frozenset(bad))


def headline_table(cells: pa.Table, labels: Mapping[str, str]) -> PlainTable:
    """Return the completeness of each experiment and criterion over all splits, with 95 % intervals."""
    headings = (
        *("tier", "stamp [pix]", "criterion", "planned", "evaluated", "not evaluated", "recovered", "completeness", "95 % interval"),
        *("weighted", "95 % interval (weighted)", "sky cells", "design effect", "remark"),
    )
    rows = []
    for row in headline(cells):
        numbers = (row["n_planned"], row["n_evaluated"], row["n_not_evaluated"], row["n_recovered"])
        measured = (
            share(row["completeness"], is_too_few=bool(row["is_too_few"])),
            interval(row["lower_95"], row["upper_95"], is_too_few=bool(row["is_too_few"])),
            share(row["completeness_weighted"], is_too_few=bool(row["is_too_few"])),
            interval(row["weighted_lower_95"], row["weighted_upper_95"], is_too_few=bool(row["is_too_few"])),
        )
        label = labels.get(str(row["criterion"]), str(row["criterion"]))
        deff = row["deff"]
        shown_deff = f"{deff:.2f}" if isinstance(deff, float) else None
        rows.append((row["tier"], row["stamp_size"], label, *numbers, *measured, row["n_clusters"], shown_deff, row["interval_note"]))
    note = (
        "Only evaluated injections enter a denominator. Intervals treat a sky cell as one unit, because injections that share "
        "seeing and depth are not independent; the design effect says by how much the variance exceeds the binomial one. "
        "Weighted numbers stand for the hosts of the parent catalogue, unweighted ones for those that were drawn."
    )
    return PlainTable("Completeness over all splits and conditions", headings, tuple(rows), note)


def marginal_table(caption: str, axis_label: str, rows: Iterable[Row], labels: Mapping[str, str]) -> PlainTable:
    """Return the numbers behind a figure; ``rows`` are cells with an extra ``place`` text."""
    headings = ("tier", "stamp [pix]", "criterion", axis_label, "evaluated", "not evaluated", "recovered", "completeness", "95 % interval")
    shown = []
    for row in rows:
        is_too_few = bool(row["is_too_few"])
        counts = (row["n_evaluated"], row["n_not_evaluated"], row["n_recovered"])
        measured = (share(row["completeness"], is_too_few=is_too_few), interval(row["lower_95"], row["upper_95"], is_too_few=is_too_few))
        label = labels.get(str(row["criterion"]), str(row["criterion"]))
        shown.append((row["tier"], row["stamp_size"], label, row["place"], *counts, *measured))
    return PlainTable(caption, headings, tuple(shown))


def controls_table(rows: Sequence[Row], labels: Mapping[str, str]) -> PlainTable:
    """Return what each criterion says of controls; "not applicable" where it reads the truth, never 0."""
    headings = ("tier", "split", "stamp [pix]", "criterion", "controls", "evaluated", "not evaluated", "called", "share called")
    shown = []
    for row in rows:
        label = labels.get(str(row["criterion"]), str(row["criterion"]))
        called, called_frac = row["n_called"], row["called_frac"]
        verdict = ("not applicable", "not applicable") if row["note"] else (called, share(called_frac, is_too_few=False))
        counts = (row["n_controls"], row["n_evaluated"], row["n_not_evaluated"])
        shown.append((row["tier"], row["region_split"], row["stamp_size"], label, *counts, *verdict))
    note = "A criterion that reads the truth of a painted arc says nothing about a host without one. Controls enter no completeness."
    return PlainTable("Controls", headings, tuple(shown), note)


def losses_table(rows: Sequence[Row]) -> PlainTable:
    """Return the losses by reason, each with its sentence; a name that is no flag is an error of the caller."""
    headings = ("tier", "split", "stamp [pix]", "tasks", "flag", "reason")
    shown = tuple(
        (row["tier"], row["region_split"], row["stamp_size"], row["n_tasks"], row["flag"], SENTENCES[Flag[str(row["flag"])]])
        for row in rows
    )
    return PlainTable("Tasks that were not evaluated, by reason", headings, shown, "A task with several reasons stands in several rows.")


def findings_table(findings: Sequence[Finding]) -> PlainTable:
    """Return every check, failed ones first."""
    headings = ("result", "stage", "check", "observed", "expected", "what it says")
    ordered = sorted(findings, key=lambda finding: (finding.is_ok, finding.severity != "error"))
    rows = tuple((verdict(one), one.stage, one.check, one.observed, one.expected, one.sentence) for one in ordered)
    bad = frozenset(number for number, one in enumerate(ordered) if not one.is_ok)
    return PlainTable("Every check of every stage", headings, rows, bad_rows=bad)


def verdict(finding: Finding) -> str:
    """Return passed, warning or FAILED."""
    if finding.is_ok:
        return "passed"
    return "FAILED" if finding.severity == "error" else "warning"


def share(value: object, *, is_too_few: bool) -> str | None:
    """Return a share as text with three decimals, "too few", or None for NULL."""
    if is_too_few:
        return TOO_FEW
    return f"{value:.3f}" if isinstance(value, (int, float)) else None


def interval(lower: object, upper: object, *, is_too_few: bool) -> str | None:
    """Return an interval as text, or None where there is none."""
    if is_too_few or not isinstance(lower, (int, float)) or not isinstance(upper, (int, float)):
        return None
    return f"{lower:.3f} – {upper:.3f}"
