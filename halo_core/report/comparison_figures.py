"""Figures of two campaigns: differences in completeness with their intervals along an axis, the line of no difference across."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_core.report.figure_style import (
    COLOURS,
    FAINT,
    INK,
    MARKERS,
    Entry,
    Margins,
    ReportFigure,
    bin_text,
    draw_legend,
    legend_height,
    listed,
    panel_grid,
    pick,
)

_PANEL_IN = (3.6, 2.6)
_SPREAD = 0.5
"""Share of the step between neighbouring points that series are spread over."""

_LABELS = {"theta_e_arcsec": ("Einstein radius", "[arcsec]"), "resolution_bin": ("Einstein radius / PSF FWHM in r", "")}

Row = Mapping[str, Any]


def difference_figure(rows: Sequence[Row], axes: str, names: tuple[str, str], labels: Mapping[str, str]) -> ReportFigure | None:
    """Return the figure of one table of differences; None where no row has one.

    Parameters
    ----------
    rows : sequence of mapping
        From `cell_differences`, along theta_e_arcsec or resolution_bin.
    axes : str
        Which of the two.
    names : (str, str)
        Campaigns A and B.
    labels : mapping of str to str
        Label by criterion name.
    """
    shown = [{**row, "place": place_text(row)} for row in rows if row["difference"] is not None]
    if not shown:
        return None
    words, unit = _LABELS[axes]
    n_hidden = len(rows) - len(shown)
    hidden = f" {n_hidden} of {len(rows)} points have too few injections in a campaign and are left out." if n_hidden else ""
    largest = max(shown, key=lambda row: abs(row["difference"]))
    columns = ("tier", "stamp_size", "bandset", "criterion", "place", "n_evaluated_a", "n_evaluated_b", "difference", "lower", "upper")
    table = pa.Table.from_pylist([{name: row[name] for name in columns} for row in shown])
    return ReportFigure(
        name=f"difference_{axes}",
        heading=f"Difference along {words}",
        caption=f"Completeness of {names[1]} minus that of {names[0]} by {words}, all splits and regions together, masked stamps included. "
        f"Bars are 95 % intervals from those of both campaigns by sky cell, taken as independent; a hollow point has none.{hidden}",
        description=f"Differences in completeness by {words}, tiers {listed(_tiers(shown))}. The largest is {largest['difference']:+.3f}, "
        f"tier {largest['tier']}, {largest['stamp_size']} pixels, {labels.get(largest['criterion'], largest['criterion'])}, "
        f"at {largest['place']}.",
        table=table,
        notes=(),
        draw=lambda: _draw(shown, f"{words} {unit}".strip(), labels, is_value=axes == "theta_e_arcsec"),
    )


def place_text(row: Row) -> str:
    """Return where on its axis a row stands."""
    return f"{row['theta_e_arcsec']:g}" if row["theta_e_arcsec"] is not None else bin_text(row["bin_lower"], row["bin_upper"])


def _tiers(rows: Sequence[Row]) -> list[str]:
    """Return the tiers in the order of the rows."""
    return list(dict.fromkeys(str(row["tier"]) for row in rows))


def _draw(rows: Sequence[Row], label: str, labels: Mapping[str, str], *, is_value: bool) -> Figure:
    """Draw a panel a tier."""
    tiers, criteria = _tiers(rows), list(dict.fromkeys(row["criterion"] for row in rows))
    views = sorted({(row["stamp_size"], row["bandset"]) for row in rows})
    entries = [Entry(labels.get(name, name), pick(COLOURS, i), line="-") for i, name in enumerate(criteria)]
    entries += [Entry(f"{size} pixels, {bandset}", marker=pick(MARKERS, i)) for i, (size, bandset) in enumerate(views)]
    margins = Margins(left=0.75, between_columns=0.35)
    width = margins.left + _PANEL_IN[0] * len(tiers) + margins.between_columns * (len(tiers) - 1) + margins.right
    margins = Margins(left=0.75, between_columns=0.35, top=0.3 + legend_height(entries, width), bottom=0.75)
    figure, (panels,) = panel_grid(1, [_PANEL_IN[0]] * len(tiers), _PANEL_IN[1], margins)
    reach = 1.08 * max(abs(row[end]) for row in rows for end in ("difference", "lower", "upper") if row[end] is not None)
    for panel, tier in zip(panels, tiers, strict=True):
        own = [row for row in rows if row["tier"] == tier]
        at = _positions(own, is_value=is_value)
        series = [(criterion, view) for criterion in criteria for view in views]
        for number, (criterion, view) in enumerate(series):
            picked = [row for row in own if row["criterion"] == criterion and (row["stamp_size"], row["bandset"]) == view]
            shift = _SPREAD * _step(at) * ((number + 0.5) / len(series) - 0.5)
            look = (pick(COLOURS, criteria.index(criterion)), pick(MARKERS, views.index(view)))
            _draw_series(panel, picked, [at[row["place"]] + shift for row in picked], look)
        panel.axhline(0.0, color=INK, linewidth=1.0)
        panel.grid(axis="y", color=INK, alpha=FAINT, linewidth=0.6)
        panel.set_ylim(-max(reach, 0.02), max(reach, 0.02))
        panel.set_title(f"tier {tier}", loc="left")
        panel.set_xlabel(label)
        if not is_value:
            panel.set_xticks(list(at.values()), list(at), rotation=25 if len(at) > 4 else 0)
        if panel is not panels[0]:
            panel.tick_params(labelleft=False)
    panels[0].set_ylabel("completeness, B \N{MINUS SIGN} A")
    draw_legend(figure, entries)
    return figure


def _positions(rows: Sequence[Row], *, is_value: bool) -> dict[str, float]:
    """Return the position of each place: the value itself, or equal steps in the order of the bins."""
    if is_value:
        return {row["place"]: float(row["theta_e_arcsec"]) for row in rows}
    lower = {row["place"]: -np.inf if row["bin_lower"] is None else row["bin_lower"] for row in rows}
    return {place: float(number) for number, place in enumerate(sorted(lower, key=lambda place: lower[place]))}


def _step(at: Mapping[str, float]) -> float:
    """Return the least distance of two positions."""
    return float(min(np.diff(sorted(at.values())), default=1.0))


def _draw_series(panel: Axes, rows: Sequence[Row], x: Sequence[float], look: tuple[str, str]) -> None:
    """Draw the points of one criterion and view, hollow where there is no interval."""
    colour, marker = look
    for row, place in zip(rows, x, strict=True):
        has_interval = row["lower"] is not None
        if has_interval:
            panel.vlines(place, row["lower"], row["upper"], color=colour, linewidth=1.4)
        panel.plot(place, row["difference"], marker, color=colour, markerfacecolor=colour if has_interval else "none", markersize=4.5)
