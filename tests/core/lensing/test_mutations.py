"""Ten errors of earlier pipelines, made again in the production code: a law that holds for the sound code must break for each."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import galsim
import numpy as np
import pytest

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import Lens, deflectors, rendering, sources, trace
from halo_core.stages import manifest_rows
from tests.core.lensing import test_accuracy as accuracy
from tests.core.lensing import test_deflectors as deflector_laws
from tests.core.lensing import test_delta_function as delta_laws
from tests.core.lensing import test_rendering as rendering_laws
from tests.core.lensing import test_sources as source_laws
from tests.core.stages import test_manifest as manifest_laws
from tests.core.survey import test_photometry as photometry_laws

Patch = pytest.MonkeyPatch
Law = Callable[[], None]
Mutation = Callable[[Patch], None]


def truth(note: str) -> Law:
    """The law of accuracy for one case."""
    return lambda: accuracy.test_stamp_equals_converged_truth(*accuracy.case_of(note))


def delta(name: str) -> Law:
    """The law of the delta function for one PSF, off the middle of an odd stamp."""
    return lambda: delta_laws.test_delta_function_is_the_psf(name, 0.131, -0.047, 65)


def assert_caught(law: Law, mutation: Mutation, monkeypatch: Patch) -> None:
    """Assert that a law holds, and that it breaks with the mutation."""
    law()
    mutation(monkeypatch)
    with pytest.raises(AssertionError):
        law()


def change_lens(monkeypatch: Patch, change: Callable[[Lens], Lens]) -> None:
    """Let the loops see another lens than was given."""
    right = trace.lens_numbers
    monkeypatch.setattr(trace, "lens_numbers", lambda lens: right(change(lens)))


def change_light(monkeypatch: Patch, change: Callable[[Any], Any]) -> None:
    """Let the convolution see other light than what was traced."""
    right = rendering.trace_light
    monkeypatch.setattr(rendering, "trace_light", lambda *args, **given: change(right(*args, **given)))


def change_call(monkeypatch: Patch, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Let the renderer work with other PSFs or settings than it was given."""
    right = rendering.render

    def wrong(lens: Any, source: Any, psfs: Any, **given: Any) -> Any:
        changed = change({"psfs": psfs} | given)
        return right(lens, source, changed.pop("psfs"), **changed)

    for module in (rendering, accuracy, delta_laws):
        monkeypatch.setattr(module, "render", wrong)


def no_sqrt_q_in_the_rays(monkeypatch: Patch) -> None:
    change_lens(monkeypatch, lambda lens: replace(lens, theta_e_arcsec=lens.theta_e_arcsec / np.sqrt(lens.q)))


def no_sqrt_q_in_the_formula(monkeypatch: Patch) -> None:
    right = deflectors._unit_deflection
    monkeypatch.setattr(deflectors, "_unit_deflection", lambda c, s, q: tuple(part / np.sqrt(q) for part in right(c, s, q)))


def lens_half_a_pixel_off(monkeypatch: Patch) -> None:
    half = 0.5 * PIXEL_SCALE_ARCSEC
    change_lens(monkeypatch, lambda lens: replace(lens, x_arcsec=lens.x_arcsec + half, y_arcsec=lens.y_arcsec + half))


