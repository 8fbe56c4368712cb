"""A survey on an HTTP server: files read whole, by byte ranges, or taken up where a transfer broke off.

A server cannot be listed: what a folder of catalogues holds is known from its list of checksums, and the bricks from the brick table.
"""

import json
import logging
import os
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from halo_core.errors import ObjectStoreError, SurveyDataError
from halo_core.seeds import canonical_json
from halo_core.survey import layout
from luigi_tasks.http_source import PARTIAL, RANGE_NOT_SATISFIABLE, AbsentError, BusyError, FetchSettings, HttpServer
from luigi_tasks.local_cache import LocalCache

logger = logging.getLogger(__name__)

SCHEMES = ("https://", "http://")
"""What the root of a survey on a server starts with."""

_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


@dataclass(frozen=True)
class _Head:
    """What a server says of a file: its size [bytes] where it tells, and what changes when the file does, empty where nothing does."""

    n_bytes: int | None
    tag: str

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> "_Head":
        """Read the headers of an answer."""
        length = headers.get("Content-Length", "")
        partial = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
        n_bytes = int(partial[3]) if partial else int(length) if length.isdigit() else None
        return cls(n_bytes, headers.get("ETag") or headers.get("Last-Modified") or "")

    @property
    def validator(self) -> str:
        """What If-Range may hold: a strong ETag or a date."""
        return "" if self.tag.startswith("W/") else self.tag


_heads: dict[str, _Head] = {}
_lists: dict[str, dict[str, str]] = {}


def forget_files() -> None:
    """Begin without what an earlier process knew of files."""
    _heads.clear()
    _lists.clear()


os.register_at_fork(after_in_child=forget_files)


