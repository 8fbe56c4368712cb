"""Commit marks: a stage or block is there when its mark is, and every object the mark names has the size it says.

The mark is written last, so half-done work is invisible. What the mark names is proven by sha256 when it is written and by size, from one
listing, whenever a task asks whether it is complete.
"""

import json
from collections.abc import Mapping
from typing import Any

import luigi

from halo_core.errors import ObjectStoreError
from halo_core.store import blocks as block_rows
from halo_core.store import stages as stage_rows
from halo_core.store.sessions import read
from luigi_tasks.objects import FolderObjects, ObjectRecord

STAGE_MARK = "_stage_config.json"
BLOCK_MARK = "_commit.json"
TASKS_FILE = "tasks.parquet"
BLOCKS_FILE = "blocks.parquet"
PLANES_FILE = "planes.parquet"
DESIGN_FILE = "design.json"
CELLS_FILE = "cells.parquet"
REGIONS_FILE = "region_cells.parquet"
CONTROLS_FILE = "controls.json"


def stage_prefix(word: str, digest: str) -> str:
    """Return where a stage's objects are."""
    return f"{word}/{digest}"


def block_prefix(word: str, digest: str, block: int) -> str:
    """Return where a block's objects are."""
    return f"{word}/{digest}/block={block:05d}"


class CommitTarget(luigi.Target):
    """A commit mark and the objects it names, all below ``listed``: the mark's own prefix unless another is given."""

    def __init__(self, objects: FolderObjects, prefix: str, mark: str, *, listed: str | None = None) -> None:
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
            The mark is there and is not what this project writes.
        """
        if self.objects.size(self.mark_key) is None:
            return None
        try:
            mark = json.loads(self.objects.read(self.mark_key))
        except json.JSONDecodeError as error:
            raise ObjectStoreError(f"{self.objects.uri(self.mark_key)} is not JSON ({error}); remove it and run again") from error
        if not isinstance(mark, dict) or "objects" not in mark:
            raise ObjectStoreError(f"{self.objects.uri(self.mark_key)} names no objects; remove it and run again")
        return mark

    def committed(self) -> dict[str, Any] | None:
        """Return the mark where every object it names is there with its size, else None."""
        mark = self.mark()
        if mark is None:
            return None
        sizes = self.objects.list_sizes(self.listed)
        is_whole = all(sizes.get(key) == record["n_bytes"] for key, record in mark["objects"].items())
        return mark if is_whole else None

    def commit(self, content: Mapping[str, Any], objects: Mapping[str, ObjectRecord]) -> dict[str, Any]:
        """Write the mark: content, and sha256 and size of every object."""
        named = {key: {"sha256": record.sha256, "n_bytes": record.n_bytes} for key, record in sorted(objects.items())}
        mark = {**content, "objects": named}
        self.objects.put(self.mark_key, json.dumps(mark, indent=1, sort_keys=True, allow_nan=False).encode())
        return mark

    def exists(self) -> bool:
        """Return whether the commit is whole."""
        return self.committed() is not None


class StageTarget(CommitTarget):
    """A stage: its commit is whole and the state holds its rows."""

    def __init__(self, objects: FolderObjects, word: str, digest: str, state_url: str) -> None:
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

    def __init__(self, objects: FolderObjects, word: str, digest: str, block: int, state_url: str) -> None:
        super().__init__(objects, block_prefix(word, digest, block), BLOCK_MARK)
        self.digest = digest
        self.block = block
        self.state_url = state_url

    def exists(self) -> bool:
        """Return whether the commit is whole and the rows are loaded."""
        if self.committed() is None:
            return False
        with read(self.state_url) as connection:
            return self.block in block_rows.finished_blocks(connection, self.digest)
