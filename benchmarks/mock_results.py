"""Manifest and results of a campaign that never ran, of any size: the reference campaign's tiers, grids, strata, losses and controls.

Blocks of a hundred neighbouring bricks of the real grid, whole tables of the project's schemas, one pair of files a block as the stages
write them. Hosts, seeing, depth and S/N are drawn; a brick's seeing and depth are its own, so that sky cells differ. Each block has a
generator of its own: the same seed gives the same tables.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from manifest_scale import RULE, SEED, survey_bricks
from numpy.typing import NDArray

from halo_core.constants import BANDS, SPLITS
from halo_core.flags import Flag
from halo_core.records import MANIFEST, RESULTS, conform
from halo_core.stages.files import write_table
from halo_core.stages.grids import Grid, load_grid
from halo_core.survey.bricks import Bricks
from halo_core.survey.photometry import mag_to_nmgy
from halo_core.survey.regions import region_of, split_of

BRICKS_PER_BLOCK = 100
STAMP_SIZES = (64, 96)
TIERS = {"debug": (1_440, "grid_small", 0.0), "grid": (96_000, "grid_medium", 0.10), "train": (1_200_000, "grid_small", 0.50)}
"""Physical injections of the reference campaign, grid and share of controls by tier."""

_N_STRATA = 4
_LOST_BRICKS = 221 / 180_373
_MASKED = 0.06
_FILLERS = {pa.string(): "x", pa.int64(): 0, pa.float64(): 0.0, pa.bool_(): False}

Columns = dict[str, Any]


@dataclass(frozen=True)
class MockCampaign:
    """Bricks with their conditions, and the grids."""

    bricks: Bricks
    seeing_arcsec: NDArray[np.float64]
    depth_mag: NDArray[np.float64]
    is_lost: NDArray[np.bool_]
    weights: NDArray[np.float64]
    grids: dict[str, Grid]


def mock_campaign() -> MockCampaign:
    """Return the survey that the blocks lie on."""
    bricks, rng = survey_bricks(), np.random.Generator(np.random.Philox(key=SEED))
    n, folder = len(bricks), Path(str(files("halo_core.grids")))
    return MockCampaign(
        bricks,
        seeing_arcsec=np.clip(rng.lognormal(np.log(1.3), 0.08, n), 0.9, 1.6),
        depth_mag=np.clip(rng.normal(24.2, 0.25, n), 23.6, 25.5),
        is_lost=rng.random(n) < _LOST_BRICKS,
        weights=rng.uniform(5.0, 200.0, (len(TIERS), len(SPLITS), _N_STRATA, _N_STRATA)),
        grids={name: load_grid(name, folder) for _, name, _ in TIERS.values()},
    )


def write_blocks(folder: Path, n_rows: int) -> int:
    """Write manifest and results of about ``n_rows`` tasks, a folder a block; return their exact number."""
    campaign, n_written = mock_campaign(), 0
    n_blocks = len(campaign.bricks) // BRICKS_PER_BLOCK
    n_physical = n_rows / len(STAMP_SIZES) * np.arange(n_blocks + 1) / n_blocks
    for block, n in enumerate(np.diff(n_physical.round().astype(int)).tolist()):
        tasks, results = block_tables(campaign, block, n)
        (folder / f"block={block:05d}").mkdir(parents=True)
        write_table(folder / f"block={block:05d}" / "tasks.parquet", tasks)
        write_table(folder / f"block={block:05d}" / "results.parquet", results)
        n_written += tasks.num_rows
    return n_written


def block_tables(campaign: MockCampaign, block: int, n_physical: int) -> tuple[pa.Table, pa.Table]:
    """Return manifest and results of one block of ``n_physical`` injections and controls."""
    rng = np.random.Generator(np.random.Philox(key=[SEED, block]))
    brick = np.sort(rng.integers(block * BRICKS_PER_BLOCK, (block + 1) * BRICKS_PER_BLOCK, n_physical))
    counts = np.array([n for n, _, _ in TIERS.values()])
    tier = rng.choice(len(TIERS), n_physical, p=counts / counts.sum())
    physical = _hosts(campaign, brick, tier, rng) | _sources(campaign, tier, rng) | {"block": np.full(n_physical, block)}
    measured = _measured(campaign, brick, physical, rng)
    rows, view = np.divmod(np.arange(n_physical * len(STAMP_SIZES)), len(STAMP_SIZES))
    size = np.array(STAMP_SIZES)[view]
    views = {"task_id": _ids(len(rows), rng), "stamp_size": size}
    views |= {name: size // 2 + rng.uniform(-0.5, 0.5, len(rows)) for name in ("host_x_pix", "host_y_pix")}
    return _table(MANIFEST, physical, views, rows), _table(RESULTS, measured | {"block": physical["block"]}, views, rows)


def _hosts(campaign: MockCampaign, brick: NDArray[np.int64], tier: NDArray[np.int64], rng: np.random.Generator) -> Columns:
    """Return place, region, strata and weight of each physical injection."""
    bricks, n = campaign.bricks, len(brick)
    ra = bricks.ra1[brick] + rng.random(n) * (bricks.ra2 - bricks.ra1)[brick]
    dec = bricks.dec1[brick] + rng.random(n) * (bricks.dec2 - bricks.dec1)[brick]
    region = region_of(ra, dec, RULE.nside)
    split = np.asarray(split_of(region, split_seed=SEED, fractions=RULE.fractions), dtype=str)
    strata = [
        np.searchsorted(np.quantile(values, [0.25, 0.5, 0.75]), values[brick]) for values in (campaign.seeing_arcsec, campaign.depth_mag)
    ]
    place = np.array([SPLITS.index(name) for name in split.tolist()])
    return {
        "physical_id": _ids(n, rng),
        "host_id": _ids(n, rng),
        "brickname": bricks.brickname[brick].tolist(),
        "ra": ra,
        "dec": dec,
        "region_id": region,
        "region_split": split.tolist(),
        "tier": np.array(list(TIERS))[tier].tolist(),
        "psf_stratum": strata[0],
        "depth_stratum": strata[1],
        "psfsize_r_arcsec": campaign.seeing_arcsec[brick],
        "psfdepth_r_mag": campaign.depth_mag[brick],
        "ebv": rng.uniform(0.01, 0.1, n),
        "rmag": rng.uniform(18.0, 21.0, n),
        "sampling_weight": campaign.weights[tier, place, strata[0], strata[1]],
        **{name: rng.random(n) for name in ("src_x_arcsec", "src_y_arcsec", "src_phi_rad", "shear_phi_rad", "lens_phi_rad", "lens_e")},
    }


def _sources(campaign: MockCampaign, tier: NDArray[np.int64], rng: np.random.Generator) -> Columns:
    """Return configuration and source of each physical injection, zero for controls."""
    is_control = rng.random(len(tier)) < np.array([share for _, _, share in TIERS.values()])[tier]
    columns = {name: np.zeros(len(tier)) for name in ("theta_e_arcsec", "src_dmag", "src_reff_arcsec", "src_e", "shear")}
    names = [name for _, name, _ in TIERS.values()]
    for number, name in enumerate(names):
        rows = np.flatnonzero((tier == number) & ~is_control)
        grid = campaign.grids[name]
        drawn = grid.parameters(rng.integers(0, grid.n_configs, len(rows)), [""] * len(rows))
        for column, values in zip(columns, drawn.T, strict=True):
            columns[column][rows] = values
    source = np.where(is_control, 0.0, mag_to_nmgy(20.0 + columns["src_dmag"]))
    fluxes = {f"src_flux_{band}_nmgy": source for band in BANDS}
    return columns | fluxes | {"is_control": is_control, "grid": np.array(names)[tier].tolist(), "bandset": ["grz"] * len(tier)}


def _measured(campaign: MockCampaign, brick: NDArray[np.int64], physical: Columns, rng: np.random.Generator) -> Columns:
    """Return the results of each physical injection: lost bricks, masked stamps, S/N that grows with the arc and falls with the seeing."""
    n, is_control, is_lost = len(brick), physical["is_control"], campaign.is_lost[brick]
    seeing = campaign.seeing_arcsec[brick] + rng.normal(0.0, 0.02, n)
    snr = 40.0 * physical["src_flux_r_nmgy"] * (0.5 + physical["theta_e_arcsec"]) / seeing * rng.lognormal(0.0, 0.6, n)
    is_masked = rng.random(n) < _MASKED
    lensed = {"magnification": 1.6 + rng.exponential(2.5, n), "snr_matched_all": 1.5 * snr}
    for band in BANDS:
        lensed |= {f"snr_matched_{band}": snr, f"snr_peak_pixel_{band}": 0.2 * snr, f"snr_aperture_{band}": 0.5 * snr}
        lensed |= {f"flux_frac_inside_{band}": np.ones(n), f"flux_frac_good_{band}": rng.uniform(0.8, 1.0, n)}
        lensed[f"total_injected_flux_{band}_nmgy"] = lensed["magnification"] * physical[f"src_flux_{band}_nmgy"]
    pixels = {name: np.where(is_masked, rng.random(n), 0.0) for name in ("bad_pixel_frac", "bad_pixel_frac_g", "bad_pixel_frac_z")}
    pixels |= {"wise_brightmask_frac": np.where(is_masked, rng.random(n) ** 4, 0.0)}
    pixels |= {f"psf_fwhm_{kind}_{band}_arcsec": seeing for kind in ("used", "model") for band in BANDS}
    columns: Columns = {name: np.where(is_lost | is_control, np.nan, values) for name, values in lensed.items()}
    columns |= {name: np.where(is_lost, np.nan, values) for name, values in pixels.items()}
    flags = np.where(is_control, Flag.CONTROL.value, 0) | np.where(is_masked & ~is_lost, Flag.HAS_BAD_PIXELS.value, 0)
    columns["flags"] = flags | np.where(is_lost, Flag.BRICK_MISSING.value, 0)
    return columns | {"cutout_ok": ~is_lost, "metrics_ok": ~is_lost}


def _ids(n: int, rng: np.random.Generator) -> list[str]:
    """Return identities as long as the project's."""
    text = rng.bytes(12 * n).hex()
    return [text[start : start + 24] for start in range(0, len(text), 24)]


def _table(schema: pa.Schema, physical: Columns, views: Columns, rows: NDArray[np.int64]) -> pa.Table:
    """Return a table of a schema: the physical columns repeated, those of the views as they are, NULL or a filler for the others."""
    columns: Columns = {}
    for field in schema:
        if field.name in views:
            columns[field.name] = views[field.name]
        elif field.name in physical:
            columns[field.name] = pa.array(physical[field.name], from_pandas=True).take(pa.array(rows))
        else:
            value = None if field.nullable else _FILLERS[field.type]
            columns[field.name] = pa.repeat(pa.scalar(value, type=field.type), len(rows))
    return conform(columns, schema, where="mock campaign")
