"""Tables of the injection stage: hosts and arcs as they are stored, pixels going into their columns without a copy."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.lensing import PsfModel
from halo_core.records import arcs_schema, conform, hosts_schema
from halo_core.stages.hosts import Host

_OF_TARGET = ("host_id", "brickname", "objid", "ra", "dec")
_OF_HOST = ("size_pix", "x0_pix", "y0_pix", "host_x_pix", "host_y_pix")
_OF_ARC = ("physical_id", "host_id", "size_pix", "lens_x_pix", "lens_y_pix", "magnification")


def hosts_table(
    hosts: Sequence[Host], targets: Sequence[Mapping[str, Any]], psfs: Sequence[Mapping[str, Any]], *, psf_model: PsfModel, size_pix: int
) -> pa.Table:
    """Return the stored hosts of a brick, columns of `records.hosts_schema`.

    ``targets`` are the manifest rows that the hosts were cut for, ``psfs`` what is recorded of the PSFs of each.
    """
    columns = host_columns(hosts, targets, size_pix=size_pix)
    columns["maskbits_source"] = [host.bits.source if host.bits is not None else None for host in hosts]
    columns["psf_model"] = [psf_model] * len(hosts)
    for band in BANDS:
        for name in (f"psf_fwhm_used_{band}_arcsec", f"psf_fwhm_model_{band}_arcsec", f"psf_source_{band}"):
            columns[name] = [found.get(name) for found in psfs]
    return conform(columns, hosts_schema(size_pix), where="hosts")


def host_columns(hosts: Sequence[Host], targets: Sequence[Mapping[str, Any]], *, size_pix: int) -> dict[str, Any]:
    """Return what is stored of a host wherever it is stored: whose it is, where its stamp lies, and its pixels."""
    columns: dict[str, Any] = {name: [target[name] for target in targets] for name in _OF_TARGET}
    columns |= {name: [getattr(host, name) for host in hosts] for name in _OF_HOST}
    for band in BANDS:
        columns[f"image_{band}"] = _stamps([host.image.get(band) for host in hosts], size_pix, np.float32)
        columns[f"invvar_{band}"] = _stamps([host.invvar.get(band) for host in hosts], size_pix, np.float32)
    columns["maskbits"] = _stamps([host.maskbits for host in hosts], size_pix, np.int32)
    return columns


class ArcColumns:
    """Arcs in the making, one array a band that becomes a column as it is.

    Attributes
    ----------
    arc, noise : dict of str to ndarray, shape (n_arcs, size, size), float32
        By band [nmgy per pixel]; ``noise`` is empty where there is none.
    magnification : list of float
        Of the arcs that were added.
    gain : dict of str to list of float or None, length n_arcs
        Electrons per nanomaggy of the noise by band; None where none was drawn.
    """

    def __init__(self, n_arcs: int, *, size_pix: int, bands: Sequence[str], has_noise: bool) -> None:
        shape = (n_arcs, size_pix, size_pix)
        self.arc = {band: np.zeros(shape, dtype=np.float32) for band in bands}
        self.noise = {band: np.zeros(shape, dtype=np.float32) for band in bands if has_noise}
        self.gain: dict[str, list[float | None]] = {band: [None] * n_arcs for band in BANDS}
        self._schema = arcs_schema(size_pix)
        self._plain: dict[str, list[Any]] = {name: [] for name in _OF_ARC}
        self._is_painted: dict[str, list[bool]] = {band: [] for band in BANDS}
        self.magnification = self._plain["magnification"]

    def add(self, physical_id: str, host: Host, magnification: float, bands: Iterable[str]) -> None:
        """Say what the next arc is, and the bands it was painted in."""
        values = (physical_id, host.host_id, host.size_pix, host.host_x_pix, host.host_y_pix, magnification)
        for column, value in zip(self._plain.values(), values, strict=True):
            column.append(value)
        for band, is_painted in self._is_painted.items():
            is_painted.append(band in bands)

    def table(self) -> pa.Table:
        """Return the columns of `records.arcs_schema`."""
        columns: dict[str, Any] = dict(self._plain)
        for band in BANDS:
            columns[f"electrons_per_nmgy_{band}"] = pa.array(self.gain[band], type=pa.float64())
            columns[f"arc_{band}"] = self._column(f"arc_{band}", self.arc.get(band), self._is_painted[band])
            columns[f"noise_{band}"] = self._column(f"noise_{band}", self.noise.get(band), [gain is not None for gain in self.gain[band]])
        return conform(columns, self._schema, where="arcs")

    def _column(self, name: str, pixels: NDArray[np.float32] | None, is_there: Sequence[bool]) -> pa.Array:
        """Return a column of stamps; one that was not made is NULL."""
        kind = self._schema.field(name).type
        return pa.nulls(len(is_there), type=kind) if pixels is None else _fixed_lists(pixels, kind.list_size, is_there)


def _stamps(stamps: Sequence[NDArray[np.generic] | None], size_pix: int, dtype: type[np.generic]) -> pa.Array:
    """Return stamps as fixed-size lists; a stamp that is not there is NULL."""
    pixels = np.zeros((len(stamps), size_pix, size_pix), dtype=dtype)
    for i, stamp in enumerate(stamps):
        if stamp is not None:
            pixels[i] = stamp
    return _fixed_lists(pixels, size_pix * size_pix, [stamp is not None for stamp in stamps])


def _fixed_lists(pixels: NDArray[np.generic], n_pix: int, is_there: Sequence[bool]) -> pa.Array:
    """Return pixels as one list a stamp, without a copy; where one is not there, NULL."""
    absent = None if all(is_there) else pa.array([not there for there in is_there], type=pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(pixels.reshape(-1)), n_pix, mask=absent)
