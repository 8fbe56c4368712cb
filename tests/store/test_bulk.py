"""Laws of bulk rows: what goes in comes out, twice is once, and a failure in between leaves the old rows."""

import multiprocessing

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.records import BRICKS, PARENT_CUTS, PARENTS, PLANES, Finding
from halo_core.store import bulk, models
from halo_core.store.manifest import PlannedRow, store_plan
from halo_core.store.parent import parent_rows
from halo_core.store.sessions import begin, read
from halo_core.store.validation import store_findings
from tests.fixtures.databases import rows_of
from tests.store.tiny_campaign import cell_rows, manifest_rows, result_rows

FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
TEXTS = ["", "NULL", "\\N", "\\.", 'a "quoted", text', "line\nbreak\ttab", "θ_E = 1″ — 銀河", None]
FLOATS = [0.0, -0.0, 1.0 / 3.0, 5e-324, 1.7976931348623157e308, float("inf"), -float("inf"), None]
TABLES = {
    models.Brick: rows_of(BRICKS, 3),
    models.CoaddPlane: rows_of(PLANES, 2, status=["ok", "missing"], reason=[None, "404"], n_bytes=[9, None]),
    models.Parent: parent_rows(
        rows_of(PARENTS, 8, type=TEXTS, w1mag=FLOATS, is_desi_lrg=[True, False, None, None, True, True, False, False]), 7
    ),
    models.ParentCut: rows_of(PARENT_CUTS, 2, position=[0, 1]),
    models.InjectionTask: manifest_rows(),
    models.InjectionResult: result_rows(),
    models.CompletenessCell: cell_rows(),
}


def _stored(url: str, model, digest: str = "d") -> pa.Table:
    with read(url) as connection:
        return bulk.fetch_rows(connection, model, stage_digest=digest)


def _replace(url: str, model, rows: pa.Table, digest: str = "d", block: int | None = None) -> int:
    with begin(url) as connection:
        return bulk.replace_rows(connection, model, rows, stage_digest=digest, block=block)


@pytest.mark.parametrize("model", TABLES, ids=lambda model: model.__tablename__)
def test_every_table_returns_what_it_was_given(migrated_url, model):
    rows = TABLES[model]
    assert _replace(migrated_url, model, rows) == len(rows)
    assert _stored(migrated_url, model).equals(rows.replace_schema_metadata(None))


def test_order_of_columns_and_narrower_types_do_not_matter(migrated_url):
    rows = rows_of(BRICKS, 3)
    shuffled = rows.select(rows.column_names[::-1])
    narrow = shuffled.set_column(shuffled.schema.get_field_index("brickid"), "brickid", rows["brickid"].cast(pa.int32()))
    _replace(migrated_url, models.Brick, narrow)
    assert _stored(migrated_url, models.Brick).equals(rows)


def test_nan_becomes_null_where_null_may_stand(migrated_url):
    _replace(migrated_url, models.Brick, rows_of(BRICKS, 2, ebv=[float("nan"), 0.0]))
    assert _stored(migrated_url, models.Brick)["ebv"].to_pylist() == [None, 0.0]


@pytest.mark.parametrize("value", [float("nan"), None])
def test_nan_and_null_are_refused_where_a_value_must_stand(migrated_url, value):
    rows = rows_of(BRICKS, 2, ra=[1.0, value])
    with pytest.raises(StoreError, match="bricks: column ra holds 1 NULL or NaN of 2 rows"):
        _replace(migrated_url, models.Brick, rows)


def test_twice_is_once_and_other_digests_stay(migrated_url):
    rows = manifest_rows()
    for digest in ("d", "other", "d"):
        _replace(migrated_url, models.InjectionTask, rows, digest)
    assert _stored(migrated_url, models.InjectionTask).num_rows == 6
    _replace(migrated_url, models.InjectionTask, rows.slice(0, 2))
    assert _stored(migrated_url, models.InjectionTask)["task_id"].to_pylist() == ["t0", "t1"]
    assert _stored(migrated_url, models.InjectionTask, "other").num_rows == 6


def test_replacing_a_block_leaves_the_other_blocks(migrated_url):
    rows = result_rows()
    _replace(migrated_url, models.InjectionResult, rows)
    _replace(migrated_url, models.InjectionResult, rows.slice(4, 1), block=1)
    assert _stored(migrated_url, models.InjectionResult)["task_id"].to_pylist() == ["t0", "t1", "t2", "t3", "t4"]
    with read(migrated_url) as connection:
        part = bulk.fetch_rows(connection, models.InjectionResult, stage_digest="d", block=1)
    assert part["task_id"].to_pylist() == ["t4"]


