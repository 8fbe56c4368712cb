"""The sample of stamps that validation looks at closely: read by block, painted anew, the first of them beside the survey's pixels."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from halo_core.errors import ObjectStoreError
from halo_core.stages.files import read_table
from halo_core.stages.injection import InjectionConfig
from halo_core.stages.validation_convergence import paint_without_light, render_at_double_effort
from halo_core.stages.validation_injection_counts import SAMPLE_SIZE
from halo_core.stages.validation_stamps import SampledStamp, SurveyView
from halo_core.stamps import RESULTS_FILE, Stamp
from halo_core.survey.coadds import CoaddPlane, open_plane
from luigi_tasks.fetch import PlaneSource
from luigi_tasks.hosts import stored_stamps
from luigi_tasks.identity import validation_digest
from luigi_tasks.plane_budget import plane_budget
from luigi_tasks.progress import Progress
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import TASKS_FILE, block_prefix

Row = dict[str, Any]


def block_table(task: IdentifiedTask, word: str, block: int, name: str, columns: Sequence[str] | None = None) -> pa.Table:
    """Return a table of one block of a stage, all of its columns or some."""
    path = task.objects.path(f"{block_prefix(word, task.digest_of(word), block)}/{name}")
    return read_table(path, None if columns is None else list(columns))


def sampled_stamps(task: IdentifiedTask, chosen: Sequence[tuple[str, int]]) -> Iterator[SampledStamp]:
    """Yield the injections that are named by task and block, block by block, the first ``SAMPLE_SIZE`` beside the survey's own pixels."""
    beside = {task_id for task_id, _ in chosen[:SAMPLE_SIZE]}
    blocks = defaultdict[int, list[str]](list)
    for task_id, block in chosen:
        blocks[block].append(task_id)
    progress = Progress("validation of stamps", total=len(chosen), unit="stamps", task=task)
    for block in sorted(blocks):
        yield from _of_block(task, block, blocks[block], beside)
        progress.step(len(blocks[block]))


def _of_block(task: IdentifiedTask, block: int, ids: Sequence[str], beside: Collection[str]) -> Iterator[SampledStamp]:
    """Yield the sampled stamps of one block; planes are kept in the cache meanwhile, each opened once a brick."""
    rows, results = (
        _rows_of(block_table(task, *place), ids) for place in (("manifest", block, TASKS_FILE), ("injection", block, RESULTS_FILE))
    )
    found = {row["task_id"]: row for row in results.to_pylist()}
    close = rows.filter(pc.is_in(rows["task_id"], value_set=pa.array(sorted(beside), type=pa.string())))
    budget = plane_budget(task.objects, task.survey.source_id, task.state_url)
    source = PlaneSource(task.survey.files, task.survey.source_id, task.objects, budget)
    stamps = stored_stamps(task.objects, task.digest_of("injection"), block, rows)
    with ExitStack() as kept:
        if close.num_rows:
            kept.enter_context(budget.pinned(validation_digest("injection", task.identities), block, close["brickname"].to_pylist()))
        for _, of_brick in groupby(stamps, key=lambda stamp: stamp.truth["brickname"]):
            with ExitStack() as opened:
                planes: dict[str, CoaddPlane] = {}
                for stamp in of_brick:
                    result, survey = found[stamp.truth["task_id"]], None
                    if stamp.truth["task_id"] in beside:
                        for band in stamp.bands:
                            if band not in planes:
                                planes[band] = opened.enter_context(_plane_anew(source, stamp, f"image-{band}"))
                        survey = _view(stamp, result, planes)
                    yield looked_at(stamp, result, task.injection_config(), survey)


def _rows_of(table: pa.Table, ids: Sequence[str]) -> pa.Table:
    """Return the rows of some tasks."""
    return table.filter(pc.is_in(table["task_id"], value_set=pa.array(ids, type=pa.string())))


def looked_at(stamp: Stamp, result: Row, config: InjectionConfig, survey: SurveyView | None) -> SampledStamp:
    """Return a stamp with its arc painted anew: at twice the effort, and without light."""
    return SampledStamp(stamp, result, render_at_double_effort(stamp, result, config), paint_without_light(stamp, result, config), survey)


def _view(stamp: Stamp, result: Row, planes: Mapping[str, CoaddPlane]) -> SurveyView:
    """Return what the survey says of a stamp: the host's place by the full WCS, and the pixels read anew."""
    x0, y0, size = result["stamp_x0_pix"], result["stamp_y0_pix"], stamp.truth["stamp_size"]
    of_bands = [planes[band] for band in stamp.bands]
    x, y = of_bands[-1].wcs.all_world2pix(stamp.truth["ra"], stamp.truth["dec"], 0)
    pixels = np.stack([plane.read()[y0 : y0 + size, x0 : x0 + size].astype(np.float32) for plane in of_bands])
    return SurveyView(float(x), float(y), pixels)


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
