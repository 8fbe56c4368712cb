"""Tables of the report, from rows as the stages and the state give them."""

import json
from collections.abc import Iterable, Mapping, Sequence

import pyarrow as pa

from halo_core.flags import SENTENCES, Flag
from halo_core.records import Finding
from halo_core.report.data import PlainTable, Row
from halo_core.report.figure_style import bin_text
from halo_core.stages.summary import read_first

TOO_FEW = "too few"
_COUNTS: Mapping[str, str] = {
    "n_planned": "tasks planned",
    "n_built": "built",
    "n_processed": "processed",
    "n_evaluated": "evaluated",
    "n_not_evaluated": "not evaluated",
    "n_planned_injections": "injections planned",
    "n_built_injections": "injections built",
    "n_summarised_injections": "injections summarised",
}
EXPERIMENT = "tier, grid, bands"
COMPLETENESS = "completeness (95 %)"
WEIGHTED = "weighted (95 %)"
_AXES: Mapping[str, str] = {
    "theta_e_arcsec": "θ_E [arcsec]",
    "src_dmag": "source − host r [mag]",
    "src_mag_r": "source r [mag]",
    "src_reff_arcsec": "source R_e [arcsec]",
    "psf_fwhm_r_bin": "PSF FWHM r [arcsec]",
    "psfdepth_r_bin": "depth r [mag]",
    "resolution_bin": "θ_E/FWHM",
    "snr_matched_r_bin": "matched S/N(r)",
}
"""Axes of cells, as headings."""

_EQUAL = (("n_planned", "n_built", "n_processed"), ("n_planned_injections", "n_built_injections", "n_summarised_injections"))


def from_rows(caption: str, rows: Sequence[Row], *, headings: Mapping[str, str] | None = None, note: str = "") -> PlainTable:
    """Return a table of mappings: the given headings choose and name the columns, else all of them in order of appearance."""
    names = headings or {name: name.replace("_", " ") for name in dict.fromkeys(name for row in rows for name in row)}
    shown = tuple(tuple(row.get(name) for name in names) for row in rows)
    return PlainTable(caption, tuple(names.values()), shown, note)


def counts_table(rows: Sequence[Row]) -> PlainTable:
    """Return tasks and injections by stage; rows that do not agree, or were not reached, are marked."""
    headings = ("tier", "split", "stamp [pix]", *_COUNTS.values(), "agree")
    shown, bad = [], set()
    for number, row in enumerate(rows):
        is_equal = all(None not in (values := {row.get(name) for name in names}) and len(values) == 1 for names in _EQUAL)
        keys = (row.get("tier"), row.get("region_split"), row.get("stamp_size"))
        shown.append((*keys, *(row.get(name) for name in _COUNTS), "yes" if is_equal else "no"))
        if not is_equal:
            bad.add(number)
    note = "Tasks are injections and controls. Planned = built = processed, and injections planned = built = summarised, or the run fails."
    return PlainTable("Tasks by stage", headings, tuple(shown), note, bad_rows=frozenset(bad))


def headline_table(cells: pa.Table) -> PlainTable:
    """Return the completeness of each experiment and criterion over all splits, with 95 % intervals."""
    headings = (
        *(EXPERIMENT, "stamp [pix]", "criterion", "planned", "evaluated", "not evaluated", "recovered"),
        *(COMPLETENESS, WEIGHTED, "sky cells", "deff", "n eff"),
    )
    rows, remarks = [], []
    for row in read_first(cells, axes="").to_pylist():
        keys = (_experiment(row), row["stamp_size"], row["criterion"])
        numbers = (row["n_task"], row["n_evaluated"], row["n_not_evaluated"], row["n_recovered"])
        sizes = (row["n_clusters"], _decimals(row["deff"], 2), _decimals(row["n_eff"], 0))
        rows.append((*keys, *numbers, *measured(row), *sizes))
        if row["interval_note"]:
            remarks.append(f"{keys[0]}, {keys[1]} pixels, {keys[2]}: {row['interval_note']}.")
    note = (
        "Only evaluated injections enter a denominator. Intervals treat a sky cell as one unit, because injections that share "
        "seeing and depth are not independent; the design effect (deff) says by how much the variance exceeds the binomial one, the "
        "effective n (n eff) is the number evaluated over it. Weighted numbers stand for the hosts of the parent catalogue, unweighted "
        "ones for those that were drawn."
    )
    return PlainTable("Completeness over all splits and conditions", headings, tuple(rows), " ".join([note, *remarks]))


