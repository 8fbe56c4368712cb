"""Stamps for people and detectors: the injected image, the host, the arc, its shot noise, inverse variance, mask and truth, by task.

Host and arc are stored once at the largest size; a stamp of any smaller size is their exact crop, and injected = host + arc, plus the
arc's shot noise in a campaign that has it. The arc itself is always noiseless.

>>> from halo_core.stamps import read_stamps
>>> for stamp in read_stamps(block_folder, tasks):          # tasks: rows of the manifest, any configured size
...     detector(stamp.injected, stamp.invvar, stamp.maskbits)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError
from halo_core.stages.files import read_matching
from halo_core.survey.coadds import crop_start

HOSTS_FILE = "hosts.parquet"
CUTOUTS_FILE = "cutouts.parquet"
ARCS_FILE = "arcs.parquet"
RESULTS_FILE = "results.parquet"


@dataclass(frozen=True)
class Stamp:
    """One task's pixels.

    Attributes
    ----------
    bands : tuple of str
        Bands of the first axis.
    injected : ndarray, shape (n_bands, size, size), float32
        host + arc + noise [nmgy per pixel].
    host : ndarray, shape (n_bands, size, size), float32
        Survey pixels [nmgy per pixel].
    arc : ndarray, shape (n_bands, size, size), float32
        Noiseless arc; 0 for a control [nmgy per pixel].
    noise : ndarray, shape (n_bands, size, size), float32
        Shot noise of the arc; 0 for a control and in a campaign without noise [nmgy per pixel].
    invvar : ndarray, shape (n_bands, size, size), float32
        Inverse variance of the injected image, the arc's shot noise included where it has some [nmgy^-2].
    maskbits : ndarray, shape (size, size), int32
        Survey mask bits, with OUTSIDE_MASK_BIT outside the file.
    truth : mapping
        The manifest row.
    """

    bands: tuple[str, ...]
    injected: NDArray[np.float32]
    host: NDArray[np.float32]
    arc: NDArray[np.float32]
    noise: NDArray[np.float32]
    invvar: NDArray[np.float32]
    maskbits: NDArray[np.int32]
    truth: Mapping[str, Any]


def read_stamps(block_folder: Path, tasks: pa.Table, *, hosts: Path | None = None) -> Iterator[Stamp]:
    """Yield the stamp of each task, in the order of the tasks.

    Parameters
    ----------
    block_folder : Path
        Folder that holds a block's hosts and arcs.
    tasks : Table
        Manifest rows of that block.
    hosts : Path or None
        The block's cut-outs, of a campaign that caches in sections; None where the hosts stand beside the arcs.

    Raises
    ------
    SurveyDataError
        The host or arc of a task is not stored: the task was not evaluated; its result says why. Or the folder holds no hosts and no
        cut-outs were given.
    """
    rows = tasks.to_pylist()
    hosts_file = block_folder / HOSTS_FILE if hosts is None else hosts
    if not hosts_file.exists():
        raise SurveyDataError(
            f"{hosts_file} is not there; a campaign that caches in sections keeps hosts as cache/<digest>/block=<number>/{CUTOUTS_FILE}, "
            'which "hosts" of the block\'s _commit.json names: give that file'
        )
    by_host = _by_key(read_matching(hosts_file, "host_id", (row["host_id"] for row in rows)), "host_id")
    injections = [row["physical_id"] for row in rows if not row["is_control"]]
    arcs = _by_key(read_matching(block_folder / ARCS_FILE, "physical_id", injections), "physical_id") if injections else {}
    for row in rows:
        yield _stamp(row, by_host, arcs)


def read_host(hosts_file: Path, host_id: str, size_pix: int) -> dict[str, NDArray[np.float32]]:
    """Return the stored planes of a host by band, whether its tasks were evaluated or not [nmgy per pixel].

    A band that was lost is not there; of a host that is not stored there is none.
    """
    found = read_matching(hosts_file, "host_id", [host_id])
    columns = {band: f"image_{band}" for band in BANDS if f"image_{band}" in found.column_names}
    stored = {band: column for band, column in columns.items() if found.num_rows and found[column][0].is_valid}
    return {band: _pixels((found, 0), column, size_pix) for band, column in stored.items()}


def _by_key(table: pa.Table, key: str) -> dict[str, tuple[pa.Table, int]]:
    """Return where the row of each key is; stamps stay in the table's memory until they are asked for."""
    return {value: (table, i) for i, value in enumerate(table[key].to_pylist())}


