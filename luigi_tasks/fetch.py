"""Fetching: a plane is copied from the survey, verified, and stored once for all campaigns; a loss has a reason.

A stored plane is followed by its sha256 in a small object of its own, which is its commit mark. A plane whose bytes differ from its mark
is an error: what was verified before has changed.
"""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from halo_core.errors import ObjectStoreError, SurveyDataError
from halo_core.survey.coadds import verify_plane
from halo_core.survey.layout import plane_key
from luigi_tasks.objects import ObjectRecord, Objects, sha256_of

logger = logging.getLogger(__name__)

MAX_ATTEMPTS = 2


@dataclass(frozen=True)
class PlaneSource:
    """A survey's files, and where its planes are cached."""

    files: Objects
    source_id: str
    objects: Objects

    def fetch(self, brickname: str, plane: str, *, block: int) -> dict[str, Any]:
        """Return the asset row of a plane, fetched and verified unless it is cached already.

        Raises
        ------
        ObjectStoreError
            A cached plane is no longer what was verified.
        """
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
            return row | stored
        if self.files.size(source) is None:
            return row | {"reason": "the survey has no such file", "attempts": 1}
        return row | self._copy(source, key, brickname, plane)

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
        return {"key": key, "status": "ok", "sha256": found, "n_bytes": size}

    def _copy(self, source: str, key: str, brickname: str, plane: str) -> dict[str, Any]:
        """Return the outcome of fetching a plane: verified and stored, or unverified after every attempt."""
        reason = ""
        for attempt in range(1, MAX_ATTEMPTS + 1):
            temporary = self.objects.temporary(key)
            try:
                self.files.copy_out(source, temporary)
                verify_plane(temporary, plane, brickname)
            except SurveyDataError as error:
                temporary.unlink(missing_ok=True)
                reason = str(error).replace(temporary.name, Path(source).name)
                logger.warning("cache: %s %s, attempt %d of %d: %s", brickname, plane, attempt, MAX_ATTEMPTS, reason)
                continue
            except ObjectStoreError:
                temporary.unlink(missing_ok=True)
                raise
            record = self._put(key, temporary)
            return {"key": key, "status": "ok", "sha256": record.sha256, "n_bytes": record.n_bytes, "attempts": attempt}
        return {"status": "unverified", "reason": reason, "attempts": MAX_ATTEMPTS}

    def _verified(self, key: str) -> str | None:
        """Return the sha256 that a plane had when it was verified, None where it never was."""
        mark = _mark(key)
        return None if self.objects.size(mark) is None else self.objects.read(mark).decode().strip()

    def _put(self, key: str, temporary: Path) -> ObjectRecord:
        """Store a verified plane, then its mark; a plane that was here before must be the same."""
        expected, found = self._verified(key), sha256_of(temporary)
        if expected not in (None, found):
            temporary.unlink()
            raise ObjectStoreError(
                f"plane {key}: sha256 {found}, but {expected} was verified before; the survey at {self.files.root} has changed: "
                "give it another [survey] release"
            )
        record = self.objects.put_file(key, temporary)
        self.objects.put(_mark(key), f"{record.sha256}\n".encode())
        return record


def _mark(key: str) -> str:
    """Return the key of a plane's commit mark."""
    return f"{key}.sha256"