def figure_table(heading: str, table: pa.Table) -> PlainTable:
    """Return the numbers behind a figure; those of completeness by experiment and axis, any others as they are."""
    caption = f"Numbers: {heading[:1].lower()}{heading[1:]}"
    if "completeness" not in table.column_names:
        return from_rows(caption, table.to_pylist())
    axes = [name for name in _AXES if name in table.column_names]
    headings = (
        *(EXPERIMENT, "stamp [pix]", "criterion", "split", *(_AXES[name] for name in axes)),
        *("evaluated", "not evaluated", "recovered", COMPLETENESS, WEIGHTED, "sky cells"),
    )
    rows = []
    for row in table.to_pylist():
        keys = (_experiment(row), row["stamp_size_pix"], row["criterion"], row["region_split"] or "all")
        places = [_place(row, name) for name in axes]
        counts = (row["n_evaluated"], row["n_not_evaluated"], row["n_recovered"])
        rows.append((*keys, *places, *counts, *measured(row), row["n_clusters"]))
    return PlainTable(caption, headings, tuple(rows))


def _experiment(row: Row) -> str:
    """Return tier, grid and bands of a row."""
    return f"{row['tier']}, {row['grid']}, {row['bandset']}"


def _place(row: Row, name: str) -> object:
    """Return where a cell stands on an axis: a value, or the edges that follow the number of a bin."""
    if not name.endswith("_bin"):
        return row[name]
    columns = list(row)
    lower, upper = (row[edge] for edge in columns[columns.index(name) + 1 : columns.index(name) + 3])
    return bin_text(lower, upper)  # type: ignore[arg-type]


def measured(row: Row) -> tuple[str | None, str | None]:
    """Return completeness with its interval, unweighted and weighted, as texts; "too few" and None in the place of no number."""
    if row["is_too_few"]:
        return TOO_FEW, TOO_FEW
    return (
        _with_interval(row["completeness"], row["lower_95"], row["upper_95"]),
        _with_interval(row["completeness_weighted"], row["weighted_lower_95"], row["weighted_upper_95"]),
    )


def _with_interval(value: object, lower: object, upper: object) -> str | None:
    """Return a share with its interval, without where there is none, None for NULL."""
    shown, bars = share(value), interval(lower, upper)
    return f"{shown} ({bars})" if shown is not None and bars is not None else shown


def _decimals(value: object, n_decimals: int) -> str | None:
    """Return a number with so many decimals, None for NULL."""
    return f"{value:.{n_decimals}f}" if isinstance(value, (int, float)) else None


def controls_table(rows: Sequence[Row]) -> PlainTable:
    """Return what each criterion says of controls; "not applicable" where it reads the truth, never 0."""
    headings = ("tier", "split", "stamp [pix]", "criterion", "controls", "evaluated", "not evaluated", "called", "share called")
    shown = []
    for row in rows:
        called, called_frac = row["n_called"], row["called_frac"]
        verdict = ("not applicable", "not applicable") if row["note"] else (called, share(called_frac))
        counts = (row["n_controls"], row["n_evaluated"], row["n_not_evaluated"])
        shown.append((row["tier"], row["region_split"], row["stamp_size"], row["criterion"], *counts, *verdict))
    note = "A criterion that reads the truth of a painted arc says nothing about a host without one. Controls enter no completeness."
    return PlainTable("Controls", headings, tuple(shown), note)


def scatter_table(rows: Iterable[Row]) -> PlainTable:
    """Return the scatter of completeness between regions, subset ``all``."""
    headings = {
        "tier": "tier",
        "stamp_size": "stamp [pix]",
        "criterion": "criterion",
        "theta_e_arcsec": "θ_E [arcsec]",
        "n_regions": "regions",
        "std_between": "scatter without binomial noise",
        "std_raw": "raw standard deviation",
    }
    shown = [{**row, "std_between": share(row["std_between"]), "std_raw": share(row["std_raw"])} for row in rows if row["subset"] == "all"]
    return from_rows("Scatter of completeness between regions", shown, headings=headings)


def expected_table(rows: Sequence[Row]) -> PlainTable:
    """Return what the reference design expects beside what was observed; rows that disagree are marked."""
    headings = ("tier", "grid", "stamp [pix]", "criterion", "quantity", "observed", "expected", "tolerance", "effective n", "agrees")
    verdicts = {True: "yes", False: "no", None: "too few to say"}
    shown = tuple(
        (
            *(row.get(name) for name in ("tier", "grid", "stamp_size", "criterion")),
            str(row["quantity"]).replace("_", " "),
            *(_decimals(row.get(name), 3) for name in ("observed", "expected", "tolerance")),
            _decimals(row.get("n"), 0),
            verdicts[row.get("is_ok")],  # type: ignore[index]
        )
        for row in rows
    )
    bad = frozenset(number for number, row in enumerate(rows) if row.get("is_ok") is False)
    return PlainTable("Observed and expected of the reference design", headings, shown, bad_rows=bad)


