"""Laws of Sersic sources."""

import numpy as np
import pytest
from scipy.special import gamma, gammainc

from halo_core.lensing import Source, sersic_b_n, sersic_surface_brightness
from halo_core.lensing.sources import sersic_central_brightness, sersic_radius_over_reff

# Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy.
GOLDEN_B_N = {0.5: 0.6931471805599455, 1.0: 1.6783469900166612, 2.0: 3.672060748850897, 2.5: 4.670908882795985}
GOLDEN_B_N |= {4.0: 7.669249442500804, 6.0: 11.668363153044767}
GOLDEN_FLUX_OVER_IE_RE2 = {0.5: 9.064720283654387, 1.0: 11.948494741464001, 2.0: 16.310880481779815, 2.5: 18.10815048195672}
GOLDEN_FLUX_OVER_IE_RE2 |= {4.0: 22.665233723581743, 6.0: 27.597727438285226}


def _source(**changes):
    values = {"x_arcsec": 0.1, "y_arcsec": -0.2, "reff_arcsec": 0.4, "q": 0.6, "phi_rad": 0.7, "n_sersic": 1.0, "flux_nmgy": (1.0,)}
    return Source(**(values | changes))


@pytest.mark.parametrize(("n", "b"), GOLDEN_B_N.items())
def test_b_n_is_exact(n, b):
    assert sersic_b_n(n) == pytest.approx(b, rel=1e-13)
    assert gammainc(2 * n, sersic_b_n(n)) == pytest.approx(0.5, abs=1e-13)


@pytest.mark.parametrize(("n", "ratio"), GOLDEN_FLUX_OVER_IE_RE2.items())
def test_flux_over_brightness_at_reff_matches_golden_numbers(n, ratio):
    at_reff = sersic_central_brightness(n) * np.exp(-sersic_b_n(n))
    assert 1.0 / at_reff == pytest.approx(ratio, rel=1e-12)


@pytest.mark.parametrize("n", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("q", [0.3, 1.0])
def test_total_flux_is_the_given_one_and_half_of_it_lies_inside_reff(n, q):
    """Integral on a log-polar grid of the ellipse, whose area element is r dr dphi in circularised coordinates."""
    source = _source(n_sersic=n, q=q)
    r = np.exp(np.linspace(np.log(1e-6), np.log(400.0), 6001)) * source.reff_arcsec
    phi = (np.arange(64) + 0.5) * 2 * np.pi / 64
    major, minor = r[:, None] / np.sqrt(q) * np.cos(phi), r[:, None] * np.sqrt(q) * np.sin(phi)
    c, s = np.cos(source.phi_rad), np.sin(source.phi_rad)
    value = sersic_surface_brightness(
        source.x_arcsec + c * major - s * minor, source.y_arcsec + s * major + c * minor, source=source, flux_nmgy=3.0
    )
    ring = value.mean(axis=1) * 2 * np.pi * r**2  # per unit of ln r
    assert np.trapezoid(ring, np.log(r)) == pytest.approx(3.0, rel=1e-5)
    inside = r <= source.reff_arcsec * (1 + 1e-12)
    assert np.trapezoid(ring[inside], np.log(r)[inside]) == pytest.approx(1.5, rel=2e-3)


def test_brightness_is_highest_at_the_source_and_elongated_along_phi():
    source = _source(phi_rad=np.pi / 2, q=0.5)
    along = sersic_surface_brightness(source.x_arcsec, source.y_arcsec + 0.4, source=source, flux_nmgy=1.0)
    across = sersic_surface_brightness(source.x_arcsec + 0.2, source.y_arcsec, source=source, flux_nmgy=1.0)
    assert along == pytest.approx(across, rel=1e-12)
    assert sersic_surface_brightness(source.x_arcsec, source.y_arcsec, source=source, flux_nmgy=1.0) > along


@pytest.mark.parametrize("n", [0.5, 1.0, 4.0])
def test_radius_leaves_the_asked_fraction_outside(n):
    radius = sersic_radius_over_reff(n, outside_frac=1e-3)
    assert 1.0 - gammainc(2 * n, sersic_b_n(n) * radius ** (1 / n)) == pytest.approx(1e-3, rel=1e-9)
    assert sersic_radius_over_reff(n, outside_frac=0.5) == pytest.approx(1.0, rel=1e-12)


def test_exponential_central_brightness_has_its_closed_form():
    assert sersic_central_brightness(1.0) == pytest.approx(sersic_b_n(1.0) ** 2 / (2 * np.pi * gamma(2.0)), rel=1e-14)


@pytest.mark.parametrize(
    "bad",
    [{"reff_arcsec": 0.0}, {"q": 0.0}, {"q": 1.5}, {"n_sersic": 0.1}, {"n_sersic": 9.0}, {"x_arcsec": np.nan}, {"flux_nmgy": (np.inf,)}],
)
def test_impossible_source_is_refused(bad):
    with pytest.raises(ValueError, match=r"source|reff|n_sersic"):
        _source(**bad)
