"""What a campaign left behind, without what only the moment knows: the same for every run of it, however it was disturbed."""

import hashlib
import io
import json
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq
import sqlalchemy as sa

from halo_core.store.models import Base
from halo_core.store.sessions import read
from luigi_tasks.objects import Objects
from luigi_tasks.report import REPORT_FILE
from luigi_tasks.targets import BLOCK_MARK, PLANES_FILE, STAGE_MARK

OF_THE_MOMENT = {"created_at", "finished_at", "started", "finished", "host", "attempts", "finding_id", "campaign_id", "created_at_utc"} | {
    "fetched_at",
    "fetch_seconds",
}
"""Columns of rows and words of JSON objects that say when, where and how often."""

_COST = re.compile(rb'<section aria-labelledby="cost">.*?</section>', re.DOTALL)
"""What the report says of time and machines."""

_MOMENT = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00")


@dataclass(frozen=True)
class Content:
    """Every object by key, and every row of the state by table and count."""

    objects: dict[str, str]
    rows: dict[str, Counter[str]]

    def differences(self, other: "Content") -> list[str]:
        """Return a line for every object and table that is not the same."""
        keys = sorted(self.objects.keys() | other.objects.keys())
        lines = [f"object {key}: {self.objects.get(key)} != {other.objects.get(key)}" for key in keys if not _same(self, other, key)]
        for table in sorted(self.rows.keys() | other.rows.keys()):
            ours, theirs = self.rows[table], other.rows[table]
            lines += [f"{table}: {n} more of {row}" for row, n in (ours - theirs).items()]
            lines += [f"{table}: {n} fewer of {row}" for row, n in (theirs - ours).items()]
        return lines

    @property
    def n_rows(self) -> int:
        """Number of rows of all tables."""
        return sum(rows.total() for rows in self.rows.values())


def content_of(objects: Objects, state_url: str) -> Content:
    """Return what store and state hold; every commit mark must name objects that are there with the sha256 it says."""
    keys = list(objects.list_sizes(""))
    with ThreadPoolExecutor(8) as readers:
        found = dict(zip(keys, readers.map(objects.read, keys), strict=True))
    sha256 = {key: hashlib.sha256(data).hexdigest() for key, data in found.items()}
    for key, data in found.items():
        if _is_mark(key):
            named = {name: record["sha256"] for name, record in json.loads(data)["objects"].items()}
            assert named == {name: sha256.get(name) for name in named}, key
    with read(state_url) as connection:
        rows = {table.name: Counter(_rows(connection, table)) for table in Base.metadata.sorted_tables}
    return Content({key: _fingerprint(key, data) for key, data in found.items()}, rows)


def held_leases(state_url: str) -> list[dict[str, Any]]:
    """Return the blocks that are in somebody's hands, live or not, or that ended with an error."""
    query = "SELECT stage_digest, block, lease_owner, error FROM blocks WHERE lease_owner IS NOT NULL OR lease_until IS NOT NULL"
    with read(state_url) as connection:
        return [dict(row) for row in connection.execute(sa.text(f"{query} OR finished IS NULL OR error IS NOT NULL")).mappings()]


def _same(one: Content, other: Content, key: str) -> bool:
    """Tell whether both hold the same object under a key."""
    return one.objects.get(key) == other.objects.get(key)


def _is_mark(key: str) -> bool:
    """Tell whether an object is a commit mark."""
    return key.endswith((STAGE_MARK, BLOCK_MARK))


def _fingerprint(key: str, data: bytes) -> str:
    """Return the sha256 of an object without what only the moment knows; of a mark's objects the names, which `content_of` has proven."""
    if key.endswith(".json"):
        content: Any = json.loads(data)
        if isinstance(content, dict):
            kept = {name: value for name, value in content.items() if name not in OF_THE_MOMENT}
            data = json.dumps(kept | ({"objects": sorted(content["objects"])} if _is_mark(key) else {}), sort_keys=True).encode()
    elif key.endswith(f"/{PLANES_FILE}"):
        table = pq.read_table(io.BytesIO(data))
        data = repr(table.drop_columns(["attempts"]).to_pylist()).encode()
    elif key.endswith(f"/{REPORT_FILE}"):
        data = _MOMENT.sub(b"", _COST.sub(b"", data))
    return hashlib.sha256(data).hexdigest()


def _rows(connection: sa.Connection, table: sa.Table) -> list[str]:
    """Return the rows of a table as text; a campaign by its name instead of its number."""
    columns = [column for column in table.columns if column.name not in OF_THE_MOMENT]
    query = sa.select(*columns)
    if table.name == "campaign_stages":
        campaigns = Base.metadata.tables["campaigns"]
        query = sa.select(campaigns.c.name, *columns).join(campaigns, campaigns.c.campaign_id == table.c.campaign_id)
    return [repr(tuple(row)) for row in connection.execute(query)]
