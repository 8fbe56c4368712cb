"""Makes `tests/data/render_truth_hard.npz`: converged stamps of hard scenes, by code that shares nothing with the renderer.

    python -m tests.core.lensing.make_truth [TRUTH.npz]        (some ten minutes on one core)

Light: surface brightness in closed form at the end of rays, with the deflection as the complex arc tangent of Tessore & Metcalf 2015,
A&A 580, A79, eq. 13 with t = 1, held against lenstronomy before anything is made. It is averaged over cells of 1/15 pixel; each cell
is halved again and again until a 3 x 3 Gauss rule and the rules of its quarters agree to 1e-9 of the source's flux, and for as long as
an image of the source could hide between the points. PSF: samples in real space, by GalSim, on the same fine grid; no PSF
is taken from its transform. One FFT product over a frame of 72 arcsec, with the cell divided out and, where the case says so, the
pixel multiplied in; pixel centres are cell centres, so that a stamp is a slice of the product.

Everything is made twice, the second time with cells of 1/11 pixel, a frame of 83 arcsec and a tolerance of 1e-8: the differences are
stored with each case as `error_of_peak` and `error_of_flux`. Unlensed scenes are held against GalSim's own Sersic profiles.
Keys of a case are those of the renderer's classes; lens and source stand where `src_x_arcsec` and its likes say, from the middle of the
stamp. `magnification` is stored for n <= 1, whose light ends inside the frame.
"""

import json
import sys
from pathlib import Path
from typing import Any

import galsim
import numpy as np
from lenstronomy.LensModel.lens_model import LensModel
from numpy.typing import NDArray
from scipy import fft, ndimage
from scipy.special import gamma, gammaincinv

Array = NDArray[np.float64]
Case = dict[str, Any]

TRUTH = Path(__file__).parents[2] / "data" / "render_truth_hard.npz"
PIXEL_ARCSEC = 0.262
MARGIN_PIX = 60
"""Light farther outside the stamp is left out [pix]."""

FINE = {"factor": 15, "period_pix": 275, "tolerance": 1e-9}
COARSE = {"factor": 11, "period_pix": 315, "tolerance": 1e-8}

SMALLEST_ARCSEC = 1e-6
"""Squares are halved no further."""

NODES = np.array([-np.sqrt(0.6), 0.0, np.sqrt(0.6)]) / 2.0
WEIGHTS = np.array([5.0, 8.0, 5.0]) / 18.0
STRICT = galsim.GSParams(folding_threshold=1e-5, maxk_threshold=1e-5, kvalue_accuracy=1e-7, maximum_fft_size=16384)


def make_psf(kind: str, fwhm_arcsec: float) -> Any:
    """Return the PSF of a case: gauss, moffat (beta 3.5), moffat_2.5 and the like, image (of pixels) or sum (of two, one shifted)."""
    if kind == "gauss":
        return galsim.Gaussian(fwhm=fwhm_arcsec)
    if kind == "image":
        drawn = galsim.Moffat(beta=3.5, fwhm=fwhm_arcsec).shear(g1=0.06, g2=-0.03)
        return galsim.InterpolatedImage(drawn.drawImage(nx=63, ny=63, scale=PIXEL_ARCSEC, method="no_pixel", dtype=float), flux=1.0)
    if kind == "sum":
        core = galsim.Moffat(beta=3.5, fwhm=fwhm_arcsec).shear(g1=0.08, g2=-0.05)
        return 0.7 * core + 0.3 * galsim.Gaussian(fwhm=1.8 * fwhm_arcsec).shear(g2=0.1).shift(0.15, -0.1)
    return galsim.Moffat(beta=float(kind.partition("_")[2] or 3.5), fwhm=fwhm_arcsec)


