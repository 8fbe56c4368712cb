"""The arrows between rooms and the rules of the house, read from the source: nothing is imported here."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from halo_core.constants import PIXEL_SCALE_ARCSEC

ROOT = Path(__file__).resolve().parents[1]
BASE = frozenset({"constants", "errors", "flags", "records", "seeds"})
PHYSICS = frozenset({"survey", "lensing", "statistics"})
STAGES = frozenset({"stages", "stamps"})
MAY_IMPORT = {
    **dict.fromkeys(BASE, BASE),
    **{room: BASE | {room} for room in PHYSICS},
    **dict.fromkeys(STAGES, BASE | PHYSICS | STAGES),
    "report": BASE | STAGES | {"report"},
    "store": BASE | {"store"},
}
"""What each room of halo_core may import of halo_core."""

MAX_LINES = 400
FOREIGN_TO_CORE = {"luigi", "boto3", "requests", "urllib", "urllib3", "http", "httpx", "socket", "subprocess", "click", "rich", "pyspark"}
ONLY_IN = {
    "luigi": "luigi_tasks",
    "urllib3": "luigi_tasks/http_source",
    "boto3": ("luigi_tasks/s3", "luigi_tasks/engines/emr"),
    "botocore": ("luigi_tasks/s3", "luigi_tasks/engines/emr"),
    "pyspark": "luigi_tasks/engines/spark.py",
    "py4j": "luigi_tasks/engines/spark.py",
}
MAY_RAISE_ANYTHING = {"halo_core/stages/validation.py": 1, "luigi_tasks/engines/request.py": 1}
"""The handlers of every Exception: a law of validation that could not run becomes a failed finding, a block on a cluster its outcome."""
CLOCKS = {"time": {"sleep"}, "datetime": {"UTC", "datetime", "timedelta", "timezone"}}
"""Modules that know the time, and what of them may be used in the core: waiting and types, no reading."""
NOW = {"now", "utcnow", "today"}


@cache
def sources() -> dict[str, ast.Module]:
    """Return the syntax tree of every source file by its path."""
    paths = sorted(
        path
        for folder in ("halo_command", "halo_core", "luigi_tasks", "migrations", "grids", "campaigns")
        for path in (ROOT / folder).rglob("*.py")
    )
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(), str(path)) for path in paths}


def core() -> dict[str, ast.Module]:
    return {path: tree for path, tree in sources().items() if path.startswith("halo_core/")}


def imported(path: str) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything a file imports, at the top or inside a function."""
    for node in ast.walk(sources()[path]):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def module_of(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def room_of(dotted: str) -> str:
    """Return the room of a dotted name of halo_core, empty for the package itself."""
    return dotted.split(".")[1] if "." in dotted else ""


def test_every_room_of_the_core_is_known() -> None:
    assert {room_of(module_of(path)) for path in core()} - {""} == set(MAY_IMPORT)


@pytest.mark.parametrize("room", sorted(MAY_IMPORT))
def test_rooms_import_only_along_the_arrows(room: str) -> None:
    wrong = [
        f"{path}:{line} imports {name}"
        for path in core()
        if room_of(module_of(path)) == room
        for line, name in imported(path)
        if name.startswith("halo_core") and room_of(name) not in MAY_IMPORT[room] and not name.startswith("halo_core.lensing.__")
    ]
    assert not wrong


def test_the_reader_of_stamps_needs_files_and_the_law_of_the_crop_alone() -> None:
    used = {name for _, name in imported("halo_core/stamps.py") if room_of(name) in STAGES | PHYSICS and name.startswith("halo_core")}
    assert used == {"halo_core.stages.files.read_matching", "halo_core.survey.coadds.crop_start"}


def test_arrows_run_one_way() -> None:
    assert not any("store" in allowed for room, allowed in MAY_IMPORT.items() if room != "store")
    assert not MAY_IMPORT["store"] & (PHYSICS | STAGES | {"report"})
    assert not any(allowed & (STAGES | {"report"}) for room, allowed in MAY_IMPORT.items() if room in BASE | PHYSICS)


def test_nothing_but_the_pipeline_imports_the_pipeline() -> None:
    wrong = [f"{path}:{line}" for path in sources() for line, name in imported(path) if name.split(".")[0] == "luigi_tasks"]
    assert all(place.startswith("luigi_tasks/") for place in wrong)


def test_nothing_but_the_command_line_imports_the_command_line() -> None:
    wrong = [f"{path}:{line}" for path in sources() for line, name in imported(path) if name.startswith("luigi_tasks.cli")]
    assert all(place.startswith("luigi_tasks/cli/") for place in wrong)


def test_migrations_import_nothing_of_ours_but_the_state_in_env() -> None:
    for path in (path for path in sources() if path.startswith("migrations/")):
        ours = {name for _, name in imported(path) if name.split(".")[0] in ("halo_core", "luigi_tasks")}
        allowed = ("halo_core.store", "halo_core.errors") if path == "migrations/env.py" else ()
        assert all(name.startswith(allowed) for name in ours) if allowed else not ours


def test_the_core_knows_no_scheduler_no_network_and_no_terminal() -> None:
    wrong = [f"{path}:{line} imports {name}" for path in core() for line, name in imported(path) if name.split(".")[0] in FOREIGN_TO_CORE]
    assert not wrong


@pytest.mark.parametrize("package", sorted(ONLY_IN))
def test_each_outside_service_has_one_room(package: str) -> None:
    users = {path for path in sources() for _, name in imported(path) if name.split(".")[0] == package}
    assert all(path.startswith(ONLY_IN[package]) for path in users)


def test_the_core_reads_no_environment_and_no_clock() -> None:
    wrong = []
    for path, tree in core().items():
        wrong += [
            f"{path}:{line} imports {name}"
            for line, name in imported(path)
            if name in ("os.environ", "os.getenv")
            or (name.split(".")[0] in CLOCKS and "." in name and name.split(".")[1] not in CLOCKS[name.split(".")[0]])
        ]
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.Attribute)):
            owner = node.value.id if isinstance(node.value, ast.Name) else ""
            is_environment = owner == "os" and node.attr in ("environ", "environb", "getenv")
            is_clock = (owner in CLOCKS and node.attr not in CLOCKS[owner] and owner != "datetime") or (
                owner in ("datetime", "date") and node.attr in NOW
            )
            if is_environment or is_clock:
                wrong.append(f"{path}:{node.lineno} uses {owner}.{node.attr}")
    assert not wrong


