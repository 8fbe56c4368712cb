"""Pixels of one mock brick: correlated noise, painted objects, inverse variance, PSF maps and quality bits.

The noise of each exposure is white on its own CCD pixel grid (0.2637 arcsec, at a random sub-pixel shift) and is resampled to the brick
with the Lanczos-3 kernel, as the survey's coadds are; it is never rescaled. So neighbouring pixels correlate and image sqrt(invvar) has
a standard deviation below one, as in the survey. Objects carry no photon noise of their own.
"""

from dataclasses import dataclass
from functools import lru_cache

import galsim
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from halo_core.constants import MOFFAT_ALPHA_PER_PSFSIZE, MOFFAT_BETA, PIXEL_SCALE_ARCSEC
from halo_core.survey.bricks import brick_by_id, brick_wcs
from halo_core.survey.maskbits import DR10_BITS
from halo_core.survey.mock_model import Exposure, MockBrick, MockSurvey, conditions_at
from halo_core.survey.mock_objects import STAR, MockObjects

Image = NDArray[np.float32]

CCD_SCALE_ARCSEC = 0.2637
"""Side of a DECam pixel [arcsec]."""

SATURATION_NMGY = 25.0
"""Flux of a pixel above which every exposure is saturated [nmgy]."""

_FLAT_SCATTER = 0.015
_LANCZOS_ORDER = 3
_STAMP_PIX = {4.0: 128, 1.0: 64}
_STAR_FAINT_NMGY = 3e-5
_ROWS_PER_CHUNK = 256
_LOCUS_ARCSEC = 1630.0
_LOCUS_BASE = 1.396
_BRIGHT_MAG, _MEDIUM_MAG = 13.0, 16.0
_RADIUS_SHARE = {"BRIGHT": 0.5, "MEDIUM": 1.0, "WISEM1": 0.6, "WISEM2": 0.5}
_GALSIM_ACCURACY = galsim.GSParams(folding_threshold=1e-2, maxk_threshold=5e-3)


@dataclass(frozen=True)
class BandPixels:
    """Planes of one band, each (ny, nx)."""

    image: Image
    invvar: Image
    psfsize: Image
    depth: Image
    nexp: NDArray[np.int16]


def band_pixels(parameters: MockSurvey, brick: MockBrick, objects: MockObjects, band: str) -> BandPixels:
    """Return the planes of one band of a brick."""
    index = parameters.sky.bands.index(band)
    exposures = brick.exposures[index]
    image, weight = _noise(brick.stream(parameters, "noise", band), exposures, brick.size_pix)
    _paint(image, exposures, objects, index)
    is_saturated = _saturated(objects, exposures, index, *_pixel_grid(brick.size_pix))
    np.minimum(image, SATURATION_NMGY, out=image, where=is_saturated)
    image[weight == 0.0] = 0.0
    n_seen, psfsize, depth = _condition_maps(exposures, brick.size_pix)
    scatter = brick.stream(parameters, "flat field", band).standard_normal(weight.shape, dtype=np.float32)
    invvar = weight * (1.0 + np.float32(_FLAT_SCATTER) * scatter)
    for plane in (invvar, depth, n_seen):
        plane[is_saturated] = 0
    return BandPixels(image=image, invvar=invvar, psfsize=psfsize, depth=depth, nexp=n_seen)


