"""Hosts: real survey pixels cut once around each galaxy, at the largest stamp size of the campaign.

A stamp of side N around file position (x, y) starts at floor(x + 0.5) - N//2; the host keeps its sub-pixel position inside it.
Pixels outside the file are image 0, invvar 0 and OUTSIDE_MASK_BIT.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import OUTSIDE_MASK_BIT, PSF_FWHM_MAX_ARCSEC, PSF_FWHM_MIN_ARCSEC
from halo_core.flags import Flag, for_band
from halo_core.survey.coadds import CoaddPlane, open_plane, stamp_corner
from halo_core.survey.maskbits import MaskBits, good_pixels, wise_pixels
from halo_core.survey.projection import sky_to_pixel

PSF_FROM_MAP = 0
PSF_FROM_BRICK = 1
_TILE_PIX = 100
_TILES_PER_HOST = 5
"""A 96-pixel section takes as long as this many tiles of a whole plane (3600 pixels, 10 planes: 4.1 ms a host, 1.0 s whole)."""


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

    @cached_property
    def good(self) -> Mapping[str, NDArray[np.bool_]]:
        """Good pixels of the whole stamp inside the file, by each band that has a weight; empty where the mask is lost."""
        mask, bits = self.maskbits, self.bits
        if mask is None or bits is None:
            return {}
        inside = (mask & OUTSIDE_MASK_BIT) == 0
        return {band: good_pixels(mask, invvar, band, bits) & inside for band, invvar in self.invvar.items()}

    @cached_property
    def on_wise_mask(self) -> NDArray[np.bool_] | None:
        """Pixels on a WISE bright-star mask; None where the mask is lost."""
        return None if self.maskbits is None or self.bits is None else wise_pixels(self.maskbits, self.bits)

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


def distinct_targets(rows: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return one manifest row of each host, in the order in which the hosts come first."""
    return list({row["host_id"]: row for row in rows}.values())


def cut_hosts(targets: Sequence[Mapping[str, Any]], planes: BrickPlanes, *, bands: Sequence[str], size_pix: int) -> list[Host]:
    """Return the hosts of one brick, every plane opened once, one after the other: no more than one is in memory.

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
    wanted = [*(f"{kind}-{band}" for kind in ("image", "invvar", "psfsize") for band in bands), "maskbits"]
    cuts: dict[str, list[Any]] = {}
    bits, places, shape = None, list[_Place](), (0, 0)
    for name in [name for name in sorted(planes.paths) if name in wanted] or sorted(planes.paths)[:1]:
        with open_plane(planes.paths[name], name) as plane:
            if not places:
                places, shape = _places(plane, targets, size_pix), plane.shape
            if name == "maskbits":
                bits = MaskBits.from_header(plane.header)
            if _read_whole(plane.shape, len(targets)):
                plane.read()
            cuts[name] = [_cut(plane, place, size_pix) for place in places]
    by_host = ({name: cut[i] for name, cut in cuts.items()} for i in range(len(targets)))
    nobody = Host("", size_pix, 0, 0, 0.0, 0.0, shape, bits=bits)
    return [replace(nobody, **_of_target(*found, bands=bands)) for found in zip(targets, places, by_host, strict=True)]


def _read_whole(shape: tuple[int, int], n_hosts: int) -> bool:
    """Return whether decoding the whole plane is cheaper than a section per host."""
    n_tiles = -(-shape[0] // _TILE_PIX) * -(-shape[1] // _TILE_PIX)
    return n_hosts * _TILES_PER_HOST >= n_tiles


class _Place(NamedTuple):
    """Position of a target in the file and the corner of its stamp [pix]."""

    x_pix: float
    y_pix: float
    x0_pix: int
    y0_pix: int


def _places(plane: CoaddPlane, targets: Sequence[Mapping[str, Any]], size_pix: int) -> list[_Place]:
    """Return where the targets are, by the projection that the planes of a brick share."""
    x, y = sky_to_pixel(plane.wcs, np.array([t["ra"] for t in targets]), np.array([t["dec"] for t in targets]))
    return [_Place(u, v, stamp_corner(u, size_pix), stamp_corner(v, size_pix)) for u, v in zip(x.tolist(), y.tolist(), strict=True)]


def _cut(plane: CoaddPlane, place: _Place, size_pix: int) -> Any:
    """Return what a host takes from a plane: the size of the PSF at its pixel, or its stamp."""
    if plane.plane.startswith("psfsize"):
        return plane.value_at(place.x_pix, place.y_pix)
    stamp, outside = plane.cutout(place.x0_pix, place.y0_pix, size_pix, 0)
    if plane.plane == "maskbits":
        return np.where(outside, OUTSIDE_MASK_BIT, stamp).astype(np.int32)
    return stamp.astype(np.float32, copy=False)


def _of_target(target: Mapping[str, Any], place: _Place, cut: Mapping[str, Any], *, bands: Sequence[str]) -> dict[str, Any]:
    """Return what is a host's own, from what was cut of each plane."""
    psf_fwhm, psf_source = _psf(target, {band: cut.get(f"psfsize-{band}") for band in bands})
    return {
        "host_id": target["host_id"],
        "x0_pix": place.x0_pix,
        "y0_pix": place.y0_pix,
        "host_x_pix": place.x_pix - place.x0_pix,
        "host_y_pix": place.y_pix - place.y0_pix,
        "image": {band: cut[f"image-{band}"] for band in bands if f"image-{band}" in cut},
        "invvar": {band: cut[f"invvar-{band}"] for band in bands if f"invvar-{band}" in cut},
        "maskbits": cut.get("maskbits"),
        "psf_fwhm_arcsec": psf_fwhm,
        "psf_source": psf_source,
    }


def _psf(target: Mapping[str, Any], at_host: Mapping[str, float | None]) -> tuple[dict[str, float], dict[str, int]]:
    """Return PSF size and its source by band: the map at the host, else the brick's value, else nothing; never another band's."""
    sizes: dict[str, float] = {}
    sources: dict[str, int] = {}
    for band, in_map in at_host.items():
        for source, value in ((PSF_FROM_MAP, in_map), (PSF_FROM_BRICK, target[f"psfsize_{band}_arcsec"])):
            if value is not None and PSF_FWHM_MIN_ARCSEC <= value <= PSF_FWHM_MAX_ARCSEC:
                sizes[band], sources[band] = float(value), source
                break
    return sizes, sources
