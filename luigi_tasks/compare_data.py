"""What the comparison of two campaigns shows, collected from the objects of their latest runs."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from halo_core.errors import ConfigurationError
from halo_core.report.comparison import ComparisonData
from halo_core.stages.comparison import (
    COMPARED_AXES,
    TASK_COLUMNS,
    Asked,
    Key,
    Outcomes,
    cell_differences,
    outcome_columns,
    outcomes,
    pairable,
    paired_rows,
)
from halo_core.stages.files import read_table
from halo_core.stages.summary_blocks import in_parts
from halo_core.stamps import RESULTS_FILE
from halo_core.store.campaigns import FLOW
from luigi_tasks.objects import Objects
from luigi_tasks.report_run import Run, run_of
from luigi_tasks.targets import BLOCKS_FILE, CELLS_FILE, TASKS_FILE, block_prefix

Pair = tuple[Run, Run]


def collect_comparison(connection: sa.Connection, names: tuple[str, str], objects: Objects) -> ComparisonData:
    """Return everything the page of two campaigns shows.

    Raises
    ------
    StoreError
        No campaign has a name.
    ConfigurationError
        A campaign has no summary, or they have no experiment and criterion in common.
    """
    runs = (run_of(connection, names[0], objects), run_of(connection, names[1], objects))
    asked = (_asked(runs[0]), _asked(runs[1]))
    tables = [run.table("summary", CELLS_FILE) for run in runs]
    cells = {axes: cell_differences(tables[0], tables[1], axes) for axes in COMPARED_AXES}
    if not cells[""]:
        raise ConfigurationError(
            f"campaigns {names[0]!r} and {names[1]!r} have no tier, stamp size, bandset and criterion in common: nothing to compare"
        )
    cluster_nside = int(_parameters(runs[0])["cluster_nside"])
    found = [_outcomes(run, one, cluster_nside) for run, one in zip(runs, asked, strict=True)]
    digests = [(word, runs[0].digests.get(word), runs[1].digests.get(word)) for word in _words(runs)]
    labels, definitions = _labels(asked)
    return ComparisonData(
        names=names,
        is_identical=all(one == other for _, one, other in digests),
        digests=digests,
        configuration=_differing(_flat(runs[0].config), _flat(runs[1].config)),
        criterion_labels=labels,
        cautions=[*definitions, *_cautions(runs, asked, found)],
        cells=cells,
        paired=paired_rows(found[0], found[1]),
    )


def _parameters(run: Run) -> dict[str, Any]:
    """Return the parameters of a run's summary."""
    mark = run.mark("summary") if "summary" in run.digests else None
    if mark is None:
        raise ConfigurationError(f"campaign {run.name!r} has no summary; finish it with RunCampaign, then compare again")
    return dict(mark["parameters"])


def _asked(run: Run) -> Asked:
    """Return what a run asks of an injection."""
    found = _parameters(run)
    return Asked(tuple(run.criteria()), found["clean_max_bad_pixel_frac"], found["clean_max_wise_frac"])


def _outcomes(run: Run, asked: Asked, cluster_nside: int) -> dict[Key, Outcomes]:
    """Return what became of every injection of a run, block by block."""
    columns = outcome_columns(pairable(asked.criteria))

    def blocks() -> Iterator[tuple[pa.Table, pa.Table]]:
        for block in run.table("manifest", BLOCKS_FILE)["block"].to_pylist():
            kinds = (("manifest", TASKS_FILE, TASK_COLUMNS), ("injection", RESULTS_FILE, columns))
            paths = [run.objects.path(f"{block_prefix(word, run.digests[word], block)}/{name}") for word, name, _ in kinds]
            yield read_table(paths[0], list(TASK_COLUMNS)), read_table(paths[1], list(columns))

    return outcomes(in_parts(blocks(), TASK_COLUMNS, columns), asked, cluster_nside=cluster_nside)


def _words(runs: Pair) -> list[str]:
    """Return the stages of either run in the order of the flow; checks follow from their stages, and the page is none."""
    words = {word for run in runs for word in run.digests}
    return [word for word in ("mock_survey", *FLOW) if word in words]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, object]:
    """Return (dotted name, value) pairs."""
    found: dict[str, object] = {}
    for name, value in values.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _differing(a: Mapping[str, object], b: Mapping[str, object]) -> list[tuple[str, object, object]]:
    """Return the parameters whose values differ, but for the name."""
    return [(name, a.get(name), b.get(name)) for name in sorted({*a, *b} - {"campaign_name"}) if a.get(name) != b.get(name)]


def _labels(asked: tuple[Asked, Asked]) -> tuple[dict[str, str], list[str]]:
    """Return the label of each criterion of both, and a sentence for each whose definitions differ."""
    labels, sentences = dict[str, str](), list[str]()
    first, second = ({criterion.name: criterion for criterion in one.criteria} for one in asked)
    for name in (name for name in first if name in second):
        one, other = first[name], second[name]
        labels[name] = one.label
        if (one.version, one.minimums) != (other.version, other.minimums):
            labels[name] = f"{name} (defined differently)"
            texts = [f"{side}: {found.label}, version {found.version}" for side, found in (("A", one), ("B", other))]
            sentences.append(f"The criterion {name} is not the same in both: {'; '.join(texts)}. Differences are of the definition too.")
    return labels, sentences


def _cautions(runs: Pair, asked: tuple[Asked, Asked], found: Sequence[Mapping[Key, Outcomes]]) -> list[str]:
    """Return what else a reader must know."""
    sentences = []
    names = [{criterion.name for criterion in one.criteria} for one in asked]
    for side, own, other in (("A", 0, 1), ("B", 1, 0)):
        if alone := sorted(names[own] - names[other]):
            sentences.append(f"{side} alone has the criteria {', '.join(alone)}; they are not compared.")
        if keys := sorted(found[own].keys() - found[other].keys()):
            sentences.append(f"{side} alone has {'; '.join(f'{t}, {s} pixels, {b}' for t, s, b in keys)}.")
    shared = names[0] & names[1]
    scored = sorted(shared - {criterion.name for one in asked for criterion in pairable(one.criteria)})
    if scored:
        sentences.append(f"{', '.join(scored)} reads scores that do not stand among the results: compared without pairs.")
    limits = [(one.clean_max_bad_pixel_frac, one.clean_max_wise_frac) for one in asked]
    if limits[0] != limits[1]:
        sentences.append("The subset clean has other limits in A than in B.")
    nsides = [_parameters(run)["cluster_nside"] for run in runs]
    if nsides[0] != nsides[1]:
        sentences.append(f"Sky cells differ: nside {nsides[0]} in A, {nsides[1]} in B; pairs use those of A.")
    return sentences
