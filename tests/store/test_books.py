"""Laws of the books on a hand-made campaign: views and questions give the counts that are known by construction."""

import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy as sa

from halo_core.records import MANIFEST, RESULTS
from halo_core.store import cache, campaigns, injection, manifest, parent, stages, summary, survey
from halo_core.store.sessions import begin, parse_url, read
from tests.store import tiny_campaign
from tests.store.tiny_campaign import RUN, SNR, TASKS

ACCOUNTING = Path(__file__).resolve().parents[3] / "shared" / "checks" / "accounting.py"


@pytest.fixture(scope="module")
def finished_url(shared_url):
    with begin(shared_url) as connection:
        tiny_campaign.finish(connection)
    return shared_url


def _view(url: str, query: str) -> list[tuple]:
    with read(url) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_a_complete_campaign_balances(finished_url):
    with read(finished_url) as connection:
        assert injection.accounting(connection, TASKS, RUN) == [
            ("debug", "test", 64, 1, 0, 1, 1, 0),
            ("debug", "test", 96, 1, 0, 1, 0, 1),
            ("debug", "train", 64, 2, 1, 2, 2, 0),
            ("debug", "train", 96, 2, 1, 2, 2, 0),
        ]
        assert injection.results_without_task(connection, TASKS, RUN) == 0
        assert injection.results_without_task(connection, "other", RUN) == 6


def test_the_accounting_view_holds_plan_tasks_results_and_cells_side_by_side(finished_url):
    with read(finished_url) as connection:
        books = [tuple(row.values()) for row in injection.books(connection, "field")]
    assert [row[:8] for row in books] == [
        ("debug", "test", 64, 1, 1, 1, 1, 0),
        ("debug", "test", 96, 1, 1, 1, 0, 1),
        ("debug", "train", 64, 2, 2, 2, 2, 0),
        ("debug", "train", 96, 2, 2, 2, 2, 0),
    ]
    assert [row[8:] for row in books] == [(1, 1, None)] * 4, "the tiny campaign's cells are of no split: not summarised, which is not 0"


def test_the_accounting_view_shows_what_was_planned_and_not_built(migrated_url):
    with begin(migrated_url) as connection:
        tiny_campaign.plan(connection, {})
        manifest.store_plan(connection, [manifest.PlannedRow("grid", "val", 64, 5, 2)], stage_digest=TASKS)
    with read(migrated_url) as connection:
        (book,) = injection.books(connection, "field")
    assert (book["n_planned"], book["n_built"], book["n_processed"], book["n_summarised_injections"]) == (7, None, None, None)


def test_a_task_without_a_result_is_planned_and_neither_evaluated_nor_lost(migrated_url):
    with begin(migrated_url) as connection:
        tiny_campaign.plan(connection, {})
        tiny_campaign.load_block(connection, 0)
    with read(migrated_url) as connection:
        books = injection.accounting(connection, TASKS, RUN)
        assert injection.losses(connection, TASKS, RUN) == []
    assert [row[3:] for row in books] == [(1, 0, 0, 0, 0), (1, 0, 0, 0, 0), (2, 1, 2, 2, 0), (2, 1, 2, 2, 0)]
    assert _view(migrated_url, "SELECT count(*), count(metrics_ok), count(injection_digest) FROM v_task_full") == [(6, 4, 6)]


def test_losses_count_loss_bits_and_no_notes(finished_url):
    with read(finished_url) as connection:
        found = injection.losses(connection, TASKS, RUN)
    assert found == [("debug", "test", 96, "IMAGE_MISSING_R", 1), ("debug", "test", 96, "OFF_IMAGE", 1)]
    view = "SELECT campaign, tier, region_split, stamp_size, flag_name, n_tasks FROM v_losses ORDER BY flag_name"
    assert _view(finished_url, view) == [("field", *row) for row in found]


def test_not_measured_stays_null_and_is_never_zero(finished_url):
    query = "SELECT arc_snr, snr_peak_pixel_r FROM v_task_full ORDER BY task_id"
    assert _view(finished_url, query) == [(value, value) for value in SNR]
    assert _view(finished_url, "SELECT count(*), avg(arc_snr), min(arc_snr) FROM v_task_full WHERE arc_snr IS NOT NULL") == [(3, 29 / 3, 7)]
    assert _view(finished_url, "SELECT completeness FROM v_completeness ORDER BY cell") == [(0.5,), (None,)]


def test_whole_tasks_hold_every_column_of_task_and_result(finished_url):
    with read(finished_url) as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("v_task_full")}
    expected = {*MANIFEST.names, *RESULTS.names, "campaign", "campaign_id", "manifest_digest", "injection_digest", "arc_snr"}
    assert columns == expected


