"""Injections as arrays: manifest and results of some blocks joined row by row, checked, one experiment at a time.

An experiment is one (tier, grid, stamp size, bandset). Its cells depend on no other experiment's rows. A row takes about 85 bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import AccountingError, ConventionError
from halo_core.flags import LOSSES
from halo_core.stages.criteria import RESOLUTION, meets
from halo_core.stages.summary_bins import Axis, bin_edges, binned_axis, join_axes, name_axis, value_axis
from halo_core.stages.summary_config import SummaryConfig
from halo_core.survey.photometry import extinction_mag, nmgy_to_mag
from halo_core.survey.regions import region_of

EXPERIMENT_COLUMNS = ("tier", "grid", "stamp_size", "bandset")
TASK_COLUMNS = (
    "task_id",
    "physical_id",
    *EXPERIMENT_COLUMNS,
    "region_id",
    "region_split",
    "ra",
    "dec",
    "psfdepth_r_mag",
    "ebv",
    "theta_e_arcsec",
    "src_dmag",
    "src_reff_arcsec",
    "src_flux_r_nmgy",
    "is_control",
    "sampling_weight",
)
"""Columns of the manifest that the summary reads; a table with only these will do."""

PSF_SOURCE_COLUMNS = {band: f"psf_source_{band}" for band in BANDS}
"""Column of the results that says where a band's PSF size comes from."""

SUBSETS = ("all", "clean")

_MAG_DIGITS = 4


@dataclass(frozen=True)
class Experiment:
    """Tasks of one experiment and the result of each, row by row."""

    key: dict[str, str | int]
    tasks: pa.Table
    results: pa.Table


@dataclass(frozen=True)
class Injections:
    """Injections of one experiment that enter one subset; every array has shape (n,).

    ``recovered`` is False where a row was not evaluated: read it only under ``is_evaluated``. ``sky_cell`` is the nested HEALPix cell,
    ``resolution`` theta_e over the r PSF size.
    """

    is_evaluated: NDArray[np.bool_]
    is_clean: NDArray[np.bool_]
    flags: NDArray[np.int64]
    weight: NDArray[np.float64]
    sky_cell: NDArray[np.int64]
    region_id: NDArray[np.int64]
    snr_matched_r: NDArray[np.float64]
    resolution: NDArray[np.float64]
    recovered: Mapping[str, NDArray[np.bool_]]
    axes: Mapping[str, Axis]

    def __len__(self) -> int:
        return len(self.is_evaluated)

    @cached_property
    def by_snr(self) -> NDArray[np.int64]:
        """Evaluated rows, snr_matched_r rising."""
        rows = np.flatnonzero(self.is_evaluated)
        return rows[np.argsort(self.snr_matched_r[rows])]

    def take(self, rows: NDArray[np.bool_]) -> "Injections":
        """Return some of the rows."""
        return replace(
            self,
            **{name: getattr(self, name)[rows] for name in ARRAYS},
            recovered={name: values[rows] for name, values in self.recovered.items()},
            axes={name: axis.take(rows) for name, axis in self.axes.items()},
        )

    def of_subset(self, subset: str) -> "Injections":
        """Return the rows of one of ``SUBSETS``."""
        return self if subset == "all" else self.take(self.is_clean | ~self.is_evaluated)

    @classmethod
    def join(cls, parts: Sequence["Injections"]) -> "Injections":
        """Return the rows of several parts of one experiment, one part after the other."""
        return cls(
            **{name: np.concatenate([getattr(part, name) for part in parts]) for name in ARRAYS},
            recovered={name: np.concatenate([part.recovered[name] for part in parts]) for name in parts[0].recovered},
            axes={name: join_axes([part.axes[name] for part in parts]) for name in parts[0].axes},
        )


ARRAYS = ("is_evaluated", "is_clean", "flags", "weight", "sky_cell", "region_id", "snr_matched_r", "resolution")
"""The arrays of injections, one number a row each."""


def result_columns(config: SummaryConfig) -> tuple[str, ...]:
    """Return the columns of the results that the summary reads, the criteria's metrics included."""
    fixed = (
        "task_id",
        "cutout_ok",
        "metrics_ok",
        "flags",
        "snr_matched_r",
        "bad_pixel_frac",
        "wise_brightmask_frac",
        "psf_fwhm_used_r_arcsec",
        "magnification",
        *PSF_SOURCE_COLUMNS.values(),
    )
    metrics = (metric for criterion in config.criteria for metric in criterion.metrics if metric != RESOLUTION)
    return tuple(dict.fromkeys((*fixed, *metrics)))