def definition_table(rows: Sequence[Row]) -> PlainTable:
    """Return recovered shares below and above the resolution that a criterion demands."""
    headings = (
        *(EXPERIMENT, "stamp [pix]", "criterion", "least θ_E/FWHM", "arcs below", "recovered below", "arcs above"),
        *("recovered above", "share above (95 %)"),
    )
    shown = tuple(
        (
            _experiment(row),
            *(row[name] for name in ("stamp_size", "criterion", "minimum")),
            *(row[name] for name in ("n_below", "n_recovered_below", "n_above", "n_recovered_above")),
            _with_interval(row["share_above"], row["lower_95"], row["upper_95"]),
        )
        for row in rows
    )
    return PlainTable("Recovered below and above the resolution that a criterion demands", headings, shown)


def models_table(rows: Sequence[Row]) -> PlainTable:
    """Return the smooth model of each experiment and criterion: whether there is one, and why not."""
    headings = (
        *(EXPERIMENT, "stamp [pix]", "criterion", "status", "reason"),
        *("injections", "sky cells", "Brier score", "of a constant"),
    )
    shown = tuple(
        (
            _experiment(row),
            *(row[name] for name in ("stamp_size", "criterion", "status", "reason")),
            *(row.get(name) for name in ("n_injections", "n_clusters", "brier", "brier_constant")),
        )
        for row in rows
    )
    note = (
        "A smooth model is fitted to criteria with chance in them, such as a detector's score. One that reads what was painted is a "
        "threshold: a curve through it would be a picture of the definition, and is refused."
    )
    return PlainTable("Smooth models", headings, shown, note)


def psf_table(rows: Sequence[Row]) -> PlainTable:
    """Return how many tasks took their PSF size from where."""
    sources = {0: "map at the host", 1: "value of the brick", None: "none"}
    headings = (EXPERIMENT, "stamp [pix]", "split", "band", "source", "tasks")
    shown = tuple(
        (_experiment(row), row["stamp_size"], row["region_split"], row["band"], sources[row["psf_source"]], row["n_tasks"])  # type: ignore[index]
        for row in rows
    )
    return PlainTable("Source of the PSF size", headings, shown)


def losses_of(cells_row: Row) -> dict[str, int]:
    """Return the number of injections of a cell by loss flag, the most frequent first."""
    found: dict[str, int] = json.loads(str(cells_row["losses"]))
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def losses_table(rows: Sequence[Row]) -> PlainTable:
    """Return the losses by reason, each with its sentence; a name that is no flag is an error of the caller."""
    headings = ("tier", "split", "stamp [pix]", "tasks", "flag", "reason")
    shown = tuple(
        (row["tier"], row["region_split"], row["stamp_size"], row["n_tasks"], row["flag"], SENTENCES[Flag[str(row["flag"])]])
        for row in rows
    )
    return PlainTable("Tasks that were not evaluated, by reason", headings, shown, "A task with several reasons stands in several rows.")


def planes_table(rows: Sequence[Row]) -> PlainTable:
    """Return what became of the survey's planes, by reason."""
    note = (
        "Reasons that differ in the name of a file or in a number alone stand together, with # for the number; the query tells them apart."
    )
    headings = {"status": "status", "reason": "reason", "planes": "planes", "bytes": "bytes"}
    return from_rows("Planes of the survey, by reason", rows, headings=headings, note=note if any(row["reason"] for row in rows) else "")


def cost_table(rows: Sequence[Row]) -> PlainTable:
    """Return what each stage cost."""
    headings = {
        "stage": "stage",
        "status": "status",
        "attempts": "attempts",
        "started": "started [UTC]",
        "ended": "ended [UTC]",
        "wall_s": "clock [s]",
        "busy_s": "work [s]",
        "objects": "objects",
        "bytes": "bytes",
    }
    note = (
        "By the database's clock, to the second. A stage with blocks is timed from its first block's start to its last block's end, "
        "in the last attempt; its work is the sum over blocks, those of the injection with the filling of the cache. Any other is timed "
        "from the end of the stage before it, waiting included. A dash is not known: the state only loaded the rows. Objects and bytes "
        "are those that the stage's commit names."
    )
    return from_rows("Time and bytes by stage", rows, headings=headings, note=note)


def machines_table(rows: Sequence[Row]) -> PlainTable:
    """Return what each machine did."""
    headings = {
        "stage": "stage",
        "host": "machine",
        "n_blocks": "blocks",
        "n_attempts": "attempts",
        "n_injections": "injections",
        "n_tasks": "tasks",
        "first_started": "first start [UTC]",
        "last_finished": "last end [UTC]",
    }
    return from_rows("Machines", rows, headings=headings)


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


def share(value: object) -> str | None:
    """Return a share as text with three decimals, or None for NULL."""
    return f"{value:.3f}" if isinstance(value, (int, float)) else None


def interval(lower: object, upper: object) -> str | None:
    """Return an interval as text, or None where there is none."""
    if not isinstance(lower, (int, float)) or not isinstance(upper, (int, float)):
        return None
    return f"{lower:.3f} – {upper:.3f}"
