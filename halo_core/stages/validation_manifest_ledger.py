"""The whole manifest as small numbers: what the laws that hold across blocks need of every physical injection, about 150 bytes each."""

from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.seeds import hash_order
from halo_core.stages.validation_manifest_view import ManifestPart

Ints = NDArray[np.int64]

_TEXTS = ("tier", "region_split", "config_id", "brickname")
_IDS = ("host_id", "physical_id")
_NUMBERS = (
    *("region_id", "objid", "block", "psf_stratum", "depth_stratum", "replicate", "host_repeat"),
    *("is_control", "sampling_weight", "ra", "dec"),
)
VIEW_KEYS = ("tier", "region_split", "stamp_size", "bandset", "is_control")
EXPERIMENT_KEYS = ("experiment_id", "tier", "stamp_size", "bandset", "grid")


class Ledger:
    """Columns over all physical injections, filled part by part: texts as codes, ids as 64-bit hashes, numbers as they are.

    Attributes
    ----------
    n_rows : int
        Tasks.
    views, experiments : Counter
        Number of tasks by ``VIEW_KEYS`` and by ``EXPERIMENT_KEYS``.
    """

    def __init__(self) -> None:
        self.n_rows = 0
        self.views: Counter[tuple[Any, ...]] = Counter()
        self.experiments: Counter[tuple[Any, ...]] = Counter()
        self._columns: dict[str, list[NDArray[Any]]] = {name: [] for name in (*_TEXTS, *_IDS, *_NUMBERS)}
        self._task_ids: list[NDArray[np.uint64]] = []
        self._uniforms: dict[str, list[NDArray[np.float64]]] = {}
        self._labels: dict[str, dict[str, int]] = {name: {} for name in _TEXTS}
        self._whole: dict[str, NDArray[Any]] = {}
        self.codes = cache(self._codes)

    def add(self, part: ManifestPart) -> None:
        """Enter some whole blocks."""
        self.n_rows += part.tasks.num_rows
        self.views += _counted(part.tasks, VIEW_KEYS)
        self.experiments += _counted(part.tasks, EXPERIMENT_KEYS)
        self._task_ids.append(hash_order(part.tasks["task_id"].to_pylist()))
        for name in _TEXTS:
            self._columns[name].append(self.coded(name, part.physical[name], is_new=True))
        for name in _IDS:
            encoded = part.physical[name].combine_chunks().dictionary_encode()
            self._columns[name].append(hash_order(encoded.dictionary.to_pylist())[encoded.indices.to_numpy()])
        for name in _NUMBERS:
            self._columns[name].append(part.column(name))
        drawn = [grid.uniforms(part.ids(rows)) for grid, rows in part.by_tier() if grid is not None]
        for streams in (part.uniforms, *drawn):
            for stream, values in streams.items():
                self._uniforms.setdefault(stream, []).append(values)

    def coded(self, name: str, column: pa.ChunkedArray, *, is_new: bool = False) -> NDArray[np.int32]:
        """Return texts as the codes of a column of the ledger; -1 for a text that it does not hold, or a new code for it."""
        labels, encoded = self._labels[name], column.combine_chunks().dictionary_encode()
        texts = encoded.dictionary.to_pylist()
        codes = [labels.setdefault(text, len(labels)) if is_new else labels.get(text, -1) for text in texts]
        return np.asarray(np.array(codes, dtype=np.int32)[encoded.indices.to_numpy()])

    @property
    def n_physical(self) -> int:
        """Return the number of physical injections and controls, an id in two parts counted twice."""
        return sum(map(len, self._columns["block"]))

    def column(self, name: str) -> NDArray[Any]:
        """Return a column over all physical injections: codes for a text, hashes for an id."""
        if name not in self._whole:
            self._whole[name] = np.concatenate(self._columns.pop(name))
        return self._whole[name]

    def labels(self, name: str) -> list[str]:
        """Return the texts of a coded column, in the order of their codes."""
        return list(self._labels[name])

    def _codes(self, *names: str) -> Ints:
        """Return one integer from 0 per physical injection that tells the combinations of these columns apart."""
        if len(names) == 1:
            return np.asarray(np.unique(self.column(names[0]), return_inverse=True)[1], dtype=np.int64)
        before, last = self.codes(*names[:-1]), self.codes(names[-1])
        return np.asarray(np.unique(before * (int(last.max(initial=0)) + 1) + last, return_inverse=True)[1], dtype=np.int64)

    @property
    def is_control(self) -> NDArray[np.bool_]:
        """Return which physical injections are controls."""
        return self.column("is_control")

    @property
    def injections(self) -> Ints:
        """Return the places of those that are not controls."""
        return np.flatnonzero(~self.is_control)

    def n_repeated(self) -> tuple[int, int]:
        """Return how many task ids, and how many physical ids of different parts, repeat another."""
        return self.n_rows - n_distinct(np.concatenate(self._task_ids)), self.n_physical - n_distinct(self.column("physical_id"))

    def uniforms(self) -> dict[str, NDArray[np.float64]]:
        """Return the uniform numbers of every stream over all injections, those of population grids included."""
        return {stream: np.concatenate(parts) for stream, parts in self._uniforms.items()}


def n_distinct(values: NDArray[Any]) -> int:
    """Return the number of distinct values, by sorting: 20 times as fast as by hashing, which `numpy.unique` does for integers."""
    return int((np.diff(np.sort(values)) != 0).sum()) + 1 if len(values) else 0


def _counted(tasks: pa.Table, keys: tuple[str, ...]) -> Counter[tuple[Any, ...]]:
    """Return the number of tasks by the values of some columns."""
    counted = tasks.group_by(list(keys)).aggregate([([], "count_all")]).to_pylist()
    return Counter({tuple(row[key] for key in keys): row["count_all"] for row in counted})
