"""docs/validation.md names every check that a campaign makes, with its severity, and no other."""

import re
from pathlib import Path

from halo_core.stages.validation import EVIDENCE
from luigi_tasks.identity import VALIDATED
from tests.fixtures.campaigns import Place

PAGE = Path(__file__).parents[2] / "docs/validation.md"
LINE = re.compile(r"^\| `([a-z_<>]+)` \| [^|]+ \| (error|warning) \|$", re.MULTILINE)


def documented() -> dict[tuple[str, str], str]:
    """Return the severity of each check of the page, by stage and name."""
    _, *sections = re.split(r"^### ([a-z]+)$", PAGE.read_text(), flags=re.MULTILINE)
    found = {(stage, EVIDENCE): "error" for stage in sections[::2]}
    for stage, text in zip(sections[::2], sections[1::2], strict=True):
        found |= {(stage, name): severity for name, severity in LINE.findall(text)}
    return found


def test_every_check_of_a_campaign_is_on_the_page_with_its_severity_and_the_page_names_no_other(done_place: Place) -> None:
    rows = done_place.rows("SELECT stage, check_name, severity FROM validation_findings")
    made = {(row["stage"], row["check_name"]): row["severity"] for row in rows}
    assert {stage for stage, _ in made} == set(VALIDATED)
    assert made == {key: severity for key, severity in documented().items() if "<" not in key[1]}


def test_checks_that_only_some_campaigns_have_are_on_the_page() -> None:
    assert {key: severity for key, severity in documented().items() if "<" in key[1]} == {
        ("parent", "cut_<name>"): "error",
        ("manifest", "supply_<tier>_<split>"): "warning",
    }
