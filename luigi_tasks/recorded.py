"""Tasks of a run that is on record: by the configuration that the state holds, not by that of luigi.cfg."""

import json
import logging
from typing import Any

import luigi

from halo_core.errors import ConfigurationError, StoreError
from halo_core.store import campaigns
from halo_core.store.campaigns import CampaignRun
from halo_core.store.schema import require_head
from halo_core.store.sessions import read
from luigi_tasks.objects import open_objects
from luigi_tasks.places import MockSurveySettings
from luigi_tasks.report_run import Run, run_of

logger = logging.getLogger(__name__)


def recorded_task(kind: type[luigi.Task], campaign: str, state_url: str, objects_root: str, **own: Any) -> Any:
    """Return a task of a campaign's latest run; ``own`` are the parameters that only this task has.

    Raises
    ------
    StoreError
        No campaign has this name, or the state cannot be asked.
    ConfigurationError
        This version of the code gives a stage of the run another digest: it would be another campaign's work.
    """
    run, digests = latest_run(campaign, state_url, objects_root)
    if run is None:
        raise StoreError(f"campaign {campaign!r} was deleted just now")
    task = task_on_record(kind, run, state_url, objects_root, **own)
    for word, identity in task.identities.items():
        if word in digests and digests[word] != identity.digest:
            raise ConfigurationError(
                f"campaign {campaign}: stage {word} is on record as {digests[word]}, but this version of the code and these tables make it "
                f"{identity.digest}; run the campaign with them first"
            )
    return task


def latest_run(campaign: str, state_url: str, objects_root: str) -> tuple[CampaignRun | None, dict[str, str]]:
    """Return a campaign's latest run, None where it was deleted just now, and its digests by stage; its mock survey is this process's.

    Raises
    ------
    StoreError
        No campaign has this name, or the state cannot be asked.
    """
    require_head(state_url)
    with read(state_url) as connection:
        digests = campaigns.campaign_digests(connection, campaign)
        run = campaigns.latest_campaign(connection, campaign)
        use_mock_survey(run_of(connection, campaign, open_objects(objects_root)))
    return run, digests


def task_on_record(kind: type[luigi.Task], run: CampaignRun, state_url: str, objects_root: str, **own: Any) -> Any:
    """Return a task by the configuration of a run; what the run was recorded without is as luigi.cfg says."""
    texts: dict[str, str] = json.loads(run.config) | {"state_url": state_url, "objects_root": objects_root}
    parameters = dict(kind.get_params())
    unknown = sorted(parameters.keys() - texts.keys() - own.keys())
    if unknown:
        logger.warning("%s is on record without %s: those of luigi.cfg count", run.name, ", ".join(unknown))
    return kind(**{name: parameter.parse(texts[name]) for name, parameter in parameters.items() if name in texts}, **own)


def use_mock_survey(run: Run) -> None:
    """Let this process know the mock survey that a run was made on, which stands in no parameter of its tasks."""
    config = luigi.configuration.get_config()
    for name, value in run.mock_parameters().items():
        config.set(MockSurveySettings.get_task_family(), name, str(value))
