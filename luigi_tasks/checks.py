"""What each stage's checks need: its tables from the store, and a sample of stamps beside the survey's own pixels."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from halo_core.errors import ObjectStoreError
from halo_core.records import Finding
from halo_core.stages.files import read_table
from halo_core.stages.planning import PlanRow
from halo_core.stages.region_statistics import SplitShare, shares_finding
from halo_core.stages.summary_rows import TASK_COLUMNS, result_columns
from halo_core.stages.validation_campaign import check_campaign
from halo_core.stages.validation_convergence import render_at_double_effort
from halo_core.stages.validation_injection import SampledStamp, check_injection
from halo_core.stages.validation_injection_counts import RESULT_COLUMNS, count_injections
from halo_core.stages.validation_injection_counts import TASK_COLUMNS as INJECTION_TASK_COLUMNS
from halo_core.stages.validation_leakage import check_leakage
from halo_core.stages.validation_leakage_hosts import HOST_COLUMNS, MANIFEST_KINDS, RESULT_KINDS, HostWatch
from halo_core.stages.validation_manifest import ManifestEvidence, check_manifest
from halo_core.stages.validation_parent import check_parent
from halo_core.stages.validation_summary import check_summary
from halo_core.stamps import RESULTS_FILE, Stamp
from halo_core.store import cache as plane_rows
from halo_core.store import injection as injection_rows
from halo_core.store.sessions import read
from halo_core.survey import layout
from halo_core.survey.coadds import CoaddPlane, open_plane
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.hosts import stored_stamps
from luigi_tasks.identity import validation_digest
from luigi_tasks.parent import iterate_parents
from luigi_tasks.plan import parents_of, selected_regions
from luigi_tasks.plane_budget import plane_budget
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import BLOCKS_FILE, CELLS_FILE, DESIGN_FILE, TASKS_FILE, block_prefix


def stage_findings(task: IdentifiedTask, stage: str) -> list[Finding]:
    """Return the findings of one stage."""
    checks: dict[str, Callable[[IdentifiedTask], list[Finding]]] = {
        "parent": _parent,
        "manifest": _manifest,
        "injection": _injection,
        "summary": _summary,
    }
    return checks[stage](task)


def campaign_findings(task: IdentifiedTask) -> list[Finding]:
    """Return the findings across stages, from the plan, the state's own counts and the cells."""
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


