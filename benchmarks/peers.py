"""The stamps of a scene as other codes draw them: GalSim alone, lenstronomy, caustics.

All average over the square pixel. What a code can keep between stamps is made once (its model classes, its coordinate grid); what
changes with a stamp is made anew: parameters, PSFs, kernels. A kernel reaches to where 5e-4 of a Moffat profile's flux is outside.
"""

import importlib.util
from collections.abc import Callable
from functools import cache
from math import ceil, pi, sqrt
from typing import Any

import galsim
import numpy as np
from lenstronomy.Data.imaging_data import ImageData
from lenstronomy.Data.psf import PSF
from lenstronomy.ImSim.image_model import ImageModel
from lenstronomy.LensModel.lens_model import LensModel
from lenstronomy.LightModel.light_model import LightModel
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import Source, ray_shoot, sersic_b_n, sersic_surface_brightness
from tests.core.lensing.lensing_scenes import lens_of, source_of
from tests.core.lensing.make_truth import Case, make_psf

FloatArray = NDArray[np.float64]
Draw = Callable[[Case], FloatArray]
"""Returns the stamps of a scene in all its bands, shape (n_bands, size, size)."""

KERNEL_OUTSIDE_FLUX = 5e-4
LARGEST_FWHM_ARCSEC = 1.6
"""Of the mix of scenes: caustics compiles its batch for one shape of kernel."""


def galsim_alone(factor: int, *, is_shared: bool) -> Draw:
    """Return drawing by GalSim: rays by numpy at the centres of factor x factor cells a pixel, interpolated as an image.

    Shared: one image for all bands whose scales GalSim need not find, because cell and stamp give them; else a new one per band.
    """
    scales = {"calculate_stepk": False, "calculate_maxk": False} if is_shared else {}

    def image_of(light: FloatArray) -> Any:
        return galsim.InterpolatedImage(galsim.ImageD(light, scale=PIXEL_SCALE_ARCSEC / factor), **scales)

    def draw(case: Case) -> FloatArray:
        size, side, source = case["size_pix"], PIXEL_SCALE_ARCSEC / factor, source_of(case)
        axis = (np.arange(size * factor) - 0.5 * (size * factor - 1)) * side
        x, y = ray_shoot(axis[None, :], axis[:, None], lens=lens_of(case))
        light = sersic_surface_brightness(x, y, source=source, flux_nmgy=1.0) * side**2
        arc = image_of(light)
        images = []
        for flux, fwhm in zip(source.flux_nmgy, case["psf_fwhm_arcsec"], strict=True):
            seen = galsim.Convolve([arc if is_shared else image_of(light), make_psf(case["psf"], fwhm)])
            images.append(flux * seen.drawImage(nx=size, ny=size, scale=PIXEL_SCALE_ARCSEC, dtype=float).array)
        return np.array(images)

    return draw


def lenstronomy(factor: int, *, is_kernel_fine: bool) -> Draw:
    """Return drawing by lenstronomy: factor x factor rays a pixel, convolved at the pixels or (fine) at the rays with the full kernel."""
    rays, light = LensModel(["SIE", "SHEAR"]), LightModel(["SERSIC_ELLIPSE"])
    numerics = {"supersampling_factor": factor, "supersampling_convolution": is_kernel_fine, "supersampling_kernel_size": None}
    kernel_factor = factor if is_kernel_fine else 1

    def psf_of(kind: str, fwhm: float) -> PSF:
        if kind == "gauss":
            return PSF("GAUSSIAN", fwhm=fwhm, pixel_size=PIXEL_SCALE_ARCSEC, truncation=5)
        kernel = _kernel(make_psf(kind, fwhm), kernel_factor * (2 * _kernel_reach_pix(fwhm) + 1), kernel_factor)
        return PSF("PIXEL", kernel_point_source=kernel, point_source_supersampling_factor=kernel_factor)

    def draw(case: Case) -> FloatArray:
        size, source = case["size_pix"], source_of(case)
        first = -0.5 * (size - 1) * PIXEL_SCALE_ARCSEC
        frame = {"ra_at_xy_0": first, "dec_at_xy_0": first, "transform_pix2angle": PIXEL_SCALE_ARCSEC * np.eye(2)}
        data, lens, shape = ImageData(np.zeros((size, size)), **frame), _lenstronomy_lens(case), _lenstronomy_source(source)
        images = []
        for flux, fwhm in zip(source.flux_nmgy, case["psf_fwhm_arcsec"], strict=True):
            psf = psf_of(case["psf"], fwhm)
            model = ImageModel(data, psf, lens_model_class=rays, source_model_class=light, kwargs_numerics=numerics)
            images.append(model.image(lens, [shape | {"amp": shape["amp"] * flux}]))
        return np.array(images)

    return draw


def _lenstronomy_lens(case: Case) -> list[dict[str, float]]:
    """Return the lens of a scene in lenstronomy, whose SIE has the same intermediate-axis radius and e = (1 - q) / (1 + q)."""
    x, y = case["lens_x_arcsec"], case["lens_y_arcsec"]
    sie = {"theta_E": case["theta_e_arcsec"], "center_x": x, "center_y": y} | _ellipticity(case["lens_q"], case["lens_phi_rad"])
    return [sie, {"gamma1": case["gamma1"], "gamma2": case["gamma2"], "ra_0": x, "dec_0": y}]


