"""Laws of the renderer: flux, magnification, symmetry, independence of the stamp, determinism, convergence."""

import json
from pathlib import Path

import galsim
import numpy as np
import pytest

from halo_core.lensing import Lens, psf_from_size, render, render_arc
from tests.core.lensing.lensing_scenes import make_lens, make_source, moments, pixels, residual

TRUTH = Path(__file__).parents[2] / "data" / "render_truth_small.npz"
MOFFAT = psf_from_size(1.3, model="moffat")
SHARP = psf_from_size(0.9, model="gaussian")


def _truth_cases():
    """Converged images of other codes (lenstronomy 1.14.2, GalSim 2.8.5), one band a case."""
    with np.load(TRUTH) as data:
        return [(case, data[f"image_{i}"]) for i, case in enumerate(json.loads(str(data["cases_json"])))]


@pytest.mark.parametrize(("case", "want"), _truth_cases())
def test_stamp_equals_converged_truth(case, want):
    lens = Lens(
        case["theta_e_arcsec"],
        case["lens_q"],
        case["lens_phi_rad"],
        case["gamma1"],
        case["gamma2"],
        case["lens_x_arcsec"],
        case["lens_y_arcsec"],
    )
    flux = case["src_flux_nmgy"][case["band"]]
    source = make_source(
        case["src_x_arcsec"],
        case["src_y_arcsec"],
        case["src_reff_arcsec"],
        case["src_q"],
        case["src_phi_rad"],
        case["src_n_sersic"],
        (flux,),
    )
    fwhm = case["psf_fwhm_arcsec"][case["band"]]
    psf = galsim.Gaussian(fwhm=fwhm) if case["psf"] == "gauss" else galsim.Moffat(beta=3.5, fwhm=fwhm)
    arc = render(lens, source, [psf], size_pix=case["size_pix"], pixel_response=True)
    steep = case["src_n_sersic"] > 1
    assert arc.image.sum() == pytest.approx(want.sum(dtype=float), rel=1e-2 if steep else 1e-3)
    assert residual(arc.image[0], want) < (2e-2 if steep else 5e-3)
    assert arc.magnification == pytest.approx(case["magnification"], rel=1e-2 if steep else 1e-3)


# Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy: an exponential disc behind an isothermal sphere of 1.2 arcsec.
GOLDEN_MAGNIFICATION = [(0.1, 0.0, 40.280328), (0.2, 0.0, 20.140206), (0.3, 0.0, 13.42799), (0.2, 0.5, 5.265614), (0.3, 0.3, 7.934345)]


@pytest.mark.parametrize(("reff", "beta", "magnification"), GOLDEN_MAGNIFICATION)
def test_magnification_of_a_disc_behind_a_sphere_is_the_golden_one(reff, beta, magnification):
    lens, source = make_lens(1.2, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0), make_source(beta, 0.0, reff, 1.0, 0.0)
    assert render(lens, source, [MOFFAT], size_pix=64).magnification == pytest.approx(magnification, rel=5e-4)


def test_magnification_of_a_small_source_is_that_of_its_two_images():
    lens, source = make_lens(1.2, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0), make_source(0.4, 0.0, 0.004, 1.0, 0.0)
    assert render(lens, source, [MOFFAT], size_pix=64).magnification == pytest.approx(2 * 1.2 / 0.4, rel=1e-3)


def test_theta_e_divided_by_root_q_would_give_another_stamp():
    """The truth holds at q = 0.6: with the Einstein radius on another axis the same stamp would miss it by far more than the tolerance."""
    case, want = next((case, image) for case, image in _truth_cases() if case["lens_q"] == 0.6)
    lens = Lens(case["theta_e_arcsec"] / np.sqrt(0.6), 0.6, case["lens_phi_rad"], 0.0, 0.0, 0.0, 0.0)
    source = make_source(
        case["src_x_arcsec"], case["src_y_arcsec"], 0.1, case["src_q"], case["src_phi_rad"], 1.0, (case["src_flux_nmgy"][case["band"]],)
    )
    psf = galsim.Gaussian(fwhm=case["psf_fwhm_arcsec"][case["band"]])
    assert residual(render_arc(lens, source, [psf], size_pix=64, pixel_response=True)[0], want) > 0.2


