"""Catalogues on entry: names, units, and the traps of both."""

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from pyarrow import csv, parquet

from halo_core.errors import ConventionError, SurveyDataError
from halo_core.records import BRICKS
from halo_core.survey.bricks import brick_by_name
from halo_core.survey.catalogs import REQUIRED_SWEEP_COLUMNS, read_bricks, read_external
from halo_core.survey.layout import BRICKS_KEY
from halo_core.survey.mock import MockSurvey
from tests.fixtures.survey import read_sweeps

NAMES = ["0285m165", "0001m002"]


def brick_columns(**changes: object) -> dict[str, object]:
    """Return a brick table of two rows, some columns changed."""
    grid = brick_by_name(NAMES)
    columns: dict[str, object] = {"brickname": NAMES, "ra": grid.ra, "dec": grid.dec, "brickid": grid.brickid, "ebv": [0.02, 0.03]}
    for band, size, depth in (("g", 1.4, 24.9), ("r", 1.3, 24.5), ("z", 1.2, 23.4)):
        columns |= {f"psfsize_{band}": [size, size], f"psfdepth_{band}": [depth, depth], f"nexp_{band}": [3, 4]}
    return columns | changes


def written(path: Path, columns: dict[str, object]) -> Path:
    """Return the path of a table written in the format of its name."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    if path.suffix == ".csv":
        csv.write_csv(table, path)
    elif path.suffix == ".parquet":
        parquet.write_table(table, path)
    else:
        fits.BinTableHDU.from_columns(
            [
                fits.Column(name=name, array=np.asarray(values), format="8A" if name.lower() == "brickname" else "D")
                for name, values in columns.items()
            ]
        ).writeto(path)
    return path


def test_brick_table_comes_out_in_our_columns_and_units(tiny_survey: tuple[MockSurvey, Path]) -> None:
    table = read_bricks(tiny_survey[1] / BRICKS_KEY)
    assert table.schema.equals(BRICKS)
    assert table.num_rows == tiny_survey[0].n_bricks
    assert 24.0 < min(table["psfdepth_r_mag"].to_pylist()) < 27.0
    assert 0.7 < min(table["psfsize_r_arcsec"].to_pylist()) < 1.6


@pytest.mark.parametrize("name", ["bricks.csv", "bricks.parquet", "bricks.fits"])
def test_all_formats_and_both_cases_read_the_same(tmp_path: Path, name: str) -> None:
    upper = {column.upper(): values for column, values in brick_columns().items()}
    table = read_bricks(written(tmp_path / name, upper))
    assert table["brickid"].to_pylist() == [236687, 328928]
    assert table["psfdepth_z_mag"].to_pylist() == [23.4, 23.4]
    assert table["nexp_g"].to_pylist() == [3, 4]
    assert table["ra1"].to_pylist()[1] == 0.0


@pytest.mark.parametrize(
    ("name", "bands", "case"),
    [
        ("survey-bricks-dr10-south.fits.gz", "griz", str.lower),
        ("survey-bricks-dr9-south.fits.gz", "grz", str.lower),
        ("survey-bricks-dr9-north.fits.gz", "grz", str.upper),
    ],
)
def test_tables_of_either_release_and_side_give_the_same_columns(tmp_path: Path, name: str, bands: str, case: Callable[[str], str]) -> None:
    """With what else they hold: counts of galaxies called nexp, histograms as vectors, more bands, truth values."""
    names = ["1773p595", "0959p805"] if "north" in name else NAMES
    grid = brick_by_name(names)
    columns = [fits.Column("brickname", "8A", array=names), fits.Column("nexp", "J", array=[70, 80])]
    columns += [fits.Column(key, "D", array=getattr(grid, key)) for key in ("ra", "dec", "ra1", "ra2", "dec1", "dec2")]
    columns += [fits.Column("ebv", "E", array=[0.02, 0.03]), fits.Column("survey_primary", "L", array=[True, False])]
    for band in bands:
        columns += [fits.Column(f"nexp_{band}", "I", array=[3, 4]), fits.Column(f"nexphist_{band}", "11J", array=np.ones((2, 11)))]
        columns += [fits.Column(f"{stem}_{band}", "E", array=[value] * 2) for stem, value in (("psfsize", 1.25), ("psfdepth", 24.5))]
    for column in columns:
        column.name = case(column.name)
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / name)
    table = read_bricks(tmp_path / name)
    assert table.schema.equals(BRICKS)
    assert table["brickname"].to_pylist() == names
    assert table["nexp_r"].to_pylist() == [3, 4]
    assert table["psfdepth_z_mag"].to_pylist() == [24.5, 24.5]


def test_the_table_of_the_whole_sky_which_has_no_conditions_is_refused_by_what_it_lacks(tmp_path: Path) -> None:
    grid = brick_by_name(NAMES)
    columns = [fits.Column("BRICKNAME", "8A", array=NAMES), fits.Column("BRICKID", "J", array=grid.brickid)]
    columns += [fits.Column(key.upper(), "D", array=getattr(grid, key)) for key in ("ra", "dec", "ra1", "ra2", "dec1", "dec2")]
    fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "survey-bricks.fits.gz")
    with pytest.raises(SurveyDataError, match="columns missing: ebv, psfsize_g"):
        read_bricks(tmp_path / "survey-bricks.fits.gz")


def test_a_band_without_data_is_null_and_absent_counts_are_too(tmp_path: Path) -> None:
    columns = brick_columns(psfsize_g=[0.0, 1.2], psfdepth_g=[0.0, 24.0], psfdepth_z=[float("nan"), 23.0])
    del columns["nexp_r"]
    table = read_bricks(written(tmp_path / "b.parquet", columns))
    assert table["psfsize_g_arcsec"].to_pylist() == [None, 1.2]
    assert table["psfdepth_g_mag"].to_pylist() == [None, 24.0]
    assert table["psfdepth_z_mag"].to_pylist() == [None, 23.0]
    assert table["nexp_r"].to_pylist() == [None, None]


def test_inverse_variances_under_the_name_of_the_magnitude_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "b.parquet", brick_columns(psfdepth_r=[1500.0, 1400.0]))
    with pytest.raises(ConventionError, match=r"psfdepth_r reaches 1500.*AB magnitude"):
        read_bricks(path)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"brickname": ["0285m165", "0285m165"]}, "repeat a brick"),
        ({"brickname": ["0285m165", "9999p999"]}, "grid"),
        ({"brickid": [236687, 1]}, "not that of the brick's name: 0001m002"),
        ({"ra": [28.523878437047756, 0.2]}, "not that of the brick's name: 0001m002"),
    ],
)
def test_bricks_that_contradict_the_grid_are_refused(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(SurveyDataError, match=reason):
        read_bricks(written(tmp_path / "b.parquet", brick_columns(**changes)))


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    columns = brick_columns()
    del columns["psfdepth_r"], columns["ebv"]
    with pytest.raises(SurveyDataError, match="columns missing: ebv, psfdepth_r;"):
        read_bricks(written(tmp_path / "b.csv", columns))


def test_sweeps_keep_their_raw_values_under_lower_case_names(tiny_survey: tuple[MockSurvey, Path]) -> None:
    paths = sorted((tiny_survey[1] / "sweep/10.1").glob("*.fits"))
    rows = read_sweeps(paths)
    assert set(rows) == {*REQUIRED_SWEEP_COLUMNS, "brick_primary"}
    assert len({len(values) for values in rows.values()}) == 1
    assert all(values.dtype.isnative for values in rows.values())
    assert set(rows["type"]) == {"DEV", "EXP", "PSF"}
    assert rows["brick_primary"].all()
    assert len(rows["ra"]) == sum(len(read_sweeps([path])["ra"]) for path in paths)
    with fits.open(paths[0]) as hdus:
        assert np.array_equal(rows["flux_z"][: len(hdus[1].data)], hdus[1].data["FLUX_Z"])


def test_a_missing_sweep_column_is_named_and_an_old_release_recognised(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> None:
    source = min((tiny_survey[1] / "sweep/10.1").glob("*.fits"))
    with fits.open(source) as hdus:
        columns = [column for column in hdus[1].columns if column.name not in ("SHAPE_R", "SERSIC")]
        n_rows = len(hdus[1].data)
        fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "short.fits")
        old = [*columns, fits.Column(name="SHAPEDEV_R", format="E", array=np.zeros(n_rows))]
        fits.BinTableHDU.from_columns(old).writeto(tmp_path / "old.fits")
    with pytest.raises(SurveyDataError, match="columns missing: shape_r, sersic;"):
        read_sweeps([tmp_path / "short.fits"])
    with pytest.raises(SurveyDataError, match="DR8-style"):
        read_sweeps([tmp_path / "old.fits"])


def test_tractor_rows_say_which_are_primary(tiny_survey: tuple[MockSurvey, Path], tmp_path: Path) -> None:
    source = min((tiny_survey[1] / "sweep/10.1").glob("*.fits"))
    with fits.open(source) as hdus:
        is_primary = np.arange(len(hdus[1].data)) % 2 == 0
        columns = [*hdus[1].columns, fits.Column(name="brick_primary", format="L", array=is_primary)]
        fits.BinTableHDU.from_columns(columns).writeto(tmp_path / "tractor.fits")
    assert np.array_equal(read_sweeps([tmp_path / "tractor.fits"])["brick_primary"], is_primary)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "fits"])
def test_external_tables_come_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = written(tmp_path / f"t.{suffix}", {"BRICKNAME": NAMES, "Flux_R": [1.5, 2.5]})
    table = read_external(path)
    assert table["brickname"].tolist() == NAMES
    assert table["flux_r"].tolist() == [1.5, 2.5]


def test_a_table_without_rows_has_its_columns(tmp_path: Path) -> None:
    table = read_external(written(tmp_path / "t.fits", {"BRICKNAME": np.array([], dtype="U8"), "Flux_R": []}))
    assert {name: len(values) for name, values in table.items()} == {"brickname": 0, "flux_r": 0}


def test_nulls_of_external_tables_are_nan_or_empty(tmp_path: Path) -> None:
    table = read_external(written(tmp_path / "t.parquet", {"a": [1, None], "b": ["x", None], "c": [None, None], "d": [True, None]}))
    assert np.array_equal(table["a"], [1.0, np.nan], equal_nan=True)
    assert table["b"].tolist() == ["x", ""]
    assert np.isnan(table["c"]).all()
    assert np.array_equal(table["d"], [1.0, np.nan], equal_nan=True)


def test_tables_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SurveyDataError, match="differ from another one in case only"):
        read_external(written(tmp_path / "t.parquet", {"ra": [1.0], "RA": [2.0]}))
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(SurveyDataError, match="unknown table format"):
        read_external(tmp_path / "t.xlsx")
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(SurveyDataError, match="does not parse"):
        read_external(tmp_path / "bad.parquet")
    (tmp_path / "cut.fits.gz").write_bytes(gzip.compress(b"x" * 1000)[:-9])
    with pytest.raises(SurveyDataError, match=r"cut\.fits\.gz: does not unpack: .*; fetch it again"):
        read_external(tmp_path / "cut.fits.gz")
    fits.PrimaryHDU(np.zeros((3, 3))).writeto(tmp_path / "image.fits")
    with pytest.raises(SurveyDataError, match="not a binary table"):
        read_external(tmp_path / "image.fits")
