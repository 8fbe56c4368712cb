"""The page: self-contained, escaped, headed by a failure, readable without the summary."""

import re
from collections import Counter
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from halo_core.report import ReportData, render_report
from halo_core.report.figure_style import bin_text
from halo_core.report.figures import campaign_figures
from tests.fixtures.reports import failed, report_data, stopped_report
from tests.fixtures.summaries import summarised, summary_config, tables


class Page(HTMLParser):
    """Tags, their attributes and the text of a page, in order."""

    VOID = frozenset({"meta", "img", "br", "path", "use"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def whole() -> ReportData:
    """Data of a report with every section."""
    return report_data()


@pytest.fixture(scope="module")
def html(whole) -> str:
    """The page of that report."""
    return render_report(whole)


def test_page_asks_nothing_of_anyone(html):
    assert not re.search(
        r"https?:|//[a-z]|<script|<link|<iframe|@import|url\((?!#|data:)", re.sub(r"data:image/png;base64,[\w+/=]+", "", html)
    )
    for _, attributes in Page(html).tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))


def test_page_is_well_formed_and_every_id_is_unique_and_every_link_has_a_target(html):
    page = Page(html)
    assert page.open == []
    ids = Counter(attributes["id"] for _, attributes in page.tags if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = {attributes["href"][1:] for tag, attributes in page.tags if tag in ("a", "use") and "href" in attributes}
    targets |= set(re.findall(r"url\(#([^)]+)\)", html)) | {
        attributes["aria-labelledby"] for _, attributes in page.tags if "aria-labelledby" in attributes
    }
    assert targets <= set(ids)


def test_page_is_the_same_each_time(whole, html):
    assert render_report(whole) == html


def test_pictures_and_plots_have_a_description_and_headings_do_not_skip(whole, html):
    page = Page(html)
    pictures = [attributes for tag, attributes in page.tags if tag == "img" or attributes.get("role") == "img"]
    assert len(pictures) == 4 * 3 + len(campaign_figures(whole.cells, {}, facts={}, hosts=None))
    assert all(attributes.get("alt") or attributes.get("aria-label") for attributes in pictures)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_page_says_what_its_numbers_are_not(html):
    words = " ".join(Page(html).words.split())
    for caveat in (
        "64 %",
        "independently of the axis of the host's light",
        "far brighter than most",
        "not what the survey would yield",
        "truth",
    ):
        assert caveat in words
    assert "An injection that was not evaluated has no S/N" in words


def test_text_from_outside_is_escaped():
    page = render_report(
        stopped_report(campaign='<script>alert("x")</script>', subtitle="a & b", errors=["<img src=x>"], findings=[failed("<b>bold</b>")])
    )
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    assert "a &amp; b" in page


def test_failure_heads_the_page():
    page = render_report(stopped_report(findings=[failed("The counts are not exact.")], errors=["plane of 0001m002 changed"]))
    first_heading = re.search(r"<h\d[^>]*>(.*?)</h\d>", page).group(1)
    assert "failed" in first_heading
    assert page.index("The counts are not exact.") < page.index("plane of 0001m002 changed") + 10_000
    assert max(page.index("The counts are not exact."), page.index("plane of 0001m002 changed")) < page.index("<h1>")
    assert "<title>FAILED: made-up" in page


def test_sound_campaign_is_not_headed_by_a_failure(html):
    assert "FAILED" not in html
    assert 'role="alert"' not in html
    assert "all 14 checks passed" in html


def test_campaign_without_a_check_is_not_called_passed():
    page = render_report(stopped_report())
    assert "no check has run" in page
    assert "checks passed" not in page


def test_warning_does_not_fail_a_page():
    warning = failed("Given splits overlap.")
    page = render_report(stopped_report(findings=[type(warning)("parent", "overlap", False, "warning", "3", "0", "Overlap.")]))
    assert "FAILED" not in page
    assert "warnings (1)" in page


def test_campaign_that_stopped_before_its_summary_still_has_a_page():
    page = render_report(stopped_report())
    assert page.count("The summary was not reached") == 2
    assert Page(page).open == []


def test_points_of_too_few_are_left_out_and_named_and_points_without_interval_are_hollow_and_named():
    rows = [{"theta_e_arcsec": 0.5, "ra": 20.0 + 3 * (number % 12)} for number in range(24)]
    rows += [{"theta_e_arcsec": 1.0}] * 12 + [{"theta_e_arcsec": 2.0}] * 9
    cells = summarised(*tables(rows), summary_config())
    figure = campaign_figures(cells, {"snr_matched": "matched"}, facts={}, hosts=None)[0]
    assert [sentence for sentence in figure.notes if "matched" in sentence] == [
        "tier grid, 64 pixels, matched, at 1: hollow, no interval: number of sky cells 1, effective 1.00; both must reach 5",
        "tier grid, 64 pixels, matched, at 2: too few (9 evaluated), not drawn",
    ]


def test_figure_follows_the_theme_and_holds_no_address(html):
    svg = re.search(r"<svg.*?</svg>", html, flags=re.DOTALL).group(0)
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "xmlns" not in svg


def test_empty_summary_has_no_figure_and_a_page():
    cells = summarised(*tables([{}]), summary_config()).slice(0, 0)
    assert campaign_figures(cells, {}, facts={}, hosts=None) == []
    assert "there is nothing to draw" in render_report(stopped_report(cells=cells))


@pytest.mark.parametrize(
    ("lower", "upper", "text"), [(None, 0.4, "< 0.4"), (0.4, 0.6, "0.4–0.6"), (1.0, None, "≥ 1"), (None, None, "not known")]
)
def test_bins_are_named_by_their_edges(lower, upper, text):
    assert bin_text(lower, upper) == text
