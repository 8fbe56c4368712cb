"""Checks of the summary: counts against the manifest, intervals, marginals against sums of cells; everything fails closed.

Counts are made anew, block by block from the tables and with pyarrow's own grouping, not with the summary's pools. An absent table,
zero rows or an unknown id is a failed finding, never a pass.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise, product

import pyarrow as pa

from halo_core.errors import AccountingError
from halo_core.records import CELLS, Finding
from halo_core.stages.summary import SOURCES, marginal_axes, surface_axes
from halo_core.stages.summary_blocks import Blocks
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_facts import Facts
from halo_core.stages.summary_rows import EXPERIMENT_COLUMNS, SUBSETS
from halo_core.stages.validation import judged
from halo_core.stages.validation_summary_counts import InputCounts, count_inputs
from halo_core.stages.validation_summary_facts import check_facts

_POOL = (*EXPERIMENT_COLUMNS, "criterion", "subset", "selection_set_id", "region_split")
_AXES = (*(name for name in CELLS.names if name.endswith("_bin")), "theta_e_arcsec", "src_dmag", "src_mag_r", "src_reff_arcsec")
_COUNTS = ("n_task", "n_evaluated", "n_not_evaluated", "n_recovered")
_EVALUATED_COUNTS = ("n_evaluated", "n_recovered")
_READ = (
    *("cell", "axes", *_POOL, *_AXES, *_COUNTS, "bin_upper", "completeness", "interval_note", "bound_lower", "bound_upper"),
    *("lower_68", "upper_68", "lower_95", "upper_95", "completeness_weighted"),
    *("weighted_lower_68", "weighted_upper_68", "weighted_lower_95", "weighted_upper_95"),
)
_ROUNDING = 1e-9

Counts = dict[tuple[object, ...], tuple[int, ...]]
Rows = list[dict[str, object]]


@dataclass(frozen=True)
class _Input:
    """What every check reads."""

    cells: Rows
    counts: InputCounts
    config: SummaryConfig

    @property
    def injections(self) -> dict[tuple[object, ...], tuple[int, ...]]:
        """Return the counted injections, or raise where they could not be counted."""
        if self.counts.trouble:
            raise AccountingError(self.counts.trouble)
        return self.counts.injections


def check_summary(cells: pa.Table, blocks: Blocks, config: SummaryConfig, *, facts: Facts) -> list[Finding]:
    """Return the findings of every check of a summary, passed and failed.

    Parameters
    ----------
    cells : Table
        ``records.CELLS`` as written.
    blocks : iterable of (Table, Table)
        Manifest and results of each block the cells were made from; at least the columns the summary reads.
    config : SummaryConfig
        What the cells were made with.
    facts : Facts
        From ``summary_facts.summary_facts``, as written.
    """
    counts = count_inputs(blocks, config)
    shape = [
        _finding(
            "cells_schema", cells.schema.names == CELLS.names, cells.schema.names, CELLS.names, "The cells have exactly their columns."
        ),
        *_not_empty(cells, counts),
        *_columns_present(counts),
    ]
    if not all(finding.is_ok for finding in shape):
        return shape
    given = _Input(cells.select(list(_READ)).to_pylist(), counts, config)
    return [
        *shape,
        *(judged("summary", check.__name__.lstrip("_"), check, given) for check in _CHECKS),
        *check_facts(facts, given.cells, counts, config),
    ]


def _ids_match(given: _Input) -> Finding:
    """Every task has one result, and no result is of another run."""
    counts = given.counts
    observed = f"{counts.n_absent} tasks without result, {counts.n_unknown} results without task, {counts.n_repeated} repeated ids"
    is_ok = not (counts.n_absent or counts.n_unknown or counts.n_repeated)
    return _finding("ids_match", is_ok, observed, "0, 0, 0", "Every task has exactly one result, and every result a task.")


def _keys_complete(given: _Input) -> Finding:
    """Each experiment of the manifest has its pooled rows for every criterion, subset and split, and no other has any."""
    experiments = {(*key[:-1], split) for key in given.injections for split in (key[-1], None)}
    tails = {(criterion.name, subset) for criterion in given.config.criteria for subset in SUBSETS}
    expected = {(*head[:-1], *tail, None, head[-1]) for head in experiments for tail in tails if tail[1] == "all"}
    found = {_pool_key(row) for row in given.cells if row["axes"] == "" and row["selection_set_id"] is None}
    allowed = {(*head[:-1], *tail, None, head[-1]) for head in experiments for tail in tails}
    missing, unknown = sorted(map(str, expected - found)), sorted(map(str, found - allowed))
    observed = f"missing {missing[:3]}, unknown {unknown[:3]}"
    sentence = "Every experiment of the manifest has a pooled row per criterion, split and subset, and nothing else has one."
    return _finding("keys_complete", not missing and not unknown, observed, "missing [], unknown []", sentence)


def _counts_add_up_to_manifest(given: _Input) -> Finding:
    """Pooled counts are those of the manifest and the results, controls left out."""
    names = [criterion.name for criterion in given.config.criteria]
    expected: Counts = {}
    for (*experiment, its_split), (n_task, n_evaluated, *met) in given.injections.items():
        for split, (name, n_met) in product((its_split, None), zip(names, met, strict=True)):
            key = (*experiment, split, name)
            old = expected.get(key, (0, 0, 0))
            expected[key] = tuple(before + more for before, more in zip(old, (n_task, n_evaluated, n_met), strict=True))
    wrong = []
    for cell in given.cells:
        if cell["axes"] == "" and cell["subset"] == "all" and cell["selection_set_id"] is None:
            key = (*(cell[column] for column in EXPERIMENT_COLUMNS), cell["region_split"], cell["criterion"])
            found = (cell["n_task"], cell["n_evaluated"], cell["n_recovered"])
            if found != expected.get(key):
                wrong.append(f"{key}: {found} against {expected.get(key)}")
    sentence = "Planned, evaluated and recovered injections of every pooled row are those counted in the manifest and its results."
    return _finding("counts_add_up_to_manifest", not wrong, _first(wrong), "no row differs", sentence)


def _rows_add_up(given: _Input) -> Finding:
    """Within each row: evaluated + not evaluated = planned, recovered <= evaluated, completeness = recovered / evaluated."""
    wrong = [_pool_name(row) for row in given.cells if not _adds_up(row)]
    sentence = "In every cell evaluated and not evaluated make up the planned, and recovered over evaluated is the completeness."
    return _finding("rows_add_up", not wrong, _first(wrong), "no row differs", sentence)


def _intervals_contain_p(given: _Input) -> Finding:
    """Intervals lie inside [0, 1] and contain their number, weighted and unweighted, and the wider level contains the narrower."""
    wrong = [_pool_name(row) for row in given.cells if not (_is_contained(row, "", "completeness") and _is_bounded(row))]
    wrong += [_pool_name(row) for row in given.cells if not _is_contained(row, "weighted_", "completeness_weighted")]
    sentence = "Every interval lies inside [0, 1], contains its completeness and is within the wider one."
    return _finding("intervals_contain_p", not wrong, _first(wrong), "no row differs", sentence)


def _missing_interval_has_reason(given: _Input) -> Finding:
    """A row without an interval says why."""
    wrong = [_pool_name(row) for row in given.cells if row["lower_95"] is None and not row["interval_note"]]
    return _finding("missing_interval_has_reason", not wrong, _first(wrong), "no row differs", "A cell without an interval says why.")


def _marginals_are_sums_of_cells(given: _Input) -> Finding:
    """Each marginal row is the sum of the full surface's cells that it pools; the S/N table has the evaluated ones."""
    wrong: list[str] = []
    for source in SOURCES:
        surface = [row for row in given.cells if row["axes"] == ",".join(surface_axes(source))]
        grids = {row["grid"] for row in surface}
        for axes in marginal_axes(source):
            rows = [row for row in given.cells if row["axes"] == ",".join(axes) and row["grid"] in grids]
            if "snr_matched_r_bin" in axes:
                wrong += _differences(_sums(rows, (), _EVALUATED_COUNTS), _sums(surface, (), _EVALUATED_COUNTS), axes, is_subset=True)
            else:
                wrong += _differences(_sums(rows, axes, _COUNTS), _sums(surface, axes, _COUNTS), axes, is_subset=False)
    if not any(row["axes"].count(",") > 1 for row in given.cells if isinstance(row["axes"], str)):
        wrong.append("there is no full surface")
    return _finding("marginals_are_sums_of_cells", not wrong, _first(wrong), "no row differs", "Every marginal is the sum of its cells.")


