"""Checks of the facts beside the cells: magnifications, the proxy's own limit, sums against cells and manifest, expected numbers."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import isfinite

from halo_core.records import Finding
from halo_core.stages.criteria import RESOLUTION
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_facts import FACT_NAMES, Facts
from halo_core.stages.summary_rows import EXPERIMENT_COLUMNS
from halo_core.stages.validation import advise, expect, judged
from halo_core.stages.validation_summary_counts import KEYS, InputCounts
from halo_core.stages.validation_summary_models import model_laws

Rows = Sequence[Mapping[str, object]]

_STAGE = "summary"
_DEFINITION = (("n_below", "n_recovered_below"), ("n_above", "n_recovered_above"))


def check_facts(facts: Facts, cells: Rows, counts: InputCounts, config: SummaryConfig) -> list[Finding]:
    """Return the findings on the facts of a summary.

    Parameters
    ----------
    facts : Facts
        As written.
    cells : sequence of mapping
        Rows of ``records.CELLS``.
    counts : InputCounts
        Of the manifest and the results.
    config : SummaryConfig
        What the facts were made with.
    """
    found = _expect(
        "facts_present", set(facts) == set(FACT_NAMES), sorted(facts), sorted(FACT_NAMES), "The facts have exactly their lists."
    )
    if not found.is_ok:
        return [found]
    laws: Mapping[str, Callable[[], Finding]] = {
        "magnification_at_least_one": lambda: _magnification_at_least_one(facts["magnification"]),
        "magnifications_counted": lambda: _magnifications_counted(facts["magnification"], counts),
        "nothing_recovered_below_own_limit": lambda: _nothing_below_own_limit(facts["definition"], cells, config),
        "definition_adds_up": lambda: _definition_adds_up(facts["definition"], cells, config),
        "psf_provenance_adds_up": lambda: _psf_provenance_adds_up(facts["psf_provenance"], counts),
        "reference_numbers_reproduced": lambda: _expected_numbers(facts["expected"]),
        **model_laws(facts["models"], cells, config),
    }
    return [found, *(judged(_STAGE, check, law) for check, law in laws.items())]


def _magnification_at_least_one(rows: Rows) -> Finding:
    """No lens takes light away."""
    wrong = [f"{row['tier']}: {row['minimum']}" for row in rows if row["n_physical"] and not _number(row["minimum"]) >= 1.0]
    return _differs("magnification_at_least_one", wrong, "No injection has a magnification below 1.")


def _magnifications_counted(rows: Rows, counts: InputCounts) -> Finding:
    """Every physical injection that was evaluated is counted once, in the histogram too, and the least is the least of the results."""
    found = {_tier(row): (row["n_physical"], row["minimum"]) for row in rows if row["n_physical"]}
    wrong = _unequal(found, counts.physical)
    wrong += [f"{_tier(row)}: histogram" for row in rows if sum(_list(row["histogram_counts"])) != row["n_physical"]]
    return _differs("magnifications_counted", wrong, "The magnifications are those of the evaluated physical injections, each once.")


def _tier(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return tier and grid of a row."""
    return row["tier"], row["grid"]


def _nothing_below_own_limit(definition: Rows, cells: Rows, config: SummaryConfig) -> Finding:
    """A criterion with a minimum on theta_e/FWHM recovers nothing below it: in the facts, and in the cells whose bin lies below."""
    limits = {one.name: minimum for one in config.criteria for metric, minimum in one.minimums if metric == RESOLUTION}
    wrong = [f"{_experiment(row)} {row['criterion']}: {row['n_recovered_below']}" for row in definition if row["n_recovered_below"] != 0]
    for cell in cells:
        if cell["axes"] == "resolution_bin" and _number(cell["bin_upper"]) <= limits.get(str(cell["criterion"]), float("-inf")):
            wrong += [f"cell {cell['cell']}: {cell['n_recovered']}"] if cell["n_recovered"] else []
    return _differs("nothing_recovered_below_own_limit", wrong, "No criterion recovers an injection below its own minimum of theta_e/FWHM.")


