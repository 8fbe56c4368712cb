"""Checks of cache and injection: accounting, ranges, and on a sample of stored stamps the laws a referee would ask for.

The sample is held against independent references: astropy's full WCS for positions, uniform supersampled ray-shooting for
magnification and centroid, the renderer at twice the effort for its pixels, the survey's own file for those of the host.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS, PIXEL_SCALE_ARCSEC
from halo_core.lensing import ray_shoot, sersic_surface_brightness
from halo_core.records import Finding
from halo_core.stages.injection import lens_and_source
from halo_core.stages.validation import advise, expect
from halo_core.stages.validation_convergence import convergence_excess
from halo_core.stages.validation_injection_counts import ROW_LAWS, SAMPLE_SIZE, InjectionCounts
from halo_core.stamps import Stamp
from halo_core.survey.layout import planes_for

STAGE = "injection"
POSITION_TOLERANCE_PIX = 0.02
THEORY_TOLERANCE = 0.01
_FRAME_PIX = 65
_STEPS_PER_REFF = 8
_REACH_THETA_E = 2.5
_REACH_REFF = 8.0
_ROWS_AT_ONCE = 256


@dataclass(frozen=True)
class SampledStamp:
    """One evaluated injection looked at closely.

    Attributes
    ----------
    stamp : Stamp
        What the reader gives.
    result : mapping
        The result row.
    sky_x_pix, sky_y_pix : float
        Host in the file by astropy's full WCS, 0-based [pix].
    survey_pixels : ndarray, shape (n_bands, size, size)
        The same stamp read from the survey's planes.
    converged_arc : ndarray, shape (n_bands, size, size)
        The arc at twice the effort, by `validation_convergence.render_at_double_effort`.
    """

    stamp: Stamp
    result: dict[str, Any]
    sky_x_pix: float
    sky_y_pix: float
    survey_pixels: NDArray[np.float32]
    converged_arc: NDArray[np.float64]


def check_injection(counts: InjectionCounts, planes: pa.Table, sample: Sequence[SampledStamp]) -> list[Finding]:
    """Return the findings of cache and injection.

    Parameters
    ----------
    counts : InjectionCounts
        Of the whole campaign.
    planes : Table
        `records.PLANES` of the whole campaign.
    sample : sequence of SampledStamp
        The injections that ``counts.sample`` names.
    """
    if counts.n_tasks == 0 or counts.n_results == 0:
        return [_rows_equal(counts)]
    findings = [_rows_equal(counts), *_row_checks(counts), _views_share_their_magnification(counts), _something_was_evaluated(counts)]
    findings += _plane_checks(planes, counts)
    return findings + _sample_checks(sample, n_injections=counts.n_injections)


def _rows_equal(counts: InjectionCounts) -> Finding:
    """Every manifest row has exactly one result row."""
    return expect(
        STAGE,
        "results_are_the_manifest",
        is_ok=counts.n_tasks > 0 and counts.is_paired and counts.n_distinct == counts.n_results,
        observed=f"{counts.n_results} results, {counts.n_distinct} distinct",
        expected=f"{counts.n_tasks} tasks, each once",
        sentence="Every manifest row ends as exactly one result row.",
    )


def _row_checks(counts: InjectionCounts) -> Iterator[Finding]:
    """Yield the finding of each law that must hold for every row."""
    for name, (_, sentence) in ROW_LAWS.items():
        n_broken = counts.n_broken[name]
        observed = f"{n_broken} of {counts.n_rows} rows"
        yield expect(STAGE, name, is_ok=n_broken == 0, observed=observed, expected="0 rows", sentence=sentence)


def _views_share_their_magnification(counts: InjectionCounts) -> Finding:
    """Every view of one physical injection has the same magnification."""
    return expect(
        STAGE,
        "views_are_one_injection",
        is_ok=counts.n_magnifications == counts.n_physical,
        observed=f"{counts.n_magnifications} magnifications",
        expected=f"{counts.n_physical} physical injections",
        sentence="Views of one physical injection share its magnification.",
    )


def _something_was_evaluated(counts: InjectionCounts) -> Finding:
    """At least one injection was evaluated."""
    n = counts.n_injections
    return expect(
        STAGE, "coverage", is_ok=n > 0, observed=f"{n} injections", expected="at least 1", sentence="Injections that were evaluated."
    )


def _plane_checks(planes: pa.Table, counts: InjectionCounts) -> list[Finding]:
    """Every plane asked for has one row, every loss its reason."""
    bands = [band for band in BANDS if any(band in bandset for bandset in counts.bandsets)]
    bricknames = pa.array(sorted(counts.bricknames), type=pa.string())
    n_asked = len(bricknames) * len(planes_for(tuple(bands)))
    n_distinct = planes.group_by(["brickname", "plane"]).aggregate([]).num_rows
    is_known = pc.all(pc.is_in(planes["brickname"], value_set=bricknames), min_count=0).as_py()
    is_ok = pc.equal(planes["status"], "ok")
    has_bytes = pc.greater(pc.utf8_length(pc.fill_null(planes["sha256"], "")), 0)
    unexplained = pc.or_(pc.equal(is_ok, pc.is_valid(planes["reason"])), pc.and_not(is_ok, has_bytes))
    n_unexplained, n_lost = (int(pc.sum(column, min_count=0).as_py()) for column in (unexplained, pc.invert(is_ok)))
    return [
        expect(
            STAGE,
            "planes_are_counted",
            is_ok=n_asked == n_distinct == planes.num_rows and is_known and n_asked > 0,
            observed=f"{planes.num_rows} rows, {n_distinct} planes",
            expected=f"{n_asked} planes, one row each",
            sentence="Every plane of every brick of the manifest has one row, losses included.",
        ),
        expect(
            STAGE,
            "lost_planes_have_reasons",
            is_ok=n_unexplained == 0,
            observed=f"{n_unexplained} of {planes.num_rows} rows",
            expected="0 rows",
            sentence="Planes without sha256, or lost without a reason.",
        ),
        advise(
            STAGE,
            "planes_are_there",
            is_ok=n_lost == 0,
            observed=f"{n_lost} of {planes.num_rows} planes lost",
            expected="0 lost",
            sentence="Planes that the survey lacks or that failed verification; their tasks are not evaluated.",
        ),
    ]


def _sample_checks(sample: Sequence[SampledStamp], *, n_injections: int) -> list[Finding]:
    """Return the laws of the stored stamps."""
    enough = min(SAMPLE_SIZE, n_injections)
    theories = [theory(item.stamp.truth) for item in sample]
    centroid = _worst([_centroid_error(item, found[1]) for item, found in zip(sample, theories, strict=True)])
    magnification = _worst([_magnification_error(item, found[0]) for item, found in zip(sample, theories, strict=True)])
    checks = [
        ("sample_is_whole", float(enough - len(sample)), 0.0, "Evaluated injections that were to be looked at and were not."),
        (
            "host_is_the_survey",
            _worst([_host_difference(item) for item in sample]),
            0.0,
            "Largest difference of a stored host from the survey's pixels [nmgy].",
        ),
        (
            "injected_is_host_plus_arc",
            _worst([_sum_difference(item) for item in sample]),
            0.0,
            "Largest difference of injected from host + arc + noise [nmgy].",
        ),
        (
            "lens_on_the_host",
            _worst([_position_error(item) for item in sample]),
            POSITION_TOLERANCE_PIX,
            "Largest distance of a lens from its host on the sky [pix].",
        ),
        ("arc_where_theory_says", centroid, POSITION_TOLERANCE_PIX, "Largest distance of an arc's centroid from ray-shooting [pix]."),
        (
            "renders_converged",
            _worst([convergence_excess(item.stamp, item.converged_arc) for item in sample]),
            1.0,
            "Largest error of a stored arc against twice the effort, over the accuracy promised (flux 1e-3, residual 5e-3 of the peak; "
            "1e-2 and 2e-2 for n_sersic > 1).",
        ),
        ("magnification_of_theory", magnification, THEORY_TOLERANCE, "Largest relative difference of a magnification from ray-shooting."),
    ]
    return [
        expect(
            STAGE,
            name,
            is_ok=worst <= limit,
            observed=f"{worst:.3g}",
            expected=f"at most {limit:g}, {len(sample)} stamps",
            sentence=sentence,
        )
        for name, worst, limit, sentence in checks
    ]


def _worst(measured: Sequence[float]) -> float:
    """Return the largest value, NaN where one is NaN, which no limit allows; 0 for an empty sample, which `sample_is_whole` judges."""
    return float(np.max(measured, initial=0.0))


def _host_difference(item: SampledStamp) -> float:
    """Return the largest difference of the stored host from the survey."""
    return _difference(item.stamp.host, item.survey_pixels)


def _sum_difference(item: SampledStamp) -> float:
    """Return the largest difference of injected from host + arc + noise."""
    return _difference(item.stamp.injected, item.stamp.host + item.stamp.arc + item.stamp.noise)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the largest difference of two images; pixels that are NaN in both, as the survey may have them without weight, are equal."""
    return float(np.max(np.where(np.isnan(one) & np.isnan(other), 0.0, np.abs(one - other))))