def _splits_add_up(given: _Input) -> Finding:
    """The row over all splits is the sum of the splits' rows, in every table."""
    axes = ("axes", *_AXES)
    whole: Rows = []
    parts: Rows = []
    for row in given.cells:
        (whole if row["region_split"] is None else parts).append({**row, "region_split": None})
    wrong = _differences(_sums(whole, axes, _COUNTS), _sums(parts, axes, _COUNTS), (), is_subset=False)
    return _finding("splits_add_up", not wrong, _first(wrong), "no row differs", "Every row over all splits is the sum of its splits.")


_CHECKS = (
    _ids_match,
    _keys_complete,
    _counts_add_up_to_manifest,
    _rows_add_up,
    _intervals_contain_p,
    _missing_interval_has_reason,
    _marginals_are_sums_of_cells,
    _splits_add_up,
)


def _finding(check: str, is_ok: bool, observed: object, expected: object, sentence: str) -> Finding:
    """Return an error-level finding of this stage."""
    return Finding("summary", check, is_ok, "error", str(observed), str(expected), sentence)


def _not_empty(cells: pa.Table, counts: InputCounts) -> Iterable[Finding]:
    """Yield one finding per table on whether it has rows."""
    for name, n_rows in (("cells", cells.num_rows), ("manifest", counts.n_tasks), ("results", counts.n_results)):
        yield _finding(f"{name}_not_empty", n_rows > 0, n_rows, "at least 1", f"The {name} table has rows.")