def test_no_rows_are_rows_too(migrated_url):
    _replace(migrated_url, models.InjectionResult, result_rows())
    assert _replace(migrated_url, models.InjectionResult, result_rows().slice(0, 0)) == 0
    assert _stored(migrated_url, models.InjectionResult).num_rows == 0


def test_chunks_join_without_a_seam(migrated_url, monkeypatch):
    monkeypatch.setattr(bulk, "COPY_CHUNK_ROWS", 7)
    monkeypatch.setattr(bulk, "SQLITE_CHUNK_ROWS", 7)
    rows = rows_of(BRICKS, 50, brickname=[f"{number:04d}" for number in range(50)], ra=list(np.random.default_rng(1).random(50)))
    _replace(migrated_url, models.Brick, rows)
    assert _stored(migrated_url, models.Brick).equals(rows)


def test_a_kill_between_delete_and_insert_leaves_the_old_rows(migrated_url, monkeypatch):
    _replace(migrated_url, models.InjectionResult, result_rows())

    def _killed(*_args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(bulk, "_insert", _killed)
    with pytest.raises(KeyboardInterrupt):
        _replace(migrated_url, models.InjectionResult, result_rows().slice(0, 1))
    assert _stored(migrated_url, models.InjectionResult).num_rows == 6


@pytest.mark.parametrize(
    ("column", "value"), [("task_id", "t0"), ("flags", -1), ("magnification", -2.0), ("metrics_ok", True)], ids=["key", "flags", "mu", "ok"]
)
def test_a_row_the_database_refuses_leaves_the_old_rows(migrated_url, column, value):
    rows = result_rows()
    _replace(migrated_url, models.InjectionResult, rows)
    position = rows.schema.get_field_index(column)
    values = [*rows[column].to_pylist()[:5], value]
    broken = rows.set_column(position, rows.schema.field(column), pa.array(values, type=rows.schema.field(column).type))
    with pytest.raises(StoreError, match="refused"):
        _replace(migrated_url, models.InjectionResult, broken)
    assert _stored(migrated_url, models.InjectionResult).equals(rows.replace_schema_metadata(None))


def test_columns_that_are_not_the_tables_are_refused(migrated_url):
    rows = result_rows()
    with pytest.raises(StoreError, match=r"missing \['flags'\], unknown \['bits'\]"):
        _replace(migrated_url, models.InjectionResult, rows.rename_columns({"flags": "bits"}))


def test_a_type_that_does_not_convert_is_refused(migrated_url):
    rows = rows_of(BRICKS, 1).drop_columns(["brickid"]).append_column("brickid", pa.array(["seven"]))
    with pytest.raises(StoreError, match="column brickid is string"):
        _replace(migrated_url, models.Brick, rows)


def test_rows_of_another_block_are_refused(migrated_url):
    with pytest.raises(StoreError, match=r"replace block 1, but rows are of blocks \[0\]"):
        _replace(migrated_url, models.InjectionResult, result_rows(), block=1)


def test_a_table_without_blocks_has_no_block_to_replace(migrated_url):
    with pytest.raises(ValueError, match="bricks has no blocks"):
        _replace(migrated_url, models.Brick, rows_of(BRICKS, 1), block=0)


def _replace_often(url: str) -> None:
    for _ in range(8):
        _replace(url, models.InjectionResult, result_rows().slice(4, 2), block=1)


def _store_plan_often(url: str) -> None:
    for _ in range(8):
        with begin(url) as connection:
            store_plan(connection, [PlannedRow("grid", "train", size, 4, 0) for size in (64, 96)], stage_digest="d")


def _store_findings_often(url: str) -> None:
    for _ in range(8):
        with begin(url) as connection:
            store_findings(connection, "d", [Finding("parent", "x", True, "error", "1", "1", "One is one.")])


@pytest.mark.parametrize(
    ("work", "model", "n_rows"),
    [
        (_replace_often, models.InjectionResult, 2),
        (_store_plan_often, models.PlannedCount, 2),
        (_store_findings_often, models.ValidationFinding, 1),
    ],
    ids=["a_block", "a_plan", "findings"],
)
def test_two_workers_that_load_the_same_at_once_both_succeed(migrated_url, work, model, n_rows):
    workers = [FORK.Process(target=work, args=(migrated_url,)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=300)
    assert [worker.exitcode for worker in workers] == [0, 0]
    with read(migrated_url) as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(model)).scalar_one() == n_rows
