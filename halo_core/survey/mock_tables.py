"""Tables of the mock survey: the brick table and the sweeps, with the survey's columns, types and units.

Catalogue values are the truth that was painted, without measurement noise; ivars follow the depth at the object. A band that did not see an
object has flux, ivar and nobs zero, as in the survey.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.survey.bricks import brick_by_id
from halo_core.survey.layout import BRICKS_KEY, sweep_key
from halo_core.survey.mock_files import write_table
from halo_core.survey.mock_model import MockBrick, MockSurvey, conditions_at
from halo_core.survey.mock_objects import STAR, MockObjects
from halo_core.survey.mock_pixels import maskbits_at
from halo_core.survey.photometry import extinction_factor, psfdepth_ivar_to_mag, tractor_shape

Columns = dict[str, NDArray[Any]]

RELEASE = 10_000
_FIBER_RADIUS_ARCSEC = 0.75
_FIBER_SEEING_SIGMA_ARCSEC = 0.4247
_W1_IVAR = 4.0
_EXTENDED_IVAR_SHARE = 0.6


def sweep_columns(parameters: MockSurvey, brick: MockBrick, objects: MockObjects) -> Columns:
    """Return the sweep rows of one brick: its primary objects, upper-case columns in the survey's types."""
    n_objects = len(objects.kind)
    bits = maskbits_at(parameters, brick, objects, objects.x_pix, objects.y_pix)
    e1, e2 = tractor_shape(objects.q, objects.phi_rad)
    columns: Columns = {
        "RELEASE": np.full(n_objects, RELEASE, np.int16),
        "BRICKID": np.full(n_objects, brick.brickid, np.int32),
        "BRICKNAME": np.full(n_objects, brick.brickname),
        "OBJID": np.arange(n_objects, dtype=np.int32),
        "TYPE": objects.kind,
        "RA": objects.ra_deg,
        "DEC": objects.dec_deg,
        "EBV": np.full(n_objects, brick.ebv, np.float32),
        "MASKBITS": bits,
        "GAIA_PHOT_G_MEAN_MAG": objects.gaia_gmag.astype(np.float32),
        "SHAPE_R": (objects.reff_arcsec / np.sqrt(objects.q)).astype(np.float32),
        "SHAPE_E1": e1.astype(np.float32),
        "SHAPE_E2": e2.astype(np.float32),
        "SERSIC": objects.sersic.astype(np.float32),
    }
    for index, band in enumerate(parameters.sky.bands):
        columns |= _band_columns(brick, objects, index, band.upper())
    columns |= _w1_columns(brick, objects) | _fiber_columns(columns["FLUX_Z"], objects)
    is_primary = brick_by_id(brick.brickid).contains(objects.ra_deg, objects.dec_deg)
    return {name: values[is_primary] for name, values in columns.items()}


def bricks_columns(parameters: MockSurvey, bricks: tuple[MockBrick, ...], objects: dict[int, MockObjects]) -> Columns:
    """Return the brick table: conditions are medians at the objects; psfdepth is an AB magnitude here, 0 where nothing was observed."""
    grid = brick_by_id([brick.brickid for brick in bricks])
    columns: Columns = {name: getattr(grid, name) for name in ("brickname", "ra", "dec")}
    for index, band in enumerate(parameters.sky.bands):
        at_objects = [
            [np.median(values) for values in conditions_at(brick.exposures[index], objects[brick.index].x_pix, objects[brick.index].y_pix)]
            for brick in bricks
        ]
        n_seen, psfsize, depth = np.array(at_objects, dtype=np.float64).T
        columns[f"nexp_{band}"] = np.floor(n_seen).astype(np.int16)
        columns[f"psfsize_{band}"] = psfsize.astype(np.float32)
        columns[f"psfdepth_{band}"] = np.nan_to_num(psfdepth_ivar_to_mag(depth)).astype(np.float32)
    columns["ebv"] = np.array([brick.ebv for brick in bricks], np.float32)
    columns["brickid"] = grid.brickid.astype(np.int32)
    columns |= {name: getattr(grid, name) for name in ("ra1", "ra2", "dec1", "dec2")}
    columns["survey_primary"] = np.ones(len(bricks), np.bool_)
    return columns


def write_tables(root: Path, parameters: MockSurvey, bricks: tuple[MockBrick, ...], objects: dict[int, MockObjects]) -> dict[str, int]:
    """Write the brick table and every sweep; return the numbers of sweeps and of rows in them."""
    write_table(root / BRICKS_KEY, bricks_columns(parameters, bricks, objects))
    rows: dict[str, list[Columns]] = {}
    for brick in sorted(bricks, key=lambda item: item.brickid):
        columns = sweep_columns(parameters, brick, objects[brick.index])
        keys = np.array([sweep_key(float(ra), float(dec)) for ra, dec in zip(columns["RA"], columns["DEC"], strict=True)])
        for key in np.unique(keys):
            rows.setdefault(str(key), []).append({name: values[keys == key] for name, values in columns.items()})
    n_rows = 0
    for key, parts in sorted(rows.items()):
        table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        write_table(root / key, table)
        n_rows += len(table["RA"])
    return {"sweeps": len(rows), "sweep_rows": n_rows}


def _band_columns(brick: MockBrick, objects: MockObjects, index: int, band: str) -> Columns:
    """Return the columns of one band."""
    n_seen, psfsize, depth = conditions_at(brick.exposures[index], objects.x_pix, objects.y_pix)
    share = np.where(objects.kind == STAR, 1.0, _EXTENDED_IVAR_SHARE)
    transmission = extinction_factor(band.lower(), brick.ebv)
    return {
        f"FLUX_{band}": np.where(n_seen > 0, objects.flux_nmgy[:, index], 0.0).astype(np.float32),
        f"FLUX_IVAR_{band}": (depth * share).astype(np.float32),
        f"MW_TRANSMISSION_{band}": np.full(len(n_seen), transmission, np.float32),
        f"NOBS_{band}": n_seen.astype(np.int16),
        f"PSFSIZE_{band}": psfsize.astype(np.float32),
        f"PSFDEPTH_{band}": depth.astype(np.float32),
    }


def _w1_columns(brick: MockBrick, objects: MockObjects) -> Columns:
    """Return the WISE W1 columns."""
    n_objects = len(objects.kind)
    return {
        "FLUX_W1": objects.flux_w1_nmgy.astype(np.float32),
        "FLUX_IVAR_W1": np.full(n_objects, _W1_IVAR, np.float32),
        "MW_TRANSMISSION_W1": np.full(n_objects, extinction_factor("w1", brick.ebv), np.float32),
    }


def _fiber_columns(flux_z: NDArray[Any], objects: MockObjects) -> Columns:
    """Return the z flux inside a fibre of 1.5 arcsec in 1 arcsec seeing.

    The blurred profile is taken as a Gaussian with the half-light radii of profile and seeing added in squares: rough, for a cut.
    """
    half_light2 = objects.reff_arcsec**2 + 2.0 * np.log(2.0) * _FIBER_SEEING_SIGMA_ARCSEC**2
    inside = (flux_z * (1.0 - 0.5 ** (_FIBER_RADIUS_ARCSEC**2 / half_light2))).astype(np.float32)
    return {"FIBERFLUX_Z": inside, "FIBERTOTFLUX_Z": inside.copy()}
