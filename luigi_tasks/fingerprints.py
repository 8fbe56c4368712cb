"""What external tables are known by: their sha256, hashed once and remembered among the objects by place, size and time (or ETag).

Losing the memory costs hashing again and nothing else.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from halo_core.errors import ObjectStoreError
from halo_core.seeds import canonical_json, hash_hex
from luigi_tasks.objects import Objects
from luigi_tasks.progress import describe

logger = logging.getLogger(__name__)

FOLDER = "fingerprints"
"""Folder of the memories among the objects, one per place of tables."""

SAID = "sha256:"
"""What a tag starts with that is the sha256 itself, from the archive's own list: such a table is not read to be hashed."""

REMEMBERED_BYTES = 256 << 20
"""What is hashed in a second or two is not remembered [bytes]."""

_CHUNK_BYTES = 32 << 20
_SECONDS_BETWEEN_SAVES = 30.0
_SAID_ABOVE_BYTES = 1 << 30
_HASHES: dict[tuple[str, str], str] = {}


class Table(NamedTuple):
    """A table outside: its place, what changes when it does, its size [bytes], and its bytes from start to stop."""

    uri: str
    tag: str
    n_bytes: Callable[[], int]
    read_range: Callable[[int, int], bytes]


def tables_of(files: Objects, tags: Mapping[str, str]) -> dict[str, Table]:
    """Return objects of a store as tables, by key."""

    def n_bytes(key: str) -> int:
        return files.size(key) or 0

    return {key: Table(files.uri(key), tag, partial(n_bytes, key), partial(files.read_range, key)) for key, tag in tags.items()}


def local_table(path: Path) -> Table:
    """Return a local file as a table."""

    def read_range(start: int, stop: int) -> bytes:
        with path.open("rb") as handle:
            handle.seek(start)
            return handle.read(stop - start)

    stat = path.stat()
    return Table(str(path.absolute()), f"{stat.st_size}-{stat.st_mtime_ns}", lambda: stat.st_size, read_range)


class TableMemory:
    """The sha256 of the tables of one place, by their URI and by what changes when they do."""

    def __init__(self, objects: Objects, place: str) -> None:
        self._objects = objects
        self._key = f"{FOLDER}/{hash_hex(place, n_bytes=10)}.json"

    def sha256(self, tables: Mapping[str, Table]) -> dict[str, str]:
        """Return the sha256 of tables by name, those hashed that are not known; with progress where that takes long."""
        said = {(table.uri, table.tag): table.tag.removeprefix(SAID) for table in tables.values() if table.tag.startswith(SAID)}
        _HASHES.update(said)
        unknown = [table for table in tables.values() if (table.uri, table.tag) not in _HASHES]
        if unknown:
            _HASHES.update(self._read())
            self._hash([table for table in unknown if (table.uri, table.tag) not in _HASHES])
        return {name: _HASHES[table.uri, table.tag] for name, table in tables.items()}

    def _hash(self, tables: Sequence[Table]) -> None:
        """Hash tables; what takes long is remembered, now and then while it goes on."""
        sizes = [table.n_bytes() for table in tables]
        say = _progress(len(tables), sum(sizes))
        last_save, fresh = monotonic(), {}
        for table, n_bytes in zip(tables, sizes, strict=True):
            fresh[table.uri, table.tag] = _sha256(table, n_bytes, say)
            is_last = len(fresh) == len(tables)
            if sum(sizes) >= REMEMBERED_BYTES and (is_last or monotonic() - last_save > _SECONDS_BETWEEN_SAVES):
                self._write(self._read() | fresh)
                last_save = monotonic()
        _HASHES.update(fresh)

    def _read(self) -> dict[tuple[str, str], str]:
        """Return what is remembered.

        Raises
        ------
        ObjectStoreError
            The memory is not what this project writes.
        """
        if self._objects.size(self._key) is None:
            return {}
        try:
            return {(uri, tag): sha256 for uri, tag, sha256 in json.loads(self._objects.read(self._key))}
        except (json.JSONDecodeError, ValueError, TypeError) as error:
            raise ObjectStoreError(
                f"{self._objects.uri(self._key)} is no memory of fingerprints ({error}); remove it and run again"
            ) from error

    def _write(self, known: Mapping[tuple[str, str], str]) -> None:
        """Remember; of an older state of a table nothing is kept."""
        latest = {uri: (tag, sha256) for (uri, tag), sha256 in known.items()}
        self._objects.put(self._key, canonical_json([[uri, tag, sha256] for uri, (tag, sha256) in sorted(latest.items())]).encode())


def _sha256(table: Table, n_bytes: int, say: Callable[[int], None]) -> str:
    """Return the sha256 of a table, read in pieces."""
    digest = hashlib.sha256()
    for start in range(0, n_bytes, _CHUNK_BYTES):
        piece = table.read_range(start, min(start + _CHUNK_BYTES, n_bytes))
        digest.update(piece)
        say(len(piece))
    return digest.hexdigest()


def _progress(n_tables: int, n_bytes: int) -> Callable[[int], None]:
    """Return what is told of every piece read: a line now and then where there is much."""
    start = last = monotonic()
    done = 0

    def say(n_read: int) -> None:
        nonlocal last, done
        done += n_read
        if n_bytes > _SAID_ABOVE_BYTES and (monotonic() - last > _SECONDS_BETWEEN_SAVES or done == n_bytes):
            last = monotonic()
            name = f"fingerprints of {n_tables} tables, remembered afterwards"
            logger.info("%s", describe(name, done=done >> 20, total=n_bytes >> 20, unit="MB", elapsed_s=last - start))

    return say
