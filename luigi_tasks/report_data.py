"""What the report shows, collected from the state and the objects of a campaign's run, whatever it reached."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import sqlalchemy as sa

from halo_core.records import Finding
from halo_core.report.data import ReportData
from halo_core.stages.manifest_hosts import StratumShare
from halo_core.stages.parent_config import CutStep
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_regions import region_scatter
from halo_core.store import blocks, injection, stages, validation
from luigi_tasks.campaign import SELECTION
from luigi_tasks.figures import host_places
from luigi_tasks.identity import VALIDATED
from luigi_tasks.plane_losses import plane_outcomes
from luigi_tasks.report_cost import FLOW, cost_of
from luigi_tasks.report_gallery import galleries
from luigi_tasks.report_record import commands, provenance
from luigi_tasks.report_run import Run
from luigi_tasks.targets import CELLS_FILE, CONTROLS_FILE, DESIGN_FILE, FACTS_FILE, REGIONS_FILE, stage_prefix


def collect_report(connection: sa.Connection, run: Run, labels: Mapping[str, str]) -> ReportData:
    """Return everything the page shows; what the run did not reach is empty."""
    cells = run.table("summary", CELLS_FILE) if run.has("summary") else None
    design = run.json("manifest", DESIGN_FILE) if run.has("manifest") else {}
    parent = run.mark("parent") if run.has("parent") else None
    parents = run.config["variant"] if run.config["parent"] == SELECTION else run.config["parent"]
    return ReportData(
        campaign=run.name,
        subtitle=f"Survey {run.config['survey_root']}, release {run.config['survey_release']}; parents: {parents}",
        findings=_findings(connection, run),
        errors=_errors(connection, run),
        counts=injection.books(connection, run.name),
        cells=cells,
        criterion_labels=labels,
        controls=run.json("summary", CONTROLS_FILE) if run.has("summary") else [],
        losses=_losses(connection, run),
        region_scatter=region_scatter(run.table("summary", REGIONS_FILE)) if run.has("summary") else [],
        cut_flow=_in_order(parent["counts"]["cut_flow"], CutStep) if parent is not None else [],
        supply=_in_order(design.get("shares", []), StratumShare),
        gallery=galleries(run) if run.has("injection") else [],
        configuration=run.config,
        provenance=provenance(run),
        planes=[found._asdict() for found in plane_outcomes(connection, run.digests["cache"])] if "cache" in run.digests else [],
        stages=_stages(connection, run),
        facts=run.json("summary", FACTS_FILE) if run.holds("summary", FACTS_FILE) else {},
        hosts=host_places(run) if run.has("summary") else None,
        cost=cost_of(connection, run),
        commands=commands(run),
        sources={word: stage_prefix(word, digest) for word, digest in run.digests.items()},
    )


def _stages(connection: sa.Connection, run: Run) -> list[dict[str, object]]:
    """Return digest, versions and status of every stage of the run, in the order of the flow."""
    names = ("stage", "stage_digest", "science_version", "code_version", "status")
    found = [stages.stage(connection, run.digests[word]) for word in FLOW if word in run.digests]
    return [{name: getattr(record, name) for name in names} for record in found if record is not None]


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


def _losses(connection: sa.Connection, run: Run) -> list[dict[str, object]]:
    """Return losses by tier, split, size and flag."""
    if "manifest" not in run.digests or "injection" not in run.digests:
        return []
    found = injection.losses(connection, run.digests["manifest"], run.digests["injection"])
    return [{**loss._asdict(), "flag": loss.flag_name} for loss in found]


def criterion_labels(config: SummaryConfig) -> dict[str, str]:
    """Return how the report names each criterion."""
    return {criterion.name: criterion.label for criterion in config.criteria}


def labels_of_run(run: Run) -> dict[str, str]:
    """Return how the report names each criterion of a run, from the record of its summary; empty where it has none."""
    mark = run.mark("summary") if "summary" in run.digests else None
    return {found["name"]: found["label"] for found in mark["parameters"]["criteria"]} if mark is not None else {}