def _lenstronomy_source(source: Source) -> dict[str, float]:
    """Return the source of unit flux in lenstronomy, its radius scaled so that the fit it takes for b_n gives the same profile."""
    n, fit = source.n_sersic, 1.9992 * source.n_sersic - 0.3271
    radius = source.reff_arcsec * (fit / sersic_b_n(n)) ** n
    shape = {"R_sersic": radius, "n_sersic": n, "center_x": source.x_arcsec, "center_y": source.y_arcsec}
    return shape | {"amp": _centre(source) * np.exp(-fit)} | _ellipticity(source.q, source.phi_rad)


def _ellipticity(q: float, phi: float) -> dict[str, float]:
    """Return lenstronomy's components of an axis ratio and angle."""
    e = (1.0 - q) / (1.0 + q)
    return {"e1": e * np.cos(2.0 * phi), "e2": e * np.sin(2.0 * phi)}


def _centre(source: Source) -> float:
    """Return the central brightness of a source of unit flux [arcsec^-2]."""
    return float(sersic_surface_brightness(source.x_arcsec, source.y_arcsec, source=source, flux_nmgy=1.0))


def _kernel_reach_pix(fwhm: float) -> int:
    """Return how far kernels reach [pix]: as a Moffat profile of exponent 3.5 needs."""
    alpha = 0.5 * fwhm / sqrt(2.0 ** (1.0 / 3.5) - 1.0)
    return ceil(alpha * sqrt(KERNEL_OUTSIDE_FLUX ** (-1.0 / 2.5) - 1.0) / PIXEL_SCALE_ARCSEC)


def _kernel(psf: Any, side: int, factor: int) -> FloatArray:
    """Return a PSF drawn on side x side cells, factor of them along a pixel."""
    drawn = psf.drawImage(nx=side, ny=side, scale=PIXEL_SCALE_ARCSEC / factor, method="no_pixel", dtype=float)
    return np.asarray(drawn.array)


def has_caustics() -> bool:
    """Return whether caustics and torch can be imported."""
    return all(importlib.util.find_spec(name) is not None for name in ("caustics", "torch"))


def caustics(factor: int) -> Draw:
    """Return drawing by caustics on one thread: factor x factor rays a pixel and kernels as fine, the bands of a stamp as one batch."""
    library, torch = importlib.import_module("caustics"), importlib.import_module("torch")
    torch.set_num_threads(1)
    side = 2 * factor * _kernel_reach_pix(LARGEST_FWHM_ARCSEC) + 1
    universe = library.FlatLambdaCDM()
    parts = [library.SIE(cosmology=universe), library.ExternalShear(cosmology=universe)]
    lens = library.SinglePlane(cosmology=universe, lenses=parts, z_l=0.5, z_s=1.0)
    options = {"pixelscale": PIXEL_SCALE_ARCSEC, "upsample_factor": factor, "psf": None, "psf_shape": (side, side)}
    source = library.Sersic()

    @cache
    def simulator(size: int) -> Any:
        return library.LensSource(lens, source, pixels_x=size, **options)

    def draw(case: Case) -> FloatArray:
        fixed = _caustics_numbers(case)
        rows = []
        for flux, fwhm in zip(case["src_flux_nmgy"], case["psf_fwhm_arcsec"], strict=True):
            kernel = _kernel(make_psf(case["psf"], fwhm), side, factor)
            rows.append(np.append(kernel.ravel(), [*fixed[:-1], fixed[-1] * flux]).astype(np.float32))
        with torch.inference_mode():
            images = torch.vmap(simulator(case["size_pix"]))(torch.from_numpy(np.stack(rows)))
        return np.asarray(images.numpy(), dtype=np.float64)

    return draw


def _caustics_numbers(case: Case) -> list[float]:
    """Return the free parameters of SIE, shear and source of unit flux, in caustics' order; its radius is the semi-major one.

    b_n as caustics takes it: Ciotti & Bertin 1999, A&A 352, 447, eq. 18, good to 1e-6 for n >= 0.5.
    """
    source, n = source_of(case), case["src_n_sersic"]
    b = 2 * n - 1 / 3 + 4 / (405 * n) + 46 / (25515 * n**2) + 131 / (1148175 * n**3) - 2194697 / (30690717750 * n**4)
    place = [case["lens_x_arcsec"], case["lens_y_arcsec"]]
    lens = [*place, case["lens_q"], case["lens_phi_rad"] % pi, case["theta_e_arcsec"], *place, case["gamma1"], case["gamma2"]]
    shape = [source.x_arcsec, source.y_arcsec, source.q, source.phi_rad % pi, n, source.reff_arcsec / sqrt(source.q)]
    return [*lens, *shape, _centre(source) * np.exp(-b) * PIXEL_SCALE_ARCSEC**2]
