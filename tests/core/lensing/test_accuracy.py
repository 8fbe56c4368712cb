"""The renderer against converged images of hard scenes, made by `make_truth`, which shares no code with it."""

import numpy as np
import pytest

from halo_core.lensing import render
from tests.core.lensing.lensing_scenes import lens_of, make_lens, make_source, residual, source_of, truth_cases
from tests.core.lensing.make_truth import make_psf

CASES = truth_cases()

BY_GALSIM = [
    "ring, R_e 0.1",
    "q 0.3 cusp, n 4",
    "cusp, corner of the grid, R_e 0.05",
    "unlensed, n 0.5, 49 px",
    "quad, pixel's middle, 65 px",
    "Moffat 4.765, fold",
    "sum of two, cusp",
    "image PSF, fold",
]
"""Notes of the cases that GalSim's drawing is held to as well; it cuts the transform of an image PSF sharper than some 0.9 arcsec."""


def tolerances(case):
    """Largest errors of the flux and of a pixel over the peak: what the engine promises, and no more for a steeper profile."""
    return (1e-3, 5e-3) if case["src_n_sersic"] <= 1.0 else (1e-2, 2e-2)


def drawn(case, *, renderer="adaptive", effort=1.0):
    """The case as the production code renders it."""
    psfs = [make_psf(case["psf"], fwhm) for fwhm in case["psf_fwhm_arcsec"]]
    settings = {"size_pix": case["size_pix"], "pixel_response": case["pixel_response"], "effort": effort, "renderer": renderer}
    return render(lens_of(case), source_of(case), psfs, **settings)


def assert_equal_truth(case, images, want):
    """Assert that every band is within the tolerance of its truth."""
    of_flux, of_peak = tolerances(case)
    for got, truth in zip(images, want, strict=True):
        assert got.sum() == pytest.approx(truth.sum(), rel=of_flux)
        assert residual(got, truth) < of_peak


def case_of(note):
    """The case of the truth with a note, and its images."""
    return next((case, want) for case, want in CASES if case["note"] == note)


@pytest.mark.parametrize(("case", "want"), CASES, ids=[case["note"] for case, _ in CASES])
def test_stamp_equals_converged_truth(case, want):
    arc = drawn(case)
    assert_equal_truth(case, arc.image, want)
    if "magnification" in case:
        assert arc.magnification == pytest.approx(case["magnification"], rel=1e-3)


@pytest.mark.parametrize("note", BY_GALSIM)
def test_stamp_drawn_by_galsim_equals_converged_truth(note):
    case, want = case_of(note)
    assert_equal_truth(case, drawn(case, renderer="galsim").image, want)


@pytest.mark.parametrize(
    "note", ["ring, R_e 0.1", "cross of shear 0.15 alone, R_e 0.05", "cusp, n 2.5", "Moffat 4.765, fold", "big source, n 0.5"]
)
def test_more_effort_brings_the_stamp_to_the_truth(note):
    case, want = case_of(note)
    errors = [max(map(residual, drawn(case, effort=effort).image, want)) for effort in (1.0, 4.0, 16.0)]
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] < max(0.5 * errors[1], 2.0 * case["error_of_peak"] + 1e-5)
    assert errors[2] < 5e-5


# Golden magnifications of summed rays (lenstronomy 1.14.2, 15 x 15 a pixel) by R_e: a disc behind an ellipsoid with shear.
GOLDEN_MAGNIFICATION = {0.06: 15.026153, 0.1: 14.565035, 0.2: 12.158285, 0.3: 9.850934}


@pytest.mark.parametrize(("reff", "magnification"), GOLDEN_MAGNIFICATION.items())
def test_magnification_of_a_disc_behind_an_ellipsoid_with_shear_is_the_golden_one(reff, magnification):
    lens = make_lens(1.2, 0.8, 0.3, 0.02, 0.01, 0.0, 0.0)
    arc = render(lens, make_source(0.2, 0.1, reff, 0.7, 0.5), [make_psf("gauss", 0.9)], size_pix=64)
    assert arc.magnification == pytest.approx(magnification, rel=5e-4)
    assert arc.image.sum() == pytest.approx(magnification, rel=1e-3)


def test_truth_is_converged_to_a_tenth_of_the_tolerances():
    for case, _ in CASES:
        of_flux, of_peak = tolerances(case)
        assert case["error_of_flux"] < 0.1 * of_flux
        assert case["error_of_peak"] < 0.1 * of_peak


def test_truth_covers_the_stated_ranges():
    """Radii 0.2-3 arcsec, axis ratios 0.3-1, shears to 0.15, sources 0.04-1.2 arcsec of n 0.5-4, stamps of 48-128, seeing 0.6-3.5."""
    values = {name: [case[name] for case, _ in CASES] for name in CASES[0][0] if name != "magnification"}
    lensed = [theta_e for theta_e in values["theta_e_arcsec"] if theta_e > 0.0]
    assert len(lensed) < len(CASES)
    assert (min(lensed), max(lensed)) == (0.2, 3.0)
    assert (min(values["lens_q"]), max(values["lens_q"])) == (0.3, 1.0)
    assert np.hypot(values["gamma1"], values["gamma2"]).max() == pytest.approx(0.15)
    assert (min(values["src_reff_arcsec"]), max(values["src_reff_arcsec"])) == (0.04, 1.2)
    assert set(values["src_n_sersic"]) == {0.5, 1.0, 1.5, 2.5, 4.0}
    assert {48, 49, 64, 65, 96, 101, 128} == set(values["size_pix"])
    assert {width for widths in values["psf_fwhm_arcsec"] for width in widths} >= {0.6, 3.5}
    assert set(values["psf"]) == {"gauss", "moffat", "moffat_2.5", "moffat_4.765", "image", "sum"}
