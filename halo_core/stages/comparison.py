"""Two campaigns side by side: their cells, and the same injections judged twice where physical ids match.

A physical id names host, tier, parameters, priors and sampling seed, not grid, digest, block or stamp size: campaigns that differ in what
is measured or asked of an injection share ids. Tasks pair by physical id, stamp size and bandset. Every number is over all regions:
selection sets overlap and are never summed.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.records import RESULTS
from halo_core.seeds import hash_order
from halo_core.stages.criteria import RESOLUTION, Criterion, meets
from halo_core.stages.summary_rows import SUBSETS, evaluated, require_measured, result_rows
from halo_core.statistics.intervals import LEVEL_95
from halo_core.statistics.pairs import PairedDifference, paired_difference, unpaired_difference
from halo_core.survey.regions import region_of

PAIR_KEYS = ("tier", "stamp_size", "bandset")
"""What tells views of one injection apart, and the tier, which its id holds."""

TASK_COLUMNS = ("task_id", "physical_id", *PAIR_KEYS, "ra", "dec", "theta_e_arcsec", "is_control")

COMPARED_AXES = ("", "theta_e_arcsec", "resolution_bin")
"""Tables of cells that are set side by side."""

_CELL_KEYS = (*PAIR_KEYS, "criterion", "subset", "theta_e_arcsec", "bin_lower", "bin_upper")
_MASKS = ("bad_pixel_frac", "wise_brightmask_frac")
_VALUES = {"": ("completeness", "lower_95", "upper_95"), "weighted_": ("completeness_weighted", "weighted_lower_95", "weighted_upper_95")}

_ARRAYS = ("key", "sky_cell", "is_evaluated", "is_clean")

Key = tuple[str, int, str]


@dataclass(frozen=True)
class Asked:
    """What a campaign asks of an injection: its criteria, and the largest masked fractions of its clean subset."""

    criteria: tuple[Criterion, ...]
    clean_max_bad_pixel_frac: float
    clean_max_wise_frac: float


@dataclass(frozen=True)
class Outcomes:
    """Injections of one tier and view; every array has shape (n,), sorted by ``key``, the 64-bit hash of the physical id."""

    key: NDArray[np.uint64]
    sky_cell: NDArray[np.int32]
    is_evaluated: NDArray[np.bool_]
    is_clean: NDArray[np.bool_]
    recovered: Mapping[str, NDArray[np.bool_]]

    def take(self, rows: NDArray[np.int64]) -> "Outcomes":
        """Return some of the rows."""
        arrays: dict[str, Any] = {name: getattr(self, name)[rows] for name in _ARRAYS}
        return Outcomes(**arrays, recovered={name: values[rows] for name, values in self.recovered.items()})

    @classmethod
    def join(cls, parts: Sequence["Outcomes"]) -> "Outcomes":
        """Return the rows of several parts, sorted by key."""
        arrays: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _ARRAYS}
        recovered = {name: np.concatenate([part.recovered[name] for part in parts]) for name in parts[0].recovered}
        return cls(**arrays, recovered=recovered).take(np.argsort(arrays["key"], kind="stable"))


@dataclass(frozen=True)
class PairedRow:
    """One tier, view, criterion and subset: the same injections in both campaigns."""

    key: Key
    criterion: str
    subset: str
    n_matched: int
    n_unmatched: tuple[int, int]
    """Injections whose id the other campaign lacks, of A and of B."""
    n_evaluated_alone: tuple[int, int]
    """Matched injections that were evaluated in A alone, and in B alone."""
    difference: PairedDifference


def pairable(criteria: Iterable[Criterion]) -> tuple[Criterion, ...]:
    """Return the criteria that can be asked of stored results alone; a detector's scores stand elsewhere."""
    known = {*RESULTS.names, RESOLUTION}
    return tuple(criterion for criterion in criteria if known.issuperset(criterion.metrics))


def outcome_columns(criteria: Sequence[Criterion]) -> tuple[str, ...]:
    """Return the columns of the results that `outcomes` reads."""
    metrics = (metric for criterion in criteria for metric in criterion.metrics if metric != RESOLUTION)
    return tuple(dict.fromkeys(("task_id", "cutout_ok", "metrics_ok", "flags", *_MASKS, "psf_fwhm_used_r_arcsec", *metrics)))


def outcomes(blocks: Iterable[tuple[pa.Table, pa.Table]], asked: Asked, *, cluster_nside: int) -> dict[Key, Outcomes]:
    """Return what became of every injection, by tier, stamp size and bandset: some 20 bytes each.

    Parameters
    ----------
    blocks : iterable of (Table, Table)
        Manifest and results of each block, row by row of the same task: ``TASK_COLUMNS`` and ``outcome_columns``.
    asked : Asked
        By the campaign; criteria on scores are left out.
    cluster_nside : int
        HEALPix resolution of the sky cells, one for both campaigns.

    Raises
    ------
    AccountingError
        Tasks and results do not pair, or a result contradicts itself.
    """
    found: dict[Key, list[Outcomes]] = {}
    for tasks, results in blocks:
        is_injection = pc.invert(tasks["is_control"])
        tasks, results = tasks.filter(is_injection), results.take(pa.array(result_rows(tasks, results))).filter(is_injection)
        made = _outcomes(tasks, results, asked, cluster_nside)
        codes = [tasks[name].combine_chunks().dictionary_encode() for name in PAIR_KEYS]
        kinds, kind = np.unique(np.stack([code.indices.to_numpy() for code in codes]), axis=1, return_inverse=True)
        for number, place in enumerate(kinds.T.tolist()):
            key: Any = tuple(code.dictionary[at].as_py() for code, at in zip(codes, place, strict=True))
            found.setdefault(key, []).append(made.take(np.flatnonzero(kind.reshape(-1) == number)))
    return {key: Outcomes.join(found.pop(key)) for key in sorted(found)}


