"""Two campaigns row by row: a pair is one injection in one view, each is counted once, and nothing that one lacks is compared."""

import numpy as np
import pyarrow as pa
import pytest

from halo_core.errors import AccountingError
from halo_core.flags import Flag
from halo_core.stages.comparison import cell_differences, outcomes, pairable, paired_rows
from halo_core.stages.criteria import Criterion
from tests.fixtures.comparisons import STRICT, asked_of, outcomes_of, with_ids
from tests.fixtures.summaries import MATCHED, PROXY, control, lost, random_campaign, summarised, summary_config, tables

SCORE = Criterion("network", 1, (("score", 0.5),), is_truth_only=False, label="score ≥ 0.5")


def rows_of(peaks: dict[str, float | None], **more: object) -> list[dict[str, object]]:
    """Return an injection each, by its physical id: its peak pixel's S/N, None for one that was lost; spread over six sky cells."""
    rows = []
    for number, (name, peak) in enumerate(peaks.items()):
        place = {"physical_id": name, "ra": 30.0 + 5.0 * (number % 6), **more}
        rows.append(lost(Flag.BRICK_MISSING, **place) if peak is None else {**place, "snr_peak_pixel_r": peak})
    return rows


def test_a_table_that_is_known_is_found_and_everything_is_counted_once() -> None:
    common = {f"p{number:02d}": 8.0 for number in range(30)}
    a = common | {"p00": 1.0, "p01": 1.0, "p02": None, "p03": None, "only_a": 8.0}
    b = common | {"p00": 1.0, "p04": 1.0, "p05": 1.0, "p06": 1.0, "p03": None, "p07": None, "x": 8.0, "y": 1.0}
    first = outcomes_of(*tables([*rows_of(a), control(physical_id="c")]), summary_config())
    second = outcomes_of(*tables(list(reversed(rows_of(b)))), summary_config())
    found = {(row.criterion, row.subset): row for row in paired_rows(first, second)}
    row = found[PROXY.name, "all"]
    assert (row.key, row.n_matched, row.n_unmatched, row.n_evaluated_alone) == (("grid", 64, "grz"), 30, (1, 2), (1, 1))
    # p02 p03 p07 are no pairs; p00 missed in both, p01 in A alone, p04-p06 in B alone
    assert (row.difference.n_both, row.difference.n_only_a, row.difference.n_only_b, row.difference.n_neither) == (22, 3, 1, 1)
    assert row.difference.difference == pytest.approx(-2 / 27)
    assert row.difference.n_clusters == 6
    assert found[MATCHED.name, "all"].difference.difference == 0.0
    back = {(row.criterion, row.subset): row for row in paired_rows(second, first)}[PROXY.name, "all"]
    assert back.difference.difference == pytest.approx(2 / 27)
    assert back.n_unmatched == (2, 1)


def test_views_pair_with_views_and_clean_pairs_are_clean_in_both() -> None:
    views = [{**row, "stamp_size": size} for row in rows_of({f"p{i}": 8.0 for i in range(12)}) for size in (64, 96)]
    masked = [{**row, "bad_pixel_frac": 0.5} if row["physical_id"] == "p3" else row for row in views if row["stamp_size"] == 64]
    found = paired_rows(outcomes_of(*tables(views), summary_config()), outcomes_of(*tables(masked), summary_config()))
    assert {row.key for row in found} == {("grid", 64, "grz")}
    assert {(row.subset, row.difference.n_pairs) for row in found} == {("all", 12), ("clean", 11)}


def test_blocks_and_order_change_nothing_and_rows_that_do_not_pair_are_refused() -> None:
    tasks, results = random_campaign(40, seed=3)
    tasks, asked = with_ids(tasks), asked_of(summary_config())
    whole = outcomes([(tasks, results)], asked, cluster_nside=32)
    parts = [(tasks.slice(start, 20), results.slice(start, 20).take(pa.array(np.arange(19, -1, -1)))) for start in range(0, 160, 20)]
    again = outcomes(reversed(parts), asked, cluster_nside=32)
    for key, one in whole.items():
        for name in ("key", "sky_cell", "is_evaluated", "is_clean"):
            assert np.array_equal(getattr(one, name), getattr(again[key], name))
        assert all(np.array_equal(values, again[key].recovered[name]) for name, values in one.recovered.items())
    with pytest.raises(AccountingError, match="have no result"):
        outcomes([(tasks, results.slice(1))], asked, cluster_nside=32)


def test_pairs_agree_with_the_counts_of_the_cells() -> None:
    tasks, results = random_campaign(80, seed=4)
    tasks = with_ids(tasks)
    configs = (summary_config(), summary_config(criteria=(STRICT, MATCHED)))
    cells = [summarised(tasks, results, config) for config in configs]
    pairs = {(row.key, row.criterion, row.subset): row for row in paired_rows(*(outcomes_of(tasks, results, one) for one in configs))}
    pooled = cell_differences(cells[0], cells[1], "")
    assert len(pooled) == len(pairs) == 2 * 2 * 2 * 2
    for row in pooled:
        found = pairs[(row["tier"], row["stamp_size"], row["bandset"]), row["criterion"], row["subset"]].difference
        assert found.n_pairs == row["n_evaluated_a"] == row["n_evaluated_b"]
        assert (found.n_both + found.n_only_a) / found.n_pairs == pytest.approx(row["completeness_a"])
        assert found.difference == pytest.approx(row["difference"])
        assert row["lower"] <= row["difference"] <= row["upper"]
        assert row["criterion"] == PROXY.name or row["difference"] == 0.0
    # the same injections: the paired interval is the narrower
    proxy = [row for row in pooled if row["criterion"] == PROXY.name and row["subset"] == "all"]
    for row in proxy:
        found = pairs[(row["tier"], row["stamp_size"], row["bandset"]), PROXY.name, "all"].difference
        assert found.upper - found.lower < row["upper"] - row["lower"]


def test_cells_that_one_campaign_lacks_are_left_out_and_too_few_gives_no_difference() -> None:
    a = rows_of({f"p{i}": 8.0 for i in range(30)}) + rows_of({f"q{i}": 8.0 for i in range(30)}, theta_e_arcsec=0.5)
    b = rows_of({f"p{i}": 8.0 for i in range(5)}) + rows_of({f"q{i}": 1.0 for i in range(30)}, theta_e_arcsec=0.6)
    cells = [summarised(*tables(rows), summary_config()) for rows in (a, b)]
    found = cell_differences(cells[0], cells[1], "theta_e_arcsec")
    assert {(row["theta_e_arcsec"], row["difference"]) for row in found} == {(1.0, None)}
    assert {row["is_too_few_b"] for row in found} == {True}
    assert {row["bin_lower"] for row in cell_differences(cells[0], cells[1], "resolution_bin")} == {1.0}


def test_campaigns_whose_ids_differ_have_no_pairs_and_say_how_many_each_has() -> None:
    first, second = (outcomes_of(*tables(rows_of({f"{name}{i}": 8.0 for i in range(12)})), summary_config()) for name in "pq")
    for row in paired_rows(first, second):
        assert (row.n_matched, row.n_unmatched, row.difference.n_pairs) == (0, (12, 12), 0)
        assert np.isnan(row.difference.difference)


def test_a_criterion_on_scores_is_not_asked_of_results() -> None:
    assert pairable((PROXY, SCORE, MATCHED)) == (PROXY, MATCHED)
