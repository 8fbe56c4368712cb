"""What the summary takes of a block, wherever that is read: which tables, and what decides it."""

import json
from dataclasses import asdict, dataclass

from halo_core.records import RESULTS
from halo_core.stages.files import read_table
from halo_core.stages.summary_blocks import Gathered
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import TASK_COLUMNS, result_columns
from halo_core.stamps import RESULTS_FILE
from luigi_tasks.block_plan import PLAN
from luigi_tasks.objects import Objects
from luigi_tasks.targets import TASKS_FILE, block_prefix, stage_prefix


def stored_columns(config: SummaryConfig) -> list[str]:
    """Return the columns of the stored results that the summary reads; a detector's scores stand in a table of their own."""
    return [name for name in result_columns(config) if name in RESULTS.names]


@dataclass(frozen=True)
class GatherPlan:
    """What every block of a summary is gathered by; stored before a cluster is asked."""

    manifest_digest: str
    injection_digest: str
    config: SummaryConfig

    def put(self, objects: Objects, digest: str) -> None:
        """Store the plan; the same digest gives the same plan."""
        objects.put(f"{stage_prefix('summary', digest)}/{PLAN}", json.dumps(asdict(self), indent=1, sort_keys=True).encode())

    @classmethod
    def read(cls, objects: Objects, digest: str) -> "GatherPlan":
        """Read the plan of a summary."""
        content = json.loads(objects.read(f"{stage_prefix('summary', digest)}/{PLAN}"))
        return cls(**{**content, "config": SummaryConfig.from_json(content["config"])})

    def gather(self, objects: Objects, block: int) -> Gathered:
        """Gather one block."""
        tasks = objects.path(f"{block_prefix('manifest', self.manifest_digest, block)}/{TASKS_FILE}")
        results = objects.path(f"{block_prefix('injection', self.injection_digest, block)}/{RESULTS_FILE}")
        return Gathered.of(read_table(tasks, list(TASK_COLUMNS)), read_table(results, stored_columns(self.config)), self.config)
