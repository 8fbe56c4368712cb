"""A tiny campaign on the tiny mock survey, injected in memory, and the measures that tests of the injection share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from halo_core.records import Finding
from halo_core.stages.cache import brick_planes, planes_needed, planes_table
from halo_core.stages.files import StampWriter
from halo_core.stages.grids import load_grid
from halo_core.stages.hosts import BrickPlanes
from halo_core.stages.injection import BrickInjection, InjectionConfig, inject_brick
from halo_core.stages.manifest import ManifestBuild, build_manifest
from halo_core.stages.validation_convergence import paint_without_light, render_at_double_effort
from halo_core.stages.validation_injection import check_planes, check_results
from halo_core.stages.validation_injection_counts import InjectionCounts, count_injections
from halo_core.stages.validation_stamps import SampledStamp, SurveyView, check_stamps
from halo_core.stamps import ARCS_FILE, HOSTS_FILE, Stamp, read_stamps
from halo_core.survey.catalogs import read_bricks
from halo_core.survey.layout import BRICKS_KEY, SWEEP_FOLDER, plane_key
from tests.fixtures.parents import parent_config, select_parents, small_config
from tests.fixtures.survey import read_sweeps

GRIDS = {"grid_tiny": load_grid("grid_tiny", Path(__file__).parents[2] / "data" / "grids")}
CONFIG = InjectionConfig(psf_model="moffat", renderer="adaptive", effort=1.0, store_size_pix=64, bands=("g", "r", "z"), shot_noise=False)
CAMPAIGN: dict[str, object] = {
    "tiers": ("debug", "train"),
    "splits": ("train",),
    "stamp_sizes": (48, 64),
    "n_per_config": {"debug": 5},
    "n_total_train_per_split": 16,
    "control_frac": {"debug": 0.0, "train": 0.5},
    "grids": dict.fromkeys(("debug", "train"), "grid_tiny"),
    "replicates": 1,
    "block_max_bricks": 2,
}
"""10 debug injections, 8 train injections and 8 controls, each seen at two sizes: 52 tasks."""

Rows = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class TinyRun:
    """A manifest on the tiny survey and what it became."""

    root: Path
    manifest: ManifestBuild
    tasks: pa.Table
    planes: pa.Table
    hosts: pa.Table
    arcs: pa.Table
    results: pa.Table


def tiny_manifest(root: Path, **changes: object) -> ManifestBuild:
    """Return a manifest of the tiny survey's red galaxies."""
    selection = parent_config(split_fractions={"train": 1.0}, ebv_max=10.0, psfsize_r_max_arcsec=3.0, psfdepth_r_min_mag=15.0)
    parents, _ = select_parents(read_sweeps(sorted((root / SWEEP_FOLDER).glob("*.fits"))), read_bricks(root / BRICKS_KEY), selection)
    return build_manifest(parents, small_config(**(CAMPAIGN | changes)), GRIDS)


def tiny_planes(root: Path, tasks: pa.Table) -> pa.Table:
    """Return the asset table of a manifest whose planes stand in the survey's own folder."""
    rows = []
    for brickname, plane in planes_needed(tasks["brickname"].to_pylist(), CONFIG.bands):
        key, is_there = plane_key(brickname, plane), (root / plane_key(brickname, plane)).exists()
        found = {"key": key, "status": "ok", "sha256": "0" * 64, "n_bytes": 1, "reason": None}
        lost = {"key": None, "status": "missing", "sha256": None, "n_bytes": None, "reason": "the survey has no such file"}
        common = {"brickname": brickname, "plane": plane, "block": 0, "source_uri": str(root / key), "attempts": 1}
        rows.append(common | (found if is_there else lost))
    return planes_table(rows)


@cache
def tiny_run(root: Path) -> TinyRun:
    """Return the tiny campaign, injected; made once and only read."""
    manifest = tiny_manifest(root)
    planes = tiny_planes(root, manifest.tasks)
    made = inject(manifest.tasks, planes, root)
    return TinyRun(root, manifest, manifest.tasks, planes, made.hosts, made.arcs, made.results)


