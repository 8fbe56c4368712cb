"""Bulk rows in and out: a digest's rows, or one part's, are replaced as a whole within the caller's transaction.

The part of a row is its block or, of a parent, its sky cell; the arguments called ``block`` name either.

Postgres gets them by COPY in its binary format, SQLite by executemany, both from Arrow, never as one object per row. Rows go in in the
order of the key, which writes each page of the key's index once.
"""

import hashlib
import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.store.base import OF_THE_STATE_ALONE, Base, UtcDateTime
from halo_core.store.sessions import lock

COPY_CHUNK_ROWS = 50_000
"""Rows encoded at once for COPY [rows]: about 40 MB for the widest table; one chunk is encoded while another is sent."""

SQLITE_CHUNK_ROWS = 20_000
"""Rows turned into Python objects at once [rows]: about 40 MB for the widest table."""

_SEND_BYTES = 1 << 16
_PARTS = ("block", "sky_cell")

_ARROW_TYPES: dict[type[Any], pa.DataType] = {
    sa.BigInteger: pa.int64(),
    sa.Double: pa.float64(),
    sa.Text: pa.string(),
    sa.Boolean: pa.bool_(),
    UtcDateTime: pa.timestamp("us", tz="UTC"),
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
        All columns of the table but `stage_digest`, in any order; those of the state alone may be missing and are then NULL. NaN is
        stored as NULL.
    stage_digest : str
        Digest the rows belong to.
    block : int or None
        Replace this block (or sky cell) only: every row must be of it. None replaces the digest.

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
        where &= _part_column(table) == block
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
        All columns but `stage_digest` and those of the state alone, in the order of the table; not measured is NULL.
    """
    table = _table(model)
    columns = _columns(table)
    query = sa.select(*columns).where(table.c.stage_digest == stage_digest).order_by(*table.primary_key.columns)
    if block is not None:
        query = query.where(_part_column(table) == block)
    if where is not None:
        query = query.where(where)
    schema = pa.schema([pa.field(column.name, _arrow_type(column), nullable=bool(column.nullable)) for column in columns])
    result = connection.execute(query, execution_options={"yield_per": SQLITE_CHUNK_ROWS})
    batches = [_batch(list(part), schema) for part in result.partitions()]
    return pa.Table.from_batches(batches, schema=schema)


def counts_by_block(connection: sa.Connection, model: type[Base], *, stage_digest: str) -> dict[int | None, int]:
    """Return the number of rows of a digest by block (or sky cell), under None for a table without; empty where there are none."""
    table = _table(model)
    has_parts = bool(_parts(table))
    part: sa.ColumnElement[Any] = _part_column(table) if has_parts else sa.null()
    query = sa.select(part, sa.func.count()).where(table.c.stage_digest == stage_digest)
    rows = connection.execute(query.group_by(part) if has_parts else query)
    return {number: n_rows for number, n_rows in rows if n_rows}


def checksum(model: type[Base], rows: pa.Table) -> str:
    """Return the sha256 of rows, whatever their order: equal where objects and state hold the same to the last bit.

    Columns of the state alone are left out.

    Parameters
    ----------
    model : type of Base
        Class of the table.
    rows : Table
        As for `replace_rows`.

    Raises
    ------
    StoreError
        Columns are missing, unknown or of a type the table does not have.
    """
    table = _table(model)
    found = hashlib.sha256()
    names = [column.name for column in _columns(table)]
    for batch in _in_order(table, _prepared(table, rows).select(names), SQLITE_CHUNK_ROWS):
        arrays = [pc.add(array, 0.0) if pa.types.is_floating(array.type) else array for array in batch.columns]  # -0 is 0
        text = io.BytesIO()
        pa_csv.write_csv(pa.RecordBatch.from_arrays(arrays, names=batch.schema.names), text)
        found.update(text.getbuffer())
    return found.hexdigest()


def _table(model: type[Base]) -> sa.Table:
    """Return the table of a class."""
    return Base.metadata.tables[model.__tablename__]


def _columns(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that objects hold too: all but the digest and those of the state alone."""
    return [column for column in table.columns if column.name != "stage_digest" and column.info != OF_THE_STATE_ALONE]


def _prepared(table: sa.Table, rows: pa.Table) -> pa.Table:
    """Return the rows in the table's column order and types, NaN as NULL; columns of the state alone where the rows have them."""
    missing = [column.name for column in _columns(table) if column.name not in rows.column_names]
    unknown = [name for name in rows.column_names if name == "stage_digest" or name not in table.columns]
    if missing or unknown:
        raise StoreError(f"rows for {table.name}: columns missing {missing or 'none'}, unknown {unknown or 'none'}")
    columns = [column for column in table.columns if column.name in rows.column_names]
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
    name = _part_column(table).name
    others = [found for found in pc.unique(rows[name]).to_pylist() if found != block]
    if others:
        raise StoreError(f"rows for {table.name}: asked to replace {name} {block}, but rows are of {name}s {others[:5]}")


def _parts(table: sa.Table) -> list[str]:
    """Return the column that says which part of a digest a row belongs to, none for a table that is replaced as a whole."""
    return [name for name in _PARTS if name in table.c]


def _part_column(table: sa.Table) -> sa.Column[Any]:
    """Return the column that says which part of a digest a row belongs to."""
    if not _parts(table):
        raise ValueError(f"{table.name} has no blocks; replace or read the whole stage digest")
    return table.c[_parts(table)[0]]


def _with_digest(rows: pa.Table, stage_digest: str) -> pa.Table:
    """Return the rows with their digest as the first column."""
    return rows.add_column(0, "stage_digest", pa.repeat(pa.scalar(stage_digest, pa.string()), rows.num_rows))


def _insert(connection: sa.Connection, table: sa.Table, rows: pa.Table) -> None:
    """Insert rows by the database's own bulk way."""
    quote = connection.dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in rows.column_names)
    if connection.dialect.name == "postgresql":
        _copy(connection, f"COPY {quote(table.name)} ({columns}) FROM STDIN WITH (FORMAT binary)", _in_order(table, rows, COPY_CHUNK_ROWS))
        return
    statement = f"INSERT INTO {quote(table.name)} ({columns}) VALUES ({', '.join('?' for _ in rows.column_names)})"
    for batch in _in_order(table, rows, SQLITE_CHUNK_ROWS):
        connection.exec_driver_sql(statement, _tuples(batch))


