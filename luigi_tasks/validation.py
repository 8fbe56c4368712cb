"""Validation follows each stage: findings are stored before a failure is raised, and the next stage requires it passed.

Cache and injection share their blocks and are validated together, before the summary.
"""

import json
import logging
from dataclasses import asdict
from importlib.metadata import version
from typing import Any

import luigi
import sqlalchemy as sa
from luigi.task_register import Register

from halo_core.records import Finding
from halo_core.stages.validation import SCIENCE_VERSION, CouldNotRun, is_broken, require
from halo_core.store import campaigns, stages
from halo_core.store.schema import require_head
from halo_core.store.sessions import begin
from halo_core.store.validation import store_findings
from luigi_tasks.checks import campaign_findings, stage_findings
from luigi_tasks.identity import validation_digest
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import StageTarget

logger = logging.getLogger(__name__)

TASK_OF = {"parent": "BuildParent", "manifest": "BuildManifest", "injection": "InjectAll", "summary": "SummariseCompleteness"}
"""The task whose output each validation checks, by the stage's word; known to Luigi by name."""

CAMPAIGN = "campaign"


class ValidationTask(IdentifiedTask):
    """Checks of one stage or of the campaign: findings in the state, and a commit mark once every check that must pass did."""

    def subject(self) -> str:
        """Return what is validated: a stage's word, or campaign."""
        return CAMPAIGN

    def output(self) -> StageTarget:
        """Return the commit of the checks."""
        word = f"validation_{self.subject()}"
        return StageTarget(self.objects, word, validation_digest(self.subject(), self.identities), self.state_url)

    def findings(self) -> list[Finding]:
        """Return what the checks saw."""
        return campaign_findings(self)

    def run(self) -> None:
        """Check, store every finding, then raise where a check failed, else commit. Checks that are committed are only loaded."""
        require_head(self.state_url)
        mark = self.output().committed()
        findings = self.findings() if mark is None else self._committed_findings()
        with begin(self.state_url) as connection:
            self._keep(connection, self.register(connection), findings)
        self._warn(findings)
        require(findings)
        self._finish(findings, mark)

    def check_again(self, campaign_id: int) -> list[Finding]:
        """Return what the checks of a registered run see now, stored in place of what they saw before; a commit that does not hold goes."""
        findings = self.findings()
        self.objects.delete(self.output().mark_key)
        with begin(self.state_url) as connection:
            self._keep(connection, campaign_id, findings)
        if not is_broken(findings):
            self._finish(findings, None)
        return findings

    def _keep(self, connection: sa.Connection, campaign_id: int, findings: list[Finding]) -> None:
        """Put checks of a campaign and their findings into state and log; where a law is broken they have failed."""
        digest, word = self.output().digest, f"validation_{self.subject()}"
        stages.record_stage(connection, digest, word, SCIENCE_VERSION, {}, version("dark-halo-scope"))
        campaigns.link_stage(connection, campaign_id, word, digest)
        store_findings(connection, digest, findings)
        if is_broken(findings):
            stages.fail_stage(connection, digest)
        for found in findings:
            for error in found.errors if isinstance(found, CouldNotRun) else ():
                logger.error("validation of %s, %s: could not run", self.subject(), found.check, exc_info=error)

    def _finish(self, findings: list[Finding], mark: dict[str, Any] | None) -> None:
        """Commit checks that passed, unless they are, and say so in the state."""
        mark = mark or self._commit(findings)
        counts = mark["counts"]
        with begin(self.state_url) as connection:
            stages.finish_stage(connection, self.output().digest, counts)
        logger.info(
            "validation of %s: %d checks passed, %d warnings",
            self.subject(),
            counts["n_checks"] - counts["n_warnings"],
            counts["n_warnings"],
        )

    @property
    def _key(self) -> str:
        """Key of the findings."""
        return f"{self.output().prefix}/findings.json"

    def _committed_findings(self) -> list[Finding]:
        """Return the findings that were committed."""
        return [Finding(**row) for row in json.loads(self.objects.read(self._key))]

    def _commit(self, findings: list[Finding]) -> dict[str, Any]:
        """Store the findings, then the mark, and return it."""
        record = self.objects.put(self._key, json.dumps([asdict(found) for found in findings], indent=1, sort_keys=True).encode())
        counts = {"n_checks": len(findings), "n_warnings": sum(not found.is_ok for found in findings)}
        content = {"stage": f"validation_{self.subject()}", "digest": self.output().digest, "counts": counts}
        return self.output().commit(content, {self._key: record})

    def _warn(self, findings: list[Finding]) -> None:
        """Log what a person should look at."""
        for found in findings:
            if not found.is_ok:
                logger.warning("%s: %s (observed %s, expected %s)", found.check, found.sentence, found.observed, found.expected)


class ValidateStage(ValidationTask):
    """One stage passed its checks. Safe to run again: it only reads."""

    stage = luigi.ChoiceParameter(choices=list(TASK_OF), description="parent, manifest, injection or summary.", positional=False)

    def subject(self) -> str:
        """Return the stage's word."""
        return str(self.stage)

    def requires(self) -> luigi.Task:
        """The stage itself."""
        return self.clone(Register.get_task_cls(TASK_OF[self.stage]))

    def findings(self) -> list[Finding]:
        """Return what the stage's checks saw."""
        return stage_findings(self, self.stage)


class ValidateCampaign(ValidationTask):
    """Every stage passed its checks, and so did the laws across stages: planned = built = processed = summarised."""

    def requires(self) -> list[luigi.Task]:
        """The validation of every stage."""
        return [self.clone(ValidateStage, stage=word) for word in TASK_OF]
