"""What the report shows, collected from the state and the objects of a campaign's run, whatever it reached."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

import sqlalchemy as sa

from halo_core.errors import ObjectStoreError
from halo_core.records import Finding
from halo_core.report.data import Cost, ReportData
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

T = TypeVar("T")


class _Parts:
    """Reads the parts of a page from objects; a lenient one notes what cannot be read, and that part is empty."""

    def __init__(self, *, is_lenient: bool) -> None:
        self.unread: list[str] = []
        self._is_lenient = is_lenient

    def read(self, part: Callable[[], T], empty: T) -> T:
        """Return a part."""
        try:
            return part()
        except ObjectStoreError as error:
            if not self._is_lenient:
                raise
            self.unread.append(f"cannot be shown: {error}")
            return empty


def collect_report(connection: sa.Connection, run: Run, labels: Mapping[str, str] | None = None, *, is_lenient: bool = False) -> ReportData:
    """Return everything the page shows; what the run did not reach is empty.

    Parameters
    ----------
    connection : Connection
    run : Run
    labels : mapping of str to str or None
        Label by criterion name; None for those on record.
    is_lenient : bool
        Whether objects that cannot be read are errors of the page, which then heads with them, instead of this function's.

    Raises
    ------
    ObjectStoreError
        An object cannot be read and the page is not lenient.
    """
    parts = _Parts(is_lenient=is_lenient)
    parents = run.config["variant"] if run.config["parent"] == SELECTION else run.config["parent"]
    data = ReportData(
        campaign=run.name,
        subtitle=f"Survey {run.config['survey_root']}, release {run.config['survey_release']}; parents: {parents}",
        findings=_findings(connection, run),
        errors=_errors(connection, run),
        counts=injection.books(connection, run.name),
        cells=parts.read(lambda: run.table("summary", CELLS_FILE) if run.has("summary") else None, None),
        criterion_labels=parts.read(lambda: labels_of_run(run), {}) if labels is None else labels,
        controls=parts.read(lambda: run.json("summary", CONTROLS_FILE) if run.has("summary") else [], []),
        losses=_losses(connection, run),
        region_scatter=parts.read(lambda: region_scatter(run.table("summary", REGIONS_FILE)) if run.has("summary") else [], []),
        cut_flow=parts.read(lambda: _cut_flow(run), []),
        supply=parts.read(lambda: _supply(run), []),
        gallery=parts.read(lambda: galleries(run) if run.has("injection") else [], []),
        configuration=run.config,
        provenance=parts.read(lambda: provenance(run), {}),
        planes=[found._asdict() for found in plane_outcomes(connection, run.digests["cache"])] if "cache" in run.digests else [],
        stages=_stages(connection, run),
        facts=parts.read(lambda: run.json("summary", FACTS_FILE) if run.holds("summary", FACTS_FILE) else {}, {}),
        hosts=parts.read(lambda: host_places(run) if run.has("summary") else None, None),
        cost=parts.read(lambda: cost_of(connection, run), Cost()),
        commands=parts.read(lambda: commands(run), []),
        sources={word: stage_prefix(word, digest) for word, digest in run.digests.items()},
    )
    return replace(data, errors=[*dict.fromkeys(parts.unread), *data.errors])


def _cut_flow(run: Run) -> list[dict[str, object]]:
    """Return the cuts of the parent catalogue."""
    parent = run.mark("parent") if "parent" in run.digests else None
    return _in_order(parent["counts"]["cut_flow"], CutStep) if parent is not None else []


def _supply(run: Run) -> list[dict[str, object]]:
    """Return what each stratum gave."""
    return _in_order(run.json("manifest", DESIGN_FILE).get("shares", []), StratumShare) if run.has("manifest") else []


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
