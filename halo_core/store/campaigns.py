"""Questions about campaigns: names, their runs, the stage digests of a run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.seeds import canonical_json
from halo_core.store.models import Campaign, CampaignStage
from halo_core.store.sessions import lock

FLOW = ("survey", "parent", "manifest", "cache", "injection", "summary", "validation")
"""The stage words in the order in which a campaign goes through them."""

_PROGRESS_COLUMNS = (
    "stage",
    "stage_digest",
    "status",
    "blocks_planned",
    "blocks_finished",
    "blocks_failed",
    "tasks_planned",
    "tasks_finished",
)


class CampaignRun(NamedTuple):
    """One run of a named campaign; `config` is its JSON text."""

    campaign_id: int
    name: str
    config: str
    created_at: datetime


class StageProgress(NamedTuple):
    """How far one stage of the latest run is; tasks are NULL for a stage without blocks."""

    stage: str
    stage_digest: str
    status: str
    n_blocks: int
    n_blocks_finished: int
    n_blocks_failed: int
    n_tasks: int | None
    n_tasks_finished: int | None


def register_campaign(connection: sa.Connection, name: str, config: Mapping[str, Any]) -> int:
    """Return the id of the campaign's latest run, a new one where the configuration differs from that run's."""
    lock(connection, "campaigns", name)
    text = canonical_json(config)
    latest = latest_campaign(connection, name)
    if latest is not None and latest.config == text:
        return latest.campaign_id
    query = sa.insert(Campaign).values(name=name, config=text).returning(Campaign.campaign_id)
    return connection.execute(query).scalar_one()


def set_created(connection: sa.Connection, campaign_id: int, moment: str) -> None:
    """Say when a run was first registered, as an ISO 8601 text; for a state that is rebuilt."""
    created_at = datetime.fromisoformat(moment)
    connection.execute(sa.update(Campaign).where(Campaign.campaign_id == campaign_id).values(created_at=created_at))


def link_stage(connection: sa.Connection, campaign_id: int, word: str, digest: str) -> None:
    """Say which digest a run uses for a stage; a later link of the same word replaces the earlier. The stage must be recorded."""
    lock(connection, "campaign_stages", campaign_id)
    connection.execute(sa.delete(CampaignStage).where(CampaignStage.campaign_id == campaign_id, CampaignStage.stage == word))
    connection.execute(sa.insert(CampaignStage).values(campaign_id=campaign_id, stage=word, stage_digest=digest))


def latest_campaign(connection: sa.Connection, name: str | None = None) -> CampaignRun | None:
    """Return the latest run of the named campaign, or of any; None where there is none."""
    query = sa.select(Campaign.campaign_id, Campaign.name, Campaign.config, Campaign.created_at).order_by(Campaign.campaign_id.desc())
    if name is not None:
        query = query.where(Campaign.name == name)
    row = connection.execute(query.limit(1)).first()
    return None if row is None else CampaignRun(*row)


def campaign_names(connection: sa.Connection) -> list[str]:
    """Return the names of all campaigns, in alphabetical order."""
    return list(connection.scalars(sa.select(Campaign.name).distinct().order_by(Campaign.name)))


def campaign_digests(connection: sa.Connection, name: str) -> dict[str, str]:
    """Return the digest by stage word of a campaign's latest run.

    Raises
    ------
    StoreError
        No campaign has this name.
    """
    run = latest_campaign(connection, name)
    if run is None:
        raise StoreError(f"no campaign is called {name!r}; known: {', '.join(campaign_names(connection)) or 'none'}")
    return run_digests(connection, run.campaign_id)


def run_digests(connection: sa.Connection, campaign_id: int) -> dict[str, str]:
    """Return the digest by stage word of one run."""
    query = sa.select(CampaignStage.stage, CampaignStage.stage_digest).where(CampaignStage.campaign_id == campaign_id)
    return {row.stage: row.stage_digest for row in connection.execute(query.order_by(CampaignStage.stage))}


def progress(connection: sa.Connection, name: str) -> list[StageProgress]:
    """Return how far each stage of the campaign's latest run is, in the order of the flow; what `v_progress` shows.

    Raises
    ------
    StoreError
        No campaign has this name.
    """
    campaign_digests(connection, name)
    view = sa.table("v_progress", *(sa.column(column) for column in ("campaign", *_PROGRESS_COLUMNS)))
    query = sa.select(*(view.c[column] for column in _PROGRESS_COLUMNS)).where(view.c.campaign == name)
    rows = [StageProgress(*row) for row in connection.execute(query)]
    return sorted(rows, key=lambda row: (FLOW.index(row.stage) if row.stage in FLOW else len(FLOW), row.stage))
