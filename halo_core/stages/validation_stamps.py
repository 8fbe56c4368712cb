"""Checks of a sample of stored stamps: the laws a referee would ask for, each a number that must not exceed a limit.

All of the sample is held against itself and against its arcs painted anew; some of it against references of their own: the survey's file
for the host's pixels, the file's whole WCS for its place, uniform supersampled ray-shooting for magnification and centroid.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import PIXEL_SCALE_ARCSEC
from halo_core.lensing import RenderedArc, ray_shoot, sersic_surface_brightness
from halo_core.records import Finding
from halo_core.stages.injection import lens_and_source
from halo_core.stages.validation import Raised, attempt, expect
from halo_core.stages.validation_convergence import convergence_excess, tolerances
from halo_core.stages.validation_injection_counts import SAMPLE_SIZE, InjectionCounts
from halo_core.stamps import Stamp
from halo_core.survey.bricks import brick_by_name, brick_wcs
from halo_core.survey.projection import sky_to_pixel

STAGE = "injection"
POSITION_TOLERANCE_PIX = 0.02
THEORY_TOLERANCE = 0.01
RECORD_TOLERANCE = 1e-6
"""Relative difference of a stored arc's flux from the recorded one: rounding of float32 alone."""

_FRAME_PIX = 65
_STEPS_PER_REFF = 8
_REACH_THETA_E = 2.5
_REACH_REFF = 8.0
_ROWS_AT_ONCE = 256
_INSIDE = 0.999


@dataclass(frozen=True)
class SurveyView:
    """What the survey's own file says of a stamp.

    Attributes
    ----------
    x_pix, y_pix : float
        Host in the file by astropy's full WCS, 0-based [pix].
    pixels : ndarray, shape (n_bands, size, size)
        The same stamp read from the survey's planes.
    """

    x_pix: float
    y_pix: float
    pixels: NDArray[np.float32]


@dataclass(frozen=True)
class SampledStamp:
    """One evaluated injection looked at closely.

    Attributes
    ----------
    stamp : Stamp
        What the reader gives.
    result : mapping
        The result row.
    converged : RenderedArc
        The arc at twice the effort, by `validation_convergence.render_at_double_effort`.
    unlit : ndarray, shape (n_bands, size, size)
        The injected image with a source without flux, by `validation_convergence.paint_without_light`.
    survey : SurveyView or None
        For those that are held against the survey.
    """

    stamp: Stamp
    result: dict[str, Any]
    converged: RenderedArc
    unlit: NDArray[np.float32]
    survey: SurveyView | None = None

    @cached_property
    def theory(self) -> tuple[float, NDArray[np.float64]]:
        """Magnification and centroid by ray-shooting."""
        return theory(self.stamp.truth)


@dataclass(frozen=True)
class StampLaw:
    """A law of every sampled stamp: a number that is 0 where all is exact, and the most it may be."""

    name: str
    sentence: str
    limit: float
    measure: Callable[[SampledStamp], float]


@dataclass(frozen=True)
class SurveyLaw:
    """A law of the stamps that are held against the survey."""

    name: str
    sentence: str
    limit: float
    measure: Callable[[SampledStamp, SurveyView], float]


class _Worst:
    """The largest value of each law, and the task that has it; a law that raised is not tried again."""

    def __init__(self, laws: Sequence[StampLaw | SurveyLaw]) -> None:
        self.raised: dict[str, Raised] = {}
        self._values = {law.name: 0.0 for law in laws}
        self._tasks = {law.name: "" for law in laws}
        self._n_over = {law.name: 0 for law in laws}

    def add(self, law: StampLaw | SurveyLaw, task_id: str, value: float | Raised) -> None:
        """Note what a stamp gave; NaN is over every limit."""
        if isinstance(value, Raised):
            self.raised[law.name] = value
            return
        worst = self._values[law.name]
        self._n_over[law.name] += not value <= law.limit
        if value > worst or (np.isnan(value) and not np.isnan(worst)):
            self._values[law.name], self._tasks[law.name] = value, task_id

    def finding(self, law: StampLaw | SurveyLaw, n_stamps: int) -> Finding:
        """Return what a law says of all stamps; none is a matter for `sample_is_whole`."""
        if law.name in self.raised:
            return self.raised[law.name].finding(STAGE, law.name, law.sentence)
        n_over, observed = self._n_over[law.name], f"{self._values[law.name]:.3g}"
        observed += f" for task {self._tasks[law.name]}, {n_over} above the limit" if n_over else ""
        expected = f"at most {law.limit:g}, {n_stamps} stamps"
        return expect(STAGE, law.name, is_ok=not n_over, observed=observed, expected=expected, sentence=law.sentence)


