"""The SQL behind each table of the report: plain text for a person to copy, the same on SQLite and Postgres.

The campaign's name stands in each query as a literal. Views answer for its latest run.
"""

from collections.abc import Iterable, Mapping

import pyarrow as pa
import pyarrow.compute as pc

_CELL = """n_evaluated, n_not_evaluated, n_recovered, completeness, lower_95, upper_95,
       completeness_weighted, weighted_lower_95, weighted_upper_95, n_clusters, deff, n_eff, is_too_few, interval_note"""

AXES = (
    *("theta_e_arcsec", "src_dmag", "src_mag_r", "src_reff_arcsec"),
    *("psf_fwhm_r_bin", "psfdepth_r_bin", "resolution_bin", "snr_matched_r_bin"),
)
"""Axes of cells in the order in which the state names them."""

_QUERIES: Mapping[str, str] = {
    "headline": f"""SELECT tier, grid, stamp_size, bandset, criterion, n_task, {_CELL}
  FROM v_completeness
 WHERE campaign = $campaign AND axes = '' AND subset = 'all' AND region_split IS NULL AND selection_set_id IS NULL
 ORDER BY tier, grid, stamp_size, bandset, criterion;""",
    "counts": """SELECT tier, region_split, stamp_size, n_planned, n_built, n_processed, n_evaluated, n_not_evaluated,
       n_planned_injections, n_built_injections, n_summarised_injections
  FROM v_accounting
 WHERE campaign = $campaign
 ORDER BY tier, region_split, stamp_size;""",
    "losses": """SELECT tier, region_split, stamp_size, CAST(SUM(n_tasks) AS BIGINT) AS n_tasks, flag_name, sentence
  FROM v_losses
 WHERE campaign = $campaign
 GROUP BY tier, region_split, stamp_size, flag_name, sentence
 ORDER BY tier, region_split, stamp_size, flag_name;""",
    "planes": """SELECT p.status, p.reason, COUNT(*) AS n_planes, CAST(SUM(p.n_bytes) AS BIGINT) AS n_bytes
  FROM v_latest_stages AS v JOIN coadd_planes AS p ON p.stage_digest = v.stage_digest
 WHERE v.campaign = $campaign AND v.stage = 'cache'
 GROUP BY p.status, p.reason
 ORDER BY p.status, p.reason;""",
    "cut_flow": """SELECT c.name, c.n_before, c.n_after, c.is_kept, c.sentence
  FROM v_latest_stages AS v JOIN parent_cuts AS c ON c.stage_digest = v.stage_digest
 WHERE v.campaign = $campaign AND v.stage = 'parent'
 ORDER BY c.position;""",
    "findings": """SELECT f.is_ok, f.severity, f.stage, f.check_name, f.observed, f.expected, f.sentence
  FROM v_latest_stages AS v JOIN validation_findings AS f ON f.stage_digest = v.stage_digest
 WHERE v.campaign = $campaign AND v.stage LIKE 'validation%'
 ORDER BY f.is_ok, f.severity, f.finding_id;""",
    "stages": """SELECT v.stage, v.stage_digest, s.science_version, s.code_version, s.status
  FROM v_latest_stages AS v JOIN stages AS s ON s.stage_digest = v.stage_digest
 WHERE v.campaign = $campaign
 ORDER BY v.stage;""",
    "cost": """SELECT p.stage, p.blocks_finished, p.tasks_finished, p.first_started, p.last_finished, p.created_at, p.finished_at
  FROM v_progress AS p
 WHERE p.campaign = $campaign
 ORDER BY p.stage;""",
    "machines": """SELECT v.stage, b.host, COUNT(*) AS n_blocks, CAST(SUM(b.attempts) AS BIGINT) AS n_attempts,
       CAST(SUM(b.n_injections) AS BIGINT) AS n_injections, CAST(SUM(b.n_tasks) AS BIGINT) AS n_tasks,
       MIN(b.started) AS first_started, MAX(b.finished) AS last_finished
  FROM v_latest_stages AS v JOIN blocks AS b ON b.stage_digest = v.stage_digest
 WHERE v.campaign = $campaign AND b.finished IS NOT NULL AND b.attempts > 0
 GROUP BY v.stage, b.host
 ORDER BY v.stage, b.host;""",
    "configuration": """SELECT config
  FROM campaigns
 WHERE name = $campaign
 ORDER BY campaign_id DESC LIMIT 1;""",
}


def query(name: str, campaign: str) -> str:
    """Return the query behind a table.

    Parameters
    ----------
    name : str
        One of `query_names`.
    campaign : str
        Name of the campaign, any text.
    """
    return _QUERIES[name].replace("$campaign", literal(campaign))


def query_names() -> tuple[str, ...]:
    """Return the names of the tables that stand in the state."""
    return tuple(_QUERIES)


def figure_query(campaign: str, table: pa.Table) -> str:
    """Return the query behind a figure of completeness; empty for one whose numbers do not stand in the state.

    Parameters
    ----------
    campaign : str
        Name of the campaign, any text.
    table : Table
        The figure's numbers: experiment, split, and the axes by their names in ``completeness_cells``.
    """
    if not table.num_rows or "completeness" not in table.column_names:
        return ""
    axes = [name for name in AXES if name in table.column_names]
    edges = ["bin_lower", "bin_upper"] if [name.endswith("_bin") for name in axes] == [True] else []
    sizes = pc.unique(table["stamp_size_pix"]).to_pylist()
    is_by_split = pc.any(pc.not_equal(table["region_split"], "all")).as_py()
    where = [f"campaign = {literal(campaign)} AND axes = {literal(','.join(axes))}", "subset = 'all' AND selection_set_id IS NULL"]
    where.append(f"region_split IS {'NOT ' if is_by_split else ''}NULL AND stamp_size IN ({', '.join(map(str, sorted(sizes)))})")
    where += [f"{name} >= 0" for name in axes if name.endswith("_bin")]
    columns = ", ".join(["tier", "grid", "stamp_size", "bandset", "criterion", "region_split", *axes])
    return (
        f"SELECT {', '.join([columns, *edges])},\n       {_CELL}\n"
        f"  FROM v_completeness\n WHERE {' AND '.join(where[:1])}\n   AND {' AND '.join(where[1:])}\n ORDER BY {columns};"
    )


def tasks_query(campaign: str, task_ids: Iterable[str]) -> str:
    """Return the query behind the gallery: parameters and results of these tasks."""
    return f"""SELECT task_id, tier, region_split, stamp_size, brickname, theta_e_arcsec, src_dmag, src_reff_arcsec, magnification,
       arc_snr, snr_matched_r, psf_fwhm_used_r_arcsec, flags
  FROM v_task_full
 WHERE campaign = {literal(campaign)} AND task_id IN ({", ".join(map(literal, sorted(task_ids)))})
 ORDER BY task_id;"""


def literal(text: str) -> str:
    """Return a text as an SQL literal, quotes inside it doubled."""
    return "'" + text.replace("'", "''") + "'"