def shoot(x: Array, y: Array, case: Case) -> tuple[Array, Array]:
    """Return the source plane positions of rays, both from the lens [arcsec]."""
    turn, theta_e, q = np.exp(1j * case["lens_phi_rad"]), case["theta_e_arcsec"], case["lens_q"]
    seen = (x + 1j * y) / turn
    ellipse = q * seen.real + 1j * seen.imag
    radius = np.abs(ellipse)
    direction = ellipse / np.where(radius > 0.0, radius, 1.0)
    if q < 1.0:
        alpha = 2.0 * np.sqrt(q / (1.0 - q * q)) * np.arctan(np.sqrt((1.0 - q) / (1.0 + q)) * direction)
    else:
        alpha = direction
    beta = x + 1j * y - theta_e * turn * alpha - (case["gamma1"] + 1j * case["gamma2"]) * (x - 1j * y)
    return beta.real, beta.imag


def source_radius(x: Array, y: Array, case: Case) -> Array:
    """Return the elliptical radius in half-light radii that a position on the stamp [arcsec] shows."""
    beta_x, beta_y = shoot(x - case["lens_x_arcsec"], y - case["lens_y_arcsec"], case)
    off = beta_x + case["lens_x_arcsec"] - case["src_x_arcsec"] + 1j * (beta_y + case["lens_y_arcsec"] - case["src_y_arcsec"])
    off *= np.exp(-1j * case["src_phi_rad"])
    return np.asarray(np.sqrt(case["src_q"] * off.real**2 + off.imag**2 / case["src_q"]) / case["src_reff_arcsec"])


def brightness(x: Array, y: Array, case: Case) -> Array:
    """Return the surface brightness on the stamp of a source of unit flux [arcsec^-2]."""
    n = case["src_n_sersic"]
    b = gammaincinv(2.0 * n, 0.5)
    central = b ** (2.0 * n) / (2.0 * np.pi * n * gamma(2.0 * n) * case["src_reff_arcsec"] ** 2)
    return np.asarray(central * np.exp(-b * source_radius(x, y, case) ** (1.0 / n)))


def may_hide_light(x: Array, y: Array, side: float, case: Case) -> NDArray[np.bool_]:
    """Return whether the image of a square spans more than a third of the source's minor axis and comes near the source."""
    distance = np.hypot(x - case["lens_x_arcsec"], y - case["lens_y_arcsec"])
    stretch = 1.0 + np.hypot(case["gamma1"], case["gamma2"]) + case["theta_e_arcsec"] / np.maximum(case["lens_q"] * distance, 0.5 * side)
    span = stretch * side / (case["src_reff_arcsec"] * np.sqrt(case["src_q"]))
    return np.asarray((span > 0.33) & (source_radius(x, y, case) < span + 5.0) & (side > SMALLEST_ARCSEC))


def gauss_means(x: Array, y: Array, side: float, case: Case) -> Array:
    """Return the 3 x 3 Gauss rule over squares."""
    total = np.zeros(x.shape)
    for dx, wx in zip(NODES, WEIGHTS, strict=True):
        for dy, wy in zip(NODES, WEIGHTS, strict=True):
            total += wx * wy * brightness(x + side * dx, y + side * dy, case)
    return total


def square_means(x: Array, y: Array, side: float, case: Case, tolerance: float) -> Array:
    """Return means over squares, halved until rule and quarters agree to a flux and no image can hide."""
    result, owner, share = np.zeros(len(x)), np.arange(len(x)), 1.0
    area, whole = side * side, gauss_means(x, y, side, case)
    while len(x):
        quarter_x = x[:, None] + 0.25 * side * np.array([-1.0, 1.0, -1.0, 1.0])
        quarter_y = y[:, None] + 0.25 * side * np.array([-1.0, -1.0, 1.0, 1.0])
        quarters = gauss_means(quarter_x, quarter_y, 0.5 * side, case)
        rough = (np.abs(quarters.mean(axis=1) - whole) * share * area > tolerance) | may_hide_light(x, y, side, case)
        rough &= side > SMALLEST_ARCSEC
        np.add.at(result, owner[~rough], share * quarters[~rough].mean(axis=1))
        x, y, whole, owner = quarter_x[rough].ravel(), quarter_y[rough].ravel(), quarters[rough].ravel(), np.repeat(owner[rough], 4)
        side, share = 0.5 * side, 0.25 * share
    return result


