"""Panels of curves: points with bars at a common scale, the evaluated injections written below each, a legend above."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import log10

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from halo_core.report.curve_tables import CurveAxis, Point
from halo_core.report.figure_style import (
    FAINT,
    INK,
    SMALL_POINTS,
    Entry,
    Margins,
    draw_legend,
    legend_height,
    panel_grid,
    short_count,
    text_width,
)

MOST_COLUMNS = 3
_WIDTH_IN, _HEIGHT_IN = 3.3, 2.35
_TICKS_IN, _LABEL_IN, _LINE_IN = 0.25, 0.3, 0.15
_LONE_STEP = 0.2
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
_SPREAD = 0.7
"""Share of the least step between neighbouring points that the series are spread over."""

Series = tuple[object, ...]


@dataclass(frozen=True)
class Look:
    """How one series is drawn; shift is in shares of the spread, -0.5..0.5."""

    colour: str
    marker: str
    shift: float


@dataclass(frozen=True)
class Scale:
    """Where the points of a figure stand: every panel shows the same stretch of the axis."""

    axis: CurveAxis
    ticks: tuple[float, ...]
    texts: tuple[str, ...]
    limits: tuple[float, float]
    step: float

    def place(self, point: Point) -> float:
        """Return where a point stands."""
        value = float(point[self.axis.column])
        return log10(value) if self.axis.is_log else value


@dataclass(frozen=True)
class Panel:
    """What one panel holds, and its title."""

    points: Sequence[Point]
    title: str


@dataclass(frozen=True)
class Plot:
    """A figure of panels.

    Attributes
    ----------
    rows : sequence of sequence of Panel
        From the top.
    headings : sequence of str
        What stands above each row; empty for nothing.
    looks : mapping
        How each series is drawn.
    series_of, line_of : callable
        The series of a point, and the line of numbers below the panel that it is counted in.
    lines : sequence of str
        Those lines in order.
    scale : Scale
        The common axis.
    entries : sequence of Entry
        The legend.
    """

    rows: Sequence[Sequence[Panel]]
    headings: Sequence[str]
    looks: Mapping[Series, Look]
    series_of: Callable[[Point], Series]
    line_of: Callable[[Point], str]
    lines: Sequence[str]
    scale: Scale
    entries: Sequence[Entry]


def scale_of(points: Sequence[Point], axis: CurveAxis) -> Scale:
    """Return the axis that fits every point: grid values where they stand, bins at equal steps with their edges as ticks."""
    if axis.is_binned:
        numbers = [int(point[axis.column]) for point in points]
        edges = {point[axis.column] + 0.5: point[axis.upper] for point in points if point[axis.upper] is not None}
        edges |= {point[axis.column] - 0.5: point[axis.lower] for point in points if point[axis.lower] is not None}
        ticks = sorted(edges)
        return Scale(axis, tuple(ticks), tuple(f"{edges[tick]:g}" for tick in ticks), (min(numbers) - 0.5, max(numbers) + 0.5), 1.0)
    by_tier: dict[str, set[float]] = {}
    for point in points:
        by_tier.setdefault(point["tier"], set()).add(float(point[axis.column]))
    places = {value: log10(value) if axis.is_log else value for value in sorted(set().union(*by_tier.values()))}
    steps = [places[right] - places[left] for values in by_tier.values() for left, right in pairwise(sorted(values))]
    step, stops = min(steps, default=_LONE_STEP), tuple(places.values())
    pad = max(0.6 * step, 0.06 * (stops[-1] - stops[0]))
    return Scale(axis, stops, tuple(f"{value:g}" for value in places), (stops[0] - pad, stops[-1] + pad), step)


def draw_plot(plot: Plot) -> Figure:
    """Return the figure: every panel, the numbers below it, and the legend."""
    points = [point for row in plot.rows for panel in row for point in panel.points]
    counts = _Counts.of(points, plot)
    title_in = 0.48 if any(plot.headings) else 0.3
    below = _TICKS_IN + counts.line_in * len(counts.lines) + _LABEL_IN
    left = max(0.62, 0.15 + max(text_width(f"n, {line}", SMALL_POINTS) for line in counts.lines))
    margins = Margins(left=left, bottom=below + 0.05, between_rows=below + title_in + 0.1, between_columns=0.25)
    widths = [_WIDTH_IN] * len(plot.rows[0])
    legend_in = legend_height(plot.entries, left + sum(widths) + 0.25 * (len(widths) - 1) + margins.right)
    figure, axes = panel_grid(len(plot.rows), widths, _HEIGHT_IN, replace(margins, top=legend_in + title_in))
    for panels, places, heading in zip(plot.rows, axes, plot.headings, strict=True):
        for panel, place in zip(panels, places, strict=False):
            _draw_panel(place, panel, plot)
            is_first = place is places[0]
            place.set_title(f"{heading}\n{panel.title}" if heading and is_first else panel.title, loc="left")
            place.set_yticks(_TICKS, None if is_first else [""] * len(_TICKS))
            place.set_ylabel("completeness" if is_first else "")
            counts.write(place, panel.points, plot, is_named=is_first)
        for empty in places[len(panels) :]:
            empty.remove()
    draw_legend(figure, plot.entries)
    return figure


def _draw_panel(place: Axes, panel: Panel, plot: Plot) -> None:
    """Draw every series of a panel between its axes."""
    series: dict[Series, list[Point]] = {}
    for point in panel.points:
        series.setdefault(plot.series_of(point), []).append(point)
    for key, members in series.items():
        _draw_series(place, members, plot.looks[key], plot.scale)
    if all(point["completeness"] is None for point in panel.points):
        place.text(0.5, 0.5, "too few injections in every bin", transform=place.transAxes, ha="center", va="center", fontsize=SMALL_POINTS)
    place.set_xlim(plot.scale.limits)
    place.set_ylim(-0.03, 1.03)
    places = {plot.scale.place(point) for point in panel.points}
    ticks = [pair for pair in zip(plot.scale.ticks, plot.scale.texts, strict=True) if plot.scale.axis.is_binned or pair[0] in places]
    place.set_xticks([tick for tick, _ in ticks], [text for _, text in ticks])
    place.grid(axis="y", color=INK, alpha=FAINT, linewidth=0.6)


def _draw_series(place: Axes, points: Sequence[Point], look: Look, scale: Scale) -> None:
    """Draw one series: bars, hollow markers where there is no interval, and a faint line that breaks where a point is left out."""
    ordered = sorted(points, key=scale.place)
    x = np.array([scale.place(point) + look.shift * _SPREAD * scale.step for point in ordered])
    p, lower, upper = (np.array([point[name] for point in ordered], dtype=float) for name in ("completeness", "lower_95", "upper_95"))
    has_bar, is_hollow = ~np.isnan(lower), np.isnan(lower) & ~np.isnan(p)
    gaps = np.flatnonzero(scale.axis.is_binned & (np.diff(x) > 1.5 * scale.step)) + 1
    place.plot(np.insert(x, gaps, np.nan), np.insert(p, gaps, np.nan), color=look.colour, linewidth=0.9, alpha=0.45)
    place.vlines(x[has_bar], lower[has_bar], upper[has_bar], color=look.colour, linewidth=1.4)
    place.plot(x[has_bar], p[has_bar], look.marker, color=look.colour, markersize=4.5)
    place.plot(x[is_hollow], p[is_hollow], look.marker, markerfacecolor="none", markeredgecolor=look.colour, markersize=4.5)


@dataclass(frozen=True)
class _Counts:
    """The lines of numbers below each panel; upright where they would touch."""

    lines: tuple[str, ...]
    line_in: float
    is_upright: bool

    @classmethod
    def of(cls, points: Sequence[Point], plot: Plot) -> "_Counts":
        """Return the lines that these points need."""
        step_in = _WIDTH_IN * plot.scale.step / (plot.scale.limits[1] - plot.scale.limits[0])
        widest = max(text_width(short_count(point["n_evaluated"]), SMALL_POINTS) for point in points)
        is_upright = widest > step_in
        return cls(tuple(plot.lines), widest + 0.06 if is_upright else _LINE_IN, is_upright)

    def write(self, place: Axes, points: Sequence[Point], plot: Plot, *, is_named: bool) -> None:
        """Write the numbers below one panel, and the label of the axis below them."""
        numbers = {(plot.line_of(point), plot.scale.place(point)): point["n_evaluated"] for point in points}
        for (line, x), n in numbers.items():
            self._text(place, x, self.lines.index(line), short_count(n))
        for number, line in enumerate(self.lines if is_named else ()):
            offset = (-6, -72 * self._depth(number))
            place.annotate(f"n, {line}", (0, 0), offset, "axes fraction", "offset points", ha="right", va="center", fontsize=SMALL_POINTS)
        place.set_xlabel(plot.scale.axis.label)
        place.xaxis.set_label_coords(0.5, -(self._depth(len(self.lines)) - 0.5 * self.line_in + 0.03) / _HEIGHT_IN)

    def _text(self, place: Axes, x: float, number: int, text: str) -> None:
        """Write one number."""
        y = -self._depth(number) / _HEIGHT_IN
        rotation = 90 if self.is_upright else 0
        place.text(x, y, text, transform=place.get_xaxis_transform(), ha="center", va="center", fontsize=SMALL_POINTS, rotation=rotation)

    def _depth(self, number: int) -> float:
        """Return how far below the panel the middle of a line is [inches]."""
        return _TICKS_IN + (number + 0.5) * self.line_in
