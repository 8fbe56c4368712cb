"""A detector's scores, one row per task, beside the results: read once into sorted hashes and numbers, joined block by block by task_id.

Held are 8 bytes a row for the id and 8 for each score, whatever else the table has.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.errors import AccountingError, SurveyDataError
from halo_core.seeds import hash_order
from halo_core.stages.summary_blocks import Blocks
from halo_core.stages.summary_rows import evaluated
from halo_core.survey.catalogs import Columns, external_chunks

TASK_ID = "task_id"

_ROWS_AT_ONCE = 500_000


class ScoreTable:
    """The scores of a table, by task.

    Parameters
    ----------
    path : Path
        CSV, FITS, or Parquet (a file or a folder); CSV and compressed FITS are held as a whole while they are read.
    names : sequence of str
        Columns of scores, lower case; the table has them and ``task_id``.

    Raises
    ------
    SurveyDataError
        A column is missing, task_id is no text, a score is no number or infinite, or a task has two rows; how many, and the first task.
    """

    def __init__(self, path: Path, names: Sequence[str]) -> None:
        self._path, self._names = path, tuple(names)
        parts = [self._checked(chunk) for chunk in self._chunks()]
        if not parts:
            raise SurveyDataError(f"{path}: the table of scores has no row; give one row per task")
        keys = np.concatenate([part[0] for part in parts])
        order = np.argsort(keys, kind="stable")
        self._keys: NDArray[np.uint64] = keys[order]
        self._scores = {name: np.concatenate([part[1][name] for part in parts])[order] for name in self._names}
        repeated = self._keys[1:][self._keys[1:] == self._keys[:-1]]
        if len(repeated):
            raise SurveyDataError(f"{path}: {len(repeated)} rows repeat a task, first {self._first(repeated)}; give each task one row")

    def __len__(self) -> int:
        return len(self._keys)

    def join(self, blocks: Blocks) -> Iterator[tuple[pa.Table, pa.Table]]:
        """Yield blocks with a column of each score among their results, NULL where a task that was not evaluated has none.

        Parameters
        ----------
        blocks : iterable of (Table, Table)
            Manifest and results of each block of a whole campaign; results with task_id, cutout_ok, metrics_ok and flags.

        Raises
        ------
        AccountingError
            Evaluated tasks, controls among them, have no score, or rows of the table belong to no task; how many of all blocks, and the
            first. Rows of unknown tasks are told after the last block.
        """
        is_used = np.zeros(len(self), dtype=np.bool_)
        n_without, first = 0, ""
        for tasks, results in blocks:
            row, is_known = self._rows(results[TASK_ID].to_pylist())
            is_used[row[is_known]] = True
            columns = {name: np.where(is_known, scores[row], np.nan) for name, scores in self._scores.items()}
            lacks = evaluated(results) & np.isnan(np.column_stack(list(columns.values()))).any(axis=1)
            first = first or (results[TASK_ID][int(np.flatnonzero(lacks)[0])].as_py() if np.any(lacks) else "")
            n_without += int(np.count_nonzero(lacks))
            if not n_without:
                for name, values in columns.items():
                    results = results.append_column(name, pa.array(values, from_pandas=True))
                yield tasks, results
        if n_without:
            raise AccountingError(
                f"{self._path}: {n_without} evaluated tasks have no {' or '.join(self._names)} (no row, or NaN), first {first}; "
                "run the detector on every stamp that was evaluated, controls too"
            )
        unknown = self._keys[~is_used]
        if len(unknown):
            raise AccountingError(
                f"{self._path}: {len(unknown)} rows belong to no task of the campaign, first {self._first(unknown)}; "
                "leave them out, or name the campaign they were made with"
            )

    def _rows(self, ids: Iterable[str]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return the row of each task, and which have one."""
        keys = hash_order(ids)
        row = np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)
        return row, self._keys[row] == keys

    def _chunks(self) -> Iterator[Columns]:
        """Yield the columns that are read, some rows at a time."""
        yield from external_chunks(self._path, n_rows=_ROWS_AT_ONCE, columns=(TASK_ID, *self._names))

    def _checked(self, chunk: Columns) -> tuple[NDArray[np.uint64], dict[str, NDArray[np.float64]]]:
        """Return hashes of the ids and the scores of some rows, or say which cannot be used."""
        missing = [name for name in (TASK_ID, *self._names) if name not in chunk]
        if missing:
            raise SurveyDataError(f"{self._path}: the table of scores has no column {missing}; it needs task_id and {list(self._names)}")
        ids = chunk[TASK_ID]
        if ids.dtype.kind != "U":
            raise SurveyDataError(f"{self._path}: task_id is {ids.dtype}, text is needed: the manifest's task_id as it is")
        return hash_order(ids.tolist()), {name: self._numbers(ids, chunk[name], name) for name in self._names}

    def _numbers(self, ids: NDArray[Any], values: NDArray[Any], name: str) -> NDArray[np.float64]:
        """Return scores as float64; NaN stays, as the score of a task that has none."""
        if values.dtype.kind not in "fiub":
            raise SurveyDataError(f"{self._path}: {name} is {values.dtype}, first {values[0]!r} of task {ids[0]}; numbers are needed")
        numbers = values.astype(np.float64)
        is_infinite = np.isinf(numbers)
        if np.any(is_infinite):
            row = int(np.flatnonzero(is_infinite)[0])
            raise SurveyDataError(
                f"{self._path}: {np.count_nonzero(is_infinite)} scores {name} are infinite, first {numbers[row]} of task {ids[row]}; "
                "finite numbers are needed"
            )
        return numbers

    def _first(self, keys: NDArray[np.uint64]) -> str:
        """Return the first task of the table with one of these hashes; the table alone holds the ids as text."""
        for chunk in self._chunks():
            place = np.flatnonzero(np.isin(hash_order(chunk[TASK_ID].tolist()), keys))
            if len(place):
                return str(chunk[TASK_ID][place[0]])
        raise SurveyDataError(f"{self._path}: the table changed while it was read; run again")
