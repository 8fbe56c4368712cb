"""Questions about blocks, the units of work of a stage: planned, started, finished or failed."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.store.models import Block
from halo_core.store.sessions import lock


class BlockPlan(NamedTuple):
    """What one block holds."""

    block: int
    n_injections: int
    n_tasks: int
    n_bricks: int


class BlockProgress(NamedTuple):
    """How far the blocks of a stage are; `elapsed_s` is the database's clock since the first start, None before it."""

    n_finished: int
    n_blocks: int
    n_tasks_finished: int
    n_tasks: int
    elapsed_s: float | None


def plan_blocks(connection: sa.Connection, digest: str, plans: Iterable[BlockPlan]) -> None:
    """Record the blocks of a stage; again with the same plan changes nothing, finished blocks included.

    Raises
    ------
    StoreError
        The stage has blocks already and they are not these.
    """
    lock(connection, "blocks", digest)
    wanted = {plan.block: plan for plan in plans}
    found = {plan.block: plan for plan in planned_blocks(connection, digest)}
    differing = sorted(number for number in wanted.keys() | found.keys() if wanted.get(number) != found.get(number))
    if found and differing:
        number = differing[0]
        raise StoreError(
            f"stage {digest} has another plan for {len(differing)} blocks: block {number} is recorded as {found.get(number)}, "
            f"now asked as {wanted.get(number)}; another plan needs another digest"
        )
    if wanted and not found:
        rows = [{"stage_digest": digest, "attempts": 0, **plan._asdict()} for plan in wanted.values()]
        connection.execute(sa.insert(Block), rows)


def planned_blocks(connection: sa.Connection, digest: str) -> list[BlockPlan]:
    """Return the plan of a stage's blocks, in their order."""
    query = sa.select(Block.block, Block.n_injections, Block.n_tasks, Block.n_bricks).where(Block.stage_digest == digest)
    return [BlockPlan(*row) for row in connection.execute(query.order_by(Block.block))]


def start_block(connection: sa.Connection, digest: str, block: int, host: str) -> None:
    """Record that a machine starts a block: one more attempt, the last error forgotten."""
    values = {"attempts": Block.attempts + 1, "host": host, "started": sa.func.now(), "finished": None, "error": None}
    _update(connection, digest, block, values)


def finish_block(connection: sa.Connection, digest: str, block: int) -> None:
    """Record that a block's rows are loaded; call it in the transaction that loads them."""
    _update(connection, digest, block, {"finished": sa.func.now(), "error": None})


def fail_block(connection: sa.Connection, digest: str, block: int, error: str) -> None:
    """Record why an attempt at a block failed."""
    _update(connection, digest, block, {"finished": None, "error": error})


def finished_blocks(connection: sa.Connection, digest: str) -> set[int]:
    """Return the numbers of the blocks whose rows are loaded."""
    return set(connection.scalars(sa.select(Block.block).where(Block.stage_digest == digest, Block.finished.is_not(None))))


def failed_blocks(connection: sa.Connection, digest: str) -> dict[int, str]:
    """Return the last error by block, for the blocks whose last attempt failed."""
    query = sa.select(Block.block, Block.error).where(Block.stage_digest == digest, Block.error.is_not(None)).order_by(Block.block)
    return {row.block: row.error for row in connection.execute(query)}


def block_progress(connection: sa.Connection, digest: str) -> BlockProgress:
    """Return counts of finished and planned blocks and tasks of a stage, and the time since its first block started."""
    query = sa.select(
        sa.func.count(Block.finished),
        sa.func.count(Block.block),
        sa.cast(sa.func.coalesce(sa.func.sum(Block.n_tasks).filter(Block.finished.is_not(None)), 0), sa.BigInteger),
        sa.cast(sa.func.coalesce(sa.func.sum(Block.n_tasks), 0), sa.BigInteger),
        _seconds_since(connection, sa.func.min(Block.started)),
    )
    return BlockProgress(*connection.execute(query.where(Block.stage_digest == digest)).one())


def _seconds_since(connection: sa.Connection, moment: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """Return the database's clock minus a moment [s]."""
    if connection.dialect.name == "sqlite":
        return (sa.func.julianday("now") - sa.func.julianday(moment)) * 86_400.0
    return sa.cast(sa.extract("epoch", sa.func.clock_timestamp() - moment), sa.Double)


def _update(connection: sa.Connection, digest: str, block: int, values: Mapping[str, Any]) -> None:
    """Change one block's row; a block that was never planned is an error."""
    result = connection.execute(sa.update(Block).where(Block.stage_digest == digest, Block.block == block).values(**values))
    if result.rowcount != 1:
        raise StoreError(f"block {block} of stage {digest} was never planned; call plan_blocks first")
