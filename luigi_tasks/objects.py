"""Objects: bytes under a key below a root. A key never shows half an object, and what was put can be proven by sha256.

The root is a folder, or a prefix in a bucket of an S3 server (`luigi_tasks.s3`). In a folder an object is put under a temporary name,
flushed to the disk, and renamed. Names that start with a dot are temporary and never listed.
"""

import errno
import os
import shutil
import time
import uuid
from pathlib import Path
from stat import S_ISREG

from halo_core.errors import ConfigurationError, ObjectStoreError
from luigi_tasks.object_protocol import ObjectRecord, Objects, check_key, check_prefix, sha256_of

__all__ = ["FolderObjects", "ObjectRecord", "Objects", "check_key", "check_prefix", "open_objects", "sha256_of"]

S3_SCHEME = "s3://"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)


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
        """Return the file of an object."""
        return self.root / check_key(key)

    def local_folder(self, prefix: str) -> Path:
        """Return the folder of a prefix."""
        return self.root / check_prefix(prefix)

    def holds(self, prefix: str) -> bool:
        """Return whether the prefix is a folder."""
        return self.local_folder(prefix).is_dir()

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
        return {key: stat.st_size for key, stat in self._walk(prefix).items()}

    def list_times(self, prefix: str) -> dict[str, float]:
        """Return the modification time of every object below a prefix."""
        return {key: stat.st_mtime for key, stat in self._walk(prefix).items()}

    def list_tags(self, prefix: str) -> dict[str, str]:
        """Return size and modification time of every object below a prefix, or of that key."""
        alone = self._stat(self.local_folder(prefix))
        stats = {prefix: alone} if alone is not None and S_ISREG(alone.st_mode) else self._walk(prefix)
        return {key: f"{stat.st_size}-{stat.st_mtime_ns}" for key, stat in stats.items()}

    def read(self, key: str) -> bytes:
        """Return the bytes of an object."""
        try:
            return self.path(key).read_bytes()
        except OSError as error:
            raise self._error("read", key, error) from error

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of an object."""
        try:
            with self.path(key).open("rb") as handle:
                handle.seek(start)
                return handle.read(stop - start)
        except OSError as error:
            raise self._error("read", key, error) from error

    def put(self, key: str, data: bytes) -> ObjectRecord:
        """Store bytes under a key."""
        return self.put_file(key, self._written(key, data))

    def put_new(self, key: str, data: bytes) -> bool:
        """Store bytes by a hard link, which never replaces; on a disk without links, unless the object is seen to be there."""
        temporary = self._written(key, data)
        try:
            _flush(temporary)
            os.link(temporary, self.path(key))
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise self._error("write", key, error) from error
            if self.size(key) is not None:
                return False
            self.put_file(key, temporary)
        finally:
            temporary.unlink(missing_ok=True)
        return True

    def is_exclusive(self) -> bool:
        """Return whether the disk has hard links."""
        first = self._written(f"probe/{uuid.uuid4().hex}", b"halo")
        try:
            os.link(first, first.with_suffix(".link"))
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise self._error("write", "probe", error) from error
            return False
        finally:
            first.unlink(missing_ok=True)
            first.with_suffix(".link").unlink(missing_ok=True)
        return True

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
            _flush(temporary)
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

    def copy_out(self, key: str, target: Path) -> None:
        """Write a copy of an object to a local file."""
        try:
            shutil.copyfile(self.path(key), target)
        except OSError as error:
            raise self._error("copy", key, error) from error

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""
        try:
            self.path(key).unlink(missing_ok=True)
        except OSError as error:
            raise self._error("delete", key, error) from error

    def clock_offset_s(self) -> float:
        """Return the clock that dates files (another machine's on a network disk) minus that of this machine [s]."""
        temporary = self._written("probe/clock", b"halo")
        try:
            return temporary.stat().st_mtime - time.time()
        finally:
            temporary.unlink(missing_ok=True)

    def _written(self, key: str, data: bytes) -> Path:
        """Return a temporary file that holds these bytes."""
        temporary = self.temporary(key)
        try:
            temporary.write_bytes(data)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise self._error("write", key, error) from error
        return temporary

    def _walk(self, prefix: str) -> dict[str, os.stat_result]:
        """Return what the disk knows of every object below a prefix, by key."""
        found = {}
        try:
            for folder, _, names in os.walk(self.local_folder(prefix), onerror=self._walk_error, followlinks=True):
                for file in (Path(folder) / name for name in names if not name.startswith(".")):
                    stat = self._stat(file)
                    if stat is not None:
                        found[file.relative_to(self.root).as_posix()] = stat
        except OSError as error:
            raise self._error("list", prefix, error) from error
        return found

    @staticmethod
    def _stat(file: Path) -> os.stat_result | None:
        """Return what the disk knows of a file, None where there is none: another process may have removed it since it was listed."""
        try:
            return file.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None

    def _walk_error(self, error: OSError) -> None:
        """Let a folder that is not there, or that is an object by now, be empty, and raise on any other failure to list."""
        place = Path(error.filename)
        is_object = error.errno == errno.ENOTDIR and place != self.root and place.parent.is_dir()
        if error.errno != errno.ENOENT and not is_object:
            raise error

    def _error(self, verb: str, key: str, error: OSError) -> ObjectStoreError:
        """Return the error that names what failed, where and what to do."""
        advice = "free some space" if error.errno == errno.ENOSPC else "check that objects_root is a folder you may write to"
        return ObjectStoreError(f"cannot {verb} object {key!r} below {self.root}: {error.strerror or error}; {advice}")


def open_objects(root: str) -> Objects:
    """Return the object store of a root: a folder, or s3://bucket/prefix.

    Raises
    ------
    ConfigurationError
        The root has a scheme that holds no objects here, or boto3 is not installed.
    """
    if root.startswith(S3_SCHEME):
        try:
            from luigi_tasks.s3 import S3Objects
        except ModuleNotFoundError as error:
            raise ConfigurationError(f"objects on S3 need {error.name}; run: pip install 'dark-halo-scope[s3]'") from error
        return S3Objects(root)
    if "://" in root and not root.startswith("file://"):
        scheme = root.partition("://")[0]
        raise ConfigurationError(
            f"objects_root {scheme}://...: objects are held by a folder such as halo_data/objects or by s3://bucket/prefix"
        )
    return FolderObjects(root.removeprefix("file://"))


def _flush(file: Path) -> None:
    """Make sure that a file's bytes are on the disk."""
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
