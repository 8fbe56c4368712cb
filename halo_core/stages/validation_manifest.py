"""Validation of a manifest: every law that its tables can prove or break."""

import pyarrow as pa

from halo_core.records import MANIFEST, Finding
from halo_core.stages import validation_manifest_design as design
from halo_core.stages import validation_manifest_values as values
from halo_core.stages.manifest_config import ManifestConfig
from halo_core.stages.validation_checks import Check, Verdict, nulls_verdict, run_checks, schema_verdict
from halo_core.stages.validation_manifest_view import ManifestEvidence, ManifestView

__all__ = ["CHECKS", "ManifestEvidence", "check_manifest"]

_ENTRY: tuple[Check[ManifestView], ...] = (
    Check("columns", "The manifest has every column in its type.", lambda view: schema_verdict(view.tasks, MANIFEST)),
    Check(
        "rows",
        "The manifest, its parents and its plan hold rows.",
        lambda view: Verdict(
            min(view.tasks.num_rows, view.evidence.parents.num_rows, len(view.evidence.plan)) > 0,
            f"{view.tasks.num_rows} tasks, {view.evidence.parents.num_rows} parents, {len(view.evidence.plan)} plan rows",
            "more than 0 each",
        ),
    ),
)

_NULLS: Check[ManifestView] = Check(
    "nulls", "No column that forbids it holds NULL or NaN.", lambda view: nulls_verdict(view.tasks, MANIFEST)
)

CHECKS: tuple[Check[ManifestView], ...] = (
    Check("task_id_unique", "Every task has an id of its own.", values.task_ids_unique),
    Check("counts", "Every tier, split, stamp size and bandset has exactly the planned rows.", design.counts_exact),
    Check("stamp_sizes", "Every tier has every configured stamp size and bandset, and no other.", design.sizes_complete),
    Check("experiments", "Every experiment is named after its tier, size, bandset and grid.", design.experiments_named),
    Check("seeds", "The recorded seeds are the configuration's.", values.seeds_recorded),
    Check("control_fraction", "Every tier and split has exactly the planned controls.", design.control_fraction),
    Check("controls_distinct", "Every control is a host of its own.", design.controls_distinct),
    Check("controls_zero", "Controls have neither lens nor source.", values.controls_zero),
    Check("injections_positive", "Injections have a lens and a source.", values.injections_positive),
    Check("ranges", "Parameters lie in their ranges.", values.values_in_range),
    Check("views", "The views of one physical injection agree in every physical column.", values.views_identical),
    Check("bricks", "Every brick exists.", design.bricks_known),
    Check("hosts_are_parents", "Every host is an eligible parent in the split the parents gave it.", design.hosts_are_parents),
    Check("one_split", "Galaxies and regions belong to one split.", design.one_split_each),
    Check("balanced", "Configurations are balanced, within strata too.", design.configurations_balanced),
    Check("pairs", "Every host and configuration has every replicate once.", design.pairs_complete),
    Check("configurations", "Parameters are those of the row's configuration.", values.configurations_known),
    Check("uniforms", "The uniform numbers under the frozen variables are uniform.", values.uniforms_flat),
    Check("frozen", "Frozen variables follow from the physical id and the priors.", values.frozen_as_drawn),
    Check("identities", "Ids and seeds are the hashes of what they name.", values.identities_recomputed),
    Check("fluxes", "Source fluxes are extincted once.", values.fluxes_painted),
    Check("blocks", "Blocks keep their limits and divide no host.", design.blocks_whole),
    Check("weights", "Sampling weights are ratios of host counts.", design.weights_consistent),
    Check("hosts", "Distinct hosts and effective sample size are reported.", design.hosts_reported),
)
"""The laws of a manifest, in the order in which they are reported."""


def check_manifest(tasks: pa.Table, config: ManifestConfig, evidence: ManifestEvidence) -> list[Finding]:
    """Return one finding per law, passed or not.

    Parameters
    ----------
    tasks : Table
        The manifest.
    config : ManifestConfig
        What it was asked to be.
    evidence : ManifestEvidence
        What it was made from.

    Notes
    -----
    It fails closed: where a column or all rows are missing, or a value is NULL that must not be, the laws that need them are not tried
    and the finding that says so is a failed error.
    """
    view = ManifestView(tasks, config, evidence)
    findings: list[Finding] = []
    for entry in (*_ENTRY, _NULLS):
        findings += run_checks("manifest", (entry,), view)
        if not findings[-1].is_ok:
            return findings
    return findings + run_checks("manifest", (*CHECKS, _apart(evidence)), view)


def _apart(evidence: ManifestEvidence) -> Check[ManifestView]:
    """Return the law of separate splits: given splits that overlap only warn."""
    return Check("splits_apart", "No two splits share a pixel.", design.splits_apart, "warning" if evidence.has_given_splits else "error")
