"""Local copies of objects that readers want as files: one folder per root, shared by the workers of a machine, kept below a size.

A copy is named by its key and the object's ETag, so a changed object never meets an old copy. Copies may be removed at any time when no
worker runs. Above the size, those that nobody asked for in the last hour are removed, the longest unused first; and what was left half
written, a day after its last byte.
"""

import errno
import hashlib
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from halo_core.errors import ObjectStoreError

_IN_USE_S = 3600.0
_WRITTEN_S = 86400.0
_PRUNE_SHARE = 0.05
_n_new_bytes: dict[Path, int] = {}


class LocalCache:
    """Copies of the objects of one root."""

    def __init__(self, folder: str | Path, root: str, *, max_bytes: int) -> None:
        self.folder = Path(folder).absolute() / hashlib.sha256(root.encode()).hexdigest()[:16]
        self.max_bytes = max_bytes
        self._temporary = self.folder / "temporary"

    def temporary(self, key: str) -> Path:
        """Return a new name for a file that is being written, its folder made."""
        with self._errors(key):
            self._temporary.mkdir(parents=True, exist_ok=True)
        return self._temporary / f".{key.rpartition('/')[2]}.{uuid.uuid4().hex}.part"

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
                self._prune()
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
                if not link.exists():
                    temporary = self.temporary(key)
                    os.link(copy, temporary)
                    os.replace(temporary, link)
        return folder

    def _copy(self, key: str, tag: str) -> Path:
        """Return where the copy of an object of this ETag is; its name ends as the key does."""
        folder, _, name = key.rpartition("/")
        return self.folder / "objects" / folder / f"{hashlib.sha256(tag.encode()).hexdigest()[:12]}-{name}"

    def _prune(self) -> None:
        """Remove the longest unused copies until the rest fits."""
        found = sorted((self._in_use_until(file, stat), stat.st_size, file) for file, stat in self._files())
        n_excess, now = sum(size for _, size, _ in found) - self.max_bytes, time.time()
        for until, size, file in found:
            if n_excess <= 0 or until > now:
                break
            with suppress(FileNotFoundError):
                if self._in_use_until(file, file.stat()) <= now:
                    file.unlink()
                    n_excess -= size

    def _in_use_until(self, file: Path, stat: os.stat_result) -> float:
        """Return when a file may be removed, by the machine's clock [s]: others ask for copies, and write files, at any time."""
        if file.parent == self._temporary:
            return stat.st_mtime + _WRITTEN_S
        return stat.st_atime + _IN_USE_S

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """Yield every file that is still there, with what the disk knows of it."""
        for folder, _, names in os.walk(self.folder):
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
