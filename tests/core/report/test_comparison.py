"""The page of two campaigns: self-contained, escaped, and its numbers are those that were given."""

import re
from dataclasses import replace

import pytest

from halo_core.report.comparison import IDENTICAL, ComparisonData, headline_lines, render_comparison
from halo_core.report.comparison_figures import difference_figure
from halo_core.report.figure_style import csv
from tests.core.report.test_page import Page
from tests.fixtures.comparisons import comparison_data


@pytest.fixture(scope="module")
def data() -> ComparisonData:
    """Two campaigns of the same injections."""
    return comparison_data()


def test_the_page_asks_nothing_of_anyone_and_its_tags_close(data: ComparisonData) -> None:
    html = render_comparison(data)
    assert not re.search(r"https?:|//[a-z]|<script src|<link|<iframe|@import|url\((?!#|data:)", html)
    assert Page(html).open == []
    assert render_comparison(data) == html


def test_pairs_differences_and_what_differs_stand_on_the_page(data: ComparisonData) -> None:
    words = Page(render_comparison(data)).words
    for row in data.paired:
        found = row.difference
        for text in (found.n_pairs, found.n_both, found.n_only_a, row.n_matched, f"{found.mcnemar_p:.3g}"):
            assert str(text) in words
    for sentence in (
        "snr_peak_pixel_min",
        "9.0",
        "B: strict",
        "takes them as independent",
        "Two campaigns on the same sky are not",
        *data.cautions,
    ):
        assert sentence in words
    assert "0a" * 10 in words
    assert IDENTICAL not in words


def test_the_headline_holds_both_numbers_and_says_what_is_paired(data: ComparisonData) -> None:
    lines = headline_lines(data)
    row = next(row for row in data.cells[""] if row["subset"] == "all")
    pair = next(
        pair for pair in data.paired if pair.subset == "all" and pair.criterion == row["criterion"] and pair.key[:2] == ("debug", 64)
    )
    assert lines[0].startswith(f"debug, 64 pixels, grz, {row['criterion']}: A {row['completeness_a']:.3f}, B {row['completeness_b']:.3f}, ")
    assert f"{pair.n_matched} ids in both, {pair.n_unmatched[0]} in A alone, 0 in B alone: {pair.difference.n_pairs} pairs" in lines[0]
    assert f"{pair.difference.difference:+.3f} ({pair.difference.lower:+.3f} to {pair.difference.upper:+.3f})" in lines[0]
    assert len(lines) == 8


def test_campaigns_that_are_one_are_said_to_be(data: ComparisonData) -> None:
    same = replace(data, is_identical=True)
    assert headline_lines(same)[0] == IDENTICAL
    assert IDENTICAL in Page(render_comparison(same)).words


def test_names_are_escaped_and_what_is_empty_is_said(data: ComparisonData) -> None:
    bare = replace(data, names=("<b>a</b>", "b&c"), paired=[], configuration=[], cautions=[])
    html = render_comparison(bare)
    assert "<b>a</b>" not in html
    assert "&lt;b&gt;a&lt;/b&gt;" in html
    assert "The same injections in both campaigns: nothing to show." in Page(html).words
    assert all(line.endswith("; not paired") for line in headline_lines(bare))


def test_the_figure_draws_the_rows_of_its_table_and_hides_what_is_too_few(data: ComparisonData) -> None:
    rows = data.cells["theta_e_arcsec"]
    figure = difference_figure(rows, "theta_e_arcsec", data.names, data.criterion_labels)
    assert figure is not None
    assert figure.table.num_rows == sum(row["difference"] is not None for row in rows)
    assert csv(figure).count(b"\n") == figure.table.num_rows + 1
    assert "strict minus that of loose" in figure.caption
    few = [{**row, "difference": None} for row in rows]
    assert difference_figure(few, "theta_e_arcsec", data.names, data.criterion_labels) is None
    some = difference_figure([*rows[:4], *few[4:]], "theta_e_arcsec", data.names, data.criterion_labels)
    assert some is not None
    assert f"{len(rows) - 4} of {len(rows)} points have too few" in some.caption
