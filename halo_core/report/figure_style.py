"""How every figure looks, and what it is written as: SVG inside a page, PNG, PDF, and the numbers behind it as CSV.

Sizes are inches of the figure on paper; panels are placed by hand, which is faster than a layout engine and the same everywhere.
The same figure gives the same bytes: no dates, no names that change.
"""

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import matplotlib as mpl
import pyarrow as pa
import pyarrow.csv
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.markers import MarkerStyle

INK = "#010203"
"""Colour of text and axes: black on paper, in a page the page's own text colour."""

COLOURS = ("#3b7dd8", "#cf671f", "#2a9d8f", "#b565a7", "#8a8f2c", "#7a6ff0", "#a8706a")
"""Mid-tones with a contrast of at least 3 on white and on near-black; neighbours are told apart without red and green."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
SPLIT_MARKERS = {"train": "o", "val": "^", "test": "s"}
SPLIT_COLOURS = {"train": COLOURS[0], "val": COLOURS[1], "test": COLOURS[2]}
FAINT = 0.18
"""Opacity of lines that help the eye: grids, graticules, outlines."""

SMALL_POINTS = 7.5
_LETTER_IN = 0.0078
"""Width of a letter of one point [inches], on the wide side."""

_STYLE: dict[Any, object] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "halo",
    "pdf.fonttype": 42,
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlesize": 10.0,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.unicode_minus": False,
}
_PIXELS_PER_INCH = 200
_REM_PER_INCH = 6.2
"""Width in the page, so that 9.5 points are read as the page's small print."""


@dataclass(frozen=True)
class ReportFigure:
    """A figure, its numbers, and what a reader who does not see it needs.

    Attributes
    ----------
    name : str
        Stem of its files: lower-case letters, digits and ``_``.
    heading : str
        A few words.
    caption : str
        What is shown, of which selection, what bars and numbers mean, what is left out; full sentences.
    description : str
        The main message in words, with its numbers: the text in place of the picture.
    table : Table
        Every number that is drawn, units in the names of columns.
    notes : tuple of str
        A sentence for each point that is left out or has no interval.
    draw : callable
        Returns the drawn figure; called by `svg`, `png` and `pdf`, which set the style.
    """

    name: str
    heading: str
    caption: str
    description: str
    table: pa.Table
    notes: tuple[str, ...]
    draw: Callable[[], Figure]


def svg(figure: ReportFigure) -> str:
    """Return the figure as SVG to stand inside a page: own ids, the page's text colour, no address of any kind."""
    text = _saved(figure, "svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}).decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", text)
    text = re.sub(r'\b(id="|xlink:href="#|url\(#)', rf"\g<1>{figure.name}-", text).replace("xlink:href", "href")
    width_in = float(re.search(r'<svg[^>]*? width="([\d.]+)pt"', text)[1]) / 72  # type: ignore[index]
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', rf'\1 style="max-width: {_REM_PER_INCH * width_in:.1f}rem"', text, count=1)
    return re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1).replace(INK, "currentColor")


def png(figure: ReportFigure) -> bytes:
    """Return the figure as PNG, black on white, 200 pixels per inch."""
    return _saved(figure, "png", dpi=_PIXELS_PER_INCH, facecolor="white", metadata={"Software": None})


def pdf(figure: ReportFigure) -> bytes:
    """Return the figure as PDF of one page, black on white, fonts embedded."""
    return _saved(figure, "pdf", facecolor="white", metadata={"CreationDate": None, "Creator": None, "Producer": None})


def csv(figure: ReportFigure) -> bytes:
    """Return the figure's numbers as CSV: one head line, floats to the last bit, nothing for NULL, true and false."""
    stream = io.BytesIO()
    pyarrow.csv.write_csv(figure.table, stream, pyarrow.csv.WriteOptions(quoting_style="needed"))
    return stream.getvalue()


def _saved(figure: ReportFigure, kind: str, **options: Any) -> bytes:
    """Return a figure, drawn and saved in the common style."""
    stream = io.BytesIO()
    with mpl.rc_context(_STYLE):
        figure.draw().savefig(stream, format=kind, **options)
    return stream.getvalue()


