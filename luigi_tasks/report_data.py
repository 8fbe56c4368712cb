"""What the report shows, collected from the state and the objects of a campaign's run, whatever it reached."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from halo_core.records import Finding
from halo_core.report.data import ReportData, Stamps
from halo_core.stages.files import read_table
from halo_core.stages.manifest_hosts import StratumShare
from halo_core.stages.parent_config import CutStep
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_regions import region_scatter
from halo_core.stamps import RESULTS_FILE
from halo_core.store import blocks, campaigns, injection, stages, validation
from luigi_tasks.campaign import SELECTION
from luigi_tasks.hosts import stored_stamps
from luigi_tasks.identity import VALIDATED
from luigi_tasks.objects import Objects
from luigi_tasks.plane_losses import plane_outcomes
from luigi_tasks.targets import (
    BLOCKS_FILE,
    CELLS_FILE,
    CONTROLS_FILE,
    DESIGN_FILE,
    REGIONS_FILE,
    STAGE_MARK,
    TASKS_FILE,
    CommitTarget,
    block_prefix,
    stage_prefix,
)

_STAMPS_PER_RADIUS = 3
_RADII = 6


@dataclass(frozen=True)
class Run:
    """One run of a campaign: its name, its configuration, its digests by stage word, and where its objects are."""

    name: str
    config: Mapping[str, Any]
    digests: Mapping[str, str]
    objects: Objects

    def has(self, word: str) -> bool:
        """Return whether a stage's objects are committed."""
        return word in self.digests and self.mark(word) is not None

    def mark(self, word: str) -> dict[str, Any] | None:
        """Return a stage's commit mark, None where it is not committed."""
        return CommitTarget(self.objects, stage_prefix(word, self.digests[word]), STAGE_MARK).mark()

    def key(self, word: str, name: str) -> str:
        """Return the key of a stage's object."""
        return f"{stage_prefix(word, self.digests[word])}/{name}"

    def table(self, word: str, name: str) -> pa.Table:
        """Return a stage's table."""
        return read_table(self.objects.path(self.key(word, name)))

    def json(self, word: str, name: str) -> Any:
        """Return a stage's JSON object."""
        return json.loads(self.objects.read(self.key(word, name)))


def run_of(connection: sa.Connection, name: str, objects: Objects) -> Run:
    """Return the latest run of a campaign."""
    digests = campaigns.campaign_digests(connection, name)
    latest = campaigns.latest_campaign(connection, name)
    return Run(name, json.loads(latest.config) if latest is not None else {}, digests, objects)


def collect_report(connection: sa.Connection, run: Run, labels: Mapping[str, str]) -> ReportData:
    """Return everything the page shows; what the run did not reach is empty."""
    cells = run.table("summary", CELLS_FILE) if run.has("summary") else None
    design = run.json("manifest", DESIGN_FILE) if run.has("manifest") else {}
    parent = run.mark("parent") if run.has("parent") else None
    controls = run.json("summary", CONTROLS_FILE) if run.has("summary") else []
    parents = run.config["variant"] if run.config["parent"] == SELECTION else run.config["parent"]
    return ReportData(
        campaign=run.name,
        subtitle=f"Survey {run.config['survey_root']}, release {run.config['survey_release']}; parents: {parents}",
        findings=_findings(connection, run),
        errors=_errors(connection, run),
        counts=_counts(connection, run, controls),
        cells=cells,
        criterion_labels=labels,
        controls=controls,
        losses=_losses(connection, run),
        region_scatter=region_scatter(run.table("summary", REGIONS_FILE)) if run.has("summary") else [],
        cut_flow=_in_order(parent["counts"]["cut_flow"], CutStep) if parent is not None else [],
        supply=_in_order(design.get("shares", []), StratumShare),
        gallery=_gallery(run) if run.has("injection") else [],
        configuration=run.config,
        provenance=_provenance(run),
        planes=[found._asdict() for found in plane_outcomes(connection, run.digests["cache"])] if "cache" in run.digests else [],
    )


def _in_order(rows: Sequence[Mapping[str, Any]], kind: type[CutStep] | type[StratumShare]) -> list[dict[str, object]]:
    """Return records that were stored as JSON with their columns in the order in which they are defined."""
    names = [item.name for item in fields(kind)]
    return [{name: row[name] for name in names} for row in rows]


def _findings(connection: sa.Connection, run: Run) -> list[Finding]:
    """Return every finding of the run, in the order of the flow."""
    words = [f"validation_{subject}" for subject in VALIDATED]
    return [found for word in words if word in run.digests for found in validation.findings(connection, run.digests[word])]


def errors_of_run(connection: sa.Connection, digests: Mapping[str, str]) -> list[str]:
    """Return what stopped without a check: stages that raised, and blocks whose last attempt failed."""
    errors = []
    for word, digest in digests.items():
        record = stages.stage(connection, digest)
        if record is not None and record.status == "failed" and not word.startswith("validation_"):
            errors += [f"{word}: {found.observed}" for found in validation.findings(connection, digest)]
        for block, error in blocks.failed_blocks(connection, digest).items():
            errors.append(f"{word}, block {block}: {error}")
    return errors


