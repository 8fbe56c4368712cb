"""The summary's rows gathered by a cluster: each block leaves a file of what the summary takes of it, which the driver reads in order.

The files are named by one run of the driver alone and go when it has read them, so two that gather at once do not meet.
"""

import time
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from halo_core.errors import BlocksFailedError
from halo_core.stages.summary_blocks import ExperimentRows, Gathered
from halo_core.stages.summary_parts import from_bytes
from luigi_tasks.engines.interrupts import unwinding_on_sigterm
from luigi_tasks.engines.request import ENGINE, BlocksRequest, failures_of, parts_key, settings_of
from luigi_tasks.engines.settings import SparkSettings
from luigi_tasks.engines.software import software
from luigi_tasks.engines.submission import SparkSubmit
from luigi_tasks.gather_plan import GatherPlan
from luigi_tasks.objects import Objects
from luigi_tasks.progress import report
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import BLOCKS_FILE, stage_prefix

_WORD = "summary"
_READERS = 16


def gather_on_cluster(task: IdentifiedTask) -> list[ExperimentRows]:
    """Return the rows of every experiment of a campaign, as ``summary_blocks.gather`` does of its tables.

    Raises
    ------
    BlocksFailedError
        Blocks could not be gathered.
    AccountingError
        As ``summary_blocks.gather``.
    """
    digest = task.digest_of(_WORD)
    GatherPlan(task.digest_of("manifest"), task.digest_of("injection"), task.summary_config()).put(task.objects, digest)
    blocks = task.table_of("manifest", BLOCKS_FILE)["block"].to_pylist()
    parts = f"{stage_prefix(_WORD, digest)}/{ENGINE}/{uuid.uuid4().hex[:12]}"
    try:
        _submit(task, _request(task, digest, blocks, parts))
        return _joined(task.objects, [parts_key(parts, block) for block in blocks])
    finally:
        with ThreadPoolExecutor(_READERS) as pool:
            list(pool.map(task.objects.delete, task.objects.list_sizes(parts)))


def _request(task: IdentifiedTask, digest: str, blocks: Sequence[int], parts: str) -> BlocksRequest:
    """Return what executors are asked."""
    return BlocksRequest(
        word=_WORD,
        digest=digest,
        objects_root=str(task.objects.root),
        survey_root=task.survey.root,
        blocks=tuple(blocks),
        sections=settings_of(),
        software=software(),
        parts=parts,
    )


def _submit(task: IdentifiedTask, request: BlocksRequest) -> None:
    """Have every block gathered, or raise."""
    with unwinding_on_sigterm(), SparkSubmit().submit(task.objects, request) as submission:
        while submission.exit_code() is None:
            time.sleep(SparkSettings().poll_s)
            n_done = len(task.objects.list_sizes(request.parts))
            report(task, done=n_done, total=len(request.blocks), text=f"{n_done:,} of {len(request.blocks):,} blocks gathered")
        reasons = failures_of(task.objects, submission.key)
        if reasons:
            first = min(reasons)
            raise BlocksFailedError(f"{_WORD}: {len(reasons)} blocks were not gathered, first {first}: {reasons[first]}")
        if submission.exit_code() != 0:
            raise BlocksFailedError(f"{_WORD}: {submission.ended()}. Last words:\n{submission.tail()}")


def _joined(objects: Objects, keys: Sequence[str]) -> list[ExperimentRows]:
    """Return the rows of all blocks, one after the other."""
    gathered = Gathered()
    with ThreadPoolExecutor(_READERS) as pool:
        for data in pool.map(objects.read, keys):
            gathered.extend(from_bytes(data))
    return gathered.rows()
