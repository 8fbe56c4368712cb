"""Validation of a manifest: every law that its tables can prove or break, in memory that its size hardly changes.

Blocks are read once, some at a time. Laws of rows are counted there; laws across blocks are held by what a ledger keeps of each physical
injection, about 150 bytes, and the parents are read once more, table by table.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from halo_core.records import MANIFEST, Finding
from halo_core.stages import validation_manifest_design as design
from halo_core.stages import validation_manifest_values as values
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.validation import Tally
from halo_core.stages.validation_checks import Check, Verdict, finding_of, nulls_verdict, run_checks, schema_verdict
from halo_core.stages.validation_manifest_design import Whole
from halo_core.stages.validation_manifest_ledger import Ledger
from halo_core.stages.validation_manifest_view import ManifestEvidence, ManifestPart, in_parts

STAGE = "manifest"

__all__ = ["DESIGN_LAWS", "ROW_LAWS", "ManifestEvidence", "check_manifest"]


@dataclass(frozen=True)
class RowLaw:
    """A law of every row: ``count`` gives what breaks it in some blocks, by column or kind; ``expected`` says what holds."""

    name: str
    sentence: str
    count: Callable[[ManifestPart], Counter[str]]
    expected: str
    severity: Literal["error", "warning"] = "error"


ROW_LAWS: tuple[RowLaw, ...] = (
    RowLaw("controls_zero", "Controls have neither lens nor source.", values.controls_zero, "all zero"),
    RowLaw("injections_positive", "Injections have a lens and a source.", values.injections_positive, "all positive"),
    RowLaw(
        "ranges",
        "Parameters lie in their ranges.",
        values.values_in_range,
        "theta_e in (0, 5], e in [0, 0.95], shear in [0, 0.5], angles in [0, pi), colours clamped",
    ),
    RowLaw("views", "The views of one physical injection agree in every physical column.", values.views_identical, "every view, all alike"),
    RowLaw("configurations", "Parameters are those of the row's configuration.", values.configurations_known, "the grid's values"),
    RowLaw("frozen", "Frozen variables follow from the physical id and the priors.", values.frozen_as_drawn, "the priors' values"),
    RowLaw("identities", "Ids and seeds are the hashes of what they name.", values.identities_recomputed, "the hashes made again"),
    RowLaw("fluxes", "Source fluxes are extincted once.", values.fluxes_painted, "fluxes of the magnitudes"),
)
"""The laws of rows, in the order in which they are reported."""

DESIGN_LAWS: tuple[Check[Whole], ...] = (
    Check("plan", "The manifest was built to the configured plan, or to a reduction that is allowed.", design.plan_kept),
    Check("task_id_unique", "Every task has an id of its own.", design.task_ids_unique),
    Check("counts", "Every tier, split, stamp size and bandset has exactly the planned rows.", design.counts_exact),
    Check("stamp_sizes", "Every tier has every configured stamp size and bandset, and no other.", design.sizes_complete),
    Check("experiments", "Every experiment is named after its tier, size, bandset and grid.", design.experiments_named),
    Check("seeds", "The recorded seeds are the configuration's.", design.seeds_recorded),
    Check("control_fraction", "Every tier and split has exactly the planned controls.", design.control_fraction),
    Check("controls_distinct", "Every control is a host of its own.", design.controls_distinct),
    Check("bricks", "Every brick exists.", design.bricks_known),
    Check("hosts_are_parents", "Every host is an eligible parent in the split the parents gave it.", design.hosts_are_parents),
    Check("one_split", "Galaxies and regions belong to one split.", design.one_split_each),
    Check("balanced", "Configurations are balanced, within strata too.", design.configurations_balanced),
    Check("pairs", "Every host and configuration has every replicate once.", design.pairs_complete),
    Check("uniforms", "The uniform numbers under the frozen variables are uniform.", design.uniforms_flat),
    Check("blocks", "Blocks keep their limits and divide no host.", design.blocks_whole),
    Check("weights", "Sampling weights are ratios of host counts.", design.weights_consistent),
    Check("hosts", "Distinct hosts and effective sample size are reported.", design.hosts_reported),
)
"""The laws across blocks, in the order in which they are reported; splits that share no pixel come last."""


@dataclass
class _Entry:
    """What was seen of the blocks before any law was tried."""

    evidence: ManifestEvidence
    columns: Verdict
    nulls: Verdict
    n_tasks: int = 0


def _rows(entry: _Entry) -> Verdict:
    """Return whether there are tasks, parents and a plan."""
    n_parents = sum(table.num_rows for table in entry.evidence.parents(["is_guard"]))
    counts = (entry.n_tasks, n_parents, len(entry.evidence.plan))
    return Verdict(min(counts) > 0, "{} tasks, {} parents, {} plan rows".format(*counts), "more than 0 each")


_ENTRY: tuple[Check[_Entry], ...] = (
    Check("columns", "Every block has every column in its type.", lambda entry: entry.columns),
    Check("rows", "The manifest, its parents and its plan hold rows.", _rows),
    Check("nulls", "No column that forbids it holds NULL or NaN.", lambda entry: entry.nulls),
)


def check_manifest(blocks: Iterable[pa.Table], config: ManifestConfig, evidence: ManifestEvidence) -> list[Finding]:
    """Return one finding per law, passed or not.

    Parameters
    ----------
    blocks : iterable of Table
        The manifest, one or several whole blocks at a time; read once.
    config : ManifestConfig
        What it was asked to be.
    evidence : ManifestEvidence
        What it was made from.

    Notes
    -----
    It fails closed: where a column or all rows are missing, or a value is NULL that must not be, the laws that need them are not tried
    and the finding that says so is a failed error.
    """
    entry = _Entry(evidence, schema_verdict(MANIFEST.empty_table(), MANIFEST), nulls_verdict(MANIFEST.empty_table(), MANIFEST))
    ledger, tally = Ledger(), Tally({law.name: law.count for law in ROW_LAWS})
    for tasks in in_parts(_sound(blocks, entry)):
        entry.nulls = nulls_verdict(tasks, MANIFEST)
        if not entry.nulls.is_ok:
            break
        part = ManifestPart(tasks, config, evidence.grids)
        ledger.add(part)
        tally.add(part)
    findings = []
    for check in _ENTRY:
        findings += run_checks(STAGE, (check,), entry)
        if not findings[-1].is_ok:
            return findings
    findings += [
        finding_of(STAGE, law, tally.raised.get(law.name) or _of_rows(law, tally.counts[law.name], ledger.n_rows)) for law in ROW_LAWS
    ]
    return findings + run_checks(STAGE, (*DESIGN_LAWS, _apart(evidence)), Whole(ledger, config, evidence))


def _sound(blocks: Iterable[pa.Table], entry: _Entry) -> Iterator[pa.Table]:
    """Yield the blocks with rows until one lacks a column, which is entered."""
    for tasks in blocks:
        entry.n_tasks += tasks.num_rows
        entry.columns = schema_verdict(tasks, MANIFEST)
        if not entry.columns.is_ok:
            return
        if tasks.num_rows:
            yield tasks


def _of_rows(law: RowLaw, bad: Counter[str], n_rows: int) -> Verdict:
    """Return the verdict of a law of rows."""
    return Verdict(not bad, f"of {n_rows} rows break it: {dict(sorted(bad.items())) or 'none'}", law.expected)


def _apart(evidence: ManifestEvidence) -> Check[Whole]:
    """Return the law of separate splits: given splits that overlap only warn."""
    return Check("splits_apart", "No two splits share a pixel.", design.splits_apart, "warning" if evidence.has_given_splits else "error")
