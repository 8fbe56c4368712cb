"""What a campaign alone holds in the state, and taking it out: rows belong to stage digests, so that those of other campaigns stay."""

from collections.abc import Iterable
from typing import NamedTuple

import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.store.blocks import live_leases
from halo_core.store.campaigns import FLOW, campaign_names
from halo_core.store.models import Base, Campaign, CampaignStage, Stage
from halo_core.store.sessions import lock


class CampaignLine(NamedTuple):
    """A campaign in short; digests that no other campaign uses are its own."""

    name: str
    n_runs: int
    n_digests: int
    n_own_digests: int


class DigestUse(NamedTuple):
    """A stage digest of a campaign, its rows in all tables, and the other campaigns that use it."""

    stage: str
    stage_digest: str
    n_rows: int
    others: tuple[str, ...]


def campaign_lines(connection: sa.Connection) -> list[CampaignLine]:
    """Return every campaign in short, by name."""
    lines = []
    for name in campaign_names(connection):
        n_runs = connection.execute(sa.select(sa.func.count()).where(Campaign.name == name)).scalar_one()
        words = _words(connection, name)
        shared = _users(connection, words, name)
        lines.append(CampaignLine(name, n_runs, len(words), len(words.keys() - shared.keys())))
    return lines


def digests_of(connection: sa.Connection, name: str) -> list[DigestUse]:
    """Return the digests of every run of a campaign in the order of the flow, with what they hold and who else uses them.

    Raises
    ------
    StoreError
        No campaign has this name.
    """
    words = _words(connection, name)
    if name not in campaign_names(connection):
        raise StoreError(f"no campaign is called {name!r}; known: {', '.join(campaign_names(connection)) or 'none'}")
    users = _users(connection, words, name)
    found = [DigestUse(word, digest, _n_rows(connection, digest), users.get(digest, ())) for digest, word in words.items()]
    return sorted(found, key=lambda use: (FLOW.index(use.stage) if use.stage in FLOW else len(FLOW), use.stage, use.stage_digest))


def delete_campaign(connection: sa.Connection, name: str) -> list[DigestUse]:
    """Take a campaign's runs out of the state, and the rows of every digest that no other campaign uses; return those digests.

    Raises
    ------
    StoreError
        No campaign has this name, or a worker holds a block of what would go.
    """
    lock(connection, "campaigns", name)
    own = [use for use in digests_of(connection, name) if not use.others]
    digests = [use.stage_digest for use in own]
    leases = live_leases(connection, digests)
    if leases:
        (digest, block), owner = next(iter(leases.items()))
        raise StoreError(
            f"campaign {name!r} is at work: {len(leases)} blocks are held, block {block} of stage {digest} by {owner}; stop its workers"
        )
    runs = sa.select(Campaign.campaign_id).where(Campaign.name == name)
    connection.execute(sa.delete(CampaignStage).where(CampaignStage.campaign_id.in_(runs)))
    connection.execute(sa.delete(Campaign).where(Campaign.name == name))
    for table in [*_tables_of_rows(), Base.metadata.tables[Stage.__tablename__]]:
        connection.execute(sa.delete(table).where(table.c.stage_digest.in_(digests)))
    return own


def _tables_of_rows() -> list[sa.Table]:
    """Return the tables whose rows belong to a digest, beside the stages and their links."""
    tables = (table for table in Base.metadata.sorted_tables if "stage_digest" in table.c)
    return [table for table in tables if table.name not in (Stage.__tablename__, CampaignStage.__tablename__)]


def _words(connection: sa.Connection, name: str) -> dict[str, str]:
    """Return the stage word of every digest that a run of the campaign uses."""
    query = sa.select(CampaignStage.stage_digest, CampaignStage.stage).join(Campaign, Campaign.campaign_id == CampaignStage.campaign_id)
    return {row.stage_digest: row.stage for row in connection.execute(query.where(Campaign.name == name))}


def _users(connection: sa.Connection, digests: Iterable[str], name: str) -> dict[str, tuple[str, ...]]:
    """Return the names of the other campaigns that use a digest, for those that others use."""
    query = sa.select(CampaignStage.stage_digest, Campaign.name).join(Campaign, Campaign.campaign_id == CampaignStage.campaign_id)
    rows = connection.execute(query.where(CampaignStage.stage_digest.in_(list(digests)), Campaign.name != name).distinct())
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.stage_digest, set()).add(row.name)
    return {digest: tuple(sorted(names)) for digest, names in found.items()}


def _n_rows(connection: sa.Connection, digest: str) -> int:
    """Return how many rows of all tables belong to a digest."""
    counts = (sa.select(sa.func.count()).select_from(table).where(table.c.stage_digest == digest) for table in _tables_of_rows())
    return sum(connection.execute(query).scalar_one() for query in counts)
