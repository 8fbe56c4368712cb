"""Law of statements: SQL is a constant text and values are its parameters; only the bulk loader writes names into it, quoted."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from halo_core.records import BRICKS
from halo_core.store import bulk, campaigns, injection, models, removal, stages
from halo_core.store.sessions import begin, read
from tests.fixtures.databases import rows_of

ROOT = Path(__file__).resolve().parents[2]
QUOTES_NAMES = "halo_core/store/bulk.py"
ASKING = {"text", "exec_driver_sql", "execute", "executemany", "executescript", "copy_expert", "scalar", "scalars"}
HOSTILE = "x'; DROP TABLE campaigns; --"


def composed(tree: ast.Module) -> Iterator[int]:
    """Yield the line of each call that asks a database with a text that is put together."""
    for node in ast.walk(tree):
        if not (isinstance(node, ast.Call) and node.args):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name == "text" and len(node.args) > 1:
            continue  # A figure's text, which has a place.
        text = node.args[0]
        made_by = text.func.attr if isinstance(text, ast.Call) and isinstance(text.func, ast.Attribute) else ""
        is_added = isinstance(text, ast.BinOp) and any(isinstance(part, (ast.Constant, ast.JoinedStr)) for part in (text.left, text.right))
        is_named = isinstance(text, ast.Name) and name in ("text", "exec_driver_sql", "copy_expert")
        if name in ASKING and (isinstance(text, ast.JoinedStr) or made_by in ("format", "join", "replace") or is_added or is_named):
            yield node.lineno


@pytest.mark.parametrize(
    "source",
    [
        'c.execute(sa.text(f"SELECT {x}"))',
        'c.exec_driver_sql("SELECT " + x)',
        'c.exec_driver_sql("SELECT %s" % x)',
        'sa.text("SELECT {}".format(x))',
        "c.exec_driver_sql(statement)",
    ],
)
def test_a_text_that_is_put_together_is_seen(source):
    assert list(composed(ast.parse(source))) == [1]


def test_values_never_enter_a_statement_but_as_parameters():
    paths = [path for folder in ("halo_core", "luigi_tasks") for path in (ROOT / folder).rglob("*.py")]
    found = {path.relative_to(ROOT).as_posix(): list(composed(ast.parse(path.read_text()))) for path in paths}
    assert len(found) > 100
    assert {path for path, lines in found.items() if lines} == {QUOTES_NAMES}


def test_a_name_that_is_sql_is_a_name(migrated_url):
    with begin(migrated_url) as connection:
        run = campaigns.register_campaign(connection, HOSTILE, {HOSTILE: 1})
        stages.record_stage(connection, HOSTILE, "survey", 1, {}, HOSTILE)
        campaigns.link_stage(connection, run, "survey", HOSTILE)
        bulk.replace_rows(connection, models.Brick, rows_of(BRICKS, 1, brickname=HOSTILE), stage_digest=HOSTILE)
    with read(migrated_url) as connection:
        assert campaigns.campaign_names(connection) == [HOSTILE]
        assert [row.stage_digest for row in campaigns.progress(connection, HOSTILE)] == [HOSTILE]
        assert bulk.fetch_rows(connection, models.Brick, stage_digest=HOSTILE)["brickname"].to_pylist() == [HOSTILE]
        assert injection.books(connection, HOSTILE) == injection.task_by_prefix(connection, HOSTILE) == []
    with begin(migrated_url) as connection:
        assert [use.n_rows for use in removal.delete_campaign(connection, HOSTILE)] == [1]
        assert campaigns.campaign_names(connection) == []
