"""Rows of the injection stage: the results, the books between planned and processed, and the losses by reason."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from halo_core.store.bulk import fetch_rows, replace_rows
from halo_core.store.models import FlagName, InjectionResult, InjectionTask

BOOK_COLUMNS = (
    "tier",
    "region_split",
    "stamp_size",
    "n_planned",
    "n_built",
    "n_processed",
    "n_evaluated",
    "n_not_evaluated",
    "n_planned_injections",
    "n_built_injections",
    "n_summarised_injections",
)
"""Columns of `v_accounting` beside the campaign."""


class Account(NamedTuple):
    """The books of one tier, split and stamp size: planned = processed and processed = evaluated + not evaluated when complete."""

    tier: str
    region_split: str
    stamp_size: int
    n_planned: int
    n_controls: int
    n_processed: int
    n_evaluated: int
    n_not_evaluated: int


class Loss(NamedTuple):
    """How many tasks of one tier, split and stamp size have a loss flag; a task with two flags counts under both."""

    tier: str
    region_split: str
    stamp_size: int
    flag_name: str
    n_tasks: int


_KEYS = (InjectionTask.tier, InjectionTask.region_split, InjectionTask.stamp_size)


def store_results(connection: sa.Connection, rows: pa.Table, *, stage_digest: str, block: int | None = None) -> int:
    """Put the results of a digest, or of one block of it, in place of what was there; return their number."""
    return replace_rows(connection, InjectionResult, rows, stage_digest=stage_digest, block=block)


def results(connection: sa.Connection, *, stage_digest: str, block: int | None = None) -> pa.Table:
    """Return the results of a digest or of one block of it, by task id; columns of `records.RESULTS`."""
    return fetch_rows(connection, InjectionResult, stage_digest=stage_digest, block=block)


def accounting(connection: sa.Connection, manifest_digest: str, injection_digest: str) -> list[Account]:
    """Return the books by tier, split and stamp size; a task without a result is planned and not processed."""
    is_evaluated = InjectionResult.cutout_ok & InjectionResult.metrics_ok
    query = (
        sa.select(
            *_KEYS,
            sa.func.count(),
            sa.func.count().filter(InjectionTask.is_control),
            sa.func.count(InjectionResult.task_id),
            sa.func.count().filter(is_evaluated),
            sa.func.count().filter(~is_evaluated),
        )
        .outerjoin(InjectionResult, _same_task(injection_digest))
        .where(InjectionTask.stage_digest == manifest_digest)
    )
    return [Account(*row) for row in connection.execute(query.group_by(*_KEYS).order_by(*_KEYS))]


def books(connection: sa.Connection, campaign: str) -> list[Mapping[str, Any]]:
    """Return the rows of `v_accounting` of a campaign's latest run: planned, built, processed, summarised."""
    columns: list[sa.ColumnClause[Any]] = [sa.column(name) for name in BOOK_COLUMNS]
    view = sa.table("v_accounting", sa.column("campaign", sa.Text()), *columns)
    query = sa.select(*(view.c[name] for name in BOOK_COLUMNS)).where(view.c.campaign == campaign)
    return [dict(row) for row in connection.execute(query.order_by(view.c.tier, view.c.region_split, view.c.stamp_size)).mappings()]


def results_without_task(connection: sa.Connection, manifest_digest: str, injection_digest: str) -> int:
    """Return how many results belong to no task of the manifest: 0 unless something is wrong."""
    is_planned = sa.exists().where(InjectionTask.stage_digest == manifest_digest, InjectionTask.task_id == InjectionResult.task_id)
    query = sa.select(sa.func.count()).where(InjectionResult.stage_digest == injection_digest, ~is_planned)
    return connection.execute(query).scalar_one()


def losses(connection: sa.Connection, manifest_digest: str, injection_digest: str) -> list[Loss]:
    """Return the number of tasks by tier, split, stamp size and loss flag; flags that no task has are left out."""
    query = (
        sa.select(*_KEYS, FlagName.name, sa.func.count())
        .join(InjectionResult, _same_task(injection_digest))
        .join(FlagName, InjectionResult.flags.bitwise_and(FlagName.bit) != 0)
        .where(InjectionTask.stage_digest == manifest_digest, FlagName.kind == "loss")
        .group_by(*_KEYS, FlagName.bit, FlagName.name)
        .order_by(*_KEYS, FlagName.bit)
    )
    return [Loss(*row) for row in connection.execute(query)]


def task_by_prefix(connection: sa.Connection, prefix: str) -> list[Mapping[str, Any]]:
    """Return the rows of `v_task_full` whose task id starts so: task and result in the latest run of each campaign."""
    view = sa.table("v_task_full", sa.column("task_id", sa.Text()))
    query = sa.select(sa.text("*")).select_from(view).where(view.c.task_id.startswith(prefix, autoescape=True)).order_by(view.c.task_id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _same_task(injection_digest: str) -> sa.ColumnElement[bool]:
    """Return the condition that joins a result of a digest to its task."""
    return (InjectionResult.task_id == InjectionTask.task_id) & (InjectionResult.stage_digest == injection_digest)
