"""Injection: cut each host of a brick once, render each arc once at the largest size, measure every view.

Host and arc are kept apart, so that injected = host + arc and the pair without an arc is free. The lens stands at the host's own
sub-pixel position, never at the stamp's middle.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import galsim
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.constants import BANDS, PIXEL_SCALE_ARCSEC
from halo_core.errors import ConfigurationError
from halo_core.flags import LOSSES, Flag, for_band
from halo_core.lensing import (
    Lens,
    PsfModel,
    RenderedArc,
    Renderer,
    Source,
    electrons_per_nmgy,
    profile_fwhm_arcsec,
    psf_from_size,
    render,
    shot_noise,
)
from halo_core.records import RESULTS, arcs_schema, conform
from halo_core.stages.hosts import BrickPlanes, Host, cut_hosts, distinct_targets, plane_flags
from halo_core.stages.injection_tables import ArcColumns, hosts_table
from halo_core.stages.metrics import GoodPixels, arc_metrics, good_pixels_of, judge_view, mask_metrics
from halo_core.survey.coadds import crop_start
from halo_core.survey.photometry import axis_ratio_from_ellipticity

SCIENCE_VERSION = 2

EFFORT_RANGE = (0.25, 8.0)
"""Efforts that a campaign may ask for."""

PART_ARCS = 1000
"""Most arcs that are in memory at a time: 110 MB at 96 pixels in three bands, twice that with noise."""

_VIEWS_KEPT = 64
"""Views whose good pixels are kept for the next arc: some 20 hosts in two or three sizes, 30 MB."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class InjectionConfig:
    """What decides the pixels and the metrics of an injection, beside its manifest row.

    Attributes
    ----------
    psf_model : str
        moffat (beta 3.5, matched to the noise-equivalent area of psfsize) or gaussian.
    renderer : str
        adaptive or galsim.
    effort : float
        Error control of the renderer; see `halo_core.lensing.render`.
    store_size_pix : int
        Largest stamp size of the campaign: hosts and arcs are stored at it [pix].
    bands : tuple of str
        Every band of the campaign's bandsets, in survey order.
    shot_noise : bool
        Whether each arc gets the Poisson noise of its own photons, kept beside it; S/N then counts it.

    Raises
    ------
    ConfigurationError
        The effort is outside `EFFORT_RANGE`.
    """

    psf_model: PsfModel
    renderer: Renderer
    effort: float
    store_size_pix: int
    bands: tuple[str, ...]
    shot_noise: bool

    def __post_init__(self) -> None:
        """Refuse an effort that cannot be doubled."""
        low, high = EFFORT_RANGE
        if not low <= self.effort <= high:
            raise ConfigurationError(
                f"effort {self.effort} is outside {low}-{high}: the renderer takes up to {2.0 * high}, and validation renders at twice the "
                "campaign's; change [campaign] effort"
            )


@dataclass(frozen=True)
class BrickInjection:
    """What one brick's tasks become: hosts, arcs, and one result per task in the order of the tasks."""

    hosts: pa.Table
    arcs: pa.Table
    results: pa.Table


