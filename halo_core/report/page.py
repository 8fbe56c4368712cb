"""One self-contained HTML page from the data of a report: no request to anywhere, and whole without its script."""

from collections.abc import Mapping
from dataclasses import replace

from markupsafe import Markup

from halo_core.records import Finding
from halo_core.report import queries, tables
from halo_core.report.data import Gallery, PlainTable, ReportData
from halo_core.report.figures import campaign_figures, svg
from halo_core.report.pictures import pictures_of
from halo_core.report.template import render
from halo_core.report.words import experiments, magnifications

SCIENCE_VERSION = 3
"""Raised whenever the code changes a byte of the page."""

_MAX_LEFT_OUT = 12


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
    # Cells may come in hundreds of pieces, and each table is a look at all of them.
    data = replace(data, cells=None if data.cells is None else data.cells.combine_chunks())
    return render("page.html.j2", **_content(data))


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
        "criteria": labels,
        "experiments": experiments(data.cells, labels, data.facts) if data.cells is not None else [],
        "magnifications": magnifications(data.facts),
        "figures": _figures(data, labels),
        "galleries": [_gallery(gallery, data.campaign) for gallery in data.gallery],
        **_state_tables(data),
        **_object_tables(data),
    }


def _state_tables(data: ReportData) -> dict[str, PlainTable | None]:
    """Return the tables whose rows stand in the state, each with its query."""
    found = {
        "headline": tables.headline_table(data.cells) if data.cells is not None else None,
        "counts": tables.counts_table(data.counts),
        "losses": tables.losses_table(data.losses),
        "planes": tables.planes_table(data.planes),
        "cut_flow": tables.from_rows("Cut flow of the parent catalogue", data.cut_flow),
        "findings": tables.findings_table(data.findings),
        "stages": tables.from_rows("Stages of this run", data.stages),
        "cost": tables.cost_table(data.cost.stages),
        "machines": tables.machines_table(data.cost.machines),
        "configuration": _mapping_table("Configuration", data.configuration),
    }
    return {name: None if table is None else replace(table, sql=queries.query(name, data.campaign)) for name, table in found.items()}


def _object_tables(data: ReportData) -> dict[str, PlainTable]:
    """Return the tables that stand in objects alone, each with where they are."""
    found = {
        "expected": (tables.expected_table(data.facts.get("expected", ())), "summary", "facts.json"),
        "definition": (tables.definition_table(data.facts.get("definition", ())), "summary", "facts.json"),
        "models": (tables.models_table(data.facts.get("models", ())), "summary", "facts.json"),
        "psf": (tables.psf_table(data.facts.get("psf_provenance", ())), "summary", "facts.json"),
        "controls": (tables.controls_table(data.controls), "summary", "controls.json"),
        "scatter": (tables.scatter_table(data.region_scatter), "summary", "region_cells.parquet"),
        "supply": (tables.from_rows("Strata, supply and reductions of the plan", data.supply), "manifest", "design.json"),
        "provenance": (_mapping_table("Seeds, inputs, versions and processor of each stage", data.provenance), "", ""),
    }
    return {
        name: replace(table, source=f"{data.sources[word]}/{file}" if word in data.sources else "")
        for name, (table, word, file) in found.items()
    }


def _figures(data: ReportData, labels: Mapping[str, str]) -> list[dict[str, object]]:
    """Return figures, each with its table, the query behind it and the points that are not drawn."""
    if data.cells is None:
        return []
    shown: list[dict[str, object]] = []
    for figure in campaign_figures(data.cells, labels, facts=data.facts, hosts=data.hosts):
        rest = len(figure.notes) - _MAX_LEFT_OUT
        sql = queries.figure_query(data.campaign, figure.table)
        shown.append(
            {
                "heading": figure.heading,
                "svg": Markup(svg(figure)),
                "caption": figure.caption,
                "description": figure.description,
                "table": replace(tables.figure_table(figure.heading, figure.table), sql=sql),
                "left_out": list(figure.notes[:_MAX_LEFT_OUT]) + ([f"and {rest} more; see the table"] if rest > 0 else []),
            }
        )
    return shown


def _gallery(gallery: Gallery, campaign: str) -> dict[str, object]:
    """Return a gallery with the pictures of its stamps and the query of their numbers."""
    return {
        "heading": gallery.heading,
        "caption": gallery.caption,
        "items": [{"stamps": stamps, "pictures": pictures_of(stamps)} for stamps in gallery.stamps],
        "sql": queries.tasks_query(campaign, (stamps.task_id for stamps in gallery.stamps)),
    }


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