def _stamp(row: Mapping[str, Any], hosts: Mapping[str, tuple[pa.Table, int]], arcs: Mapping[str, tuple[pa.Table, int]]) -> Stamp:
    """Return one task's stamp."""
    bands, size = tuple(band for band in BANDS if band in row["bandset"]), row["stamp_size"]
    if row["host_id"] not in hosts or not (row["is_control"] or row["physical_id"] in arcs):
        raise SurveyDataError(
            f"task {row['task_id']}: its host or arc is not stored, it was not evaluated; see its flags in injection_results"
        )
    host, invvar = (np.stack([_pixels(hosts[row["host_id"]], f"{kind}_{band}", size) for band in bands]) for kind in ("image", "invvar"))
    arc, noise = np.zeros_like(host), np.zeros_like(host)
    injected = host.copy()
    if not row["is_control"]:
        table, i = arcs[row["physical_id"]]
        arc = np.stack([_pixels((table, i), f"arc_{band}", size) for band in bands])
        injected = host + arc
        for place, band in enumerate(bands):
            gain = table[f"electrons_per_nmgy_{band}"][i].as_py()
            if gain is not None:
                noise[place] = _pixels((table, i), f"noise_{band}", size)
                injected[place] += noise[place]
                invvar[place] = with_shot_noise(invvar[place], arc[place], electrons_per_nmgy=gain)
    return Stamp(
        bands=bands,
        injected=injected,
        host=host,
        arc=arc,
        noise=noise,
        invvar=invvar,
        maskbits=_pixels(hosts[row["host_id"]], "maskbits", size),
        truth=row,
    )


def with_shot_noise(invvar: NDArray[np.float32], arc: NDArray[np.float32], *, electrons_per_nmgy: float) -> NDArray[np.float32]:
    """Return the inverse variance of host and noisy arc, 1 / (1 / invvar + arc / gain) where both are positive [nmgy^-2].

    Equal to the bit to what `halo_core.lensing.shot_noise` gives, kept in float32; that needs the physics, this needs the file alone.
    """
    weight, light = invvar.astype(np.float64), arc.astype(np.float64)
    noisy = (light > 0.0) & (weight > 0.0)
    weight[noisy] = 1.0 / (1.0 / weight[noisy] + light[noisy] / electrons_per_nmgy)
    return weight.astype(np.float32)


def _pixels(place: tuple[pa.Table, int], column: str, size_pix: int) -> NDArray[Any]:
    """Return one stored stamp, cropped."""
    table, i = place
    stored = table[column][i]
    if not stored.is_valid:
        raise SurveyDataError(f"{column} of row {i} is not stored: the plane was lost; see the flags of the task in injection_results")
    flat = np.asarray(stored.values.to_numpy(zero_copy_only=False))
    side = int(table["size_pix"][i].as_py())
    start = crop_start(side, size_pix)
    return flat.reshape(side, side)[start : start + size_pix, start : start + size_pix].copy()


def write_npz(stamp: Stamp, path: Path) -> None:
    """Write a stamp and its truth as a NumPy archive."""
    arrays: dict[str, Any] = {f"truth_{name}": np.asarray(value) for name, value in stamp.truth.items() if value is not None}
    np.savez_compressed(
        path,
        allow_pickle=False,
        bands=np.array(stamp.bands),
        injected=stamp.injected,
        host=stamp.host,
        arc=stamp.arc,
        noise=stamp.noise,
        invvar=stamp.invvar,
        maskbits=stamp.maskbits,
        **arrays,
    )


def write_fits(stamp: Stamp, path: Path) -> None:
    """Write a stamp as FITS: one image extension per array, the truth in the primary header as HIERARCH cards."""
    primary = fits.PrimaryHDU()
    primary.header["BANDS"] = "".join(stamp.bands)
    for name, value in stamp.truth.items():
        if value is not None:
            primary.header[f"HIERARCH {name}"] = value
    images = {name.upper(): getattr(stamp, name) for name in ("injected", "host", "arc", "noise", "invvar", "maskbits")}
    units = {**dict.fromkeys(("INJECTED", "HOST", "ARC", "NOISE"), "nanomaggy"), "INVVAR": "1/nanomaggy^2"}
    hdus = [primary]
    for name, image in images.items():
        hdu = fits.ImageHDU(image, name=name)
        if name in units:
            hdu.header["BUNIT"] = units[name]
        hdus.append(hdu)
    fits.HDUList(hdus).writeto(path, overwrite=True)
