"""Report: one self-contained page of counts, completeness, pictures, losses and provenance."""

from pathlib import Path

import luigi

from halo_core.errors import ObjectStoreError
from halo_core.report.page import render_report
from halo_core.store.sessions import begin, read
from luigi_tasks.identity import report_digest
from luigi_tasks.objects import sha256_of
from luigi_tasks.progress import link
from luigi_tasks.report_data import collect_report, criterion_labels
from luigi_tasks.report_run import run_of
from luigi_tasks.report_settings import ReportSettings
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.summary import SummariseCompleteness
from luigi_tasks.targets import STAGE_MARK, CommitTarget, stage_prefix
from luigi_tasks.validation import ValidateCampaign

REPORT_FILE = "report.html"


class RenderReport(IdentifiedTask):
    """The page of a campaign whose checks passed, kept under its digest and copied to where people look."""

    def requires(self) -> list[luigi.Task]:
        """A campaign that passed its checks."""
        return [self.clone(SummariseCompleteness), self.clone(ValidateCampaign)]

    def output(self) -> CommitTarget:
        """Return the report's commit."""
        digest = report_digest(self.identities, campaign_name=self.campaign_name, config=self.config_text())
        return CommitTarget(self.objects, stage_prefix("report", digest), STAGE_MARK)

    def complete(self) -> bool:
        """Whether the report is committed and the copy is this report."""
        mark = self.output().committed()
        copy = Path(ReportSettings().path)
        return mark is not None and copy.is_file() and sha256_of(copy) == mark["objects"][self._key]["sha256"]

    def run(self) -> None:
        """Render what is not committed, then copy."""
        link(self, self.objects.uri(self._key))
        with begin(self.state_url) as connection:
            self.register(connection)
        if self.output().committed() is None:
            with read(self.state_url) as connection:
                data = collect_report(
                    connection, run_of(connection, self.campaign_name, self.objects), criterion_labels(self.summary_config())
                )
            record = self.objects.put(self._key, render_report(data).encode())
            self.output().commit({"stage": "report", "counts": {"n_pictures": len(data.gallery)}}, {self._key: record})
        copy_report(self.objects.read(self._key), Path(ReportSettings().path))

    @property
    def _key(self) -> str:
        """Key of the page."""
        return f"{self.output().prefix}/{REPORT_FILE}"


def copy_report(page: bytes, path: Path) -> None:
    """Put a page where people look for the latest one; nobody sees half of it."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(page)
        temporary.replace(path)
    except OSError as error:
        raise ObjectStoreError(
            f"cannot write the report to {path}: {error.strerror or error}; set [report] path to a file you may write"
        ) from error
