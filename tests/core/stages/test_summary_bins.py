"""Bins and axes: the floating-point trap, open ends, what is not known."""

import numpy as np
import pyarrow as pa
import pytest

from halo_core.stages.summary_bins import UNKNOWN_BIN, bin_edges, bin_index, binned_axis, name_axis, value_axis
from tests.fixtures.summaries import summary_config

EDGES = bin_edges(summary_config())


def test_multiples_of_a_tenth_fall_in_their_own_bin():
    """0.3 / 0.1 is 2.9999999999999996: floor(x / width) puts 0.3 one bin too low."""
    tenths = np.array([3 * 0.1, 0.3, 1.2 - 0.9, 0.7, 1.1, 1.3])
    assert 1.2 - 0.9 < 0.3 < 3 * 0.1
    assert np.floor(0.3 / 0.1) == 2
    np.testing.assert_array_equal(bin_index(tenths, EDGES["psf_fwhm_r_bin"]), [4, 4, 4, 8, 12, 14])


def test_every_edge_opens_its_own_bin_for_each_binned_axis():
    for edges in EDGES.values():
        np.testing.assert_array_equal(bin_index(edges, edges), np.arange(1, len(edges) + 1))
        np.testing.assert_array_equal(bin_index(edges - 1e-5, edges), np.arange(len(edges)))


def test_resolution_has_the_five_bins_of_the_reference():
    values = [0.39, 0.4, 0.6 - 1e-4, 0.6, 0.8, 0.99, 1.0, 7.0]
    np.testing.assert_array_equal(bin_index(values, EDGES["resolution_bin"]), [0, 1, 1, 2, 3, 3, 4, 4])


def test_bins_do_not_depend_on_the_data():
    edges = EDGES["psfdepth_r_bin"]
    assert bin_index([24.1], edges)[0] == bin_index([20.0, 24.1, 27.0], edges)[1]


def test_axis_carries_the_edges_of_its_bins_and_null_where_open_or_unknown():
    axis = binned_axis("psf_fwhm_r_bin", [1.25, 9.9, np.nan, 1.2], EDGES["psf_fwhm_r_bin"])
    by_value = {value: (lower, upper) for value, lower, upper in zip(axis.values, axis.lower, axis.upper, strict=True)}
    assert by_value[13] == (1.2, 1.3)
    assert np.isnan(by_value[UNKNOWN_BIN]).all()
    top = by_value[len(EDGES["psf_fwhm_r_bin"])]
    assert top[0] == EDGES["psf_fwhm_r_bin"][-1]
    assert np.isnan(top[1])
    assert [axis.values[code] for code in axis.codes] == [13, len(EDGES["psf_fwhm_r_bin"]), UNKNOWN_BIN, 13]


def test_grid_values_that_differ_by_rounding_are_one_key():
    axis = value_axis("theta_e_arcsec", [0.3, 3 * 0.1, 0.1 + 0.2, 0.6])
    assert axis.values == (0.3, 0.6)
    assert not axis.is_binned


def test_axis_of_some_rows_keeps_its_values():
    axis = name_axis("region_split", pa.chunked_array([["val", "train"], ["val"]]))
    taken = axis.take(np.array([True, False, True]))
    assert [taken.values[code] for code in taken.codes] == ["val", "val"]


@pytest.mark.parametrize("width", [0.1, 0.25, 0.05, 0.3])
def test_regular_edges_are_exact_decimals(width):
    edges = bin_edges(summary_config(psf_fwhm_bin_width_arcsec=width))["psf_fwhm_r_bin"]
    assert edges[0] == 0.0
    assert [float(edge) for edge in edges] == [round(number * width, 6) for number in range(len(edges))]
    assert edges[-1] >= 4.0
