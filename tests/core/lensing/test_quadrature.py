"""The compiled loops against the plain formulas."""

import numpy as np
import pytest
from scipy.special import gammaincc

from halo_core.lensing import ray_shoot, sersic_b_n, sersic_surface_brightness
from halo_core.lensing.assignment import SPLINE, Grid
from halo_core.lensing.kernels import brightness, exp_negative
from halo_core.lensing.optics import DARK_FLUX_FRAC, SERIES_MIN_Q, light_extent, optics_of
from halo_core.lensing.quadrature import cell_means
from halo_core.lensing.sources import sersic_central_brightness, sersic_radius_over_reff
from halo_core.lensing.trace import BLOCK_PIX, CORE_BLOCKS, cells_per_pixel, lens_numbers, source_numbers, trace_light
from tests.core.lensing.lensing_scenes import make_lens, make_source

HIGH = 1e-5
"""A tolerance at which the quadrature is converged."""


def _points(n=2000):
    return np.random.default_rng(11).uniform(-3.0, 3.0, size=(2, n)).astype(np.float32)


def _optics(lens, source):
    return optics_of(lens_numbers(lens), source_numbers(source))


@pytest.mark.parametrize("q", [1.0, 0.9999999, 0.9, 0.5, SERIES_MIN_Q, 0.2, 0.05])
@pytest.mark.parametrize("n", [0.5, 1.0, 1.7, 2.0, 4.0])
def test_rays_of_the_compiled_loops_are_those_of_the_lens_equation(q, n):
    """The polynomials err by 1e-5 theta_E at most; a tenth of that moves the brightness of this source by 1e-4 of itself."""
    lens, source = make_lens(q=q), make_source(reff=0.8, n=n)
    x, y = _points()
    value = np.empty(len(x), np.float32)
    brightness(x, y, len(x), _optics(lens, source), value)
    want = (
        sersic_surface_brightness(*ray_shoot(x, y, lens=lens), source=source, flux_nmgy=1.0)
        / sersic_central_brightness(n)
        * source.reff_arcsec**2
    )
    np.testing.assert_allclose(value, want, rtol=3e-4, atol=1e-9)


def test_exponential_is_exact_where_light_is():
    t = np.linspace(0.0, 20.0, 2001, dtype=np.float32)
    np.testing.assert_allclose([exp_negative(v) for v in t], np.exp(-t.astype(float)), rtol=1e-5)
    assert exp_negative(np.float32(1e6)) < 1e-25


@pytest.mark.parametrize(("q", "reff", "n"), [(0.7, 0.2, 1.0), (0.35, 0.15, 0.5), (0.3, 0.4, 1.0)])
def test_cell_means_equal_brute_force_averages(q, reff, n):
    """24 x 24 midpoints a cell: converged to 1e-3 for sources larger than a cell, but where the cell holds a cusp."""
    lens, source = make_lens(q=q), make_source(reff=reff, n=n)
    side, cells, fine = 0.131, 60, 24
    low = -0.5 * cells * side
    means = cell_means(Grid(low, low, side, cells, cells, 1), _optics(lens, source), HIGH)
    axis = low + (np.arange(cells * fine) + 0.5) * side / fine
    value = sersic_surface_brightness(*ray_shoot(axis[None, :], axis[:, None], lens=lens), source=source, flux_nmgy=1.0)
    value *= source.reff_arcsec**2 / sersic_central_brightness(n)
    want = value.reshape(cells, fine, cells, fine).mean(axis=(1, 3))
    np.testing.assert_allclose(means, want, atol=1e-3 * want.max())
    assert means.sum() == pytest.approx(want.sum(), rel=3e-4)


def test_mean_of_a_cell_does_not_depend_on_the_grid_around_it():
    optics = _optics(make_lens(), make_source())
    side = 0.125
    whole = cell_means(Grid(-4.0, -4.0, side, 64, 64, 1), optics, 1e-3)
    part = cell_means(Grid(-2.0, -1.0, side, 16, 24, 1), optics, 1e-3)
    np.testing.assert_array_equal(part, whole[24:40, 16:40])


