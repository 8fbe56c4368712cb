"""Law of equal citizens: the same campaign leaves the same rows in SQLite and in Postgres."""

import sqlalchemy as sa
from luigi.execution_summary import LuigiStatusCode

from halo_core.store.sessions import read
from tests.fixtures.campaigns import Place

QUERIES = (
    "SELECT * FROM v_accounting WHERE campaign = 'tiny' ORDER BY tier, region_split, stamp_size",
    "SELECT task_id, flags, metrics_ok, magnification, snr_matched_r, arc_snr, task_seed FROM v_task_full ORDER BY task_id",
    "SELECT tier, stamp_size, flag_name, n_tasks FROM v_losses ORDER BY tier, region_split, stamp_size, flag_name",
    "SELECT cell, axes, n_task, n_recovered, completeness, lower_95, losses FROM v_completeness ORDER BY cell",
    "SELECT stage, check_name, is_ok, observed FROM validation_findings ORDER BY stage, check_name",
    "SELECT brickname, plane, status, reason, sha256 FROM coadd_planes ORDER BY brickname, plane",
)


def _rows(url: str, query: str) -> list[tuple[object, ...]]:
    with read(url) as connection:
        return [tuple(row) for row in connection.execute(sa.text(query))]


def test_the_chain_leaves_the_same_rows_in_either_database(place: Place, done_place: Place, migrated_url: str) -> None:
    assert place.run(state_url=migrated_url) == LuigiStatusCode.SUCCESS
    for query in QUERIES:
        expected = _rows(done_place.state_url, query)
        assert expected
        assert _rows(migrated_url, query) == expected
    assert place.task(state_url=migrated_url).complete()
