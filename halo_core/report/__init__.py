"""The report of a campaign: one self-contained HTML page with tables, figures and pictures."""

from halo_core.report.data import Command, Cost, Gallery, PlainTable, ReportData, Stamps
from halo_core.report.page import render_report

__all__ = ["Command", "Cost", "Gallery", "PlainTable", "ReportData", "Stamps", "render_report"]
