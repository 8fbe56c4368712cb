"""What a run cost: time, attempts and rates from the state, bytes from the objects."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from halo_core.report.data import Cost
from halo_core.store import blocks, cache, stages
from halo_core.store.blocks import MachineWork
from halo_core.store.stages import StageRecord
from luigi_tasks.identity import VALIDATED
from luigi_tasks.report_run import Run

FLOW = (
    *("survey", "parent", "validation_parent", "manifest", "validation_manifest", "cache", "injection"),
    *("validation_injection", "summary", "validation_summary", "validation_campaign"),
)
"""Stages and their checks in the order in which a campaign goes through them."""

_CLOCKS_DIFFER = timedelta(seconds=2)
"""Moments of two clocks, or of one that counts whole seconds, that are still the same."""


def cost_of(connection: sa.Connection, run: Run) -> Cost:
    """Return the cost of a run as far as the state saw it; what it did not see is None, and a sentence says so."""
    records = {word: stages.stage(connection, run.digests[word]) for word in FLOW if word in run.digests}
    work = {word: blocks.work_by_machine(connection, run.digests[word]) for word in records}
    rows: list[dict[str, Any]] = []
    before: datetime | None = None
    is_seen = True
    for word, record in records.items():
        if record is not None:
            is_seen = _was_seen(run, record, work[word], was_seen_before=is_seen)
            rows.append(_stage_row(run, record, work[word] if is_seen else [], before if is_seen else None, is_seen=is_seen))
            before = max((moment for moment in (before, record.finished_at) if moment is not None), default=None)
    machines = [
        {"stage": word, **one._asdict(), "first_started": _text(one.first_started), "last_finished": _text(one.last_finished)}
        for word, found in work.items()
        for one in found
    ]
    return Cost((*_totals(rows, records), *_rates(connection, run, work)), tuple(rows), tuple(machines))


def _was_seen(run: Run, record: StageRecord, work: Sequence[MachineWork], *, was_seen_before: bool) -> bool:
    """Return whether the state was there when the stage was made; one that was rebuilt, or only loaded the rows, was not."""
    if record.stage == "injection":
        return bool(work) or record.status != "done"
    mark = run.mark(record.stage)
    if mark is None or "created_at_utc" not in mark:
        return was_seen_before
    return datetime.fromisoformat(mark["created_at_utc"]) >= record.created_at - _CLOCKS_DIFFER


def _stage_row(run: Run, record: StageRecord, work: Sequence[MachineWork], before: datetime | None, *, is_seen: bool) -> dict[str, Any]:
    """Return what one stage cost; None where it is not known."""
    # Checks are recorded once they are made, any other stage before it begins.
    known = before if record.stage.startswith("validation_") and before is not None else max(before or record.created_at, record.created_at)
    started = min((one.first_started for one in work), default=known)
    ended = max((one.last_finished for one in work), default=record.finished_at)
    is_known = is_seen and ended is not None
    mark = run.mark(record.stage)
    named = mark["objects"].values() if mark is not None else ()
    return {
        "stage": record.stage,
        "status": record.status,
        "attempts": sum(one.n_attempts for one in work) if work else None,
        "started": _text(started) if is_known else None,
        "ended": _text(ended) if is_known else None,
        "wall_s": max(round((ended - started).total_seconds()), 0) if is_known and ended is not None else None,
        "busy_s": round(sum(one.busy_s for one in work)) if work else None,
        "objects": len(named) if mark is not None else None,
        "bytes": sum(one["n_bytes"] for one in named) if mark is not None else None,
    }


def _totals(rows: Sequence[Mapping[str, Any]], records: Mapping[str, StageRecord | None]) -> list[str]:
    """Return the sentences on the whole run."""
    unseen = [str(row["stage"]) for row in rows if row["wall_s"] is None and row["status"] == "done"]
    if unseen:
        return [f"The total is not known: the state did not see {', '.join(unseen)} being made, it only loaded the rows."]
    if any(f"validation_{subject}" not in records for subject in VALIDATED) or not rows:
        return ["The run did not reach its end."]
    alone = [row for row in rows if row["stage"] != "cache" or row["busy_s"] is not None]
    wall_s = sum(row["wall_s"] or 0 for row in alone)
    core_s = sum(row["busy_s"] if row["busy_s"] is not None else row["wall_s"] or 0 for row in alone)
    return [f"All stages together: {_duration(wall_s)} of clock, {_duration(core_s)} of work; a block is the work of one core."]


def _rates(connection: sa.Connection, run: Run, work: Mapping[str, Sequence[MachineWork]]) -> list[str]:
    """Return the sentences on injections and planes per second."""
    sentences = []
    found = work.get("injection", [])
    if found:
        n_injections, busy_s = sum(one.n_injections for one in found), sum(one.busy_s for one in found)
        wall_s = (max(one.last_finished for one in found) - min(one.first_started for one in found)).total_seconds()
        rates = f"{_rate(n_injections, busy_s)} per core and second, {_rate(n_injections, wall_s)} per second of clock"
        sentences.append(f"Injection: {n_injections:,} injections and controls, {rates}.")
    if "cache" in run.digests:
        fetched = cache.fetch_work(connection, stage_digest=run.digests["cache"])
        if fetched.n_planes and fetched.n_bytes is not None and fetched.seconds is not None:
            rates = f"{_rate(fetched.n_planes, fetched.seconds)} planes and {_rate(fetched.n_bytes / 1e6, fetched.seconds)} MB"
            size = f"{fetched.n_bytes / 1e9:,.3g} GB"
            sentences.append(f"Cache: {fetched.n_planes:,} planes fetched and verified, {size}; {rates} per second of one connection.")
        else:
            sentences.append("Cache: how fast planes were fetched is not known; they were there before, or the state was rebuilt.")
    return sentences


def _rate(number: float, seconds: float) -> str:
    """Return a rate as text; below the clock's second it says nothing."""
    return f"{number / seconds:,.3g}" if seconds > 0 else "more than can be timed"


def _duration(seconds: float) -> str:
    """Return a time as text."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def _text(moment: datetime | None) -> str | None:
    """Return a moment as text, UTC."""
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"
