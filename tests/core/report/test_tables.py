"""Tables of the report: nothing unknown is shown as a number."""

import pytest

from halo_core.flags import SENTENCES, Flag
from halo_core.records import Finding
from halo_core.report.data import PlainTable
from halo_core.report.tables import (
    COMPLETENESS,
    WEIGHTED,
    controls_table,
    counts_table,
    expected_table,
    findings_table,
    from_rows,
    headline_table,
    interval,
    losses_table,
    measured,
    share,
)
from halo_core.report.template import cell_text, is_numeric, number_columns
from halo_core.stages.summary import read_first
from tests.fixtures.reports import failed
from tests.fixtures.summaries import lost, random_campaign, summarised, summary_config, tables


def test_counts_that_differ_or_are_missing_are_marked():
    names = ("n_planned", "n_built", "n_processed", "n_planned_injections", "n_built_injections", "n_summarised_injections")
    row = {"tier": "grid", "region_split": "val", "stamp_size": 64, **dict.fromkeys(names, 9), "n_evaluated": 7, "n_not_evaluated": 2}
    table = counts_table([row, {**row, "n_processed": 8}, {**row, "n_summarised_injections": None}])
    assert table.bad_rows == {1, 2}
    assert [shown[-1] for shown in table.rows] == ["yes", "no", "no"]


def test_headline_shows_too_few_and_null_as_words_and_not_as_numbers():
    few = headline_table(summarised(*tables([{}] * 9), summary_config()))
    shown = dict(zip(few.headings, few.rows[0], strict=True))
    assert (shown["evaluated"], shown[COMPLETENESS], shown[WEIGHTED]) == (9, "too few", "too few")
    nothing = headline_table(summarised(*tables([lost(Flag.BRICK_MISSING)] * 20), summary_config(min_n=1)))
    shown = dict(zip(nothing.headings, nothing.rows[0], strict=True))
    assert (shown["evaluated"], shown["not evaluated"], shown[COMPLETENESS]) == (0, 20, "too few")


def test_headline_holds_weighted_beside_unweighted_and_what_the_interval_counts_as_independent():
    cells = summarised(*random_campaign(240, seed=5), summary_config())
    table, rows = headline_table(cells), read_first(cells, axes="").to_pylist()
    for shown, row in zip(table.rows, rows, strict=True):
        found = dict(zip(table.headings, shown, strict=True))
        assert found[COMPLETENESS].split(" ")[0] == ("too" if row["is_too_few"] else f"{row['completeness']:.3f}")
        assert found[WEIGHTED].split(" ")[0] == ("too" if row["is_too_few"] else f"{row['completeness_weighted']:.3f}")
        assert (found["sky cells"], found["deff"]) == (row["n_clusters"], None if row["deff"] is None else f"{row['deff']:.2f}")
        assert found["planned"] == found["evaluated"] + found["not evaluated"] == row["n_task"]


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
    table = controls_table([{**row, "n_called": None, "called_frac": None, "note": "not applicable: truth"}])
    assert table.rows[0][-2:] == ("not applicable", "not applicable")
    table = controls_table([{**row, "n_called": 0, "called_frac": 0.0, "note": ""}])
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
    ("value", "expected"),
    [
        *((3, True), ("0.303", True), ("0.1 – 0.2", True), ("0.219 (0.154 – 0.303)", True)),
        *(("too few", False), (None, False), (True, False)),
    ],
)
def test_numbers_are_told_from_words(value, expected):
    assert is_numeric(value) is expected


def test_share_and_interval_are_none_where_they_are_not_known():
    assert (share(None), share(0.25)) == (None, "0.250")
    assert interval(None, 0.9) is None
    assert interval(0.1, 0.9) == "0.100 – 0.900"
    row = {"completeness": 0.5, "lower_95": None, "upper_95": None, "completeness_weighted": None, "is_too_few": False}
    assert measured({**row, "weighted_lower_95": None, "weighted_upper_95": None}) == ("0.500", None)


def test_a_column_is_of_numbers_where_nothing_but_a_word_for_no_number_stands_beside_them():
    rows = ((1, "0.250 (0.100 – 0.400)", "3 of 4", None), (None, "too few", "7", ""))
    assert number_columns(PlainTable("", ("n", "share", "words", "nothing"), rows)) == {0, 1}


def test_a_quantity_off_what_the_reference_design_expects_is_marked():
    row = {
        "tier": "grid",
        "grid": "grid_small",
        "quantity": "magnification_median",
        "observed": 5.0,
        "expected": 3.7,
        "tolerance": 0.15,
        "n": 9,
    }
    table = expected_table([{**row, "is_ok": False}, {**row, "is_ok": None}, {**row, "is_ok": True}])
    assert table.bad_rows == {0}
    assert [shown[-1] for shown in table.rows] == ["no", "too few to say", "yes"]