def _position_error(item: SampledStamp) -> float:
    """Return the distance of the recorded lens position from the host's place by the full WCS [pix]."""
    x = item.result["stamp_x0_pix"] + item.result["host_x_pix"]
    y = item.result["stamp_y0_pix"] + item.result["host_y_pix"]
    return float(np.hypot(x - item.sky_x_pix, y - item.sky_y_pix))


def _centroid_error(item: SampledStamp, offset_arcsec: NDArray[np.float64]) -> float:
    """Return the distance of the stored arc's centroid from theory's, placed on the sky position [pix].

    A symmetric PSF moves no centroid; light outside the stamp would, so only stamps that hold 99.9 % of it are compared.
    """
    if item.result["flux_frac_inside_r"] < 0.999:
        return 0.0
    arc = item.stamp.arc[item.stamp.bands.index("r")].astype(np.float64)
    rows, columns = np.indices(arc.shape)
    found = np.array([(columns * arc).sum(), (rows * arc).sum()]) / arc.sum()
    host = np.array([item.sky_x_pix - item.result["stamp_x0_pix"], item.sky_y_pix - item.result["stamp_y0_pix"]])
    return float(np.hypot(*(found - host - offset_arcsec / PIXEL_SCALE_ARCSEC)))


def _magnification_error(item: SampledStamp, magnification: float) -> float:
    """Return the relative difference of the recorded magnification from theory's."""
    return abs(float(item.result["magnification"]) / magnification - 1.0)


