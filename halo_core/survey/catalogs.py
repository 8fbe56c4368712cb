"""Catalogues of the survey as they enter: column names, units and types are made ours here and nowhere else.

The brick table's ``psfdepth`` is an AB magnitude, the sweeps' ``psfdepth`` an inverse variance under the same name: on entry the first
becomes ``psfdepth_<band>_mag``, the second stays a raw column of the sweep.
"""

import gzip
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet
from pyarrow import dataset as ds

from halo_core import records
from halo_core.constants import BANDS
from halo_core.errors import ConventionError, SurveyDataError
from halo_core.survey.bricks import Bricks, brick_by_name
from halo_core.survey.fits_table import GZIP_MAGIC, FitsTable, ReadRange, lower_names, open_fits_table

Columns = dict[str, NDArray[Any]]

_SWEEP_PER_BAND = ("flux", "flux_ivar", "mw_transmission", "nobs", "psfsize", "psfdepth")
_SWEEP_W1 = ("flux_w1", "flux_ivar_w1", "mw_transmission_w1")
_SWEEP_FIBER = ("fiberflux_z", "fibertotflux_z", "gaia_phot_g_mean_mag")
_SWEEP_SHAPE = ("shape_r", "shape_e1", "shape_e2", "sersic")

REQUIRED_SWEEP_COLUMNS: tuple[str, ...] = (
    *("release", "brickid", "brickname", "objid", "type", "ra", "dec", "ebv", "maskbits"),
    *(f"{stem}_{band}" for stem in _SWEEP_PER_BAND for band in BANDS),
    *_SWEEP_W1,
    *_SWEEP_FIBER,
    *_SWEEP_SHAPE,
)
"""Columns that a catalogue must have, lower case."""

SELECTION_COLUMNS: tuple[str, ...] = tuple(
    name for name in REQUIRED_SWEEP_COLUMNS if name not in _SWEEP_SHAPE and not name.startswith(("psfsize_", "psfdepth_"))
)
"""Those of them that the selection of parents reads."""

SWEEP_CHUNK_BYTES = 32 << 20
"""How much of a sweep is read at once [bytes]."""

_REQUIRED_BRICK_COLUMNS = ("brickname", "ra", "dec", "ebv", *(f"{stem}_{band}" for stem in ("psfsize", "psfdepth") for band in BANDS))
_CENTRE_TOLERANCE_DEG = 1e-3
_FAINTEST_DEPTH_MAG = 35.0
_PARQUET = (".parquet", ".pq")
_FITS = (".fits", ".fits.gz", ".fit", ".fits.fz")


def read_bricks(path: Path | str) -> pa.Table:
    """Return the survey's brick table under our names and units.

    Parameters
    ----------
    path : path
        FITS (plain or gzipped), Parquet (file or folder) or CSV; upper or lower case. Needed: brickname, ra, dec, ebv, psfsize_g/r/z
        [arcsec], psfdepth_g/r/z [AB mag]. nexp_g/r/z may be absent; ids and edges come from the closed-form grid.

    Returns
    -------
    Table
        Schema ``records.BRICKS``. A band without data (psfsize or psfdepth zero or not finite) is NULL, and so is nexp where absent.

    Raises
    ------
    SurveyDataError
        A column is missing, a brick is not of the grid, is named twice, or its id or centre disagrees with its name.
    ConventionError
        psfdepth holds values that are no magnitudes.
    """
    raw = read_external(path)
    _require(raw, _REQUIRED_BRICK_COLUMNS, str(path))
    grid = brick_by_name(raw["brickname"])
    _check_grid(raw, grid, Path(path))
    columns: dict[str, Any] = {
        "brickname": pa.array(grid.brickname),
        **{name: getattr(grid, name) for name in ("brickid", "ra", "dec", "ra1", "ra2", "dec1", "dec2")},
        "ebv": np.asarray(raw["ebv"], np.float64),
    }
    for band in BANDS:
        columns[f"nexp_{band}"] = _counts(raw, f"nexp_{band}")
        columns[f"psfsize_{band}_arcsec"] = _positive(raw[f"psfsize_{band}"])
        columns[f"psfdepth_{band}_mag"] = _depth_mag(raw[f"psfdepth_{band}"], band, Path(path))
    return records.conform(columns, records.BRICKS, where=str(path))


