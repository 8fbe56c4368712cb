"""Questions about blocks, the units of work of a stage: planned, leased, finished or failed.

Who works on a block holds its lease: until it is given back, or until it ends by the database's clock. Whoever lost a lease changes
nothing any more.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from halo_core.errors import LeaseLostError, StoreError
from halo_core.store.models import Block
from halo_core.store.sessions import lock

_NO_LEASE: Mapping[str, None] = {"lease_owner": None, "lease_until": None}


class BlockPlan(NamedTuple):
    """What one block holds."""

    block: int
    n_injections: int
    n_tasks: int
    n_bricks: int


class BlockProgress(NamedTuple):
    """How far the blocks of a stage are; `elapsed_s` is the database's clock since the first start, None before it.

    A brick of two blocks counts for each.
    """

    n_finished: int
    n_blocks: int
    n_tasks_finished: int
    n_tasks: int
    elapsed_s: float | None
    n_bricks_finished: int
    n_bricks: int


class MachineWork(NamedTuple):
    """What the last attempts on one machine finished of a stage's blocks; `busy_s` is the sum of their times by the database's clock."""

    host: str | None
    n_blocks: int
    n_attempts: int
    n_injections: int
    n_tasks: int
    first_started: datetime
    last_finished: datetime
    busy_s: float


class Lease(NamedTuple):
    """Who works on a block, and how long the lease still holds [s]."""

    owner: str
    left_s: float


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


def take_lease(connection: sa.Connection, digest: str, block: int, owner: str, *, seconds: float, host: str) -> bool:
    """Take a block's lease unless another's is alive: one more attempt, on this machine, the last error forgotten.

    Parameters
    ----------
    connection : Connection
    digest : str
    block : int
    owner : str
        A text no other attempt has.
    seconds : float
        Length of the lease; > 0 [s].
    host : str
        Machine, for people.

    Returns
    -------
    bool
        Whether the lease is the owner's now.

    Raises
    ------
    StoreError
        The block was never planned.
    """
    now, until = _clock(connection, 0.0), _clock(connection, seconds)
    is_free = Block.lease_until.is_(None) | (Block.lease_until <= now)
    attempt = {"attempts": Block.attempts + 1, "host": host, "started": sa.func.now(), "finished": None, "error": None}
    values = {**attempt, "lease_owner": owner, "lease_until": until}
    if _changed(connection, digest, block, values, is_free):
        return True
    _require_planned(connection, digest, block)
    return False


def take_leases(connection: sa.Connection, digest: str, owner: str, *, seconds: float, host: str) -> list[int]:
    """Take every lease of a stage's unfinished blocks that is free, in one statement, and return the blocks that are the owner's now."""
    now, until = _clock(connection, 0.0), _clock(connection, seconds)
    is_free = Block.lease_until.is_(None) | (Block.lease_until <= now)
    attempt = {"attempts": Block.attempts + 1, "host": host, "started": sa.func.now(), "error": None}
    update = sa.update(Block).where(Block.stage_digest == digest, Block.finished.is_(None), is_free)
    connection.execute(update.values(**attempt, lease_owner=owner, lease_until=until))
    query = sa.select(Block.block).where(Block.stage_digest == digest, Block.lease_owner == owner).order_by(Block.block)
    return list(connection.scalars(query))


def renew_leases(connection: sa.Connection, digest: str, owner: str, *, seconds: float) -> int:
    """Let every lease of an owner in a stage end this much after now [s], and return how many there are."""
    is_mine = (Block.stage_digest == digest) & (Block.lease_owner == owner)
    return connection.execute(sa.update(Block).where(is_mine).values(lease_until=_clock(connection, seconds))).rowcount


def release_leases(connection: sa.Connection, digest: str, owner: str) -> None:
    """Give every lease of an owner in a stage back."""
    is_mine = (Block.stage_digest == digest) & (Block.lease_owner == owner)
    connection.execute(sa.update(Block).where(is_mine).values(**_NO_LEASE))


def renew_lease(connection: sa.Connection, digest: str, block: int, owner: str, *, seconds: float) -> bool:
    """Let a lease end this much after now [s]; False where it is another's or nobody's."""
    return _changed(connection, digest, block, {"lease_until": _clock(connection, seconds)}, Block.lease_owner == owner)


def release_lease(connection: sa.Connection, digest: str, block: int, owner: str, *, error: str | None = None) -> bool:
    """Give a lease back, with the error that ended the attempt if one did; False where it is another's or nobody's."""
    values = {**_NO_LEASE, **({} if error is None else {"finished": None, "error": error})}
    return _changed(connection, digest, block, values, Block.lease_owner == owner)


def live_lease(connection: sa.Connection, digest: str, block: int) -> Lease | None:
    """Return who works on a block, and for how long the lease still holds; None where nobody does."""
    now = _clock(connection, 0.0)
    query = sa.select(Block.lease_owner, _seconds_from(connection, now, sa.type_coerce(Block.lease_until, sa.DateTime())))
    row = connection.execute(query.where(_is_block(digest, block), Block.lease_until > now)).first()
    return None if row is None else Lease(str(row[0]), float(row[1]))


def live_leases(connection: sa.Connection, digests: Iterable[str]) -> dict[tuple[str, int], str]:
    """Return the owner of every live lease on blocks of these stages, by digest and block."""
    query = sa.select(Block.stage_digest, Block.block, Block.lease_owner).where(
        Block.stage_digest.in_(list(digests)), Block.lease_until > _clock(connection, 0.0)
    )
    return {(row.stage_digest, row.block): row.lease_owner for row in connection.execute(query)}


def idle_blocks(connection: sa.Connection, blocks: Collection[tuple[str, int]]) -> set[tuple[str, int]]:
    """Return those of these blocks, by digest and number, that are planned and that nobody works on now."""
    query = sa.select(Block.stage_digest, Block.block).where(
        Block.stage_digest.in_({digest for digest, _ in blocks}),
        Block.block.in_({number for _, number in blocks}),
        Block.lease_until.is_(None) | (Block.lease_until <= _clock(connection, 0.0)),
    )
    return {(row.stage_digest, row.block) for row in connection.execute(query)} & set(blocks)


def finish_block(connection: sa.Connection, digest: str, block: int, *, owner: str | None = None) -> None:
    """Record that a block's rows are loaded; call it in the transaction that loads them.

    Parameters
    ----------
    connection : Connection
    digest : str
    block : int
    owner : str or None
        Holder of the lease, which ends with this. None finishes a block that needs no lease: its rows alone were loaded.

    Raises
    ------
    LeaseLostError
        The lease is another's or nobody's: the transaction must be given up.
    StoreError
        The block was never planned.
    """
    values = {"finished": sa.func.now(), "error": None}
    if owner is None:
        if not _changed(connection, digest, block, values):
            _require_planned(connection, digest, block)
    elif not _changed(connection, digest, block, {**values, **_NO_LEASE}, Block.lease_owner == owner):
        _require_planned(connection, digest, block)
        raise LeaseLostError(
            f"block {block} of stage {digest}: the lease ended before the work did and the block is another worker's; nothing of this "
            "attempt was loaded. If it happens often, make [state] lease_seconds longer"
        )


def unfinish_block(connection: sa.Connection, digest: str, block: int) -> None:
    """Record that a block's rows are not loaded (any more)."""
    _changed(connection, digest, block, {"finished": None})


