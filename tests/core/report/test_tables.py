"""Tables of the report: nothing unknown is shown as a number."""

import pytest

from halo_core.flags import SENTENCES, Flag
from halo_core.records import Finding
from halo_core.report.page import cell_text, is_numeric
from halo_core.report.tables import controls_table, counts_table, findings_table, from_rows, headline_table, interval, losses_table, share
from tests.fixtures.reports import failed
from tests.fixtures.summaries import lost, summarised, summary_config, tables


def test_counts_that_differ_or_are_missing_are_marked():
    row = {"tier": "grid", "region_split": "val", "stamp_size": 64, "planned": 9, "built": 9, "processed": 9, "summarised": 9}
    table = counts_table([row, {**row, "processed": 8}, {**row, "summarised": None}])
    assert table.bad_rows == {1, 2}
    assert [shown[-1] for shown in table.rows] == ["yes", "no", "no"]


def test_headline_shows_too_few_and_null_as_words_and_not_as_numbers():
    few = summarised(*tables([{}] * 9), summary_config())
    shown = dict(zip(headline_table(few, {}).headings, headline_table(few, {}).rows[0], strict=True))
    assert (shown["evaluated"], shown["completeness"], shown["95 % interval"]) == (9, "too few", None)
    nothing = summarised(*tables([lost(Flag.BRICK_MISSING)] * 20), summary_config(min_n=1))
    shown = dict(zip(headline_table(nothing, {}).headings, headline_table(nothing, {}).rows[0], strict=True))
    assert (shown["evaluated"], shown["not evaluated"], shown["completeness"]) == (0, 20, "too few")


def test_headline_names_criteria_by_their_labels():
    cells = summarised(*tables([{}] * 12), summary_config())
    assert [row[2] for row in headline_table(cells, {"snr_matched": "matched"}).rows] == ["proxy_reference", "matched"]


def test_controls_are_not_applicable_and_never_zero_for_truth():
    row = {
        "tier": "grid",
        "region_split": "train",
        "stamp_size": 64,
        "criterion": "proxy_reference",
        "n_controls": 5,
        "n_evaluated": 4,
        "n_not_evaluated": 1,
    }
    table = controls_table([{**row, "n_called": None, "called_frac": None, "note": "not applicable: truth"}], {})
    assert table.rows[0][-2:] == ("not applicable", "not applicable")
    table = controls_table([{**row, "n_called": 0, "called_frac": 0.0, "note": ""}], {})
    assert table.rows[0][-2:] == (0, "0.000")


def test_losses_carry_the_sentence_of_their_flag_and_an_unknown_flag_is_an_error():
    row = {"tier": "grid", "region_split": "train", "stamp_size": 64, "flag": "OFF_IMAGE", "n_tasks": 3}
    assert losses_table([row]).rows[0][-1] == SENTENCES[Flag.OFF_IMAGE]
    with pytest.raises(KeyError):
        losses_table([{**row, "flag": "LOST_SOMEHOW"}])


def test_failed_findings_come_first_and_are_marked():
    passed = Finding("parent", "unique", True, "error", "0", "0", "Hosts are unique.")
    warning = Finding("parent", "overlap", False, "warning", "3", "0", "Given splits overlap.")
    table = findings_table([passed, warning, failed("Counts differ.")])
    assert [row[0] for row in table.rows] == ["FAILED", "warning", "passed"]
    assert table.bad_rows == {0, 1}


def test_any_rows_become_a_table_with_every_column():
    table = from_rows("supply", [{"tier": "grid", "short_by": 3}, {"tier": "train", "split": "val"}])
    assert table.headings == ("tier", "short by", "split")
    assert table.rows == (("grid", 3, None), ("train", None, "val"))
    assert from_rows("nothing", []).rows == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (True, "yes"), (False, "no"), (1297440, "1\u202f297\u202f440"), (0.1 + 0.2, "0.3"), ("a<b", "a<b"), (0, "0")],
)
def test_entries_are_readable(value, text):
    assert cell_text(value) == text


@pytest.mark.parametrize(
    ("value", "expected"), [(3, True), ("0.303", True), ("0.1 – 0.2", True), ("too few", False), (None, False), (True, False)]
)
def test_numbers_are_told_from_words(value, expected):
    assert is_numeric(value) is expected


def test_share_and_interval_hide_what_is_too_few_or_unknown():
    assert (share(0.5, is_too_few=True), share(None, is_too_few=False), share(0.25, is_too_few=False)) == ("too few", None, "0.250")
    assert interval(0.1, 0.9, is_too_few=True) is None
    assert interval(None, 0.9, is_too_few=False) is None
    assert interval(0.1, 0.9, is_too_few=False) == "0.100 – 0.900"