class HttpFiles:
    """The files below a URL; nothing is written there."""

    def __init__(self, root: str, settings: FetchSettings | None = None) -> None:
        self.settings = settings if settings is not None else FetchSettings()
        self._server = HttpServer(root, self.settings)
        self.root = self._server.root
        self._slots = threading.BoundedSemaphore(self.settings.connections)
        self._copies = LocalCache(self.settings.local_copies, self.root, max_bytes=int(self.settings.local_copies_gb * 1e9))

    def __repr__(self) -> str:
        return f"HttpFiles({self.root!r})"

    def uri(self, key: str) -> str:
        """Return the URL of a file."""
        return self._server.uri(key)

    def size(self, key: str) -> int | None:
        """Return the size of a file [bytes], None where the server has none."""
        try:
            return self._require_size(key)
        except AbsentError:
            return None

    def path(self, key: str) -> Path:
        """Return a local copy of a file."""
        head = self._head(key)
        return self._copies.path(key, f"{head.n_bytes}-{head.tag}", lambda temporary: self.copy_out(key, temporary))

    def read(self, key: str) -> bytes:
        """Return the bytes of a file."""

        def read() -> bytes:
            with self._server.answer("GET", key, {}) as answer:
                return b"".join(answer.chunks)

        return self._server.tried(key, read)

    def read_range(self, key: str, start: int, stop: int) -> bytes:
        """Return some bytes of a file, fewer where it ends before; from a local copy where the server has no ranges."""

        def read() -> bytes | None:
            with self._server.answer("GET", key, {"Range": f"bytes={start}-{stop - 1}"}) as answer:
                if answer.status == RANGE_NOT_SATISFIABLE:
                    return b""
                if answer.status != PARTIAL:
                    return None
                head = _Head.of(answer.headers)
                self._require_same(key, head)
                data = b"".join(answer.chunks)
            n_expected = min(stop, stop if head.n_bytes is None else head.n_bytes) - start
            if len(data) != n_expected:
                raise BusyError(f"{len(data)} of {n_expected} bytes of a range")
            return data

        if stop <= start:
            return b""
        data = self._server.tried(key, read)
        if data is None:
            logger.info("%s: the server has no byte ranges; the whole file is copied", self.uri(key))
            with self.path(key).open("rb") as file:
                file.seek(start)
                data = file.read(stop - start)
        return data

    def copy_out(self, key: str, target: Path) -> None:
        """Write a copy of a file, taken up where it broke off."""
        note = target.with_name(f"{target.name}.json")
        try:
            self.resume(key, target, note)
        finally:
            note.unlink(missing_ok=True)

    def resume(self, key: str, target: Path, note: Path) -> int:
        """Write a copy of a file to what an earlier call left of it, and return the bytes that were transferred.

        Not more than [fetch] connections at once: another caller waits, and its time begins when it is its turn.

        Parameters
        ----------
        target : Path
            The part that is here already, of the file that ``note`` speaks of; made where there is none.
        note : Path
            What tells whether the file is still that file.

        Raises
        ------
        AbsentError
            The server has no such file.
        ObjectStoreError
            The server refuses or stays busy, or the local disk fails; what came so far is kept for the next call.
        """
        n_transferred = 0

        def read() -> None:
            nonlocal n_transferred
            start, known = self._left(key, target, note)
            if start and known.n_bytes == start:
                return
            headers = {"Range": f"bytes={start}-", "If-Range": known.validator} if start else {}
            with self._server.answer("GET", key, headers) as answer:
                if answer.status == RANGE_NOT_SATISFIABLE:
                    note.unlink(missing_ok=True)
                    raise BusyError("the part that is here is longer than the file")
                head, is_new = _Head.of(answer.headers), answer.status != PARTIAL
                self._require_same(key, head)
                if is_new:
                    start = 0
                    note.unlink(missing_ok=True)
                elif not answer.headers.get("Content-Range", "").startswith(f"bytes {start}-") or head.n_bytes != known.n_bytes:
                    note.unlink(missing_ok=True)
                    raise BusyError(f"Content-Range {answer.headers.get('Content-Range')!r} is not the range that was asked for")
                with target.open("wb" if is_new else "r+b") as file:
                    file.seek(start)
                    for chunk in answer.chunks:
                        file.write(chunk)
                        n_transferred += len(chunk)
                        if is_new and file.tell() != head.n_bytes:
                            _write_note(note, self.uri(key), head)
                            is_new = False
            self._require_length(target, head)

        with self._slots:
            self._server.tried(key, read)
        return n_transferred

    def holds(self, prefix: str) -> bool:  # noqa: ARG002
        """Return whether the survey has its brick table: a server cannot be listed, and without the table no brick would be known."""
        return self.size(layout.BRICKS_KEY) is not None

    def list_sizes(self, prefix: str) -> dict[str, int]:
        """Return the size of every file of a folder with a list of checksums.

        Raises
        ------
        ObjectStoreError
            The folder has none, and a server cannot be listed; it says what is needed instead.
        """
        if prefix not in layout.CHECKSUM_LISTS:
            raise ObjectStoreError(
                f"{self.uri(prefix)}: a survey on an HTTP server cannot be listed; its brick table {layout.BRICKS_KEY} must be there"
            )
        return {key: self._require_size(key) for key in self.list_tags(prefix)}

    def list_tags(self, prefix: str) -> dict[str, str]:
        """Return the tag of that very file or, for a folder with a list of checksums, the sha256 of each file that the list names."""
        if prefix in layout.CHECKSUM_LISTS:
            name = layout.CHECKSUM_LISTS[prefix]
            return {f"{prefix}/{file}": f"sha256:{sha256}" for file, sha256 in self._list(f"{prefix}/{name}").items()}
        if prefix in layout.FOLDERS:
            logger.warning("%s: a server cannot be listed and the folder has no list of checksums; nothing of it is used", self.uri(prefix))
            return {}
        try:
            head = self._head(prefix)
        except AbsentError:
            return {}
        return {prefix: f"{head.n_bytes}-{head.tag}"}

    def _list(self, key: str) -> dict[str, str]:
        """Return a folder's list of checksums, read once per process; empty where there is none."""
        uri = self.uri(key)
        if uri not in _lists:
            try:
                _lists[uri] = layout.read_checksums(self.read(key), where=uri)
            except AbsentError:
                logger.warning("%s is not there: the folder's files are not known, and none is used", uri)
                return {}
            except SurveyDataError as error:
                raise ObjectStoreError(str(error)) from error
        return _lists[uri]

    def _require_size(self, key: str) -> int:
        """Return the size of a file that must be there [bytes]."""
        n_bytes = self._head(key).n_bytes
        if n_bytes is None:
            raise ObjectStoreError(f"{self.uri(key)}: the server does not say how long the file is (no Content-Length)")
        return n_bytes

    def _head(self, key: str) -> _Head:
        """Return what the server says of a file, asked once per process."""

        def read() -> _Head:
            with self._server.answer("HEAD", key, {}) as answer:
                return _Head.of(answer.headers)

        uri = self.uri(key)
        if uri not in _heads:
            _heads[uri] = self._server.tried(key, read)
        return _heads[uri]

    def _require_same(self, key: str, found: _Head) -> None:
        """Raise where a file is no longer the one whose head this process knows; what an answer does not tell is no difference."""
        known = _heads.get(self.uri(key), found)
        sizes, tags = {known.n_bytes, found.n_bytes} - {None}, {known.tag, found.tag} - {""}
        if len(sizes) > 1 or len(tags) > 1:
            raise ObjectStoreError(f"{self.uri(key)} changed while it was read: {found}, before {known}; run again")

    def _left(self, key: str, target: Path, note: Path) -> tuple[int, _Head]:
        """Return how much of a file is here [bytes], 0 where it cannot be taken up, and what the server said of it."""
        try:
            content = json.loads(note.read_bytes())
            n_bytes = target.stat().st_size
        except (FileNotFoundError, json.JSONDecodeError):
            return 0, _Head(None, "")
        known = _Head(content["n_bytes"], content["tag"])
        is_same = content["uri"] == self.uri(key) and known.validator and known.n_bytes is not None and n_bytes <= known.n_bytes
        return (n_bytes, known) if is_same else (0, known)

    def _require_length(self, target: Path, head: _Head) -> None:
        """Raise where a file is not as long as the server says, to be asked for again."""
        found = target.stat().st_size
        if head.n_bytes is not None and found != head.n_bytes:
            raise BusyError(f"{found} of {head.n_bytes} bytes arrived")


def _write_note(note: Path, uri: str, head: _Head) -> None:
    """Say of which file a part is, whole or not at all."""
    temporary = note.with_name(f"{note.name}.new")
    temporary.write_text(canonical_json({"uri": uri, "n_bytes": head.n_bytes, "tag": head.tag}))
    temporary.replace(note)
