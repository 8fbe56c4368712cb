"""Completeness figures as inline SVG that follows the page's light or dark theme.

One panel per tier, one colour per criterion, one marker per stamp size; bars are 95 % intervals. A point of fewer than
min_n evaluated injections is left out and named; a point without an interval is hollow and named.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_core.report.data import Row
from halo_core.stages.summary import read_first

_INK = "#010203"
"""Placeholder colour of text and axes: becomes the page's own text colour."""

_COLOURS = ("#3b7dd8", "#e07b39", "#2a9d8f", "#b565a7", "#8a8f2c")
"""Mid-tones that are told apart on white and on near-black, and by readers who do not see red and green."""

_SPREAD = 0.55
"""Share of the step between neighbouring points that the series are spread over."""

_MARKERS = ("o", "s", "^", "D", "v")
_STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10.0,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.titlesize": 11.0,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
    "svg.hashsalt": "halo",
}


@dataclass(frozen=True)
class FigureAxis:
    """A table of cells that is drawn.

    Attributes
    ----------
    axes : str
        The table's ``axes``.
    label : str
        Label of the horizontal axis, unit included.
    heading : str
        Heading of the figure.
    is_value : bool
        The axis is a number of a grid; else a bin, drawn at equal steps and labelled by its edges.
    """

    axes: str
    label: str
    heading: str
    is_value: bool


FIGURE_AXES = (
    FigureAxis("theta_e_arcsec", "Einstein radius [arcsec]", "Completeness against Einstein radius", True),
    FigureAxis("snr_matched_r_bin", "matched-filter S/N of the arc in r", "Completeness against signal to noise", False),
    FigureAxis("resolution_bin", "Einstein radius / PSF FWHM in r", "Completeness against resolution", False),
)


@dataclass(frozen=True)
class CompletenessFigure:
    """A figure with what a reader who does not see it needs."""

    heading: str
    svg: str
    description: str
    rows: Sequence[Row]
    axis_label: str
    left_out: Sequence[str]


def completeness_figure(cells: pa.Table, axis: FigureAxis, labels: Mapping[str, str]) -> CompletenessFigure | None:
    """Return the figure of one marginal over all splits, subset ``all``; None where the cells hold nothing of it.

    Parameters
    ----------
    cells : Table
        ``records.CELLS``.
    axis : FigureAxis
        Which marginal.
    labels : mapping of str to str
        Label by criterion name.
    """
    rows = _rows_of(cells, axis)
    if not rows:
        return None
    tiers = list(dict.fromkeys(row["tier"] for row in rows))
    criteria = cells["criterion"].unique().to_pylist()
    sizes = sorted({int(str(row["stamp_size"])) for row in rows})
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(1.2 + 3.6 * len(tiers), 3.4), layout="constrained")
        panels = figure.subplots(1, len(tiers), sharey=True, squeeze=False)[0]
        for panel, tier in zip(panels, tiers, strict=True):
            in_tier = [row for row in rows if row["tier"] == tier]
            _draw_panel(panel, in_tier, axis, lambda row: _look(row, criteria, sizes))
            panel.set_title(f"tier {tier}", loc="left")
            panel.set_xlabel(axis.label)
        panels[0].set_ylabel("completeness")
        svg = _svg(figure, prefix=axis.axes)
    description = f"{axis.heading} for tiers {', '.join(map(str, tiers))}; the numbers stand in the table below the figure."
    return CompletenessFigure(axis.heading, svg, description, rows, axis.label, _left_out(rows, labels))


def legend(cells: pa.Table, labels: Mapping[str, str]) -> list[dict[str, str]]:
    """Return colour and label of each criterion, then symbol and label of each stamp size."""
    criteria = cells["criterion"].unique().to_pylist()
    sizes = sorted(cells["stamp_size"].unique().to_pylist())
    symbols = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼"}
    entries = [{"colour": _pick(_COLOURS, number), "symbol": "▬", "text": labels.get(name, name)} for number, name in enumerate(criteria)]
    return entries + [
        {"colour": "", "symbol": symbols[_pick(_MARKERS, number)], "text": f"{size} pixels"} for number, size in enumerate(sizes)
    ]


@dataclass(frozen=True)
class _Look:
    """Colour, marker and sideways shift of one series."""

    series: tuple[object, ...]
    colour: str
    marker: str
    shift: float


