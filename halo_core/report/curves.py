"""Completeness curves: against one axis over all splits, and split beside split.

One panel per tier (and grid, and bandset). Over all splits a colour is a criterion and a marker a stamp size; split beside split, a row of
panels is a criterion and a colour a split. Bars are 95 % intervals; the numbers below the axis are the evaluated injections of each point.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from halo_core.constants import SPLITS
from halo_core.report import curve_tables
from halo_core.report.curve_panels import MOST_COLUMNS, Look, Panel, Plot, Series, draw_plot, scale_of
from halo_core.report.curve_tables import CurveAxis, Point, experiment
from halo_core.report.figure_style import COLOURS, INK, MARKERS, SPLIT_COLOURS, SPLIT_MARKERS, Entry, ReportFigure, pick
from halo_core.stages.summary_bins import UNKNOWN_BIN

_READING = (
    "Bars are 95 % intervals that take a sky cell as one unit, because injections that share seeing and depth are not independent; "
    "markers stand a little sideways so that bars do not overlap, and the thin lines only lead the eye."
)
_NUMBERS = "The numbers below the axis are the evaluated injections of each point (k: thousand, M: million)."
_NO_SNR = " An injection that was not evaluated has no S/N; it is accounted for in the other figures and tables, not here."


def curve_figures(cells: pa.Table, labels: Mapping[str, str]) -> list[ReportFigure]:
    """Return completeness against every axis that the cells have, then split beside split.

    Parameters
    ----------
    cells : Table
        ``records.CELLS``.
    labels : mapping of str to str
        Label by criterion name.
    """
    found = [_over_all_splits(cells, axis, labels) for axis in curve_tables.CURVE_AXES]
    found += [_split_by_split(cells, axis, labels) for axis in curve_tables.SPLIT_AXES]
    return [figure for figure in found if figure is not None]


def _over_all_splits(cells: pa.Table, axis: CurveAxis, labels: Mapping[str, str]) -> ReportFigure | None:
    """Return completeness against one axis; None where no cell has it."""
    table = curve_tables.curve_table(cells, axis, is_by_split=False)
    if not table.num_rows:
        return None
    points = curve_tables.points_of(table, axis)
    caption = (
        f"Recovered over evaluated injections against {axis.words}: all splits and regions together, masked stamps included, pooled over "
        "everything that is not on the axis. One panel is one tier with its grid, a colour is a criterion, a marker a stamp size. "
        f"{_READING} {_NUMBERS} {curve_tables.left_out(points, _n_unknown(cells, axis))}{_NO_SNR if axis.name == 'snr_matched' else ''}"
    )
    return ReportFigure(
        name=f"completeness_{axis.name}",
        heading=f"Completeness against {axis.words}",
        caption=caption,
        description=f"Completeness against {axis.words}, tiers {curve_tables.tiers_of(points)}. {curve_tables.message(points, labels)}",
        table=table,
        notes=curve_tables.notes_of(points, labels),
        draw=lambda: draw_plot(_criteria_plot(points, axis, labels)),
    )


def _split_by_split(cells: pa.Table, axis: CurveAxis, labels: Mapping[str, str]) -> ReportFigure | None:
    """Return completeness of each split for the largest stamps; None where no cell has the axis."""
    table = curve_tables.curve_table(cells, axis, is_by_split=True)
    if not table.num_rows:
        return None
    largest = pc.max(table["stamp_size_pix"]).as_py()
    table = table.filter(pc.equal(table["stamp_size_pix"], largest))
    points = curve_tables.points_of(table, axis)
    splits = [split for split in SPLITS if any(point["region_split"] == split for point in points)]
    caption = (
        f"Recovered over evaluated injections of each split against {axis.words}, stamps of {largest} pixels, masked stamps included. "
        "A row of panels is a criterion, a column a tier with its grid, a colour and marker a split. No two splits share a pixel; of many "
        f"points a few have bars that do not overlap by chance alone. {_READING} {_NUMBERS} {curve_tables.left_out(points, 0)}"
    )
    return ReportFigure(
        name=f"splits_{axis.name}",
        heading=f"Splits beside each other, against {axis.words}",
        caption=caption,
        description=f"Completeness against {axis.words} for splits {', '.join(splits)}. {curve_tables.differences(points, labels)}",
        table=table,
        notes=curve_tables.notes_of(points, labels),
        draw=lambda: draw_plot(_splits_plot(points, splits, axis, labels)),
    )


def _n_unknown(cells: pa.Table, axis: CurveAxis) -> int:
    """Return the injections of the largest experiment's rows whose bin is not known, counted once per criterion."""
    if not axis.is_binned:
        return 0
    rows = curve_tables.marginal(cells, axis.column, is_by_split=False).filter(pc.field(axis.column) == UNKNOWN_BIN)
    sums = rows.group_by("criterion").aggregate([("n_task", "sum")])["n_task_sum"].to_pylist()
    return max(sums, default=0)