def check_stamps(counts: InjectionCounts, sample: Iterable[SampledStamp]) -> list[Finding]:
    """Return the findings of the stored stamps.

    Parameters
    ----------
    counts : InjectionCounts
        Of the whole campaign.
    sample : iterable of SampledStamp
        The injections that ``counts.sample`` names, in any order; gone through once, no stamp is kept. The first ``SAMPLE_SIZE`` of
        ``counts.sample`` beside the survey.
    """
    worst, n_stamps, n_beside = _Worst((*STAMP_LAWS, *SURVEY_LAWS)), 0, 0
    for item in sample:
        n_stamps += 1
        for law in STAMP_LAWS:
            if law.name not in worst.raised:
                worst.add(law, item.stamp.truth["task_id"], attempt(law.measure, item))
        if item.survey is not None:
            n_beside += 1
            for beside in SURVEY_LAWS:
                if beside.name not in worst.raised:
                    worst.add(beside, item.stamp.truth["task_id"], attempt(beside.measure, item, item.survey))
    n_close = min(SAMPLE_SIZE, counts.n_injections)
    return [
        expect(
            STAGE,
            "sample_is_whole",
            is_ok=n_stamps == len(counts.sample) >= n_close == n_beside,
            observed=f"{n_stamps} looked at, {n_beside} of them beside the survey",
            expected=f"{len(counts.sample)} of {counts.n_injections} evaluated injections, {n_close}",
            sentence="Every injection of the sample was looked at.",
        ),
        *(worst.finding(beside, n_beside) for beside in SURVEY_LAWS),
        *(worst.finding(law, n_stamps) for law in STAMP_LAWS),
    ]


def _host_difference(item: SampledStamp, survey: SurveyView) -> float:
    """Return the largest difference of the stored host from the survey."""
    return _difference(item.stamp.host, survey.pixels)


def _sum_difference(item: SampledStamp) -> float:
    """Return the largest difference of injected from host + arc + noise."""
    return _difference(item.stamp.injected, item.stamp.host + item.stamp.arc + item.stamp.noise)


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the largest difference of two images; pixels that are NaN in both, as the survey may have them without weight, are equal."""
    return float(np.max(np.where(np.isnan(one) & np.isnan(other), 0.0, np.abs(one - other))))


def _position_error(item: SampledStamp, survey: SurveyView) -> float:
    """Return the distance of the recorded lens position from the host's place by the full WCS [pix]."""
    x, y = _place_in_file(item)
    return float(np.hypot(x - survey.x_pix, y - survey.y_pix))


def _place_in_file(item: SampledStamp) -> tuple[float, float]:
    """Return the recorded position of the lens in the survey's file [pix]."""
    result = item.result
    return result["stamp_x0_pix"] + result["host_x_pix"], result["stamp_y0_pix"] + result["host_y_pix"]


def _centroid_error(item: SampledStamp, survey: SurveyView) -> float:
    """Return the distance of the stored arc's centroid from theory's, placed on the sky position [pix].

    A symmetric PSF moves no centroid; light outside the stamp would, so only stamps that hold 99.9 % of it are compared.
    """
    if item.result["flux_frac_inside_r"] < _INSIDE:
        return 0.0
    host = np.array([survey.x_pix - item.result["stamp_x0_pix"], survey.y_pix - item.result["stamp_y0_pix"]])
    found = _centroid(item.stamp.arc[item.stamp.bands.index("r")])
    return float(np.hypot(*(found - host - item.theory[1] / PIXEL_SCALE_ARCSEC)))


