"""Heat maps: completeness by Einstein radius and a condition of the sky, the number written in every cell.

A cell with too few injections is hatched and holds no number; a cell that was not planned is blank.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import matplotlib as mpl
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from halo_core.report.curve_tables import experiment, marginal, shown_table, tiers_of
from halo_core.report.figure_style import INK, SMALL_POINTS, Margins, ReportFigure, bin_text, panel_grid, short_count
from halo_core.stages.summary_bins import UNKNOWN_BIN

_CELL_WIDTH_IN, _CELL_HEIGHT_IN = 0.58, 0.36
_LEAST_WIDTH_IN = 1.9
"""So that a title fits above a panel of few columns."""

_BAR_IN = 0.14
_LEFT_IN = 0.78
_COLOURS = "cividis"
"""Grows in lightness alone, the same to every eye and in print."""

Cell = dict[str, Any]


@dataclass(frozen=True)
class _Condition:
    """A condition of the sky: its key column, the words, and the names of its edges in the figure's table."""

    column: str
    name: str
    label: str
    words: str
    lower: str
    upper: str


_CONDITIONS = (
    _Condition(
        "psf_fwhm_r_bin", "psf_fwhm", "PSF FWHM in r [arcsec]", "PSF FWHM in r", "psf_fwhm_r_lower_arcsec", "psf_fwhm_r_upper_arcsec"
    ),
    _Condition(
        "psfdepth_r_bin", "psfdepth", "depth in r [AB mag]", "point-source depth in r", "psfdepth_r_lower_mag", "psfdepth_r_upper_mag"
    ),
)


def heat_maps(cells: pa.Table, labels: Mapping[str, str]) -> list[ReportFigure]:
    """Return completeness by Einstein radius and each condition that the cells have, for the largest stamps.

    Parameters
    ----------
    cells : Table
        ``records.CELLS``.
    labels : mapping of str to str
        Label by criterion name.
    """
    found = [_heat_map(cells, condition, labels) for condition in _CONDITIONS]
    return [figure for figure in found if figure is not None]


def _heat_map(cells: pa.Table, condition: _Condition, labels: Mapping[str, str]) -> ReportFigure | None:
    """Return one figure; None where no cell has the condition."""
    rows = marginal(cells, f"theta_e_arcsec,{condition.column}", is_by_split=False).filter(pc.field(condition.column) != UNKNOWN_BIN)
    if not rows.num_rows:
        return None
    largest = pc.max(rows["stamp_size"]).as_py()
    rows = rows.filter(pc.equal(rows["stamp_size"], largest))
    keys = {"theta_e_arcsec": "theta_e_arcsec", condition.column: condition.column}
    table = shown_table(rows, {**keys, "bin_lower": condition.lower, "bin_upper": condition.upper})
    found: list[Cell] = table.to_pylist()
    n_few = sum(cell["is_too_few"] for cell in found)
    few = f"{n_few} of {len(found)} cells are hatched: fewer evaluated injections than the campaign asks for, so no number."
    caption = (
        f"Recovered over evaluated injections by Einstein radius and {condition.words}, stamps of {largest} pixels, all splits and regions "
        "together, masked stamps included. A row of panels is a criterion, a column a tier with its grid. The large number in a cell is "
        "the completeness, which its colour repeats, the small one the evaluated injections (k: thousand, M: million); the table has "
        f"intervals by sky cell. {few if n_few else 'No cell has too few injections.'} Blank cells were not planned."
    )
    return ReportFigure(
        name=f"heat_map_{condition.name}",
        heading=f"Completeness by Einstein radius and {condition.words}",
        caption=caption,
        description=f"Completeness by Einstein radius and {condition.words}, tiers {tiers_of(found)}. {_message(found, condition, labels)}",
        table=table,
        notes=tuple(_notes(found, condition, labels)),
        draw=lambda: _draw(found, condition, labels),
    )


def _place(cell: Cell, condition: _Condition) -> str:
    """Return a cell in words."""
    return (
        f"Einstein radius {cell['theta_e_arcsec']:g} arcsec and {condition.words} {bin_text(cell[condition.lower], cell[condition.upper])}"
    )


def _notes(cells: Sequence[Cell], condition: _Condition, labels: Mapping[str, str]) -> list[str]:
    """Return a sentence for each cell that holds no number."""
    return [
        f"tier {cell['tier']}, {labels.get(cell['criterion'], cell['criterion'])}, {_place(cell, condition)}: "
        f"too few ({cell['n_evaluated']} evaluated), hatched"
        for cell in cells
        if cell["is_too_few"]
    ]


def _message(cells: Sequence[Cell], condition: _Condition, labels: Mapping[str, str]) -> str:
    """Return the lowest and highest cell of each criterion and tier, in words."""
    series: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell["completeness"] is not None:
            series.setdefault(f"tier {cell['tier']}, {labels.get(cell['criterion'], cell['criterion'])}", []).append(cell)
    sentences = []
    for name, members in series.items():
        low, high = (choose(members, key=lambda cell: cell["completeness"]) for choose in (min, max))
        numbers = [f"{cell['completeness']:.3f} at {_place(cell, condition)}" for cell in (low, high)]
        sentences.append(f"{name}: lowest {numbers[0]}, highest {numbers[1]}")
    return f"{'; '.join(sentences)}." if sentences else "No cell holds enough injections for a number."


