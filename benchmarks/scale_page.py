"""The tables of `docs/scale.md`, from the estimate: the reference campaign, and twelve million injections of the same kind.

python -m benchmarks.scale_page --write docs
"""

import argparse
import configparser
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from halo_core.stages import rates
from halo_core.stages.estimate import Bricks, Design, Estimate, hosts_of, likely_blocks
from halo_core.stages.planning import plan
from luigi_tasks import RunCampaign
from luigi_tasks.plan_estimate import CORES, size
from luigi_tasks.progress import duration

ROOT = Path(__file__).resolve().parents[1]
MARKS = ("<!-- estimate -->\n", "<!-- /estimate -->")
N_PARENTS, N_CATALOGUE_ROWS = 20_000_000, 2_830_000_000
"""Luminous red galaxies of the reference selection, and the sources of DR10, all of whose sweeps are read."""
REFERENCE_BRICKS, LARGE_BRICKS = 180_373, 180_000
LARGE = {"n_total_train_per_split": "1983760", "control_frac_train": "0.2"}
"""Flags by which the reference campaign has 12,000,000 physical injections and controls, and hosts enough."""
RATES = (20e6, 100e6, 1e9)
EXAMPLE = {"cores": 16, "hour": 0.60, "put": 0.005, "get": 0.0004, "gb_month": 0.023, "months": 1, "egress": 0.09, "out": 0}
"""Inputs of the worked example: no quotation of anybody's prices."""
NAMES = ("reference", "12 million")