def _centroid(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the centroid of an image's light, (x, y) [pix]."""
    light = image.astype(np.float64)
    rows, columns = np.indices(light.shape)
    return np.asarray(np.array([(columns * light).sum(), (rows * light).sum()]) / light.sum())


def _sky_error(item: SampledStamp) -> float:
    """Return the distance of the stored arc's centroid from that of the converged arc, placed on the host's sky position [pix].

    Coadds project about the middle of their brick, whose place follows from its name; a file may hold any piece of the brick, so that the
    position is known but for whole pixels. Those are held against the file's own WCS by `lens_on_the_host`.
    """
    truth = item.stamp.truth
    brick = brick_by_name([truth["brickname"]])
    sky = np.array(sky_to_pixel(brick_wcs(float(brick.ra[0]), float(brick.dec[0])), truth["ra"], truth["dec"]))
    recorded = np.array(_place_in_file(item)) - sky
    shifts = [_centroid(stored) - _centroid(made) for stored, made in zip(item.stamp.arc, item.converged.image, strict=True)]
    return float(np.max(np.hypot(*(np.array(shifts) + recorded - np.rint(recorded)).T)))


def _flux_error(item: SampledStamp) -> float:
    """Return the largest relative difference, over the bands, of the stored arc's sum from the recorded flux, and of that from its product.

    The product is magnification times unlensed flux times the share inside.
    """
    errors = []
    for band, arc in zip(item.stamp.bands, item.stamp.arc, strict=True):
        recorded = item.result[f"total_injected_flux_{band}_nmgy"]
        lensed = item.result["magnification"] * item.stamp.truth[f"src_flux_{band}_nmgy"]
        errors += [arc.sum(dtype=np.float64) / recorded - 1.0, lensed * item.result[f"flux_frac_inside_{band}"] / recorded - 1.0]
    return float(np.max(np.abs(errors)))


def _converged_magnification_excess(item: SampledStamp) -> float:
    """Return the relative difference of the recorded magnification from that at twice the effort, over the accuracy promised."""
    return float(abs(item.result["magnification"] / item.converged.magnification - 1.0) / tolerances(item.stamp)[0])


def _n_unfinished(item: SampledStamp) -> float:
    """Return how many pixels of arc, noise or weight are not finite, or of the injected image where it has weight."""
    stamp = item.stamp
    bad = [~np.isfinite(stamp.arc), ~np.isfinite(stamp.noise), ~np.isfinite(stamp.invvar), stamp.invvar < 0.0]
    return float(sum(map(np.count_nonzero, bad)) + np.count_nonzero(~np.isfinite(stamp.injected) & (stamp.invvar > 0.0)))


def _n_lit(item: SampledStamp) -> float:
    """Return how many pixels differ from the host where the source has no flux; -0 is 0."""
    host = item.stamp.host
    return float(np.count_nonzero((item.unlit != host) & ~(np.isnan(item.unlit) & np.isnan(host))))


STAMP_LAWS: tuple[StampLaw, ...] = (
    StampLaw("injected_is_host_plus_arc", "Largest difference of injected from host + arc + noise [nmgy].", 0.0, _sum_difference),
    StampLaw("zero_flux_is_the_host", "Pixels of a host that a source without flux changes.", 0.0, _n_lit),
    StampLaw("pixels_are_finite", "Pixels of a stamp that have weight and are NaN, or a weight or an arc that is.", 0.0, _n_unfinished),
    StampLaw(
        "renders_converged",
        "Largest error of a stored arc against twice the effort, over the accuracy promised (flux 1e-3, residual 5e-3 of the peak; "
        "1e-2 and 2e-2 for n_sersic > 1).",
        1.0,
        lambda item: convergence_excess(item.stamp, item.converged.image),
    ),
    StampLaw(
        "magnification_converged",
        "Largest error of a magnification against twice the effort, over the accuracy promised (1e-3; 1e-2 for n_sersic > 1).",
        1.0,
        _converged_magnification_excess,
    ),
    StampLaw(
        "flux_is_stored",
        "Largest relative difference of an arc's pixels from the recorded flux, or of that from magnification x flux x share inside.",
        RECORD_TOLERANCE,
        _flux_error,
    ),
    StampLaw(
        "arc_on_the_sky",
        "Largest distance of an arc's centroid from the same arc at twice the effort on the host's sky position [pix].",
        POSITION_TOLERANCE_PIX,
        _sky_error,
    ),
)
"""The laws of every sampled stamp."""

SURVEY_LAWS: tuple[SurveyLaw, ...] = (
    SurveyLaw("host_is_the_survey", "Largest difference of a stored host from the survey's pixels [nmgy].", 0.0, _host_difference),
    SurveyLaw("lens_on_the_host", "Largest distance of a lens from its host on the sky [pix].", POSITION_TOLERANCE_PIX, _position_error),
    SurveyLaw(
        "arc_where_theory_says", "Largest distance of an arc's centroid from ray-shooting [pix].", POSITION_TOLERANCE_PIX, _centroid_error
    ),
    SurveyLaw(
        "magnification_of_theory",
        "Largest relative difference of a magnification from ray-shooting.",
        THEORY_TOLERANCE,
        lambda item, _: abs(float(item.result["magnification"]) / item.theory[0] - 1.0),
    ),
)
"""The laws of those that are held against the survey and against ray-shooting."""


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
