"""A mock survey that is a catalogue only: brick table and sweeps in the survey's own layout and types, of any size, without pixels.

Every value is a hash of (seed, brick, object, column), so that the same seed gives the same files whatever is written first, and one
sweep is in memory at a time. Four objects of five pass v3_color_relaxed, by construction; one brick of 25 is too dusty, blurred or shallow.

    python benchmarks/mock_catalogue.py FOLDER [--parents 1000000] [--bricks 180000] [--seed 13]
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.survey.bricks import N_BRICKS, Bricks, brick_by_id
from halo_core.survey.catalogs import REQUIRED_SWEEP_COLUMNS
from halo_core.survey.layout import BRICKS_KEY, sweep_key
from halo_core.survey.photometry import extinction_factor, mag_to_nmgy, psfdepth_mag_to_ivar

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LRG_SHARE = 0.8
GOOD_BRICKS = 0.96
_OBJID_BITS = 22
_GALACTIC_POLE_DEG = (192.86, 27.13)
_INTEGERS = {"release": ">i2", "brickid": ">i4", "objid": ">i4", "maskbits": ">i4", "nobs": ">i2"}
_TEXTS = {"brickname": "S8", "type": "S3"}


@dataclass(frozen=True)
class MockCatalogue:
    """How large the catalogue is, and the seed of its values."""

    n_parents: int
    n_bricks: int
    seed: int

    def bricks(self) -> Bricks:
        """Return the bricks: a part of the southern sky away from the Galaxy."""
        grid = brick_by_id(np.arange(1, N_BRICKS + 1))
        ra, dec, pole_ra, pole_dec = (np.deg2rad(value) for value in (grid.ra, grid.dec, *_GALACTIC_POLE_DEG))
        sin_b = np.sin(dec) * np.sin(pole_dec) + np.cos(dec) * np.cos(pole_dec) * np.cos(ra - pole_ra)
        inside = (np.abs(sin_b) > np.sin(np.deg2rad(18.0))) & (grid.dec > -68.0) & (grid.dec < 34.0)
        return brick_by_id(grid.brickid[inside][: self.n_bricks])

    def uniform(self, keys: Ints, column: int) -> Floats:
        """Return a number in [0, 1) per key, the stream named by a column: the finaliser of splitmix64."""
        with np.errstate(over="ignore"):
            word = keys.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64((self.seed << 16) + column) * np.uint64(
                0xD1342543DE82EF95
            )
            for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
                word = (word ^ (word >> np.uint64(shift))) * np.uint64(factor)
        return ((word ^ (word >> np.uint64(31))) >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def conditions(self, brickid: Ints) -> dict[str, Floats]:
        """Return what the brick table says of bricks: sizes [arcsec], depths [AB mag], E(B-V) [mag]."""
        found = {"ebv": 0.01 + 0.1 * self.uniform(brickid, 1) + np.where(self.uniform(brickid, 2) > GOOD_BRICKS, 0.2, 0.0)}
        for index, band in enumerate(BANDS):
            found[f"psfsize_{band}"] = 0.9 + 0.69 * self.uniform(brickid, 3 + index)
            found[f"psfdepth_{band}"] = 23.7 + 1.5 * self.uniform(brickid, 6 + index)
        return found

    def n_objects(self, brickid: Ints) -> Ints:
        """Return the number of objects of bricks: 0.7 to 1.3 times the mean that gives the parents asked for."""
        mean = self.n_parents / (self.n_bricks * LRG_SHARE * GOOD_BRICKS)
        return np.floor(mean * (0.7 + 0.6 * self.uniform(brickid, 9)) + self.uniform(brickid, 10)).astype(np.int64)


def write_catalogue(root: Path, mock: MockCatalogue) -> dict[str, int]:
    """Write the brick table, the sweeps and an empty coadd/; return the numbers of bricks, sweeps and sweep rows."""
    bricks = mock.bricks()
    (root / "coadd").mkdir(parents=True, exist_ok=True)
    conditions = mock.conditions(bricks.brickid)
    places = {name: getattr(bricks, name) for name in ("brickname", "brickid", "ra", "dec", "ra1", "ra2", "dec1", "dec2")}
    exposures = {f"nexp_{band}": np.full(len(bricks), 5) for band in BANDS}
    _write(root / BRICKS_KEY, places | exposures | {name: values.astype(np.float32) for name, values in conditions.items()})
    n_rows = n_sweeps = 0
    for ra1 in range(0, 360, 10):
        for dec1 in range(-70, 35, 5):
            near = (bricks.ra1 < ra1 + 10) & (bricks.ra2 > ra1) & (bricks.dec1 < dec1 + 5) & (bricks.dec2 > dec1)
            columns = sweep_columns(mock, brick_by_id(bricks.brickid[near]), ra1, dec1) if near.any() else {}
            if columns and len(columns["ra"]):
                _write(root / sweep_key(ra1, dec1), {name.upper(): values for name, values in columns.items()})
                n_rows += len(columns["ra"])
                n_sweeps += 1
    return {"n_bricks": len(bricks), "n_sweeps": n_sweeps, "n_rows": n_rows}


def sweep_columns(mock: MockCatalogue, bricks: Bricks, ra1: int, dec1: int) -> dict[str, NDArray[Any]]:
    """Return the rows of one sweep: the objects of these bricks that lie in its box of 10 by 5 degrees."""
    counts = mock.n_objects(bricks.brickid)
    brick = np.repeat(np.arange(len(bricks)), counts)
    objid = np.arange(len(brick)) - np.repeat(np.cumsum(counts) - counts, counts)
    key = (bricks.brickid[brick] << _OBJID_BITS) | objid
    ra = bricks.ra1[brick] + mock.uniform(key, 11) * (bricks.ra2 - bricks.ra1)[brick]
    dec = bricks.dec1[brick] + mock.uniform(key, 12) * (bricks.dec2 - bricks.dec1)[brick]
    inside = (ra >= ra1) & (ra < ra1 + 10) & (dec >= dec1) & (dec < dec1 + 5)
    brick, objid, key = brick[inside], objid[inside], key[inside]
    columns = {"ra": ra[inside], "dec": dec[inside], "objid": objid, "brickid": bricks.brickid[brick], "brickname": bricks.brickname[brick]}
    of_brick = {name: values[brick] for name, values in mock.conditions(bricks.brickid).items()}
    return columns | _photometry(mock, key, of_brick)


def _photometry(mock: MockCatalogue, key: Ints, of_brick: Mapping[str, Floats]) -> dict[str, NDArray[Any]]:
    """Return the columns that say what the objects look like."""
    is_lrg = mock.uniform(key, 13) < LRG_SHARE
    z = np.where(is_lrg, 17.5 + 2.85 * np.sqrt(mock.uniform(key, 14)), 20.5 + 2.5 * mock.uniform(key, 14))
    rz, zw1, gr = 0.5 + 1.2 * mock.uniform(key, 15), 0.9 + 1.5 * mock.uniform(key, 16), 0.8 + 1.2 * mock.uniform(key, 17)
    mags = {"g": z + rz + gr, "r": z + rz, "z": z, "w1": z - zw1}
    extended = np.array(["DEV", "EXP", "SER"])[(3.0 * mock.uniform(key, 18)).astype(int)]
    columns: dict[str, NDArray[Any]] = {
        "release": np.full(len(key), 10_000),
        "maskbits": np.zeros(len(key), dtype=int),
        "ebv": of_brick["ebv"],
    }
    columns |= {"type": np.where(is_lrg | (mock.uniform(key, 19) < 0.5), extended, "PSF"), "gaia_phot_g_mean_mag": np.zeros(len(key))}
    for band, mag in mags.items():
        columns |= {f"flux_{band}": mag_to_nmgy(mag), f"mw_transmission_{band}": extinction_factor(band, of_brick["ebv"])}
        columns[f"flux_ivar_{band}"] = np.full(len(key), 100.0)
    for band in BANDS:
        columns |= {f"nobs_{band}": np.full(len(key), 3), f"psfsize_{band}": of_brick[f"psfsize_{band}"]}
        columns[f"psfdepth_{band}"] = psfdepth_mag_to_ivar(of_brick[f"psfdepth_{band}"])
    columns |= dict.fromkeys(("fiberflux_z", "fibertotflux_z"), 0.6 * columns["flux_z"])
    columns |= {
        "shape_r": 0.3 + mock.uniform(key, 20),
        "shape_e1": np.zeros(len(key)),
        "shape_e2": np.zeros(len(key)),
        "sersic": np.full(len(key), 4.0),
    }
    return {name: columns[name] for name in REQUIRED_SWEEP_COLUMNS if name in columns}


def _write(path: Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a FITS table in the survey's types."""
    formats = [(name, _format(name, values)) for name, values in columns.items()]
    rows = np.empty(len(next(iter(columns.values()))), dtype=formats)
    for name, values in columns.items():
        rows[name] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.BinTableHDU(rows).writeto(path, overwrite=True)


def _format(name: str, values: NDArray[Any]) -> str:
    """Return how a column is stored: positions in double precision, whole numbers and texts as the survey has them, the rest in single."""
    stem = name.lower()
    if stem in _TEXTS:
        return _TEXTS[stem]
    if values.dtype.kind in "iu":
        return _INTEGERS.get(stem.removesuffix(f"_{stem[-1]}"), _INTEGERS.get(stem, ">i2"))
    return ">f8" if stem.startswith(("ra", "dec")) else ">f4"


def main() -> None:
    """Write one and say what it holds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--parents", type=int, default=1_000_000)
    parser.add_argument("--bricks", type=int, default=180_000)
    parser.add_argument("--seed", type=int, default=13)
    asked = parser.parse_args()
    start = perf_counter()
    counts = write_catalogue(asked.folder, MockCatalogue(asked.parents, asked.bricks, asked.seed))
    spent_s = perf_counter() - start
    print(f"{asked.folder}: {counts['n_bricks']:,} bricks, {counts['n_sweeps']} sweeps, {counts['n_rows']:,} rows, {spent_s:.0f} s")


if __name__ == "__main__":
    main()
