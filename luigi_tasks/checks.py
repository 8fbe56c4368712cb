"""What each stage's checks need: its tables from the store; what cannot be read is itself a finding."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from halo_core.records import Finding
from halo_core.stages.planning import PlanRow
from halo_core.stages.region_statistics import SplitShare, shares_finding
from halo_core.stages.scores import ScoreTable
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_rows import TASK_COLUMNS
from halo_core.stages.validation import Evidence
from halo_core.stages.validation_campaign import check_campaign
from halo_core.stages.validation_injection import check_planes, check_results
from halo_core.stages.validation_injection_counts import RESULT_COLUMNS, count_injections
from halo_core.stages.validation_injection_counts import TASK_COLUMNS as INJECTION_TASK_COLUMNS
from halo_core.stages.validation_leakage import check_leakage
from halo_core.stages.validation_leakage_hosts import HOST_COLUMNS, MANIFEST_KINDS, RESULT_KINDS, HostWatch
from halo_core.stages.validation_manifest import ManifestEvidence, check_manifest
from halo_core.stages.validation_parent import check_parent
from halo_core.stages.validation_stamps import check_stamps
from halo_core.stages.validation_summary import check_summary
from halo_core.stamps import RESULTS_FILE
from halo_core.store import cache as plane_rows
from halo_core.store import injection as injection_rows
from halo_core.store.sessions import read
from halo_core.survey import layout
from luigi_tasks.gather_plan import stored_columns
from luigi_tasks.parent import iterate_parents
from luigi_tasks.plan import parents_of, selected_regions
from luigi_tasks.sample import block_table, sampled_stamps
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import BLOCKS_FILE, CELLS_FILE, DESIGN_FILE, FACTS_FILE, TASKS_FILE, stage_prefix


def stage_findings(task: IdentifiedTask, stage: str) -> list[Finding]:
    """Return the findings of one stage, that on its evidence first: what cannot be read is a failed finding, and the rest is checked."""
    evidence = Evidence(stage)
    words, checks = _STAGES[stage]
    for word in words:
        evidence.look(_expect_objects, task, word, evidence)
    evidence.look(checks, task, evidence)
    return evidence.all_findings()


def _expect_objects(task: IdentifiedTask, word: str, evidence: Evidence) -> None:
    """Hold the objects that a stage's mark names against those that are there."""
    named = task.mark_of(word)["objects"]
    evidence.expect_objects(word, named, task.objects.list_sizes(stage_prefix(word, task.digest_of(word))))


def campaign_findings(task: IdentifiedTask) -> list[Finding]:
    """Return the findings across stages, from the plan, the state's own counts and the cells."""
    evidence = Evidence("campaign")
    evidence.check(_campaign, task)
    return evidence.all_findings()


def _campaign(task: IdentifiedTask) -> list[Finding]:
    """Check the books of the campaign."""
    with read(task.state_url) as connection:
        accounts = injection_rows.accounting(connection, task.digest_of("manifest"), task.digest_of("injection"))
        orphans = injection_rows.results_without_task(connection, task.digest_of("manifest"), task.digest_of("injection"))
    return check_campaign(
        built_plan(task),
        stamp_sizes=task.stamp_sizes,
        n_bandsets=len(task.bandsets),
        accounts=[account._asdict() for account in accounts],
        cells=task.table_of("summary", CELLS_FILE),
        n_orphans=orphans,
    )


def design(task: IdentifiedTask) -> dict[str, Any]:
    """Return the record of how the manifest came about."""
    content: dict[str, Any] = json.loads(task.objects.read(task.key_of("manifest", DESIGN_FILE)))
    return content


def built_plan(task: IdentifiedTask) -> list[PlanRow]:
    """Return the plan the manifest was built to, reductions included."""
    return [PlanRow(**row) for row in design(task)["plan"]]


def tasks_and_results(task: IdentifiedTask, task_columns: Sequence[str], columns: Sequence[str]) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield manifest and results of every block, one after the other, the named columns alone."""
    return zip(_blocks(task, "manifest", TASKS_FILE, task_columns), _blocks(task, "injection", RESULTS_FILE, columns), strict=True)


def summarised_rows(task: IdentifiedTask) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield what the summary reads of manifest and results of every block, with a detector's scores where a table of them is given."""
    config = task.summary_config()
    blocks = tasks_and_results(task, TASK_COLUMNS, stored_columns(config))
    if not task.scores:
        return blocks
    names = tuple(dict.fromkeys(metric for criterion in task.detector_criteria() for metric in criterion.metrics))
    return ScoreTable(Path(task.scores), names).join(blocks)


