"""The pictures of the report: which tasks are shown, and their pixels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.flags import LOSSES, SENTENCES, Flag, names
from halo_core.records import RESULTS
from halo_core.report.choice import Candidates, Choice, margins
from halo_core.report.data import Gallery, Stamps
from halo_core.stages.criteria import RESOLUTION, Criterion
from halo_core.stages.files import read_matching, read_table
from halo_core.stamps import RESULTS_FILE
from luigi_tasks.hosts import stored_host, stored_stamps
from luigi_tasks.report_run import Run
from luigi_tasks.targets import BLOCKS_FILE, TASKS_FILE, block_prefix

_SHOWN = {"bin": 2, "recovered": 6, "missed": 6, "loss": 2, "control": 2}
"""Stamps of each bin of resolution, side of the threshold and loss flag, and controls."""

_METRICS = {"snr_peak_pixel_r": "peak-pixel S/N(r)", "snr_matched_r": "matched S/N(r)", RESOLUTION: "θ_E/FWHM(r)"}
_BY_HASH = "Chosen by their ids, which are hashes: a blind choice, no host twice."

_Name = tuple[str, int]


def galleries(run: Run) -> list[Gallery]:
    """Return every gallery of a run whose injections are committed; those with nothing to show are left out."""
    criterion = next((one for one in run.criteria() if all(name == RESOLUTION or name in RESULTS.names for name in one.metrics)), None)
    mark = run.mark("summary") if run.has("summary") else None
    edges = np.asarray(mark["parameters"]["resolution_edges"] if mark is not None else [], dtype=np.float64)
    plan = run.mark("manifest")
    size_pix = max(plan["parameters"]["stamp_sizes"]) if plan is not None else 0
    choices: dict[_Name, Choice] = {}
    for block in run.table("manifest", BLOCKS_FILE)["block"].to_pylist():
        _consider(choices, _read_block(run, block, criterion, size_pix), edges)
    chosen = {name: choices[name].rows for name in sorted(choices)}
    pictures = _pictures(run, [row for rows in chosen.values() for row in rows], criterion)
    found = [
        Gallery(heading, caption, tuple(pictures[row["task_id"]] for name, rows in chosen.items() if name[0] == kind for row in rows))
        for kind, heading, caption in _words(criterion)
    ]
    return [gallery for gallery in found if gallery.stamps]


def _words(criterion: Criterion | None) -> list[tuple[str, str, str]]:
    """Return kind, heading and caption of each gallery, in the order in which they stand."""
    where = f"the thresholds of “{criterion.label}”" if criterion is not None else "no threshold"
    near = f"of all evaluated arcs nearest to {where}, by the metric that decides, relative to its threshold; no host twice"
    return [
        ("bin", "Arcs as they become resolved", f"Some arcs of each bin of θ_E/FWHM(r), the least resolved first. {_BY_HASH}"),
        ("recovered", "Recovered, near the threshold", f"These are recovered, and are {near}."),
        ("missed", "Missed, near the threshold", f"These are missed, and are {near}."),
        ("loss", "Not evaluated", f"Some tasks of each reason for which tasks were not evaluated. No arc was painted. {_BY_HASH}"),
        ("control", "Controls", f"Hosts without an arc, as a detector is shown them. {_BY_HASH}"),
    ]


@dataclass(frozen=True)
class _Rows:
    """What of a block's tasks decides the choice; arrays of one length."""

    candidates: Candidates
    flags: NDArray[np.int64]
    is_arc: NDArray[np.bool_]
    is_control: NDArray[np.bool_]
    resolution: NDArray[np.float64]
    margin: NDArray[np.float64] | None


def _read_block(run: Run, block: int, criterion: Criterion | None, size_pix: int) -> _Rows:
    """Return a block's tasks that can be shown in colour, with what their results say; arcs and controls at the largest size alone."""
    metrics = [name for name in criterion.metrics if name != RESOLUTION] if criterion is not None else []
    columns = list(dict.fromkeys(["task_id", "flags", "metrics_ok", "psf_fwhm_used_r_arcsec", *metrics]))
    tasks = _table(run, "manifest", block, TASKS_FILE, ["task_id", "host_id", "is_control", "bandset", "stamp_size", "theta_e_arcsec"])
    results = _table(run, "injection", block, RESULTS_FILE, columns)
    tasks = tasks.filter(pc.field("bandset") == "".join(BANDS))
    results = results.take(pc.index_in(tasks["task_id"], value_set=results["task_id"]))
    is_shown = _array(results["metrics_ok"], False) & (_array(tasks["stamp_size"], 0) == size_pix)
    is_control = _array(tasks["is_control"], False)
    with np.errstate(divide="ignore", invalid="ignore"):
        resolution = _array(tasks["theta_e_arcsec"], np.nan) / _array(results["psf_fwhm_used_r_arcsec"], np.nan)
    found = {RESOLUTION: resolution} | {name: _array(results[name], np.nan) for name in metrics}
    return _Rows(
        candidates=Candidates(
            tasks.select(["task_id", "host_id"]).append_column("block", pa.array(np.full(tasks.num_rows, block, dtype=np.int64)))
        ),
        flags=_array(results["flags"], 0).astype(np.int64),
        is_arc=is_shown & ~is_control,
        is_control=is_shown & is_control,
        resolution=resolution,
        margin=margins(criterion, found)[0] if criterion is not None else None,
    )