def cell_means(case: Case, factor: int, tolerance: float) -> Array:
    """Return the mean brightness of every cell of the stamp and its margin; cells without curvature keep their middle's value."""
    side, n = PIXEL_ARCSEC / factor, (case["size_pix"] + 2 * MARGIN_PIX) * factor
    centre = (np.arange(n) + 0.5 - 0.5 * n) * side
    means, hidden = np.empty((n, n)), np.empty((n, n), dtype=bool)
    for row, y in enumerate(centre):
        means[row], hidden[row] = brightness(centre, y, case), may_hide_light(centre, y, side, case)
    curved = np.abs(ndimage.laplace(means)) * side**2 / 24.0 > tolerance
    rows, columns = np.nonzero(ndimage.maximum_filter(curved, 5) | hidden)
    for part in np.array_split(np.arange(len(rows)), 1 + len(rows) // 20_000):
        means[rows[part], columns[part]] = square_means(centre[columns[part]], centre[rows[part]], side, case, tolerance)
    return means


def sinc(frequency: Array) -> Array:
    """Return the transform of a box of unit side on the square of two frequency axes, the second one sided."""
    return np.asarray(np.sinc(frequency)[:, None] * np.sinc(frequency[: len(frequency) // 2 + 1]))


def stamps(case: Case, *, factor: int, period_pix: int, tolerance: float) -> tuple[Array, float]:
    """Return the stamps of a case, shape (n_bands, size, size), and the flux of its light over the unlensed flux."""
    side, size = PIXEL_ARCSEC / factor, case["size_pix"]
    means = cell_means(case, factor, tolerance)
    n = period_pix * factor
    frequency = fft.fftfreq(n)
    spectrum = fft.rfft2(means * side**2, s=(n, n)) / sinc(frequency)
    if case["pixel_response"]:
        spectrum *= sinc(frequency * factor)
    first = MARGIN_PIX * factor + factor // 2
    pick = slice(first, first + size * factor, factor)
    images = np.empty((len(case["psf_fwhm_arcsec"]), size, size))
    for band, fwhm in enumerate(case["psf_fwhm_arcsec"]):
        kernel = galsim.ImageD(n, n, scale=side)
        make_psf(case["psf"], fwhm).drawImage(image=kernel, method="no_pixel")
        whole = fft.irfft2(spectrum * fft.rfft2(fft.ifftshift(kernel.array)), s=(n, n))
        # the kernel holds flux a cell, a pixel samples flux a pixel
        images[band] = whole[pick, pick] * factor**2 * case["src_flux_nmgy"][band]
    return images, float(means.sum()) * side**2


def make_case(case: Case) -> tuple[Case, Array]:
    """Return a case with its convergence errors and its images."""
    (fine, total), (coarse, _) = stamps(case, **FINE), stamps(case, **COARSE)
    peak = np.abs(fine - coarse).max(axis=(1, 2)) / fine.max(axis=(1, 2))
    flux = np.abs(coarse.sum(axis=(1, 2)) / fine.sum(axis=(1, 2)) - 1.0)
    measured = {"error_of_peak": float(peak.max()), "error_of_flux": float(flux.max())}
    if case["src_n_sersic"] <= 1.0:
        measured["magnification"] = total
    return case | measured, fine


def check_rays() -> float:
    """Return the largest difference from lenstronomy's rays over random lenses [arcsec]."""
    rng, worst = np.random.default_rng(1), 0.0
    for _ in range(20):
        theta_e, q, phi, gamma1, gamma2 = rng.uniform([0.2, 0.3, 0.0, -0.1, -0.1], [3.0, 0.99, np.pi, 0.1, 0.1])
        lens = {"theta_e_arcsec": theta_e, "lens_q": q, "lens_phi_rad": phi, "gamma1": gamma1, "gamma2": gamma2}
        e = (1.0 - q) / (1.0 + q)
        sie = {"theta_E": theta_e, "e1": e * np.cos(2 * phi), "e2": e * np.sin(2 * phi)}
        x, y = rng.uniform(-4.0, 4.0, (2, 500))
        theirs = LensModel(["SIE", "SHEAR"]).ray_shooting(x, y, [sie, {"gamma1": gamma1, "gamma2": gamma2}])
        worst = max(worst, float(np.abs(np.array(shoot(x, y, lens)) - theirs).max()))
    return worst


def unlensed_by_galsim(case: Case, band: int) -> Array:
    """Return the stamp of an unlensed case as GalSim draws its own Sersic profile."""
    source = galsim.Sersic(n=case["src_n_sersic"], half_light_radius=case["src_reff_arcsec"], flux=case["src_flux_nmgy"][band])
    source = source.shear(q=case["src_q"], beta=case["src_phi_rad"] * galsim.radians).shift(case["src_x_arcsec"], case["src_y_arcsec"])
    image = galsim.ImageD(case["size_pix"], case["size_pix"], scale=PIXEL_ARCSEC)
    seen = galsim.Convolve([source, make_psf(case["psf"], case["psf_fwhm_arcsec"][band])], gsparams=STRICT)
    seen.drawImage(image=image, method="auto" if case["pixel_response"] else "no_pixel")
    return np.asarray(image.array)


def caustic(lens: tuple[float, ...], angle: Array) -> tuple[Array, Array]:
    """Return the tangential caustic at polar angles of the critical curve, from the lens.

    kappa = k(angle) / r and the Hessian of the ellipsoid is 2 kappa on the tangential direction, so that r is closed.
    """
    theta_e, q, phi, gamma1, gamma2 = lens
    c, s = np.cos(angle), np.sin(angle)
    major, minor = np.cos(angle - phi), np.sin(angle - phi)
    kappa = 0.5 * theta_e / np.sqrt(q * major**2 + minor**2 / q)
    radius = 2.0 * kappa * (1.0 - gamma1 * (c * c - s * s) - 2.0 * gamma2 * c * s) / (1.0 - gamma1**2 - gamma2**2)
    case = {"theta_e_arcsec": theta_e, "lens_q": q, "lens_phi_rad": phi, "gamma1": gamma1, "gamma2": gamma2}
    return shoot(radius * c, radius * s, case)


def on_caustic(lens: tuple[float, ...], kind: str) -> tuple[float, float]:
    """Return the sharpest cusp of the tangential caustic, or the point of a fold where it moves fastest, from the lens."""
    angle = np.linspace(0.0, 2.0 * np.pi, 20_000, endpoint=False)
    x, y = caustic(lens, angle)
    speed = np.hypot(np.roll(x, -1) - np.roll(x, 1), np.roll(y, -1) - np.roll(y, 1))
    at = int(np.argmin(speed) if kind == "cusp" else np.argmax(speed))
    return float(x[at]), float(y[at])


def scene(
    note: str,
    lens: tuple[float, ...],
    at: str | tuple[float, float],
    source: tuple[float, ...],
    psf: str,
    fwhm: tuple[float, ...],
    *,
    size: int = 64,
    place: tuple[float, float] = (0.0, 0.0),
    pixel: bool = False,
) -> Case:
    """Return a case: lens (theta_e, q, phi, gamma1, gamma2) at a place, source (R_e, q, phi, n) on a caustic or off the lens."""
    off = on_caustic(lens, at) if isinstance(at, str) else at
    case: Case = {"note": note, "size_pix": size, "pixel_response": pixel, "psf": psf, "psf_fwhm_arcsec": fwhm}
    case |= dict(zip(("theta_e_arcsec", "lens_q", "lens_phi_rad", "gamma1", "gamma2"), lens, strict=True))
    case |= {"lens_x_arcsec": place[0], "lens_y_arcsec": place[1]}
    case |= {"src_x_arcsec": place[0] + off[0], "src_y_arcsec": place[1] + off[1]}
    case |= dict(zip(("src_reff_arcsec", "src_q", "src_phi_rad", "src_n_sersic"), source, strict=True))
    return case | {"src_flux_nmgy": tuple(1.0 + band for band in range(len(fwhm)))}


ROUND = (1.2, 1.0, 0.0, 0.0, 0.0)
FLAT = (1.0, 0.3, 0.6, 0.0, 0.0)
SHEARED = (1.3, 0.5, 2.0, 0.12, -0.09)
TYPICAL = (1.1, 0.7, 0.9, 0.02, -0.03)
NONE = (0.0, 0.8, 0.5, 0.0, 0.0)
CORNER = (0.131, 0.131)


def scenes() -> list[Case]:
    """Return every case."""
    return [
        scene("ring, R_e 0.1", ROUND, (0.0, 0.0), (0.1, 1.0, 0.0, 1.0), "gauss", (1.1, 0.6)),
        scene("ring, R_e 0.04, corner of the grid", (1.5, 1.0, 0.3, 0.0, 0.0), (0.0, 0.0), (0.04, 1.0, 0.0, 1.0), "moffat", (0.6,),
              place=CORNER, pixel=True),
        scene("ring of an elliptical source, R_e 0.05", ROUND, (0.0, 0.0), (0.05, 0.4, 1.0, 1.0), "moffat", (0.9,), place=(0.05, -0.11)),
        scene("ring, n 4", ROUND, (0.0, 0.0), (0.3, 1.0, 0.0, 4.0), "moffat", (1.2,), size=96),
        scene("ring, n 0.5, theta_e 3, image PSF", (3.0, 1.0, 0.0, 0.0, 0.0), (0.0, 0.0), (0.2, 0.8, 0.4, 0.5), "image", (1.1,), size=96),
        scene("cross of shear 0.15 alone, R_e 0.05", (1.2, 1.0, 0.0, 0.15, 0.0), (0.0, 0.0), (0.05, 0.7, 0.4, 1.0), "moffat", (1.0,)),
        scene("sphere with shear, cusp, R_e 0.04", (1.0, 1.0, 0.0, 0.05, 0.04), "cusp", (0.04, 0.8, 0.4, 1.0), "gauss", (0.7,)),
        scene("q 0.3 fold, R_e 0.04", FLAT, "fold", (0.04, 0.7, 1.2, 1.0), "moffat", (0.9, 0.6)),
        scene("q 0.3 cusp, n 0.5, sharp", FLAT, "cusp", (0.1, 0.5, 1.2, 0.5), "gauss", (0.6,), place=(-0.09, 0.12)),
        scene("q 0.3 cusp, n 4", FLAT, "cusp", (0.2, 0.7, 1.2, 4.0), "moffat", (1.1,)),
        scene("q 0.3 cusp, R_e 0.04, pixel response", FLAT, "cusp", (0.04, 0.6, 0.2, 1.0), "gauss", (0.8,), place=CORNER, pixel=True),
        scene("shear 0.15 fold, R_e 0.06, wide wings", SHEARED, "fold", (0.06, 0.6, 0.4, 1.0), "moffat_2.5", (0.9,)),
        scene("shear 0.15 cusp, R_e 0.15, n 1.5", SHEARED, "cusp", (0.15, 0.6, 0.4, 1.5), "moffat", (1.0,)),
        scene("theta_e 0.5 cusp, R_e 0.04, 49 px", (0.5, 0.5, 1.1, 0.03, 0.04), "cusp", (0.04, 0.8, 0.3, 1.0), "gauss", (0.6,), size=49),
        scene("cusp, n 2.5", TYPICAL, "cusp", (0.1, 0.7, 0.2, 2.5), "moffat", (1.0,), place=(0.1, 0.02)),
        scene("fold, n 1.5", TYPICAL, "fold", (0.08, 0.5, 2.5, 1.5), "moffat", (0.8,)),
        scene("fold, R_e 0.04, n 2.5", TYPICAL, "fold", (0.04, 0.8, 2.5, 2.5), "gauss", (0.8,)),
        scene("quad, R_e 0.04, n 4", TYPICAL, (0.05, 0.03), (0.04, 0.8, 0.0, 4.0), "moffat", (0.9,), place=CORNER),
        scene("fold along a thin source", TYPICAL, "fold", (0.2, 0.3, 0.9, 1.0), "gauss", (0.7,)),
        scene("theta_e 0.2, R_e 0.04, sharp, 48 px", (0.2, 0.8, 0.5, 0.02, 0.0), (0.02, 0.01), (0.04, 0.7, 0.3, 1.0), "gauss", (0.6,),
              size=48),
        scene("theta_e 0.2, R_e 1.2", (0.2, 0.6, 0.5, 0.02, 0.0), (0.1, 0.1), (1.2, 0.6, 0.3, 1.0), "moffat", (1.2,)),
        scene("theta_e 0.2 cusp, image PSF", (0.2, 0.3, 1.5, 0.0, 0.02), "cusp", (0.05, 0.6, 0.3, 1.0), "image", (0.9,), size=48),
        scene("theta_e 3 fold, R_e 0.04, 128 px", (3.0, 0.3, 0.4, 0.08, -0.06), "fold", (0.04, 0.7, 0.3, 1.0), "moffat", (0.8,), size=128),
        scene("theta_e 3 cusp, 101 px", (3.0, 0.6, 2.4, 0.05, 0.1), "cusp", (0.3, 0.6, 1.3, 1.0), "moffat", (1.3,), size=101),
        scene("theta_e 3, R_e 0.5, n 2.5, 96 px", (3.0, 0.7, 2.4, 0.0, 0.05), (0.4, 0.3), (0.5, 0.6, 1.3, 2.5), "sum", (1.1,), size=96),
        scene("unlensed, R_e 0.04, q 0.3, sharp", NONE, (0.131, 0.05), (0.04, 0.3, 0.8, 1.0), "gauss", (0.6,)),
        scene("unlensed, n 0.5, 49 px", NONE, (0.08, -0.03), (0.04, 0.6, 0.8, 0.5), "moffat", (0.7,), size=49),
        scene("unlensed, n 4, R_e 1.2", NONE, (0.3, -0.2), (1.2, 0.6, 0.8, 4.0), "moffat_2.5", (1.5,), size=96),
        scene("unlensed, R_e 0.04, seeing 3.5, 48 px", NONE, (0.3, -0.2), (0.04, 0.8, 0.8, 1.0), "moffat", (3.5,), size=48),
        scene("unlensed, R_e 0.05, sharp", NONE, (0.05, -0.03), (0.05, 1.0, 0.0, 1.0), "gauss", (0.6,), place=(0.131, 0.02)),
        scene("unlensed, R_e 0.1, FWHM 0.9", NONE, (0.05, -0.03), (0.1, 1.0, 0.0, 1.0), "gauss", (0.9,), place=(0.131, 0.02)),
        scene("ring, R_e 0.05, sharp", ROUND, (0.0, 0.0), (0.05, 1.0, 0.0, 1.0), "gauss", (0.6,), place=(0.131, 0.02)),
        scene("unlensed but for shear 0.15", (0.0, 0.8, 0.5, 0.12, 0.09), (0.2, 0.1), (0.3, 0.5, 1.8, 1.0), "gauss", (1.0,), size=65),
        scene("source 6 arcsec away", (1.0, 0.7, 0.4, 0.02, 0.03), (4.5, -3.97), (0.3, 0.7, 0.2, 1.0), "moffat", (1.2,)),
        scene("source 6 arcsec away, n 4", (1.0, 0.7, 0.4, 0.02, 0.03), (-6.0, 0.3), (0.4, 0.7, 0.2, 4.0), "moffat", (1.2,)),
        scene("source at the edge, R_e 0.04, 48 px", (1.0, 0.7, 0.4, 0.0, 0.0), (4.9, 0.0), (0.04, 0.7, 0.2, 1.0), "gauss", (0.9,),
              size=48),
        scene("source on the cut", (1.2, 0.8, 0.4, 0.02, 0.0), (1.15, 0.1), (0.06, 0.7, 0.2, 1.0), "moffat", (0.8,), place=(-0.12, 0.07)),
        scene("cusp, corner of the grid, R_e 0.05", TYPICAL, "cusp", (0.05, 0.7, 0.2, 1.0), "moffat", (0.9, 1.3, 2.0), place=CORNER),
        scene("quad, pixel's middle, 65 px", TYPICAL, (0.06, -0.04), (0.15, 0.7, 0.2, 1.0), "gauss", (1.0,), size=65, pixel=True),
        scene("quad, pixel's edge, 49 px", TYPICAL, (0.06, -0.04), (0.08, 0.7, 0.2, 0.5), "moffat", (0.7,), size=49, place=(0.131, 0.0)),
        scene("seeing 3.5, 48 px", (2.0, 0.6, 0.9, 0.05, -0.03), (0.3, 0.2), (0.2, 0.7, 0.2, 1.0), "moffat", (3.5,), size=48),
        scene("Gaussian seeing 3.5", (2.0, 0.6, 0.9, 0.05, -0.03), "cusp", (0.1, 0.7, 0.2, 1.0), "gauss", (3.5,)),
        scene("wide wings, seeing 3.5, 128 px", (2.0, 0.5, 0.9, 0.0, 0.0), "fold", (0.2, 0.7, 0.2, 1.0), "moffat_2.5", (3.5,), size=128),
        scene("wide wings, 48 px", TYPICAL, (0.1, 0.1), (0.2, 0.7, 0.2, 1.0), "moffat_2.5", (2.0, 0.6), size=48),
        scene("Moffat 4.765, fold", TYPICAL, "fold", (0.05, 0.7, 0.2, 1.0), "moffat_4.765", (0.6, 1.2)),
        scene("sum of two, cusp", TYPICAL, "cusp", (0.06, 0.7, 0.2, 1.0), "sum", (0.8,), place=(0.03, 0.09)),
        scene("sum of two, n 4", TYPICAL, (0.1, 0.0), (0.3, 0.7, 0.2, 4.0), "sum", (1.1,), pixel=True),
        scene("image PSF, fold", TYPICAL, "fold", (0.06, 0.7, 0.2, 1.0), "image", (1.0,)),
        scene("image PSF of 0.6, R_e 0.04", TYPICAL, (0.06, -0.04), (0.04, 0.7, 0.2, 1.0), "image", (0.6, 0.75), place=(0.05, -0.09)),
        scene("image PSF, pixel response, 65 px", TYPICAL, (0.05, 0.1), (0.1, 0.7, 0.2, 1.0), "image", (1.3,), size=65, pixel=True),
        scene("big source, n 0.5", (2.0, 0.5, 0.9, 0.1, 0.1), (0.3, 0.3), (1.2, 0.5, 0.2, 0.5), "moffat", (1.0,), size=96),
        scene("big source, n 1", (1.0, 0.4, 0.9, 0.0, 0.0), (0.0, 0.0), (1.2, 0.5, 0.2, 1.0), "gauss", (0.8,), size=96),
    ]  # fmt: skip


def main() -> None:
    """Make every case, print its errors, and write the file."""
    rays = check_rays()
    if rays > 1e-6:
        raise RuntimeError(f"rays differ from lenstronomy's by {rays:.1e} arcsec, more than 1e-6: the truth would be wrong")
    made: dict[str, Any] = {}
    cases = []
    for i, todo in enumerate(scenes()):
        case, images = make_case(todo)
        cases.append(case)
        made[f"image_{i:02d}"] = images.astype(np.float32)
        line = f"{i:2d} peak {case['error_of_peak']:.1e} flux {case['error_of_flux']:.1e}  {case['note']}"
        if case["theta_e_arcsec"] == 0.0 and case["gamma1"] == 0.0:
            line += f"; from GalSim's Sersic {np.abs(images[0] - unlensed_by_galsim(case, 0)).max() / images[0].max():.1e}"
        print(line, flush=True)  # noqa: T201
    np.savez_compressed(sys.argv[1] if len(sys.argv) > 1 else TRUTH, cases_json=json.dumps(cases), **made)


if __name__ == "__main__":
    main()
