"""Injection: cut each host of a brick once, render each arc once at the largest size, measure every view.

Host and arc are kept apart, so that injected = host + arc and the pair without an arc is free. The lens stands at the host's own
sub-pixel position, never at the stamp's middle.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import galsim
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.constants import BANDS, PIXEL_SCALE_ARCSEC
from halo_core.flags import LOSSES, Flag
from halo_core.lensing import Lens, PsfModel, RenderedArc, Renderer, Source, profile_fwhm_arcsec, psf_from_size, render
from halo_core.records import RESULTS, arcs_schema, conform, hosts_schema
from halo_core.stages.hosts import BrickPlanes, Host, cut_hosts, plane_flags
from halo_core.stages.metrics import arc_metrics, judge_view, mask_metrics
from halo_core.survey.coadds import crop_start
from halo_core.survey.photometry import axis_ratio_from_ellipticity

SCIENCE_VERSION = 1

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
    """

    psf_model: PsfModel
    renderer: Renderer
    effort: float
    store_size_pix: int
    bands: tuple[str, ...]


@dataclass(frozen=True)
class BrickInjection:
    """What one brick's tasks become: hosts, arcs, and one result per task in the order of the tasks."""

    hosts: pa.Table
    arcs: pa.Table
    results: pa.Table


def inject_brick(tasks: pa.Table, planes: BrickPlanes, config: InjectionConfig) -> BrickInjection:
    """Return hosts, arcs and results of the tasks of one brick.

    Parameters
    ----------
    tasks : Table
        Rows of `records.MANIFEST` of one brick.
    planes : BrickPlanes
        The brick's verified planes, and what was lost.
    config : InjectionConfig
        Largest size, bands, PSF and renderer.

    Returns
    -------
    BrickInjection
        Exactly one result per task, evaluated or with a loss bit.
    """
    rows: list[Row] = tasks.to_pylist()
    targets = list({row["host_id"]: row for row in rows}.values())
    hosts = (
        {host.host_id: host for host in cut_hosts(targets, planes, bands=config.bands, size_pix=config.store_size_pix)}
        if planes.paths
        else {}
    )
    judged = [_judge(row, hosts, planes) for row in rows]
    arcs = _render_arcs(rows, judged, hosts, config)
    results = [_result(row, flags, hosts, arcs, config) for row, flags in zip(rows, judged, strict=True)]
    return BrickInjection(
        hosts=_hosts_table([t for t in targets if t["host_id"] in hosts], hosts, config),
        arcs=_arcs_table(arcs, config),
        results=conform(
            {name: [r.get(name) for r in results] for name in RESULTS.names}, RESULTS, where=f"results of brick {planes.brickname}"
        ),
    )


@dataclass(frozen=True)
class _Arc:
    """A rendered arc as it is stored."""

    host: Host
    row: Row
    magnification: float
    pixels: Mapping[str, NDArray[np.float32]]


def _judge(row: Row, hosts: Mapping[str, Host], planes: BrickPlanes) -> Flag:
    """Return the flags of one task."""
    bands = tuple(row["bandset"])
    host = hosts.get(row["host_id"])
    flags = plane_flags(planes, bands) | Flag(row["parent_flags"])
    if host is not None:
        flags |= judge_view(host, bands, row["stamp_size"])
    return flags | Flag.CONTROL if row["is_control"] else flags


def _render_arcs(
    rows: Sequence[Row],
    judged: Sequence[Flag],
    hosts: Mapping[str, Host],
    config: InjectionConfig,
) -> dict[str, _Arc]:
    """Return one arc per physical injection that is evaluated in at least one view."""
    arcs: dict[str, _Arc] = {}
    psfs: dict[str, dict[str, galsim.GSObject]] = {}
    for row, flags in zip(rows, judged, strict=True):
        if row["is_control"] or flags & LOSSES or row["physical_id"] in arcs:
            continue
        host = hosts[row["host_id"]]
        if host.host_id not in psfs:
            psfs[host.host_id] = {band: psf_from_size(size, model=config.psf_model) for band, size in host.psf_fwhm_arcsec.items()}
        rendered = render_row(row, host, psfs[host.host_id], config)
        pixels = {band: rendered.image[i].astype(np.float32) for i, band in enumerate(psfs[host.host_id])}
        arcs[row["physical_id"]] = _Arc(host, row, rendered.magnification, pixels)
    return arcs


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


