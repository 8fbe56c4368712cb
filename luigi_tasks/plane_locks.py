"""Locks that let one at a time fetch a plane: a file's lock on one machine, a leased object among the machines that share a store.

A lock keeps a plane from being fetched twice; what protects its bytes is the commit mark. So where a lease fails (its owner is cut off from
the store and goes on), a plane is fetched twice and nothing else happens.
"""

import fcntl
import itertools
import logging
import os
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

from halo_core.errors import ObjectStoreError
from halo_core.seeds import hash_hex
from luigi_tasks.objects import FolderObjects, Objects

logger = logging.getLogger(__name__)

LEASE_S = 30.0
"""How long a leased object that nobody renews is another's [s]."""

_RENEWALS_PER_LEASE = 3
_FIRST_PAUSE, _LONGEST_PAUSE, _GROWTH, _N_GROWING = 1 / 60, 1 / 2, 1.5, 9
"""Pauses of who waits: the first and the longest as shares of a lease, how they grow, and for how many looks."""


@contextmanager
def locked_key(objects: Objects, key: str) -> Iterator[None]:
    """Hold the lock of a key: on this machine and, where the store is on S3, among all that share it."""
    is_shared = not isinstance(objects, FolderObjects)
    with locked_file(local_file(objects, key, "lock")), leased_object(objects, f"{key}.lease") if is_shared else nullcontext():
        yield


def local_file(objects: Objects, key: str, suffix: str) -> Path:
    """Return the local file of that kind that belongs to a key, the same for all who share the store; no store lists it."""
    return objects.temporary(key).with_name(f".{hash_hex(key, n_bytes=10)}.{suffix}")


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made and removed; the kernel frees it when its process dies.

    Raises
    ------
    ObjectStoreError
        The disk has no locks, or cannot be written.
    """
    try:
        handle = _locked(path)
    except OSError as error:
        raise ObjectStoreError(f"cannot lock {path}: {error.strerror}; check the disk, its free space and its rights") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int:
    """Return the open, locked file; one that its last owner removed while we waited is made again."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if path.exists() and os.path.samestat(os.fstat(handle), path.stat()):
                return handle
        except FileNotFoundError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


@contextmanager
def leased_object(objects: Objects, key: str, *, lease_s: float = LEASE_S) -> Iterator[None]:
    """Hold the lease on a key of a store: an object that its owner renews, and that another takes over once it stays as it is.

    No clocks are compared: whoever waits sees for the length of a lease, by its own clock, that nothing was renewed.
    """
    owner = uuid.uuid4().hex
    _take(objects, key, owner, lease_s)
    is_over = threading.Event()
    renewal = threading.Thread(target=_renew, args=(objects, key, owner, lease_s, is_over), name=f"lease {key}", daemon=True)
    renewal.start()
    try:
        yield
    finally:
        is_over.set()
        renewal.join()
        objects.delete(key)


def _take(objects: Objects, key: str, owner: str, lease_s: float) -> None:
    """Wait until the lease is ours; a look is one listing, and a put only where nobody is seen to have it."""
    seen, since = "", time.monotonic()
    for pause_s in _pauses(owner, lease_s):
        if not seen and objects.put_new(key, f"{owner} 0\n".encode()):
            return
        time.sleep(pause_s)
        tag = objects.list_tags(key).get(key, "")
        if tag != seen:
            seen, since = tag, time.monotonic()
        elif tag and time.monotonic() - since > lease_s:
            objects.delete(key)
            seen = ""


def _pauses(owner: str, lease_s: float) -> Iterator[float]:
    """Yield the pauses between looks at a lease [s], without end: they grow, and up to half of each is spread by the owner.

    Of many that wait for one lease each looks 9 times in the first half minute and then about every 11 s, of a lease of 30 s.
    """
    for number in itertools.count():
        spread = int(hash_hex(owner, str(number), n_bytes=4), 16) / 2**32
        yield lease_s * min(_FIRST_PAUSE * _GROWTH ** min(number, _N_GROWING), _LONGEST_PAUSE) * (1.0 - 0.5 * spread)


def _renew(objects: Objects, key: str, owner: str, lease_s: float, is_over: threading.Event) -> None:
    """Change the leased object now and then, until the end."""
    n_renewals = 0
    while not is_over.wait(lease_s / _RENEWALS_PER_LEASE):
        n_renewals += 1
        try:
            objects.put(key, f"{owner} {n_renewals}\n".encode())
        except ObjectStoreError as error:
            logger.warning("lease %s could not be renewed: %s", key, error)