def _copy(connection: sa.Connection, statement: str, batches: Iterator[pa.RecordBatch]) -> None:
    """Send rows through COPY, batch by batch."""
    driver_error = connection.dialect.loaded_dbapi.Error
    with closing(connection.connection.cursor()) as cursor:
        for data in _one_ahead(_binary(batch) for batch in batches):
            try:
                cursor.copy_expert(statement, data, size=_SEND_BYTES)
            except driver_error as error:
                raise StoreError(f"the state database refused rows: {str(error).strip().splitlines()[0]}") from error


def _in_order(table: sa.Table, rows: pa.Table, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the rows in the order of the table's key, some at a time."""
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in _key(table)])
    for start in range(0, rows.num_rows, size):
        yield rows.take(order[start : start + size]).combine_chunks().to_batches()[0]


def _key(table: sa.Table) -> list[str]:
    """Return the names of the key's columns within a digest."""
    return [column.name for column in table.primary_key.columns if column.name != "stage_digest"]


def _binary(batch: pa.RecordBatch) -> io.BytesIO:
    """Return rows in the binary format of COPY."""
    from pgpq import ArrowToPostgresBinaryEncoder  # installed with the Postgres driver, which a state in SQLite does not need

    encoder = ArrowToPostgresBinaryEncoder(batch.schema)
    return io.BytesIO(b"".join((encoder.write_header(), encoder.write_batch(batch), encoder.finish())))


def _one_ahead(items: Iterator[io.BytesIO]) -> Iterator[io.BytesIO]:
    """Yield the items, the next one made by a thread meanwhile."""
    with ThreadPoolExecutor(max_workers=1) as maker:
        coming = maker.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = maker.submit(next, items, None)
            yield item


def _tuples(batch: pa.RecordBatch) -> list[tuple[Any, ...]]:
    """Return the rows of a batch as Python tuples, moments as the text that SQLite keeps."""
    columns = [
        pc.strftime(column.cast(pa.timestamp("us")), "%Y-%m-%d %H:%M:%S") if pa.types.is_timestamp(column.type) else column
        for column in batch.columns
    ]
    return list(zip(*(column.to_pylist() for column in columns), strict=True))


def _batch(rows: list[sa.Row[Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Return database rows as an Arrow batch."""
    columns = list(zip(*rows, strict=True))
    arrays = [pa.array(values, type=field.type) for values, field in zip(columns, schema, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)