def _criteria_plot(points: Sequence[Point], axis: CurveAxis, labels: Mapping[str, str]) -> Plot:
    """Return the panels of a figure over all splits: experiments, some to a row."""
    criteria = list(dict.fromkeys(point["criterion"] for point in points))
    sizes = sorted({point["stamp_size_pix"] for point in points})
    series = [(criterion, size) for criterion in criteria for size in sizes]
    looks: dict[Series, Look] = {
        (criterion, size): Look(pick(COLOURS, criteria.index(criterion)), pick(MARKERS, sizes.index(size)), _shift(number, len(series)))
        for number, (criterion, size) in enumerate(series)
    }
    panels = [Panel(members, title) for title, members in _by_experiment(points).items()]
    rows = [panels[start : start + MOST_COLUMNS] for start in range(0, len(panels), MOST_COLUMNS)]
    counts = {(*experiment(point), point["stamp_size_pix"], point["place"], point["n_evaluated"]) for point in points}
    is_shared = len(counts) * len(criteria) <= len(points)

    def line_of(point: Point) -> str:
        return f"{point['stamp_size_pix']} px" + ("" if is_shared else f" {point['criterion']}")

    entries = [Entry(labels.get(name, name), pick(COLOURS, number), line="-") for number, name in enumerate(criteria)]
    return Plot(
        rows=rows,
        headings=[""] * len(rows),
        looks=looks,
        series_of=lambda point: (point["criterion"], point["stamp_size_pix"]),
        line_of=line_of,
        lines=sorted(set(map(line_of, points))),
        scale=scale_of(points, axis),
        entries=[*entries, *(Entry(f"{size} pixels", INK, pick(MARKERS, number)) for number, size in enumerate(sizes))],
    )


def _splits_plot(points: Sequence[Point], splits: Sequence[str], axis: CurveAxis, labels: Mapping[str, str]) -> Plot:
    """Return the panels of a figure of splits: criteria by experiments."""
    criteria = list(dict.fromkeys(point["criterion"] for point in points))
    looks: dict[Series, Look] = {
        (split,): Look(SPLIT_COLOURS[split], SPLIT_MARKERS[split], _shift(number, len(splits))) for number, split in enumerate(splits)
    }
    found = _by_experiment(points)
    return Plot(
        rows=[
            [Panel([point for point in members if point["criterion"] == name], title) for title, members in found.items()]
            for name in criteria
        ],
        headings=[labels.get(name, name) for name in criteria],
        looks=looks,
        series_of=lambda point: (point["region_split"],),
        line_of=lambda point: str(point["region_split"]),
        lines=splits,
        scale=scale_of(points, axis),
        entries=[Entry(split, SPLIT_COLOURS[split], SPLIT_MARKERS[split], "-") for split in splits],
    )


def _by_experiment(points: Sequence[Point]) -> dict[str, list[Point]]:
    """Return the points of each panel by its title; bands are named where they differ."""
    is_mixed = len({point["bandset"] for point in points}) > 1
    found: dict[str, list[Point]] = {}
    for point in points:
        tier, grid, bandset = experiment(point)
        found.setdefault(f"tier {tier}, {grid}{f', {bandset}' if is_mixed else ''}", []).append(point)
    return found


def _shift(number: int, n_series: int) -> float:
    """Return how far sideways a series stands, in shares of the spread."""
    return (number - 0.5 * (n_series - 1)) / n_series
