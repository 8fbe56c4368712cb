"""Fetching: a plane is copied from the survey, verified, and stored once for all campaigns; a loss has a reason.

A stored plane is followed by its sha256 in a small object of its own, which is its commit mark. A plane whose bytes differ from its mark
is an error: what was verified before has changed. Whoever fetches a plane holds its lock, so that nobody else fetches it meanwhile.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import luigi

from halo_core.errors import ObjectStoreError, SurveyDataError
from halo_core.survey.coadds import verify_plane
from halo_core.survey.layout import checksums_key, plane_key, read_checksums
from luigi_tasks.http_files import HttpFiles
from luigi_tasks.http_source import AbsentError
from luigi_tasks.object_protocol import Files
from luigi_tasks.objects import Objects, sha256_of
from luigi_tasks.plane_budget import PlaneBudget, plane_mark
from luigi_tasks.plane_locks import local_file, locked_key
from luigi_tasks.progress import duration, report

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 2

ABSENT = "the survey has no such file"
"""Reason of a plane that is missing."""

_Store = Callable[[str, Path], tuple[dict[str, Any], Path | None]]

THREADS_PER_CONNECTION = 3
"""Planes under way for each connection, so that it does not idle while others are verified and put."""


_SECONDS_BETWEEN_LINES = 2.0
_verifying = threading.Lock()


@dataclass(frozen=True)
class PlaneSource:
    """A survey's files, and where its planes are cached.

    ``seconds`` says how long each plane took that was fetched, by brick and plane: the wall clock with all attempts and pauses [s].
    """

    files: Files
    source_id: str
    objects: Objects
    budget: PlaneBudget | None = None
    seconds: dict[tuple[str, str], float] = field(default_factory=dict, compare=False, repr=False)
    _checksums: dict[str, dict[str, str]] = field(default_factory=dict, compare=False, repr=False)
    _checksums_locks: dict[str, threading.Lock] = field(default_factory=dict, compare=False, repr=False)

    @property
    def n_threads(self) -> int:
        """How many planes are under way at the same time: one where the survey is no server."""
        return THREADS_PER_CONNECTION * self.files.settings.connections if isinstance(self.files, HttpFiles) else 1

    def fetch_all(self, wanted: Iterable[tuple[str, str]], *, block: int, task: luigi.Task | None = None) -> list[dict[str, Any]]:
        """Return the asset rows of (brickname, plane) pairs in their order; from a server several at a time, with progress."""
        pairs = list(wanted)
        progress = FetchProgress(block, len(pairs), task)

        def fetch(pair: tuple[str, str]) -> dict[str, Any]:
            row = self.fetch(*pair, block=block)
            progress.count(row)
            return row

        with ThreadPoolExecutor(self.n_threads, thread_name_prefix="fetch") as pool:
            try:
                return list(pool.map(fetch, pairs))
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    def fetch(self, brickname: str, plane: str, *, block: int) -> dict[str, Any]:
        """Return the asset row of a plane, fetched, verified and kept unless it is cached already.

        Raises
        ------
        ObjectStoreError
            A cached plane is no longer what was verified, the survey cannot be read, or the cache cannot be written.
        """
        return self._fetch(brickname, plane, block, self._put)[0]

    def fetch_copy(self, brickname: str, plane: str, *, block: int) -> tuple[dict[str, Any], Path | None]:
        """Return the asset row of a plane and a local file of it, None where it is lost; errors are those of `fetch`.

        What is not cached is not kept: its row has no key, and the file is the caller's to remove. Its mark stays, so that a plane that is
        fetched again has the same bytes.
        """
        row, copy = self._fetch(brickname, plane, block, self._set_aside)
        return row, copy if row["key"] is None else self.objects.path(row["key"])

    def _fetch(self, brickname: str, plane: str, block: int, store: _Store) -> tuple[dict[str, Any], Path | None]:
        """Return the asset row of a plane, stored in this way where it was not cached, and the copy that is set aside where one is."""
        source = plane_key(brickname, plane)
        row: dict[str, Any] = {
            "brickname": brickname,
            "plane": plane,
            "block": block,
            "source_uri": self.files.uri(source),
            "key": None,
            "status": "missing",
            "reason": None,
            "sha256": None,
            "n_bytes": None,
            "attempts": 0,
        }
        key = f"cache/{self.source_id}/{source}"
        stored = self._stored(key)
        if stored is not None:
            return row | stored, None
        with locked_key(self.objects, key):
            stored = self._stored(key)
            if stored is not None:
                return row | stored, None
            if self._is_known_absent(source):
                return row | {"reason": ABSENT}, None
            start = time.monotonic()
            outcome, temporary = self._copy(source, key, brickname, plane)
            stored, copy = ({}, None) if temporary is None else store(key, temporary)
            self.seconds[brickname, plane] = time.monotonic() - start
            return row | outcome | stored, copy

    def _stored(self, key: str) -> dict[str, Any] | None:
        """Return what is known of a plane that is cached, None where it is not."""
        expected, size = self._verified(key), self.objects.size(key)
        if expected is None or size is None:
            return None
        found = sha256_of(self.objects.path(key))
        if found != expected:
            raise ObjectStoreError(
                f"cached plane {self.objects.uri(key)}: sha256 {found}, but {expected} was verified before; "
                "find out what changed it, then remove it to fetch it again"
            )
        if self.budget is not None:
            self.budget.used(key, found)
        return {"key": key, "status": "ok", "sha256": found, "n_bytes": size}

    def _copy(self, source: str, key: str, brickname: str, plane: str) -> tuple[dict[str, Any], Path | None]:
        """Return the outcome of fetching a plane and its verified copy; None where it is absent, or unverified after every attempt."""
        reason = ""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                temporary = self._download(source, key)
                if temporary is None:
                    self._remember_absent(source)
                    return {"reason": ABSENT, "attempts": attempt}, None
                self._verify(temporary, source, brickname, plane)
            except SurveyDataError as error:
                reason = str(error)
                logger.warning("cache: %s %s, attempt %d of %d: %s", brickname, plane, attempt, MAX_ATTEMPTS, reason)
                continue
            return {"attempts": attempt}, temporary
        return {"status": "unverified", "reason": reason, "attempts": MAX_ATTEMPTS}, None

    def _download(self, source: str, key: str) -> Path | None:
        """Return a local copy of a survey file, None where the survey has none; from a server taken up where an earlier one broke off."""
        if isinstance(self.files, HttpFiles):
            part = local_file(self.objects, key, "part")
            try:
                self.files.resume(source, part, _note(part))
            except AbsentError:
                return None
            return part
        if self.files.size(source) is None:
            return None
        temporary = self.objects.temporary(key)
        try:
            self.files.copy_out(source, temporary)
        except ObjectStoreError:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _verify(self, temporary: Path, source: str, brickname: str, plane: str) -> None:
        """Check a copy against the archive's checksum and by its content; one that fails is removed.

        One thread verifies at a time: astropy's HCOMPRESS decoder keeps its state in static memory.
        """
        name = Path(source).name
        try:
            expected = self._checksums_of(brickname).get(name)
            found = sha256_of(temporary)
            if expected not in (None, found):
                raise SurveyDataError(f"{name}: sha256 {found}, the archive's list says {expected}")
            with _verifying:
                verify_plane(temporary, plane, brickname)
        except SurveyDataError as error:
            _discard(temporary)
            raise SurveyDataError(str(error).replace(temporary.name, name)) from error

    def _checksums_of(self, brickname: str) -> dict[str, str]:
        """Return the archive's sha256 of a brick's files by name, asked once; empty where the archive has no list of the brick."""
        key = checksums_key(brickname)
        with self._checksums_locks.setdefault(brickname, threading.Lock()):
            if brickname not in self._checksums:
                self._checksums[brickname] = self._read_checksums(key)
            return self._checksums[brickname]

    def _read_checksums(self, key: str) -> dict[str, str]:
        """Return the archive's list of a brick, empty where it has none."""
        if self._is_known_absent(key):
            return {}
        try:
            if not isinstance(self.files, HttpFiles) and self.files.size(key) is None:
                return {}
            return read_checksums(self.files.read(key), where=self.files.uri(key))
        except AbsentError:
            self._remember_absent(key)
            return {}

    def _is_known_absent(self, source: str) -> bool:
        """Return whether a server lacked a file not long ago; a folder or S3 is always asked."""
        if not isinstance(self.files, HttpFiles):
            return False
        key = self._absent_key(source)
        if self.objects.size(key) is None:
            return False
        age_s = time.time() - float(self.objects.read(key))
        return age_s < 3600 * self.files.settings.absent_hours

    def _remember_absent(self, source: str) -> None:
        """Keep the time at which a server lacked a file."""
        if isinstance(self.files, HttpFiles):
            self.objects.put(self._absent_key(source), f"{int(time.time())}\n".encode())

    def _absent_key(self, source: str) -> str:
        """Return the key of what is remembered of a file that is not there."""
        return f"cache/{self.source_id}/absent/{source}"

    def _verified(self, key: str) -> str | None:
        """Return the sha256 that a plane had when it was verified, None where it never was."""
        mark = plane_mark(key)
        return None if self.objects.size(mark) is None else self.objects.read(mark).decode().strip()

    def _put(self, key: str, temporary: Path) -> tuple[dict[str, Any], None]:
        """Store a verified plane, then its mark; return what is known of it."""
        self._require_same(key, temporary)
        record = self.objects.put_file(key, temporary)
        _discard(temporary)
        self.objects.put(plane_mark(key), f"{record.sha256}\n".encode())
        if self.budget is not None:
            self.budget.added(record.n_bytes)
        return {"key": key, "status": "ok", "sha256": record.sha256, "n_bytes": record.n_bytes}, None

    def _set_aside(self, key: str, temporary: Path) -> tuple[dict[str, Any], Path]:
        """Store the mark of a verified plane alone; return what is known of it, and its copy under a name that nobody else takes up."""
        found = {"key": None, "status": "ok", "sha256": self._require_same(key, temporary), "n_bytes": temporary.stat().st_size}
        self.objects.put(plane_mark(key), f"{found['sha256']}\n".encode())
        copy = self.objects.temporary(key)
        temporary.replace(copy)
        _discard(temporary)
        return found, copy

    def _require_same(self, key: str, temporary: Path) -> str:
        """Return the sha256 of a plane, which must be what it was where it was here before."""
        expected, found = self._verified(key), sha256_of(temporary)
        if expected not in (None, found):
            _discard(temporary)
            raise ObjectStoreError(
                f"plane {key}: sha256 {found}, but {expected} was verified before; the survey at {self.files.root} has changed: "
                "give it another [survey] release"
            )
        return found


