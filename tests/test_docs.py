"""What the documents say exists: commands, tasks, flags, tables, queries, imports and links."""

import importlib
import re
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import luigi_tasks
from benchmarks import scale_page
from halo_core.flags import Flag
from halo_core.statistics import FitStatus
from halo_core.store.models import Base
from luigi_tasks.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
SETTINGS = ["luigi.cfg", "scheduler.cfg", *sorted(f"campaigns/{path.name}" for path in (ROOT / "campaigns").glob("*.cfg"))]
SETTINGS += sorted(f"grids/{path.name}" for path in (ROOT / "grids").glob("*.toml"))

COMMAND = re.compile(r"(?:`|^ {4}|&& |\$\(BIN\)/)halo ([a-z]+)(?: ([a-z]+))?", re.MULTILINE)
TASK = re.compile(r"(?<!elasticmapreduce:)\b(?:Draw|Make|Read|Build|Cache|Inject|Submit|Summarise|Validate|Render|Run)[A-Z][A-Za-z]+\b")
FORBIDDEN = re.compile(r"\b(?:session|issue #|pull request|todo|fixme|helper|as discussed|previous version)|/work/", re.IGNORECASE)
LUIGI_FLAGS = {"module", "local-scheduler", "workers", "help", "scheduler-host", "scheduler-port", "assistant", "service"}


def text(name: str) -> str:
    return (ROOT / name).read_text()


def all_text() -> str:
    return "\n".join(text(name) for name in DOCUMENTS)


def blocks(name: str, language: str) -> list[str]:
    """Return the fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(name), re.MULTILINE | re.DOTALL)


def statements() -> list[str]:
    """Return every SQL statement of the documents."""
    found = [part.strip() for name in DOCUMENTS for block in blocks(name, "sql") for part in block.split(";")]
    return [statement for statement in found if statement]


@pytest.fixture(scope="module")
def empty_state(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[sqlite3.Connection]:
    """A migrated state that holds no run."""
    path = tmp_path_factory.mktemp("documents") / "state.sqlite"
    shutil.copy(sqlite_template, path)
    connection = sqlite3.connect(path)
    yield connection
    connection.close()


def commands_named(where: str) -> set[tuple[str, str]]:
    """Return the commands a text names; the second word only where the first is a group."""
    return {(first, second if isinstance(main.commands.get(first), click.Group) else "") for first, second in COMMAND.findall(where)}


def commands_there() -> set[tuple[str, str]]:
    found = set()
    for name, command in main.commands.items():
        found |= {(name, sub) for sub in command.commands} if isinstance(command, click.Group) else {(name, "")}
    return found


def test_every_command_that_is_named_exists_and_every_command_is_documented() -> None:
    assert commands_named(all_text() + text("Makefile")) == commands_there()


def test_every_task_that_is_named_exists_and_every_entry_task_is_documented() -> None:
    named = set(TASK.findall(all_text() + text("Makefile")))
    assert named == set(luigi_tasks.__all__)


def test_every_flag_of_the_pipeline_that_is_named_exists() -> None:
    parameters = {name for task in luigi_tasks.__all__ for name, _ in getattr(luigi_tasks, task).get_params()}
    known = LUIGI_FLAGS | {name.replace("_", "-") for name in parameters}
    lines = re.sub(r"\\\n", " ", all_text() + text("Makefile")).splitlines()
    named = {flag for line in lines if "luigi " in line for flag in re.findall(r"--([a-z][a-z-]+)", line)}
    assert {"tiers", "stamp-sizes", "split-seed", "plan-only"} <= named <= known


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:`|^ {4})make ([a-z-]+)", all_text(), re.MULTILINE))
    assert {"run", "test"} <= named <= targets


def names_in(database: sqlite3.Connection, kind: str) -> set[str]:
    return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = ?", (kind,))}


def test_every_table_and_view_is_documented_and_every_one_that_is_documented_exists(empty_state: sqlite3.Connection) -> None:
    tables, views = names_in(empty_state, "table"), names_in(empty_state, "view")
    assert set(Base.metadata.tables) <= tables
    for name in {*Base.metadata.tables, *views}:
        assert f"`{name}`" in text("docs/sql.md"), name
    named = set(re.findall(r"`(v_[a-z_]+)`", all_text()))
    assert named <= views
    section = text("README.md").partition("## The tables")[2].partition("\n## ")[0]
    listed = {name for cell in re.findall(r"^\| ([a-z_, ]+) \|", section, re.MULTILINE) for name in cell.split(", ")} - {"table"}
    assert listed <= set(Base.metadata.tables)
    assert len(listed) >= 8


def test_there_are_queries_for_people() -> None:
    assert len(statements()) >= 10
    for view in ("v_accounting", "v_progress", "v_losses", "v_task_full", "v_completeness"):
        assert any(view in statement for statement in statements())


@pytest.mark.parametrize("statement", statements(), ids=lambda statement: " ".join(statement.split())[:60])
def test_every_query_runs_and_finds_nothing_in_an_empty_state(empty_state: sqlite3.Connection, statement: str) -> None:
    assert empty_state.execute(statement).fetchall() == []


def anchors(name: str) -> set[str]:
    """Return the anchors of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", text(name), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", line.lower()).strip().replace(" ", "-") for line in headings}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_links_inside_the_project_resolve(name: str) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", text(name)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        file, _, anchor = target.partition("#")
        place = ((ROOT / name).parent / file).resolve() if file else ROOT / name
        assert place.exists(), target
        assert not anchor or anchor in anchors(place.relative_to(ROOT).as_posix()), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_paths_of_the_project_that_are_named_exist(name: str) -> None:
    named = re.findall(r"`((?:halo_core|luigi_tasks|tests|docs|migrations|campaigns|grids|benchmarks)/[\w./*-]*)`", text(name))
    for path in named:
        assert list(ROOT.glob(path.rstrip("/"))), path


def test_python_that_is_shown_can_be_imported() -> None:
    shown = re.findall(r"^ {4}from (halo_core[\w.]*) import ([\w, ]+)$", all_text(), re.MULTILINE)
    assert shown
    for module, names in shown:
        for name in names.split(", "):
            assert hasattr(importlib.import_module(module), name), f"{module}.{name}"


def test_flags_that_are_named_exist() -> None:
    words = set(re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", all_text()))
    stems = {str(flag.name) for flag in Flag} | {str(flag.name).rpartition("_")[0] for flag in Flag} | set(FitStatus)
    others = {"SCIENCE_VERSION", "LUIGI_CONFIG_PATH", "TASK_ID", "HALO_TEST_PG_URL", "HALO_HISTORY_URL"}
    others |= {"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SPARK_LOCAL_IP", "NODE_PYTHON"}
    assert {word for word in words if word not in others and not word.startswith("AWS_")} <= stems


@pytest.mark.parametrize("name", [*DOCUMENTS, *SETTINGS])
def test_the_product_speaks_of_itself_alone(name: str) -> None:
    assert FORBIDDEN.findall(text(name)) == []


def test_the_tables_of_the_page_on_scale_are_those_of_the_estimate() -> None:
    assert text("docs/scale.md").partition(scale_page.MARKS[0])[2].partition(scale_page.MARKS[1])[0] == scale_page.text()
    reference, large = scale_page.estimates()
    assert (reference.design.n_physical, reference.design.n_tasks) == (1_297_440, 2_594_880)
    assert large.design.n_physical == 12_000_000