def theory(row: Mapping[str, Any]) -> tuple[float, NDArray[np.float64]]:
    """Return magnification and centroid of a manifest row by uniform ray-shooting.

    Parameters
    ----------
    row : mapping
        A row of `records.MANIFEST` that is no control.

    Returns
    -------
    magnification : float
        Lensed over unlensed flux; converged to 1e-3 for n_sersic <= 1.
    centroid_arcsec : ndarray, shape (2,)
        Centroid of the lensed light from the lens, (x, y) [arcsec].
    """
    middle = (_FRAME_PIX - 1) / 2
    lens, source = lens_and_source(row, middle, middle, size_pix=_FRAME_PIX, bands=("r",))
    step = source.reff_arcsec / _STEPS_PER_REFF
    reach = (_REACH_THETA_E * lens.theta_e_arcsec + _REACH_REFF * source.reff_arcsec) / (1.0 - row["shear"])
    axis = (np.arange(-ceil(reach / step), ceil(reach / step)) + 0.5) * step
    flux, moment = 0.0, np.zeros(2)
    for rows in np.array_split(axis, 1 + axis.size // _ROWS_AT_ONCE):
        x, y = np.meshgrid(axis, rows)
        light = sersic_surface_brightness(*ray_shoot(x, y, lens=lens), source=source, flux_nmgy=1.0)
        flux += float(light.sum())
        moment += [float((light * x).sum()), float((light * y).sum())]
    return flux * step**2, moment / flux
