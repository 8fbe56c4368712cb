"""Files of the stages: what is written is read again, and only what was asked for."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from halo_core.records import arcs_schema
from halo_core.stages.files import StampWriter, read_matching, read_table, write_table

SIZE = 8
SCHEMA = arcs_schema(SIZE)


def arcs(first: int, n_rows: int) -> pa.Table:
    """Return arcs without noise whose pixels are their own numbers; every fifth z is lost."""
    flat = np.arange(first, first + n_rows, dtype=np.float32).repeat(SIZE * SIZE)
    stamps = pa.FixedSizeListArray.from_arrays(pa.array(flat), SIZE * SIZE)
    lost = pa.array([i % 5 == 0 for i in range(n_rows)], type=pa.bool_())
    columns: dict[str, object] = {
        "physical_id": [f"p{i:06d}" for i in range(first, first + n_rows)],
        "host_id": [f"h{i // 3}" for i in range(first, first + n_rows)],
        "size_pix": [SIZE] * n_rows,
        **{name: np.linspace(0.0, 1.0, n_rows) for name in ("lens_x_pix", "lens_y_pix", "magnification")},
        "arc_g": stamps,
        "arc_r": stamps,
        "arc_z": pa.FixedSizeListArray.from_arrays(pa.array(flat), SIZE * SIZE, mask=lost),
    }
    without = [None] * n_rows
    return pa.Table.from_arrays([pa.array(columns.get(f.name, without), type=f.type) for f in SCHEMA], schema=SCHEMA)


def write(path: Path, parts: list[pa.Table]) -> int:
    with StampWriter(path, SCHEMA) as writer:
        for part in parts:
            writer.write(part)
        return writer.n_rows


def test_a_table_comes_back_with_its_schema(tmp_path: Path) -> None:
    table = arcs(0, 7).select(["physical_id", "size_pix", "magnification"])
    write_table(tmp_path / "t.parquet", table)
    assert read_table(tmp_path / "t.parquet").equals(table)
    assert read_table(tmp_path / "t.parquet", ["size_pix"]).column_names == ["size_pix"]


def test_stamps_written_in_parts_come_back_whole(tmp_path: Path) -> None:
    parts = [arcs(0, 4), arcs(4, 600), arcs(604, 1)]
    assert write(tmp_path / "a.parquet", parts) == 605
    back = read_table(tmp_path / "a.parquet")
    assert back.schema.equals(SCHEMA)
    assert back.equals(pa.concat_tables(parts))
    assert back["arc_z"].null_count == sum(part["arc_z"].null_count for part in parts) > 100


def test_a_file_without_stamps_is_a_file(tmp_path: Path) -> None:
    assert write(tmp_path / "none.parquet", []) == 0
    assert write(tmp_path / "empty.parquet", [arcs(0, 0)]) == 0
    for name in ("none.parquet", "empty.parquet"):
        assert read_table(tmp_path / name).num_rows == 0
        assert read_table(tmp_path / name).schema.equals(SCHEMA)


def test_another_order_of_columns_makes_the_same_file_and_another_schema_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "one.parquet", [arcs(0, 9)])
    write(tmp_path / "other.parquet", [arcs(0, 9).select(SCHEMA.names[::-1])])
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()
    with pytest.raises(KeyError), StampWriter(tmp_path / "bad.parquet", SCHEMA) as writer:
        writer.write(arcs(0, 9).drop_columns("arc_g"))


def test_row_groups_hold_few_hundred_stamps(tmp_path: Path) -> None:
    write(tmp_path / "a.parquet", [arcs(0, 1000)])
    found = pq.ParquetFile(tmp_path / "a.parquet").metadata
    assert max(found.row_group(i).num_rows for i in range(found.num_row_groups)) <= 250


@pytest.mark.parametrize("asked", [["p000003"], ["p000003", "p000599", "p000003"], ["p000700"], []])
def test_matching_rows_are_those_asked_for(tmp_path: Path, asked: list[str]) -> None:
    write(tmp_path / "a.parquet", [arcs(0, 600)])
    found = read_matching(tmp_path / "a.parquet", "physical_id", asked)
    assert sorted(found["physical_id"].to_pylist()) == sorted(set(asked) & {f"p{i:06d}" for i in range(600)})
    for row in found.to_pylist():
        assert set(row["arc_r"]) == {float(row["physical_id"][1:])}


def test_a_folder_named_like_a_partition_adds_no_column(tmp_path: Path) -> None:
    folder = tmp_path / "block=00003"
    folder.mkdir()
    write(folder / "a.parquet", [arcs(0, 3)])
    assert read_table(folder / "a.parquet").column_names == SCHEMA.names
    assert read_matching(folder / "a.parquet", "physical_id", ["p000001"]).column_names == SCHEMA.names