def open_sweep(read_range: ReadRange, *, where: str) -> FitsTable:
    """Return a sweep (or Tractor) catalogue of which only the header is read.

    Parameters
    ----------
    read_range : callable
        Gives bytes start to stop (not included) of the file: a FITS table of DR9 or later in HDU 1, upper or lower case.
    where : str
        The file, for messages.

    Raises
    ------
    SurveyDataError
        The file is no FITS table whose rows can be read by ranges, or lacks a column; a DR8-style table is called so.
    """
    table = open_fits_table(read_range, where=where)
    _require(table.names, REQUIRED_SWEEP_COLUMNS, where)
    return table


def sweep_chunks(
    sweep: FitsTable, *, columns: Iterable[str] = REQUIRED_SWEEP_COLUMNS, chunk_bytes: int = SWEEP_CHUNK_BYTES
) -> Iterator[Columns]:
    """Yield a sweep as raw columns, some rows at a time; what is held does not grow with the file.

    Parameters
    ----------
    sweep : FitsTable
        As from ``open_sweep``.
    columns : iterable of str
        Lower-case names of columns that it has.
    chunk_bytes : int
        Most bytes of the file that are held at once [bytes].

    Yields
    ------
    dict of str to ndarray, each shape (n,)
        The columns in native byte order, text without trailing blanks, and ``brick_primary`` (True throughout where the file has none:
        sweeps hold primary objects only). Units are the file's: fluxes nmgy, not extinction corrected; psfdepth nmgy^-2.

    Raises
    ------
    SurveyDataError
        The file is cut short.
    """
    primary = ("brick_primary",) if "brick_primary" in sweep.names else ()
    for chunk in sweep.chunks(dict.fromkeys((*columns, *primary)), chunk_bytes=chunk_bytes):
        yield {"brick_primary": np.ones(len(next(iter(chunk.values()))), np.bool_)} | chunk


def read_external(path: Path | str) -> Columns:
    """Return a table as it is, one array per column, names in lower case.

    Parameters
    ----------
    path : path
        CSV, FITS (table in HDU 1) or Parquet (a file or a folder of them), told apart by the name.

    Returns
    -------
    dict of str to ndarray, each shape (n,)
        Native byte order. NULL numbers are NaN (integers and booleans with NULLs become floats, true 1), NULL text is empty.

    Raises
    ------
    SurveyDataError
        The format is unknown, the file does not parse, or two columns differ in case only.
    FileNotFoundError
        There is no such file.
    """
    file = Path(path)
    name = file.name.lower()
    if file.is_dir() or name.endswith(_PARQUET):
        return _from_arrow(_parsed(parquet.read_table, file), file)
    if name.endswith(".csv"):
        return _from_arrow(_parsed(csv.read_csv, file), file)
    if name.endswith(_FITS):
        return _from_fits(file)
    raise SurveyDataError(f"{file}: unknown table format; expected .csv, .parquet, a folder of Parquet files, or {', '.join(_FITS)}")


def external_chunks(path: Path | str, *, n_rows: int, columns: Collection[str] | None = None) -> Iterator[Columns]:
    """Yield a table as it is, some rows at a time; CSV and compressed FITS, which cannot be read in pieces, as a whole.

    Parameters
    ----------
    path : path
        As for ``read_external``.
    n_rows : int
        Most rows of a Parquet or FITS table that are held at once [rows].
    columns : collection of str, optional
        Lower-case names of the columns that are wanted, those of them that are there; all of them without it.

    Yields
    ------
    dict of str to ndarray, each shape (n,)
        As from ``read_external``, in the order of the file, or of the files by name.
    """
    file, name = Path(path), Path(path).name.lower()
    if file.is_dir() or name.endswith(_PARQUET):
        dataset = _parsed(lambda found: ds.dataset(found, format="parquet"), file)
        wanted = [raw for name, raw in lower_names(dataset.schema.names, str(file)).items() if columns is None or name in columns]
        for batch in dataset.to_batches(columns=wanted, batch_size=n_rows, batch_readahead=1, fragment_readahead=1):
            if batch.num_rows:
                yield _from_arrow(pa.Table.from_batches([batch]), file)
    elif name.endswith((".fits", ".fit")):
        with file.open("rb") as handle:

            def read_range(start: int, stop: int) -> bytes:
                handle.seek(start)
                return handle.read(stop - start)

            table = open_fits_table(read_range, where=str(file))
            wanted = [name for name in table.names if columns is None or name in columns]
            yield from table.chunks(wanted, chunk_bytes=n_rows * table.row_bytes)
    else:
        whole = read_external(file)
        yield whole if columns is None else {name: values for name, values in whole.items() if name in columns}