def test_flux_is_magnification_times_unlensed_flux_times_fraction_inside():
    arc = render(make_lens(), make_source(flux=(1.0, 2.5)), [MOFFAT, SHARP], size_pix=64)
    np.testing.assert_allclose(arc.image.sum(axis=(1, 2)), arc.magnification * np.array([1.0, 2.5]) * arc.flux_frac_inside, rtol=1e-14)
    assert arc.flux_frac_inside[1] == pytest.approx(1.0, abs=2e-4)
    assert 0.99 < arc.flux_frac_inside[0] < arc.flux_frac_inside[1]


def test_lensed_flux_is_never_renormalised():
    lens, source = make_lens(), make_source(flux=(1.0,))
    assert render_arc(lens, source, [SHARP], size_pix=64).sum() > 3.0
    np.testing.assert_allclose(
        render_arc(lens, make_source(flux=(7.0,)), [SHARP], size_pix=64), 7.0 * render_arc(lens, source, [SHARP], size_pix=64), rtol=1e-14
    )


def test_unlensed_source_keeps_its_flux_and_place():
    lens = make_lens(theta_e=0.0, gamma1=0.0, gamma2=0.0)
    arc = render(lens, make_source(x=0.3, y=-0.2), [SHARP], size_pix=64)
    assert arc.magnification == pytest.approx(1.0, abs=2e-4)
    # the tolerance of the quadrature, 2e-3 of a cell's own brightness, allows some 1e-3 of the source's size
    np.testing.assert_allclose(moments(arc.image[0])[1], pixels([0.3, -0.2]), atol=2e-3)


def test_zero_flux_band_is_exactly_dark_and_has_no_fraction():
    arc = render(make_lens(), make_source(flux=(0.0, 1.0)), [MOFFAT, SHARP], size_pix=48)
    assert np.all(arc.image[0] == 0.0)
    assert np.isnan(arc.flux_frac_inside[0])


@pytest.mark.parametrize(("n", "reff"), [(1.0, 0.2), (1.0, 0.06), (4.0, 1.0), (1.0, 0.03)])
def test_magnification_is_the_same_bits_for_every_stamp_size(n, reff):
    found = {render(make_lens(), make_source(reff=reff, n=n), [MOFFAT], size_pix=size).magnification for size in (48, 63, 64, 65, 96, 128)}
    assert len(found) == 1


@pytest.mark.parametrize("psf", [MOFFAT, SHARP])
def test_smaller_stamp_is_the_crop_of_the_larger(psf):
    """Separate renderings differ by what may wrap around their frames, 1e-4 of the flux spread over the stamp."""
    large, small = (render_arc(make_lens(), make_source(), [psf], size_pix=size)[0] for size in (96, 64))
    assert residual(small, large[16:80, 16:80]) < 1e-4
    odd = render_arc(make_lens(), make_source(), [psf], size_pix=65)[0]
    assert residual(odd, render_arc(make_lens(), make_source(), [psf], size_pix=97)[0][16:81, 16:81]) < 1e-4


def test_quarter_turn_of_the_scene_turns_the_stamp():
    scene = render_arc(make_lens(), make_source(), [MOFFAT], size_pix=64)[0]
    lens = make_lens(phi=0.5 + np.pi / 2, gamma1=-0.02, gamma2=0.03, x=0.04, y=0.07)
    turned = render_arc(lens, make_source(x=-0.05, y=0.2, phi=1.2 + np.pi / 2), [MOFFAT], size_pix=64)[0]
    # a turn counter-clockwise in (x, y) is rot90 with k = -1 on [row, column] whose rows go up
    assert residual(turned, np.rot90(scene, k=-1)) < 1e-3


def test_mirror_of_the_scene_mirrors_the_stamp():
    scene = render_arc(make_lens(), make_source(), [MOFFAT], size_pix=64)[0]
    lens = make_lens(phi=-0.5, gamma2=0.03, y=0.04)
    assert residual(render_arc(lens, make_source(y=-0.05, phi=-1.2), [MOFFAT], size_pix=64)[0], scene[::-1]) < 1e-3