def test_no_random_number_has_a_global_state() -> None:
    wrong = []
    for path, tree in sources().items():
        wrong += [f"{path}:{line}" for line, name in imported(path) if name.split(".")[0] == "random"]
        for node in ast.walk(tree):
            is_numpy_random = isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np.random", "numpy.random")
            if is_numpy_random and node.attr not in ("Generator", "Philox"):
                wrong.append(f"{path}:{node.lineno} np.random.{node.attr}")
    assert not wrong


def graph() -> dict[str, set[str]]:
    """Return the modules of ours that each module imports; a name imported from a package is its module where there is one."""
    modules = {module_of(path) for path in sources()}
    edges: dict[str, set[str]] = {}
    for path in sources():
        found = set()
        for _, name in imported(path):
            for candidate in (name, name.rpartition(".")[0]):
                if candidate in modules:
                    found.add(candidate)
                    break
        edges[module_of(path)] = found - {module_of(path)}
    return edges


def cycle_in(edges: dict[str, set[str]]) -> list[str]:
    """Return one cycle of a graph, empty where there is none."""
    done: set[str] = set()

    def follow(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return [*trail[trail.index(name) :], name]
        if name in done:
            return []
        for other in sorted(edges.get(name, ())):
            found = follow(other, [*trail, name])
            if found:
                return found
        done.add(name)
        return []

    return next((found for name in sorted(edges) if (found := follow(name, []))), [])


def test_imports_have_no_cycle() -> None:
    assert cycle_in({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]
    assert cycle_in(graph()) == []


def test_files_are_short() -> None:
    found = {path: len((ROOT / path).read_text().splitlines()) for path in sources()}
    assert {path: n for path, n in found.items() if n > MAX_LINES} == {}


def test_nothing_is_printed() -> None:
    calls = [
        f"{path}:{node.lineno}"
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert all(place.startswith("luigi_tasks/cli/") for place in calls)


def broad_handlers(tree: ast.Module) -> Iterator[int]:
    """Yield the line of each handler that catches everything and does not raise it again."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = {ast.unparse(item) for item in ast.walk(node.type)} if node.type is not None else {"Exception"}
            last = node.body[-1]
            if kinds & {"Exception", "BaseException"} and not (isinstance(last, ast.Raise) and last.exc is None):
                yield node.lineno


def test_no_error_is_swallowed() -> None:
    assert list(broad_handlers(ast.parse("try:\n    f()\nexcept (ValueError, Exception):\n    pass"))) == [3]
    assert list(broad_handlers(ast.parse("try:\n    f()\nexcept:\n    x = 1"))) == [3]
    assert list(broad_handlers(ast.parse("try:\n    f()\nexcept BaseException:\n    close()\n    raise"))) == []
    found = {path: len([*broad_handlers(tree)]) for path, tree in sources().items()}
    assert {path: n for path, n in found.items() if n} == MAY_RAISE_ANYTHING


def test_the_pixel_scale_is_typed_once() -> None:
    typed = [
        f"{path}:{node.lineno}"
        for path, tree in sources().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, float) and node.value == PIXEL_SCALE_ARCSEC
    ]
    assert [place.split(":")[0] for place in typed] == ["halo_core/constants.py"]


def test_no_function_of_physics_is_defined_twice() -> None:
    """One definition of each quantity: two functions of one name would be two laws."""
    places: dict[str, list[str]] = {}
    for path, tree in core().items():
        for node in tree.body:
            if room_of(module_of(path)) in PHYSICS and isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                places.setdefault(node.name, []).append(path)
    assert len(places) > 50
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


def test_no_file_carries_a_version_or_a_history() -> None:
    telling = re.compile(r"(^|_)(v\d+|gen\d+|final|new|old|copy|backup|tmp)(_|$)")
    assert [path for path in sources() if telling.search(Path(path).stem) and "versions/" not in path] == []