def inject_brick(
    tasks: pa.Table,
    planes: BrickPlanes,
    config: InjectionConfig,
    *,
    hosts: Sequence[Host] | None = None,
    write_arcs: Callable[[pa.Table], None] | None = None,
) -> BrickInjection:
    """Return hosts, arcs and results of the tasks of one brick.

    Parameters
    ----------
    tasks : Table
        Rows of `records.MANIFEST` of one brick.
    planes : BrickPlanes
        The brick's verified planes, and what was lost.
    config : InjectionConfig
        Largest size, bands, PSF and renderer.
    hosts : sequence of Host or None
        The brick's hosts where they were cut before; None cuts them from the planes.
    write_arcs : callable or None
        Takes each `PART_ARCS` arcs as they are painted, which are then not kept; None keeps them all.

    Returns
    -------
    BrickInjection
        Exactly one result per task, evaluated or with a loss bit. No arc where they were written, no host where they were given.
    """
    rows: list[Row] = tasks.select(_TASK_COLUMNS).to_pylist()
    targets = distinct_targets(rows) if hosts is None and planes.paths else []
    made = cut_hosts(targets, planes, bands=config.bands, size_pix=config.store_size_pix) if targets else []
    cut = made if hosts is None else hosts
    brick = _Brick({host.host_id: host for host in cut}, planes, config)
    results = [brick.judge(row) for row in rows]
    kept: list[pa.Table] = []
    keep = kept.append if write_arcs is None else write_arcs
    injections = _evaluated_injections(rows, results)
    for first in range(0, len(injections), PART_ARCS):
        keep(brick.paint(injections[first : first + PART_ARCS], rows, results))
    psfs = [_psf_columns(host, config.bands, psf_model=config.psf_model) for host in made]
    return BrickInjection(
        hosts=hosts_table(made, targets, psfs, psf_model=config.psf_model, size_pix=config.store_size_pix),
        arcs=pa.concat_tables(kept) if kept else arcs_schema(config.store_size_pix).empty_table(),
        results=conform(
            {name: [r.get(name) for r in results] for name in RESULTS.names}, RESULTS, where=f"results of brick {planes.brickname}"
        ),
    )


_TASK_COLUMNS = [
    *("task_id", "physical_id", "block", "host_id", "brickname", "objid", "ra", "dec", "stamp_size", "bandset", "is_control"),
    *("theta_e_arcsec", "lens_e", "lens_phi_rad", "shear", "shear_phi_rad", "parent_flags"),
    *("src_x_arcsec", "src_y_arcsec", "src_reff_arcsec", "src_e", "src_phi_rad", "src_n_sersic"),
    *(f"{name}" for band in BANDS for name in (f"psfsize_{band}_arcsec", f"src_flux_{band}_nmgy")),
]
"""What of a manifest row decides a stamp."""

_CUTOUT_LOSSES = LOSSES.value & ~sum(for_band(stem, band).value for stem in ("PSF_UNUSABLE", "NO_GOOD_PIXEL") for band in BANDS)
"""Losses that leave a stamp without every pixel and plane it needs."""


def _evaluated_injections(rows: Sequence[Row], results: Sequence[Row]) -> list[list[int]]:
    """Return the places of the evaluated views of each physical injection, in the order of their first."""
    views: dict[str, list[int]] = {}
    for i, (row, result) in enumerate(zip(rows, results, strict=True)):
        if result["metrics_ok"] and not row["is_control"]:
            views.setdefault(row["physical_id"], []).append(i)
    return list(views.values())


