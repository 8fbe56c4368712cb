"""What the mock survey is made of: its parameters, its bricks, and the exposures that cover each of them.

Bricks are bricks of the true grid, one per HEALPix cell of nside 32, each well inside one cell of nside 64, so that any split of the sky
into such cells gets some. A brick image smaller than 3600 pixels is the middle piece of the true brick. Every number is a function of the
survey's seed, the brick and the purpose: bricks can be made in any order, alone or in parallel.
"""

from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from astropy_healpix import healpix_to_lonlat
from numpy.typing import NDArray

from halo_core.constants import BANDS, BRICK_SIZE_PIX
from halo_core.errors import ConfigurationError
from halo_core.seeds import generator, hash_hex, hash_int63, hash_order
from halo_core.survey.bricks import brick_at
from halo_core.survey.photometry import psf_nea_pix, psfsize_from_nea

_CELL_NSIDE = 32
_CHILD_NSIDE = 64
_DEC_RANGE_DEG = (-65.0, 30.0)
_MIN_SIZE_PIX = 160
_QUASI_STEPS = (0.8191725133961645, 0.6710436067037893, 0.5497004779019703)
"""Increments of the three-dimensional R sequence (powers of 1/1.2207440846): evenly spread conditions for any number of bricks."""

_EXPOSURE_PSF_SCATTER = 0.03
_EXPOSURE_SIGMA_SCATTER = 0.05
_CCD_EDGE_RANGE = (0.25, 0.75)


@dataclass(frozen=True)
class MockSky:
    """The sky and the observing conditions of a mock survey; ranges are (low, high).

    ``psfsize_over_r`` and ``sigma_pix_nmgy`` follow ``bands`` (g, r, z or some of them); sigma is that of the deepest part of a brick.
    Edge shares are of the galaxies of a brick, ``bright_star_share`` is of the bricks. A survey of at least ``losses_from_n_bricks``
    bricks has one brick without files (the last) and one where ``partial_band`` covers half (the one before).
    """

    bands: tuple[str, ...]
    psfsize_r_arcsec: tuple[float, float]
    psfsize_over_r: tuple[float, ...]
    sigma_pix_nmgy: tuple[tuple[float, float], ...]
    n_exposures: tuple[int, int]
    ebv: tuple[float, float]
    lrg_rmag_mw: tuple[float, float]
    n_discs_per_arcmin2: float
    n_stars_per_arcmin2: float
    bright_star_share: float
    near_edge_share: float
    off_edge_share: float
    losses_from_n_bricks: int
    partial_band: str


DR10_LIKE = MockSky(
    bands=("g", "r", "z"),
    psfsize_r_arcsec=(0.775, 1.55),
    psfsize_over_r=(1.08, 1.0, 0.93),
    sigma_pix_nmgy=((0.0011, 0.0019), (0.0022, 0.0034), (0.0051, 0.0076)),
    n_exposures=(3, 6),
    ebv=(0.01, 0.11),
    lrg_rmag_mw=(18.3, 20.8),
    n_discs_per_arcmin2=6.0,
    n_stars_per_arcmin2=2.0,
    bright_star_share=0.4,
    near_edge_share=0.15,
    off_edge_share=0.1,
    losses_from_n_bricks=4,
    partial_band="g",
)
"""Seeing, depth and extinction as DR10 has them (psfsize_r 0.75-1.6 arcsec, coadd noise of deep and shallow fields)."""


@dataclass(frozen=True)
class MockSurvey:
    """A mock survey, complete: what its digest is made of.

    Attributes
    ----------
    seed : int
        Seed of every pixel and object.
    n_bricks : int
        Number of bricks in the tables.
    brick_size_pix : int
        Side of a brick image [pix]; 160..3600.
    lrgs_per_brick : int
        Luminous red galaxies in a brick image, those near its edge included.
    sky : MockSky
        Objects and conditions.
    """

    seed: int
    n_bricks: int
    brick_size_pix: int
    lrgs_per_brick: int
    sky: MockSky = DR10_LIKE

    def __post_init__(self) -> None:
        """Refuse what cannot be made."""
        if self.n_bricks < 1 or self.lrgs_per_brick < 1:
            raise ConfigurationError(
                f"mock survey of {self.n_bricks} bricks with {self.lrgs_per_brick} galaxies each: both must be positive"
            )
        if not _MIN_SIZE_PIX <= self.brick_size_pix <= BRICK_SIZE_PIX:
            raise ConfigurationError(f"mock brick_size_pix {self.brick_size_pix} is outside {_MIN_SIZE_PIX}..{BRICK_SIZE_PIX}")
        if (
            not set(self.sky.bands) <= set(BANDS)
            or len({len(self.sky.bands), len(self.sky.psfsize_over_r), len(self.sky.sigma_pix_nmgy)}) > 1
        ):
            raise ConfigurationError(
                f"mock sky: bands {self.sky.bands} must be among {BANDS}, with one psfsize_over_r and one sigma_pix_nmgy each"
            )

    def to_parameters(self) -> dict[str, Any]:
        """Return every parameter as plain values, for digests."""
        return asdict(self)


