"""Outside parent tables: taken as they are, unknowns NULL and flagged, what is given is kept, what is missing is named."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from astropy.io import fits
from pyarrow import csv, parquet

from halo_core.errors import SurveyDataError
from halo_core.flags import Flag
from halo_core.stages.parent_apart import SplitsApart
from halo_core.stages.parent_external import conditions_from_maps, overlap_step
from halo_core.stages.parent_regions import given_regions
from halo_core.survey.bricks import brick_at, brick_by_name, brick_wcs
from halo_core.survey.catalogs import external_chunks
from halo_core.survey.regions import region_of
from tests.fixtures.parents import external_parents, make_bricks, make_objects, parent_config, select_parents
from tests.fixtures.survey import undefine_last

RA, DEC = np.array([28.41, 28.42, 28.43, 28.44]), np.array([-16.43, -16.44, -16.45, -16.46])


def table(**columns: Any) -> dict[str, Any]:
    given = {
        "objid": np.arange(1, 5),
        "ra": RA,
        "dec": DEC,
        "flux_g": np.full(4, 1.0),
        "flux_r": np.full(4, 10.0),
        "flux_z": np.full(4, 20.0),
    }
    return {name: np.asarray(values) for name, values in (given | columns).items() if values is not None}


def take(bricks: pa.Table | None = None, conditions: dict[str, Any] | None = None, **columns: Any) -> pa.Table:
    maps = conditions and (lambda ra, _dec, _names: {name: values[: len(ra)] for name, values in conditions.items()})
    return external_parents(table(**columns), bricks=bricks, maps=maps)[0]


def test_no_cut_is_applied_and_the_brick_comes_from_the_grid() -> None:
    parents = take()
    assert parents.num_rows == 4
    assert set(parents["brickname"].to_pylist()) == {"0285m165"}
    assert parents["host_id"].to_pylist() == [f"0285m165:{i}" for i in range(1, 5)]
    assert parents["rmag"].to_pylist() == [20.0] * 4
    assert parents["region_id"].to_pylist() == region_of(RA, DEC, 64).tolist()


def test_what_is_not_known_is_null_and_flagged() -> None:
    row = take().to_pylist()[0]
    assert row["w1mag"] is row["psfsize_r_arcsec"] is row["psfdepth_r_mag"] is row["is_v3_color_relaxed"] is row["type"] is None
    assert row["ebv"] == 0.0
    assert Flag(row["parent_flags"]) == Flag.EBV_UNKNOWN | Flag.W1_UNKNOWN | Flag.CONDITIONS_UNKNOWN


def test_what_is_known_is_not_flagged() -> None:
    bricks = make_bricks(brick_at(RA, DEC).brickid)
    row = take(bricks=bricks, flux_w1=np.full(4, 50.0)).to_pylist()[0]
    assert (row["ebv"], row["psfsize_r_arcsec"], row["psfdepth_z_mag"], row["parent_flags"]) == (0.05, 1.3, 23.3, 0)


def test_the_table_goes_before_the_bricks_and_the_bricks_before_the_maps() -> None:
    maps = {f"{stem}_{band}_{unit}": np.full(4, 9.0) for stem, unit in (("psfsize", "arcsec"), ("psfdepth", "mag")) for band in "grz"}
    bricks = make_bricks(brick_at(RA, DEC).brickid, psfsize_z_arcsec=np.array([np.nan]))
    row = take(bricks=bricks, conditions=maps, ebv=np.array([0.01, np.nan, 0.03, 0.04]), psfsize_g_arcsec=np.full(4, 1.1)).to_pylist()[1]
    assert (row["ebv"], row["psfsize_g_arcsec"], row["psfsize_r_arcsec"], row["psfsize_z_arcsec"]) == (0.05, 1.1, 1.3, 9.0)


def test_magnitudes_stand_in_for_fluxes_and_short_flag_names_for_long_ones() -> None:
    parents = take(flux_r=None, rmag=np.full(4, 19.5), is_v3=np.array([True, False, True, True]))
    assert parents["rmag"].to_pylist() == [19.5] * 4
    assert parents["is_v3_color_relaxed"].to_pylist() == [True, False, True, True]
    assert parents["is_v1_pure_massive"].null_count == 4


@pytest.mark.parametrize(
    "flag", [np.array([1.0, 0.0, np.nan, 1.0]), np.array([1, 0, 0, 1], dtype=np.uint8), np.array([True, False, False, True])]
)
def test_a_flag_of_the_table_decides_and_one_that_is_not_known_does_not_pass_and_stays_null(flag: np.ndarray) -> None:
    parents, flow = external_parents(table(is_v3=flag), variant="v3_color_relaxed")
    assert parents["objid"].to_pylist() == [1, 4]
    assert {step.name: step.n_after for step in flow}["v3_color_relaxed"] == 2
    third = None if np.isnan(flag[2]) else False
    assert take(is_v3=flag)["is_v3_color_relaxed"].to_pylist() == [True, False, third, True]


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (np.array([1, 0, 2, 1]), "is_v3 is no flag in 1 rows, the first 2 at objid 3; a flag is true or 1, false or 0, or NULL"),
        (np.array([1.0, 0.5, np.nan, 0.5]), "is_v3 is no flag in 2 rows, the first 0.5 at objid 2"),
        (np.array(["0", "1", "0", ""]), r"column is_v3 is of type <U1, such as \['0'\]; a flag is true"),
        (np.ones((4, 2), dtype=bool), "column is_v3 is of type bool"),
    ],
)
@pytest.mark.parametrize("variant", ["external", "v3_color_relaxed"])
def test_what_is_no_flag_is_refused(flag: np.ndarray, message: str, variant: str) -> None:
    with pytest.raises(SurveyDataError, match=message):
        external_parents(table(is_v3=flag), variant=variant)


def _write(path: Path, given: list[bool | None], *, as_numbers: bool) -> None:
    """Write a table with a flag, NULL as the format has it: nothing in Parquet and CSV, the byte 0 or TNULL in FITS."""
    columns = table()
    if "fits" in path.name:
        numbers = np.array([-1 if value is None else int(value) for value in given])
        flag = fits.Column("IS_V3", "J", null=-1, array=numbers) if as_numbers else fits.Column("IS_V3", "L", array=numbers == 1)
        made, plain = [*(fits.Column(name, "D", array=values) for name, values in columns.items()), flag], path.with_name("plain.fits")
        fits.BinTableHDU.from_columns(made).writeto(plain)
        undefine_last(plain, () if as_numbers else np.flatnonzero(numbers == -1).tolist())
        path.write_bytes(gzip.compress(plain.read_bytes()) if path.suffix == ".gz" else plain.read_bytes())
        return
    kind = pa.int16() if as_numbers else pa.bool_()
    arrow = pa.table(columns | {"is_v3": pa.array([None if value is None else kind.to_pandas_dtype()(value) for value in given], kind)})
    parquet.write_table(arrow, path) if path.suffix == ".parquet" else csv.write_csv(arrow, path)


@pytest.mark.parametrize("as_numbers", [False, True])
@pytest.mark.parametrize("name", ["t.parquet", "t.csv", "t.fits", "t.fits.gz"])
@pytest.mark.parametrize("given", [[True, False, None, True], [False, True, False, True], [None] * 4])
def test_a_flag_is_the_same_in_every_format_of_a_table(tmp_path: Path, name: str, as_numbers: bool, given: list[bool | None]) -> None:
    _write(tmp_path / name, given, as_numbers=as_numbers)
    for n_rows in (1, 3, 100):
        parts = [external_parents(chunk)[0] for chunk in external_chunks(tmp_path / name, n_rows=n_rows)]
        assert pa.concat_tables(parts)["is_v3_color_relaxed"].to_pylist() == given


def test_rows_without_position_or_r_flux_are_counted_and_left_out() -> None:
    columns = table(ra=np.append(RA[:3], np.nan), flux_r=np.array([10.0, -1.0, np.nan, 10.0]))
    parents, flow = external_parents(columns)
    assert parents["objid"].to_pylist() == [1]
    assert [(step.name, step.n_before - step.n_after) for step in flow][:2] == [("position", 1), ("r_flux", 2)]


def test_given_splits_and_regions_are_kept_and_overlaps_counted() -> None:
    split = np.array(["train", "train", "val", "test"])
    ra, dec = np.full(4, 28.42), np.array([-16.43, -16.44, -16.4401, -16.6])
    parents = take(region_split=split, region_id=np.array([7, 7, 8, 9]), ra=ra, dec=dec)
    assert parents["region_split"].to_pylist() == split.tolist()
    assert parents["region_id"].to_pylist() == [7, 7, 8, 9]
    assert not any(parents["is_guard"].to_pylist())
    apart = SplitsApart(60.0)
    apart.add(ra, dec, split)
    step = overlap_step(apart)
    assert (step.name, step.n_before - step.n_after, step.is_kept) == ("given_splits_apart", 3, True)


@pytest.mark.parametrize("name", ["objid", "ra", "dec", "flux_r"])
def test_a_missing_column_is_named(name: str) -> None:
    with pytest.raises(SurveyDataError, match=rf"columns missing: {name}.*; found"):
        take(**{name: None})


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"objid": np.array([1, 2, 2, 3])}, "1 of 4 rows repeat"),
        ({"objid": np.array([1, 2, 2.5, 3])}, r"objid must hold integers; 1 of 4 rows hold none, the first .*2\.5"),
        ({"objid": np.array(["1", "2", "3", "4"])}, "objid must hold integers; 4 of 4"),
        ({"region_id": np.array([7.0, np.nan, 8.0, np.inf])}, r"region_id must hold integers; 2 of 4 rows hold none, the first .*nan"),
        ({"region_split": np.array(["train", "dev", "val", "val"])}, r"region_split holds \['dev'\]"),
        ({"brickname": np.array(["0285m165"] * 3 + ["0285m999"])}, "0285m999"),
    ],
)
def test_a_bad_table_is_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SurveyDataError, match=message):
        take(**columns)


def test_a_target_outside_the_brick_it_names_is_flagged() -> None:
    parents = take(brickname=np.array(["0285m165"] * 4), dec=np.append(DEC[:3], -16.64))
    assert [bool(flags & Flag.OUTSIDE_PRIMARY) for flags in parents["parent_flags"].to_pylist()] == [False, False, False, True]


def test_conditions_come_from_the_pixel_of_the_target(tmp_path: Path) -> None:
    brick = brick_at(RA, DEC)
    wcs = brick_wcs(float(brick.ra[0]), float(brick.dec[0]))
    x, y = (np.rint(values).astype(int) for values in wcs.all_world2pix(RA, DEC, 0))
    sizes, ivars = np.zeros((3600, 3600), dtype=np.float32), np.zeros((3600, 3600), dtype=np.float32)
    sizes[y, x], ivars[y, x] = [1.1, 1.2, 0.0, 1.4], [2500.0, 0.0, 2500.0, 2500.0]
    for name, pixels in (("psfsize-r", sizes), ("depth-r", ivars)):
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(pixels, header=wcs.to_header())]).writeto(tmp_path / f"{name}.fits")
        with fits.open(tmp_path / f"{name}.fits", mode="update") as hdus:
            hdus[1].header["CD1_1"], hdus[1].header["CD2_2"], hdus[1].header["CD1_2"], hdus[1].header["CD2_1"] = (
                *wcs.wcs.cd.diagonal(),
                0.0,
                0.0,
            )
    found = conditions_from_maps(RA, DEC, brick.brickname, lambda _, plane: tmp_path / f"{plane}.fits" if plane.endswith("-r") else None)
    np.testing.assert_allclose(found["psfsize_r_arcsec"], [1.1, 1.2, np.nan, 1.4], rtol=1e-6)
    np.testing.assert_allclose(found["psfdepth_r_mag"], [25.0, np.nan, 25.0, 25.0], rtol=1e-6)  # 5 / sqrt(2500) = 0.1 nmgy
    assert np.isnan(found["psfsize_g_arcsec"]).all()


SETS = {
    "selection_set_id": ["a", "b", "b"],
    "selection_strategy": ["top", "random", "random"],
    "ranking_mode": ["density", "none", "none"],
    "region_id": [1, 1, 2],
    "region_split": ["train", "train", "val"],
}


def regions(sets: dict[str, Any] | None, **columns: Any) -> Any:
    bricks = {"brickname": ["0285m165", "0284m162", "0001m002"], "region_id": [1, 2, 3], "region_split": ["train", "val", "test"]} | columns
    return given_regions(
        {name: np.array(values) for name, values in bricks.items()}, sets and {name: np.array(values) for name, values in sets.items()}
    )


def test_every_region_of_the_bricks_is_kept_and_the_sets_are_a_table_beside_them() -> None:
    given = regions(SETS)
    brickid = brick_by_name(["0285m165", "0284m162", "0001m002", "0001m005"]).brickid
    assert given.has_brick(brickid).tolist() == [True, True, True, False]
    columns = given.columns(brickid[[1, 0, 2]])
    assert columns["region_id"].tolist() == [2, 1, 3]
    assert columns["region_split"].tolist() == ["val", "train", "test"]
    assert not columns["is_guard"].any()
    assert given.membership is not None
    assert given.membership.to_pydict() == SETS
    assert regions(None).membership is None


@pytest.mark.parametrize(
    ("sets", "columns", "message"),
    [
        (SETS | {"region_split": ["train", "val", "val"]}, {}, "region 1 is in splits train and val"),
        (SETS | {"region_id": [1, 1, 5]}, {}, "1 regions that have no brick, such as 5"),
        (SETS, {"region_split": ["train", "val", "dev"]}, "region_split 'dev'"),
        (SETS, {"brickname": ["0285m165", "0285m165", "0001m002"]}, "1 of 3 rows repeat a brick"),
        ({"region_id": [1]}, {}, "region selections: columns missing"),
    ],
)
def test_regions_that_contradict_themselves_are_refused(sets: dict[str, Any], columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SurveyDataError, match=message):
        regions(sets, **columns)


def test_given_regions_replace_cells_in_the_selection() -> None:
    objects = make_objects(3, seed=1)
    names = objects["brickname"].tolist()
    given = given_regions(
        {"brickname": np.array(names[:2]), "region_id": np.array([4, 5]), "region_split": np.array(["val", "test"])}, None
    )
    parents, flow = select_parents(objects, make_bricks(objects["brickid"]), parent_config(), regions=given)
    assert parents["region_id"].to_pylist() == [4, 5]
    assert {step.name: step.n_after for step in flow}["brick_in_region"] == 2
