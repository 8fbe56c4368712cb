"""What was gathered of one block for the summary as a file, for who gathers elsewhere: arrays in NumPy's format, the rest in JSON.

Reading gives back every bit, so a summary of such files equals one of the tables they were made from.
"""

import io
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.stages.summary_bins import Axis
from halo_core.stages.summary_blocks import ExperimentParts, Gathered
from halo_core.stages.summary_controls import ControlCounts
from halo_core.stages.summary_rows import ARRAYS, Injections

_HEADER = "header"
_ID_HASHES = "id_hashes"
_AXIS_ARRAYS = ("codes", "lower", "upper")


def to_bytes(gathered: Gathered) -> bytes:
    """Return what was gathered as the bytes of a file; the same content gives the same bytes."""
    arrays: dict[str, NDArray[Any]] = {_ID_HASHES: np.concatenate(gathered.id_hashes)}
    header = [_put(arrays, str(number), parts) for number, parts in enumerate(gathered.experiments.values())]
    arrays[_HEADER] = np.frombuffer(json.dumps(header).encode(), dtype=np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def from_bytes(data: bytes) -> Gathered:
    """Read what ``to_bytes`` gave."""
    with np.load(io.BytesIO(data), allow_pickle=False) as file:
        arrays = dict(file)
    gathered = Gathered({}, [arrays[_ID_HASHES]])
    for number, head in enumerate(json.loads(arrays[_HEADER].tobytes())):
        gathered.experiments[tuple(str(value) for value in head["key"].values())] = _parts(arrays, str(number), head)
    return gathered


def _put(arrays: dict[str, NDArray[Any]], name: str, parts: ExperimentParts) -> dict[str, Any]:
    """Add the arrays of an experiment under names of its own, and return the rest."""
    injections = Injections.join(parts.injections)
    arrays |= {f"{name}.{array}": getattr(injections, array) for array in ARRAYS}
    arrays |= {f"{name}.recovered.{criterion}": values for criterion, values in injections.recovered.items()}
    for axis in injections.axes.values():
        arrays |= {f"{name}.axis.{axis.name}.{array}": getattr(axis, array) for array in _AXIS_ARRAYS}
    arrays[f"{name}.magnification"] = np.concatenate(parts.magnification)
    return {
        "key": parts.key,
        "criteria": list(injections.recovered),
        "axes": {axis.name: list(axis.values) for axis in injections.axes.values()},
        "controls": {split: asdict(counts) for split, counts in parts.controls.items()},
        "psf_sources": [[*source, n_tasks] for source, n_tasks in parts.psf_sources.items()],
    }


def _parts(arrays: Mapping[str, NDArray[Any]], name: str, head: Mapping[str, Any]) -> ExperimentParts:
    """Return an experiment from its arrays and the rest."""
    axes = {
        axis: Axis(axis, values=tuple(values), **{array: arrays[f"{name}.axis.{axis}.{array}"] for array in _AXIS_ARRAYS})
        for axis, values in head["axes"].items()
    }
    injections = Injections(
        **{array: arrays[f"{name}.{array}"] for array in ARRAYS},
        recovered={criterion: arrays[f"{name}.recovered.{criterion}"] for criterion in head["criteria"]},
        axes=axes,
    )
    return ExperimentParts(
        head["key"],
        [injections],
        {split: ControlCounts(**counts) for split, counts in head["controls"].items()},
        Counter({(split, band, source): n_tasks for split, band, source, n_tasks in head["psf_sources"]}),
        [arrays[f"{name}.magnification"]],
    )
