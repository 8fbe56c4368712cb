"""Leases of blocks: one worker at a time has a block, for as long as it lives and says so.

The lease stands in the state and ends by the database's clock. A thread renews it while the work goes on; another worker that wants the
block waits, and takes it over when its owner has ended: at once where that was a process of the same machine, else when the lease has.
"""

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import ClassVar

import luigi
import sqlalchemy as sa

from halo_core.errors import ConfigurationError, StoreError
from halo_core.store import blocks
from halo_core.store.sessions import begin

logger = logging.getLogger(__name__)

LONGEST_POLL_S = 5.0
_RENEWALS_PER_LEASE = 3
_POLLS_PER_LEASE = 20
_PROC = Path("/proc")


class LeaseSettings(luigi.Config):
    """How long a worker that says nothing keeps its block, [state] in luigi.cfg."""

    ignore_unconsumed: ClassVar[set[str]] = {"url", "parents"}

    lease_seconds = luigi.FloatParameter(default=120.0, description="Length of a block's lease; it is renewed every third of it [s].")

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "state"


@dataclass(frozen=True)
class Lease:
    """A block that is this worker's until the lease ends."""

    state_url: str
    digest: str
    block: int
    seconds: float
    owner: str = field(default_factory=lambda: f"{process_name(os.getpid())}/{uuid.uuid4().hex[:12]}")
    is_finishing: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    def take(self) -> bool:
        """Take the lease where it is free, or its owner was a process of this machine that is no more; return whether it is ours."""
        with begin(self.state_url) as connection:
            if self._take(connection):
                return True
            other = blocks.live_lease(connection, self.digest, self.block)
            if other is None or not has_ended(other.owner):
                return False
            blocks.release_lease(connection, self.digest, self.block, other.owner)
            logger.warning("block %d: its worker %s is no more, taken over", self.block, other.owner)
            return self._take(connection)

    def _take(self, connection: sa.Connection) -> bool:
        """Take the lease where nobody has it, and return whether it is ours."""
        return blocks.take_lease(connection, self.digest, self.block, self.owner, seconds=self.seconds, host=socket.gethostname())

    def finish(self, connection: sa.Connection) -> None:
        """Record the block as finished, in the transaction that loads its rows; an error where the lease is no longer ours."""
        self.is_finishing.set()
        blocks.finish_block(connection, self.digest, self.block, owner=self.owner)

    def renew(self) -> bool:
        """Let the lease end one length from now; False where it is lost."""
        with begin(self.state_url) as connection:
            return blocks.renew_lease(connection, self.digest, self.block, self.owner, seconds=self.seconds)

    def release(self, error: BaseException | None = None) -> None:
        """Give the lease back, and keep the error that ended the work; a lease that is another's is left alone."""
        text = None if error is None else f"{type(error).__name__}: {error}"
        with begin(self.state_url) as connection:
            blocks.release_lease(connection, self.digest, self.block, self.owner, error=text)


@contextmanager
def leased(state_url: str, digest: str, block: int, *, is_done: Callable[[], bool]) -> Iterator[Lease | None]:
    """Give the lease of a block, None where the block is done by now; wait while another worker has it.

    The lease is renewed until the end. An exception gives it back and is kept in the block's row.

    Raises
    ------
    ConfigurationError
        [state] lease_seconds is not positive.
    StoreError
        The state cannot be reached, or the block was never planned.
    """
    seconds = LeaseSettings().lease_seconds
    if not seconds > 0:
        raise ConfigurationError(f"[state] lease_seconds = {seconds}: a length above 0 is needed, such as 120")
    lease = Lease(state_url, digest, block, seconds)
    if not _wait(lease, is_done):
        yield None
        return
    try:
        with _heartbeat(lease):
            yield lease
    except BaseException as error:
        lease.release(error)
        raise
    if not lease.is_finishing.is_set():
        lease.release()


def _wait(lease: Lease, is_done: Callable[[], bool]) -> bool:
    """Wait for the lease and return True, or False once the block is done by another."""
    has_said = False
    while not is_done():
        if lease.take():
            return True
        if not has_said:
            logger.info("block %d: another worker has it, waiting", lease.block)
            has_said = True
        time.sleep(min(lease.seconds / _POLLS_PER_LEASE, LONGEST_POLL_S))
    return False


@contextmanager
def _heartbeat(lease: Lease) -> Iterator[None]:
    """Renew a lease from a thread of its own, until the end or until it is lost."""
    is_over = threading.Event()
    thread = threading.Thread(target=_renew_until, args=(lease, is_over), name=f"lease-{lease.block}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def _renew_until(lease: Lease, is_over: threading.Event) -> None:
    """Renew a lease every third of its length; a state that cannot be reached is asked again."""
    while not is_over.wait(lease.seconds / _RENEWALS_PER_LEASE):
        try:
            is_ours = lease.renew()
        except StoreError as error:
            logger.warning("block %d: the lease could not be renewed: %s", lease.block, error)
            continue
        if not is_ours:
            if not lease.is_finishing.is_set():
                logger.warning("block %d: the lease is lost; what this worker does now is not loaded", lease.block)
            return


def process_name(pid: int) -> str:
    """Return what names a process for good: its machine and boot, its namespace, number and start, as far as /proc tells."""
    return f"{_machine()}/{pid}.{_start_of(pid)}"


def has_ended(owner: str) -> bool:
    """Return whether a lease's owner was a process of this machine that has ended; of other machines nothing is known."""
    machine, process, _ = owner.rsplit("/", 2)
    if machine != _machine() or not _PROC.is_dir():
        return False
    pid, _, start = process.partition(".")
    return _start_of(int(pid)) != start


@cache
def _machine() -> str:
    """Return the name of this machine, with what tells its boot and its process namespace apart where /proc says so."""
    if not _PROC.is_dir():
        return socket.gethostname()
    boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    return f"{socket.gethostname()}:{boot}:{os.readlink(_PROC / 'self/ns/pid')}"


def _start_of(pid: int) -> str:
    """Return when a process started, in the kernel's ticks; empty where there is no such process or no /proc, a zombie counted as none."""
    try:
        words = (_PROC / f"{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if words[0] in "ZX" else words[19]
