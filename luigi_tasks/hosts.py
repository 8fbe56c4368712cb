"""The hosts of a block: cut from planes and stored beside the arcs, or cut before and stored with the cache, never twice."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.records import hosts_schema
from halo_core.stages.cutouts import Cutouts
from halo_core.stages.files import StampWriter
from halo_core.stages.hosts import Host
from halo_core.stamps import HOSTS_FILE, Stamp, read_host, read_stamps
from luigi_tasks.block_plan import BlockPlan
from luigi_tasks.objects import ObjectRecord, Objects
from luigi_tasks.targets import BLOCK_MARK, CommitTarget, block_prefix

_HOSTS = "hosts"
"""What a commit mark calls the key of hosts that are stored elsewhere."""


class BlockHosts(Protocol):
    """Where the hosts of a block come from and are kept."""

    n_hosts: int
    said: dict[str, str]

    def path_of(self, key: str) -> Path:
        """Return the local file of what the asset table names."""

    def cut_before(self, brickname: str) -> Sequence[Host] | None:
        """Return a brick's hosts where they are cut already, None where they are to be cut."""

    def keep(self, hosts: pa.Table) -> None:
        """Keep the hosts that were cut of a brick."""

    def put(self) -> dict[str, ObjectRecord]:
        """Store what was kept."""


@contextmanager
def block_hosts(objects: Objects, plan: BlockPlan, block: int) -> Iterator[BlockHosts]:
    """Give the hosts of a block as its campaign caches them."""
    if plan.cache_mode == "sections":
        key = plan.cutouts_key(block)
        with Cutouts(objects.path(key)) as cutouts:
            yield _CutBefore(key, objects.path(key), cutouts)
    else:
        key = f"{block_prefix('injection', plan.injection_digest, block)}/{HOSTS_FILE}"
        temporary = objects.temporary(key)
        with StampWriter(temporary, hosts_schema(plan.injection.store_size_pix)) as writer:
            yield _CutNow(objects, key, temporary, writer)


def stored_stamps(objects: Objects, injection_digest: str, block: int, tasks: pa.Table) -> Iterator[Stamp]:
    """Yield the stamp of each task of a block, in the order of the tasks; errors are those of `read_stamps`."""
    prefix = block_prefix("injection", injection_digest, block)
    yield from read_stamps(objects.local_folder(prefix), tasks, hosts=_hosts_file(objects, prefix))


def stored_host(objects: Objects, injection_digest: str, block: int, host_id: str, size_pix: int) -> dict[str, NDArray[np.float32]]:
    """Return a host's stored planes by band, whether its tasks were evaluated or not; see `halo_core.stamps.read_host`."""
    prefix = block_prefix("injection", injection_digest, block)
    hosts = _hosts_file(objects, prefix)
    return read_host(objects.path(f"{prefix}/{HOSTS_FILE}") if hosts is None else hosts, host_id, size_pix)


def _hosts_file(objects: Objects, prefix: str) -> Path | None:
    """Return the file of a block's hosts where its mark says that they are stored elsewhere, else None."""
    mark = CommitTarget(objects, prefix, BLOCK_MARK).mark() or {}
    return objects.path(mark[_HOSTS]) if _HOSTS in mark else None


class _CutNow:
    """Hosts that injection cuts from planes: a file of its own."""

    def __init__(self, objects: Objects, key: str, temporary: Path, writer: StampWriter) -> None:
        self.said: dict[str, str] = {}
        self.path_of = objects.path
        self._objects, self._key, self._temporary, self._writer = objects, key, temporary, writer

    @property
    def n_hosts(self) -> int:
        """Hosts so far."""
        return self._writer.n_rows

    def cut_before(self, brickname: str) -> None:  # noqa: ARG002
        """Return None: nothing is cut yet."""
        return

    def keep(self, hosts: pa.Table) -> None:
        """Write the hosts of a brick."""
        self._writer.write(hosts)

    def put(self) -> dict[str, ObjectRecord]:
        """Store the file."""
        return {self._key: self._objects.put_file(self._key, self._temporary)}


class _CutBefore:
    """Hosts that the cache holds: only read."""

    def __init__(self, key: str, path: Path, cutouts: Cutouts) -> None:
        self.said = {_HOSTS: key}
        self.n_hosts = 0
        self._path, self._cutouts = path, cutouts

    def path_of(self, key: str) -> Path:  # noqa: ARG002
        """Return the cut-outs: they stand for every plane."""
        return self._path

    def cut_before(self, brickname: str) -> Sequence[Host]:
        """Return the hosts of a brick."""
        hosts = self._cutouts.hosts(brickname)
        self.n_hosts += len(hosts)
        return hosts

    def keep(self, hosts: pa.Table) -> None:
        """Keep nothing: the hosts are stored."""

    def put(self) -> dict[str, ObjectRecord]:
        """Store nothing."""
        return {}
