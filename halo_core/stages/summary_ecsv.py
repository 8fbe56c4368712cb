"""Completeness cells as ECSV: text with a head that gives type, unit and meaning of every column, as astropy reads it.

Numbers are written with as many digits as give them back to the bit. What is NULL in the cells is an empty field, which astropy masks; so
is an empty text.
"""

from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
from astropy.table import Column, Table
from astropy.units import Unit

from halo_core.errors import ConventionError

_UNITS = {"arcsec": "arcsec", "pix": "pix", "AB mag": "mag", "mag": "mag", "deg": "deg", "rad": "rad"}
"""Units of the columns' meanings as astropy spells them; which zero point a magnitude has is said in the description."""


def write_ecsv(path: Path, cells: pa.Table) -> None:
    """Write a table of the project's schemas as ECSV, comma-separated.

    Parameters
    ----------
    path : Path
        File to write.
    cells : Table
        Numbers, booleans and text; the metadata of each field gives its meaning, and its unit in brackets where it has one.

    Raises
    ------
    ConventionError
        A unit is not known here.
    """
    head = StringIO()
    Table([_empty_column(field) for field in cells.schema]).write(head, format="ascii.ecsv", delimiter=",")
    body = BytesIO()
    written = pa.table({field.name: _text_of_booleans(cells[field.name]) for field in cells.schema})
    pa_csv.write_csv(written, body, pa_csv.WriteOptions(include_header=False))
    path.write_bytes(head.getvalue().encode() + body.getvalue())


def _empty_column(field: pa.Field) -> Column:
    """Return a column without rows that has a field's name, type, unit and meaning."""
    kind = np.dtype(np.str_) if pa.types.is_string(field.type) else np.dtype(field.type.to_pandas_dtype())
    doc = field.metadata[b"doc"].decode()
    return Column(name=field.name, dtype=kind, unit=_unit(field.name, doc), description=doc)


def _unit(name: str, doc: str) -> Unit | None:
    """Return the unit that a meaning begins with, None where it has none."""
    if not doc.startswith("["):
        return None
    text = doc[1 : doc.index("]")]
    if text not in _UNITS:
        raise ConventionError(f"column {name}: unit {text!r} has no name in ECSV; known are {list(_UNITS)}, see summary_ecsv")
    return Unit(_UNITS[text])


def _text_of_booleans(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column as it is, booleans as the words that ECSV has for them."""
    return pc.if_else(column, "True", "False") if pa.types.is_boolean(column.type) else column