def _blocks(task: IdentifiedTask, word: str, name: str, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
    """Yield a table of every block of a stage, one after the other; all of its columns, or some."""
    for block in task.table_of("manifest", BLOCKS_FILE)["block"].to_pylist():
        yield _block(task, word, block, name, columns)


def _block(task: IdentifiedTask, word: str, block: int, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a table of one block of a stage."""
    path = task.objects.path(f"{block_prefix(word, task.digest_of(word), block)}/{name}")
    return read_table(path, None if columns is None else list(columns))


def _parent(task: IdentifiedTask) -> list[Finding]:
    """Return the findings of the parent."""
    findings = check_parent(
        partial(iterate_parents, task),
        task.parent_config(),
        bricks=task.table_of("survey", "bricks.parquet"),
        has_given_splits=_has_given_splits(task),
    )
    return [*findings, shares_finding([SplitShare(**share) for share in task.mark_of("parent")["counts"]["splits"]])]


def _manifest(task: IdentifiedTask) -> list[Finding]:
    """Return the findings of the manifest, block by block as its list names them."""
    evidence = ManifestEvidence(
        parents=parents_of(task),
        plan=built_plan(task),
        grids=task.grids(),
        bricknames=_bricknames(task),
        seeds=task.mark_of("manifest")["seeds"],
        has_given_splits=_has_given_splits(task),
        regions=selected_regions(task),
    )
    watch = HostWatch(MANIFEST_KINDS["condition"], task.sampling_seed)
    findings = check_manifest(watch.manifest(_blocks(task, "manifest", TASKS_FILE)), task.manifest_config(), evidence)
    findings += check_leakage("manifest", watch)
    return [*findings, *(Finding(**found) for found in design(task)["reductions"])]


def _bricknames(task: IdentifiedTask) -> set[str]:
    """Return the names of the bricks of the survey's table, or of the parents where there is none."""
    if task.survey.files.size(layout.BRICKS_KEY) is not None:
        return set(task.table_of("survey", "bricks.parquet")["brickname"].to_pylist())
    return {name for table in parents_of(task)(["brickname"]) for name in pc.unique(table["brickname"]).to_pylist()}


def _has_given_splits(task: IdentifiedTask) -> bool:
    """Return whether the parent table brought its own regions or splits."""
    return bool(task.mark_of("parent")["counts"]["has_given_splits"])


def _summary(task: IdentifiedTask) -> list[Finding]:
    """Return the findings of the summary."""
    config = task.summary_config()
    return check_summary(task.table_of("summary", CELLS_FILE), tasks_and_results(task, TASK_COLUMNS, result_columns(config)), config)


def _injection(task: IdentifiedTask) -> list[Finding]:
    """Return the findings of cache and injection."""
    watch = HostWatch(RESULT_KINDS["condition"], task.sampling_seed)
    columns = tuple(dict.fromkeys((*INJECTION_TASK_COLUMNS, *HOST_COLUMNS)))
    counts = count_injections(watch.results(tasks_and_results(task, columns, RESULT_COLUMNS)))
    with read(task.state_url) as connection:
        planes = plane_rows.planes(connection, stage_digest=task.digest_of("cache"))
    return [*check_injection(counts, planes, _sample(task, counts.sample)), *check_leakage("injection", watch)]


def _sample(task: IdentifiedTask, chosen: Sequence[tuple[str, int]]) -> list[SampledStamp]:
    """Return some injections, named by task and block, beside the survey's own pixels."""
    ids = pa.array([task_id for task_id, _ in chosen], type=pa.string())
    budget = plane_budget(task.objects, task.survey.source_id, task.state_url)
    source = PlaneSource(task.survey.files, task.survey.source_id, task.objects, budget)
    digest, sampled = validation_digest("injection", task.identities), []
    for block in sorted({block for _, block in chosen}):
        rows, results = (
            table.filter(pc.is_in(table["task_id"], value_set=ids))
            for table in (_block(task, "manifest", block, TASKS_FILE), _block(task, "injection", block, RESULTS_FILE))
        )
        found = {row["task_id"]: row for row in results.to_pylist()}
        with budget.pinned(digest, block, rows["brickname"].to_pylist()):
            for stamp in stored_stamps(task.objects, task.digest_of("injection"), block, rows):
                sampled.append(_beside_survey(task, source, stamp, found[stamp.truth["task_id"]]))
    return sampled


def _beside_survey(task: IdentifiedTask, source: PlaneSource, stamp: Stamp, result: dict[str, Any]) -> SampledStamp:
    """Return a stamp with its place by the full WCS, the survey's pixels read anew and its arc at twice the effort."""
    pixels: list[NDArray[np.float32]] = []
    x_pix = y_pix = float("nan")
    for band in stamp.bands:
        with _plane_anew(source, stamp, f"image-{band}") as plane:
            x_pix, y_pix = (float(v) for v in plane.wcs.all_world2pix(stamp.truth["ra"], stamp.truth["dec"], 0))
            y0, x0, size = result["stamp_y0_pix"], result["stamp_x0_pix"], stamp.truth["stamp_size"]
            pixels.append(plane.read()[y0 : y0 + size, x0 : x0 + size].astype(np.float32))
    converged = render_at_double_effort(stamp, result, task.injection_config())
    return SampledStamp(stamp, result, x_pix, y_pix, np.stack(pixels), converged)


@contextmanager
def _plane_anew(source: PlaneSource, stamp: Stamp, name: str) -> Iterator[CoaddPlane]:
    """Give the plane that a stamp's host was cut from; one that is not kept is fetched again and dropped."""
    row, path = source.fetch_copy(stamp.truth["brickname"], name, block=stamp.truth["block"])
    if path is None:
        raise ObjectStoreError(f"{row['source_uri']}: {row['reason']}, but a host was cut from it: stored hosts cannot be held against it")
    try:
        with open_plane(path, name) as plane:
            yield plane
    finally:
        if row["key"] is None:
            path.unlink(missing_ok=True)
