"""Laws of the newest revision: the database it makes is the one the models describe, flag names and views included."""

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from halo_core.flags import NOTES, SENTENCES, Flag
from halo_core.records import CELLS
from halo_core.store import schema
from halo_core.store.models import VIEWS, Base
from halo_core.store.sessions import begin, read

TABLES = sorted(Base.metadata.tables)


def _differences(connection: sa.Connection) -> list:
    options = {"compare_type": True, "compare_server_default": False}
    return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)


def test_head_is_the_models(shared_url):
    with read(shared_url) as connection:
        assert _differences(connection) == []


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE parents ADD COLUMN extra BIGINT",
        "ALTER TABLE injection_results DROP COLUMN snr_aperture_g",
        "DROP INDEX ix_injection_tasks_stage_digest_block",
        "CREATE TABLE more (x BIGINT)",
    ],
)
def test_the_comparison_sees_what_differs(migrated_url, change):
    with begin(migrated_url) as connection:
        for view in ("v_accounting", "v_losses", "v_completeness", "v_task_full"):
            connection.execute(sa.text(f"DROP VIEW {view}"))
        connection.execute(sa.text(change))
        assert len(_differences(connection)) == 1


@pytest.mark.parametrize("name", TABLES)
def test_columns_stand_in_the_models_order_and_may_be_null_alike(shared_url, name):
    with read(shared_url) as connection:
        found = [(column["name"], column["nullable"]) for column in sa.inspect(connection).get_columns(name)]
    assert found == [(column.name, column.nullable) for column in Base.metadata.tables[name].columns]


def _constraints(url: str) -> dict[str, object]:
    """Return the text of every CHECK and the columns of every key, by name, as the database tells them."""
    found: dict[str, object] = {}
    with read(url) as connection:
        inspector = sa.inspect(connection)
        for name in TABLES:
            found |= {item["name"]: item["sqltext"] for item in inspector.get_check_constraints(name)}
            found |= {item["name"]: item["constrained_columns"] for item in inspector.get_foreign_keys(name)}
            found |= {item["name"]: item["column_names"] for item in inspector.get_unique_constraints(name)}
            found |= {item["name"]: item["column_names"] for item in inspector.get_indexes(name)}
            found[f"{name} key"] = inspector.get_pk_constraint(name)
    return found


def test_constraints_of_head_are_those_of_the_models(state_url):
    with begin(state_url) as connection:
        Base.metadata.create_all(connection)
    modelled = _constraints(state_url)
    with begin(state_url) as connection:
        Base.metadata.drop_all(connection)
    schema.upgrade(state_url)
    assert len(modelled) > 40
    assert _constraints(state_url) == modelled


def test_the_state_names_every_flag_bit_as_the_code_does(shared_url):
    with read(shared_url) as connection:
        found = [tuple(row) for row in connection.execute(sa.text("SELECT bit, name, kind, sentence FROM flag_names ORDER BY bit"))]
    assert found == [(flag.value, flag.name, "note" if flag & NOTES else "loss", SENTENCES[flag]) for flag in Flag]


def _comments_of_models() -> dict[tuple[str, str], str]:
    """Return what each table, view and column is, by its names."""
    found = {(table.name, ""): table.comment for table in Base.metadata.tables.values()}
    found |= {(table.name, column.name): column.comment for table in Base.metadata.tables.values() for column in table.columns}
    return found | {(name, ""): sentence for name, sentence in VIEWS.items()}


def test_every_table_view_and_column_has_its_comment_in_the_state(shared_url):
    with read(shared_url) as connection:
        rows = connection.execute(sa.text("SELECT relation, column_name, sentence FROM comments")).all()
    assert {(row.relation, row.column_name): row.sentence for row in rows} == _comments_of_models()
    assert all(_comments_of_models().values())


@pytest.mark.parametrize("shared_url", ["postgres"], indirect=True)
def test_postgres_says_the_same_beside_them(shared_url):
    with read(shared_url) as connection:
        rows = connection.execute(
            sa.text(
                "SELECT c.relname, COALESCE(a.attname, ''), d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid"
                " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND d.objsubid > 0"
                " WHERE d.classoid = 'pg_class'::regclass AND c.relnamespace = 'public'::regnamespace"
            )
        ).all()
    assert {(row[0], row[1]): row[2] for row in rows} == _comments_of_models()


def test_completeness_view_holds_every_column_of_the_cells(shared_url):
    with read(shared_url) as connection:
        columns = [column["name"] for column in sa.inspect(connection).get_columns("v_completeness")]
    assert columns == ["campaign", "campaign_id", "summary_digest", *CELLS.names]


def test_views_are_those_of_the_design(shared_url):
    with read(shared_url) as connection:
        found = sa.inspect(connection).get_view_names()
    assert sorted(found) == sorted(VIEWS)
