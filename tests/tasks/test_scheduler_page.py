"""Law of the scheduler's page: a person who looks at it in a browser sees the campaign's tasks finish, and finds where their work is."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from luigi_tasks.targets import block_prefix
from tests.fixtures.browsers import needs_browser, new_browser
from tests.fixtures.schedulers import Scheduler
from tests.fixtures.services import wait_until

WAIT_S = 30

pytestmark = needs_browser


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a profile of its own."""
    with new_browser(tmp_path) as driver:
        yield driver


def look(browser: webdriver.Chrome, scheduler: Scheduler) -> None:
    """Open the page anew, and wait until it shows what the scheduler knows by now."""
    browser.get("about:blank")
    browser.get(scheduler.page)
    WebDriverWait(browser, WAIT_S).until(lambda page: "Fetching" not in page.find_element(By.ID, "taskTable").text)
    WebDriverWait(browser, WAIT_S).until(lambda page: page.find_elements(By.CSS_SELECTOR, "#taskTable tbody td.dataTables_empty, .span2"))


def number(browser: webdriver.Chrome, category: str) -> int:
    """Return the number in the box of a category, such as DONE, at the top of the page."""
    box = browser.find_element(By.ID, f"{category}_info")
    return int(box.find_element(By.CLASS_NAME, "info-box-number").text)


def rows(browser: webdriver.Chrome, family: str) -> list[WebElement]:
    """Return the rows of the tasks of a family, after looking for them as a person does."""
    field = browser.find_element(By.CSS_SELECTOR, "#taskTable_filter input")
    field.clear()
    field.send_keys(family)
    found = browser.find_elements(By.CSS_SELECTOR, "#taskTable tbody tr")
    return [row for row in found if f" {family} " in f" {row.text} ".replace("\n", " ")]


def test_a_person_sees_the_tasks_finish_and_where_their_work_is(scheduler: Scheduler, browser: webdriver.Chrome) -> None:
    place = scheduler.place
    look(browser, scheduler)
    assert number(browser, "DONE") == 0
    with scheduler.worker("worker") as worker:
        wait_until(lambda: place.task().complete(), "the campaign")
        worker.wait(60)
    look(browser, scheduler)
    assert number(browser, "DONE") == len(scheduler.tasks("DONE")) > 10
    assert number(browser, "FAILED") == 0
    assert "DONE" in rows(browser, "RunCampaign")[0].text
    blocks = rows(browser, "InjectBlock")
    assert len(blocks) == 3
    assert all("DONE" in block.text for block in blocks)
    digest = place.task().digest_of("injection")
    links = {block.find_element(By.CSS_SELECTOR, "a[title='Track Progress']").get_attribute("href") for block in blocks}
    assert links == {place.objects.path(block_prefix("injection", digest, block)).as_uri() for block in range(3)}
    blocks[0].find_element(By.CLASS_NAME, "statusMessage").click()
    window = browser.find_element(By.ID, "statusMessageModal")
    WebDriverWait(browser, WAIT_S).until(lambda _: "tasks" in window.text and "done" in window.text)