@dataclass(frozen=True)
class Margins:
    """Space around and between panels [inches]."""

    left: float = 0.62
    right: float = 0.15
    top: float = 0.3
    bottom: float = 0.5
    between_columns: float = 0.3
    between_rows: float = 0.8


def panel_grid(n_rows: int, widths: Sequence[float], height: float, margins: Margins) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure with panels of these widths and one height [inches], row by row from the top."""
    total_width = margins.left + sum(widths) + margins.between_columns * (len(widths) - 1) + margins.right
    total_height = margins.top + n_rows * height + margins.between_rows * (n_rows - 1) + margins.bottom
    figure = Figure(figsize=(total_width, total_height))
    rows = []
    for row in range(n_rows):
        bottom = total_height - margins.top - height - row * (height + margins.between_rows)
        lefts = [margins.left + sum(widths[:column]) + margins.between_columns * column for column in range(len(widths))]
        places = [
            (left / total_width, bottom / total_height, width / total_width, height / total_height)
            for left, width in zip(lefts, widths, strict=True)
        ]
        rows.append([figure.add_axes(place) for place in places])
    return figure, rows


@dataclass(frozen=True)
class Entry:
    """A line of a legend."""

    text: str
    colour: str = INK
    marker: str = ""
    line: Literal["", "-", "--", ":"] = ""


def legend_height(entries: Sequence[Entry], width: float) -> float:
    """Return the height of a legend that flows over a figure of this width [inches]."""
    return 0.22 * (1 + max((row for row, _ in _flow(entries, width)), default=0)) + 0.12


def draw_legend(figure: Figure, entries: Sequence[Entry]) -> None:
    """Write a legend along the top of a figure, as many entries to a line as fit."""
    width, height = (float(side) for side in figure.get_size_inches())
    for entry, (row, left) in zip(entries, _flow(entries, width), strict=True):
        y = 1.0 - (0.17 + 0.22 * row) / height
        xs, size = ([(left + shift) / width for shift in (0.0, 0.11, 0.22)], 5.5)
        if entry.line:
            figure.add_artist(Line2D(xs, [y] * 3, color=entry.colour, linestyle=entry.line, linewidth=1.6))
        if entry.marker:
            figure.add_artist(Line2D(xs[1:2], [y], color=entry.colour, marker=MarkerStyle(entry.marker), linestyle="none", markersize=size))
        figure.text((left + 0.3) / width, y, entry.text, va="center", fontsize=9)


def _flow(entries: Sequence[Entry], width: float) -> list[tuple[int, float]]:
    """Return row and left edge [inches] of each entry."""
    places, row, left = [], 0, 0.1
    for entry in entries:
        needed = 0.3 + text_width(entry.text, 9.0) + 0.15
        if left > 0.1 and left + needed > width:
            row, left = row + 1, 0.1
        places.append((row, left))
        left += needed
    return places


def text_width(text: str, points: float) -> float:
    """Return about how wide a text is [inches]."""
    return _LETTER_IN * points * len(text)


def pick(values: Sequence[str], number: int) -> str:
    """Return a value by number, beginning again where there are not enough."""
    return values[number % len(values)]


def short_count(n: int) -> str:
    """Return a number in at most four letters or so: 9999, 12k, 1.2M."""
    if n < 10_000:
        return str(n)
    return f"{n / 1e3:.0f}k" if n < 999_500 else f"{n / 1e6:.1f}M"


def bin_text(lower: float | None, upper: float | None) -> str:
    """Return a bin as text: "< 0.4", "0.4–0.6" or "≥ 1"."""
    if lower is None:
        return f"< {upper:g}" if upper is not None else "not known"
    return f"≥ {lower:g}" if upper is None else f"{lower:g}–{upper:g}"


def listed(words: Sequence[str]) -> str:
    """Return words as a sentence lists them: "a", "a and b", "a, b and c"."""
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1]))) if words else ""
