"""Figures: what is drawn is what the cells hold, nothing is drawn of too few, files are whole and the same each time."""

import io
import re

import matplotlib as mpl
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pytest
from matplotlib.collections import LineCollection, PatchCollection
from PIL import Image

from halo_core.report import figures
from halo_core.report.curve_tables import marginal
from halo_core.report.figure_style import COLOURS
from halo_core.report.heat_maps import _COLOURS, _readable
from tests.fixtures.summaries import random_campaign, summarised, summary_config, tables

LABELS = {"proxy_reference": "the proxy", "snr_matched": "matched"}
EDGES = np.array([0.0, 1.0, 2.0, 4.0, 8.0])
MAGNIFICATION = {
    "tier": "grid",
    "grid": "grid_small",
    "n_physical": 9,
    "minimum": 1.6,
    "median": 3.6,
    "mean": 4.5,
    "histogram_edges": EDGES.tolist(),
    "histogram_counts": [0, 2, 4, 3],
}
EXPECTED = {"tier": "grid", "grid": "grid_small", "quantity": "magnification_median", "expected": 3.7, "tolerance": 0.15}


@pytest.fixture(scope="module")
def cells() -> pa.Table:
    """Cells of a random campaign."""
    return summarised(*random_campaign(120, seed=5), summary_config(min_n=4))


@pytest.fixture(scope="module")
def found(cells) -> dict[str, figures.ReportFigure]:
    """Every figure of that campaign by name."""
    facts = {"magnification": [MAGNIFICATION], "expected": [EXPECTED]}
    hosts = pa.table(
        {"region_id": [1, 2], "region_split": ["train", "test"], "ra_deg": [10.0, 11.0], "dec_deg": [0.0, 1.0], "n_hosts": [3, 4]}
    )
    return {figure.name: figure for figure in figures.campaign_figures(cells, LABELS, facts=facts, hosts=hosts)}


CURVES = ("completeness_theta_e", "completeness_resolution", "completeness_src_dmag", "completeness_snr_matched", "splits_theta_e")
HEAT_MAPS = ("heat_map_psf_fwhm", "heat_map_psfdepth")


def numbers(figure: figures.ReportFigure, *names: str) -> list[tuple[float, ...]]:
    """Return columns of the figure's CSV, in order, rows without a number left out."""
    table = pyarrow.csv.read_csv(io.BytesIO(figures.csv(figure)))
    rows = zip(*(table[name].to_pylist() for name in names), strict=True)
    return sorted(row for row in rows if None not in row)


def test_every_figure_that_has_numbers_is_there(found):
    assert set(found) == {*CURVES, "splits_resolution", *HEAT_MAPS, "magnification", "sky_map"}
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in found)


@pytest.mark.parametrize("name", CURVES)
def test_points_of_a_curve_are_the_numbers_of_its_csv_and_bars_its_intervals(found, name):
    panels = found[name].draw().axes
    drawn = [y for panel in panels for line in panel.lines if line.get_marker() != "None" for y in line.get_ydata().tolist()]
    assert sorted(drawn) == [p for (p,) in numbers(found[name], "completeness")]
    bars = [segment[:, 1].tolist() for panel in panels for one in panel.collections for segment in one.get_segments()]
    assert sorted(map(tuple, bars)) == numbers(found[name], "lower_95", "upper_95")
    assert len(bars) > 0


@pytest.mark.parametrize(
    ("name", "axes", "is_by_split"), [("completeness_theta_e", "theta_e_arcsec", False), ("splits_resolution", "resolution_bin", True)]
)
def test_intervals_of_a_figure_are_those_of_the_cells(cells, found, name, axes, is_by_split):
    rows = marginal(cells, axes, is_by_split=is_by_split).filter(~pc.field("is_too_few"))
    rows = rows.filter(pc.field("stamp_size") == 96) if is_by_split else rows
    rows = rows.filter(pc.field("resolution_bin") != -1) if axes == "resolution_bin" else rows
    expected = [row for row in zip(rows["lower_95"].to_pylist(), rows["upper_95"].to_pylist(), strict=True) if None not in row]
    assert numbers(found[name], "lower_95", "upper_95") == sorted(expected) != []


