"""Columns of the tables between stages: documented, named with their units, and refused where a table differs."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pytest

from halo_core.constants import BANDS
from halo_core.errors import ConventionError
from halo_core.records import BRICKS, CELLS, MANIFEST, PARENTS, PLANES, REGION_CELLS, RESULTS, arcs_schema, conform, hosts_schema

SCHEMAS: Mapping[str, pa.Schema] = {
    "bricks": BRICKS,
    "parents": PARENTS,
    "manifest": MANIFEST,
    "results": RESULTS,
    "planes": PLANES,
    "hosts": hosts_schema(8),
    "arcs": arcs_schema(8),
    "cells": CELLS,
    "region_cells": REGION_CELLS,
}

# The names of the reference campaign; more columns may be added, none of these renamed.
REFERENCE_NAMES = {
    "manifest": (
        "task_id, physical_id, experiment_id, tier, region_id, region_split, brickname, objid, ra, dec, rmag, zmag, psfsize_g_arcsec, "
        "psfsize_r_arcsec, psfsize_z_arcsec, psfdepth_r_mag, ebv, psf_stratum, depth_stratum, config_id, theta_e_arcsec, src_dmag, "
        "src_reff_arcsec, src_e, shear, stamp_size, bandset, replicate, is_control, task_seed, src_x_arcsec, src_y_arcsec, src_phi_rad, "
        "shear_phi_rad, src_gr, src_rz, lens_model, lens_e, lens_phi_rad, src_n_sersic, src_flux_g_nmgy, src_flux_r_nmgy, "
        "src_flux_z_nmgy, host_repeat, sampling_weight, block"
    ),
    "results": (
        "cutout_ok, metrics_ok, flags, snr_peak_pixel_r, snr_matched_g, snr_matched_r, snr_matched_z, total_injected_flux_g_nmgy, "
        "total_injected_flux_r_nmgy, total_injected_flux_z_nmgy, magnification, bad_pixel_frac, wise_brightmask_frac, "
        "psf_fwhm_used_g_arcsec, psf_fwhm_used_r_arcsec, psf_fwhm_used_z_arcsec, psf_source_g, psf_source_r, psf_source_z, "
        "psf_fwhm_model_g_arcsec, psf_fwhm_model_r_arcsec, psf_fwhm_model_z_arcsec, snr_matched_all, snr_aperture_r, "
        "bad_pixel_frac_g, bad_pixel_frac_z"
    ),
}

UNITS = {"[deg]": ("ra", "dec"), "[arcsec]": ("arcsec",), "[rad]": ("_rad",), "[pix]": ("pix", "size"), "[nmgy]": ("nmgy",)}
"""How a column whose meaning starts with the unit may be named."""

SMALL = pa.schema([pa.field("name", pa.string(), False), pa.field("x", pa.float64(), False), pa.field("y", pa.float64())])


def given(**changes: object) -> dict[str, object]:
    return {"name": ["a", "b"], "x": [1.0, 2.0], "y": [3.0, None]} | changes


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_column_stands_once_and_says_what_it_means(name: str) -> None:
    schema = SCHEMAS[name]
    assert len(set(schema.names)) == len(schema.names)
    assert all(field.metadata[b"doc"].strip() for field in schema)


@pytest.mark.parametrize("name", SCHEMAS)
def test_names_carry_the_unit_that_the_meaning_states(name: str) -> None:
    for field in SCHEMAS[name]:
        doc = field.metadata[b"doc"].decode()
        for unit, endings in UNITS.items():
            if doc.startswith(unit) and field.name not in ("ra1", "ra2", "dec1", "dec2"):
                assert field.name.endswith(endings), (field.name, doc)


@pytest.mark.parametrize("name", REFERENCE_NAMES)
def test_manifest_and_results_have_the_names_of_the_reference_campaign(name: str) -> None:
    assert set(REFERENCE_NAMES[name].split(", ")) <= set(SCHEMAS[name].names)


def test_metrics_may_be_null_and_identities_and_seeds_may_not() -> None:
    measured = [name for name in RESULTS.names if name not in ("task_id", "block", "cutout_ok", "metrics_ok", "flags")]
    assert all(RESULTS.field(name).nullable for name in measured)
    assert not any(RESULTS.field(name).nullable for name in ("task_id", "flags", "metrics_ok"))
    assert not any(MANIFEST.field(name).nullable for name in ("task_id", "physical_id", "task_seed", "theta_e_arcsec", "src_flux_r_nmgy"))


def test_stored_stamps_have_the_length_of_their_size() -> None:
    for schema, stem in ((hosts_schema(96), "image"), (hosts_schema(96), "invvar"), (arcs_schema(96), "arc")):
        for band in BANDS:
            kind = schema.field(f"{stem}_{band}").type
            assert (kind.list_size, kind.value_type) == (96 * 96, pa.float32())
    assert hosts_schema(64).field("maskbits").type == pa.list_(pa.int32(), 64 * 64)


def test_conform_gives_exactly_the_schema_in_its_order() -> None:
    table = conform({"y": [3, 4], "x": np.array([1.0, 2.0], dtype=np.float32), "name": ["a", "b"]}, SMALL, where="test")
    assert table.schema.equals(SMALL, check_metadata=True)
    assert table.to_pylist() == [{"name": "a", "x": 1.0, "y": 3.0}, {"name": "b", "x": 2.0, "y": 4.0}]
    assert conform(table, SMALL, where="again").equals(table)


@pytest.mark.parametrize("as_arrow", [False, True])
def test_nan_is_null_where_that_is_allowed_and_refused_where_it_is_not(as_arrow: bool) -> None:
    values = np.array([1.0, np.nan])
    column = pa.array(values) if as_arrow else values
    assert conform(given(y=column), SMALL, where="test")["y"].to_pylist() == [1.0, None]
    with pytest.raises(ConventionError, match="column x holds 1 NULL or NaN of 2 rows"):
        conform(given(x=column), SMALL, where="test")


@pytest.mark.parametrize("column", [[None, "a"], pa.array(["a", None])])
def test_null_is_refused_where_a_column_must_hold_a_value(column: object) -> None:
    with pytest.raises(ConventionError, match="made table: column name holds 1 NULL"):
        conform(given(name=column), SMALL, where="made table")


def test_missing_and_unknown_columns_are_named() -> None:
    with pytest.raises(ConventionError, match=r"missing \['x'\], unknown \['z'\]"):
        conform({"name": ["a"], "y": [1.0], "z": [1]}, SMALL, where="test")


@pytest.mark.parametrize("column", [["one", "two"], pa.array(["one", "two"]), [object(), object()]])
def test_a_column_that_does_not_convert_is_named(column: object) -> None:
    with pytest.raises(ConventionError, match="column x does not convert to double"):
        conform(given(x=column), SMALL, where="test")


def test_numbers_too_large_or_broken_for_an_integer_column_are_refused() -> None:
    schema = pa.schema([pa.field("n", pa.int64(), False)])
    for values in ([2**63], np.array([1.5]), pa.array([1.5])):
        with pytest.raises(ConventionError, match="column n"):
            conform({"n": values}, schema, where="test")


def test_a_fraction_never_becomes_an_integer_in_silence():
    schema = pa.schema([pa.field("n", pa.int64())])
    assert conform({"n": [1.0, 2.0]}, schema, where="table")["n"].to_pylist() == [1, 2]
    for fractions in ([1.5, 2.0], np.array([1.5, 2.0]), pa.array([1.5, 2.0])):
        with pytest.raises(ConventionError, match="column n"):
            conform({"n": fractions}, schema, where="table")