class _Brick:
    """The hosts of one brick, and what of their views serves every arc."""

    def __init__(self, hosts: Mapping[str, Host], planes: BrickPlanes, config: InjectionConfig) -> None:
        self.hosts = hosts
        self._planes = planes
        self._config = config
        self._psfs: dict[str, dict[str, galsim.GSObject]] = {}
        self._gains = {key: _gains(host) for key, host in hosts.items()} if config.shot_noise else {}
        self._views: dict[tuple[str, str, int], dict[str, Any]] = {}
        self._good: dict[tuple[str, str, int], dict[str, GoodPixels]] = {}

    def judge(self, row: Row) -> dict[str, Any]:
        """Return what a result says before any arc: where the stamp is, its PSF and masks, or the reason why it is not evaluated."""
        key = (row["host_id"], row["bandset"], row["stamp_size"])
        if key not in self._views:
            self._views[key] = self._view_columns(*key)
        of_view = self._views[key]
        flags = of_view["flags"] | row["parent_flags"] | (Flag.CONTROL.value if row["is_control"] else 0)
        return of_view | {
            "task_id": row["task_id"],
            "block": row["block"],
            "cutout_ok": not flags & _CUTOUT_LOSSES,
            "metrics_ok": not flags & LOSSES.value,
            "flags": flags,
        }

    def paint(self, injections: Sequence[Sequence[int]], rows: Sequence[Row], results: Sequence[dict[str, Any]]) -> pa.Table:
        """Return the arcs of physical injections, each the places of its evaluated views, and complete the results of the views."""
        config = self._config
        made = ArcColumns(len(injections), size_pix=config.store_size_pix, bands=config.bands, has_noise=config.shot_noise)
        for i, views in enumerate(injections):
            row = rows[views[0]]
            host = self.hosts[row["host_id"]]
            if host.host_id not in self._psfs:
                sizes = host.psf_fwhm_arcsec.items()
                self._psfs[host.host_id] = {band: psf_from_size(size, model=config.psf_model) for band, size in sizes}
            psfs = self._psfs[host.host_id]
            rendered = render_row(row, host, psfs, config)
            for band, image in zip(psfs, rendered.image, strict=True):
                made.arc[band][i] = image
            made.add(row["physical_id"], host, rendered.magnification, psfs)
            weights = self._add_noise(made, i, row["physical_id"], host) if config.shot_noise else {}
            for place in views:
                results[place].update(self._measure(rows[place], made, i, weights))
        return made.table()

    def _add_noise(self, made: ArcColumns, i: int, physical_id: str, host: Host) -> dict[str, NDArray[np.float32]]:
        """Draw the shot noise of an arc in each band that has a good pixel; return by band the inverse variance with it, as readers get it.

        A band without a good pixel at the stored size has none in any view, so that no view with it is evaluated.
        """
        weights = {}
        for band, gain in self._gains[host.host_id].items():
            invvar = host.invvar[band].astype(np.float64)
            arc = made.arc[band][i].astype(np.float64)
            made.noise[band][i], weight = shot_noise(arc, invvar, electrons_per_nmgy=gain, physical_id=physical_id, band=band)
            made.gain[band][i] = gain
            weights[band] = weight.astype(np.float32)
        return weights

    def _measure(self, row: Row, made: ArcColumns, i: int, weights: Mapping[str, NDArray[np.float32]]) -> dict[str, Any]:
        """Return the metrics of one view of an arc; ``weights`` is the inverse variance with the noise of the arc, empty without noise."""
        bands, size = row["bandset"], row["stamp_size"]
        host = self.hosts[row["host_id"]]
        good = {b: good_pixels_of(host, b, size, weights[b]) for b in bands} if weights else self._good_of(host, bands, size)
        lensed = {band: made.magnification[i] * row[f"src_flux_{band}_nmgy"] for band in bands}
        metrics = arc_metrics({band: made.arc[band][i] for band in bands}, good, size_pix=size, lensed_flux_nmgy=lensed)
        gains = {f"electrons_per_nmgy_{band}": made.gain[band][i] for band in bands}
        return metrics | gains | {"magnification": made.magnification[i]}

    def _view_columns(self, host_id: str, bandset: str, size: int) -> dict[str, Any]:
        """Return what every result of a view has: its flags, place and PSF, and masked shares where no plane or pixel is lost."""
        bands = tuple(bandset)
        flags = plane_flags(self._planes, bands)
        host = self.hosts.get(host_id)
        if host is None:
            return {"flags": flags.value}
        flags |= judge_view(host, bands, size)
        inset = crop_start(host.size_pix, size)
        columns = {
            "flags": flags.value,
            "host_x_pix": host.host_x_pix - inset,
            "host_y_pix": host.host_y_pix - inset,
            "stamp_x0_pix": host.x0_pix + inset,
            "stamp_y0_pix": host.y0_pix + inset,
        }
        masked = {} if flags & LOSSES else mask_metrics(host, bands, size)
        return columns | _psf_columns(host, bands, psf_model=self._config.psf_model) | masked

    def _good_of(self, host: Host, bands: str, size: int) -> dict[str, GoodPixels]:
        """Return the good pixels of a view by the host's own inverse variance."""
        key = (host.host_id, bands, size)
        if key not in self._good:
            if len(self._good) == _VIEWS_KEPT:
                self._good.clear()
            self._good[key] = {band: good_pixels_of(host, band, size, host.invvar[band]) for band in bands}
        return self._good[key]