def maskbits_at(
    parameters: MockSurvey, brick: MockBrick, objects: MockObjects, x_pix: NDArray[np.float64], y_pix: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Return the quality bits at pixel positions (broadcast): bright stars, saturation, no coverage, and the brick's unique area."""
    bits = np.zeros(np.broadcast_shapes(x_pix.shape, y_pix.shape), dtype=np.int32)
    for x, y, gmag in zip(objects.x_pix, objects.y_pix, objects.gaia_gmag, strict=True):
        if 0.0 < gmag < _MEDIUM_MAG:
            radius2 = (x_pix - x) ** 2 + (y_pix - y) ** 2
            for name, share in _RADIUS_SHARE.items():
                if name == "MEDIUM" or gmag < _BRIGHT_MAG:
                    bits[radius2 < (share * _LOCUS_ARCSEC * _LOCUS_BASE**-gmag / PIXEL_SCALE_ARCSEC) ** 2] |= 1 << DR10_BITS[name]
    for index, band in enumerate(parameters.sky.bands):
        satur, allmask = (1 << DR10_BITS[f"{stem}_{band.upper()}"] for stem in ("SATUR", "ALLMASK"))
        bits[_saturated(objects, brick.exposures[index], index, x_pix, y_pix)] |= satur | allmask
        seen = np.zeros(bits.shape, dtype=np.bool_)
        for exposure in brick.exposures[index]:
            seen |= exposure.covers(x_pix, y_pix)
        bits[~seen] |= allmask
    bits[~_is_primary(brick, x_pix, y_pix)] |= 1 << DR10_BITS["NPRIMARY"]
    return bits


def maskbits_plane(parameters: MockSurvey, brick: MockBrick, objects: MockObjects) -> NDArray[np.int32]:
    """Return the quality bits of the whole image, in chunks of rows so that memory stays small at 3600 pixels."""
    x, y = _pixel_grid(brick.size_pix)
    chunks = [maskbits_at(parameters, brick, objects, x, y[start : start + _ROWS_PER_CHUNK]) for start in range(0, len(y), _ROWS_PER_CHUNK)]
    return np.concatenate(chunks)


def _pixel_grid(size_pix: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return column positions (1, n) and row positions (n, 1)."""
    axis = np.arange(size_pix, dtype=np.float64)
    return axis[None, :], axis[:, None]


def _noise(rng: np.random.Generator, exposures: tuple[Exposure, ...], size_pix: int) -> tuple[Image, Image]:
    """Return the weighted mean of the resampled exposures' noise and the sum of their weights 1/sigma^2."""
    total = np.zeros((size_pix, size_pix), dtype=np.float32)
    weight = np.zeros_like(total)
    for exposure in exposures:
        ny, nx = exposure.y1 - exposure.y0, exposure.x1 - exposure.x0
        along_x, along_y = _lanczos_matrix(nx, exposure.shift_x_pix), _lanczos_matrix(ny, exposure.shift_y_pix)
        white = rng.standard_normal((along_y.shape[1], along_x.shape[1]), dtype=np.float32)
        resampled = (along_x @ (along_y @ white).T).T
        box = (slice(exposure.y0, exposure.y1), slice(exposure.x0, exposure.x1))
        total[box] += resampled * np.float32(1.0 / exposure.sigma_nmgy)
        weight[box] += np.float32(1.0 / exposure.sigma_nmgy**2)
    return np.divide(total, weight, out=total, where=weight > 0.0), weight


def _lanczos_matrix(n_out: int, shift_pix: float) -> csr_array:
    """Return the normalised Lanczos-3 resampling matrix (n_out, n_ccd) along one axis."""
    position = np.arange(n_out) * (PIXEL_SCALE_ARCSEC / CCD_SCALE_ARCSEC) + _LANCZOS_ORDER + shift_pix
    first = np.floor(position).astype(np.int64) - _LANCZOS_ORDER + 1
    taps = first[:, None] + np.arange(2 * _LANCZOS_ORDER)
    offset = position[:, None] - taps
    kernel = np.sinc(offset) * np.sinc(offset / _LANCZOS_ORDER)
    kernel /= kernel.sum(axis=1, keepdims=True)
    rows = np.arange(n_out + 1) * 2 * _LANCZOS_ORDER
    n_ccd = int(taps.max(initial=0)) + 1
    return csr_array((kernel.astype(np.float32).ravel(), taps.ravel(), rows), shape=(n_out, n_ccd))


def _paint(image: Image, exposures: tuple[Exposure, ...], objects: MockObjects, index: int) -> None:
    """Add every object of one band to the image in place, with the PSF size at its own position."""
    n_seen, psfsize, _ = conditions_at(exposures, objects.x_pix, objects.y_pix)
    for i in range(len(objects.kind)):
        flux = float(objects.flux_nmgy[i, index])
        x, y = float(objects.x_pix[i]), float(objects.y_pix[i])
        if n_seen[i] == 0:
            continue
        if objects.kind[i] == STAR:
            _add_star(image, x, y, flux, float(psfsize[i]))
        else:
            galaxy = _sersic(float(objects.sersic[i])).dilate(float(objects.reff_arcsec[i])) * flux
            sheared = galaxy.shear(q=float(objects.q[i]), beta=float(objects.phi_rad[i]) * galsim.radians)
            _add_galaxy(image, x, y, galsim.Convolve(sheared, _psf(float(psfsize[i]))), _STAMP_PIX[float(objects.sersic[i])])


@lru_cache(maxsize=8)
def _sersic(index: float) -> galsim.GSObject:
    """Return a round profile of unit half-light radius and flux."""
    return galsim.Sersic(n=index, half_light_radius=1.0, gsparams=_GALSIM_ACCURACY)


@lru_cache(maxsize=64)
def _psf(psfsize_arcsec: float) -> galsim.GSObject:
    """Return the Moffat whose noise-equivalent area is that of psfsize."""
    scale_radius = _moffat_alpha_pix(psfsize_arcsec) * PIXEL_SCALE_ARCSEC
    return galsim.Moffat(beta=MOFFAT_BETA, scale_radius=scale_radius, gsparams=_GALSIM_ACCURACY)


def _moffat_alpha_pix(psfsize_arcsec: float) -> float:
    """Return the scale radius alpha [pix] of a star's Moffat profile."""
    return MOFFAT_ALPHA_PER_PSFSIZE * psfsize_arcsec / PIXEL_SCALE_ARCSEC


def _add_galaxy(image: Image, x: float, y: float, profile: galsim.GSObject, stamp_pix: int) -> None:
    """Draw a profile that already holds the pixel response (no_pixel) and add the part inside the image."""
    ix, iy = int(np.floor(x + 0.5)), int(np.floor(y + 0.5))
    half = stamp_pix // 2
    bounds = galsim.BoundsI(ix - half, ix + half - 1, iy - half, iy + half - 1)
    drawn = profile.drawImage(bounds=bounds, scale=PIXEL_SCALE_ARCSEC, center=galsim.PositionD(x, y), method="no_pixel", dtype=float)
    inside = bounds & galsim.BoundsI(0, image.shape[1] - 1, 0, image.shape[0] - 1)
    if inside.isDefined():
        image[inside.ymin : inside.ymax + 1, inside.xmin : inside.xmax + 1] += drawn[inside].array


def _add_star(image: Image, x: float, y: float, flux: float, psfsize_arcsec: float) -> None:
    """Add a point source out to where its surface brightness is negligible."""
    alpha = _moffat_alpha_pix(psfsize_arcsec)
    reach = _moffat_radius_pix(flux, alpha, _STAR_FAINT_NMGY)
    y0, y1 = max(int(y - reach), 0), min(int(y + reach) + 2, image.shape[0])
    x0, x1 = max(int(x - reach), 0), min(int(x + reach) + 2, image.shape[1])
    if y0 < y1 and x0 < x1:
        radius2 = (np.arange(x0, x1)[None, :] - x) ** 2 + (np.arange(y0, y1)[:, None] - y) ** 2
        image[y0:y1, x0:x1] += flux * (MOFFAT_BETA - 1.0) / (np.pi * alpha**2) * (1.0 + radius2 / alpha**2) ** -MOFFAT_BETA


def _moffat_radius_pix(flux: float, alpha: float, level_nmgy: float) -> float:
    """Return the radius [pix] where a star falls below a surface brightness [nmgy per pixel]; 0 where it never reaches it."""
    contrast = flux * (MOFFAT_BETA - 1.0) / (np.pi * alpha**2) / level_nmgy
    return alpha * float(np.sqrt(contrast ** (1.0 / MOFFAT_BETA) - 1.0)) if contrast > 1.0 else 0.0


def _saturated(
    objects: MockObjects, exposures: tuple[Exposure, ...], index: int, x_pix: NDArray[np.float64], y_pix: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Return which positions (broadcast) lie in the saturated core of a star, in one band."""
    inside = np.zeros(np.broadcast_shapes(x_pix.shape, y_pix.shape), dtype=np.bool_)
    n_seen, psfsize, _ = conditions_at(exposures, objects.x_pix, objects.y_pix)
    for i in np.flatnonzero((objects.kind == STAR) & (n_seen > 0)):
        core = _moffat_radius_pix(float(objects.flux_nmgy[i, index]), _moffat_alpha_pix(float(psfsize[i])), SATURATION_NMGY)
        if core > 0.0:
            inside |= (x_pix - objects.x_pix[i]) ** 2 + (y_pix - objects.y_pix[i]) ** 2 < core**2
    return inside


def _condition_maps(exposures: tuple[Exposure, ...], size_pix: int) -> tuple[NDArray[np.int16], Image, Image]:
    """Return maps of exposures, psfsize and depth: constant between the edges of the exposures, so each rectangle is computed once."""
    columns = sorted({0, size_pix, *(edge for exposure in exposures for edge in (exposure.x0, exposure.x1))})
    rows = sorted({0, size_pix, *(edge for exposure in exposures for edge in (exposure.y0, exposure.y1))})
    x, y = np.meshgrid(np.array(columns[:-1], dtype=np.float64), np.array(rows[:-1], dtype=np.float64))
    n_seen, psfsize, depth = conditions_at(exposures, x, y)
    repeats = (np.diff(rows), np.diff(columns))
    spread = [np.repeat(np.repeat(values, repeats[0], axis=0), repeats[1], axis=1) for values in (n_seen, psfsize, depth)]
    return spread[0].astype(np.int16), spread[1].astype(np.float32), spread[2].astype(np.float32)


def _is_primary(brick: MockBrick, x_pix: NDArray[np.float64], y_pix: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which positions (broadcast) lie in the unique area of the brick."""
    x, y = np.broadcast_arrays(x_pix, y_pix)
    ra, dec = brick_wcs(brick.ra_deg, brick.dec_deg, size_pix=brick.size_pix).wcs_pix2world(x.ravel(), y.ravel(), 0)
    return brick_by_id(brick.brickid).contains(ra, dec).reshape(x.shape)
