"""The page: self-contained, escaped, headed by a failure, readable without the summary."""

import base64
import hashlib
import json
import re
from collections import Counter
from html.parser import HTMLParser
from importlib import resources
from itertools import pairwise

import pytest

from halo_core.flags import SENTENCES, Flag
from halo_core.report.data import ReportData
from halo_core.report.figure_style import bin_text
from halo_core.report.figures import campaign_figures
from halo_core.report.page import render_report
from halo_core.report.words import experiments
from halo_core.stages.summary import read_first
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
        r"https?:|//[a-z]|<link|<iframe|@import|url\((?!#|data:)|fetch|XMLHttp|import\(",
        re.sub(r"data:image/png;base64,[\w+/=]+", "", html),
    )
    for _, attributes in Page(html).tags:
        for name in ("src", "href", "xlink:href", "srcset", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))


def test_page_runs_one_script_and_its_policy_names_that_script_alone(html):
    (script,) = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert html.count("<script") == 1
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html).group(1)
    sha256 = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.split("; ")[0] == "default-src 'none'"
    assert f"script-src 'sha256-{sha256}'" in policy
    assert not re.search(r"\son\w+=", html), "no handler of its own in a tag"


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


def test_pictures_and_plots_have_a_description_and_headings_do_not_skip(html):
    page = Page(html)
    pictures = [attributes for tag, attributes in page.tags if tag == "img" or attributes.get("role") == "img"]
    assert len(pictures) == 4 * 3 + 2 + 1 + html.count("<svg")
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
        "This is not a survey yield",
        "The proxy measures its own definition",
        "Below that radius it recovers nothing, by construction",
        "truth",
    ):
        assert caveat in words
    assert "An injection that was not evaluated has no S/N" in words


def test_text_from_outside_is_escaped():
    page = render_report(
        stopped_report(campaign='<script>alert("x")</script>', subtitle="a & b", errors=["<img src=x>"], findings=[failed("<b>bold</b>")])
    )
    assert page.count("<script") == 1
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


def test_sound_campaign_is_not_headed_by_a_failure(whole, html):
    assert "FAILED" not in html
    assert 'role="alert"' not in html
    assert f"all {len(whole.findings)} checks passed" in html


def test_campaign_without_a_check_is_not_called_passed():
    page = render_report(stopped_report())
    assert "no check has run" in page
    assert "checks passed" not in page


def test_warning_does_not_fail_a_page():
    warning = failed("Given splits overlap.")
    page = render_report(stopped_report(findings=[type(warning)("parent", "overlap", False, "warning", "3", "0", "Overlap.")]))
    assert "FAILED" not in page
    assert "0 of 1 checks passed, 1 is a warning" in page


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


def test_a_task_without_pixels_says_why_and_a_control_has_no_arc(html):
    starts = {name: html.index(f"<strong>{name}") for name in ("Control", "Not evaluated")}
    shown = {name: html[start : html.index("</figure>", start)] for name, start in starts.items()}
    assert re.findall(r"<small>(\w+)</small>", shown["Control"]) == ["host", "injected"]
    assert re.findall(r"<small>(\w+)</small>", shown["Not evaluated"]) == ["host", "arc"]
    assert "Not painted. The stamp has no good pixel in g." in shown["Not evaluated"]
    assert "No pixels are stored. The survey has no coadd of this brick." in html
    assert "halo stamps show t000000" in html
    assert "halo stamps show t000005" not in html, "nothing could be written of it"


def test_headline_says_what_the_proxy_decides_by_itself_and_how_many_were_lost(whole):
    (one,) = [found for found in experiments(whole.cells, {}, whole.facts) if "Tier grid" in found.title]
    row = next(row for row in whole.facts["definition"] if row["tier"] == "grid" and f" {row['stamp_size']} pixels" in one.title)
    proxy = next(head for head in one.headlines if head.criterion == "proxy_reference")
    assert row["n_recovered_below"] == 0
    assert f"it recovers 0 of the {row['n_below']:,} arcs with θ_E/FWHM below 0.8" in proxy.sentences[-1]
    assert f"{row['n_recovered_above']:,} of {row['n_above']:,}" in proxy.sentences[-1]
    cell = next(
        row for row in read_first(whole.cells, axes="").to_pylist() if row["tier"] == "grid" and row["criterion"] == "proxy_reference"
    )
    assert f"{cell['n_recovered']:,} ({100 * cell['completeness']:.1f}\u00a0%) are recovered" in proxy.sentences[0]
    assert f"{cell['n_task']:,} arcs planned, {cell['n_evaluated']:,} painted and evaluated" in one.sentence
    assert all(SENTENCES[Flag[name]].rstrip(".") in one.sentence for name in json.loads(cell["losses"]))


def test_text_is_told_from_its_ground_in_both_themes():
    """A contrast of 4.5 by WCAG 2, of every colour that text has on every ground that it stands on; lines of focus need 3."""
    style = resources.files("halo_core.report").joinpath("page.css").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--([\w-]+): (#\w{6})", part)) for part in re.findall(r":root \{(.*?)\}", style, flags=re.DOTALL)]
    assert len(themes) == 3
    for theme in themes:
        grounds = ("paper", "panel")
        for ink, ground in [(ink, ground) for ink in ("ink", "soft", "link") for ground in grounds] + [
            ("bad", "bad-paper"),
            ("ink", "bad-paper"),
        ]:
            assert contrast(theme[ink], theme[ground]) >= 4.5, (ink, ground, theme)
        assert "focus" not in theme or contrast(theme["focus"], theme["paper"]) >= 3


def contrast(one: str, other: str) -> float:
    """Return the ratio of luminances of WCAG 2."""
    bright, dark = sorted((_luminance(colour) for colour in (one, other)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour, #rrggbb."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


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
