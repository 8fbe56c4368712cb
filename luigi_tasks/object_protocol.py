"""What a store of objects is asked for, whatever holds them: the protocol, keys, and the proof of bytes by sha256."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from halo_core.errors import ConfigurationError

_CHUNK_BYTES = 1 << 20
_KEY_PART = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._=-]+")


@dataclass(frozen=True)
class ObjectRecord:
    """What a commit mark says of one object."""

    sha256: str
    n_bytes: int


class Files(Protocol):
    """What is asked of files that are only read, such as a survey's, wherever they are."""

    @property
    def root(self) -> Path | str:
        """Where the files are, for people: the folder, or the URI of the prefix."""

    def uri(self, key: str) -> str:
        """Return where a person finds the object."""

    def path(self, key: str) -> Path:
        """Return a local file that holds one object that is there, for readers that want a file."""

    def size(self, key: str) -> int | None:
        """Return the size of an object [bytes], None where there is none."""

    def holds(self, prefix: str) -> bool:
        """Return whether a prefix is there, without listing it."""

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of every object below a prefix by key, from one listing; an error where the place cannot be listed."""

    def list_tags(self, prefix: str) -> dict[str, str]:
        """Return, for every object that is known below a prefix or of that very key, what changes when the object does."""

    def read(self, key: str) -> bytes:
        """Return the bytes of an object; one that is not there is an error."""

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return bytes start to stop (not included) of an object."""

    def copy_out(self, key: str, target: Path) -> None:
        """Write a copy of an object to a local file."""


class Objects(Files, Protocol):
    """What the pipeline asks of a store; a failure of any method but for want of an object is an ObjectStoreError.

    `open_objects` of a prefix's `uri` is the store below that prefix.
    """

    def list_times(self, prefix: str) -> dict[str, float]:
        """Return when every object below a prefix was put, by the clock of `clock_offset_s` [s since 1970], by key."""

    def local_folder(self, prefix: str) -> Path:
        """Return a local folder that holds every object below a prefix under its name."""

    def put(self, key: str, data: bytes) -> ObjectRecord:
        """Store bytes under a key."""

    def put_new(self, key: str, data: bytes) -> bool:
        """Store bytes under a key that has no object yet; return False, and change nothing, where it has one."""

    def is_exclusive(self) -> bool:
        """Return whether exactly one of several `put_new` of a key at once succeeds; where not, whoever calls it must hold a lease."""

    def temporary(self, key: str) -> Path:
        """Return a new local file name to write to before `put_file`, its folder made."""

    def put_file(self, key: str, temporary: Path) -> ObjectRecord:
        """Store a file that was written at a name of `temporary` under its key; the file is gone afterwards."""

    def copy_in(self, key: str, source: Path) -> ObjectRecord:
        """Store a copy of a local file under a key."""

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is no error."""

    def clock_offset_s(self) -> float:
        """Return the clock of the store minus that of this machine [s]."""


def check_key(key: str) -> str:
    """Return a key that names one object and nothing outside the root.

    Raises
    ------
    ConfigurationError
        A part of it is empty, ``.`` or ``..``, or has other characters than ASCII letters, digits and ``._=-``.
    """
    if not all(_KEY_PART.fullmatch(part) for part in key.split("/")):
        raise ConfigurationError(
            f"object key {key!r}: parts of ASCII letters, digits and ._=- joined by / are expected, none of them . or .."
        )
    return key


def check_prefix(prefix: str) -> str:
    """Return a prefix of keys; the empty one is the root."""
    return check_key(prefix) if prefix else prefix


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()
