"""The estimate of a campaign: what is known of its bricks and parents by now, and the tables that --plan-only prints."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from halo_core.constants import BRICK_SIZE_PIX
from halo_core.stages import rates
from halo_core.stages.estimate import Bricks, Design, Estimate, block_bounds, expected_bricks, hosts_of, likely_blocks
from halo_core.stages.estimate_requests import SurveyKind
from halo_core.stages.files import read_table
from halo_core.stages.planning import PlanRow
from halo_core.survey.bricks import N_BRICKS
from luigi_tasks.http_files import SCHEMES
from luigi_tasks.objects import S3_SCHEME
from luigi_tasks.places import MOCK, MockSurveySettings
from luigi_tasks.progress import duration
from luigi_tasks.stage import IdentifiedTask
from luigi_tasks.targets import BLOCKS_FILE, DESIGN_FILE, TASKS_FILE, StageTarget, block_prefix

CORES = (1, 10, 100, 1_000)
_SENTENCES = {
    "counted": "Bricks: {n:,}, as the manifest has them; blocks: {blocks:,}.",
    "expected": "Bricks: about {n:,}, expected of a draw from these parents; blocks: about {blocks:,} ({least:,} to {most:,}).",
    "at most": "Bricks: at most {n:,}, for the parents are not selected yet; blocks: {least:,} to {most:,}. What follows is a bound.",
}

Supply = Mapping[str, Mapping[int, int]]
"""Eligible hosts of each split by brick."""

_UNITS = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12}


def estimate_of(task: IdentifiedTask, rows: Sequence[PlanRow], supply: Supply | None, *, has_survey: bool) -> Estimate:
    """Return the estimate of a campaign from what is there: its manifest, or its parents, or its survey's bricks, or nothing.

    Parameters
    ----------
    task : IdentifiedTask
        The campaign.
    rows : list of PlanRow
        What is planned.
    supply : mapping or None
        Eligible hosts of each split by brick; None where the parents are not there.
    has_survey : bool
        Whether the survey can be looked at; without it no stage has a name.
    """
    parents = None if supply is None else _mark(task, "parent")
    counts = {} if parents is None else parents["counts"]
    manifest = None if supply is None else _mark(task, "manifest")
    if manifest is not None:
        rows = [PlanRow(**row) for row in json.loads(task.objects.read(task.key_of("manifest", DESIGN_FILE)))["plan"]]
    totals = None if supply is None else {split: sum(bricks.values()) for split, bricks in supply.items()}
    hosts, is_mock = hosts_of(rows, totals), task.survey_root == MOCK
    design = Design(
        n_arcs=sum(row.n_injections for row in rows),
        n_controls=sum(row.n_controls for row in rows),
        n_hosts=sum(hosts.values()) if manifest is None else manifest["counts"]["n_hosts"],
        stamp_sizes=task.stamp_sizes,
        bandsets=task.bandsets,
        bands=task.bands,
        block_max_injections=task.block_max_injections,
        block_max_bricks=task.block_max_bricks,
        cache_mode=task.cache_mode,
        survey=survey_kind(task.survey_root, task.objects_root),
        renderer=task.renderer,
        effort=task.effort,
        has_noise=task.shot_noise,
        n_parents=counts.get("n_parents"),
        n_catalogue_rows=counts["cut_flow"][0]["n_before"] if counts.get("cut_flow") else None,
        brick_size_pix=MockSurveySettings().survey().brick_size_pix if is_mock else BRICK_SIZE_PIX,
    )
    if manifest is not None:
        return Estimate(design, _counted(task))
    if supply is not None:
        n_bricks = expected_bricks(hosts, supply)
        n_blocks = likely_blocks(design, n_bricks)
        return Estimate(design, Bricks(n_bricks, n_blocks, n_bricks, "expected"))
    n_bricks = min(_most_bricks(task, has_survey=has_survey), design.n_hosts)
    return Estimate(design, Bricks(n_bricks, block_bounds(design, n_bricks)[1], n_bricks, "at most"))


def _most_bricks(task: IdentifiedTask, *, has_survey: bool) -> int:
    """Return a number of bricks that no campaign exceeds: those of the survey where they are known, else of the whole sky."""
    if task.survey_root == MOCK:
        return MockSurveySettings().survey().n_bricks
    if not has_survey or _mark(task, "survey") is None:
        return N_BRICKS
    return task.table_of("survey", "bricks.parquet").num_rows


def survey_kind(survey_root: str, objects_root: str) -> SurveyKind:
    """Return how a survey is read; the mock survey stands among the objects."""
    root = objects_root if survey_root == MOCK else survey_root
    if root.startswith(SCHEMES):
        return "server"
    return "s3" if root.startswith(S3_SCHEME) else "folder"


def _mark(task: IdentifiedTask, word: str) -> dict[str, Any] | None:
    """Return the whole commit mark of a stage, None where it is not there."""
    return StageTarget(task.objects, word, task.digest_of(word), task.state_url).committed()


def _counted(task: IdentifiedTask) -> Bricks:
    """Return the bricks of a manifest that is there; one that is divided fills the block that it begins in."""
    blocks = task.table_of("manifest", BLOCKS_FILE).to_pylist()
    full = [row["block"] for row in blocks[:-1] if row["n_bricks"] == 1]
    n_divided = sum(bool(_bricknames(task, block) & _bricknames(task, block + 1)) for block in full)
    n_in_blocks = sum(row["n_bricks"] for row in blocks)
    return Bricks(n_in_blocks - n_divided, len(blocks), n_in_blocks, "counted")


def _bricknames(task: IdentifiedTask, block: int) -> set[str]:
    """Return the bricks of a block."""
    key = f"{block_prefix('manifest', task.digest_of('manifest'), block)}/{TASKS_FILE}"
    return set(read_table(task.objects.path(key), ["brickname"])["brickname"].to_pylist())


def print_estimate(console: Console, estimate: Estimate) -> None:
    """Print an estimate: bricks, stages, stores, state, wall clock."""
    design, bricks = estimate.design, estimate.bricks
    least, most = block_bounds(design, bricks.n_bricks)
    if bricks.known == "at most":
        least = block_bounds(design, 1)[0]
    line = _SENTENCES[bricks.known].format(n=bricks.n_bricks, blocks=bricks.n_blocks, least=least, most=most)
    for text in (line, *_lines(estimate)):
        console.print(text, soft_wrap=True)
    console.print(_stage_table(estimate))
    console.print(_wall_table(estimate))
    console.print("Rates and their sources: halo_core/stages/rates.py and docs/scale.md.", soft_wrap=True)


def _lines(estimate: Estimate) -> list[str]:
    """Return a line each on hosts, objects, requests and databases."""
    design, of = estimate.design, estimate.object_bytes
    kinds = ", ".join(f"{name} {size(n_bytes)}" for name, n_bytes in of.items())
    sent = ", ".join(f"{kind.upper()} {n:,}" for kind, n in sorted(estimate.requests.items()))
    planes = len(design.planes)
    found = [
        f"Hosts: {design.n_hosts:,}; arcs: {design.n_arcs:,}; stored at {max(design.stamp_sizes)} pixels in {''.join(design.bands)}.",
        f"Survey: {estimate.n_fetched * planes:,} planes, {size(estimate.survey_bytes)} to read ({planes} planes a brick, each "
        f"{'once' if design.cache_mode == 'whole' else 'once a block'}).",
        f"Objects: {estimate.n_objects:,}; {kinds}.",
        f"Requests, where objects are on S3: {sent}.",
    ]
    for database in rates.ROW_BYTES:
        rows = sum(estimate.n_rows.values())
        took = duration(estimate.load_s(database))
        found.append(f"State in {database}: {rows:,} rows without parents, {size(estimate.state_bytes(database))}, loaded in {took}.")
    return found


def _stage_table(estimate: Estimate) -> Table:
    """Return what each stage costs."""
    table = Table(title="Estimate by stage; memory of each process")
    for name in ("stage", "core time", "reads", "writes", "memory", "processes"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    for stage in estimate.stages:
        core_time = "not known" if stage.core_s is None else duration(stage.core_s)
        moved = ("not known" if stage.read_bytes is None else size(stage.read_bytes), size(stage.written_bytes), size(stage.memory_bytes))
        table.add_row(stage.stage, core_time, *moved, f"{stage.most_processes:,}")
    return table


def _wall_table(estimate: Estimate) -> Table:
    """Return the wall clock with some numbers of cores, and what the survey must then give."""
    table = Table(title="Wall clock where nothing waits")
    for name in ("cores", *rates.ROW_BYTES, "survey must give"):
        table.add_column(name, justify="right")
    for n_cores in CORES:
        walls = [duration(estimate.wall_s(n_cores, database)) for database in rates.ROW_BYTES]
        table.add_row(f"{n_cores:,}", *walls, f"{size(estimate.survey_bytes / estimate.blocks_s(n_cores))}/s")
    return table


def size(n_bytes: float) -> str:
    """Return bytes for people: three digits and a decimal unit."""
    unit = next((unit for unit in ("TB", "GB", "MB", "kB") if n_bytes >= _UNITS[unit]), "kB")
    return f"{n_bytes / _UNITS[unit]:.3g} {unit}" if n_bytes < 999.5 * _UNITS[unit] else f"{n_bytes / _UNITS[unit]:,.0f} {unit}"