def _psf_columns(host: Host, bands: Sequence[str], *, psf_model: PsfModel) -> dict[str, Any]:
    """Return what is recorded of the PSF of each band that has one."""
    columns: dict[str, Any] = {}
    for band in bands:
        if band in host.psf_fwhm_arcsec:
            columns[f"psf_fwhm_used_{band}_arcsec"] = host.psf_fwhm_arcsec[band]
            columns[f"psf_fwhm_model_{band}_arcsec"] = profile_fwhm_arcsec(host.psf_fwhm_arcsec[band], model=psf_model)
            columns[f"psf_source_{band}"] = host.psf_source[band]
    return columns


def _gains(host: Host) -> dict[str, float]:
    """Return the electrons per nanomaggy of each band that is painted and has a finite good pixel on the whole stamp."""
    gains = {}
    for band in host.psf_fwhm_arcsec:
        if band in host.good:
            good = host.good[band] & np.isfinite(host.invvar[band])
            gains[band] = electrons_per_nmgy(host.invvar[band].astype(np.float64), good, band=band)
    return {band: gain for band, gain in gains.items() if not np.isnan(gain)}


def render_row(row: Row, host: Host, psfs: Mapping[str, galsim.GSObject], config: InjectionConfig) -> RenderedArc:
    """Return the arc of one manifest row on the stored stamp of its host, in the bands that have a PSF."""
    lens, source = lens_and_source(row, host.host_x_pix, host.host_y_pix, size_pix=host.size_pix, bands=tuple(psfs))
    return render(
        lens, source, list(psfs.values()), size_pix=host.size_pix, pixel_response=False, effort=config.effort, renderer=config.renderer
    )


def lens_and_source(row: Row, host_x_pix: float, host_y_pix: float, *, size_pix: int, bands: Sequence[str]) -> tuple[Lens, Source]:
    """Return lens and source of a manifest row, the lens at the host's position in the stamp.

    Parameters
    ----------
    row : mapping
        A row of `records.MANIFEST` that is no control.
    host_x_pix, host_y_pix : float
        Position of the host in the stamp, 0-based [pix].
    size_pix : int
        Side of the stamp [pix].
    bands : sequence of str
        Bands of the source's fluxes.
    """
    middle = (size_pix - 1) / 2
    lens_x = (host_x_pix - middle) * PIXEL_SCALE_ARCSEC
    lens_y = (host_y_pix - middle) * PIXEL_SCALE_ARCSEC
    lens = Lens(
        theta_e_arcsec=row["theta_e_arcsec"],
        q=float(axis_ratio_from_ellipticity(row["lens_e"])),
        phi_rad=row["lens_phi_rad"],
        gamma1=row["shear"] * np.cos(2.0 * row["shear_phi_rad"]),
        gamma2=row["shear"] * np.sin(2.0 * row["shear_phi_rad"]),
        x_arcsec=lens_x,
        y_arcsec=lens_y,
    )
    source = Source(
        x_arcsec=lens_x + row["src_x_arcsec"],
        y_arcsec=lens_y + row["src_y_arcsec"],
        reff_arcsec=row["src_reff_arcsec"],
        q=float(axis_ratio_from_ellipticity(row["src_e"])),
        phi_rad=row["src_phi_rad"],
        n_sersic=row["src_n_sersic"],
        flux_nmgy=tuple(row[f"src_flux_{band}_nmgy"] for band in bands),
    )
    return lens, source
