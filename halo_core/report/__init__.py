"""The report of a campaign: one self-contained HTML page with tables, figures and pictures; and two campaigns side by side."""
