"""Laws of the report in a browser: it loads from a file without a request or an error, sorts, copies, and says what the database says."""

from collections.abc import Iterator

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.fixtures.browsers import needs_browser, new_browser
from tests.fixtures.campaigns import Place

HEADLINE = "Completeness over all splits and conditions"
NUMBERS_OF_THE_STATE = """SELECT tier, grid, bandset, stamp_size, criterion, n_task, n_evaluated, n_not_evaluated, n_recovered,
    completeness, lower_95, upper_95, is_too_few
  FROM v_completeness WHERE campaign = 'tiny' AND axes = '' AND subset = 'all' AND region_split IS NULL"""

pytestmark = needs_browser


@pytest.fixture(scope="module")
def page(done_place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    """The report of the tiny campaign, opened from its file."""
    with new_browser(tmp_path_factory.mktemp("browser")) as driver:
        driver.get(done_place.report.as_uri())
        yield driver


def table(page: webdriver.Chrome, caption: str) -> WebElement:
    """Return a table by its caption."""
    return page.find_element(By.XPATH, f"//table[caption='{caption}']")


def texts(page: webdriver.Chrome, found: WebElement) -> list[dict[str, str]]:
    """Return the rows of a table by heading, as they stand now."""
    headings, rows = page.execute_script(
        "const words = (cells) => Array.from(cells, (cell) => cell.textContent.trim());"
        "return [words(arguments[0].tHead.rows[0].cells), Array.from(arguments[0].tBodies[0].rows, (row) => words(row.cells))]",
        found,
    )
    return [dict(zip(headings, row, strict=True)) for row in rows]


def button(found: WebElement, heading: str) -> WebElement:
    """Return what sorts a table by a column."""
    return found.find_element(By.CSS_SELECTOR, f"button[aria-label='Sort by {heading}']")


def test_it_loads_from_a_file_without_an_error_or_a_request_and_every_image_decodes(done_place: Place, page: webdriver.Chrome) -> None:
    assert page.title == "tiny – Dark Halo Scope"
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource').map((one) => one.name)") == []
    images = page.execute_script("return Array.from(document.images, (one) => [one.complete, one.naturalWidth, one.alt])")
    assert len(images) > 10
    assert all(is_complete and width > 0 and alt for is_complete, width, alt in images)
    assert done_place.report.stat().st_size < 10_000_000


def test_the_key_numbers_are_those_of_the_database(done_place: Place, page: webdriver.Chrome) -> None:
    rows = texts(page, table(page, HEADLINE))
    shown = {(row["tier, grid, bands"], int(row["stamp [pix]"]), row["criterion"]): row for row in rows}
    stored = done_place.rows(NUMBERS_OF_THE_STATE)
    assert len(shown) == len(rows) == len(stored) > 0
    cards = page.find_element(By.CSS_SELECTOR, "section[aria-labelledby=completeness]").text
    for row in stored:
        found = shown[f"{row['tier']}, {row['grid']}, {row['bandset']}", row["stamp_size"], row["criterion"]]
        counts = [int(found[name]) for name in ("planned", "evaluated", "not evaluated", "recovered")]
        assert counts == [row[name] for name in ("n_task", "n_evaluated", "n_not_evaluated", "n_recovered")]
        assert f"Of the {row['n_evaluated']:,} arcs painted and evaluated in tier {row['tier']}, " in cards or row["stamp_size"] == 48
        bars = "" if row["lower_95"] is None else f" ({row['lower_95']:.3f} – {row['upper_95']:.3f})"
        assert found["completeness (95 %)"] == ("too few" if row["is_too_few"] else f"{row['completeness']:.3f}{bars}")


def test_tables_sort_by_click_and_by_keyboard_numbers_as_numbers_and_words_for_no_number_last(page: webdriver.Chrome) -> None:
    found = table(page, HEADLINE)
    by_count, by_share = button(found, "recovered"), button(found, "completeness (95 %)")
    by_count.click()
    assert (counts := [int(row["recovered"]) for row in texts(page, found)]) == sorted(counts)
    by_count.send_keys(Keys.ENTER)
    assert [int(row["recovered"]) for row in texts(page, found)] == sorted(counts, reverse=True)
    assert by_count.find_element(By.XPATH, "..").get_attribute("aria-sort") == "descending"
    for is_falling in (False, True):
        by_share.send_keys(Keys.SPACE)
        shares = [row["completeness (95 %)"] for row in texts(page, found)]
        numbers = [float(share.split(" ")[0]) for share in shares if share != "too few"]
        assert numbers == sorted(numbers, reverse=is_falling)
        assert shares[len(numbers) :] == ["too few"] * (len(shares) - len(numbers))
    assert [header.get_attribute("aria-sort") for header in found.find_elements(By.CSS_SELECTOR, "th[aria-sort]")] == ["descending"]
    assert page.switch_to.active_element == by_share


def test_commands_and_queries_are_copied_or_selected_by_a_button(page: webdriver.Chrome) -> None:
    blocks = page.find_elements(By.TAG_NAME, "pre")
    assert len(page.find_elements(By.CSS_SELECTOR, "button.copy")) == len(blocks) > 10
    section = page.find_element(By.CSS_SELECTOR, "section[aria-labelledby=record]")
    copy, command = section.find_element(By.CSS_SELECTOR, "button.copy"), section.find_element(By.TAG_NAME, "pre")
    assert command.text.startswith("luigi --module luigi_tasks RunCampaign")
    copy.click()
    WebDriverWait(page, 10).until(lambda _: copy.text != "Copy")
    selected = page.execute_script("return getSelection().toString()")
    assert copy.text == "Copied" or (copy.text, selected) == ("Selected: press Ctrl+C", command.get_attribute("textContent"))


def test_a_phone_sees_it_without_moving_sideways(page: webdriver.Chrome) -> None:
    metrics = {"width": 380, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    page.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        assert page.execute_script("return innerWidth") == 380
        assert page.execute_script("const page = document.documentElement; return page.scrollWidth - page.clientWidth") == 0
    finally:
        page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