def test_every_count_below_a_curve_is_the_number_evaluated(found):
    figure = found["splits_theta_e"]
    written = [text.get_text() for panel in figure.draw().axes for text in panel.texts if text.get_text().isdigit()]
    assert sorted(written) == sorted(str(n) for (n,) in numbers(figure, "n_evaluated"))


@pytest.mark.parametrize("name", [*CURVES, *HEAT_MAPS])
def test_a_bin_with_too_few_is_named_and_has_no_number_anywhere(found, name):
    few = found[name].table.filter(pc.field("is_too_few"))
    assert few.num_rows > 0 or name != HEAT_MAPS[0]
    for column in ("completeness", "lower_95", "upper_95", "completeness_weighted", "weighted_lower_95", "weighted_upper_95"):
        assert few[column].null_count == few.num_rows
    assert sum("too few" in note for note in found[name].notes) == few.num_rows
    assert (str(few.num_rows) in found[name].caption) == (few.num_rows > 0)


@pytest.mark.parametrize("name", HEAT_MAPS)
def test_a_heat_map_writes_each_number_once_hatches_what_has_too_few_and_leaves_the_rest_blank(found, name):
    *panels, _ = found[name].draw().axes
    written = [text.get_text() for panel in panels for text in panel.texts if "." in text.get_text()]
    assert sorted(written) == sorted(f"{p:.2f}" for (p,) in numbers(found[name], "completeness")) != []
    tiles = [one for panel in panels for one in panel.collections if isinstance(one, PatchCollection)]
    hatches = [one for panel in panels for one in panel.collections if isinstance(one, LineCollection)]
    assert sum(len(one.get_paths()) for one in tiles) == len(written)
    assert sum(len(one.get_segments()) for one in hatches) == 4 * pc.sum(found[name].table["is_too_few"]).as_py()


def test_a_line_breaks_where_a_point_is_left_out_and_points_without_interval_are_hollow():
    rows = [{"theta_e_arcsec": radius} for radius, n in ((0.5, 12), (1.0, 9), (2.0, 12)) for _ in range(n)]
    figure = figures.campaign_figures(summarised(*tables(rows), summary_config()), {}, facts={}, hosts=None)[0]
    drawn = figure.draw().axes[0].lines
    lines = [line.get_ydata() for line in drawn if line.get_marker() == "None"]
    assert [np.isnan(y).tolist() for y in lines] == [[False, True, False]] * 2
    assert [len(line.get_ydata()) for line in drawn if line.get_markerfacecolor() == "none"] == [2, 2]


def test_a_population_has_no_figure_against_what_its_cells_are_not_keyed_by():
    config = summary_config(population_grids=("grid_small",))
    cells = summarised(*tables([{"theta_e_arcsec": 0.5 + 0.01 * number} for number in range(20)]), config)
    names = {figure.name for figure in figures.campaign_figures(cells, {}, facts={}, hosts=None)}
    assert names == {"completeness_resolution", "completeness_snr_matched", "splits_resolution"}


def test_the_text_in_place_of_a_curve_tells_its_lowest_and_highest_number(found):
    figure = found["completeness_theta_e"]
    rows = figure.table.filter((pc.field("stamp_size_pix") == 96) & (pc.field("criterion") == "snr_matched") & (pc.field("tier") == "grid"))
    p = rows["completeness"].to_pylist()
    low, high = (rows["theta_e_arcsec"][p.index(value)].as_py() for value in (min(p), max(p)))
    assert f"tier grid, 96 pixels, matched: lowest {min(p):.3f} at {low:g}, highest {max(p):.3f} at {high:g}" in figure.description


