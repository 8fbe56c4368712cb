"""What a report is made of: plain tables, pictures and sentences; nothing here reads a store or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.records import Finding

Row = Mapping[str, object]


@dataclass(frozen=True)
class PlainTable:
    """A table as it is shown; cells are numbers, texts, booleans or None (shown as a dash)."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    note: str = ""
    bad_rows: frozenset[int] = frozenset()
    """Rows that are marked as wrong."""


@dataclass(frozen=True)
class Stamps:
    """One injection of the gallery; arrays of shape (3, size, size) in g, r, z [nmgy per pixel], row 0 in the south."""

    title: str
    details: str
    injected: NDArray[np.floating]
    host: NDArray[np.floating]
    arc: NDArray[np.floating]


@dataclass(frozen=True)
class ReportData:
    """Everything the page shows. What a campaign did not reach is empty or None, and the page says so.

    Attributes
    ----------
    campaign : str
        Name of the campaign.
    subtitle : str
        One line under the title: survey, parent variant, date.
    findings : sequence of Finding
        All checks of all stages; failed ones head the page.
    errors : sequence of str
        Messages of stages that stopped without a finding; they head the page too.
    counts : sequence of mapping
        tier, region_split, stamp_size, planned, built, processed, summarised; None for a stage that was not reached.
    cells : Table or None
        ``records.CELLS``.
    criterion_labels : mapping of str to str
        Label by criterion name.
    controls : sequence of mapping
        As from ``summary_controls.control_table``.
    losses : sequence of mapping
        tier, region_split, stamp_size, flag (name), n_tasks.
    region_scatter : sequence of mapping
        As from ``summary_regions.region_scatter``.
    cut_flow : sequence of mapping
        step, n_left (and anything else worth a column).
    supply : sequence of mapping
        Strata and reductions of the plan, any columns.
    gallery : sequence of Stamps
        Pictures.
    configuration, provenance : mapping of str to object
        Parameters; digests, versions, seeds, fingerprints.
    planes : sequence of mapping
        status, reason, planes, bytes.
    """

    campaign: str
    subtitle: str
    findings: Sequence[Finding]
    errors: Sequence[str]
    counts: Sequence[Row]
    cells: pa.Table | None
    criterion_labels: Mapping[str, str]
    controls: Sequence[Row]
    losses: Sequence[Row]
    region_scatter: Sequence[Row]
    cut_flow: Sequence[Row]
    supply: Sequence[Row]
    gallery: Sequence[Stamps]
    configuration: Mapping[str, object]
    provenance: Mapping[str, object]
    planes: Sequence[Row] = ()
