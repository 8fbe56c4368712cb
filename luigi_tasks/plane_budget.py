"""A budget of cached planes: above it those that nobody used for longest are removed, never one that a running block needs.

A plane was used when its commit mark was put last; the mark stays when the plane goes, so that a plane that is fetched again must be what
it was. A block pins its bricks for as long as it runs: by an object of its own, which counts while the block's lease is alive in the state.
Pins are put and planes are removed under one lock, so that no plane goes that a pin names.
"""

import json
import logging
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import luigi

from halo_core.errors import ConfigurationError
from halo_core.store.blocks import idle_blocks, live_leases
from halo_core.store.sessions import read
from luigi_tasks.objects import Objects
from luigi_tasks.plane_locks import locked_key

logger = logging.getLogger(__name__)

LISTING_SHARE = 0.05
"""The share of the budget that a process adds before it lists what is there."""

FOREIGN_PIN_S = 86_400.0
"""How long a pin counts whose block this state does not know [s]."""

_PLANE = ".fits.fz"
_n_new_bytes: dict[str, int] = {}
_has_warned: set[str] = set()
_lock = threading.Lock()


class CacheSettings(luigi.Config):
    """How much is kept, [cache] in luigi.cfg."""

    ignore_unconsumed = frozenset({"mode"})
    max_bytes: float = luigi.FloatParameter(
        default=0.0, description="Size above which unused planes of a survey are removed, such as 500e9; 0: none [bytes]."
    )

    @classmethod
    def get_task_family(cls) -> str:
        """Return the section's name."""
        return "cache"

    def n_bytes(self) -> int:
        """Return the budget [bytes], 0 for none."""
        if not self.max_bytes >= 0:
            raise ConfigurationError(f"[cache] max_bytes = {self.max_bytes}: 0 (no limit) or a size above it is needed, such as 500e9")
        return int(self.max_bytes)


@dataclass(frozen=True)
class PlaneBudget:
    """The planes of one survey in a store, and how many bytes of them may stay; ``max_bytes`` 0 is no limit."""

    objects: Objects
    source_id: str
    state_url: str
    max_bytes: int

    @contextmanager
    def pinned(self, digest: str, block: int, bricknames: Iterable[str]) -> Iterator[None]:
        """Keep the planes of these bricks; afterwards keep to the budget again.

        ``digest`` and ``block`` name the block whose lease this process holds. A pin of what is no block, such as a check, counts for a
        day.
        """
        if not self.max_bytes:
            yield
            return
        key = self._key(f"pins/{digest}-{block:05d}-{uuid.uuid4().hex[:12]}")
        content = {"digest": digest, "block": block, "bricks": sorted(set(bricknames))}
        with self._locked():
            self.objects.put(key, json.dumps(content).encode())
        try:
            yield
        finally:
            with self._locked():
                self.objects.delete(key)
        self.enforce()

    def used(self, key: str, sha256: str) -> None:
        """Date the mark of a plane that is about to be used."""
        if self.max_bytes:
            self.objects.put(plane_mark(key), f"{sha256}\n".encode())

    def added(self, n_bytes: int) -> None:
        """Count a plane that was stored now, and keep to the budget now and then."""
        if not self.max_bytes:
            return
        with _lock:
            n_new_bytes = _n_new_bytes.get(self._place, self.max_bytes) + n_bytes
            is_due = n_new_bytes > LISTING_SHARE * self.max_bytes
            _n_new_bytes[self._place] = 0 if is_due else n_new_bytes
        if is_due:
            self.enforce()

    def enforce(self) -> None:
        """Remove the planes that were not used for longest and that no pin names, until the rest leaves room for what comes unseen."""
        with self._locked():
            folder = self._key("coadd")
            sizes = {key: n_bytes for key, n_bytes in self.objects.list_sizes(folder).items() if key.endswith(_PLANE)}
            n_bytes = sum(sizes.values())
            if n_bytes <= self.max_bytes:
                return
            times, pinned = self.objects.list_times(folder), self._pinned_bricks()
            free = [key for key in sizes if key.split("/")[-2] not in pinned]
            n_removed, limit = 0, (1.0 - LISTING_SHARE) * self.max_bytes
            for key in sorted(free, key=lambda key: (times.get(plane_mark(key), 0.0), key)):
                if n_bytes <= limit:
                    break
                self.objects.delete(key)
                n_bytes -= sizes[key]
                n_removed += 1
        self._say(n_removed, n_bytes)

    def _say(self, n_removed: int, n_bytes: int) -> None:
        """Log what was removed and, once a process, that it was not enough."""
        if n_removed:
            logger.info("cache: %d planes of %s removed, %.3f GB are left", n_removed, self.source_id, n_bytes / 1e9)
        if n_bytes > self.max_bytes and self._place not in _has_warned:
            _has_warned.add(self._place)
            logger.warning(
                "cache: running blocks need %.3f GB of %s, above [cache] max_bytes = %g; they go on: give it more, or run fewer at a time",
                n_bytes / 1e9,
                self.source_id,
                self.max_bytes,
            )

    def _pinned_bricks(self) -> set[str]:
        """Return the bricks that running blocks need; pins of blocks that run no more are removed."""
        dates = self.objects.list_times(self._key("pins"))
        pins = {key: json.loads(self.objects.read(key)) for key in dates}
        blocks = {(pin["digest"], pin["block"]) for pin in pins.values()}
        with read(self.state_url) as connection:
            idle = idle_blocks(connection, blocks)
            live = live_leases(connection, {digest for digest, _ in blocks})
        oldest = time.time() + self.objects.clock_offset_s() - FOREIGN_PIN_S if pins else 0.0
        bricks: set[str] = set()
        for key, pin in pins.items():
            block = (pin["digest"], pin["block"])
            if block in idle or (block not in live and dates[key] < oldest):
                self.objects.delete(key)
            else:
                bricks |= set(pin["bricks"])
        return bricks

    def _locked(self) -> AbstractContextManager[None]:
        """Hold the lock under which pins are put and planes removed."""
        return locked_key(self.objects, self._key("budget"))

    @property
    def _place(self) -> str:
        """What this budget is of, among all that a process keeps to."""
        return self.objects.uri(self.source_id)

    def _key(self, name: str) -> str:
        """Return the key of what belongs to this survey's cache."""
        return f"cache/{self.source_id}/{name}"


def plane_mark(key: str) -> str:
    """Return the key of a plane's commit mark."""
    return f"{key}.sha256"


def plane_budget(objects: Objects, source_id: str, state_url: str) -> PlaneBudget:
    """Return the budget that luigi.cfg gives the planes of a survey."""
    return PlaneBudget(objects, source_id, state_url, CacheSettings().n_bytes())