def test_lensing_conserves_surface_brightness():
    """A large flat source (n = 0.2 is nearly a top hat) shows its unlensed central brightness through a lens, far from the edges."""
    source = make_source(0.0, 0.0, 2.0, 1.0, 0.0, 0.2)
    lensed, unlensed = (render_arc(make_lens(theta_e=t, x=0.0, y=0.0), source, [SHARP], size_pix=64)[0] for t in (0.8, 0.0))
    assert lensed.max() == pytest.approx(unlensed.max(), rel=2e-3)
    assert lensed.sum() > 1.3 * unlensed.sum()


def test_lens_at_its_host_is_told_from_one_in_the_middle():
    """Moving lens and source together by a quarter of a pixel moves the light by a quarter of a pixel."""
    step = 0.0655
    here = moments(render_arc(make_lens(x=0.0, y=0.0), make_source(x=0.2, y=0.05), [SHARP], size_pix=64)[0])[1]
    there = moments(render_arc(make_lens(x=step, y=-step), make_source(x=0.2 + step, y=0.05 - step), [SHARP], size_pix=64)[0])[1]
    np.testing.assert_allclose(there - here, pixels([step, -step]), atol=2e-3)


def test_stamps_do_not_depend_on_what_was_rendered_before():
    def draw():
        return render_arc(make_lens(), make_source(flux=(1.0, 2.0)), [MOFFAT, SHARP], size_pix=64)

    first = draw()
    render_arc(make_lens(q=0.35), make_source(reff=0.03, n=2.0, flux=(1.0,)), [galsim.Moffat(beta=2.5, fwhm=1.0)], size_pix=96)
    np.testing.assert_array_equal(first, draw())


@pytest.mark.parametrize(("q", "reff", "n"), [(0.7, 0.2, 1.0), (0.35, 0.1, 1.0), (0.3, 0.05, 0.5), (1.0, 0.04, 1.0), (0.8, 0.3, 3.0)])
def test_stamps_converge_with_effort(q, reff, n):
    lens, source = make_lens(q=q), make_source(reff=reff, n=n)
    stamps = [render_arc(lens, source, [SHARP], size_pix=64, effort=effort)[0] for effort in (1.0, 4.0, 16.0)]
    coarse, fine = residual(stamps[0], stamps[2]), residual(stamps[1], stamps[2])
    assert coarse < (5e-3 if n <= 1 else 2e-2)
    assert fine < max(0.7 * coarse, 5e-5)
    assert stamps[0].sum() == pytest.approx(stamps[2].sum(), rel=1e-3 if n <= 1 else 1e-2)


@pytest.mark.parametrize(
    "bad", [{"psfs": []}, {"psfs": [MOFFAT, MOFFAT]}, {"size_pix": 8}, {"size_pix": 999}, {"effort": 0.0}, {"renderer": "other"}]
)
def test_arguments_out_of_range_are_refused(bad):
    values = {"psfs": [MOFFAT], "size_pix": 64, "effort": 1.0, "renderer": "adaptive"} | bad
    psfs = values.pop("psfs")
    with pytest.raises(ValueError, match=r"PSFs|size_pix|effort|renderer"):
        render(make_lens(), make_source(), psfs, **values)


@pytest.mark.parametrize(
    ("lens", "source"),
    [({}, {"reff": 1e-4}), ({"x": 2e3}, {}), ({"theta_e": 1e9}, {}), ({}, {"y": -1e30}), ({"q": 1e-3}, {}), ({}, {"q": 1e-9})],
)
def test_what_single_precision_cannot_place_is_refused(lens, source):
    with pytest.raises(ValueError, match=r"below|exceeds"):
        render(make_lens(**lens), make_source(**source), [MOFFAT], size_pix=64)


@pytest.mark.parametrize("reff", [5e-4, 1e3])
@pytest.mark.parametrize("q", [0.01, 1.0])
@pytest.mark.parametrize("n", [0.2, 8.0])
@pytest.mark.parametrize("place", [0.0, -1e3])
def test_every_source_that_is_not_refused_has_finite_light(place, n, q, reff):
    arc = render(make_lens(q=q, theta_e=3.0), make_source(x=place, reff=reff, q=q, n=n), [MOFFAT], size_pix=64)
    assert np.all(np.isfinite(arc.image))
    assert np.isfinite(arc.magnification)
