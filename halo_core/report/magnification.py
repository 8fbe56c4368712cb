"""The distribution of magnifications of each tier, with its median and mean, and what the reference design gives."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log10
from typing import Any

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_core.report.figure_style import (
    COLOURS,
    FAINT,
    INK,
    SMALL_POINTS,
    Entry,
    Margins,
    ReportFigure,
    draw_legend,
    legend_height,
    panel_grid,
)

_WIDTH_IN, _HEIGHT_IN = 3.3, 2.0
_TICKS = (1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0)
_LINES_TOP = 0.72
"""How high lines and bars reach; above stand the words."""

_BELOW_ONE = -0.06
"""Where the bin below 1 begins: magnifications below 1 are impossible, and shown where there are any."""

_LINES: Mapping[str, Entry] = {"median": Entry("median", COLOURS[0], line="-"), "mean": Entry("mean", COLOURS[1], line="--")}
_LIGHT, _STRONG = 0.25, 0.45

Row = Mapping[str, Any]


@dataclass(frozen=True)
class _Panel:
    """The numbers of one tier: the facts, the expected values by statistic, and the title."""

    facts: Row
    expected: Mapping[str, Row]

    @property
    def title(self) -> str:
        """Tier and grid."""
        return f"tier {self.facts['tier']}, {self.facts['grid']}"

    def sentence(self) -> str:
        """Return median and mean in words, beside what is expected."""
        parts = [f"{name} {self.facts[name]:.2f}{self.expectation(name)}" for name in _LINES]
        return f"{self.title}: {', '.join(parts)}, least {self.facts['minimum']:.2f}, {self.facts['n_physical']:,} injections"

    def expectation(self, name: str) -> str:
        """Return the expected value of a statistic in words, empty where none is given."""
        row = self.expected.get(name)
        return f" (expected {row['expected']:g} ± {row['tolerance']:g})" if row is not None else ""


def magnification_figure(facts: Mapping[str, Sequence[Row]]) -> ReportFigure | None:
    """Return the histograms; None where the summary has no magnification.

    Parameters
    ----------
    facts : mapping of str to rows
        ``magnification`` (tier, grid, n_physical, minimum, median, mean, histogram_edges, histogram_counts) and ``expected`` (tier, grid,
        quantity, expected, tolerance); either may be absent.
    """
    panels = [
        _Panel(row, {name: given for name in _LINES for given in facts.get("expected", ()) if _is_of(given, row, name)})
        for row in facts.get("magnification", ())
        if row["n_physical"]
    ]
    if not panels:
        return None
    has_expected = any(panel.expected for panel in panels)
    caption = (
        "Distribution of the magnification (lensed over unlensed flux of the source, before PSF and stamp edge) over the evaluated "
        "injections, each physical injection once, in bins of equal width in the logarithm; controls have none. Lines are median and mean"
        f"{'; the bands around them are what the reference design gives' if has_expected else ''}. Below 1 there must be nothing."
    )
    return ReportFigure(
        name="magnification",
        heading="Magnification of the injections",
        caption=caption,
        description=f"Histograms of magnification. {'; '.join(panel.sentence() for panel in panels)}.",
        table=_table(panels),
        notes=(),
        draw=lambda: _draw(panels),
    )


def _is_of(given: Row, row: Row, name: str) -> bool:
    """Return whether an expected value is that of a tier's statistic."""
    return (given["tier"], given["grid"], given["quantity"]) == (row["tier"], row["grid"], f"magnification_{name}")


def _table(panels: Sequence[_Panel]) -> pa.Table:
    """Return one row per bin; median, mean and what is expected of them stand in every row of their tier."""
    rows = []
    for panel in panels:
        shared = {name: panel.facts[name] for name in ("tier", "grid", "n_physical", *_LINES)}
        shared |= {f"{name}_expected": panel.expected.get(name, {}).get("expected") for name in _LINES}
        shared |= {f"{name}_tolerance": panel.expected.get(name, {}).get("tolerance") for name in _LINES}
        edges = panel.facts["histogram_edges"]
        for lower, upper, n in zip(edges[:-1], edges[1:], panel.facts["histogram_counts"], strict=True):
            rows.append({**shared, "magnification_lower": lower, "magnification_upper": upper, "n_injections": n})
    return pa.Table.from_pylist(rows)


def _draw(panels: Sequence[_Panel]) -> Figure:
    """Draw a histogram for each tier side by side."""
    margins = Margins(left=0.7, bottom=0.5, between_columns=0.55)
    width = margins.left + len(panels) * (_WIDTH_IN + margins.between_columns)
    entries = list(_LINES.values())
    figure, (places,) = panel_grid(
        1, [_WIDTH_IN] * len(panels), _HEIGHT_IN, Margins(left=0.7, top=0.3 + legend_height(entries, width), between_columns=0.55)
    )
    for place, panel in zip(places, panels, strict=True):
        _draw_panel(place, panel)
    places[0].set_ylabel("injections")
    draw_legend(figure, entries)
    return figure


def _draw_panel(place: Axes, panel: _Panel) -> None:
    """Draw one histogram with its lines and bands, the numbers in words beside it."""
    edges, counts = panel.facts["histogram_edges"], panel.facts["histogram_counts"]
    places = np.array([log10(edge) if edge > 0 else _BELOW_ONE for edge in edges])
    place.set_ylim(0.0, max(counts) / _LINES_TOP)
    place.stairs(counts, places, fill=True, color=INK, alpha=_LIGHT)
    place.stairs(counts, places, color=INK, linewidth=0.7, alpha=_STRONG)
    for number, (name, entry) in enumerate(_LINES.items()):
        expected = panel.expected.get(name)
        if expected is not None:
            low, high = (log10(expected["expected"] + sign * expected["tolerance"]) for sign in (-1, 1))
            place.axvspan(low, high, ymax=_LINES_TOP, color=entry.colour, alpha=_LIGHT, linewidth=0)
        place.axvline(log10(panel.facts[name]), ymax=_LINES_TOP, color=entry.colour, linestyle=entry.line, linewidth=1.3)
        text = f"{name} {panel.facts[name]:.2f}{panel.expectation(name)}"
        place.text(0.99, 0.97 - 0.09 * number, text, transform=place.transAxes, ha="right", va="top", fontsize=SMALL_POINTS)
    place.text(0.99, 0.79, f"n {panel.facts['n_physical']:,}", transform=place.transAxes, ha="right", va="top", fontsize=SMALL_POINTS)
    ticks = [tick for tick in _TICKS if tick <= edges[-1]]
    place.set_xticks([log10(tick) for tick in ticks], [f"{tick:g}" for tick in ticks])
    place.set_xlim(_BELOW_ONE, max(places[-1], log10(20.0)))
    place.set_ylim(0.0, 1.25 * max(counts))
    place.set_xlabel("magnification")
    place.set_title(panel.title, loc="left")
    place.grid(axis="y", color=INK, alpha=FAINT, linewidth=0.6)