def _require(given: Mapping[str, object], needed: Iterable[str], where: str) -> None:
    """Raise for missing columns, naming them and a release that never had them."""
    missing = [name for name in needed if name not in given]
    if missing:
        old = " (a DR8-style table: it has SHAPEDEV_R instead of SHAPE_R; use DR9 or later)" if "shapedev_r" in given else ""
        raise SurveyDataError(
            f"{where}: columns missing: {', '.join(missing)}{old}; found {len(given)} columns: {', '.join(sorted(given))}"
        )


def _from_fits(file: Path) -> Columns:
    """Return the table in HDU 1 of a file, unpacked where it is gzipped."""
    data = file.read_bytes()
    if data.startswith(GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (EOFError, OSError, zlib.error) as error:
            raise SurveyDataError(f"{file}: does not unpack: {error}; fetch it again") from error
    return open_fits_table(lambda start, stop: data[start:stop], where=str(file)).whole()


def _parsed(reader: Any, file: Path) -> Any:
    """Return what an arrow reader makes of a file, or say why it does not parse."""
    try:
        return reader(file)
    except pa.ArrowInvalid as error:
        raise SurveyDataError(f"{file}: does not parse: {error}") from error


def _from_arrow(table: pa.Table, path: Path) -> Columns:
    """Return arrow columns as arrays."""
    return {name: _array(table[raw]) for name, raw in lower_names(table.column_names, str(path)).items()}


def _array(column: pa.ChunkedArray) -> NDArray[Any]:
    """Return one arrow column: text as text, NULL as NaN or empty."""
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type) or pa.types.is_dictionary(column.type):
        return np.array([value or "" for value in column.to_pylist()], dtype=np.str_)
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if pa.types.is_boolean(column.type) and column.null_count:
        column = column.cast(pa.int8())
    return np.array(column.to_numpy())


def _check_grid(raw: Columns, grid: Bricks, path: Path) -> None:
    """Check that every name is there once and that given ids and centres are those of the name."""
    n_twice = len(grid.brickid) - len(np.unique(grid.brickid))
    if n_twice:
        raise SurveyDataError(f"{path}: {n_twice} rows repeat a brick; one row per brick is expected")
    off = np.abs((np.asarray(raw["ra"], np.float64) - grid.ra + 180.0) % 360.0 - 180.0) * np.cos(np.deg2rad(grid.dec))
    wrong = ~((off < _CENTRE_TOLERANCE_DEG) & (np.abs(np.asarray(raw["dec"], np.float64) - grid.dec) < _CENTRE_TOLERANCE_DEG))
    if "brickid" in raw:
        wrong |= np.asarray(raw["brickid"]) != grid.brickid
    if wrong.any():
        names = ", ".join(grid.brickname[wrong][:5])
        raise SurveyDataError(f"{path}: id or centre of {int(wrong.sum())} bricks is not that of the brick's name: {names}")


def _counts(raw: Columns, name: str) -> NDArray[Any] | pa.Array:
    """Return a column of counts, NULL throughout where the table has none."""
    if name not in raw:
        return pa.nulls(len(raw["brickname"]), pa.int64())
    values = raw[name]
    if values.dtype.kind != "f":
        return values
    return pa.array(np.nan_to_num(values).astype(np.int64), mask=~np.isfinite(values))


def _positive(values: NDArray[Any]) -> NDArray[np.float64]:
    """Return the values, NaN where they are not positive."""
    array = np.asarray(values, dtype=np.float64)
    return np.where(np.isfinite(array) & (array > 0.0), array, np.nan)


def _depth_mag(values: NDArray[Any], band: str, path: Path) -> NDArray[np.float64]:
    """Return a depth in magnitudes, refusing inverse variances under the same name."""
    depth = _positive(values)
    if np.nanmax(depth, initial=0.0) > _FAINTEST_DEPTH_MAG:
        raise ConventionError(
            f"{path}: psfdepth_{band} reaches {np.nanmax(depth):.4g}, above {_FAINTEST_DEPTH_MAG}: these are inverse variances (nmgy^-2); "
            "the brick table's psfdepth is an AB magnitude"
        )
    return depth
