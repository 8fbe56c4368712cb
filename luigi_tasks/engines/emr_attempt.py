"""Attempts at a stage on EMR, as objects that are put once and never changed: what was asked, what was made of it, how it ended.

The request of an attempt is put before EMR is asked, and of several drivers one puts it: the others join. So whatever dies, whoever comes
next finds what runs and pays for no second cluster.
"""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from luigi_tasks.engines.emr_request import name_of
from luigi_tasks.engines.request import ENGINE, BlocksRequest
from luigi_tasks.objects import Objects
from luigi_tasks.targets import stage_prefix

_FIRST = "emr-0000.json"


@dataclass(frozen=True)
class Place:
    """Where EMR works on an attempt, and whether the cluster was made for it; the step of such a cluster is found by its name."""

    cluster_id: str
    step_id: str
    is_own: bool


@dataclass(frozen=True)
class Attempt:
    """One attempt at a stage."""

    objects: Objects
    word: str
    digest: str
    number: int

    @property
    def key(self) -> str:
        """Key of the request, which is there once EMR is to be asked."""
        return f"{stage_prefix(self.word, self.digest)}/{ENGINE}/emr-{self.number:04d}.json"

    @property
    def name(self) -> str:
        """Name of the cluster and of the step."""
        return name_of(self.word, self.digest, self.number, str(self.objects.root))

    def begin(self, request: BlocksRequest) -> bool:
        """Put the request; False where another driver has."""
        return self.objects.put_new(self.key, request.to_json())

    def blocks(self) -> frozenset[int]:
        """Return the blocks that were asked for."""
        return frozenset(BlocksRequest.from_json(self.objects.read(self.key)).blocks)

    def asked_at(self) -> float:
        """Return when the request was put, by this machine's clock [s since 1970]."""
        return self.objects.list_times(self.key.rpartition("/")[0])[self.key] - self.objects.clock_offset_s()

    def age_s(self) -> float:
        """Return how long ago the request was put [s]."""
        return time.time() - self.asked_at()

    def keep_place(self, place: Place) -> None:
        """Keep where EMR works on it."""
        self._put("place", asdict(place))

    def place(self) -> Place | None:
        """Return where EMR works on it, None where that was never kept."""
        found = self._read("place")
        return None if found is None else Place(**found)

    def end(self, state: str) -> None:
        """Keep that it is over, and how; the first to say so counts."""
        self._put("over", {"state": state})

    def is_over(self) -> bool:
        """Return whether it is known to be over."""
        return self._read("over") is not None

    def _put(self, part: str, content: Mapping[str, object]) -> None:
        """Store a part that is not there yet."""
        self.objects.put_new(self._key_of(part), json.dumps(content, sort_keys=True).encode())

    def _read(self, part: str) -> dict[str, object] | None:
        """Return a part, None where it is not there."""
        key = self._key_of(part)
        return None if self.objects.size(key) is None else json.loads(self.objects.read(key))

    def _key_of(self, part: str) -> str:
        """Return the key of a part."""
        return f"{self.key.removesuffix('.json')}.{part}.json"


def open_attempt(objects: Objects, word: str, digest: str) -> Attempt:
    """Return the attempt that runs, else the one that comes next, whose request is not there yet."""
    prefix = f"{stage_prefix(word, digest)}/{ENGINE}"
    names = [key.rpartition("/")[2] for key in objects.list_sizes(prefix)]
    numbers = [int(name[4:8]) for name in names if name.startswith("emr-") and len(name) == len(_FIRST)]
    latest = Attempt(objects, word, digest, max(numbers, default=0))
    return Attempt(objects, word, digest, latest.number + 1) if numbers and latest.is_over() else latest
