"""Bulk rows in and out: a digest's rows, or one block's, are replaced as a whole within the caller's transaction.

Postgres gets them by COPY, SQLite by executemany, both from Arrow, never as one object per row.
"""

import io
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.store.base import Base
from halo_core.store.sessions import lock

COPY_CHUNK_ROWS = 100_000
"""Rows encoded at once for COPY [rows]: about 100 MB of text for the widest table."""

SQLITE_CHUNK_ROWS = 20_000
"""Rows turned into Python objects at once [rows]: about 40 MB for the widest table."""

_COPY_OPTIONS = "FORMAT csv, ENCODING 'UTF8'"
_CSV_OPTIONS = pa_csv.WriteOptions(include_header=False, quoting_style="needed")
"""Every text is quoted and NULL is not, which is how COPY tells NULL from an empty string."""

_ARROW_TYPES: dict[type[Any], pa.DataType] = {
    sa.BigInteger: pa.int64(),
    sa.Double: pa.float64(),
    sa.Text: pa.string(),
    sa.Boolean: pa.bool_(),
}


def replace_rows(connection: sa.Connection, model: type[Base], rows: pa.Table, *, stage_digest: str, block: int | None = None) -> int:
    """Put rows in the place of all rows of a stage digest, or of one block of it; twice is the same as once.

    Parameters
    ----------
    connection : Connection
        In a transaction that writes: old rows go and new rows come together, or not at all.
    model : type of Base
        Class of the table, such as `InjectionResult`.
    rows : Table
        All columns of the table but `stage_digest`, in any order. NaN is stored as NULL.
    stage_digest : str
        Digest the rows belong to.
    block : int or None
        Replace this block only: every row must be of it. None replaces the digest.

    Returns
    -------
    int
        Number of rows stored.

    Raises
    ------
    StoreError
        Columns are missing, unknown or of a type the table does not have; NULL or NaN stands where none is allowed; a row is of
        another block; the database refuses a row (a key twice, a CHECK).
    ValueError
        `block` is given for a table without blocks.
    """
    table = _table(model)
    prepared = _prepared(table, rows)
    where = table.c.stage_digest == stage_digest
    if block is not None:
        _require_block(table, prepared, block)
        where &= table.c.block == block
    lock(connection, table.name, stage_digest, block)
    connection.execute(sa.delete(table).where(where))
    _insert(connection, table, _with_digest(prepared, stage_digest))
    return int(prepared.num_rows)


def fetch_rows(
    connection: sa.Connection,
    model: type[Base],
    *,
    stage_digest: str,
    block: int | None = None,
    where: sa.ColumnElement[bool] | None = None,
) -> pa.Table:
    """Return the rows of a stage digest, or of one block of it, in the order of the table's key.

    Parameters
    ----------
    connection : Connection
    model : type of Base
        Class of the table.
    stage_digest : str
    block : int or None
        None means the whole digest.
    where : condition or None
        Take only rows that meet it.

    Returns
    -------
    Table
        All columns but `stage_digest`, in the order of the table; not measured is NULL.
    """
    table = _table(model)
    columns = [column for column in table.columns if column.name != "stage_digest"]
    query = sa.select(*columns).where(table.c.stage_digest == stage_digest).order_by(*table.primary_key.columns)
    if block is not None:
        query = query.where(_block_column(table) == block)
    if where is not None:
        query = query.where(where)
    schema = pa.schema([pa.field(column.name, _arrow_type(column), nullable=bool(column.nullable)) for column in columns])
    result = connection.execute(query, execution_options={"yield_per": SQLITE_CHUNK_ROWS})
    batches = [_batch(list(part), schema) for part in result.partitions()]
    return pa.Table.from_batches(batches, schema=schema)


def _table(model: type[Base]) -> sa.Table:
    """Return the table of a class."""
    return Base.metadata.tables[model.__tablename__]