def test_views_show_the_latest_run_and_only_that(migrated_url):
    with begin(migrated_url) as connection:
        tiny_campaign.finish(connection)
        run = campaigns.register_campaign(connection, "field", {"seed": 14})
        stages.record_stage(connection, "e2", "injection", 1, {}, "0.1.0")
        for word, digest in (("manifest", TASKS), ("injection", "e2")):
            campaigns.link_stage(connection, run, word, digest)
        rows = tiny_campaign.result_rows([20.0, 21.0, None, None, 22.0, None])
        injection.store_results(connection, rows, stage_digest="e2")
    query = "SELECT DISTINCT campaign_id, manifest_digest, injection_digest FROM v_task_full"
    assert _view(migrated_url, query) == [(run, TASKS, "e2")]
    assert _view(migrated_url, "SELECT arc_snr FROM v_task_full ORDER BY task_id")[:2] == [(20.0,), (21.0,)]
    assert _view(migrated_url, "SELECT count(*) FROM v_completeness") == [(0,)]
    assert _view(migrated_url, "SELECT count(*) FROM injection_results") == [(12,)]


def test_a_digest_shared_by_two_campaigns_shows_under_both_names(migrated_url):
    with begin(migrated_url) as connection:
        tiny_campaign.finish(connection)
        other = campaigns.register_campaign(connection, "copy", {})
        campaigns.link_stage(connection, other, "manifest", TASKS)
    query = "SELECT campaign, count(*), count(metrics_ok) FROM v_task_full GROUP BY campaign ORDER BY campaign"
    assert _view(migrated_url, query) == [("copy", 6, 0), ("field", 6, 6)]


def test_progress_follows_the_blocks(migrated_url):
    with begin(migrated_url) as connection:
        tiny_campaign.plan(connection, {})
        tiny_campaign.load_block(connection, 1)
    with read(migrated_url) as connection:
        rows = campaigns.progress(connection, "field")
    assert [row.stage for row in rows] == ["survey", "parent", "manifest", "injection"]
    assert rows[2] == ("manifest", TASKS, "done", 0, 0, 0, None, None)
    assert rows[3] == ("injection", RUN, "planned", 2, 1, 0, 6, 2)


def test_planes_are_counted_by_status(finished_url):
    with read(finished_url) as connection:
        assert cache.planes_by_status(connection, stage_digest=tiny_campaign.CACHE) == [("missing", "404", 1, None), ("ok", None, 1, 9)]


def test_stages_read_back_their_rows(finished_url):
    with read(finished_url) as connection:
        assert survey.bricks(connection, stage_digest=tiny_campaign.SURVEY)["brickname"].to_pylist() == ["0001p000"]
        assert parent.parents(connection, stage_digest=tiny_campaign.PARENT).num_rows == 3
        assert cache.planes(connection, stage_digest=tiny_campaign.CACHE).num_rows == 2
        assert manifest.tasks(connection, stage_digest=TASKS, block=1)["task_id"].to_pylist() == ["t4", "t5"]
        assert injection.results(connection, stage_digest=RUN).equals(tiny_campaign.result_rows().replace_schema_metadata(None))
        assert summary.headline(connection, stage_digest=tiny_campaign.CELL_TABLE)["completeness"].to_pylist() == [0.5]
        assert summary.cells(connection, stage_digest=tiny_campaign.CELL_TABLE, axes="region_split")["cell"].to_pylist() == [1]


def test_a_task_is_found_by_the_start_of_its_id(finished_url):
    with read(finished_url) as connection:
        found = injection.task_by_prefix(connection, "t4")
        assert injection.task_by_prefix(connection, "t_") == []
    assert [(row["task_id"], row["task_seed"], row["arc_snr"]) for row in found] == [("t4", 2**63 - 1, 7.0)]


@pytest.mark.skipif(not ACCOUNTING.exists(), reason="the independent bookkeeper is not beside this checkout")
@pytest.mark.parametrize(("n_blocks", "code"), [(2, 0), (1, 1)], ids=["balanced", "a block is missing"])
def test_an_independent_bookkeeper_agrees(migrated_url, n_blocks, code):
    with begin(migrated_url) as connection:
        tiny_campaign.plan(connection, {})
        for number in range(n_blocks):
            tiny_campaign.load_block(connection, number)
    url = parse_url(migrated_url).render_as_string()
    done = subprocess.run([sys.executable, str(ACCOUNTING), url], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
