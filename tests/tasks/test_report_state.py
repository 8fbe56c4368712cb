"""Laws of the report's record: each query answers with the shown rows, on either database; the command makes the same campaign."""

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import luigi
import pytest
import sqlalchemy as sa
from luigi.cmdline_parser import CmdlineParser

from halo_core.report import queries, tables
from halo_core.report.data import ReportData
from halo_core.report.figures import campaign_figures
from halo_core.stages.summary import read_first
from halo_core.store.sessions import read
from luigi_tasks import rebuild
from luigi_tasks.report_data import collect_report, labels_of_run
from luigi_tasks.report_record import campaign_command
from luigi_tasks.report_run import run_of
from tests.fixtures.campaigns import Place
from tests.fixtures.databases import BACKENDS, new_database, url_text


@pytest.fixture(scope="module", params=BACKENDS)
def told(request: pytest.FixtureRequest, done_place: Place) -> Iterator[tuple[sa.Connection, ReportData]]:
    """A state, and what the report shows of it: the one of the run on SQLite, one made again from its objects on Postgres."""
    if request.param == "sqlite":
        yield from _told(done_place.state_url, done_place)
        return
    server, template = (request.getfixturevalue(name) for name in ("postgres_server", "postgres_template"))
    with new_database(server, template) as url:
        rebuild.rebuild(url_text(url), done_place.objects, say=lambda _line: None)
        yield from _told(url_text(url), done_place)


def _told(url: str, place: Place) -> Iterator[tuple[sa.Connection, ReportData]]:
    """Yield a connection and what the report shows."""
    with read(url) as connection:
        run = run_of(connection, "tiny", place.objects)
        yield connection, collect_report(connection, run, labels_of_run(run))


