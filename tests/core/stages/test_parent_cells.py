"""Laws of the parts: rows come out as they went in, by cell and in order, whatever waits how long."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from halo_core.stages.parent import ParentSelector
from halo_core.stages.parent_cells import (
    CELL_NSIDE,
    SKY_CELLS,
    CellWriter,
    cell_name,
    cell_of,
    cell_of_name,
    cell_row,
    cell_table,
    in_order,
    near_cell_edge,
    read_cell,
    split_by_cell,
)
from halo_core.stages.parent_flow import add_flows
from halo_core.survey.regions import region_of
from tests.fixtures.parents import make_bricks, make_objects, make_parents, parent_config, select_parents

PARENTS = make_parents({"train": 400, "val": 300}, seed=5)
_PLACES = np.random.default_rng(4).uniform(40.0, (75.0, 65.0), (len(PARENTS), 2))
CROWDED = make_parents({"train": 400, "val": 300}, seed=5, ra=_PLACES[:, 0], dec=_PLACES[:, 1])
"""The same number in few cells, so that each has rows of many pieces."""


def parts_of(table: pa.Table) -> dict[int, pa.Table]:
    return {cell: in_order(part) for cell, part in split_by_cell(table)}


def test_every_parent_is_in_the_part_of_its_position_once_and_in_order() -> None:
    parts = parts_of(PARENTS)
    assert list(parts) == sorted(parts)
    assert sorted(host for part in parts.values() for host in part["host_id"].to_pylist()) == sorted(PARENTS["host_id"].to_pylist())
    for cell, part in parts.items():
        assert set(region_of(part["ra"].to_numpy(), part["dec"].to_numpy(), 8).tolist()) == {cell}
        keys = list(zip(part["brickid"].to_pylist(), part["host_id"].to_pylist(), strict=True))
        assert keys == sorted(keys)
    assert list(split_by_cell(PARENTS.slice(0, 0))) == []


@pytest.mark.parametrize(("n_files", "max_rows", "n_each"), [(1, 10_000, 700), (1, 50, 7), (3, 90, 40)])
def test_files_give_back_each_cell_whatever_was_written_when(tmp_path: Path, n_files: int, max_rows: int, n_each: int) -> None:
    order = np.random.default_rng(n_each).permutation(len(CROWDED))
    pieces = [CROWDED.take(pa.array(order[start : start + n_each])) for start in range(0, len(order), n_each)]
    paths = [tmp_path / f"{number}.parquet" for number in range(n_files)]
    cells: dict[int, int] = {}
    for number, path in enumerate(paths):
        with CellWriter(path, max_rows=max_rows) as writer:
            for piece in pieces[number::n_files]:
                writer.write(piece)
        cells = {cell: cells.get(cell, 0) + writer.n_rows[cell] for cell in {*cells, *writer.n_rows}}
    expected = parts_of(CROWDED)
    assert cells == {cell: part.num_rows for cell, part in expected.items()}
    assert 10 < len(expected) < 40
    for cell, part in expected.items():
        assert read_cell(paths, cell).equals(part)


def test_a_part_is_known_by_its_name_and_listed_with_its_hosts() -> None:
    assert cell_of_name(f"parent/d1/{cell_name(7)}") == 7
    assert cell_of_name("parent/d1/parents.parquet") is None
    part = make_parents({"train": 4}, seed=1, is_guard=[True, False, False, False])
    table = cell_table([cell_row(9, part), cell_row(3, part.slice(0, 1))])
    assert table.schema.equals(SKY_CELLS)
    assert table.to_pylist() == [{"cell": 3, "n_rows": 1, "n_hosts": 0}, {"cell": 9, "n_rows": 4, "n_hosts": 3}]


def test_no_neighbour_in_another_cell_is_missed_within_the_radius() -> None:
    rng, radius_arcsec = np.random.default_rng(8), 600.0
    ra, dec = rng.uniform(0.0, 360.0, 20_000), np.rad2deg(np.arcsin(rng.uniform(-0.99, 0.99, 20_000)))
    bearing = rng.uniform(0.0, 2.0 * np.pi, len(ra))
    near_dec = dec + radius_arcsec / 3600.0 * np.cos(bearing)
    near_ra = ra + 0.99 * radius_arcsec / 3600.0 * np.sin(bearing) / np.cos(np.deg2rad(dec))
    is_other = cell_of(ra, dec) != cell_of(near_ra % 360.0, near_dec)
    assert is_other.sum() > 500
    marked = near_cell_edge(ra, dec, radius_arcsec=radius_arcsec)
    assert marked[is_other].all()
    assert marked.mean() < 0.2
    assert CELL_NSIDE == 8


@pytest.mark.parametrize("n_parts", [2, 7, 400])
def test_the_selection_of_parts_is_that_of_the_whole(n_parts: int) -> None:
    objects = make_objects(400, seed=8)
    for band in ("g", "r", "z", "w1"):
        objects[f"flux_{band}"][::3] *= 0.3
    bricks = make_bricks(objects["brickid"], psfdepth_r_mag=np.resize([24.0, 23.0], len(np.unique(objects["brickid"]))))
    whole, flow = select_parents(objects, bricks, parent_config())
    selector = ParentSelector(bricks, parent_config())
    made = [selector.select({name: values[rows] for name, values in objects.items()}) for rows in np.array_split(np.arange(400), n_parts)]
    assert pa.concat_tables([table for table, _ in made]).equals(whole)
    assert add_flows([part for _, part in made]) == flow
    assert 0 < whole.num_rows < 300
