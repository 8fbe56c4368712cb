"""The numbers of the completeness curves: one marginal of the cells, and the words about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halo_core.report.figure_style import bin_text, listed
from halo_core.stages.summary_bins import UNKNOWN_BIN

Point = dict[str, Any]

HIDDEN_WHERE_TOO_FEW = ("completeness", "lower_95", "upper_95", "completeness_weighted", "weighted_lower_95", "weighted_upper_95")
"""Numbers that no figure and no table of a figure shows of a bin with too few injections."""

KEYS = ("tier", "grid", "bandset", "stamp_size_pix", "criterion", "region_split")
COUNTS = ("n_task", "n_evaluated", "n_not_evaluated", "n_recovered", "is_too_few")
REMARKS = ("n_clusters", "deff", "interval_note")
ALL_SPLITS = "all"


@dataclass(frozen=True)
class CurveAxis:
    """An axis that completeness is drawn against.

    Attributes
    ----------
    column : str
        The key column of the cells.
    name : str
        Stem of the figures' names.
    label : str
        Label of the axis, unit included.
    words : str
        The axis within a sentence.
    lower, upper : str
        Columns of the bin's edges in the figure's table; empty for an axis of grid values.
    is_log : bool
        Grid values are drawn at their logarithms.
    """

    column: str
    name: str
    label: str
    words: str
    lower: str = ""
    upper: str = ""
    is_log: bool = False

    @property
    def is_binned(self) -> bool:
        """Whether the axis is one of bins, which are drawn at equal steps."""
        return bool(self.lower)


THETA_E = CurveAxis("theta_e_arcsec", "theta_e", "Einstein radius [arcsec]", "Einstein radius", is_log=True)
RESOLUTION = CurveAxis(
    "resolution_bin",
    "resolution",
    "Einstein radius / PSF FWHM in r",
    "Einstein radius over PSF FWHM",
    "theta_e_over_psf_fwhm_r_lower",
    "theta_e_over_psf_fwhm_r_upper",
)
CURVE_AXES = (
    THETA_E,
    RESOLUTION,
    CurveAxis("src_dmag", "src_dmag", "unlensed source r minus host r [mag]", "source magnitude relative to the host"),
    CurveAxis("src_mag_r", "src_mag_r", "unlensed source r [AB mag]", "source magnitude"),
    CurveAxis(
        "snr_matched_r_bin",
        "snr_matched",
        "matched-filter S/N of the arc in r",
        "matched-filter signal to noise",
        "snr_matched_r_lower",
        "snr_matched_r_upper",
    ),
)
SPLIT_AXES = (THETA_E, RESOLUTION)


def marginal(cells: pa.Table, axes: str, *, is_by_split: bool) -> pa.Table:
    """Return the cells of one table over all regions, subset ``all``: those over all splits, or those of each."""
    is_split = pc.field("region_split").is_valid() if is_by_split else pc.field("region_split").is_null()
    return cells.filter((pc.field("subset") == "all") & pc.field("selection_set_id").is_null() & is_split & (pc.field("axes") == axes))


def shown_table(rows: pa.Table, keys: Mapping[str, str]) -> pa.Table:
    """Return cells as a figure's table: these key columns under these names, counts, and numbers where there are enough injections."""
    named = {"stamp_size_pix": rows["stamp_size"], "region_split": pc.fill_null(rows["region_split"], ALL_SPLITS)}
    columns = {name: named[name] if name in named else rows[name] for name in KEYS}
    columns |= {shown: rows[name] for name, shown in keys.items()}
    columns |= {name: rows[name] for name in COUNTS}
    nothing = pa.scalar(None, pa.float64())
    columns |= {name: pc.if_else(rows["is_too_few"], nothing, rows[name]) for name in HIDDEN_WHERE_TOO_FEW}
    return pa.table(columns | {name: rows[name] for name in REMARKS})


def curve_table(cells: pa.Table, axis: CurveAxis, *, is_by_split: bool) -> pa.Table:
    """Return the numbers of a curve; injections whose bin is not known are no part of it."""
    rows = marginal(cells, axis.column, is_by_split=is_by_split)
    if not axis.is_binned:
        return shown_table(rows, {axis.column: axis.column})
    rows = rows.filter(pc.field(axis.column) != UNKNOWN_BIN)
    return shown_table(rows, {axis.column: axis.column, "bin_lower": axis.lower, "bin_upper": axis.upper})


