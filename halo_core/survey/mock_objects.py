"""Galaxies and stars of one mock brick: where they are, how bright, what shape.

Luminous red galaxies stand on a jittered grid, so that stamps of 96 pixels around most of them fit and no two coincide; a share of them is
near the edge, where 64 pixels fit and 96 do not, or so near that neither fits. Positions are 0-based pixels of the brick image,
angles pixel-frame radians, fluxes nanomaggies as painted (extincted).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.errors import ConfigurationError
from halo_core.survey.bricks import brick_wcs
from halo_core.survey.mock_model import MockBrick, MockSurvey
from halo_core.survey.photometry import extinction_factor, mag_to_nmgy

LRG, DISC, STAR = "DEV", "EXP", "PSF"
"""Tractor types of the three kinds of objects."""

_INTERIOR_MARGIN_PIX = 49
_ONLY_64_RANGE_PIX = (34.0, 46.0)
_NONE_FITS_RANGE_PIX = (7.0, 28.0)
_MIN_SPACING_PIX = 16.0
_JITTER = 0.3
_CLEARANCE_PIX = 11.0
_N_BRIGHT_DRAWS = 4
_STAR_RZ_PER_GR = 0.6
_GAIA_LIMIT_MAG = 20.7
_BRIGHT_GAIA_RANGE_MAG = (11.5, 15.5)

_COLOURS = {  # mean and scatter of intrinsic g-r, r-z, z-W1 [AB mag]
    LRG: ((1.55, 0.08), (1.15, 0.10), (1.35, 0.15)),
    DISC: ((0.50, 0.20), (0.30, 0.12), (-0.20, 0.25)),
    STAR: ((0.70, 0.30), (0.40, 0.05), (-0.90, 0.15)),
}
_SERSIC = {LRG: 4.0, DISC: 1.0, STAR: 0.0}


@dataclass(frozen=True)
class MockObjects:
    """Objects of one brick, arrays of one length n; ``flux_nmgy`` is (n, n_bands), ``gaia_gmag`` 0 where Gaia has no source.

    ``reff_arcsec`` is product-averaged; 0 for stars.
    """

    kind: NDArray[np.str_]
    x_pix: NDArray[np.float64]
    y_pix: NDArray[np.float64]
    ra_deg: NDArray[np.float64]
    dec_deg: NDArray[np.float64]
    flux_nmgy: NDArray[np.float64]
    flux_w1_nmgy: NDArray[np.float64]
    reff_arcsec: NDArray[np.float64]
    q: NDArray[np.float64]
    phi_rad: NDArray[np.float64]
    sersic: NDArray[np.float64]
    gaia_gmag: NDArray[np.float64]


def mock_objects(parameters: MockSurvey, brick: MockBrick) -> MockObjects:
    """Return the objects of one brick: red galaxies, discs, stars, and the bright star where the brick has one.

    Raises
    ------
    ConfigurationError
        The image has no room for so many galaxies.
    """
    hosts = _lrg_positions(parameters, brick)
    discs = _field_positions(parameters, brick, "discs", parameters.sky.n_discs_per_arcmin2, hosts)
    stars = _field_positions(parameters, brick, "stars", parameters.sky.n_stars_per_arcmin2, hosts)
    kind = np.array([LRG] * len(hosts) + [DISC] * len(discs) + [STAR] * (len(stars) + brick.has_bright_star))
    bright = _clearest_position(parameters, brick, hosts)[: int(brick.has_bright_star)]
    x, y = np.concatenate([hosts, discs, stars, bright]).T
    rmag, gaia = _magnitudes(parameters, brick, kind)
    flux, flux_w1 = _fluxes(parameters, brick, kind, rmag)
    reff, q, phi = _shapes(parameters, brick, kind, rmag)
    ra, dec = brick_wcs(brick.ra_deg, brick.dec_deg, size_pix=brick.size_pix).wcs_pix2world(x, y, 0)
    sersic = np.array([_SERSIC[str(item)] for item in kind])
    return MockObjects(kind, x, y, ra, dec, flux, flux_w1, reff, q, phi, sersic, gaia)


def _lrg_positions(parameters: MockSurvey, brick: MockBrick) -> NDArray[np.float64]:
    """Return positions (n, 2) of the red galaxies [pix]: the grid inside, then those near the edge."""
    n_total = parameters.lrgs_per_brick
    n_near = round(parameters.sky.near_edge_share * n_total)
    n_off = round(parameters.sky.off_edge_share * n_total)
    rng = brick.stream(parameters, "red galaxies")
    return np.concatenate(
        [
            _jittered_grid(rng, n_total - n_near - n_off, brick.size_pix),
            _along_edges(rng, n_near, brick.size_pix, _ONLY_64_RANGE_PIX),
            _along_edges(rng, n_off, brick.size_pix, _NONE_FITS_RANGE_PIX),
        ]
    )


def _jittered_grid(rng: np.random.Generator, n_objects: int, size_pix: int) -> NDArray[np.float64]:
    """Return n positions on distinct cells of a square grid, at least 0.4 cells apart."""
    n_side = int(np.ceil(np.sqrt(n_objects)))
    span = size_pix - 2.0 * _INTERIOR_MARGIN_PIX
    if n_side and span / n_side < _MIN_SPACING_PIX:
        raise ConfigurationError(
            f"mock survey: {n_objects} galaxies in {span:.0f} pixels stand {span / n_side:.1f} pixels apart, at least {_MIN_SPACING_PIX} "
            "is needed; fewer lrgs_per_brick or a larger brick_size_pix"
        )
    cells = rng.permutation(n_side**2)[:n_objects]
    place = np.stack([cells % max(n_side, 1), cells // max(n_side, 1)], axis=1) + 0.5 + _JITTER * rng.uniform(-1.0, 1.0, (n_objects, 2))
    positions: NDArray[np.float64] = _INTERIOR_MARGIN_PIX + place * span / max(n_side, 1)
    return positions


def _along_edges(rng: np.random.Generator, n_objects: int, size_pix: int, distance_pix: tuple[float, float]) -> NDArray[np.float64]:
    """Return n positions at these distances from the four edges in turn, spread along them."""
    side = (np.arange(n_objects) + int(rng.integers(4))) % 4
    span = size_pix - 2.0 * _INTERIOR_MARGIN_PIX
    n_per_side = max(int(np.ceil(n_objects / 4)), 1)
    along = _INTERIOR_MARGIN_PIX + (np.arange(n_objects) // 4 + 0.5 + _JITTER * rng.uniform(-1.0, 1.0, n_objects)) * span / n_per_side
    depth = rng.uniform(*distance_pix, n_objects)
    across = np.where(side < 2, depth, size_pix - 1.0 - depth)
    positions: NDArray[np.float64] = np.where(
        (side % 2 == 0)[:, None], np.stack([across, along], axis=1), np.stack([along, across], axis=1)
    )
    return positions


def _field_positions(
    parameters: MockSurvey, brick: MockBrick, purpose: str, density: float, hosts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return uniform positions (n, 2) [pix] clear of the red galaxies' centres; what falls on one is left out."""
    area_arcmin2 = (brick.size_pix * PIXEL_SCALE_ARCSEC / 60.0) ** 2
    drawn = brick.stream(parameters, purpose).uniform(-0.5, brick.size_pix - 0.5, (round(density * area_arcmin2), 2))
    return drawn[_distance_pix(drawn, hosts) > _CLEARANCE_PIX]