def _errors(connection: sa.Connection, run: Run) -> list[str]:
    """Return what stopped without a check, and the stages that were not finished."""
    unfinished = [word for word, digest in run.digests.items() if not stages.stage_is_done(connection, digest)]
    errors = errors_of_run(connection, run.digests)
    return [*errors, f"not finished: {', '.join(unfinished)}"] if unfinished else errors


def _counts(connection: sa.Connection, run: Run, controls: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """Return the books by tier, split and size, controls included; None for a stage that was not reached."""
    summarised: dict[tuple[str, str, int], int] = {}
    for criterion in sorted({row["criterion"] for row in controls})[:1]:
        for row in (row for row in controls if row["criterion"] == criterion):
            key = (row["tier"], row["region_split"], row["stamp_size"])
            summarised[key] = summarised.get(key, 0) + row["n_controls"]
    rows: list[dict[str, object]] = []
    for book in injection.books(connection, run.name):
        key = (book["tier"], book["region_split"], book["stamp_size"])
        n_injections = book["n_summarised_injections"]
        counts = {"planned": book["n_planned"], "built": book["n_built"], "processed": book["n_processed"]}
        counts["summarised"] = None if n_injections is None else n_injections + summarised.get(key, 0)
        rows.append(dict(zip(("tier", "region_split", "stamp_size"), key, strict=True)) | counts)
    return rows


def _losses(connection: sa.Connection, run: Run) -> list[dict[str, object]]:
    """Return losses by tier, split, size and flag."""
    if "manifest" not in run.digests or "injection" not in run.digests:
        return []
    found = injection.losses(connection, run.digests["manifest"], run.digests["injection"])
    return [{**loss._asdict(), "flag": loss.flag_name} for loss in found]


def _gallery(run: Run) -> list[Stamps]:
    """Return some evaluated injections of each Einstein radius at the largest size: the first by id, which is a hash."""
    chosen: dict[float, list[tuple[int, dict[str, Any], dict[str, Any]]]] = {}
    for block in run.table("manifest", BLOCKS_FILE)["block"].to_pylist():
        tasks = read_table(run.objects.path(f"{block_prefix('manifest', run.digests['manifest'], block)}/{TASKS_FILE}"))
        results = read_table(run.objects.path(f"{block_prefix('injection', run.digests['injection'], block)}/{RESULTS_FILE}"))
        for row, result in zip(tasks.to_pylist(), results.to_pylist(), strict=True):
            if result["metrics_ok"] and not row["is_control"] and row["bandset"] == "grz":
                chosen.setdefault(row["theta_e_arcsec"], []).append((block, row, result))
    stamps = []
    for radius in sorted(chosen)[:_RADII]:
        largest = max(row["stamp_size"] for _, row, _ in chosen[radius])
        first = sorted((item for item in chosen[radius] if item[1]["stamp_size"] == largest), key=lambda item: str(item[1]["task_id"]))
        stamps += [_picture(run, *item) for item in _of_different_hosts(first)[:_STAMPS_PER_RADIUS]]
    return stamps


def _of_different_hosts(items: Sequence[tuple[int, dict[str, Any], dict[str, Any]]]) -> list[tuple[int, dict[str, Any], dict[str, Any]]]:
    """Return the items with the first of each host in front."""
    seen: set[str] = set()
    fresh, repeated = [], []
    for item in items:
        (repeated if item[1]["host_id"] in seen else fresh).append(item)
        seen.add(item[1]["host_id"])
    return fresh + repeated


def _picture(run: Run, block: int, row: dict[str, Any], result: dict[str, Any]) -> Stamps:
    """Return one injection of the gallery."""
    stamp = next(stored_stamps(run.objects, run.digests["injection"], block, pa.Table.from_pylist([row])))
    details = (
        f"source {row['src_dmag']:g} mag below the host, R_e {row['src_reff_arcsec']:g}″, magnification {result['magnification']:.1f}, "
        f"matched S/N(r) {result['snr_matched_r']:.1f}, seeing {result['psf_fwhm_used_r_arcsec']:.2f}″, "
        f"brick {row['brickname']}, task {row['task_id']}"
    )
    return Stamps(f"θ_E {row['theta_e_arcsec']:g}″", details, stamp.injected, stamp.host, stamp.arc)


def _provenance(run: Run) -> dict[str, object]:
    """Return digests, versions, seeds and fingerprints of every committed stage."""
    found: dict[str, object] = {}
    for word, digest in sorted(run.digests.items()):
        mark = run.mark(word)
        content: dict[str, object] = {"digest": digest}
        if mark is not None:
            keys = ("science_version", "seeds", "fingerprints", "versions", "processor", "created_at_utc")
            content |= {key: mark[key] for key in keys if mark.get(key)}
        found[word] = content
    return found


def criterion_labels(config: SummaryConfig) -> dict[str, str]:
    """Return how the report names each criterion."""
    return {criterion.name: criterion.label for criterion in config.criteria}


def labels_of_run(run: Run) -> dict[str, str]:
    """Return how the report names each criterion of a run, from the record of its summary; empty where it has none."""
    mark = run.mark("summary") if "summary" in run.digests else None
    return {found["name"]: found["label"] for found in mark["parameters"]["criteria"]} if mark is not None else {}
