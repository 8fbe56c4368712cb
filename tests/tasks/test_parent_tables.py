"""Laws of tables of one's own: taken as they are, in pieces of any size, to the same parents as the selection that they hold."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import ConfigurationError, SurveyDataError
from halo_core.stages.parent_variants import VARIANTS
from halo_core.survey.catalogs import read_external
from halo_core.survey.layout import BRICKS_KEY
from halo_core.survey.mock import MockSurvey
from luigi_tasks import BuildParent, ValidateStage, parent
from luigi_tasks.parent import iterate_parents
from luigi_tasks.targets import REGION_SELECTIONS_FILE
from tests.fixtures.campaigns import Place, new_place

COMPACT = ("brickname", "objid", "ra", "dec", "gmag", "rmag", "zmag", "w1mag", "rz", "zw1", "maskbits", "type")
N_UNMARKED = 5
SPLITS = ("train", "val", "test")


@pytest.fixture(scope="module")
def place(tiny_survey: tuple[MockSurvey, Path], tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A place where the loosest and the reference variant were selected from the survey's sweeps."""
    folder = tmp_path_factory.mktemp("tables")
    shutil.copytree(tiny_survey[1], folder / "survey", ignore=lambda name, names: names if Path(name).name == "coadd" else [])
    made = new_place(folder, survey_root=str(folder / "survey"))
    for variant in ("v5_very_relaxed", "v3_color_relaxed"):
        assert made.run(BuildParent, variant=variant) == LuigiStatusCode.SUCCESS
    return made


def selected(place: Place, **changes: object) -> list[dict[str, Any]]:
    """Return the rows of a parent catalogue, by brick and object."""
    rows = [row for part in iterate_parents(place.task(**changes)) for row in part.to_pylist()]
    return sorted(rows, key=lambda row: (row["brickid"], row["objid"]))


def compact(place: Place) -> pa.Table:
    """Return the loosest variant as the first user keeps it: short flags, v3 taken from some, no release, rows in no order."""
    parents = pa.concat_tables(iterate_parents(place.task(variant="v5_very_relaxed")))
    table = parents.select(COMPACT)
    for name in VARIANTS:
        table = table.append_column(f"is_{name[:2]}", parents[f"is_{name}"])
    for band in ("g", "r", "z", "w1"):
        table = table.append_column(f"{band}mag_mw", parents[f"{band}mag_mw"])
    is_marked = np.arange(table.num_rows) >= N_UNMARKED
    table = table.set_column(table.column_names.index("is_v3"), "is_v3", pa.array(is_marked))
    return table.take(pa.array(np.random.default_rng(4).permutation(table.num_rows)))


