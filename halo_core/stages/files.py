"""Parquet files of the stages: written the same way everywhere, stamps streamed brick by brick in bounded memory."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from halo_core.errors import ObjectStoreError

_STAMP_ROW_GROUP = 250


def write_table(path: Path, table: pa.Table) -> None:
    """Write a table of plain columns."""
    pq.write_table(table, path, compression="zstd", compression_level=1)


def read_table(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Read a file that `write_table` or a `StampWriter` wrote.

    Raises
    ------
    ObjectStoreError
        There is no such file, or it is damaged.
    """
    with _named(path):
        return pq.ParquetFile(path).read(columns=columns)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Name the file in errors of its reader, which do not."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ObjectStoreError(f"{path} cannot be read ({error}): it is not what was stored; remove it and run its stage again") from error


class StampWriter:
    """Writes tables with stamp columns (float32 lists) one after the other into one file, in row groups of a few hundred stamps."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        stamps = [f.name for f in schema if pa.types.is_fixed_size_list(f.type)]
        floats = [f"{name}.list.element" for name in stamps if pa.types.is_float32(schema.field(name).type.value_type)]
        plain = [f.name for f in schema if f.name not in stamps]
        self._schema = schema
        self._writer = pq.ParquetWriter(
            path,
            schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=[name for name in plain if pa.types.is_string(schema.field(name).type)],
            use_byte_stream_split=floats,
            write_statistics=plain,
        )
        self.n_rows = 0

    def write(self, table: pa.Table) -> None:
        """Append a table of the file's schema."""
        self._writer.write_table(table.select(self._schema.names), row_group_size=_STAMP_ROW_GROUP)
        self.n_rows += table.num_rows

    def close(self) -> None:
        """Finish the file."""
        self._writer.close()

    def __enter__(self) -> "StampWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_matching(path: Path, column: str, values: Iterable[str]) -> pa.Table:
    """Return the rows of a stamp file whose column holds one of the values, in the file's order.

    Row groups are read one after the other, no more than one is in memory, and one that holds none is not read. Errors are those of
    `read_table`.
    """
    asked = pa.array(sorted(set(values)), type=pa.string())
    with _named(path), pq.ParquetFile(path) as file:
        found = [file.schema_arrow.empty_table()]
        for group in range(file.num_row_groups):
            rows = pc.indices_nonzero(pc.is_in(file.read_row_group(group, columns=[column])[column], value_set=asked))
            if len(rows):
                found.append(file.read_row_group(group).take(rows))
    return pa.concat_tables(found)
