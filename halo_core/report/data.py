"""What a report is made of: plain tables, pictures and sentences; nothing here reads a store or a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

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
    sql: str = ""
    """The query of the state that answers with these rows; empty where they do not stand in the state."""
    source: str = ""
    """Where the rows stand that the state does not hold."""


@dataclass(frozen=True)
class Stamps:
    """One task of the gallery; arrays of shape (3, size, size) in g, r, z [nmgy per pixel], row 0 in the south.

    `host` and `arc` are None where they are not stored, and `missing` then says why. A control has no arc and nothing missing.
    """

    title: str
    details: str
    task_id: str
    host: NDArray[np.floating] | None
    arc: NDArray[np.floating] | None
    injected: NDArray[np.floating] | None
    missing: str = ""


@dataclass(frozen=True)
class Gallery:
    """Stamps that were chosen by one rule, which the caption says."""

    heading: str
    caption: str
    stamps: tuple[Stamps, ...]


@dataclass(frozen=True)
class Command:
    """A command line to copy, and what must be known of it."""

    title: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Cost:
    """What the run cost, as far as the state knows.

    Attributes
    ----------
    sentences : tuple of str
        Totals and rates, in words.
    stages : tuple of mapping
        A row per stage: word, tasks, attempts, moments, seconds, bytes; None where it is not known.
    machines : tuple of mapping
        A row per stage with blocks and machine.
    """

    sentences: tuple[str, ...] = ()
    stages: tuple[Row, ...] = ()
    machines: tuple[Row, ...] = ()


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
        Rows of ``v_accounting`` without the campaign; None for a stage that was not reached.
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
    gallery : sequence of Gallery
        Pictures, by the rule that chose them.
    configuration, provenance : mapping of str to object
        Parameters; versions, seeds, fingerprints of each stage.
    planes : sequence of mapping
        status, reason, planes, bytes.
    stages : sequence of mapping
        stage, stage_digest, science_version, code_version, status.
    facts : mapping of str to sequence of mapping
        As in ``facts.json`` of the summary; empty where there is none.
    hosts : Table or None
        Places of hosts for the map of the sky: region_id, region_split, ra_deg, dec_deg, n_hosts.
    cost : Cost
        Time and bytes.
    commands : sequence of Command
        How to do it again.
    sources : mapping of str to str
        Where the objects of a stage are below the objects' root, by its word.
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
    gallery: Sequence[Gallery]
    configuration: Mapping[str, object]
    provenance: Mapping[str, object]
    planes: Sequence[Row] = ()
    stages: Sequence[Row] = ()
    facts: Mapping[str, Sequence[Row]] = field(default_factory=dict)
    hosts: pa.Table | None = None
    cost: Cost = field(default_factory=Cost)
    commands: Sequence[Command] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
