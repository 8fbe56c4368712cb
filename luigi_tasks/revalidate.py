"""The checks of every stage asked again of what a run has stored, known by its recorded digests; no stage is done again."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import luigi

from halo_core.records import Finding
from halo_core.stages.validation import is_broken
from halo_core.store import stages
from halo_core.store.campaigns import CampaignRun
from halo_core.store.sessions import read
from luigi_tasks.checks import words_of
from luigi_tasks.identity import VALIDATED, StageIdentity
from luigi_tasks.objects import open_objects
from luigi_tasks.recorded import latest_run, task_on_record
from luigi_tasks.targets import StageTarget
from luigi_tasks.validation import CAMPAIGN, ValidateCampaign, ValidateStage, ValidationTask


@dataclass(frozen=True)
class RecordedStage(StageIdentity):
    """A stage of a run as the state knows it: by its digest, whatever this version would call it."""

    recorded: str = ""

    @property
    def digest(self) -> str:  # type: ignore[override]
        """The digest."""
        return self.recorded


class _OfRun(ValidationTask):
    """Checks of a run that the state knows."""

    digests: Mapping[str, str] = luigi.DictParameter(description="Digest of each stage of the run, by its word.")

    @cached_property
    def identities(self) -> dict[str, StageIdentity]:
        """The stages of the run."""
        return {
            word: RecordedStage(word, 0, {}, {}, {}, digest) for word, digest in self.digests.items() if not word.startswith("validation_")
        }


class RevalidateStage(_OfRun, ValidateStage):
    """The checks of one stage of a run that the state knows."""


class RevalidateCampaign(_OfRun, ValidateCampaign):
    """The checks across the stages of a run that the state knows."""


@dataclass(frozen=True)
class Checked:
    """What the checks of one stage, or of the campaign, saw; ``not_reached`` are stages that they need and that are not done."""

    subject: str
    not_reached: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def is_ok(self) -> bool:
        """Return whether the stage is there and holds its laws."""
        return not self.not_reached and not is_broken(self.findings)


def revalidate(state_url: str, objects_root: str, campaign: str) -> Iterator[Checked]:
    """Yield what the checks of each stage see now of a campaign's latest run, and of the campaign; findings and commits are put right.

    Raises
    ------
    StoreError
        No campaign has this name, or the state cannot be asked.
    """
    run, digests = latest_run(campaign, state_url, objects_root)
    if run is None:
        return
    for subject in VALIDATED:
        absent = tuple(word for word in words_of(subject) if not _is_reached(state_url, objects_root, word, digests))
        findings = () if absent else tuple(_task(subject, run, digests, state_url, objects_root).check_again(run.campaign_id))
        yield Checked(subject, absent, findings)


def _is_reached(state_url: str, objects_root: str, word: str, digests: Mapping[str, str]) -> bool:
    """Return whether a run has done a stage, by its commit mark or by the state."""
    if word not in digests:
        return False
    target = StageTarget(open_objects(objects_root), word, digests[word], state_url)
    with read(state_url) as connection:
        return target.objects.size(target.mark_key) is not None or stages.stage_is_done(connection, digests[word])


def _task(subject: str, run: CampaignRun, digests: Mapping[str, str], state_url: str, objects_root: str) -> ValidationTask:
    """Return the checks of a stage by the configuration that is on record."""
    kind = RevalidateCampaign if subject == CAMPAIGN else RevalidateStage
    own = {"digests": dict(digests)} | ({} if subject == CAMPAIGN else {"stage": subject})
    return task_on_record(kind, run, state_url, objects_root, **own)
