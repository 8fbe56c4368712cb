"""The report of a campaign: one self-contained HTML page with tables, figures and pictures."""

from halo_core.report.data import PlainTable, ReportData, Stamps
from halo_core.report.page import render_report

__all__ = ["PlainTable", "ReportData", "Stamps", "render_report"]