@pytest.mark.parametrize("reff", [0.002, 0.01, 0.04])
def test_spline_keeps_flux_and_centroid_of_a_source_smaller_than_a_cell(reff):
    optics = _optics(make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0), make_source(x=0.11, y=-0.07, reff=reff, q=0.8))
    side, cells = 0.0655, 24
    low = -0.5 * cells * side
    light = cell_means(Grid(low, low, side, cells, cells, SPLINE), optics, 1e-3)
    total = light.sum() * side**2
    assert total * sersic_central_brightness(1.0) / reff**2 == pytest.approx(1.0, abs=3e-4)
    axis = low + (np.arange(cells) + 0.5) * side
    np.testing.assert_allclose(
        [light.sum(axis=0) @ axis * side**2 / total, light.sum(axis=1) @ axis * side**2 / total], [0.11, -0.07], atol=1e-4
    )


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("reff", [0.001, 0.04, 0.1, 0.5])
def test_unlensed_flux_is_integrated_to_a_thousandth(n, reff):
    rng = np.random.default_rng(7)
    for _ in range(6):
        x, y, q, phi = rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2), rng.uniform(0.3, 1.0), rng.uniform(0.0, np.pi)
        light = trace_light(
            make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0), make_source(x, y, reff, q, phi, n), psf_fwhm_arcsec=1.0, effort=1.0
        )
        assert light.magnification == pytest.approx(1.0, abs=5e-4 if n <= 1 else 2e-3)


def test_light_outside_the_painted_box_still_counts():
    """The painted box ends between the circles of its half side and of its corners, which leave known fractions outside."""
    source = make_source(x=0.0, y=0.0, reff=1.2, q=1.0, n=4.0)
    light = trace_light(make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0), source, psf_fwhm_arcsec=1.3, effort=1.0)
    outside = light.magnification - light.brightness.sum() * (0.262 / light.factor) ** 2
    edge = BLOCK_PIX * CORE_BLOCKS * 0.262 / 1.2
    b = sersic_b_n(4.0)
    assert gammaincc(8.0, b * (np.sqrt(2.0) * edge) ** 0.25) - DARK_FLUX_FRAC < outside < gammaincc(8.0, b * edge**0.25)
    assert light.magnification == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("n", [1.0, 4.0])
def test_magnification_does_not_depend_on_how_far_light_is_painted(n):
    lens, source = make_lens(), make_source(reff=0.9, n=n)
    narrow, wide = (trace_light(lens, source, psf_fwhm_arcsec=1.3, effort=1.0, half_pix=half) for half in (40.0, 140.0))
    assert narrow.magnification == wide.magnification
    assert wide.brightness.size > narrow.brightness.size or n == 1.0


def test_box_of_the_light_holds_it():
    lens, source = make_lens(gamma1=0.1, gamma2=-0.08, q=0.4), make_source(reff=0.3, q=0.35)
    box = light_extent(lens_numbers(lens), source_numbers(source)._replace(dark_radius=sersic_radius_over_reff(1.0, 1e-3)))
    axis = np.linspace(-8.0, 8.0, 801)
    x, y = np.meshgrid(axis, axis)
    value = sersic_surface_brightness(*ray_shoot(x, y, lens=lens), source=source, flux_nmgy=1.0)
    inside = (np.abs(x - box.x) < box.half_x) & (np.abs(y - box.y) < box.half_y)
    assert value[~inside].sum() < 1e-3 * value.sum()


@pytest.mark.parametrize(
    ("reff", "fwhm", "effort", "factor"),
    [(0.2, 1.2, 1.0, 2), (0.06, 1.2, 1.0, 3), (0.2, 0.7, 1.0, 3), (0.04, 1.2, 1.0, 4), (0.2, 1.2, 4.0, 4)],
)
def test_cells_follow_the_smallest_thing_in_the_picture(reff, fwhm, effort, factor):
    assert cells_per_pixel(reff, fwhm, effort) == factor
