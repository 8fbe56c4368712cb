"""The figures of a campaign: completeness curves, splits side by side, heat maps, the sky, magnifications."""

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from halo_core.report.curves import curve_figures
from halo_core.report.figure_style import ReportFigure, csv, pdf, png, svg
from halo_core.report.heat_maps import heat_maps
from halo_core.report.magnification import magnification_figure
from halo_core.report.sky_map import sky_map

__all__ = ["VERSION", "ReportFigure", "campaign_figures", "csv", "pdf", "png", "svg"]

VERSION: int = 1
"""Raised whenever the code changes a byte of a figure, of its numbers or of its caption."""

Facts = Mapping[str, Sequence[Mapping[str, Any]]]


def campaign_figures(cells: pa.Table, labels: Mapping[str, str], *, facts: Facts, hosts: pa.Table | None) -> list[ReportFigure]:
    """Return every figure that a campaign has numbers for, in the order of reading; one without numbers is absent.

    Parameters
    ----------
    cells : Table
        ``records.CELLS``.
    labels : mapping of str to str
        Label by criterion name.
    facts : mapping of str to rows
        The summary's facts: ``magnification`` and ``expected`` are read; may be empty.
    hosts : Table or None
        region_id, region_split, ra_deg, dec_deg, n_hosts: places of hosts, as from `host_places.gather_hosts`.
    """
    further = (magnification_figure(facts), sky_map(hosts))
    return [*curve_figures(cells, labels), *heat_maps(cells, labels), *(figure for figure in further if figure is not None)]