def _columns_present(counts: InputCounts) -> Iterable[Finding]:
    """Yield one finding per input table on whether it has the columns that are read."""
    for name, missing in counts.missing.items():
        yield _finding(
            f"{name}_columns", not missing, f"missing {missing}", "missing []", f"The {name} table has the columns that are read."
        )


def _pool_key(row: dict[str, object]) -> tuple[object, ...]:
    """Return the key columns that every row has."""
    return tuple(row[name] for name in _POOL)


def _pool_name(row: dict[str, object]) -> str:
    """Return how a message names a row."""
    return f"cell {row['cell']} {_pool_key(row)} axes {row['axes']!r}"


def _first(wrong: list[str]) -> str:
    """Return how many rows are wrong, and the first three."""
    return f"{len(wrong)} rows differ: {wrong[:3]}" if wrong else "no row differs"


def _number(row: dict[str, object], name: str) -> float:
    """Return a numeric entry; NaN for NULL."""
    value = row[name]
    return float(value) if isinstance(value, (int, float)) else float("nan")


def _adds_up(row: dict[str, object]) -> bool:
    """Return whether the counts of a row agree with each other."""
    n_task, n_evaluated, n_not, k = (_number(row, name) for name in _COUNTS)
    is_counted = n_evaluated + n_not == n_task and 0 <= k <= n_evaluated and n_task > 0
    if n_evaluated == 0:
        return is_counted and row["completeness"] is None
    return is_counted and abs(_number(row, "completeness") - k / n_evaluated) < _ROUNDING


def _is_contained(row: dict[str, object], prefix: str, name: str) -> bool:
    """Return whether 0 <= lower_95 <= lower_68 <= p <= upper_68 <= upper_95 <= 1, or all four ends are NULL together."""
    ends = [f"{prefix}lower_95", f"{prefix}lower_68", f"{prefix}upper_68", f"{prefix}upper_95"]
    if all(row[end] is None for end in ends):
        return True
    l95, l68, u68, u95 = (_number(row, end) for end in ends)
    chain = [0.0, l95, l68, _number(row, name), u68, u95, 1.0]
    return all(left <= right + _ROUNDING for left, right in pairwise(chain))


def _is_bounded(row: dict[str, object]) -> bool:
    """Return whether the completeness lies between its two bounds."""
    if row["completeness"] is None:
        return True
    return _number(row, "bound_lower") - _ROUNDING <= _number(row, "completeness") <= _number(row, "bound_upper") + _ROUNDING


def _sums(rows: Rows, axes: tuple[str, ...], counts: tuple[str, ...]) -> Counts:
    """Return the summed counts of rows by pool and axes."""
    sums: Counts = {}
    for row in rows:
        key = _pool_key(row) + tuple(row[name] for name in axes)
        old = sums.get(key, (0,) * len(counts))
        sums[key] = tuple(before + int(_number(row, name)) for before, name in zip(old, counts, strict=True))
    return sums


def _differences(found: Counts, expected: Counts, axes: tuple[str, ...], *, is_subset: bool) -> list[str]:
    """Return the keys whose sums differ; with ``is_subset`` a key may be absent where nothing was evaluated."""
    if is_subset:
        expected = {key: counts for key, counts in expected.items() if counts[0] > 0}
    return [
        f"{key} of {axes or 'everything'}: {found.get(key)} against {expected.get(key)}"
        for key in sorted({**found, **expected}, key=str)
        if found.get(key) != expected.get(key)
    ]
