"""A law that could not run has failed, and is no end to the others; evidence that cannot be read is a failed finding."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import Any, NoReturn

import pyarrow as pa
import pytest

from halo_core.errors import StageValidationError, StoreError
from halo_core.records import Finding
from halo_core.stages import validation_injection_counts as injection_counts
from halo_core.stages import validation_manifest as manifest
from halo_core.stages import validation_parent as parent
from halo_core.stages import validation_summary as summary
from halo_core.stages.validation import CouldNotRun, Evidence, Tally, attempt, is_broken, require
from halo_core.stages.validation_checks import Check, Verdict, run_checks
from halo_core.stages.validation_injection import check_results
from halo_core.stages.validation_manifest import check_manifest
from halo_core.stages.validation_parent import check_parent
from halo_core.stages.validation_summary import check_summary
from tests.core.stages import test_validation_campaign, test_validation_manifest, test_validation_parent
from tests.fixtures.parents import parent_config
from tests.fixtures.summaries import facts_of, summarised, summary_config, tables

SOUND = Check[int]("sound", "It holds.", lambda _: Verdict(True, "1", "1"))


def broken_off(*_: Any) -> NoReturn:
    """Fail as no law should."""
    raise ZeroDivisionError("no rows to divide by")


def test_a_law_that_raises_has_failed_with_type_and_message_and_the_others_are_made() -> None:
    findings = run_checks("parent", (Check[int]("odd", "Its law.", broken_off, "warning"), SOUND), 1)
    expected = Finding("parent", "odd", False, "error", "could not run: ZeroDivisionError: no rows to divide by", "a verdict", "Its law.")
    assert vars(findings[0]) == vars(expected) | {"errors": vars(findings[0])["errors"]}
    assert findings[1].is_ok
    assert is_broken(findings)
    with pytest.raises(StageValidationError, match="odd: observed could not run: ZeroDivisionError"):
        require(findings)


def test_what_it_raised_is_kept_with_its_traceback() -> None:
    (found,) = run_checks("parent", (Check[int]("odd", "Its law.", broken_off),), 1)
    assert isinstance(found, CouldNotRun)
    (error,) = found.errors
    assert isinstance(error, ZeroDivisionError)
    assert error.__traceback__ is not None


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, StoreError])
def test_interrupts_and_a_state_that_cannot_be_asked_end_everything(kind: type[BaseException]) -> None:
    def stop() -> None:
        raise kind

    with pytest.raises(kind):
        attempt(stop)


def test_a_law_that_raised_on_one_part_is_not_tried_again_and_the_others_go_on_counting() -> None:
    seen = []

    def fragile(part: int) -> Counter[str]:
        seen.append(part)
        return Counter(bad=1 // (part - 2))

    tally = Tally({"fragile": fragile, "sound": lambda part: Counter(bad=part)})
    for part in (1, 2, 3):
        tally.add(part)
    assert seen == [1, 2]
    assert tally.raised["fragile"].text.startswith("ZeroDivisionError")
    assert tally.counts["sound"] == Counter(bad=6)


def of_parent(patch: pytest.MonkeyPatch) -> list[Finding]:
    laws = (replace(parent._COMMON[0], count=broken_off), replace(parent._COMMON[1], verdict=broken_off), *parent._COMMON[2:])
    patch.setattr(parent, "_COMMON", laws)
    catalogue, bricks = test_validation_parent.good()
    return check_parent(catalogue, parent_config(), bricks=bricks, has_given_splits=False)


def of_manifest(patch: pytest.MonkeyPatch) -> list[Finding]:
    patch.setattr(manifest, "ROW_LAWS", (replace(manifest.ROW_LAWS[0], count=broken_off), *manifest.ROW_LAWS[1:]))
    patch.setattr(manifest, "DESIGN_LAWS", (*manifest.DESIGN_LAWS[:-1], replace(manifest.DESIGN_LAWS[-1], function=broken_off)))
    given = test_validation_manifest
    return check_manifest([given.small().tasks], given.tiny_config(), given.evidence())


def of_campaign(patch: pytest.MonkeyPatch) -> list[Finding]:
    return test_validation_campaign.check(cells=pa.table({"axes": [""]}))


@cache
def few_rows() -> tuple[pa.Table, pa.Table]:
    return tables([{"region_id": 1} for _ in range(12)])


def of_injection(patch: pytest.MonkeyPatch) -> list[Finding]:
    patch.setitem(injection_counts.ROW_LAWS, "psf_in_range", (broken_off, "Its law."))
    return check_results(injection_counts.count_injections([few_rows()]))


def of_summary(patch: pytest.MonkeyPatch) -> list[Finding]:
    def intervals_contain_p(_: Any) -> Finding:
        broken_off()

    patch.setattr(summary, "_CHECKS", (intervals_contain_p, *(law for law in summary._CHECKS if law is not summary._intervals_contain_p)))
    config = summary_config()
    return check_summary(summarised(*few_rows(), config), [few_rows()], config, facts=facts_of(*few_rows(), config) | {"models": [{}]})


CASES: dict[str, tuple[Callable[[pytest.MonkeyPatch], list[Finding]], set[str]]] = {
    "parent": (of_parent, {"places", "cells"}),
    "manifest": (of_manifest, {"controls_zero", "hosts"}),
    "injection": (of_injection, {"psf_in_range"}),
    "summary": (of_summary, {"intervals_contain_p", "models_listed", "smooth_model_agrees_with_bins", "held_out_injections_confirm_model"}),
    "campaign": (of_campaign, {"summarised_is_planned"}),
}


@pytest.mark.parametrize("stage", CASES)
def test_in_every_stage_a_law_that_raises_fails_alone(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    findings, broken = CASES[stage][0](monkeypatch), CASES[stage][1]
    could_not = {found.check for found in findings if isinstance(found, CouldNotRun)}
    assert could_not == broken
    assert all(found.severity == "error" and not found.is_ok for found in findings if found.check in could_not)
    assert len(findings) > len(broken) + 3


def test_evidence_that_cannot_be_read_is_one_failed_finding_and_the_rest_is_checked() -> None:
    def blocks() -> Iterator[int]:
        yield 1
        raise OSError("block=00002/tasks.parquet: half a file")

    evidence = Evidence("manifest")
    evidence.expect_objects("manifest", {"a": {"n_bytes": 3}, "b": {"n_bytes": 3}, "c": {"n_bytes": 3}}, {"a": 3, "b": 2})
    evidence.check(lambda: run_checks("manifest", (SOUND,), sum(blocks())))
    evidence.check(lambda: run_checks("manifest", (SOUND,), 1))
    assert evidence.look(broken_off) is None
    first, *others = evidence.all_findings()
    assert (first.check, first.is_ok, first.severity) == ("evidence", False, "error")
    for text in ("b has 2 bytes, 3 were stored", "c is missing", "could not run: OSError: block=00002/tasks.parquet: half a file"):
        assert text in first.observed
    assert isinstance(first, CouldNotRun)
    assert [type(error) for error in first.errors] == [OSError, ZeroDivisionError]
    assert [found.check for found in others] == ["sound"]


def test_whole_evidence_passes_and_says_what_there_is() -> None:
    evidence = Evidence("parent")
    evidence.expect_objects("parent", {"a": {"n_bytes": 3}}, {"a": 3})
    (found,) = evidence.all_findings()
    assert type(found) is Finding
    assert (found.is_ok, found.observed) == (True, "1 objects of parent")