def _blocks(task: IdentifiedTask, word: str, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a table of every block of a stage, one after the other; all of its columns, or some."""
    for block in task.table_of("manifest", BLOCKS_FILE)["block"].to_pylist():
        yield block_table(task, word, block, name, columns)


def _parent(task: IdentifiedTask, evidence: Evidence) -> None:
    """Check the parent."""
    evidence.check(
        lambda: check_parent(
            partial(iterate_parents, task),
            task.parent_config(),
            bricks=task.table_of("survey", "bricks.parquet"),
            has_given_splits=_has_given_splits(task),
        )
    )
    evidence.check(lambda: [shares_finding([SplitShare(**share) for share in task.mark_of("parent")["counts"]["splits"]])])


def _manifest(task: IdentifiedTask, evidence: Evidence) -> None:
    """Check the manifest, block by block as its list names them."""
    watch = HostWatch(MANIFEST_KINDS["condition"], task.sampling_seed)
    blocks = watch.manifest(_blocks(task, "manifest", TASKS_FILE))
    evidence.check(lambda: check_manifest(blocks, task.manifest_config(), _made_from(task)))
    evidence.check(check_leakage, "manifest", watch)
    evidence.check(lambda: [Finding(**found) for found in design(task)["reductions"]])


def _made_from(task: IdentifiedTask) -> ManifestEvidence:
    """Return what the manifest was made from."""
    return ManifestEvidence(
        parents=parents_of(task),
        plan=built_plan(task),
        grids=task.grids(),
        bricknames=_bricknames(task),
        seeds=task.mark_of("manifest")["seeds"],
        has_given_splits=_has_given_splits(task),
        regions=selected_regions(task),
    )


def _bricknames(task: IdentifiedTask) -> set[str]:
    """Return the names of the bricks of the survey's table, or of the parents where there is none."""
    if task.survey.files.size(layout.BRICKS_KEY) is not None:
        return set(task.table_of("survey", "bricks.parquet")["brickname"].to_pylist())
    return {name for table in parents_of(task)(["brickname"]) for name in pc.unique(table["brickname"]).to_pylist()}


def _has_given_splits(task: IdentifiedTask) -> bool:
    """Return whether the parent table brought its own regions or splits."""
    return bool(task.mark_of("parent")["counts"]["has_given_splits"])


def _summary(task: IdentifiedTask, evidence: Evidence) -> None:
    """Check the summary."""
    evidence.check(lambda: _cells_checked(task, task.summary_config()))


def _cells_checked(task: IdentifiedTask, config: SummaryConfig) -> list[Finding]:
    """Return the findings of the summary."""
    facts = json.loads(task.objects.read(task.key_of("summary", FACTS_FILE)))
    return check_summary(task.table_of("summary", CELLS_FILE), summarised_rows(task), config, facts=facts)


def _injection(task: IdentifiedTask, evidence: Evidence) -> None:
    """Check cache and injection."""
    watch = HostWatch(RESULT_KINDS["condition"], task.sampling_seed)
    columns = tuple(dict.fromkeys((*INJECTION_TASK_COLUMNS, *HOST_COLUMNS)))
    counts = evidence.look(lambda: count_injections(watch.results(tasks_and_results(task, columns, RESULT_COLUMNS))))
    if counts is None:
        return
    evidence.check(check_leakage, "injection", watch)
    evidence.check(check_results, counts)
    if counts.n_rows:
        evidence.check(lambda: check_planes(counts, _planes(task)))
        evidence.check(lambda: check_stamps(counts, sampled_stamps(task, counts.sample)))


def _planes(task: IdentifiedTask) -> pa.Table:
    """Return what became of the planes of the campaign."""
    with read(task.state_url) as connection:
        return plane_rows.planes(connection, stage_digest=task.digest_of("cache"))


def words_of(subject: str) -> tuple[str, ...]:
    """Return the words of the stages that must be done before a stage, or the campaign, can be checked."""
    return _STAGES[subject][0] if subject in _STAGES else tuple(word for words, _ in _STAGES.values() for word in words)


_STAGES: dict[str, tuple[tuple[str, ...], Callable[[IdentifiedTask, Evidence], None]]] = {
    "parent": (("parent",), _parent),
    "manifest": (("manifest",), _manifest),
    "injection": (("cache", "injection"), _injection),
    "summary": (("summary",), _summary),
}
"""By stage: the words whose objects its checks read, and the checks."""