def points_of(table: pa.Table, axis: CurveAxis) -> list[Point]:
    """Return the rows of a figure's table, each with its place on the axis as a text."""
    points: list[Point] = table.to_pylist()
    for point in points:
        point["place"] = bin_text(point[axis.lower], point[axis.upper]) if axis.is_binned else f"{point[axis.column]:g}"
    return points


def experiment(point: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return what a panel holds: tier, grid and bandset."""
    return point["tier"], point["grid"], point["bandset"]


def name_of(point: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """Return the series of a point in words."""
    split = "" if point["region_split"] == ALL_SPLITS else f", split {point['region_split']}"
    return f"tier {point['tier']}, {point['stamp_size_pix']} pixels, {labels.get(point['criterion'], point['criterion'])}{split}"


def notes_of(points: Sequence[Point], labels: Mapping[str, str]) -> tuple[str, ...]:
    """Return a sentence for each point that is left out or has no interval."""
    notes = []
    for point in points:
        where = f"{name_of(point, labels)}, at {point['place']}"
        if point["is_too_few"]:
            notes.append(f"{where}: too few ({point['n_evaluated']} evaluated), not drawn")
        elif point["lower_95"] is None:
            notes.append(f"{where}: hollow, {point['interval_note']}")
    return tuple(notes)


def left_out(points: Sequence[Point], unknown: int) -> str:
    """Return the sentences of a caption on what is not drawn, or drawn without an interval."""
    n_few = sum(point["is_too_few"] for point in points)
    n_hollow = sum(not point["is_too_few"] and point["lower_95"] is None for point in points)
    few = f"{n_few} of {len(points)} points have fewer evaluated injections than the campaign asks for and are left out."
    hollow = f"{n_hollow} {'point is' if n_hollow == 1 else 'points are'} hollow: too few sky cells for an interval."
    lost = f"{unknown:,} injections whose value on this axis is not known are no part of it."
    return " ".join(sentence for sentence, n in ((few, n_few), (hollow, n_hollow), (lost, unknown)) if n) or "No point is left out."


def message(points: Sequence[Point], labels: Mapping[str, str]) -> str:
    """Return the lowest and highest number of each series of the largest stamps, in words."""
    largest = max(point["stamp_size_pix"] for point in points)
    shown = [point for point in points if point["stamp_size_pix"] == largest and point["completeness"] is not None]
    sentences = []
    for name, members in groupby(shown, key=lambda point: name_of(point, labels)):
        series = list(members)
        low, high = (pick(series, key=lambda point: point["completeness"]) for pick in (min, max))
        sentences.append(
            f"{name}: lowest {low['completeness']:.3f} at {low['place']}, highest {high['completeness']:.3f} at {high['place']}"
        )
    return f"{'; '.join(sentences)}." if sentences else "No bin holds enough injections for a number."


def differences(points: Sequence[Point], labels: Mapping[str, str]) -> str:
    """Return the largest difference between two splits at one point for each tier and criterion, in words."""
    series: dict[tuple[str, str], dict[str, list[Point]]] = {}
    for point in points:
        if point["completeness"] is not None:
            series.setdefault((point["tier"], point["criterion"]), {}).setdefault(point["place"], []).append(point)
    sentences = []
    for (tier, criterion), places in series.items():
        ordered = [sorted(members, key=lambda point: point["completeness"]) for members in places.values() if len(members) > 1]
        if ordered:
            widest = max(ordered, key=lambda members: members[-1]["completeness"] - members[0]["completeness"])
            ends = [f"{point['region_split']} {point['completeness']:.3f}" for point in (widest[0], widest[-1])]
            sentences.append(f"tier {tier}, {labels.get(criterion, criterion)}: most apart at {widest[0]['place']}, {' and '.join(ends)}")
    return f"{'; '.join(sentences)}." if sentences else "No bin holds enough injections of two splits."


def tiers_of(points: Sequence[Point]) -> str:
    """Return the tiers of points as a sentence lists them."""
    return listed(list(dict.fromkeys(point["tier"] for point in points)))