def _plain(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    """Return a column as FITS takes it: NULL as NaN, texts of a fixed width."""
    return np.array(column.fill_null(np.nan) if pa.types.is_floating(column.type) else column.to_pylist())


def write(table: pa.Table, path: Path) -> Path:
    """Write a table as FITS, one Parquet file, or a folder of three."""
    if path.suffix == ".fits":
        texts = {"brickname": "8A", "type": "3A"}
        columns = [
            fits.Column(name.upper(), texts.get(name, "L" if name[:3] == "is_" else "D"), array=_plain(table[name]))
            for name in table.column_names
        ]
        fits.BinTableHDU.from_columns(columns).writeto(path)
    elif path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        path.mkdir()
        for number in range(3):
            pq.write_table(table.take(pa.array(np.arange(number, table.num_rows, 3))), path / f"{number}.parquet")
    return path


def bricks_with_region(place: Place, path: Path) -> dict[str, tuple[int, str]]:
    """Write the survey's bricks with a region each, and return region and split by brick."""
    columns = read_external(place.folder / "survey" / BRICKS_KEY)
    names = columns["brickname"].tolist()
    given = {name: (100 + i, SPLITS[i % 3]) for i, name in enumerate(names)}
    kept = {name: columns[name] for name in columns if name.startswith(("brickname", "ra", "dec", "psf", "ebv"))}
    kept |= {"region_id": [given[name][0] for name in names], "region_split": [given[name][1] for name in names]}
    pq.write_table(pa.table(kept), path)
    return given


@pytest.mark.parametrize(("name", "n_rows"), [("compact", 3), ("compact.parquet", 1000), ("compact.fits", 2)])
def test_a_compact_table_gives_the_hosts_of_the_selection_it_holds(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, n_rows: int
) -> None:
    monkeypatch.setattr(parent, "_EXTERNAL_ROWS", n_rows)
    path = write(compact(place), tmp_path / name)
    words = {"parent": path, "parent_table": "compact"}
    assert place.run(ValidateStage, stage="parent", **words) == LuigiStatusCode.SUCCESS
    ours, theirs = selected(place, **words), selected(place, variant="v3_color_relaxed")
    unmarked = {f"{row['brickname']}:{row['objid']}" for row in compact(place).to_pylist() if not row["is_v3"]}
    theirs = [row for row in theirs if f"{row['brickname']}:{row['objid']}" not in unmarked]
    assert len(ours) == len(theirs) > len(unmarked) == N_UNMARKED
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["host_id"] == f"{other['brickname']}:{other['objid']}"
        same = (
            "brickid",
            "ra",
            "region_id",
            "region_split",
            "is_guard",
            "rmag",
            "psfsize_r_arcsec",
            "psfdepth_z_mag",
            "is_v1_pure_massive",
        )
        assert [mine[key] for key in same] == [other[key] for key in same]
    flow = {step["name"]: step["n_before"] - step["n_after"] for step in place.task(**words).mark_of("parent")["counts"]["cut_flow"]}
    assert flow["v3_color_relaxed"] == compact(place).num_rows - len(theirs)
    assert "brick_psfdepth_r" in flow


def test_the_limits_on_bricks_are_applied_to_a_compact_table_and_not_to_targets(place: Place, tmp_path: Path) -> None:
    path = write(compact(place), tmp_path / "compact.parquet")
    error = place.error(ValidateStage, stage="parent", parent=path, parent_table="compact", ebv_max="1e-9")
    assert "rows" in str(error)
    assert place.run(BuildParent, parent=path, ebv_max="1e-9") == LuigiStatusCode.SUCCESS
    assert len(selected(place, parent=path, ebv_max="1e-9")) == compact(place).num_rows


@pytest.mark.parametrize("is_selected", [True, False])
def test_regions_of_bricks_and_their_sets_are_kept_as_they_are(place: Place, tmp_path: Path, is_selected: bool) -> None:
    given = bricks_with_region(place, tmp_path / "bricks_with_region.parquet")
    regions = sorted(set(given.values()))[:2]
    sets = {"selection_set_id": ["a", "a", "b"], "selection_strategy": ["x"] * 3, "ranking_mode": ["y"] * 3}
    sets |= {"region_id": [regions[0][0], regions[1][0], regions[0][0]], "region_split": [regions[0][1], regions[1][1], regions[0][1]]}
    pq.write_table(pa.table(sets), tmp_path / "region_selections.parquet")
    words: dict[str, object] = {"bricks_table": tmp_path / "bricks_with_region.parquet"}
    words["region_selections"] = tmp_path / "region_selections.parquet"
    if not is_selected:
        words |= {"parent": write(compact(place), tmp_path / "compact.parquet"), "parent_table": "compact"}
    assert place.run(ValidateStage, stage="parent", **words) == LuigiStatusCode.SUCCESS
    rows = selected(place, **words)
    n_unmarked = 0 if is_selected else N_UNMARKED
    assert len(rows) == len(selected(place, variant="v3_color_relaxed")) - n_unmarked > 5
    assert all((row["region_id"], row["region_split"]) == given[row["brickname"]] and not row["is_guard"] for row in rows)
    kept = place.task(**words).table_of("parent", REGION_SELECTIONS_FILE)
    assert kept.select(["selection_set_id", "region_id", "region_split"]).num_rows == 3
    assert place.task(**words).mark_of("parent")["counts"]["cut_flow"][-1]["name"] == "given_splits_apart"
    assert place.task(**words).digest_of("survey") == place.task().digest_of("survey")
    assert place.task(**words).digest_of("parent") != place.task().digest_of("parent")


def test_tables_that_contradict_themselves_are_refused(place: Place, tmp_path: Path) -> None:
    table = compact(place)
    twice = write(pa.concat_tables([table, table.slice(0, 2)]), tmp_path / "twice")
    error = place.error(BuildParent, parent=twice, parent_table="compact", variant="v5_very_relaxed")
    assert isinstance(error, SurveyDataError)
    assert "2 of" in str(error)
    flagless = write(table.drop_columns(["is_v3", "type"]), tmp_path / "flagless.parquet")
    assert "neither is_v3_color_relaxed nor is_v3" in str(place.error(BuildParent, parent=flagless, parent_table="compact"))
    pq.write_table(pa.table({"region_id": [1]}), tmp_path / "sets.parquet")
    error = place.error(BuildParent, region_selections=tmp_path / "sets.parquet")
    assert isinstance(error, ConfigurationError)
    assert "has no region_id" in str(error)
    with pytest.raises(ConfigurationError, match="check --bricks-table"):
        place.task(bricks_table=tmp_path / "nowhere.fits").digest_of("parent")