def ask(connection: sa.Connection, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, given as a person gives it."""
    cursor = connection.connection.cursor()
    cursor.execute(sql)
    return [tuple(row) for row in cursor.fetchall()]


def same(answer: Sequence[tuple[Any, ...]], shown: Sequence[tuple[Any, ...]]) -> bool:
    """Tell whether rows are the same in any order; SQLite tells truth by 0 and 1."""
    assert shown
    return Counter(answer) == Counter(shown)


def test_headline(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    names = ["tier", "grid", "stamp_size", "bandset", "criterion", "n_task", "n_evaluated", "n_not_evaluated", "n_recovered"]
    names += ["completeness", "lower_95", "upper_95", "completeness_weighted", "weighted_lower_95", "weighted_upper_95"]
    cells = read_first(data.cells, axes="").to_pylist()
    shown = [tuple(row[name] for name in (*names, "n_clusters", "deff", "n_eff", "is_too_few", "interval_note")) for row in cells]
    assert same(ask(connection, queries.query("headline", "tiny")), shown)


def test_figures(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    assert data.cells is not None
    n_asked = 0
    for figure in campaign_figures(data.cells, data.criterion_labels, facts=data.facts, hosts=data.hosts):
        sql = queries.figure_query("tiny", figure.table)
        if not sql:
            assert "completeness" not in figure.table.column_names
            continue
        table = figure.table.rename_columns({"stamp_size_pix": "stamp_size"})
        axes = [name for name in queries.AXES if name in table.column_names]
        head = ["tier", "grid", "stamp_size", "bandset", "criterion", *axes]
        answer = [(*row[:5], *row[6 : 6 + len(axes)], *_counts(row)) for row in ask(connection, sql)]
        shown = [tuple(row[name] for name in (*head, "n_evaluated", "n_not_evaluated", "n_recovered")) for row in table.to_pylist()]
        assert same(answer, shown), figure.name
        n_asked += 1
    assert n_asked >= 6


def _counts(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return evaluated, not evaluated and recovered of an answer: 14 columns close it."""
    return row[-14:-11]


def test_tables_of_counts_and_losses_and_cuts_and_checks_and_stages(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    assert same(ask(connection, queries.query("counts", "tiny")), [tuple(row.values()) for row in data.counts])
    losses = tables.losses_table(data.losses).rows
    assert same(ask(connection, queries.query("losses", "tiny")), losses)
    assert same(ask(connection, queries.query("cut_flow", "tiny")), [tuple(row.values()) for row in data.cut_flow])
    findings = [(one.is_ok, one.severity, one.stage, one.check, one.observed, one.expected, one.sentence) for one in data.findings]
    assert same(ask(connection, queries.query("findings", "tiny")), findings)
    assert same(ask(connection, queries.query("stages", "tiny")), [tuple(row.values()) for row in data.stages])


def test_planes_of_one_kind_of_reason_are_added_up(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    answer = ask(connection, queries.query("planes", "tiny"))
    sums = [(status, sum(row[2] for row in answer if row[0] == status)) for status in sorted({row[0] for row in answer})]
    shown = {str(row["status"]) for row in data.planes}
    assert sums == [(status, sum(row["planes"] for row in data.planes if row["status"] == status)) for status in sorted(shown)]  # type: ignore[misc]
    assert sum(row[3] or 0 for row in answer) == sum(row["bytes"] for row in data.planes)  # type: ignore[misc]


def test_cost_and_machines(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    assert {row[0] for row in ask(connection, queries.query("cost", "tiny"))} == {row["stage"] for row in data.cost.stages}
    names = ("stage", "host", "n_blocks", "n_attempts", "n_injections", "n_tasks")
    machines = [tuple(row[name] for name in names) for row in data.cost.machines]
    assert Counter(row[:6] for row in ask(connection, queries.query("machines", "tiny"))) == Counter(machines)


def test_a_state_that_was_rebuilt_does_not_know_the_cost_and_the_one_of_the_run_does(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    by_stage = {row["stage"]: row for row in data.cost.stages}
    is_rebuilt = connection.dialect.name == "postgresql"
    assert (by_stage["injection"]["wall_s"] is None) == is_rebuilt
    assert (by_stage["injection"]["attempts"] is None) == is_rebuilt
    assert ("The total is not known" in data.cost.sentences[0]) == is_rebuilt
    assert by_stage["injection"]["bytes"] > 0
    assert len(data.cost.machines) == (0 if is_rebuilt else 1)


def test_configuration_and_gallery(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    ((config,),) = ask(connection, queries.query("configuration", "tiny"))
    assert json.loads(config) == data.configuration
    headings = {gallery.heading: [stamps.task_id for stamps in gallery.stamps] for gallery in data.gallery}
    assert {"Recovered, near the threshold", "Missed, near the threshold", "Not evaluated", "Controls"} <= set(headings)
    for ids in headings.values():
        assert [row[0] for row in ask(connection, queries.tasks_query("tiny", ids))] == sorted(ids)


def test_stamps_that_are_called_recovered_or_missed_are_so_by_the_numbers_of_the_state(told: tuple[sa.Connection, ReportData]) -> None:
    connection, data = told
    for gallery in data.gallery:
        is_evaluated = gallery.heading != "Not evaluated"
        assert all((one.injected is not None) == is_evaluated == (not one.missing) for one in gallery.stamps)
        answer = {row[0]: row for row in ask(connection, queries.tasks_query("tiny", [one.task_id for one in gallery.stamps]))}
        for one in gallery.stamps:
            theta_e_arcsec, snr_peak_pixel_r, psf_fwhm_r_arcsec = (answer[one.task_id][column] for column in (5, 9, 11))
            if "recovered" in one.title or "missed" in one.title:
                assert ("recovered" in one.title) == (snr_peak_pixel_r >= 5.0 and theta_e_arcsec / psf_fwhm_r_arcsec >= 0.8)
            else:
                assert gallery.heading in ("Not evaluated", "Controls")


def test_a_campaign_of_any_name_is_asked_for_and_nothing_else(told: tuple[sa.Connection, ReportData]) -> None:
    name = "it's % \\'; DELETE FROM campaigns; --"
    for table in queries.query_names():
        assert ask(told[0], queries.query(table, name)) == []
    assert ask(told[0], queries.tasks_query(name, ["o'id"])) == []


def test_every_table_of_the_state_has_its_query_here(told: tuple[sa.Connection, ReportData]) -> None:
    asked = {"headline", "counts", "losses", "cut_flow", "findings", "stages", "planes", "cost", "machines", "configuration"}
    assert set(queries.query_names()) == asked


@pytest.mark.filterwarnings("ignore:The use of the configuration:DeprecationWarning")
def test_the_command_makes_the_same_campaign_whatever_the_configuration_says(done_place: Place, tmp_path: Path) -> None:
    with read(done_place.state_url) as connection:
        text = campaign_command(run_of(connection, "tiny", done_place.objects))
    words = shlex.split(text.replace("\\\n", " "))
    assert words[:3] == ["luigi", "--module", "luigi_tasks"]
    expected = {word: found.digest for word, found in done_place.task().identities.items()}
    other = Place(
        tmp_path, {"sampling_seed": "99", "stamp_sizes": "32", "snr_matched_min": "3", "campaign_name": "other", "tiers": "debug"}
    )
    other.activate()
    luigi.configuration.get_config().set("mock_survey", "seed", "6")
    with CmdlineParser.global_instance(words[3:]) as parser:
        task = parser.get_task_obj()
        assert {word: found.digest for word, found in task.identities.items()} == expected
        assert task.campaign_name == "tiny"
