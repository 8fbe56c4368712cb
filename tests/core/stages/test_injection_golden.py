"""A tiny run pinned: schemas, ids, seeds and integers exactly, numbers and pixels to 1e-6 of the peak.

What changes here changes science: raise the SCIENCE_VERSION of the stage, say in the changelog what must be redone, and only then make
the pinned files again with ``python -m tests.core.stages.test_injection_golden``.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from halo_core.stages import injection, manifest
from halo_core.stages.injection import BrickInjection
from halo_core.survey import mock
from halo_core.survey.mock import MockSurvey, make_mock_survey
from tests.core.stages.injection_scenes import inject, stored, tiny_manifest, tiny_planes
from tests.fixtures.survey import TINY

DATA = Path(__file__).parents[2] / "data"
TABLES, ARCS = DATA / "injection_golden.json", DATA / "injection_golden_arcs.npz"
SMALL = {"n_per_config": {"debug": 2}, "n_total_train_per_split": 6}
"""4 debug injections, 3 train injections and 3 controls at two sizes: 20 tasks."""

MIDDLE = slice(16, 48)
TOLERANCE = 1e-6


def tiny_tables(root: Path) -> dict[str, pa.Table]:
    """Return every table of the pinned run."""
    tasks = tiny_manifest(root, **SMALL).tasks
    made: BrickInjection = inject(tasks, tiny_planes(root, tasks), root)
    return {"manifest": tasks, "hosts": made.hosts, "arcs": made.arcs, "results": made.results}


def pinned(table: pa.Table) -> dict[str, Any]:
    """Return the schema of a table and its columns but for pixels, as JSON values."""
    plain = [field.name for field in table.schema if not pa.types.is_fixed_size_list(field.type)]
    fields = [f"{field.name} {field.type}{'' if field.nullable else ' not null'}" for field in table.schema]
    return {"schema": fields, "columns": {name: table[name].to_pylist() for name in plain}}


def middles(arcs: pa.Table) -> dict[str, NDArray[np.float32]]:
    """Return the middle of every arc's r image by physical id."""
    return {row["physical_id"]: stored(row, "arc_r")[MIDDLE, MIDDLE] for row in arcs.to_pylist()}


def versions() -> dict[str, int]:
    return {"mock_survey": mock.SCIENCE_VERSION, "manifest": manifest.SCIENCE_VERSION, "injection": injection.SCIENCE_VERSION}


def write_golden() -> None:
    """Make the pinned files again."""
    with tempfile.TemporaryDirectory() as folder:
        make_mock_survey(TINY, Path(folder))
        tables = tiny_tables(Path(folder))
    content = {"versions": versions(), **{name: pinned(table) for name, table in tables.items()}}
    TABLES.write_text(json.dumps(content, indent=None, separators=(",", ":")) + "\n")
    np.savez_compressed(ARCS, allow_pickle=False, **middles(tables["arcs"]))


@pytest.fixture(scope="module")
def tables(tiny_survey: tuple[MockSurvey, Path]) -> dict[str, pa.Table]:
    """The run as the code makes it now."""
    return tiny_tables(tiny_survey[1])


@pytest.fixture(scope="module")
def golden() -> dict[str, Any]:
    """The run as it was pinned."""
    content: dict[str, Any] = json.loads(TABLES.read_text())
    return content


def test_the_pinned_run_is_of_the_current_versions(golden: dict[str, Any]) -> None:
    assert golden["versions"] == versions()


@pytest.mark.parametrize("name", ["manifest", "hosts", "arcs", "results"])
def test_schemas_are_the_pinned_ones(tables: dict[str, pa.Table], golden: dict[str, Any], name: str) -> None:
    assert pinned(tables[name])["schema"] == golden[name]["schema"]


@pytest.mark.parametrize("name", ["manifest", "hosts", "arcs", "results"])
def test_ids_seeds_and_integers_are_the_pinned_ones_and_numbers_agree(
    tables: dict[str, pa.Table], golden: dict[str, Any], name: str
) -> None:
    found = pinned(tables[name])["columns"]
    assert list(found) == list(golden[name]["columns"])
    for column, expected in golden[name]["columns"].items():
        if not pa.types.is_floating(tables[name].schema.field(column).type):
            assert found[column] == expected, column
            continue
        assert [value is None for value in found[column]] == [value is None for value in expected], column
        one, other = (np.array([np.nan if value is None else value for value in values]) for values in (found[column], expected))
        limit = TOLERANCE * np.nanmax(np.abs(other)) if np.isfinite(other).any() else 0.0
        np.testing.assert_allclose(one, other, rtol=0.0, atol=limit, err_msg=column)


def test_arcs_agree_with_the_pinned_pixels(tables: dict[str, pa.Table]) -> None:
    found = middles(tables["arcs"])
    with np.load(ARCS, allow_pickle=False) as expected:
        assert sorted(expected.files) == sorted(found)
        for physical_id, pixels in found.items():
            peak = float(expected[physical_id].max())
            assert np.abs(pixels.astype(np.float64) - expected[physical_id]).max() <= TOLERANCE * peak


def test_the_pinned_run_has_losses_controls_and_both_sizes(golden: dict[str, Any]) -> None:
    tasks, results = golden["manifest"]["columns"], golden["results"]["columns"]
    assert set(tasks["stamp_size"]) == {48, 64}
    assert set(tasks["is_control"]) == {True, False}
    assert set(results["metrics_ok"]) == {True, False}


if __name__ == "__main__":
    write_golden()