def _definition_adds_up(definition: Rows, cells: Rows, config: SummaryConfig) -> Finding:
    """Below and above make up the evaluated and the recovered of the pooled cell, for each criterion with such a limit."""
    named = {one.name for one in config.criteria if RESOLUTION in one.metrics}
    expected = {
        (*_experiment(cell), cell["criterion"]): (cell["n_evaluated"], cell["n_recovered"])
        for cell in cells
        if cell["axes"] == "" and cell["subset"] == "all" and cell["region_split"] is None and cell["selection_set_id"] is None
        if cell["criterion"] in named
    }
    found = {
        (*_experiment(row), row["criterion"]): tuple(sum(_number(row[name]) for name in pair) for pair in zip(*_DEFINITION, strict=True))
        for row in definition
    }
    return _differs("definition_adds_up", _unequal(found, expected), "Below and above a criterion's own limit make up its pooled cell.")


def _psf_provenance_adds_up(rows: Rows, counts: InputCounts) -> Finding:
    """Over the sources, each experiment, split and band has the tasks of the manifest."""
    found: Counter[tuple[object, ...]] = Counter()
    for row in rows:
        found[(*(row[name] for name in KEYS), row["band"])] += int(_number(row["n_tasks"]))
    expected = {(*key, band): n for key, n in counts.tasks.items() for band in str(key[KEYS.index("bandset")])}
    return _differs("psf_provenance_adds_up", _unequal(found, expected), "Over all sources the PSF sizes counted are the manifest's tasks.")


def _expected_numbers(rows: Rows) -> Finding:
    """The reference design gives the numbers that theory and the reference campaign give."""
    judged = [row for row in rows if row["is_ok"] is not None]
    wrong = [
        f"{row['tier']} {row['quantity']} {row['observed']}, expected {row['expected']} +- {row['tolerance']}"
        for row in judged
        if not row["is_ok"]
    ]
    observed = (
        f"{len(wrong)} of {len(judged)} numbers differ: {wrong[:3]}"
        if wrong
        else f"{len(judged)} of {len(rows)} numbers judged, none differs"
    )
    return advise(
        _STAGE,
        "reference_numbers_reproduced",
        is_ok=not wrong,
        observed=observed,
        expected="no number differs",
        sentence="A tier of the reference design gives the magnifications and the proxy's shares that are known for it.",
    )


def _differs(check: str, wrong: Sequence[str], sentence: str) -> Finding:
    """Return the finding of a law that no row may break."""
    return _expect(
        check, not wrong, f"{len(wrong)} rows differ: {list(wrong[:3])}" if wrong else "no row differs", "no row differs", sentence
    )


def _expect(check: str, is_ok: bool, observed: object, expected: object, sentence: str) -> Finding:
    """Return an error-level finding of this stage."""
    return expect(_STAGE, check, is_ok=is_ok, observed=observed, expected=expected, sentence=sentence)


def _unequal(found: Mapping[tuple[object, ...], object], expected: Mapping[tuple[object, ...], object]) -> list[str]:
    """Return the keys whose values differ."""
    keys = sorted({**found, **expected}, key=str)
    return [f"{key}: {found.get(key)} against {expected.get(key)}" for key in keys if found.get(key) != expected.get(key)]


def _experiment(row: Mapping[str, object]) -> tuple[object, ...]:
    """Return which experiment a row is of."""
    return tuple(row[name] for name in EXPERIMENT_COLUMNS)


def _list(value: object) -> Iterable[int]:
    """Return a list of counts."""
    return value if isinstance(value, list) else []


def _number(value: object) -> float:
    """Return a numeric entry; NaN for None."""
    return float(value) if isinstance(value, (int, float)) and isfinite(value) else float("nan")