def experiments(tasks: pa.Table, results: pa.Table, config: SummaryConfig) -> Iterator[Experiment]:
    """Yield the experiments of a manifest, each with the results of its tasks, in the order of their keys.

    Raises
    ------
    AccountingError
        A task has no result or several; a result belongs to no task.
    ConventionError
        A column is missing.
    """
    tasks = selected(tasks, TASK_COLUMNS, "manifest")
    results = selected(results, result_columns(config), "results")
    result_row = result_rows(tasks, results)
    names = [name_axis(name, tasks[name]) for name in EXPERIMENT_COLUMNS]
    codes = np.ravel_multi_index(tuple(axis.codes for axis in names), tuple(len(axis.values) for axis in names))
    for code in np.unique(codes):
        rows = np.flatnonzero(codes == code)
        slice_ = tasks.take(pa.array(rows))
        key = {name: slice_[name][0].as_py() for name in EXPERIMENT_COLUMNS}
        yield Experiment(key=key, tasks=slice_, results=results.take(pa.array(result_row[rows])))


def injections_of(experiment: Experiment, config: SummaryConfig) -> Injections:
    """Return the injections of an experiment, controls left out.

    Raises
    ------
    AccountingError
        A row is neither evaluated nor lost for a reason; an evaluated row lacks a number it must have; a weight is not positive.
    """
    is_injection = ~_numpy(experiment.tasks, "is_control").astype(bool)
    tasks, results = _rows(experiment.tasks, is_injection), _rows(experiment.results, is_injection)
    is_evaluated = evaluated(results)
    numbers = _numbers(results, config)
    numbers[RESOLUTION] = _floats(tasks, "theta_e_arcsec") / numbers["psf_fwhm_used_r_arcsec"]
    require_measured(results, is_evaluated, numbers)
    weight = _floats(tasks, "sampling_weight")
    if not np.all(weight > 0):
        row = int(np.flatnonzero(~(weight > 0))[0])
        raise AccountingError(f"task {tasks['task_id'][row]}: sampling_weight is {weight[row]}, it must be positive; rebuild the manifest")
    is_clean = (numbers["bad_pixel_frac"] <= config.clean_max_bad_pixel_frac) & (
        numbers["wise_brightmask_frac"] <= config.clean_max_wise_frac
    )
    return Injections(
        is_evaluated=is_evaluated,
        is_clean=is_clean & is_evaluated,
        flags=_numpy(results, "flags").astype(np.int64),
        weight=weight,
        sky_cell=region_of(_floats(tasks, "ra"), _floats(tasks, "dec"), config.cluster_nside),
        region_id=_numpy(tasks, "region_id").astype(np.int64),
        snr_matched_r=np.where(is_evaluated, numbers["snr_matched_r"], np.nan),
        resolution=np.where(is_evaluated, numbers[RESOLUTION], np.nan),
        recovered={criterion.name: meets(criterion, numbers) & is_evaluated for criterion in config.criteria},
        axes=_axes(experiment, tasks, numbers, config),
    )


def evaluated(results: pa.Table) -> NDArray[np.bool_]:
    """Return which results are evaluated: cutout_ok and metrics_ok, and no loss bit.

    Raises
    ------
    AccountingError
        The booleans and the flags of a row contradict each other: it would be lost without a reason, or counted in spite of one.
    """
    is_evaluated = _numpy(results, "cutout_ok").astype(bool) & _numpy(results, "metrics_ok").astype(bool)
    is_lost = (_numpy(results, "flags").astype(np.int64) & LOSSES.value) != 0
    contradicts = is_evaluated == is_lost
    if np.any(contradicts):
        row = int(np.flatnonzero(contradicts)[0])
        raise AccountingError(
            f"{np.count_nonzero(contradicts)} of {len(is_lost)} results are evaluated in spite of a loss flag, or lost without one; "
            f"first task {results['task_id'][row]} with flags {results['flags'][row]}; redo its block"
        )
    return np.asarray(is_evaluated, dtype=np.bool_)


def require_measured(results: pa.Table, is_evaluated: NDArray[np.bool_], numbers: Mapping[str, NDArray[np.float64]]) -> None:
    """Raise AccountingError where an evaluated row lacks a number: NULL is "not measured", never 0 and never "missed"."""
    for name, values in numbers.items():
        lacks = is_evaluated & ~np.isfinite(values)
        if np.any(lacks):
            row = int(np.flatnonzero(lacks)[0])
            raise AccountingError(
                f"{np.count_nonzero(lacks)} evaluated results have no finite {name}, first task {results['task_id'][row]}; "
                "an evaluated row has every metric: redo its block"
            )