def design_of(**changes: str) -> Design:
    """Return the design of the reference campaign with some flags changed, its planes read from a server and kept on S3."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read([ROOT / "luigi.cfg", ROOT / "campaigns/reference.cfg"])
    placed = dict.fromkeys(("bricks_table", "region_selections", "scores", "grid_path"), "")
    placed |= {"survey_root": "unused", "survey_release": "dr10", "parent": "selection", "parent_table": "targets"}
    placed |= {"cache_mode": "whole", "objects_root": "unused", "state_url": "sqlite://", "state_parents": "false", "plan_only": "true"}
    words = {**parser["campaign"], **placed, **changes}
    task = RunCampaign(**{name: parameter.parse(words[name]) for name, parameter in RunCampaign.get_params()})
    rows = plan(task.manifest_config(), {name: grid.n_configs for name, grid in task.grids().items()})
    return Design(
        n_arcs=sum(row.n_injections for row in rows),
        n_controls=sum(row.n_controls for row in rows),
        n_hosts=sum(hosts_of(rows).values()),
        stamp_sizes=task.stamp_sizes,
        bandsets=task.bandsets,
        bands=task.bands,
        block_max_injections=task.block_max_injections,
        block_max_bricks=task.block_max_bricks,
        cache_mode=task.cache_mode,
        survey="server",
        n_parents=N_PARENTS,
        n_catalogue_rows=N_CATALOGUE_ROWS,
    )


def estimates() -> tuple[Estimate, Estimate]:
    """Return the estimates of both campaigns."""
    designs = (design_of(), REFERENCE_BRICKS), (design_of(**LARGE), LARGE_BRICKS)
    small, large = (Estimate(one, Bricks(n, likely_blocks(one, n), n, "expected")) for one, n in designs)
    return small, large


def text() -> str:
    """Return the tables as Markdown."""
    both = estimates()
    parts = [_counts(both), _stages(both), _store(both), _state(both), _walls(both), _fetches(both), _costs(both)]
    return "\n\n".join(parts) + "\n"


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table whose first column is text and whose others are numbers."""
    lines = [head, ("---", *["---:"] * (len(head) - 1)), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _counts(both: tuple[Estimate, ...]) -> str:
    """Return what is planned."""
    values = {
        "physical injections with an arc": lambda one: f"{one.design.n_arcs:,}",
        "controls": lambda one: f"{one.design.n_controls:,}",
        "tasks (rows)": lambda one: f"{one.design.n_tasks:,}",
        "distinct hosts": lambda one: f"{one.design.n_hosts:,}",
        "bricks": lambda one: f"{one.bricks.n_bricks:,}",
        "blocks, about": lambda one: f"{one.bricks.n_blocks:,}",
    }
    return _table(("", *NAMES), [(name, *map(value, both)) for name, value in values.items()])


def _stages(both: tuple[Estimate, ...]) -> str:
    """Return what each stage costs."""
    rows = []
    for stages in zip(*(one.stages for one in both), strict=True):
        cells = [
            (
                f"{(one.core_s or 0.0) / 3600:,.2f}",
                "the sweeps" if one.read_bytes is None else size(one.read_bytes),
                size(one.written_bytes),
                size(one.memory_bytes),
            )
            for one in stages
        ]
        most = "blocks" if stages[0].most_processes == both[0].bricks.n_blocks else f"{stages[0].most_processes:,}"
        rows.append((stages[0].stage, most, *cells[0], *cells[1]))
    totals = [(f"{one.core_s() / 3600:,.1f}", "", "", "") for one in both]
    rows.append(("**all**", "", *totals[0], *totals[1]))
    columns = ("core-hours", "reads", "writes", "memory")
    return _table(("stage", "most processes", *(f"{name}: {column}" for name in NAMES for column in columns)), rows)


def _store(both: tuple[Estimate, ...]) -> str:
    """Return objects and requests, planes kept whole and as sections."""
    sections = [Estimate(replace(one.design, cache_mode="sections"), one.bricks) for one in both]
    rows = []
    for name, one in zip([f"{name}, {mode}" for mode in ("whole", "sections") for name in NAMES], [*both, *sections], strict=True):
        sent = one.requests
        kept = sum(one.object_bytes.values())
        rows.append(
            (
                name,
                size(one.survey_bytes),
                size(kept),
                f"{one.n_objects:,}",
                *(f"{sent[kind]:,}" for kind in ("put", "get", "head", "list")),
            )
        )
    return _table(("campaign, cache mode", "read from the survey", "kept", "objects", "PUT", "GET", "HEAD", "LIST"), rows)


def _state(both: tuple[Estimate, ...]) -> str:
    """Return the size of the state and the time of its loading."""
    rows = [
        (f"{name}, {database}", f"{sum(one.n_rows.values()):,}", size(one.state_bytes(database)), duration(one.load_s(database)))
        for database in rates.ROW_BYTES
        for name, one in zip(NAMES, both, strict=True)
    ]
    return _table(("campaign, database", "rows", "size", "loaded in"), rows)


def _walls(both: tuple[Estimate, ...]) -> str:
    """Return the wall clock by the number of cores."""
    rows = []
    for n_cores in CORES:
        cells = [(duration(one.wall_s(n_cores, "Postgres")), duration(one.blocks_s(n_cores))) for one in both]
        given = [f"{size(one.survey_bytes / one.blocks_s(n_cores))}/s" for one in both]
        puts = [f"{one.requests['put'] / one.blocks_s(n_cores):,.0f}" for one in both]
        rows.append((f"{n_cores:,}", *(cell for pair in zip(cells, given, puts, strict=True) for cell in (*pair[0], *pair[1:]))))
    columns = ("all", "blocks", "survey must give", "PUT a second")
    return _table(("cores", *(f"{name}: {column}" for name in NAMES for column in columns)), rows)


def _fetches(both: tuple[Estimate, ...]) -> str:
    """Return how long the planes take at some rates of the survey."""
    rows = [(f"{size(rate)}/s", *(f"{one.survey_bytes / rate / 86400:,.1f}" for one in both)) for rate in RATES]
    return _table(("the survey gives", *(f"{name}: days of fetching" for name in NAMES)), rows)


def cost(one: Estimate, prices: Mapping[str, float]) -> float:
    """Return what a campaign costs by the formula of the page."""
    sent, kept = one.requests, sum(one.object_bytes.values())
    machines = one.core_s() / 3600 / prices["cores"] * prices["hour"]
    requests = (sent["put"] + sent["list"]) / 1000 * prices["put"] + (sent["get"] + sent["head"]) / 1000 * prices["get"]
    return machines + requests + (kept * prices["months"] * prices["gb_month"] + kept * prices["out"] * prices["egress"]) / 1e9


def _costs(both: tuple[Estimate, ...]) -> str:
    """Return the worked example, planes kept whole and as sections."""
    rows, prices = [], EXAMPLE
    inputs = (
        f"Inputs of the example, nobody's offer: {prices['cores']} cores an instance, {prices['hour']:.2f} an hour, "
        f"{prices['put']} for 1000 PUT, {prices['get']} for 1000 GET, {prices['gb_month']} a GB-month, {prices['months']} month, "
        f"{prices['out']} of what is kept leaves the region."
    )
    for mode in ("whole", "sections"):
        costs = [cost(Estimate(replace(one.design, cache_mode=mode), one.bricks), EXAMPLE) for one in both]
        rows.append((mode, *(f"{value:,.0f}" for value in costs)))
    return f"{inputs}\n\n{_table(('example, by cache mode', *NAMES), rows)}"


def main() -> None:
    """Print the tables, or put them into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, help="folder of the documents")
    folder = parser.parse_args().write
    if folder is None:
        print(text())
        return
    page = folder / "scale.md"
    before, _, rest = page.read_text().partition(MARKS[0])
    page.write_text(f"{before}{MARKS[0]}{text()}{MARKS[1]}{rest.partition(MARKS[1])[2]}")


if __name__ == "__main__":
    main()