def _note(part: Path) -> Path:
    """Return the file that says what a part is the part of."""
    return part.with_name(f"{part.name}.json")


def _discard(temporary: Path) -> None:
    """Remove a copy and its note."""
    temporary.unlink(missing_ok=True)
    _note(temporary).unlink(missing_ok=True)


class FetchProgress:
    """Counts the planes of a block: how many are here or lost, and how fast they came."""

    def __init__(self, block: int, total: int, task: luigi.Task | None) -> None:
        self._block, self._total, self._task = block, total, task
        self._done = self._lost = self._fetched = self._n_bytes = 0
        self._start = self._last_line = time.monotonic()
        self._lock = threading.Lock()

    def count(self, row: dict[str, Any]) -> None:
        """Count the asset row of one more plane, and say so now and then and at the end."""
        with self._lock:
            self._done += 1
            self._lost += row["status"] != "ok"
            self._fetched += row["attempts"] > 0
            self._n_bytes += row["n_bytes"] or 0 if row["attempts"] else 0
            now = time.monotonic()
            if self._done < self._total and now - self._last_line < _SECONDS_BETWEEN_LINES:
                return
            self._last_line = now
            text = self._text(now - self._start)
            logger.info("%s", text)
            if self._task is not None:
                report(self._task, done=self._done, total=self._total, text=text)

    def _text(self, elapsed_s: float) -> str:
        """Return one line: done, lost, left, bytes, rate and the time left."""
        left = self._total - self._done
        rate = self._n_bytes / 1e6 / elapsed_s if elapsed_s > 0 else 0.0
        still = f", about {duration(elapsed_s / self._done * left)} left" if left else ""
        return (
            f"cache, block {self._block}: {self._done:,} of {self._total:,} planes, {self._lost:,} lost, {left:,} left; "
            f"{self._fetched:,} asked for, {self._n_bytes / 1e6:,.1f} MB, {rate:,.1f} MB/s{still}"
        )