def control_numbers(results: pa.Table, metrics: tuple[str, ...]) -> dict[str, NDArray[np.float64]]:
    """Return metrics of controls as float64, NaN for NULL."""
    return {name: _floats(results, name) for name in metrics}


def _numbers(results: pa.Table, config: SummaryConfig) -> dict[str, NDArray[np.float64]]:
    """Return every numeric column of the results that an evaluated injection must have."""
    others = ("task_id", "cutout_ok", "metrics_ok", "flags", *PSF_SOURCE_COLUMNS.values())
    return {name: _floats(results, name) for name in result_columns(config) if name not in others}


def _axes(experiment: Experiment, tasks: pa.Table, numbers: Mapping[str, NDArray[np.float64]], config: SummaryConfig) -> dict[str, Axis]:
    """Return every key column that cells may vary along; the drawn parameters of a population are none."""
    edges, values = bin_edges(config), list[Axis]()
    if experiment.key["grid"] not in config.population_grids:
        values = [
            value_axis("theta_e_arcsec", _floats(tasks, "theta_e_arcsec")),
            _source_axis(experiment, tasks, config),
            value_axis("src_reff_arcsec", _floats(tasks, "src_reff_arcsec")),
        ]
    axes = [
        name_axis("region_split", tasks["region_split"]),
        *values,
        binned_axis("psf_fwhm_r_bin", numbers["psf_fwhm_used_r_arcsec"], edges["psf_fwhm_r_bin"]),
        binned_axis("psfdepth_r_bin", _floats(tasks, "psfdepth_r_mag"), edges["psfdepth_r_bin"]),
        binned_axis("resolution_bin", numbers[RESOLUTION], edges["resolution_bin"]),
        binned_axis("snr_matched_r_bin", numbers["snr_matched_r"], edges["snr_matched_r_bin"]),
    ]
    return {axis.name: axis for axis in axes}


def _source_axis(experiment: Experiment, tasks: pa.Table, config: SummaryConfig) -> Axis:
    """Return the axis of source brightness: src_dmag, or the intrinsic src_mag_r of a grid of absolute magnitudes."""
    if experiment.key["grid"] not in config.absolute_magnitude_grids:
        return value_axis("src_dmag", _floats(tasks, "src_dmag"))
    painted = nmgy_to_mag(_floats(tasks, "src_flux_r_nmgy"))
    return value_axis("src_mag_r", painted - extinction_mag("r", _floats(tasks, "ebv")), digits=_MAG_DIGITS)


def result_rows(tasks: pa.Table, results: pa.Table) -> NDArray[np.int64]:
    """Return the row of each task's result: they pair one to one, else AccountingError, or their ids are equal row by row."""
    task_id, result_id = tasks["task_id"].combine_chunks(), results["task_id"].combine_chunks()
    if task_id.equals(result_id):
        return np.arange(len(task_id))
    for name, ids in (("manifest", task_id), ("results", result_id)):
        n_distinct = pc.count_distinct(ids).as_py()
        if n_distinct != len(ids):
            raise AccountingError(f"{name}: {len(ids)} rows have {n_distinct} distinct task_id; each task stands once")
    place = pc.index_in(task_id, value_set=result_id)
    if place.null_count:
        first = task_id.filter(place.is_null())[0]
        raise AccountingError(f"{place.null_count} of {len(task_id)} tasks have no result, first {first}; injection is not complete")
    if len(result_id) != len(task_id):
        raise AccountingError(f"{len(result_id) - len(task_id)} results belong to no task of the manifest; they come from another run")
    return np.asarray(place.to_numpy(zero_copy_only=False), dtype=np.int64)


def selected(table: pa.Table, columns: tuple[str, ...], where: str) -> pa.Table:
    """Return the columns that are read; ConventionError names those that are missing."""
    missing = [name for name in columns if name not in table.column_names]
    if missing:
        raise ConventionError(f"{where}: columns missing {missing}; the summary reads {list(columns)}")
    return table.select(list(columns))


def _rows(table: pa.Table, mask: NDArray[np.bool_]) -> pa.Table:
    """Return the rows of a mask."""
    return table.filter(pa.array(mask))


def _numpy(table: pa.Table, name: str) -> NDArray[np.generic]:
    """Return a column as a numpy array."""
    return np.asarray(table[name].to_numpy())


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    """Return a column as float64, NaN for NULL."""
    return np.asarray(table[name].cast(pa.float64()).to_numpy(), dtype=np.float64)
