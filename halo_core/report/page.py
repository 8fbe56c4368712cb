"""One self-contained HTML page from the data of a report: no script, no request to anywhere."""

import re
from collections.abc import Mapping
from importlib import resources

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from halo_core.records import Finding
from halo_core.report.colour import png_data_uri, rgb, stretch_of
from halo_core.report.data import PlainTable, ReportData, Stamps
from halo_core.report.figures import campaign_figures, svg
from halo_core.report.tables import (
    controls_table,
    counts_table,
    findings_table,
    from_rows,
    headline_table,
    losses_table,
    share,
)

SCIENCE_VERSION = 2
"""Raised whenever the code changes a byte of the page."""

_MAX_LEFT_OUT = 12
_NUMBERS = re.compile(r"[+-]?\d[\d,.]*( – \d[\d.]*)?")


def render_report(data: ReportData) -> str:
    """Return the page as HTML text.

    Parameters
    ----------
    data : ReportData
        What to show; parts that a stopped campaign did not reach may be empty.

    Returns
    -------
    str
        A whole document. Failed checks and errors stand above everything else.
    """
    environment = Environment(loader=PackageLoader("halo_core.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"cell": cell_text, "numeric": is_numeric, "number_columns": number_columns}
    style = Markup(resources.files("halo_core.report").joinpath("page.css").read_text(encoding="utf-8"))
    return environment.get_template("page.html.j2").render(style=style, **_content(data))


def cell_text(value: object) -> str:
    """Return a table entry as text: None as a dash, whole numbers with thin spaces, other numbers with six digits."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f")
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def is_numeric(value: object) -> bool:
    """Return whether an entry is a number, or a text of numbers such as an interval."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)) or (isinstance(value, str) and bool(_NUMBERS.fullmatch(value)))


def number_columns(table: PlainTable) -> set[int]:
    """Return the columns with a number, which are aligned to the right."""
    return {place for row in table.rows for place, value in enumerate(row) if is_numeric(value)}


def failures(findings: list[Finding]) -> list[Finding]:
    """Return the findings that stop a run."""
    return [finding for finding in findings if not finding.is_ok and finding.severity == "error"]


def _content(data: ReportData) -> dict[str, object]:
    """Return what the template shows."""
    labels = dict(data.criterion_labels)
    return {
        "data": data,
        "failures": failures(list(data.findings)),
        "warnings": [finding for finding in data.findings if not finding.is_ok and finding.severity == "warning"],
        "n_checks": len(data.findings),
        "counts": counts_table(data.counts),
        "headline": headline_table(data.cells, labels) if data.cells is not None else None,
        "figures": _figures(data, labels),
        "gallery": [_triplet(stamps) for stamps in data.gallery],
        "controls": controls_table(data.controls, labels),
        "losses": losses_table(data.losses),
        "planes": from_rows("Planes of the survey, by reason", data.planes),
        "scatter": _scatter_table(data, labels),
        "cut_flow": from_rows("Cut flow of the parent catalogue", data.cut_flow),
        "supply": from_rows("Strata, supply and reductions of the plan", data.supply),
        "findings": findings_table(data.findings),
        "configuration": _mapping_table("Configuration", data.configuration),
        "provenance": _mapping_table("Provenance", data.provenance),
    }


def _figures(data: ReportData, labels: Mapping[str, str]) -> list[dict[str, object]]:
    """Return figures, each with its table and the points that are not drawn."""
    if data.cells is None:
        return []
    shown: list[dict[str, object]] = []
    for figure in campaign_figures(data.cells, labels, facts={}, hosts=None):
        rest = len(figure.notes) - _MAX_LEFT_OUT
        shown.append(
            {
                "heading": figure.heading,
                "svg": Markup(svg(figure)),
                "caption": figure.caption,
                "description": figure.description,
                "table": from_rows(f"Numbers of the figure: {figure.heading}", figure.table.to_pylist()),
                "left_out": list(figure.notes[:_MAX_LEFT_OUT]) + ([f"and {rest} more; see the table"] if rest > 0 else []),
            }
        )
    return shown


def _triplet(stamps: Stamps) -> dict[str, object]:
    """Return the three pictures of an injection in one stretch."""
    stretch = stretch_of(stamps.injected)
    parts = (("injected", stamps.injected), ("host", stamps.host), ("arc", stamps.arc))
    pictures = [{"name": name, "uri": png_data_uri(rgb(planes, stretch))} for name, planes in parts]
    return {"title": stamps.title, "details": stamps.details, "pictures": pictures, "size": stamps.injected.shape[-1]}


def _scatter_table(data: ReportData, labels: Mapping[str, str]) -> PlainTable:
    """Return the scatter between regions, subset ``all``."""
    headings = {
        "tier": "tier",
        "stamp_size": "stamp [pix]",
        "criterion": "criterion",
        "theta_e_arcsec": "θ_E [arcsec]",
        "n_regions": "regions",
        "std_between": "scatter without binomial noise",
        "std_raw": "raw standard deviation",
    }
    rows = [
        {
            **row,
            "criterion": labels.get(str(row["criterion"]), row["criterion"]),
            "std_between": share(row["std_between"], is_too_few=False),
            "std_raw": share(row["std_raw"], is_too_few=False),
        }
        for row in data.region_scatter
        if row["subset"] == "all"
    ]
    return from_rows("Scatter of completeness between regions", rows, headings=headings)


def _mapping_table(caption: str, values: Mapping[str, object]) -> PlainTable:
    """Return names and values, nested mappings spelled out."""
    return PlainTable(caption, ("name", "value"), tuple(_flat(values, "")))


def _flat(values: Mapping[str, object], prefix: str) -> list[tuple[object, ...]]:
    """Return (dotted name, value text) pairs."""
    rows: list[tuple[object, ...]] = []
    for name, value in values.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        elif isinstance(value, (list, tuple)):
            rows.append((f"{prefix}{name}", ", ".join(map(str, value))))
        else:
            rows.append((f"{prefix}{name}", None if value is None else str(value)))
    return rows