def _prepared(table: sa.Table, rows: pa.Table) -> pa.Table:
    """Return the rows in the table's column order and types, NaN as NULL."""
    columns = [column for column in table.columns if column.name != "stage_digest"]
    names = [column.name for column in columns]
    missing = [name for name in names if name not in rows.column_names]
    unknown = [name for name in rows.column_names if name not in names]
    if missing or unknown:
        raise StoreError(f"rows for {table.name}: columns missing {missing or 'none'}, unknown {unknown or 'none'}")
    return pa.table({column.name: _prepared_column(table, column, rows[column.name]) for column in columns})


def _prepared_column(table: sa.Table, column: sa.Column[Any], values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return one column in its type, NaN as NULL."""
    wanted = _arrow_type(column)
    try:
        array = values.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise StoreError(
            f"rows for {table.name}: column {column.name} is {values.type} and does not convert to {wanted}: {error}"
        ) from error
    if pa.types.is_floating(wanted):
        array = pc.if_else(pc.is_nan(array), pa.scalar(None, wanted), array)
    if array.null_count and not column.nullable:
        raise StoreError(
            f"rows for {table.name}: column {column.name} holds {array.null_count} NULL or NaN of {len(array)} rows, none is allowed"
        )
    return array


def _arrow_type(column: sa.Column[Any]) -> pa.DataType:
    """Return the Arrow type of a column of a bulk table."""
    for kind, arrow in _ARROW_TYPES.items():
        if isinstance(column.type, kind):
            return arrow
    raise ValueError(f"column {column.table.name}.{column.name} is {column.type!r}: its table is not made for bulk rows")


def _require_block(table: sa.Table, rows: pa.Table, block: int) -> None:
    """Refuse rows of another block than the one that is replaced."""
    _block_column(table)
    others = sorted(set(pc.unique(rows["block"]).to_pylist()) - {block})
    if others:
        raise StoreError(f"rows for {table.name}: asked to replace block {block}, but rows are of blocks {others[:5]}")


def _block_column(table: sa.Table) -> sa.Column[Any]:
    """Return the table's block column."""
    if "block" not in table.c:
        raise ValueError(f"{table.name} has no blocks; replace or read the whole stage digest")
    return table.c.block


def _with_digest(rows: pa.Table, stage_digest: str) -> pa.Table:
    """Return the rows with their digest as the first column."""
    return rows.add_column(0, "stage_digest", pa.repeat(pa.scalar(stage_digest, pa.string()), rows.num_rows))


def _insert(connection: sa.Connection, table: sa.Table, rows: pa.Table) -> None:
    """Insert rows by the database's own bulk way."""
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in rows.column_names)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {quote(table.name)} ({columns}) FROM STDIN WITH ({_COPY_OPTIONS})", rows)
        return
    marks = ", ".join("?" for _ in rows.column_names)
    for batch in rows.to_batches(max_chunksize=SQLITE_CHUNK_ROWS):
        connection.exec_driver_sql(f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({marks})", _tuples(batch))


def _copy(connection: sa.Connection, statement: str, rows: pa.Table) -> None:
    """Send rows through COPY, one CSV text per chunk."""
    driver_error = connection.dialect.loaded_dbapi.Error
    with closing(connection.connection.cursor()) as cursor:
        for text in _csv_chunks(rows):
            try:
                cursor.copy_expert(statement, text)
            except driver_error as error:
                raise StoreError(f"the state database refused rows: {str(error).strip().splitlines()[0]}") from error


def _csv_chunks(rows: pa.Table) -> Iterator[io.BytesIO]:
    """Yield the rows as CSV."""
    for start in range(0, rows.num_rows, COPY_CHUNK_ROWS):
        text = io.BytesIO()
        pa_csv.write_csv(rows.slice(start, COPY_CHUNK_ROWS), text, _CSV_OPTIONS)
        text.seek(0)
        yield text


def _tuples(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Return the rows of a batch as Python tuples."""
    return list(zip(*(column.to_pylist() for column in batch.columns), strict=True))


def _batch(rows: list[sa.Row[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Return database rows as an Arrow batch."""
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