def inject(tasks: pa.Table, planes: pa.Table, root: Path, config: InjectionConfig = CONFIG) -> BrickInjection:
    """Return what the tasks of several bricks become, brick by brick as a block does it."""
    made = []
    for brickname in dict.fromkeys(tasks["brickname"].to_pylist()):
        mine = tasks.filter(pc.equal(tasks["brickname"], brickname))
        made.append(inject_brick(mine, brick_planes(planes, brickname, root.joinpath), config))
    return BrickInjection(*(pa.concat_tables([getattr(item, name) for item in made]) for name in ("hosts", "arcs", "results")))


def store(made: Any, folder: Path) -> None:
    """Write hosts and arcs as a block stores them."""
    for name, table in ((HOSTS_FILE, made.hosts), (ARCS_FILE, made.arcs)):
        with StampWriter(folder / name, table.schema) as writer:
            writer.write(table)


def by(table: pa.Table, key: str) -> Rows:
    """Return the rows of a table by a key column."""
    return {row[key]: row for row in table.to_pylist()}


def whole_bricks(run: TinyRun) -> list[str]:
    """Return the bricks of a run that lost no plane."""
    lost = {row["brickname"] for row in run.planes.to_pylist() if row["status"] != "ok"}
    return [name for name in dict.fromkeys(run.tasks["brickname"].to_pylist()) if name not in lost]


def planes_of(root: Path, brickname: str, *, without: Mapping[str, str] | None = None) -> BrickPlanes:
    """Return the planes of a brick, some of them lost with the status given."""
    lost = dict(without or {})
    names = [plane for _, plane in planes_needed([brickname], CONFIG.bands) if plane not in lost]
    return BrickPlanes(brickname, {name: root / plane_key(brickname, name) for name in names}, lost)


def stored(row: Mapping[str, Any], column: str) -> NDArray[Any]:
    """Return one stored stamp of a row of hosts or arcs."""
    kind = np.int32 if column == "maskbits" else np.float32
    return np.asarray(row[column], dtype=kind).reshape(row["size_pix"], row["size_pix"])


def centroid(image: NDArray[Any]) -> tuple[float, float]:
    """Return the flux-weighted mean position (x, y) of an image, 0-based [pix]."""
    light = image.astype(np.float64)
    rows, columns = np.indices(light.shape)
    return float((light * columns).sum() / light.sum()), float((light * rows).sum() / light.sum())


def check_injection(counts: InjectionCounts, planes: pa.Table, sample: list[SampledStamp]) -> list[Finding]:
    """Return every finding of cache and injection, as the stage collects them."""
    findings = check_results(counts)
    return [*findings, *check_planes(counts, planes), *check_stamps(counts, sample)] if counts.n_rows else findings


def sample_stamps(run: TinyRun, folder: Path) -> list[SampledStamp]:
    """Return the stamps that validation looks at, each beside the survey's own pixels and its place by the whole header."""
    store(run, folder)
    ids = pa.array([task_id for task_id, _ in count_injections([(run.tasks, run.results)]).sample], type=pa.string())
    results = by(run.results, "task_id")
    tasks = run.tasks.filter(pc.is_in(run.tasks["task_id"], value_set=ids))
    return [_beside_survey(run.root, stamp, results[stamp.truth["task_id"]]) for stamp in read_stamps(folder, tasks)]


def _beside_survey(root: Path, stamp: Stamp, result: dict[str, Any]) -> SampledStamp:
    """Return a stamp with the survey's pixels, read without any code of the project, and its arc at twice the effort."""
    x0, y0, size = result["stamp_x0_pix"], result["stamp_y0_pix"], stamp.truth["stamp_size"]
    pixels = []
    for band in stamp.bands:
        with fits.open(root / plane_key(stamp.truth["brickname"], f"image-{band}")) as hdus:
            pixels.append(hdus[1].data[y0 : y0 + size, x0 : x0 + size].astype(np.float32))
            x, y = WCS(hdus[1].header).all_world2pix(stamp.truth["ra"], stamp.truth["dec"], 0)
    survey = SurveyView(float(x), float(y), np.stack(pixels))
    converged, unlit = render_at_double_effort(stamp, result, CONFIG), paint_without_light(stamp, result, CONFIG)
    return SampledStamp(stamp, result, converged, unlit, survey)
