"""The whole chain."""

import logging

import luigi

from halo_core.store import campaigns
from halo_core.store.schema import require_head
from halo_core.store.sessions import begin, read
from luigi_tasks.figures import DrawFigures
from luigi_tasks.injection import InjectAll
from luigi_tasks.manifest import BuildManifest
from luigi_tasks.parent import BuildParent
from luigi_tasks.plan import PlanOnly
from luigi_tasks.report import RenderReport
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.summary import SummariseCompleteness
from luigi_tasks.survey import ReadSurvey
from luigi_tasks.validation import TASK_OF, ValidateCampaign, ValidateStage

logger = logging.getLogger(__name__)


class RunCampaign(PlanOnly, IdentifiedTask):
    """Every stage of the campaign is done, checked and reported; it requires each stage directly, so that a deleted object is noticed."""

    def requires(self) -> list[luigi.Task]:
        """Every stage; nothing where only the plan is asked for."""
        if self.plan_only:
            return []
        kinds = (ReadSurvey, BuildParent, BuildManifest, InjectAll, SummariseCompleteness, DrawFigures)
        checks = [self.clone(ValidateStage, stage=word) for word in TASK_OF]
        return [*(self.clone(kind) for kind in kinds), *checks, self.clone(ValidateCampaign), self.clone(RenderReport)]

    def complete(self) -> bool:
        """Whether every stage is complete and the campaign's latest run is this one."""
        if self.plan_only:
            return self.has_planned
        if not all(task.complete() for task in self.requires()):
            return False
        with read(self.state_url) as connection:
            run = campaigns.latest_campaign(connection, self.campaign_name)
            found = campaigns.run_digests(connection, run.campaign_id) if run is not None else {}
        return all(found.get(word) == identity.digest for word, identity in self.identities.items())

    def run(self) -> None:
        """Say that this is the campaign's latest run."""
        if self.plan_only:
            self.print_plan()
            return
        require_head(self.state_url)
        with begin(self.state_url) as connection:
            self.register(connection)
        logger.info("campaign %s: done", self.campaign_name)
