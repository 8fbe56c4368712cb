"""What the checks of injection count in the manifest and its results: one pass over the blocks, kept as numbers of broken rows."""

import heapq
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS, PSF_FWHM_MAX_ARCSEC, PSF_FWHM_MIN_ARCSEC
from halo_core.flags import LOSSES, Flag
from halo_core.records import RESULTS
from halo_core.seeds import hash_order
from halo_core.stages.summary_blocks import n_repeated
from halo_core.stages.validation import Raised, Tally

SAMPLE_SIZE = 24
"""Least number of evaluated injections that are looked at closely, and how many of them beside the survey."""

SAMPLE_SHARE = 0.01
"""Share of the evaluated injections that are looked at closely."""

TASK_COLUMNS = (
    *("task_id", "physical_id", "block", "brickname", "is_control", "bandset", "stamp_size"),
    *(f"src_flux_{band}_nmgy" for band in BANDS),
)
"""Columns of the manifest that the checks read; of the results they read all."""

RESULT_COLUMNS = tuple(RESULTS.names)

FLUX_TOLERANCE = 1e-6
"""Relative difference of a recorded flux from magnification x unlensed flux x share inside."""

INSIDE_MAX = 1.002
"""Largest share of an arc inside its stamp: 1 and the accuracy of the renderer."""

_SAMPLED_BELOW = f"{round(SAMPLE_SHARE * 16**12):012x}"
_FROM_TASKS = tuple(name for name in TASK_COLUMNS if name not in ("block", "brickname", "bandset"))

Mask = NDArray[np.bool_]
Both = dict[str, NDArray[Any]]


@dataclass
class InjectionCounts:
    """Manifest and results of injection in numbers.

    Attributes
    ----------
    n_tasks, n_results, n_distinct : int
        Rows of the manifest, rows of the results, and different ids among these.
    is_paired : bool
        Tasks and results of every block have the same ids.
    n_rows : int
        Rows that were looked at: pairs of a task and its result.
    n_planned, n_injections : int
        Injections, and evaluated ones, controls left out.
    n_broken : Counter of str
        Rows that break each law of ``ROW_LAWS``, by its name.
    n_magnifications, n_physical : int
        Different (injection, magnification) pairs, and physical injections with one. The views of an injection stand in one block.
    bricknames, bandsets : set of str
        Those of the manifest.
    sample : list of (str, int)
        Task and block of the injections that are looked at closely, in the order of their ids, which are hashes: the evaluated ones
        whose ids are in the first ``SAMPLE_SHARE`` of all ids, and the first ``SAMPLE_SIZE`` where these are fewer.
    raised : dict of str to Raised
        What laws of ``ROW_LAWS`` raised that could not run, by name.
    """

    n_tasks: int = 0
    n_results: int = 0
    n_distinct: int = 0
    is_paired: bool = True
    n_rows: int = 0
    n_planned: int = 0
    n_injections: int = 0
    n_broken: Counter[str] = field(default_factory=Counter)
    n_magnifications: int = 0
    n_physical: int = 0
    bricknames: set[str] = field(default_factory=set)
    bandsets: set[str] = field(default_factory=set)
    sample: list[tuple[str, int]] = field(default_factory=list)
    raised: dict[str, Raised] = field(default_factory=dict)


def count_injections(blocks: Iterable[tuple[pa.Table, pa.Table]]) -> InjectionCounts:
    """Return the counts of a campaign.

    Parameters
    ----------
    blocks : iterable of (Table, Table)
        Of each block ``TASK_COLUMNS`` of the manifest and ``records.RESULTS``; rows in any order.
    """
    counts, keys, sample, has_gain = InjectionCounts(), list[NDArray[np.uint64]](), _Sample(), False
    tally = Tally({name: partial(_n_broken, name) for name in ROW_LAWS})
    for tasks, results in blocks:
        keys.append(hash_order(results["task_id"].to_pylist()))
        both = _joined(counts, tasks, results)
        tally.add(both)
        sample.add(both)
        has_gain = has_gain or any(bool(np.isfinite(both[f"electrons_per_nmgy_{band}"]).any()) for band in BANDS)
        _add_views(counts, both)
    counts.n_broken.update({name: found[name] for name, found in tally.counts.items()})
    counts.raised, counts.sample = tally.raised, sample.chosen()
    if not has_gain:
        counts.n_broken[GAIN] = 0
    counts.n_distinct = counts.n_results - n_repeated(keys)
    return counts


