"""Local copies of objects that readers want as files: one folder per root, shared by the workers of a machine, kept below a size.

A copy is named by its key and the object's ETag, so a changed object never meets an old copy. Copies may be removed at any time when no
worker runs. Above the size, the longest unused are removed, but none that a living process has asked for since its last block ended: each
process lists these in a file that it keeps locked. Copies are asked for under a shared lock and removed under an exclusive one.
"""

import errno
import fcntl
import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from halo_core.errors import ObjectStoreError

_PRUNE_SHARE = 0.05
_OLD_TEMPORARY_S = 86_400.0
_n_new_bytes: dict[Path, int] = {}
_lock = threading.Lock()
_holders: dict[Path, "_Holder"] = {}


class _Holder:
    """The copies of one root that this process has asked for, in a file that it keeps locked."""

    def __init__(self, cache: "LocalCache") -> None:
        self.cache = cache
        self.names: set[str] = set()
        folder = cache.folder / "holders"
        folder.mkdir(parents=True, exist_ok=True)
        self.handle = os.open(folder / uuid.uuid4().hex, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        fcntl.flock(self.handle, fcntl.LOCK_EX)

    def hold(self, name: str) -> None:
        """Keep a copy."""
        if name not in self.names:
            os.write(self.handle, f"{name}\n".encode())
            self.names.add(name)

    def release(self) -> None:
        """Keep none any more."""
        os.ftruncate(self.handle, 0)
        self.names.clear()


def release_copies() -> None:
    """Give up every copy that this process has asked for, and keep to the sizes; what was asked for must not be read any more."""
    with _lock:
        holders = list(_holders.values())
        for holder in holders:
            holder.release()
    for holder in holders:
        holder.cache.prune()


def _forget_holders() -> None:
    """Begin without holders, as a forked process must: its parent's are its parent's."""
    global _lock
    _lock = threading.Lock()
    for holder in _holders.values():
        os.close(holder.handle)
    _holders.clear()


os.register_at_fork(after_in_child=_forget_holders)


class LocalCache:
    """Copies of the objects of one root."""

    def __init__(self, folder: str | Path, root: str, *, max_bytes: int) -> None:
        self.folder = Path(folder).absolute() / hashlib.sha256(root.encode()).hexdigest()[:16]
        self.max_bytes = max_bytes

    def temporary(self, key: str) -> Path:
        """Return a new name for a file that is being written, its folder made."""
        folder = self.folder / "temporary"
        with self._errors(key):
            folder.mkdir(parents=True, exist_ok=True)
        return folder / f".{key.rpartition('/')[2]}.{uuid.uuid4().hex}.part"

    def write(self, key: str, temporary: Path, data: bytes) -> None:
        """Write bytes to a temporary file."""
        try:
            with self._errors(key):
                temporary.write_bytes(data)
        except ObjectStoreError:
            temporary.unlink(missing_ok=True)
            raise

    def path(self, key: str, tag: str, fetch: Callable[[Path], None]) -> Path:
        """Return the copy of an object of this ETag, fetched to a temporary file where there is none."""
        copy = self._copy(key, tag)
        with self._errors(key), suppress(FileNotFoundError):
            self._hold(copy)
            os.utime(copy, ns=(time.time_ns(), copy.stat().st_mtime_ns))
            return copy
        temporary = self.temporary(key)
        try:
            fetch(temporary)
            self.keep(key, tag, temporary)
        finally:
            temporary.unlink(missing_ok=True)
        return copy

    def keep(self, key: str, tag: str, temporary: Path) -> None:
        """Make a temporary file the copy of an object that was just read or written."""
        copy = self._copy(key, tag)
        with self._errors(key):
            copy.parent.mkdir(parents=True, exist_ok=True)
            n_new_bytes = _n_new_bytes.get(self.folder, self.max_bytes) + temporary.stat().st_size
            os.replace(temporary, copy)
            if n_new_bytes > _PRUNE_SHARE * self.max_bytes:
                self.prune()
                n_new_bytes = 0
            _n_new_bytes[self.folder] = n_new_bytes

    def folder_of(self, prefix: str, copies: Mapping[str, Path]) -> Path:
        """Return a folder that holds copies under the names of their keys below a prefix."""
        content = "\n".join(f"{key} {path}" for key, path in sorted(copies.items()))
        folder = self.folder / "folders" / hashlib.sha256(content.encode()).hexdigest()[:20]
        with self._errors(prefix):
            folder.mkdir(parents=True, exist_ok=True)
            for key, copy in copies.items():
                link = folder / (key.removeprefix(f"{prefix}/") if prefix else key)
                link.parent.mkdir(parents=True, exist_ok=True)
                self._hold(link)
                if not link.exists():
                    temporary = self.temporary(key)
                    os.link(copy, temporary)
                    os.replace(temporary, link)
        return folder

    def _copy(self, key: str, tag: str) -> Path:
        """Return where the copy of an object of this ETag is; its name ends as the key does."""
        folder, _, name = key.rpartition("/")
        return self.folder / "objects" / folder / f"{hashlib.sha256(tag.encode()).hexdigest()[:12]}-{name}"

    def prune(self) -> None:
        """Remove the longest unused copies that nobody holds until the rest fits, and temporary files that were left behind."""
        with self._errors("prune"), self._locked(fcntl.LOCK_EX):
            held = self._held()
            found = sorted((stat.st_atime, stat.st_size, file) for kind in ("objects", "folders") for file, stat in self._files(kind))
            n_excess = sum(size for _, size, _ in found) - self.max_bytes
            for _, size, file in found:
                if n_excess <= 0:
                    break
                if self._name(file) not in held:
                    file.unlink(missing_ok=True)
                    n_excess -= size
            for file, stat in self._files("temporary"):
                if max(stat.st_mtime, stat.st_atime) < time.time() - _OLD_TEMPORARY_S:
                    file.unlink(missing_ok=True)

    def _hold(self, copy: Path) -> None:
        """Keep a copy until this process gives it up or ends, whether it is there yet or not."""
        with _lock, self._locked(fcntl.LOCK_SH):
            if self.folder not in _holders:
                _holders[self.folder] = _Holder(self)
            _holders[self.folder].hold(self._name(copy))

    def _held(self) -> set[str]:
        """Return the copies that living processes hold; the lists of dead ones are removed."""
        held: set[str] = set()
        for file, _ in self._files("holders"):
            with file.open() as handle:
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    held |= set(handle.read().splitlines())
                else:
                    file.unlink(missing_ok=True)
        return held

    @contextmanager
    def _locked(self, kind: int) -> Iterator[None]:
        """Hold the lock of the folder, shared or alone."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as handle:
            fcntl.flock(handle, kind)
            yield

    def _name(self, copy: Path) -> str:
        """Return the name by which a copy is held."""
        return copy.relative_to(self.folder).as_posix()

    def _files(self, kind: str) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield every file of a kind that is still there, with what the disk knows of it."""
        for folder, _, names in os.walk(self.folder / kind):
            for file in (Path(folder) / name for name in names):
                try:
                    yield file, file.stat()
                except FileNotFoundError:
                    continue

    @contextmanager
    def _errors(self, key: str) -> Iterator[None]:
        """Name what failed on the local disk and what to do."""
        try:
            yield
        except OSError as error:
            advice = "free some space" if error.errno == errno.ENOSPC else "check [objects] local_cache"
            raise ObjectStoreError(f"cannot keep object {key!r} below {self.folder}: {error.strerror or error}; {advice}") from error