def paired_rows(a: Mapping[Key, Outcomes], b: Mapping[Key, Outcomes]) -> list[PairedRow]:
    """Return the same injections in both campaigns, by tier, view, criterion and subset that both have, with 95 % intervals.

    Notes
    -----
    Subset ``clean`` holds pairs that are clean in both. Sky cells are those of A; a host's place is one in both.
    """
    rows = []
    for key in (key for key in a if key in b):
        one, other = a[key], b[key]
        _, at_a, at_b = np.intersect1d(one.key, other.key, assume_unique=True, return_indices=True)
        first, second = one.take(at_a), other.take(at_b)
        is_both = first.is_evaluated & second.is_evaluated
        unmatched = (len(one.key) - len(at_a), len(other.key) - len(at_b))
        halves = [int(np.count_nonzero(own.is_evaluated & ~is_both)) for own in (first, second)]
        for name in (name for name in first.recovered if name in second.recovered):
            for subset in SUBSETS:
                chosen = is_both & (first.is_clean & second.is_clean if subset == "clean" else True)
                outcome = (first.recovered[name][chosen], second.recovered[name][chosen])
                difference = paired_difference(*outcome, first.sky_cell[chosen], LEVEL_95)
                rows.append(PairedRow(key, name, subset, len(at_a), unmatched, (halves[0], halves[1]), difference))
    return rows


def cell_differences(a: pa.Table, b: pa.Table, axes: str) -> list[dict[str, Any]]:
    """Return one table of cells of both campaigns, row by row of the same key, with the differences B - A.

    Parameters
    ----------
    a, b : Table
        ``records.CELLS``.
    axes : str
        One of ``COMPARED_AXES``; both subsets where it is empty, else all.

    Returns
    -------
    list of dict
        tier, stamp_size, bandset, criterion, subset, theta_e_arcsec, bin_lower, bin_upper; of each campaign, with ``_a`` or ``_b`` behind,
        grid, n_evaluated, is_too_few, completeness, lower_95, upper_95 and the weighted three; difference, lower, upper and
        weighted_difference, weighted_lower, weighted_upper, None where there is none. A key that one campaign lacks is left out.
    """
    sides = [_by_key(cells, axes) for cells in (a, b)]
    rows = []
    for key in (key for key in sides[0] if key in sides[1]):
        one, other = sides[0][key], sides[1][key]
        row: dict[str, Any] = dict(zip(_CELL_KEYS, key, strict=True))
        for suffix, side in (("_a", one), ("_b", other)):
            row |= {f"{name}{suffix}": side[name] for name in ("grid", "n_evaluated", "n_not_evaluated", "is_too_few", "interval_note")}
            row |= {f"{name}{suffix}": side[name] for names in _VALUES.values() for name in names}
        is_shown = not (one["is_too_few"] or other["is_too_few"])
        for prefix, names in _VALUES.items():
            ends = [tuple(np.array([side[name]], dtype=np.float64) for name in names) for side in (one, other)]
            values = [float(value[0]) for value in unpaired_difference(*ends)]  # type: ignore[arg-type]
            found = [value if is_shown and np.isfinite(value) else None for value in values]
            row |= dict(zip((f"{prefix}difference", f"{prefix}lower", f"{prefix}upper"), found, strict=True))
        rows.append(row)
    return rows


def _by_key(cells: pa.Table, axes: str) -> dict[tuple[object, ...], dict[str, Any]]:
    """Return the cells of one table over all splits and regions, by what both campaigns know them by."""
    subsets = pa.array(SUBSETS if axes == "" else ("all",))
    is_whole = pc.field("region_split").is_null() & pc.field("selection_set_id").is_null() & pc.field("subset").isin(subsets)
    names = [*_CELL_KEYS, "grid", "n_evaluated", "n_not_evaluated", "is_too_few", "interval_note"]
    rows = cells.filter(is_whole & (pc.field("axes") == axes)).select([*names, *(n for group in _VALUES.values() for n in group)])
    return {tuple(row[name] for name in _CELL_KEYS): row for row in rows.to_pylist()}


def _outcomes(tasks: pa.Table, results: pa.Table, asked: Asked, cluster_nside: int) -> Outcomes:
    """Return the outcomes of the injections of a block."""
    criteria = pairable(asked.criteria)
    is_evaluated = evaluated(results)
    skipped = ("task_id", "cutout_ok", "metrics_ok", "flags")
    numbers = {name: results[name].cast(pa.float64()).to_numpy() for name in outcome_columns(criteria) if name not in skipped}
    numbers[RESOLUTION] = tasks["theta_e_arcsec"].to_numpy() / numbers["psf_fwhm_used_r_arcsec"]
    require_measured(results, is_evaluated, numbers)
    limits = (asked.clean_max_bad_pixel_frac, asked.clean_max_wise_frac)
    is_clean = np.logical_and.reduce([numbers[name] <= limit for name, limit in zip(_MASKS, limits, strict=True)])
    return Outcomes(
        key=hash_order(tasks["physical_id"].to_pylist()),
        sky_cell=region_of(tasks["ra"].to_numpy(), tasks["dec"].to_numpy(), cluster_nside).astype(np.int32),
        is_evaluated=is_evaluated,
        is_clean=is_clean & is_evaluated,
        recovered={criterion.name: meets(criterion, numbers) & is_evaluated for criterion in criteria},
    )
