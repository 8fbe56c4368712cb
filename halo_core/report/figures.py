"""The figures of a campaign: completeness curves, splits side by side, heat maps, the sky, magnifications."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from halo_core.report.curves import curve_figures
from halo_core.report.figure_style import ReportFigure, csv, pdf, png, svg
from halo_core.report.heat_maps import heat_maps

__all__ = ["VERSION", "ReportFigure", "campaign_figures", "csv", "pdf", "png", "svg"]

VERSION: int = 1
"""Raised whenever the code changes a byte of a figure, of its numbers or of its caption."""

Facts = Mapping[str, Sequence[Mapping[str, Any]]]


def campaign_figures(
    cells: pa.Table,
    labels: Mapping[str, str],
    *,
    facts: Facts,  # noqa: ARG001
    hosts: pa.Table | None,  # noqa: ARG001
) -> list[ReportFigure]:
    """Return every figure that a campaign has numbers for, in the order of reading.

    Parameters
    ----------
    cells : Table
        ``records.CELLS``.
    labels : mapping of str to str
        Label by criterion name.
    facts : mapping of str to rows
        The summary's facts; may be empty.
    hosts : Table or None
        region_id, region_split, ra_deg, dec_deg, n_hosts: places of hosts, each with how many stand there.
    """
    return [*curve_figures(cells, labels), *heat_maps(cells, labels)]