def test_the_text_in_place_of_splits_tells_where_they_are_most_apart(found):
    figure = found["splits_theta_e"]
    is_shown = (pc.field("criterion") == "proxy_reference") & (pc.field("tier") == "grid") & ~pc.field("is_too_few")
    rows = figure.table.filter(is_shown).to_pylist()
    radii = {row["theta_e_arcsec"]: [one for one in rows if one["theta_e_arcsec"] == row["theta_e_arcsec"]] for row in rows}
    shares = {radius: [one["completeness"] for one in members] for radius, members in radii.items() if len(members) > 1}
    radius = max(shares, key=lambda one: max(shares[one]) - min(shares[one]))
    low, high = (choose(radii[radius], key=lambda one: one["completeness"]) for choose in (min, max))
    ends = f"{low['region_split']} {low['completeness']:.3f} and {high['region_split']} {high['completeness']:.3f}"
    assert f"tier grid, the proxy: most apart at {radius:g}, {ends}" in figure.description


def test_a_histogram_of_magnifications_holds_its_counts_and_its_expected_band(found):
    figure = found["magnification"]
    assert numbers(figure, "magnification_lower", "magnification_upper", "n_injections") == [(0, 1, 0), (1, 2, 2), (2, 4, 4), (4, 8, 3)]
    assert "median 3.60 (expected 3.7 ± 0.15), mean 4.50, least 1.60" in figure.description
    (panel,) = figure.draw().axes
    (band,) = [patch for patch in panel.patches if hasattr(patch, "get_width")]
    assert (10 ** band.get_x(), 10 ** (band.get_x() + band.get_width())) == pytest.approx((3.55, 3.85))


def test_files_of_a_figure_are_whole_and_the_same_twice(found):
    for name in ("heat_map_psf_fwhm", "sky_map"):
        image, document = figures.png(found[name]), figures.pdf(found[name])
        assert (image, document, figures.svg(found[name])) == (figures.png(found[name]), figures.pdf(found[name]), figures.svg(found[name]))
        picture = Image.open(io.BytesIO(image))
        picture.load()
        assert picture.info["dpi"] == pytest.approx((200, 200), abs=0.1)
        assert picture.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
        assert document.startswith(b"%PDF-")
        assert document.rstrip().endswith(b"%%EOF")
        assert len(re.findall(rb"/Type /Page\b", document)) == 1
        assert b"/FontFile2" in document
        assert b"/CreationDate" not in document


def test_floats_of_the_csv_are_those_of_the_figure_to_the_last_bit(found):
    table = found["heat_map_psfdepth"].table
    back = pyarrow.csv.read_csv(io.BytesIO(figures.csv(found["heat_map_psfdepth"])))
    for name in ("completeness", "lower_95", "deff", "psfdepth_r_lower_mag"):
        assert back[name].to_pylist() == table[name].to_pylist()


def luminance(colour: tuple[float, ...]) -> float:
    """Return the relative luminance of a colour, 0..1 each channel (WCAG 2)."""
    channels = np.array(colour)
    return float(np.dot([0.2126, 0.7152, 0.0722], np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)))


def contrast(first: tuple[float, ...], second: tuple[float, ...]) -> float:
    """Return the contrast of two colours."""
    dark, light = sorted((luminance(first), luminance(second)))
    return (light + 0.05) / (dark + 0.05)


def test_numbers_in_a_heat_map_are_readable_on_every_colour_and_series_on_either_paper():
    for colour in mpl.colormaps[_COLOURS](np.linspace(0.0, 1.0, 101)).tolist():
        assert contrast(colour[:3], mpl.colors.to_rgb(_readable(colour))) >= 4.5
    for colour in COLOURS:
        assert min(contrast(mpl.colors.to_rgb(colour), mpl.colors.to_rgb(paper)) for paper in ("#fcfcfa", "#14171b")) >= 3.0