def _joined(counts: InjectionCounts, tasks: pa.Table, results: pa.Table) -> Both:
    """Return the columns of a block's tasks and results, row by row of the same task, NULL numbers as NaN; count what the tables say."""
    right, left = tasks.sort_by("task_id"), results.sort_by("task_id")
    counts.n_tasks += right.num_rows
    counts.n_results += left.num_rows
    counts.is_paired = counts.is_paired and right["task_id"].equals(left["task_id"])
    counts.bricknames.update(right["brickname"].unique().to_pylist())
    counts.bandsets.update(right["bandset"].unique().to_pylist())
    n = min(right.num_rows, left.num_rows)
    both = {name: right[name].to_numpy()[:n] for name in _FROM_TASKS}
    both |= {f"has_{band}": pc.match_substring(right["bandset"], band).to_numpy()[:n] for band in BANDS}
    both |= {name: left[name].to_numpy()[:n] for name in left.column_names if name not in ("task_id", "block")}
    both["block"] = right["block"].to_numpy()[:n]
    both["is_injected"] = both["metrics_ok"] & ~both["is_control"]
    counts.n_rows += n
    counts.n_planned += int(np.count_nonzero(~both["is_control"]))
    counts.n_injections += int(np.count_nonzero(both["is_injected"]))
    return both


def _n_broken(name: str, both: Both) -> Counter[str]:
    """Return how many rows break a law."""
    return Counter({name: int(np.count_nonzero(ROW_LAWS[name][0](both)))})


class _Sample:
    """The injections that are looked at closely, as far as the blocks were seen; their order does not matter."""

    def __init__(self) -> None:
        self._first: list[tuple[str, int]] = []
        self._below: list[tuple[str, int]] = []

    def add(self, both: Both) -> None:
        """Look through the evaluated injections of a block."""
        rows = both["is_injected"]
        found = list(zip(both["task_id"][rows].tolist(), both["block"][rows].tolist(), strict=True))
        self._below += [one for one in found if one[0] < _SAMPLED_BELOW]
        self._first = heapq.nsmallest(SAMPLE_SIZE, [*self._first, *heapq.nsmallest(SAMPLE_SIZE, found)])

    def chosen(self) -> list[tuple[str, int]]:
        """Return task and block of those that are looked at."""
        return sorted(self._below) if len(self._below) > SAMPLE_SIZE else self._first


def _add_views(counts: InjectionCounts, both: Both) -> None:
    """Count injections, and their magnifications."""
    known = np.isfinite(both["magnification"])
    pairs = set(zip(both["physical_id"][known].tolist(), both["magnification"][known].tolist(), strict=True))
    counts.n_magnifications += len(pairs)
    counts.n_physical += len({physical_id for physical_id, _ in pairs})


def _every_loss_has_a_reason(both: Both) -> Mask:
    """A row that is not evaluated has a loss bit."""
    return np.asarray(~both["metrics_ok"] & ((both["flags"] & LOSSES.value) == 0))


def _flags_agree_with_words(both: Both) -> Mask:
    """Evaluated means no loss bit, and the stamp is there."""
    return np.asarray(both["metrics_ok"] & (((both["flags"] & LOSSES.value) != 0) | ~both["cutout_ok"]))


def _metrics_are_measured(both: Both) -> Mask:
    """No metric of an evaluated injection is NULL or NaN in a band of its bandset."""
    bad, injected = _none(both), both["is_injected"]
    stems = [f"{stem}_{{}}" for stem in ("snr_matched", "snr_peak_pixel", "snr_aperture", "flux_frac_inside", "flux_frac_good")]
    stems.append("total_injected_flux_{}_nmgy")
    for band in BANDS:
        for stem in stems:
            bad |= injected & both[f"has_{band}"] & ~np.isfinite(both[stem.format(band)])
        bad |= both["metrics_ok"] & both[f"has_{band}"] & ~np.isfinite(both[f"psf_fwhm_used_{band}_arcsec"])
    for name in ("magnification", "snr_matched_all"):
        bad |= injected & ~np.isfinite(both[name])
    for name in ("bad_pixel_frac", "wise_brightmask_frac"):
        bad |= both["metrics_ok"] & ~np.isfinite(both[name])
    return bad