def _consider(choices: dict[_Name, Choice], rows: _Rows, edges: NDArray[np.float64]) -> None:
    """Offer a block's rows to every choice."""
    equal = np.zeros(len(rows.flags))

    def offer(kind: str, number: int, is_in: NDArray[np.bool_], rank: NDArray[np.float64] = equal) -> None:
        if is_in.any():
            if (kind, number) not in choices:
                choices[kind, number] = Choice(_SHOWN[kind])
            choices[kind, number].offer(rows.candidates, rank=rank, is_in=is_in)

    bins = np.searchsorted(edges, np.round(rows.resolution, 6), side="right")
    for number in range(len(edges) + 1):
        offer("bin", number, rows.is_arc & (bins == number) & np.isfinite(rows.resolution))
    if rows.margin is not None:
        offer("recovered", 0, rows.is_arc & (rows.margin >= 0), rows.margin)
        offer("missed", 0, rows.is_arc & (rows.margin < 0) & np.isfinite(rows.margin), -rows.margin)
    for flag in LOSSES:
        offer("loss", flag.value, (rows.flags & flag.value) != 0)
    offer("control", 0, rows.is_control)


def _pictures(run: Run, chosen: Sequence[Mapping[str, Any]], criterion: Criterion | None) -> dict[str, Stamps]:
    """Return the pictures of the chosen tasks by id; each block's files are read once."""
    found: dict[str, Stamps] = {}
    for block in sorted({row["block"] for row in chosen}):
        ids = {row["task_id"] for row in chosen if row["block"] == block}
        tasks, results = (
            read_matching(run.objects.path(f"{block_prefix(word, run.digests[word], block)}/{name}"), "task_id", ids).sort_by("task_id")
            for word, name in (("manifest", TASKS_FILE), ("injection", RESULTS_FILE))
        )
        stamps = stored_stamps(run.objects, run.digests["injection"], block, tasks.filter(results["metrics_ok"]))
        for task, result in zip(tasks.to_pylist(), results.to_pylist(), strict=True):
            words = partial(Stamps, _title(task, result, criterion), _details(task, result), task["task_id"])
            if result["metrics_ok"]:
                stamp = next(stamps)
                found[task["task_id"]] = words(stamp.host, None if task["is_control"] else stamp.arc, stamp.injected)
            else:
                found[task["task_id"]] = words(_host(run, block, task), None, None, _reason(result))
    return found


def _host(run: Run, block: int, task: Mapping[str, Any]) -> NDArray[np.float32] | None:
    """Return the host's planes as far as they are stored, 0 in a band that was lost; None where none is."""
    planes = stored_host(run.objects, run.digests["injection"], block, task["host_id"], task["stamp_size"])
    empty = np.zeros((task["stamp_size"], task["stamp_size"]), dtype=np.float32)
    return np.stack([planes.get(band, empty) for band in BANDS]) if planes else None


def _title(task: Mapping[str, Any], result: Mapping[str, Any], criterion: Criterion | None) -> str:
    """Return what is to be seen: the radius and, of an arc that was judged, the metric that decides against its threshold."""
    if task["is_control"]:
        return "Control" if result["metrics_ok"] else "Control, not evaluated"
    radius = f"θ_E {task['theta_e_arcsec']:.3g}″"
    if not result["metrics_ok"]:
        return f"{radius}, not evaluated"
    if criterion is None:
        return radius
    values = {name: _metric(name, task, result) for name in criterion.metrics}
    margin, deciding = margins(criterion, {name: np.array([value]) for name, value in values.items()})
    name, minimum = criterion.minimums[int(deciding[0])]
    verdict, sign = ("recovered", "≥") if margin[0] >= 0 else ("missed", "<")
    value = f"{values[name]:.3g}" if abs(values[name]) >= 0.01 else f"{values[name]:.2f}"
    return f"{radius}: {verdict}, {_METRICS.get(name, name)} {value} {sign} {minimum:g}"


def _metric(name: str, task: Mapping[str, Any], result: Mapping[str, Any]) -> float:
    """Return one metric of an evaluated arc."""
    return float(task["theta_e_arcsec"] / result["psf_fwhm_used_r_arcsec"] if name == RESOLUTION else result[name])


def _details(task: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Return the numbers below a picture."""
    parts = [f"tier {task['tier']}, {task['stamp_size']} pixels"]
    if not task["is_control"]:
        source = "" if task["src_dmag"] is None else f"r {task['src_dmag']:.3g} mag below the host, "
        parts.append(f"source {source}R_e {task['src_reff_arcsec']:.3g}″")
    if result["metrics_ok"] and not task["is_control"]:
        parts.append(f"magnification {result['magnification']:.1f}")
        parts.append(f"peak-pixel S/N(r) {result['snr_peak_pixel_r']:.1f}, matched {result['snr_matched_r']:.0f}")
        parts.append(f"θ_E/FWHM {_metric(RESOLUTION, task, result):.2f}")
    if result["psf_fwhm_used_r_arcsec"] is not None:
        parts.append(f"seeing {result['psf_fwhm_used_r_arcsec']:.2f}″")
    return "; ".join([*parts, f"brick {task['brickname']}"])


def _reason(result: Mapping[str, Any]) -> str:
    """Return the sentences of a result's losses."""
    return " ".join(SENTENCES[Flag[name]] for name in names(result["flags"] & LOSSES.value))


def _table(run: Run, word: str, block: int, name: str, columns: list[str]) -> pa.Table:
    """Return some columns of a block's table."""
    return read_table(run.objects.path(f"{block_prefix(word, run.digests[word], block)}/{name}"), columns)


def _array(column: pa.ChunkedArray, missing: object) -> NDArray[Any]:
    """Return a column as an array, NULL as the given value."""
    return np.asarray(pc.fill_null(column, pa.scalar(missing, type=column.type)).to_numpy())