def _clearest_position(parameters: MockSurvey, brick: MockBrick, hosts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the position (1, 2) [pix] of a bright star: of some uniform ones, the farthest from any red galaxy."""
    drawn = brick.stream(parameters, "bright").uniform(-0.5, brick.size_pix - 0.5, (_N_BRIGHT_DRAWS, 2))
    best = int(np.argmax(_distance_pix(drawn, hosts)))
    return drawn[best : best + 1]


def _distance_pix(points: NDArray[np.float64], hosts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the distance from each point to its nearest host [pix]."""
    separation = points[:, None, :] - hosts[None, :, :]
    nearest: NDArray[np.float64] = np.hypot(separation[..., 0], separation[..., 1]).min(axis=1, initial=np.inf)
    return nearest


def _magnitudes(parameters: MockSurvey, brick: MockBrick, kind: NDArray[np.str_]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return intrinsic r and Gaia G [AB mag]; G is 0 where Gaia sees nothing. The bright star is the last object."""
    rng = brick.stream(parameters, "magnitudes")
    u = rng.random(len(kind))
    low, high = parameters.sky.lrg_rmag_mw
    rmag = np.select([kind == LRG, kind == DISC], [low + (high - low) * u**0.6, 20.0 + 3.0 * np.sqrt(u)], 16.0 + 6.5 * np.sqrt(u))
    bright = rng.uniform(*_BRIGHT_GAIA_RANGE_MAG)
    if brick.has_bright_star:
        rmag[-1] = bright
    gaia = np.where((kind == STAR) & (rmag < _GAIA_LIMIT_MAG), rmag, 0.0)
    return rmag, gaia


def _fluxes(
    parameters: MockSurvey, brick: MockBrick, kind: NDArray[np.str_], rmag: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return painted fluxes (n, n_bands) and W1 fluxes [nmgy]."""
    rng = brick.stream(parameters, "colours")
    table = np.array([_COLOURS[str(item)] for item in kind]).reshape(-1, 3, 2)
    gr, rz, zw1 = (table[:, :, 0] + table[:, :, 1] * rng.standard_normal((len(kind), 3))).T
    rz += np.where(kind == STAR, _STAR_RZ_PER_GR * (gr - _COLOURS[STAR][0][0]), 0.0)  # stars lie on one locus of colours
    mag = {"g": rmag + gr, "r": rmag, "z": rmag - rz, "w1": rmag - rz - zw1}
    flux = {band: mag_to_nmgy(mag[band]) * extinction_factor(band, brick.ebv) for band in (*parameters.sky.bands, "w1")}
    return np.stack([flux[band] for band in parameters.sky.bands], axis=1), flux["w1"]


def _shapes(
    parameters: MockSurvey, brick: MockBrick, kind: NDArray[np.str_], rmag: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return circularised half-light radius [arcsec], axis ratio and angle [rad]."""
    rng = brick.stream(parameters, "shapes")
    scatter = rng.standard_normal(len(kind))
    u_q, u_phi = rng.random((2, len(kind)))
    lrg = 0.9 * 10.0 ** (-0.12 * (rmag - 19.5) + 0.06 * scatter)
    reff = np.select([kind == LRG, kind == DISC], [lrg, 0.55 * 10.0 ** (-0.05 * (rmag - 21.5) + 0.10 * scatter)], 0.0)
    q = np.select([kind == LRG, kind == DISC], [0.6 + 0.4 * u_q, 0.3 + 0.7 * u_q], 1.0)
    return reff, q, np.where(kind == STAR, 0.0, np.pi * u_phi)
