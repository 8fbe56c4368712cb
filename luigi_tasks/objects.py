"""Objects: bytes under a key below a root. A key never shows half an object, and what was put can be proven by sha256.

The root is a folder; an object is put under a temporary name in the same folder, flushed to the disk, and renamed. Names that
start with a dot are temporary and never listed.
"""

import errno
import hashlib
import os
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path

from halo_core.errors import ConfigurationError, ObjectStoreError

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class ObjectRecord:
    """What a commit mark says of one object."""

    sha256: str
    n_bytes: int


class FolderObjects:
    """Objects in a local folder."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root).absolute()

    def __repr__(self) -> str:
        return f"FolderObjects({str(self.root)!r})"

    def uri(self, key: str) -> str:
        """Return where a person finds the object."""
        return str(self.root / key)

    def path(self, key: str) -> Path:
        """Return the local file of an object, for readers that want a file."""
        return self.root / key

    def size(self, key: str) -> int | None:
        """Return the size of an object [bytes], None where there is none."""
        try:
            return self.path(key).stat().st_size
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._error("look at", key, error) from error

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of every object below a prefix by key, from one walk."""
        sizes = {}
        try:
            for folder, _, names in os.walk(self.path(prefix), onerror=self._walk_error):
                for name in names:
                    if not name.startswith("."):
                        file = Path(folder) / name
                        sizes[file.relative_to(self.root).as_posix()] = file.stat().st_size
        except OSError as error:
            raise self._error("list", prefix, error) from error
        return sizes

    def read(self, key: str) -> bytes:
        """Return the bytes of an object."""
        try:
            return self.path(key).read_bytes()
        except OSError as error:
            raise self._error("read", key, error) from error

    def put(self, key: str, data: bytes) -> ObjectRecord:
        """Store bytes under a key."""
        temporary = self.temporary(key)
        try:
            temporary.write_bytes(data)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._error("write", key, error) from error
        return self.put_file(key, temporary)

    def temporary(self, key: str) -> Path:
        """Return a new temporary file name beside the key's final place, its folder made."""
        final = self.path(key)
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise self._error("write", key, error) from error
        return final.parent / f".{final.name}.{uuid.uuid4().hex}.part"

    def put_file(self, key: str, temporary: Path) -> ObjectRecord:
        """Move a file that was written at a name of `temporary` under its key, flushed and hashed."""
        try:
            record = ObjectRecord(sha256=sha256_of(temporary), n_bytes=temporary.stat().st_size)
            with temporary.open("rb") as handle:
                os.fsync(handle.fileno())
            os.replace(temporary, self.path(key))
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._error("write", key, error) from error
        return record

    def copy_in(self, key: str, source: Path) -> ObjectRecord:
        """Store a copy of a local file under a key."""
        temporary = self.temporary(key)
        try:
            shutil.copyfile(source, temporary)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._error("write", key, error) from error
        return self.put_file(key, temporary)

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            raise self._error("delete", key, error) from error

    def _walk_error(self, error: OSError) -> None:
        """Let a folder that is not there be empty, and raise on any other failure to list."""
        if error.errno != errno.ENOENT:
            raise error

    def _error(self, verb: str, key: str, error: OSError) -> ObjectStoreError:
        """Return the error that names what failed, where and what to do."""
        advice = "free some space" if error.errno == errno.ENOSPC else "check that objects_root is a folder you may write to"
        return ObjectStoreError(f"cannot {verb} object {key!r} below {self.root}: {error.strerror or error}; {advice}")


def open_objects(root: str) -> FolderObjects:
    """Return the object store of a root.

    Raises
    ------
    ConfigurationError
        The root has a scheme this version does not store objects in.
    """
    if "://" in root and not root.startswith("file://"):
        raise ConfigurationError(f"objects_root {root!r}: only folders hold objects in this version; give a path such as halo_data/objects")
    return FolderObjects(root.removeprefix("file://"))


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
