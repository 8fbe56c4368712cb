"""Hosts: real survey pixels cut once around each galaxy, at the largest stamp size of the campaign.

A stamp of side N around file position (x, y) starts at floor(x + 0.5) - N//2; the host keeps its sub-pixel position inside it.
Pixels outside the file are image 0, invvar 0 and OUTSIDE_MASK_BIT.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import OUTSIDE_MASK_BIT, PSF_FWHM_MAX_ARCSEC, PSF_FWHM_MIN_ARCSEC
from halo_core.flags import Flag, for_band
from halo_core.survey.coadds import CoaddPlane, open_plane, stamp_corner
from halo_core.survey.maskbits import MaskBits
from halo_core.survey.projection import sky_to_pixel

PSF_FROM_MAP = 0
PSF_FROM_BRICK = 1
_TILES_PER_STAMP = 4
_TILE_PIX = 100


@dataclass(frozen=True)
class BrickPlanes:
    """Where a brick's planes are.

    ``paths`` holds the local file of every verified plane, ``lost`` the status (missing or unverified) of every other.
    """

    brickname: str
    paths: Mapping[str, Path]
    lost: Mapping[str, str]


@dataclass(frozen=True)
class Host:
    """One galaxy's pixels and PSF sizes; what was lost or is not usable is absent from its mapping. Flags belong to views."""

    host_id: str
    size_pix: int
    x0_pix: int
    y0_pix: int
    host_x_pix: float
    host_y_pix: float
    file_shape: tuple[int, int]
    image: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    invvar: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    maskbits: NDArray[np.int32] | None = None
    bits: MaskBits | None = None
    psf_fwhm_arcsec: Mapping[str, float] = field(default_factory=dict)
    psf_source: Mapping[str, int] = field(default_factory=dict)

    def fits(self, size_pix: int) -> bool:
        """Return whether a stamp of this size lies inside the file."""
        inset = self.size_pix // 2 - size_pix // 2
        x0, y0 = self.x0_pix + inset, self.y0_pix + inset
        return x0 >= 0 and y0 >= 0 and x0 + size_pix <= self.file_shape[1] and y0 + size_pix <= self.file_shape[0]


def plane_flags(planes: BrickPlanes, bands: Sequence[str]) -> Flag:
    """Return the loss bits of a brick's absent or unverifiable planes, for the bands asked for and no other."""
    needed = ["maskbits", *(f"{kind}-{band}" for band in bands for kind in ("image", "invvar"))]
    absent = [name for name in needed if name not in planes.paths]
    flags = Flag(0)
    if any(planes.lost.get(name) == "unverified" for name in absent):
        flags |= Flag.PLANE_UNVERIFIED
    elif not planes.paths:
        return Flag.BRICK_MISSING
    for name in absent:
        kind, _, band = name.partition("-")
        flags |= for_band(f"{kind.upper()}_MISSING", band) if band else Flag.MASKBITS_MISSING
    return flags


def cut_hosts(targets: Sequence[Mapping[str, Any]], planes: BrickPlanes, *, bands: Sequence[str], size_pix: int) -> list[Host]:
    """Return the hosts of one brick, every plane opened once.

    Parameters
    ----------
    targets : sequence of mapping
        One manifest row per distinct host: host_id, ra, dec [deg], psfsize_<band>_arcsec of the brick (may be None).
    planes : BrickPlanes
        At least one verified plane.
    bands : sequence of str
        Bands to cut.
    size_pix : int
        Side of the stamps [pix].
    """
    with ExitStack() as stack:
        opened = {name: stack.enter_context(open_plane(path, name)) for name, path in sorted(planes.paths.items())}
        grid = next(iter(opened.values()))
        x, y = sky_to_pixel(grid.wcs, np.array([t["ra"] for t in targets]), np.array([t["dec"] for t in targets]))
        cutter = _Cutter(opened, grid.shape, size_pix, whole=_read_whole(grid.shape, len(targets)))
        return [cutter.cut(target, float(x[i]), float(y[i]), bands) for i, target in enumerate(targets)]


def _read_whole(shape: tuple[int, int], n_hosts: int) -> bool:
    """Return whether decoding the whole plane costs no more tiles than a section per host."""
    n_tiles = -(-shape[0] // _TILE_PIX) * -(-shape[1] // _TILE_PIX)
    return n_hosts * _TILES_PER_STAMP >= n_tiles


class _Cutter:
    """Cuts stamps from the open planes of one brick."""

    def __init__(self, opened: Mapping[str, CoaddPlane], shape: tuple[int, int], size_pix: int, *, whole: bool) -> None:
        self._planes = opened
        self._shape = shape
        self._size_pix = size_pix
        self._bits = MaskBits.from_header(opened["maskbits"].header) if "maskbits" in opened else None
        if whole:
            for plane in opened.values():
                plane.read()

    def cut(self, target: Mapping[str, Any], x_pix: float, y_pix: float, bands: Sequence[str]) -> Host:
        """Return the host at file position (x, y)."""
        x0, y0 = stamp_corner(x_pix, self._size_pix), stamp_corner(y_pix, self._size_pix)
        psf_fwhm, psf_source = self._psf(target, x_pix, y_pix, bands)
        mask = None
        if "maskbits" in self._planes:
            cut, outside = self._planes["maskbits"].cutout(x0, y0, self._size_pix, 0)
            mask = np.where(outside, OUTSIDE_MASK_BIT, cut).astype(np.int32)
        return Host(
            host_id=target["host_id"],
            size_pix=self._size_pix,
            x0_pix=x0,
            y0_pix=y0,
            host_x_pix=x_pix - x0,
            host_y_pix=y_pix - y0,
            file_shape=self._shape,
            image=self._cut_bands("image", x0, y0, bands),
            invvar=self._cut_bands("invvar", x0, y0, bands),
            maskbits=mask,
            bits=self._bits,
            psf_fwhm_arcsec=psf_fwhm,
            psf_source=psf_source,
        )

    def _cut_bands(self, kind: str, x0: int, y0: int, bands: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the stamp of every band whose plane is there."""
        names = {band: f"{kind}-{band}" for band in bands}
        return {
            band: self._planes[name].cutout(x0, y0, self._size_pix, 0)[0].astype(np.float32)
            for band, name in names.items()
            if name in self._planes
        }

    def _psf(self, target: Mapping[str, Any], x_pix: float, y_pix: float, bands: Sequence[str]) -> tuple[dict[str, float], dict[str, int]]:
        """Return PSF size and its source by band: the map at the host, else the brick's value, else nothing; never another band's."""
        sizes: dict[str, float] = {}
        sources: dict[str, int] = {}
        for band in bands:
            plane = self._planes.get(f"psfsize-{band}")
            at_host = plane.value_at(x_pix, y_pix) if plane is not None else None
            for source, value in ((PSF_FROM_MAP, at_host), (PSF_FROM_BRICK, target[f"psfsize_{band}_arcsec"])):
                if value is not None and PSF_FWHM_MIN_ARCSEC <= value <= PSF_FWHM_MAX_ARCSEC:
                    sizes[band], sources[band] = float(value), source
                    break
        return sizes, sources
