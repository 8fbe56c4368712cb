"""Commit marks: a stage or block is there when its mark is, and every object the mark names has the size it says.

The mark is written last, so half-done work is invisible. What the mark names is proven by sha256 when it is written and by size, from one
listing, whenever a task asks whether it is complete.

Of two that commit the same work, the first mark stays where it is whole and names what the store holds; a mark that does not is replaced.
"""

import json
import logging
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import luigi

from halo_core.errors import ObjectStoreError
from halo_core.store import blocks as block_rows
from halo_core.store import stages as stage_rows
from halo_core.store.sessions import read
from luigi_tasks.objects import ObjectRecord, Objects

logger = logging.getLogger(__name__)

STAGE_MARK = "_stage_config.json"
BLOCK_MARK = "_commit.json"
TASKS_FILE = "tasks.parquet"
BLOCKS_FILE = "blocks.parquet"
PLANES_FILE = "planes.parquet"
DESIGN_FILE = "design.json"
CELLS_FILE = "cells.parquet"
CELLS_ECSV_FILE = "cells.ecsv"
REGIONS_FILE = "region_cells.parquet"
REGION_SELECTIONS_FILE = "region_selections.parquet"
CONTROLS_FILE = "controls.json"
FACTS_FILE = "facts.json"
MODELS_FOLDER = "models"

READERS = 16
"""Objects that one process reads at the same time."""


def stage_prefix(word: str, digest: str) -> str:
    """Return where a stage's objects are."""
    return f"{word}/{digest}"


def block_prefix(word: str, digest: str, block: int) -> str:
    """Return where a block's objects are."""
    return f"{word}/{digest}/block={block:05d}"


class CommitTarget(luigi.Target):
    """A commit mark and the objects it names, mark and objects below ``listed``: the mark's own prefix unless another is given."""

    def __init__(self, objects: Objects, prefix: str, mark: str, *, listed: str | None = None) -> None:
        self.objects = objects
        self.prefix = prefix
        self.listed = prefix if listed is None else listed
        self.mark_key = f"{prefix}/{mark}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.objects.uri(self.mark_key)!r})"

    def __hash__(self) -> int:
        return hash((type(self), self.mark_key, str(self.objects.root)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CommitTarget) and hash(self) == hash(other)

    def mark(self) -> dict[str, Any] | None:
        """Return the commit mark, None where there is none.

        Raises
        ------
        ObjectStoreError
            The mark is there and is not what this project writes, or the store cannot be asked.
        """
        return None if self.objects.size(self.mark_key) is None else self._read_mark()

    def committed(self, sizes: Mapping[str, int] | None = None) -> dict[str, Any] | None:
        """Return the mark where every object it names is there with its size, else None; by a listing the caller may have made."""
        if sizes is None:
            sizes = self.objects.list_sizes(self.listed)
        if self.mark_key not in sizes:
            return None
        mark = self._read_mark()
        return mark if _is_whole(mark, sizes) else None

    def commit(self, content: Mapping[str, Any], objects: Mapping[str, ObjectRecord]) -> dict[str, Any]:
        """Write the mark: content, and sha256 and size of every object. Return it, or the whole mark of the same objects that was first."""
        named = {key: {"sha256": record.sha256, "n_bytes": record.n_bytes} for key, record in sorted(objects.items())}
        mark = {**content, "objects": named}
        data = json.dumps(mark, indent=1, sort_keys=True, allow_nan=False).encode()
        if self.objects.put_new(self.mark_key, data):
            return mark
        first = self.committed()
        if first is not None and first["objects"] == named:
            return first
        logger.warning("%s names objects that are not what the store holds: it is replaced", self.objects.uri(self.mark_key))
        self.objects.put(self.mark_key, data)
        return mark

    def exists(self) -> bool:
        """Return whether the commit is whole."""
        return self.committed() is not None

    def _read_mark(self) -> dict[str, Any]:
        """Return the mark that is there."""
        try:
            mark = json.loads(self.objects.read(self.mark_key))
        except ValueError as error:
            raise ObjectStoreError(f"{self.objects.uri(self.mark_key)} is not JSON ({error}); remove it and run again") from error
        if not isinstance(mark, dict) or "objects" not in mark:
            raise ObjectStoreError(f"{self.objects.uri(self.mark_key)} names no objects; remove it and run again")
        return mark


class StageTarget(CommitTarget):
    """A stage: its commit is whole and the state holds its rows."""

    def __init__(self, objects: Objects, word: str, digest: str, state_url: str) -> None:
        super().__init__(objects, stage_prefix(word, digest), STAGE_MARK)
        self.digest = digest
        self.state_url = state_url

    def exists(self) -> bool:
        """Return whether the commit is whole and the rows are loaded."""
        if self.committed() is None:
            return False
        with read(self.state_url) as connection:
            return stage_rows.stage_is_done(connection, self.digest)


class BlockTarget(CommitTarget):
    """A block: its commit is whole and, where it has rows, the state holds them."""

    def __init__(self, objects: Objects, word: str, digest: str, block: int, state_url: str) -> None:
        super().__init__(objects, block_prefix(word, digest, block), BLOCK_MARK)
        self.digest = digest
        self.block = block
        self.state_url = state_url

    def exists(self) -> bool:
        """Return whether the commit is whole and the rows are loaded."""
        if self.committed() is None:
            return False
        with read(self.state_url) as connection:
            return block_rows.is_finished(connection, self.digest, self.block)


def committed_marks(objects: Objects, word: str, digest: str, blocks: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Return the marks of those blocks of a stage that are whole, from one listing; the marks are read several at a time."""
    sizes = objects.list_sizes(stage_prefix(word, digest))
    targets = {block: CommitTarget(objects, block_prefix(word, digest, block), BLOCK_MARK) for block in blocks}
    with ThreadPoolExecutor(READERS) as readers:
        marks = readers.map(lambda target: target.committed(sizes), targets.values())
        return {block: mark for block, mark in zip(targets, marks, strict=True) if mark is not None}


def _is_whole(mark: Mapping[str, Any], sizes: Mapping[str, int]) -> bool:
    """Return whether every object that a mark names is there with its size."""
    return all(sizes.get(key) == record["n_bytes"] for key, record in mark["objects"].items())