def shifted_by_half_a_pixel(light: Any) -> Any:
    if light.factor % 2:
        raise ValueError(f"half a pixel is no whole number of cells at {light.factor} cells a pixel; choose another case")
    return replace(light, corner=(light.corner[0], light.corner[1] + light.factor // 2))


def shifted_by_one_pixel(light: Any) -> Any:
    return replace(light, corner=(light.corner[0] + light.factor, light.corner[1]))


def renormalised(light: Any) -> Any:
    return replace(light, brightness=light.brightness / light.magnification)


def convolution_half_a_pixel_off(monkeypatch: Patch) -> None:
    change_light(monkeypatch, shifted_by_half_a_pixel)


def convolution_one_pixel_off(monkeypatch: Patch) -> None:
    change_light(monkeypatch, shifted_by_one_pixel)


def lensed_flux_renormalised(monkeypatch: Patch) -> None:
    change_light(monkeypatch, renormalised)


def cells_by_their_middles(monkeypatch: Patch) -> None:
    monkeypatch.setattr(trace, "TOLERANCE", 1e12)


def pixel_on_top_of_the_coadd_psf(monkeypatch: Patch) -> None:
    change_call(monkeypatch, lambda given: given | {"pixel_response": True})


def pixel_on_top_of_the_pixel(monkeypatch: Patch) -> None:
    pixel = galsim.Pixel(PIXEL_SCALE_ARCSEC)
    change_call(monkeypatch, lambda given: given | {"psfs": [galsim.Convolve(psf, pixel) for psf in given["psfs"]]})


def two_term_b_n(n: float) -> float:
    """The fit 2 n - 1/3, which is 0.7 % low for an exponential disc."""
    return 2.0 * n - 1.0 / 3.0


def b_n_of_a_fit_in_the_rays(monkeypatch: Patch) -> None:
    monkeypatch.setattr(trace, "sersic_b_n", two_term_b_n)


def b_n_of_a_fit_in_the_profile(monkeypatch: Patch) -> None:
    for module in (sources, source_laws):
        monkeypatch.setattr(module, "sersic_b_n", two_term_b_n)


def one_component_negated(monkeypatch: Patch) -> None:
    right = photometry_laws.pixel_shape
    monkeypatch.setattr(photometry_laws, "pixel_shape", lambda e1, e2: right(e1, -np.asarray(e2)))


def one_component_negated_on_the_way_back(monkeypatch: Patch) -> None:
    right = photometry_laws.tractor_shape

    def wrong(q: Any, phi_rad: Any) -> Any:
        e1, e2 = right(q, phi_rad)
        return -e1, e2

    monkeypatch.setattr(photometry_laws, "tractor_shape", wrong)


def wings_wrapped(monkeypatch: Patch) -> None:
    right = rendering.psf_scales
    monkeypatch.setattr(rendering, "psf_scales", lambda psf: right(psf)._replace(reach_arcsec=0.0))


def extinction_twice(monkeypatch: Patch) -> None:
    right = manifest_rows.extinction_factor
    monkeypatch.setattr(manifest_rows, "extinction_factor", lambda band, ebv: right(band, ebv) ** 2)
    monkeypatch.setattr(manifest_laws, "small", manifest_laws.build)


def critical_curve() -> None:
    """The law that the deflection's own derivative vanishes on kappa = 1/2."""
    deflector_laws.test_deflection_without_the_factor_sqrt_q_would_miss_the_critical_curve(0.6)


def cut_and_astroid() -> None:
    """The law of the areas inside cut and caustic."""
    deflector_laws.test_cut_and_astroid_areas_add_up_to_pi_theta_e_squared(1.1, 0.7, 0.4)


def half_light_of_a_disc() -> None:
    """The law of the total flux and of the half-light radius for an exponential disc."""
    source_laws.test_total_flux_is_the_given_one_and_half_of_it_lies_inside_reff(1.0, 0.3)


CAUGHT: list[tuple[Mutation, Law, str]] = [
    (no_sqrt_q_in_the_rays, truth("q 0.3 fold, R_e 0.04"), "truth"),
    (no_sqrt_q_in_the_rays, truth("big source, n 1"), "truth of a big source"),
    (no_sqrt_q_in_the_formula, critical_curve, "curve"),
    (no_sqrt_q_in_the_formula, cut_and_astroid, "cut and astroid"),
    (lens_half_a_pixel_off, truth("cusp, corner of the grid, R_e 0.05"), "truth"),
    (lens_half_a_pixel_off, truth("ring, R_e 0.1"), "truth of a ring"),
    (convolution_half_a_pixel_off, truth("unlensed, n 0.5, 49 px"), "truth"),
    (convolution_half_a_pixel_off, delta("gaussian_2.0"), "delta function"),
    (convolution_one_pixel_off, truth("unlensed, n 0.5, 49 px"), "truth"),
    (convolution_one_pixel_off, delta("moffat_3.5"), "delta function"),
    (cells_by_their_middles, truth("q 0.3 fold, R_e 0.04"), "truth"),
    (cells_by_their_middles, truth("ring, n 4"), "truth of n 4"),
    (lensed_flux_renormalised, rendering_laws.test_lensed_flux_is_never_renormalised, "flux"),
    (lensed_flux_renormalised, truth("ring, R_e 0.1"), "truth"),
    (pixel_on_top_of_the_coadd_psf, delta("moffat_0.6"), "delta function"),
    (pixel_on_top_of_the_coadd_psf, truth("Moffat 4.765, fold"), "truth"),
    (pixel_on_top_of_the_pixel, truth("quad, pixel's middle, 65 px"), "truth"),
    (pixel_on_top_of_the_pixel, delta_laws.test_pixel_response_equals_galsim_drawing_with_its_pixel, "GalSim's pixel"),
    (b_n_of_a_fit_in_the_rays, truth("big source, n 1"), "truth"),
    (b_n_of_a_fit_in_the_profile, lambda: source_laws.test_b_n_is_exact(1.0, source_laws.GOLDEN_B_N[1.0]), "b_n"),
    (b_n_of_a_fit_in_the_profile, half_light_of_a_disc, "half light"),
    (one_component_negated, photometry_laws.test_drawn_galaxy_has_the_shape_of_its_tractor_components, "drawn galaxy"),
    (one_component_negated, photometry_laws.test_negating_only_one_component_would_mirror_the_galaxy, "mirror"),
    (one_component_negated_on_the_way_back, photometry_laws.test_shapes_survive_the_round_trip, "round trip"),
    (wings_wrapped, truth("wide wings, seeing 3.5, 128 px"), "truth"),
    (wings_wrapped, delta("moffat_3.5"), "delta function"),
    (extinction_twice, manifest_laws.test_painted_fluxes_are_extincted_once, "painted fluxes"),
]


@pytest.mark.parametrize(("mutation", "law"), [(m, law) for m, law, _ in CAUGHT], ids=[f"{m.__name__}: {name}" for m, _, name in CAUGHT])
def test_historic_error_is_caught(mutation: Mutation, law: Law, monkeypatch: Patch) -> None:
    assert_caught(law, mutation, monkeypatch)
