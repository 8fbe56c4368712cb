"""Checks of the smooth models: every experiment and criterion has its row, and what was fitted agrees with bins and held-out injections."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from scipy.stats import binom

from halo_core.records import Finding
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_models import COMPARED_AXES
from halo_core.stages.summary_rows import EXPERIMENT_COLUMNS
from halo_core.stages.validation import advise, expect
from halo_core.statistics.completeness_checks import FALSE_ALARM_RATE
from halo_core.statistics.completeness_fit import FitStatus

Row = Mapping[str, object]

_STAGE = "summary"


def model_laws(rows: Sequence[Row], cells: Sequence[Row], config: SummaryConfig) -> dict[str, Callable[[], Finding]]:
    """Return the laws of the smooth models of a summary, by name.

    Parameters
    ----------
    rows : sequence of mapping
        ``models`` of the facts.
    cells : sequence of mapping
        Rows of ``records.CELLS``.
    config : SummaryConfig
        What the models were made with.
    """
    bins, held_out = "smooth_model_agrees_with_bins", "held_out_injections_confirm_model"
    return {
        "models_listed": lambda: _models_listed(rows, cells, config),
        bins: lambda: _advise(bins, rows, _apart_from_bins, "A smooth model agrees with the binned completeness."),
        held_out: lambda: _advise(held_out, rows, _refuted, "A smooth model tells the outcome of injections it has not seen."),
    }


def _models_listed(rows: Sequence[Row], cells: Sequence[Row], config: SummaryConfig) -> Finding:
    """Every experiment and criterion has one row; a model is stored where it was fitted, and never for a threshold on what was painted."""
    found = Counter((*_experiment(row), row["criterion"]) for row in rows)
    experiments = {_experiment(cell) for cell in cells}
    wrong = [f"{key}: {found[key]} rows" for one in experiments for name in config.criteria if found[key := (*one, name.name)] != 1]
    wrong += [f"{key} is no experiment and criterion" for key in found if key[:-1] not in experiments]
    truth = {one.name for one in config.criteria if one.is_truth_only}
    for row in rows:
        is_refused = row["status"] == FitStatus.DETERMINISTIC_CRITERION
        if (row["key"] is not None) != (row["status"] == FitStatus.FITTED) or (row["criterion"] in truth and not is_refused):
            wrong.append(f"{_name(row)}: {row['status']} with model {row['key']}")
    observed = f"{len(wrong)} differ: {sorted(wrong)[:3]}" if wrong else f"{len(rows)} rows"
    sentence = "Every experiment and criterion has a smooth model or the reason why not; a threshold on what was painted has none."
    return expect(_STAGE, "models_listed", is_ok=not wrong, observed=observed, expected="no row differs", sentence=sentence)


def _apart_from_bins(row: Row) -> Iterator[str]:
    """Yield where a model and the bins of its own injections differ, or that nothing could be compared."""
    for axis in COMPARED_AXES:
        worst, largest, limit = (row[f"{axis}_{name}"] for name in ("worst", "largest", "limit"))
        if worst == -1:
            yield f"{_name(row)}: no {axis} has an interval to compare with"
        elif not _number(largest) <= _number(limit):
            yield f"{_name(row)}: {axis} {worst} deviates by {_number(largest):.2f} half intervals, limit {_number(limit):.2f}"


def _refuted(row: Row) -> Iterator[str]:
    """Yield what the held-out injections say against a model, or that there are none."""
    if row["n_held_out"] is None:
        yield f"{_name(row)}: no evaluated injection of {row['held_out_split']} lies in its domain"
        return
    brier, constant = _number(row["brier"]), _number(row["brier_constant"])
    if not brier < constant:
        yield f"{_name(row)}: Brier score {brier:.4f}, that of a constant {constant:.4f}"
    n_bins, n_outside = int(_number(row["n_reliability_bins"])), int(_number(row["n_reliability_outside"]))
    limit = int(binom.isf(FALSE_ALARM_RATE, n_bins, 1.0 - _number(row["level"]))) if n_bins else 0
    if n_bins == 0:
        yield f"{_name(row)}: too few held-out sky cells for a reliability table"
    elif n_outside > limit:
        yield f"{_name(row)}: {n_outside} of {n_bins} reliability bins do not hold the prediction, at most {limit} may"


def _advise(check: str, rows: Sequence[Row], wrongs: Callable[[Row], Iterator[str]], sentence: str) -> Finding:
    """Return a warning where a model breaks a law; nothing to say where none was fitted."""
    fitted = [row for row in rows if row["status"] == FitStatus.FITTED]
    wrong = [text for row in fitted for text in wrongs(row)]
    observed = f"{len(wrong)} differ: {'; '.join(wrong[:3])}" if wrong else f"{len(fitted)} models, none differs"
    if not fitted:
        statuses = Counter(str(row["status"]) for row in rows)
        observed = "nothing was fitted: " + ", ".join(f"{status} {n}" for status, n in sorted(statuses.items()))
    return advise(_STAGE, check, is_ok=not wrong, observed=observed, expected="no model differs", sentence=sentence)


def _experiment(row: Row) -> tuple[object, ...]:
    """Return which experiment a row is of."""
    return tuple(row[name] for name in EXPERIMENT_COLUMNS)


def _name(row: Row) -> str:
    """Return how a message names a model."""
    return f"{row['criterion']} of {row['tier']}, {row['stamp_size']} pix, {row['bandset']}"


def _number(value: object) -> float:
    """Return a numeric entry; NaN for None."""
    return float(value) if isinstance(value, (int, float)) else float("nan")
