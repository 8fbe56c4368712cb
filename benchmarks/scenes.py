"""Scenes for renderers to draw, and converged images of some of them, with the square pixel averaged over."""

import json
from functools import lru_cache
from importlib.resources import files
from math import pi
from pathlib import Path
from typing import Any

import galsim
import numpy as np

from halo_core.stages.grids import load_grid
from tests.core.lensing.lensing_scenes import truth_cases
from tests.core.lensing.make_truth import Array, Case, make_psf, stamps

Truths = list[tuple[Case, Array]]
"""Scenes and their converged stamps, shape (n_bands, size, size)."""

SMALL_TRUTH = Path(__file__).parents[1] / "tests" / "data" / "render_truth_small.npz"
STAMPS_PER_HOST = 100
CLOSED = ("gauss", "moffat")
"""PSFs that every code draws."""

CONVERGED = {"factor": 7, "period_pix": 189, "tolerance": 1e-7}
"""Cells, frame and tolerance for scenes of the mix: within 3e-5 of the peak of the finer ones that `make_truth` takes for hard scenes."""


def mix(n_scenes: int, *, psf: str | None = None, n_sersic: float = 1.0, seed: int = 1) -> list[Case]:
    """Return typical scenes of 64 pixels in three bands: theta_E 0.5-2.5 arcsec, exponential sources of 0.1-0.5 arcsec, seeing 0.9-1.6.

    PSF: a kind, else Gaussian or Moffat by chance.
    """
    rng = np.random.default_rng(seed)
    return [_typical(rng, psf) | {"src_n_sersic": n_sersic} for _ in range(n_scenes)]


def _typical(rng: np.random.Generator, psf: str | None) -> Case:
    """Return one scene of the mix."""
    case: Case = {"theta_e_arcsec": rng.uniform(0.5, 2.5), "lens_q": rng.uniform(0.55, 0.98), "lens_phi_rad": rng.uniform(0.0, pi)}
    case |= {"gamma1": rng.normal(0.0, 0.03), "gamma2": rng.normal(0.0, 0.03)}
    case |= {"lens_x_arcsec": rng.uniform(-0.13, 0.13), "lens_y_arcsec": rng.uniform(-0.13, 0.13)}
    case |= {"src_x_arcsec": rng.normal(0.0, 0.3), "src_y_arcsec": rng.normal(0.0, 0.3), "src_reff_arcsec": rng.uniform(0.1, 0.5)}
    case |= {"src_q": rng.uniform(0.35, 0.98), "src_phi_rad": rng.uniform(0.0, pi), "src_flux_nmgy": (1.0, 2.0, 3.0)}
    case |= {"psf": psf or str(rng.choice(CLOSED)), "psf_fwhm_arcsec": tuple(rng.uniform(0.9, 1.6, 3))}
    return case | {"size_pix": 64, "pixel_response": True}


def image_psf_hosts(n_scenes: int) -> list[Case]:
    """Return scenes of the mix whose PSFs are images, the same three for all the stamps of a host."""
    scenes = mix(n_scenes, psf="image")
    return [case | {"psf_fwhm_arcsec": scenes[i - i % STAMPS_PER_HOST]["psf_fwhm_arcsec"]} for i, case in enumerate(scenes)]


def grid_medium(n_scenes: int) -> list[Case]:
    """Return scenes of the mix with radii, sources and shears of the grid's configurations, inside 0.8 theta_E as campaigns paint them."""
    rng = np.random.default_rng(2)
    values = load_grid("grid_medium", Path(str(files("halo_core.grids")))).values()
    made = []
    for case in mix(n_scenes):
        theta_e, _, reff, e, shear = values[rng.integers(len(values))]
        radius, angle, shear_phi = 0.8 * theta_e * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * pi), rng.uniform(0.0, pi)
        place = {"src_x_arcsec": radius * np.cos(angle), "src_y_arcsec": radius * np.sin(angle)}
        tide = {"gamma1": shear * np.cos(2.0 * shear_phi), "gamma2": shear * np.sin(2.0 * shear_phi)}
        made.append(case | place | tide | {"theta_e_arcsec": theta_e, "src_reff_arcsec": reff, "src_q": (1.0 - e) / (1.0 + e)})
    return made


def psf_of(kind: str, fwhm_arcsec: float) -> Any:
    """Return a GalSim PSF: those of `make_truth`, a sheared Moffat profile or a Kolmogorov; an image of pixels is made once."""
    if kind == "image":
        return _image_psf(fwhm_arcsec)
    if kind == "kolmogorov":
        return galsim.Kolmogorov(fwhm=fwhm_arcsec)
    if kind == "sheared":
        return galsim.Moffat(beta=3.5, fwhm=fwhm_arcsec).shear(g1=0.06, g2=-0.03)
    return make_psf(kind, fwhm_arcsec)


@lru_cache(maxsize=3)
def _image_psf(fwhm_arcsec: float) -> Any:
    """Return the PSF of a host's band as an image."""
    return make_psf("image", fwhm_arcsec)


def converged(scenes: list[Case]) -> Truths:
    """Return scenes of the mix with their converged stamps."""
    return [(case, stamps(case, **CONVERGED)[0]) for case in scenes]


def hard_truths() -> Truths:
    """Return the stored scenes of Gaussian or Moffat PSF, n <= 1 and averaged over the pixel: what every code can be held to."""
    with np.load(SMALL_TRUTH) as data:
        small = [(case, data[f"image_{i}"][None].astype(float)) for i, case in enumerate(json.loads(str(data["cases_json"])))]
    for case, _ in small:
        case |= {name: (case[name][case["band"]],) for name in ("src_flux_nmgy", "psf_fwhm_arcsec")} | {"pixel_response": True}
    return [(case, want) for case, want in truth_cases() + small if case["pixel_response"] and _is_plain(case)]


def _is_plain(case: Case) -> bool:
    """Return whether every code draws the scene's PSF and source."""
    return case["psf"] in CLOSED and case["src_n_sersic"] <= 1.0