def _result(row: Row, flags: Flag, hosts: Mapping[str, Host], arcs: Mapping[str, _Arc], config: InjectionConfig) -> dict[str, Any]:
    """Return the result of one task: everything measured, or the reason why not and NULL for every metric."""
    is_evaluated = not flags & LOSSES
    result: dict[str, Any] = {
        "task_id": row["task_id"],
        "block": row["block"],
        "cutout_ok": not flags & _CUTOUT_LOSSES,
        "metrics_ok": is_evaluated,
        "flags": flags.value,
    }
    host = hosts.get(row["host_id"])
    if host is None:
        return result
    bands, size = tuple(row["bandset"]), row["stamp_size"]
    inset = crop_start(host.size_pix, size)
    result |= {
        "host_x_pix": host.host_x_pix - inset,
        "host_y_pix": host.host_y_pix - inset,
        "stamp_x0_pix": host.x0_pix + inset,
        "stamp_y0_pix": host.y0_pix + inset,
    }
    result |= _psf_columns(host, bands, config)
    if not is_evaluated:
        return result
    result |= mask_metrics(host, bands, size)
    if not row["is_control"]:
        arc = arcs[row["physical_id"]]
        lensed = {band: arc.magnification * row[f"src_flux_{band}_nmgy"] for band in bands}
        result["magnification"] = arc.magnification
        result |= arc_metrics(arc.pixels, host, bands, size_pix=size, lensed_flux_nmgy=lensed)
    return result


_CUTOUT_LOSSES = LOSSES & ~(
    Flag.PSF_UNUSABLE_G | Flag.PSF_UNUSABLE_R | Flag.PSF_UNUSABLE_Z | Flag.NO_GOOD_PIXEL_G | Flag.NO_GOOD_PIXEL_R | Flag.NO_GOOD_PIXEL_Z
)


def _psf_columns(host: Host, bands: Sequence[str], config: InjectionConfig) -> dict[str, Any]:
    """Return what is recorded of the PSF of each band that has one."""
    columns: dict[str, Any] = {}
    for band in bands:
        if band in host.psf_fwhm_arcsec:
            columns[f"psf_fwhm_used_{band}_arcsec"] = host.psf_fwhm_arcsec[band]
            columns[f"psf_fwhm_model_{band}_arcsec"] = profile_fwhm_arcsec(host.psf_fwhm_arcsec[band], model=config.psf_model)
            columns[f"psf_source_{band}"] = host.psf_source[band]
    return columns


def _hosts_table(targets: Sequence[Row], hosts: Mapping[str, Host], config: InjectionConfig) -> pa.Table:
    """Return the stored hosts of a brick."""
    schema = hosts_schema(config.store_size_pix)
    kept = [hosts[target["host_id"]] for target in targets]
    columns: dict[str, Any] = {name: [target[name] for target in targets] for name in ("host_id", "brickname", "objid", "ra", "dec")}
    for name in ("size_pix", "x0_pix", "y0_pix", "host_x_pix", "host_y_pix"):
        columns[name] = [getattr(host, name) for host in kept]
    columns["maskbits_source"] = [host.bits.source if host.bits is not None else None for host in kept]
    columns["psf_model"] = [config.psf_model] * len(kept)
    psf_columns = [_psf_columns(host, config.bands, config) for host in kept]
    for band in BANDS:
        for name in (f"psf_fwhm_used_{band}_arcsec", f"psf_fwhm_model_{band}_arcsec", f"psf_source_{band}"):
            columns[name] = [found.get(name) for found in psf_columns]
        columns[f"image_{band}"] = _pixel_lists([host.image.get(band) for host in kept], config.store_size_pix, np.float32)
        columns[f"invvar_{band}"] = _pixel_lists([host.invvar.get(band) for host in kept], config.store_size_pix, np.float32)
    columns["maskbits"] = _pixel_lists([host.maskbits for host in kept], config.store_size_pix, np.int32)
    return conform(columns, schema, where="hosts")


def _arcs_table(arcs: Mapping[str, _Arc], config: InjectionConfig) -> pa.Table:
    """Return the stored arcs of a brick."""
    schema = arcs_schema(config.store_size_pix)
    columns: dict[str, Any] = {
        "physical_id": list(arcs),
        "host_id": [arc.host.host_id for arc in arcs.values()],
        "size_pix": [arc.host.size_pix for arc in arcs.values()],
        "lens_x_pix": [arc.host.host_x_pix for arc in arcs.values()],
        "lens_y_pix": [arc.host.host_y_pix for arc in arcs.values()],
        "magnification": [arc.magnification for arc in arcs.values()],
    }
    for band in BANDS:
        columns[f"arc_{band}"] = _pixel_lists([arc.pixels.get(band) for arc in arcs.values()], config.store_size_pix, np.float32)
    return conform(columns, schema, where="arcs")


def _pixel_lists(stamps: Sequence[NDArray[np.generic] | None], size_pix: int, dtype: type[np.generic]) -> pa.Array:
    """Return stamps as fixed-size lists; a stamp that is not there is NULL."""
    flat = np.zeros((len(stamps), size_pix * size_pix), dtype=dtype)
    for i, stamp in enumerate(stamps):
        if stamp is not None:
            flat[i] = stamp.reshape(-1)
    absent = pa.array([stamp is None for stamp in stamps], type=pa.bool_())
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1)), size_pix * size_pix, mask=absent)