def _draw(cells: Sequence[Cell], condition: _Condition, labels: Mapping[str, str]) -> Figure:
    """Draw criteria by experiments, and the colour bar."""
    experiments = list(dict.fromkeys(map(experiment, cells)))
    criteria = list(dict.fromkeys(cell["criterion"] for cell in cells))
    bins = sorted({cell[condition.column] for cell in cells})
    radii = {one: sorted({cell["theta_e_arcsec"] for cell in cells if experiment(cell) == one}) for one in experiments}
    widths = [max(_LEAST_WIDTH_IN, _CELL_WIDTH_IN * len(found)) for found in radii.values()]
    height = _CELL_HEIGHT_IN * (bins[-1] - bins[0] + 1)
    margins = Margins(left=_LEFT_IN, top=0.55, bottom=0.95, between_rows=1.05)
    figure, axes = panel_grid(len(criteria), widths, height, margins)
    is_mixed = len({bandset for _, _, bandset in experiments}) > 1
    for criterion, places in zip(criteria, axes, strict=True):
        for one, place in zip(experiments, places, strict=True):
            mine = [cell for cell in cells if cell["criterion"] == criterion and experiment(cell) == one]
            _draw_panel(place, mine, radii[one], condition)
            _draw_edges(place, cells, condition, is_named=place is places[0])
            title = f"tier {one[0]}, {one[1]}{f', {one[2]}' if is_mixed else ''}"
            place.set_title(f"{labels.get(criterion, criterion)}\n{title}" if place is places[0] else title, loc="left")
    _draw_colour_bar(figure)
    return figure


def _draw_panel(place: Axes, cells: Sequence[Cell], radii: Sequence[float], condition: _Condition) -> None:
    """Draw the cells of one panel: coloured with their numbers, or hatched."""
    shown = [cell for cell in cells if cell["completeness"] is not None]
    corners = {id(cell): (radii.index(cell["theta_e_arcsec"]) - 0.5, cell[condition.column] - 0.5) for cell in cells}
    colours = mpl.colormaps[_COLOURS]([cell["completeness"] for cell in shown]).tolist()
    tiles = [Rectangle(corners[id(cell)], 1.0, 1.0) for cell in shown]
    place.add_collection(PatchCollection(tiles, facecolors=colours, edgecolors="white", linewidths=0.6))
    for cell, colour in zip(shown, colours, strict=True):
        x, y = corners[id(cell)]
        ink = _readable(colour)
        place.text(x + 0.5, y + 0.64, f"{cell['completeness']:.2f}", ha="center", va="center", color=ink, fontsize=9)
        place.text(x + 0.5, y + 0.24, short_count(cell["n_evaluated"]), ha="center", va="center", color=ink, fontsize=6.5)
    few = [cell for cell in cells if cell["completeness"] is None]
    place.add_collection(
        LineCollection([line for cell in few for line in _hatch(*corners[id(cell)])], colors=INK, linewidths=0.5, alpha=0.5)
    )
    for cell in few:
        x, y = corners[id(cell)]
        place.text(x + 0.5, y + 0.5, f"n {short_count(cell['n_evaluated'])}", ha="center", va="center", fontsize=6.5)
    place.set_xlim(-0.5, len(radii) - 0.5)
    place.set_xticks(range(len(radii)), [f"{radius:g}" for radius in radii])
    place.set_xlabel("Einstein radius [arcsec]")


def _draw_edges(place: Axes, cells: Sequence[Cell], condition: _Condition, *, is_named: bool) -> None:
    """Write the edges of the bins along the vertical axis; depth and seeing grow upwards."""
    edges = {cell[condition.column] + 0.5: cell[condition.upper] for cell in cells if cell[condition.upper] is not None}
    edges |= {cell[condition.column] - 0.5: cell[condition.lower] for cell in cells if cell[condition.lower] is not None}
    ticks = sorted(edges)
    bins = [cell[condition.column] for cell in cells]
    place.set_ylim(min(bins) - 0.5, max(bins) + 0.5)
    place.set_yticks(ticks, [f"{edges[tick]:g}" for tick in ticks] if is_named else [""] * len(ticks))
    if is_named:
        place.set_ylabel(condition.label)


def _hatch(x: float, y: float) -> list[list[tuple[float, float]]]:
    """Return three diagonals across the unit cell with this lower left corner, open in the middle for its number."""
    corners = (((0.0, 0.5), (0.5, 1.0)), ((0.5, 0.0), (1.0, 0.5)))
    ends = (((0.0, 0.0), (0.22, 0.22)), ((0.78, 0.78), (1.0, 1.0)))
    return [[(x + dx, y + dy) for dx, dy in line] for line in (*corners, *ends)]


def _readable(colour: Sequence[float]) -> str:
    """Return black or white, whichever stands out more on a colour: a contrast of at least 4.5 on every colour."""
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour[:3]]
    luminance = sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return "#000000" if (luminance + 0.05) ** 2 > 1.05 * 0.05 else "#ffffff"


def _draw_colour_bar(figure: Figure) -> None:
    """Draw the one colour bar from 0 to 1 below everything."""
    width, height = (float(side) for side in figure.get_size_inches())
    place = figure.add_axes((_LEFT_IN / width, 0.3 / height, min(3.2, width - 1.0) / width, _BAR_IN / height))
    edges = [number / 50 for number in range(51)]
    tiles = [Rectangle((left, 0.0), right - left, 1.0) for left, right in pairwise(edges)]
    colours = [mpl.colormaps[_COLOURS]((left + right) / 2) for left, right in pairwise(edges)]
    place.add_collection(PatchCollection(tiles, facecolors=colours, edgecolors=colours, linewidths=0.8))
    place.set_xlim(0.0, 1.0)
    place.set_yticks([])
    place.set_xticks([0.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    place.tick_params(labelsize=SMALL_POINTS + 0.5, length=2)
    figure.text((min(3.2, width - 1.0) + _LEFT_IN + 0.1) / width, (0.3 + 0.5 * _BAR_IN) / height, "completeness", va="center", fontsize=9)