@dataclass(frozen=True)
class Exposure:
    """One exposure on a brick image: a rectangle of it, seen by one CCD.

    ``x0 <= column < x1`` and ``y0 <= row < y1`` [pix]; ``psfsize_arcsec`` of the exposure, ``sigma_nmgy`` per CCD pixel;
    ``shift_x_pix`` and ``shift_y_pix`` place the CCD's pixel grid against the brick's.
    """

    x0: int
    x1: int
    y0: int
    y1: int
    psfsize_arcsec: float
    sigma_nmgy: float
    shift_x_pix: float
    shift_y_pix: float

    def covers(self, x_pix: NDArray[np.float64], y_pix: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return whether the exposure saw the pixels nearest to these positions."""
        ix, iy = np.floor(x_pix + 0.5), np.floor(y_pix + 0.5)
        return (self.x0 <= ix) & (ix < self.x1) & (self.y0 <= iy) & (iy < self.y1)


@dataclass(frozen=True)
class MockBrick:
    """One brick of a mock survey: where it is and how it was observed. ``exposures`` follow the bands of the sky."""

    index: int
    brickname: str
    brickid: int
    ra_deg: float
    dec_deg: float
    size_pix: int
    ebv: float
    exposures: tuple[tuple[Exposure, ...], ...]
    has_bright_star: bool
    is_missing: bool

    def stream(self, parameters: MockSurvey, purpose: str, band: str = "") -> np.random.Generator:
        """Return the brick's own generator for one purpose and band."""
        return _stream(parameters.seed, self.brickname, purpose, band)


@lru_cache(maxsize=4)
def mock_bricks(parameters: MockSurvey) -> tuple[MockBrick, ...]:
    """Return the bricks of a mock survey, in the order of their index.

    Raises
    ------
    ConfigurationError
        More bricks are asked for than there are cells.
    """
    ra, dec = _brick_positions(parameters)
    grid = brick_at(ra, dec)
    return tuple(
        _mock_brick(
            parameters, index, str(grid.brickname[index]), int(grid.brickid[index]), (float(grid.ra[index]), float(grid.dec[index]))
        )
        for index in range(parameters.n_bricks)
    )


def conditions_at(
    exposures: tuple[Exposure, ...], x_pix: NDArray[np.float64], y_pix: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return number of exposures, psfsize [arcsec] and psfdepth [nmgy^-2] of one band at positions; zeros where nothing was observed.

    psfsize is the FWHM of the Gaussian whose 1/NEA is the 1/sigma^2-weighted mean over exposures, psfdepth the sum of 1/(sigma^2 NEA).
    """
    n_seen = np.zeros(x_pix.shape, dtype=np.int64)
    weight = np.zeros(x_pix.shape)
    depth = np.zeros(x_pix.shape)
    for exposure in exposures:
        seen = exposure.covers(x_pix, y_pix)
        n_seen += seen
        weight += seen / exposure.sigma_nmgy**2
        depth += seen / (exposure.sigma_nmgy**2 * float(psf_nea_pix(exposure.psfsize_arcsec)))
    nea_pix = np.divide(weight, depth, out=np.zeros_like(depth), where=depth > 0.0)
    return n_seen, psfsize_from_nea(nea_pix), depth


def _brick_positions(parameters: MockSurvey) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions [deg] in one nside-64 child of as many nside-32 cells, drawn by hash."""
    cells = np.arange(12 * _CELL_NSIDE**2)
    dec = np.asarray(healpix_to_lonlat(cells, _CELL_NSIDE, order="nested")[1].deg)
    usable = cells[(dec > _DEC_RANGE_DEG[0]) & (dec < _DEC_RANGE_DEG[1])]
    if parameters.n_bricks > len(usable):
        raise ConfigurationError(
            f"mock n_bricks {parameters.n_bricks}: only {len(usable)} cells of nside {_CELL_NSIDE} can hold one brick each"
        )
    chosen = usable[np.argsort(hash_order([str(cell) for cell in usable], "mock cells", parameters.seed))[: parameters.n_bricks]]
    child = np.array([hash_int63("mock child", parameters.seed, int(cell)) % 4 for cell in chosen])
    lon, lat = healpix_to_lonlat(4 * chosen + child, _CHILD_NSIDE, order="nested")
    return np.asarray(lon.deg, np.float64), np.asarray(lat.deg, np.float64)


def _mock_brick(parameters: MockSurvey, index: int, brickname: str, brickid: int, centre_deg: tuple[float, float]) -> MockBrick:
    """Return one brick with its conditions."""
    sky = parameters.sky
    start = generator(f"mock-{parameters.seed}", "conditions", "").random(3)
    u_psf, u_depth, u_ebv = (start + np.array(_QUASI_STEPS) * index) % 1.0
    has_losses = parameters.n_bricks >= sky.losses_from_n_bricks
    partial = sky.partial_band if has_losses and index == parameters.n_bricks - 2 else ""
    psfsize_r = _between(sky.psfsize_r_arcsec, u_psf)
    exposures = []
    for band, ratio, sigmas in zip(sky.bands, sky.psfsize_over_r, sky.sigma_pix_nmgy, strict=True):
        rng = _stream(parameters.seed, brickname, "exposures", band)
        typical = (psfsize_r * ratio, _between(sigmas, u_depth))
        exposures.append(_exposures(rng, sky, parameters.brick_size_pix, typical, is_half=band == partial))
    return MockBrick(
        index=index,
        brickname=brickname,
        brickid=brickid,
        ra_deg=centre_deg[0],
        dec_deg=centre_deg[1],
        size_pix=parameters.brick_size_pix,
        ebv=_between(sky.ebv, u_ebv),
        exposures=tuple(exposures),
        has_bright_star=bool(_stream(parameters.seed, brickname, "bright star", "").random() < sky.bright_star_share),
        is_missing=has_losses and index == parameters.n_bricks - 1,
    )


def _exposures(
    rng: np.random.Generator, sky: MockSky, size_pix: int, typical: tuple[float, float], *, is_half: bool
) -> tuple[Exposure, ...]:
    """Return the exposures of one band: all cover the image but the last, which ends at a CCD edge."""
    n_exposures = int(rng.integers(sky.n_exposures[0], sky.n_exposures[1] + 1))
    psfsize = typical[0] * (1.0 + _EXPOSURE_PSF_SCATTER * rng.uniform(-1.0, 1.0, n_exposures))
    sigma = typical[1] * np.sqrt(n_exposures) * (1.0 + _EXPOSURE_SIGMA_SCATTER * rng.uniform(-1.0, 1.0, n_exposures))
    shifts = rng.random((n_exposures, 2))
    edge = round(size_pix * rng.uniform(*_CCD_EDGE_RANGE))
    along_x, from_start = bool(rng.integers(2)), bool(rng.integers(2))
    low, high = (0, edge) if from_start else (edge, size_pix)
    first = size_pix // 2 if is_half else 0
    whole = (first, size_pix, 0, size_pix)
    last = (max(low, first), max(high, first), 0, size_pix) if along_x else (first, size_pix, low, high)
    return tuple(
        Exposure(*(last if i == n_exposures - 1 else whole), float(psfsize[i]), float(sigma[i]), float(shifts[i, 0]), float(shifts[i, 1]))
        for i in range(n_exposures)
    )


def _stream(seed: int, brickname: str, purpose: str, band: str) -> np.random.Generator:
    """Return the generator of one brick, purpose and band."""
    return generator(hash_hex("mock survey", seed, brickname), purpose, band)


def _between(limits: tuple[float, float], u: float) -> float:
    """Return the value at share u of a range."""
    return float(limits[0] + (limits[1] - limits[0]) * u)