def _rows_of(cells: pa.Table, axis: FigureAxis) -> list[dict[str, object]]:
    """Return the marginal's rows with a ``place`` text and a ``position`` number, unknown bins left out."""
    rows: list[dict[str, Any]] = read_first(cells, axes=axis.axes).to_pylist()
    rows = [row for row in rows if axis.is_value or row[axis.axes] >= 0]
    bins = sorted({row[axis.axes] for row in rows})
    for row in rows:
        row["place"] = f"{row[axis.axes]:g}" if axis.is_value else bin_text(row["bin_lower"], row["bin_upper"])
        row["position"] = row[axis.axes] if axis.is_value else bins.index(row[axis.axes])
    return rows


def bin_text(lower: float | None, upper: float | None) -> str:
    """Return a bin as text: "< 0.4", "0.4–0.6" or "≥ 1"."""
    if lower is None:
        return f"< {upper:g}" if upper is not None else "not known"
    return f"≥ {lower:g}" if upper is None else f"{lower:g}–{upper:g}"


def _look(row: Row, criteria: Sequence[str], sizes: Sequence[int]) -> _Look:
    """Return how a row is drawn."""
    criterion, size = criteria.index(str(row["criterion"])), sizes.index(int(str(row["stamp_size"])))
    n_series = len(criteria) * len(sizes)
    shift = (criterion * len(sizes) + size) - 0.5 * (n_series - 1)
    series = (row["criterion"], row["stamp_size"], row["grid"], row["bandset"])
    return _Look(series, _pick(_COLOURS, criterion), _pick(_MARKERS, size), shift / max(n_series, 1))


def _draw_panel(panel: Axes, rows: Sequence[Row], axis: FigureAxis, look_of: Callable[[Row], _Look]) -> None:
    """Draw every series of one tier."""
    positions = sorted({_float(row["position"]) for row in rows})
    step = min(np.diff(positions), default=1.0) if len(positions) > 1 else 1.0
    series: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        series.setdefault(look_of(row).series, []).append(row)
    for members in series.values():
        _draw_series(panel, members, look_of(members[0]), _SPREAD * step)
    panel.set_ylim(-0.03, 1.03)
    panel.grid(axis="y", color=_INK, alpha=0.15, linewidth=0.6)
    if not axis.is_value:
        texts = {_float(row["position"]): str(row["place"]) for row in rows}
        panel.set_xticks(positions, [texts[position] for position in positions], rotation=25 if len(positions) > 4 else 0)


def _draw_series(panel: Axes, rows: Sequence[Row], look: _Look, step: float) -> None:
    """Draw one series: a faint line through the shown points, bars, and hollow markers where there is no interval."""
    shown = sorted(
        (row for row in rows if not row["is_too_few"] and row["completeness"] is not None), key=lambda row: _float(row["position"])
    )
    if not shown:
        return
    x = np.array([_float(row["position"]) for row in shown]) + look.shift * step
    p = np.array([_float(row["completeness"]) for row in shown])
    has_bar = np.array([row["lower_95"] is not None for row in shown])
    panel.plot(x, p, color=look.colour, linewidth=1.0, alpha=0.45)
    lower = np.array([_float(row["lower_95"]) for row in shown if row["lower_95"] is not None])
    upper = np.array([_float(row["upper_95"]) for row in shown if row["upper_95"] is not None])
    panel.vlines(x[has_bar], lower, upper, color=look.colour, linewidth=1.4)
    panel.plot(x[has_bar], p[has_bar], look.marker, color=look.colour, markersize=4.5)
    panel.plot(x[~has_bar], p[~has_bar], look.marker, markerfacecolor="none", markeredgecolor=look.colour, markersize=4.5)


def _left_out(rows: Sequence[Row], labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each point that is left out or hollow."""
    sentences = []
    for row in rows:
        name = f"tier {row['tier']}, {row['stamp_size']} pixels, {labels.get(str(row['criterion']), row['criterion'])}, at {row['place']}"
        if row["is_too_few"]:
            sentences.append(f"{name}: too few ({row['n_evaluated']} evaluated), not drawn")
        elif row["lower_95"] is None:
            sentences.append(f"{name}: hollow, {row['interval_note']}")
    return sentences


def _svg(figure: Figure, *, prefix: str) -> str:
    """Return the figure as SVG to stand inside a page: own ids, the page's text colour, no address of any kind."""
    stream = io.StringIO()
    figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{prefix}-", text).replace("xlink:href", "href")
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1), count=1)
    return text.replace(_INK, "currentColor")


def _pick(values: Sequence[str], number: int) -> str:
    """Return a value by number, beginning again where there are not enough."""
    return values[number % len(values)]


def _float(value: object) -> float:
    """Return a number of a row."""
    if not isinstance(value, (int, float)):
        raise TypeError(f"a number is needed to draw, got {value!r}")
    return float(value)