def finished_blocks(connection: sa.Connection, digest: str) -> set[int]:
    """Return the numbers of the blocks whose rows are loaded."""
    return set(connection.scalars(sa.select(Block.block).where(Block.stage_digest == digest, Block.finished.is_not(None))))


def is_finished(connection: sa.Connection, digest: str, block: int) -> bool:
    """Return whether a block's rows are loaded; a stage's tasks all ask, so the answer must not cost as much as there are blocks."""
    return connection.execute(sa.select(Block.block).where(_is_block(digest, block), Block.finished.is_not(None))).first() is not None


def failed_blocks(connection: sa.Connection, digest: str) -> dict[int, str]:
    """Return the last error by block, for the blocks whose last attempt failed."""
    query = sa.select(Block.block, Block.error).where(Block.stage_digest == digest, Block.error.is_not(None)).order_by(Block.block)
    return {row.block: row.error for row in connection.execute(query)}


def block_progress(connection: sa.Connection, digest: str) -> BlockProgress:
    """Return counts of finished and planned blocks and tasks of a stage, and the time since its first block started."""

    def total(column: sa.SQLColumnExpression[int], *conditions: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
        return sa.cast(sa.func.coalesce(sa.func.sum(column).filter(*conditions) if conditions else sa.func.sum(column), 0), sa.BigInteger)

    is_finished = Block.finished.is_not(None)
    query = sa.select(
        sa.func.count(Block.finished),
        sa.func.count(Block.block),
        total(Block.n_tasks, is_finished),
        total(Block.n_tasks),
        _seconds_from(connection, sa.func.min(Block.started), _clock(connection, 0.0)),
        total(Block.n_bricks, is_finished),
        total(Block.n_bricks),
    )
    return BlockProgress(*connection.execute(query.where(Block.stage_digest == digest)).one())


def work_by_machine(connection: sa.Connection, digest: str) -> list[MachineWork]:
    """Return what each machine finished of a stage's blocks; blocks whose rows alone were loaded are left out."""
    busy_s = _seconds_from(connection, sa.type_coerce(Block.started, sa.DateTime()), sa.type_coerce(Block.finished, sa.DateTime()))
    sums = [sa.cast(sa.func.sum(column), sa.BigInteger) for column in (Block.attempts, Block.n_injections, Block.n_tasks)]
    query = sa.select(Block.host, sa.func.count(), *sums, sa.func.min(Block.started), sa.func.max(Block.finished), sa.func.sum(busy_s))
    query = query.where(Block.stage_digest == digest, Block.attempts > 0, Block.finished.is_not(None), Block.started.is_not(None))
    rows = connection.execute(query.group_by(Block.host).order_by(Block.host)).all()
    return [MachineWork(*tuple(row)) for row in rows]


def _clock(connection: sa.Connection, plus_s: float) -> sa.ColumnElement[Any]:
    """Return the database's clock at this very statement, plus some seconds; on SQLite as the text its columns hold."""
    if connection.dialect.name == "sqlite":
        return sa.func.strftime("%Y-%m-%d %H:%M:%f", "now", f"{plus_s:+.3f} seconds", type_=sa.Text())
    return sa.func.clock_timestamp() + sa.func.make_interval(0, 0, 0, 0, 0, 0, plus_s)


def _seconds_from(connection: sa.Connection, start: sa.ColumnElement[Any], end: sa.ColumnElement[Any]) -> sa.ColumnElement[float]:
    """Return how long after one moment another is [s]."""
    if connection.dialect.name == "sqlite":
        return (sa.func.julianday(end) - sa.func.julianday(start)) * 86_400.0
    return sa.cast(sa.extract("epoch", end - start), sa.Double)


def _is_block(digest: str, block: int) -> sa.ColumnElement[bool]:
    """Return the condition that names one block."""
    return (Block.stage_digest == digest) & (Block.block == block)


def _changed(connection: sa.Connection, digest: str, block: int, values: Mapping[str, Any], *conditions: sa.ColumnElement[bool]) -> bool:
    """Change one block's row in one statement where it meets the conditions, and return whether it did."""
    return connection.execute(sa.update(Block).where(_is_block(digest, block), *conditions).values(**values)).rowcount == 1


def _require_planned(connection: sa.Connection, digest: str, block: int) -> None:
    """Refuse a block that was never planned."""
    if connection.execute(sa.select(Block.block).where(_is_block(digest, block))).first() is None:
        raise StoreError(f"block {block} of stage {digest} was never planned; call plan_blocks first")
