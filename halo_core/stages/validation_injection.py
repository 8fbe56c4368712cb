"""Checks of cache and injection that need their tables alone: accounting, ranges, planes. The stamps are in validation_stamps."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from halo_core.constants import BANDS
from halo_core.records import Finding
from halo_core.stages.validation import advise, expect
from halo_core.stages.validation_injection_counts import ROW_LAWS, InjectionCounts
from halo_core.survey.layout import planes_for

STAGE = "injection"


def check_results(counts: InjectionCounts) -> list[Finding]:
    """Return the findings on the results of a whole campaign; without a row, only that there is none."""
    if counts.n_tasks == 0 or counts.n_results == 0:
        return [_rows_equal(counts)]
    return [_rows_equal(counts), *_row_checks(counts), _views_share_their_magnification(counts), _something_was_evaluated(counts)]


def _rows_equal(counts: InjectionCounts) -> Finding:
    """Every manifest row has exactly one result row."""
    return expect(
        STAGE,
        "results_are_the_manifest",
        is_ok=counts.n_tasks > 0 and counts.is_paired and counts.n_distinct == counts.n_results,
        observed=f"{counts.n_results} results, {counts.n_distinct} distinct",
        expected=f"{counts.n_tasks} tasks, each once",
        sentence="Every manifest row ends as exactly one result row.",
    )


def _row_checks(counts: InjectionCounts) -> Iterator[Finding]:
    """Yield the finding of each law that must hold for every row."""
    for name, (_, sentence) in ROW_LAWS.items():
        if name in counts.raised:
            yield counts.raised[name].finding(STAGE, name, sentence)
            continue
        n_broken = counts.n_broken[name]
        observed = f"{n_broken} of {counts.n_rows} rows"
        yield expect(STAGE, name, is_ok=n_broken == 0, observed=observed, expected="0 rows", sentence=sentence)


def _views_share_their_magnification(counts: InjectionCounts) -> Finding:
    """Every view of one physical injection has the same magnification."""
    return expect(
        STAGE,
        "views_are_one_injection",
        is_ok=counts.n_magnifications == counts.n_physical,
        observed=f"{counts.n_magnifications} magnifications",
        expected=f"{counts.n_physical} physical injections",
        sentence="Views of one physical injection share its magnification.",
    )


def _something_was_evaluated(counts: InjectionCounts) -> Finding:
    """At least one injection was evaluated."""
    n, n_planned = counts.n_injections, counts.n_planned
    observed = f"{n} of {n_planned} injections, {n / n_planned:.1%}" if n_planned else "no injection"
    return expect(STAGE, "coverage", is_ok=n > 0, observed=observed, expected="at least 1", sentence="Injections that were evaluated.")


def check_planes(counts: InjectionCounts, planes: pa.Table) -> list[Finding]:
    """Return the findings on the planes, `records.PLANES` of the whole campaign: each asked for has one row, each loss its reason."""
    bands = [band for band in BANDS if any(band in bandset for bandset in counts.bandsets)]
    bricknames = pa.array(sorted(counts.bricknames), type=pa.string())
    n_asked = len(bricknames) * len(planes_for(tuple(bands)))
    n_distinct = planes.group_by(["brickname", "plane"]).aggregate([]).num_rows
    is_known = pc.all(pc.is_in(planes["brickname"], value_set=bricknames), min_count=0).as_py()
    is_ok = pc.equal(planes["status"], "ok")
    has_bytes = pc.greater(pc.utf8_length(pc.fill_null(planes["sha256"], "")), 0)
    unexplained = pc.or_(pc.equal(is_ok, pc.is_valid(planes["reason"])), pc.and_not(is_ok, has_bytes))
    n_unexplained, n_lost = (int(pc.sum(column, min_count=0).as_py()) for column in (unexplained, pc.invert(is_ok)))
    return [
        expect(
            STAGE,
            "planes_are_counted",
            is_ok=n_asked == n_distinct == planes.num_rows and is_known and n_asked > 0,
            observed=f"{planes.num_rows} rows, {n_distinct} planes",
            expected=f"{n_asked} planes, one row each",
            sentence="Every plane of every brick of the manifest has one row, losses included.",
        ),
        expect(
            STAGE,
            "lost_planes_have_reasons",
            is_ok=n_unexplained == 0,
            observed=f"{n_unexplained} of {planes.num_rows} rows",
            expected="0 rows",
            sentence="Planes without sha256, or lost without a reason.",
        ),
        advise(
            STAGE,
            "planes_are_there",
            is_ok=n_lost == 0,
            observed=f"{n_lost} of {planes.num_rows} planes lost",
            expected="0 lost",
            sentence="Planes that the survey lacks or that failed verification; their tasks are not evaluated.",
        ),
    ]
