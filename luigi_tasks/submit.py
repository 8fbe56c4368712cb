"""The blocks of one stage on Amazon EMR, whatever engine the campaign has otherwise."""

import sys
from functools import cached_property

import luigi

from halo_core.errors import ConfigurationError
from halo_core.store.schema import require_head
from luigi_tasks.block_stage import BlockStage
from luigi_tasks.cache import CacheCoadds
from luigi_tasks.engines.driver import run_blocks
from luigi_tasks.engines.emr_extra import emr_engine
from luigi_tasks.injection import InjectAll
from luigi_tasks.manifest import BuildManifest
from luigi_tasks.progress import link
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.validation import ValidateStage

STAGES: dict[str, type[BlockStage]] = {"cache": CacheCoadds, "injection": InjectAll}


class SubmitEmr(IdentifiedTask):
    """Every block of a stage is committed and its rows are loaded, done by a step of EMR; the stage's own task then only commits.

    Safe to run again: a step that runs is joined, and what is committed is not done again.
    """

    stage = luigi.ChoiceParameter(choices=list(STAGES), default="injection", description="cache or injection.", positional=False)
    dry_run = luigi.BoolParameter(
        default=False, description="Print what EMR would be asked, store nothing and ask nothing.", positional=False
    )

    has_printed = False

    def requires(self) -> list[luigi.Task]:
        """A manifest that passed its checks; nothing for a dry run."""
        return [] if self.dry_run else [self.clone(BuildManifest), self.clone(ValidateStage, stage="manifest")]

    def require_inputs(self) -> None:
        """Raise where the manifest is not there or its checks are not; for a task that no scheduler runs.

        Raises
        ------
        ConfigurationError
            It is so.
        """
        absent = [type(task).__name__ for task in self.requires() if not task.complete()]
        if absent:
            raise ConfigurationError(f"campaign {self.campaign_name}: {' and '.join(absent)} of the manifest not done; run it first")

    def complete(self) -> bool:
        """Whether every block is done."""
        return self.has_printed if self.dry_run else self.blocks.blocks_are_done()

    def run(self) -> None:
        """Have the blocks done."""
        word = str(self.stage)
        if self.dry_run:
            sys.stdout.write(emr_engine().dry_run(self.objects, word, self.digest_of(word)) + "\n")
            self.has_printed = True
            return
        link(self, self.objects.uri(self.blocks.output().prefix))
        require_head(self.state_url)
        plan, _ = self.blocks.plan_blocks()
        run_blocks(self, word, plan, through="emr")

    def on_failure(self, exception: BaseException) -> str:
        """Keep the error in the state as the stage itself does."""
        return self.blocks.on_failure(exception)

    @cached_property
    def blocks(self) -> BlockStage:
        """The stage whose blocks are done."""
        found: BlockStage = self.clone(STAGES[self.stage])
        return found