def _gain_is_recorded(both: Both) -> Mask:
    """With shot noise every evaluated injection has its gain in each of its bands; where none has in the whole campaign, none is broken."""
    bad = _none(both)
    for band in BANDS:
        bad |= np.isfinite(both[f"electrons_per_nmgy_{band}"]) != (both[f"has_{band}"] & both["is_injected"])
    return bad


def _controls_have_no_lens_metrics(both: Both) -> Mask:
    """Lens metrics of controls are NULL and the control bit is set."""
    has_bit = (both["flags"] & Flag.CONTROL.value) != 0
    is_lens = np.isfinite(both["magnification"]) | np.isfinite(both["snr_matched_r"])
    return np.asarray((both["is_control"] != has_bit) | (both["is_control"] & is_lens))


def _magnification_is_no_loss(both: Both) -> Mask:
    """An isothermal ellipsoid never dims."""
    return np.asarray(both["magnification"] < 1.0)


def _flux_is_magnification_times_unlensed(both: Both) -> Mask:
    """Flux in the stamp = magnification x unlensed flux x share inside, and the share is one."""
    bad = _none(both)
    for band in BANDS:
        inside = both[f"flux_frac_inside_{band}"]
        product = both["magnification"] * both[f"src_flux_{band}_nmgy"] * inside
        total = both[f"total_injected_flux_{band}_nmgy"]
        known = np.isfinite(total)
        bad |= known & (~np.isclose(product, total, rtol=FLUX_TOLERANCE, atol=0.0) | (inside <= 0.0) | (inside > INSIDE_MAX))
    return bad


def _psf_in_range(both: Both) -> Mask:
    """No PSF size that was used lies outside the believable range; 0 is never used."""
    bad = _none(both)
    for band in BANDS:
        used = both[f"psf_fwhm_used_{band}_arcsec"]
        bad |= np.isfinite(used) & ((used < PSF_FWHM_MIN_ARCSEC) | (used > PSF_FWHM_MAX_ARCSEC))
    return bad


def _hosts_in_the_middle(both: Both) -> Mask:
    """A stamp starts at floor(position + 0.5) - N // 2, whatever larger stamp it is cropped from."""
    bad = _none(both)
    for name in ("host_x_pix", "host_y_pix"):
        bad |= np.isfinite(both[name]) & (np.floor(both[name] + 0.5) != both["stamp_size"] // 2)
    return bad


def _none(both: Both) -> Mask:
    """Return a mask that holds for no row."""
    return np.zeros(both["flags"].shape, dtype=np.bool_)


GAIN = "gain_is_recorded"
ROW_LAWS: dict[str, tuple[Callable[[Both], Mask], str]] = {
    "losses_have_reasons": (_every_loss_has_a_reason, "Rows not evaluated without a loss flag."),
    "evaluated_means_no_loss": (_flags_agree_with_words, "Evaluated rows with a loss flag or without a stamp."),
    "evaluated_is_measured": (_metrics_are_measured, "Evaluated rows with a metric that is NULL or not finite."),
    GAIN: (_gain_is_recorded, "Rows with a gain and no noise, or without one in a campaign that draws shot noise."),
    "controls_are_bare": (_controls_have_no_lens_metrics, "Controls with a lens metric, or rows whose CONTROL bit is wrong."),
    "magnification_at_least_one": (_magnification_is_no_loss, "Rows with a magnification below 1."),
    "flux_is_accounted": (
        _flux_is_magnification_times_unlensed,
        "Rows whose flux is not magnification times unlensed flux times a share within (0, 1].",
    ),
    "psf_in_range": (_psf_in_range, f"Rows with a PSF size outside {PSF_FWHM_MIN_ARCSEC}-{PSF_FWHM_MAX_ARCSEC} arcsec."),
    "hosts_in_the_middle": (_hosts_in_the_middle, "Stamps that are not cut around their host."),
}
"""By name of the finding: what is broken in which rows, and its sentence."""
