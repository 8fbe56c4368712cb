"""What a campaign will cost before it runs: seconds of one core, bytes, requests, rows and memory, stage by stage.

Counts are exact where what they follow from is there (a manifest), and otherwise as good as the number of bricks, which only the parents
tell. The rest is counts times the measured rates of `halo_core.stages.rates`.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from typing import Literal

from halo_core.constants import BRICK_SIZE_PIX
from halo_core.stages import rates
from halo_core.stages.estimate_requests import BlockObjects, SurveyKind, requests_of_campaign
from halo_core.stages.planning import PlanRow
from halo_core.stages.validation_injection_counts import SAMPLE_SHARE, SAMPLE_SIZE
from halo_core.survey.layout import planes_for, split_plane

Known = Literal["counted", "expected", "at most"]
"""How well the bricks are known: from the manifest, from parents that are there, or by a bound."""


@dataclass(frozen=True)
class Design:
    """What decides the cost of a campaign beside its bricks.

    ``n_arcs`` and ``n_controls`` are physical; ``n_hosts`` are distinct galaxies; ``n_parents`` and ``n_catalogue_rows`` are None where
    nothing tells them, and what follows from them is then left out.
    """

    n_arcs: int
    n_controls: int
    n_hosts: int
    stamp_sizes: tuple[int, ...]
    bandsets: tuple[str, ...]
    bands: tuple[str, ...]
    block_max_injections: int
    block_max_bricks: int
    cache_mode: Literal["whole", "sections"]
    survey: SurveyKind
    renderer: str = "adaptive"
    effort: float = 1.0
    has_noise: bool = False
    n_parents: int | None = None
    n_catalogue_rows: int | None = None
    brick_size_pix: int = BRICK_SIZE_PIX

    @property
    def n_physical(self) -> int:
        """Physical injections and controls."""
        return self.n_arcs + self.n_controls

    @property
    def n_tasks(self) -> int:
        """Rows: each physical one in each stamp size and bandset."""
        return self.n_physical * len(self.stamp_sizes) * len(self.bandsets)

    @property
    def planes(self) -> tuple[str, ...]:
        """Planes of a brick that are read."""
        return planes_for(self.bands)

    @property
    def store_pixel_bands(self) -> int:
        """Pixels of a stored stamp in all bands."""
        return max(self.stamp_sizes) ** 2 * len(self.bands)


@dataclass(frozen=True)
class Bricks:
    """Bricks that hold hosts, the blocks they are dealt to, and bricks summed over blocks: a divided brick counts in each."""

    n_bricks: int
    n_blocks: int
    n_in_blocks: int
    known: Known


@dataclass(frozen=True)
class StageCost:
    """What one stage costs; None where it is not known. ``most_processes`` is how many can share it, one core each."""

    stage: str
    core_s: float | None
    read_bytes: float | None = 0.0
    written_bytes: float = 0.0
    memory_bytes: float = rates.PROCESS_BYTES
    most_processes: int = 1


def hosts_of(rows: Sequence[PlanRow], supply: Mapping[str, int] | None = None) -> dict[str, int]:
    """Return the distinct hosts of each split: tiers draw in one order, so that the largest draw holds the others.

    But for the remainders of equal shares, which each tier deals to strata in an order of its own: a host a stratum at most.
    """
    best: Counter[str] = Counter()
    for row in rows:
        there = row.n_hosts_best if supply is None else min(row.n_hosts_best, supply.get(row.split, 0))
        best[row.split] = max(best[row.split], there)
    return dict(best)


def expected_bricks(n_hosts: Mapping[str, int], supply: Mapping[str, Mapping[int, int]]) -> int:
    """Return how many bricks hold a drawn host, from the eligible hosts of each split by brick.

    A brick of n hosts is missed by a draw of the share f with probability exp(n log(1 - f)).
    """
    missed: dict[int, float] = {}
    for split, of_brick in supply.items():
        share = min(n_hosts.get(split, 0) / max(sum(of_brick.values()), 1), 1.0)
        for brick, n in of_brick.items():
            missed[brick] = missed.get(brick, 1.0) * (1.0 - share) ** n
    return round(sum(1.0 - value for value in missed.values()))


def block_bounds(design: Design, n_bricks: int) -> tuple[int, int]:
    """Return the least and the most blocks that so many bricks can be dealt to.

    Of two blocks after one another that were closed by their injections both together hold more than ``block_max_injections``.
    """
    by_bricks, by_injections = n_bricks / design.block_max_bricks, design.n_physical / design.block_max_injections
    return max(ceil(by_bricks), ceil(by_injections), 1), max(ceil(by_bricks) + ceil(2 * by_injections), 1)


def likely_blocks(design: Design, n_bricks: int) -> int:
    """Return the blocks of bricks that hold equally many injections: half a brick's worth of a full block stays free."""
    room = max(design.block_max_injections - design.n_physical / max(n_bricks, 1) / 2, 1)
    return max(block_bounds(design, n_bricks)[0], ceil(design.n_physical / room))


@dataclass(frozen=True)
class Estimate:
    """The estimate of one campaign."""

    design: Design
    bricks: Bricks

    @cached_property
    def plane_bytes(self) -> dict[str, float]:
        """Bytes of each plane of a brick."""
        area = self.design.brick_size_pix**2
        kinds = {plane: split_plane(plane)[0] for plane in self.design.planes}
        return {plane: rates.PLANE_FILE_BYTES[kind] + rates.PLANE_PIXEL_BYTES[kind] * area for plane, kind in kinds.items()}

    @cached_property
    def n_fetched(self) -> int:
        """Bricks whose planes are fetched: each once where planes stay, else once for each block that it is part of."""
        return self.bricks.n_bricks if self.design.cache_mode == "whole" else self.bricks.n_in_blocks

    @cached_property
    def survey_bytes(self) -> float:
        """Bytes read from the survey's coadds."""
        return self.n_fetched * sum(self.plane_bytes.values())

    @cached_property
    def object_bytes(self) -> dict[str, float]:
        """Bytes of the objects of the blocks, by kind."""
        design, n_blocks = self.design, self.bricks.n_blocks
        n_assets = self.bricks.n_in_blocks * len(design.planes)
        arc = rates.ARC_BYTES + rates.ARC_PIXEL_BAND_BYTES * design.store_pixel_bands * (2 if design.has_noise else 1)
        result = rates.RESULT_BYTES + rates.RESULT_BAND_BYTES * len(design.bands)
        found = {
            "tasks": n_blocks * rates.TASK_FILE_BYTES + design.n_tasks * rates.TASK_BYTES,
            "hosts": n_blocks * rates.HOST_FILE_BYTES
            + design.n_hosts * (rates.HOST_BYTES + rates.HOST_PIXEL_BAND_BYTES * design.store_pixel_bands),
            "arcs": n_blocks * rates.ARC_FILE_BYTES + design.n_arcs * arc,
            "results": n_blocks * rates.RESULT_FILE_BYTES + design.n_tasks * result,
            "marks": n_blocks * rates.MARK_BYTES + n_assets * (rates.MARK_PLANE_BYTES + rates.ASSET_BYTES),
        }
        return found | ({"planes": self.survey_bytes} if design.cache_mode == "whole" else {})

    @cached_property
    def n_objects(self) -> int:
        """Objects of the blocks: tasks, planes' table and mark, hosts, arcs, results and mark; planes and their marks."""
        per_brick = len(self.design.planes) * (2 if self.design.cache_mode == "whole" else 1)
        return 7 * self.bricks.n_blocks + per_brick * self.bricks.n_bricks

    @cached_property
    def requests(self) -> Counter[str]:
        """Requests to the store of the objects, by kind."""
        n_blocks = self.bricks.n_blocks
        stamps = tuple(self.object_bytes[name] / n_blocks for name in ("hosts", "arcs"))
        sections = self.design.cache_mode == "sections"
        block = BlockObjects(self.bricks.n_in_blocks / n_blocks, tuple(self.plane_bytes.values()), stamps, sections, self.design.survey)
        return requests_of_campaign(block, n_blocks)

    @cached_property
    def n_rows(self) -> dict[str, int]:
        """Rows of the large tables of the state; parents where they are known."""
        assets = self.bricks.n_bricks * len(self.design.planes)
        return {"tasks": self.design.n_tasks, "results": self.design.n_tasks, "planes": assets}

    def state_bytes(self, database: str) -> float:
        """Return the bytes of a state, SQLite or Postgres."""
        return rates.STATE_BYTES[database] + sum(n * rates.ROW_BYTES[database][name] for name, n in self.n_rows.items())

    def load_s(self, database: str) -> float:
        """Return the seconds in which one process loads the rows into a state."""
        return sum(n / rates.ROWS_PER_S[database][name] for name, n in self.n_rows.items())

    @cached_property
    def stages(self) -> tuple[StageCost, ...]:
        """What each stage costs, in the order of the flow; the loading of rows is apart."""
        return (*self._before_pixels(), *self._blocks(), *self._after_blocks())

    def _before_pixels(self) -> tuple[StageCost, ...]:
        """Return the costs of parent and manifest; where parents are not known the manifest's without what it does for each."""
        design, of, n_tasks = self.design, self.object_bytes, self.design.n_tasks
        n_parents, n_read = design.n_parents, design.n_catalogue_rows
        fixed, groups = n_parents or 0, rates.MOST_GROUPS
        select_s = None if n_read is None else rates.CATALOGUE_ROW_S * n_read
        merge_s, check_s = (None if n_parents is None else rate * n_parents for rate in (rates.PARENT_S, rates.PARENT_CHECK_S))
        check = rates.MANIFEST_CHECK_PARENT_S * fixed + rates.MANIFEST_CHECK_ROW_S * n_tasks
        build = rates.MANIFEST_PARENT_S * fixed + rates.MANIFEST_ROW_S * n_tasks + rates.MANIFEST_BLOCK_S * self.bricks.n_blocks
        memory = rates.PROCESS_BYTES + rates.MANIFEST_PARENT_BYTES * fixed + rates.MANIFEST_HOST_BYTES * design.n_hosts
        parent_bytes = rates.PARENT_BYTES * fixed
        return (
            StageCost("selection", select_s, None, parent_bytes, rates.PROCESS_BYTES + rates.PARENT_MEMORY_BYTES, groups),
            StageCost("parent", merge_s, parent_bytes, parent_bytes, rates.PROCESS_BYTES + rates.PARENT_MEMORY_BYTES),
            StageCost("parent checks", check_s, parent_bytes, 0.0, rates.PARENT_CHECK_BYTES),
            StageCost("manifest", build, parent_bytes, of["tasks"], memory),
            StageCost("manifest checks", check, of["tasks"] + parent_bytes, 0.0, self._checked(rates.MANIFEST_CHECK_ROW_BYTES)),
        )

    def _blocks(self) -> tuple[StageCost, ...]:
        """Return the costs of the block tasks."""
        design, of = self.design, self.object_bytes
        planes, bands, area = len(design.planes), len(design.bands), design.store_pixel_bands
        views = sum(size**2 * len(bandset) for size in design.stamp_sizes for bandset in design.bandsets)
        host_s = rates.HOST_BAND_S * bands + rates.HOST_PIXEL_BAND_S * area
        arc_s = (rates.ARC_S + rates.ARC_PIXEL_BAND_S * area) * (1 + rates.EFFORT_SLOPE * max(design.effort - 1, 0))
        arc_s *= rates.GALSIM_FACTOR if design.renderer == "galsim" else 1
        view_s = rates.VIEW_S * len(design.stamp_sizes) * len(design.bandsets) + rates.VIEW_PIXEL_BAND_S * views
        inject_s = self.bricks.n_in_blocks * planes * rates.PLANE_OPEN_S + design.n_hosts * host_s
        inject_s += design.n_arcs * arc_s + design.n_physical * view_s
        fetch_s = self.n_fetched * planes * rates.FETCH_PLANE_S + self.survey_bytes * rates.FETCH_BYTE_S
        kept = of["hosts"] if design.cache_mode == "sections" else of["planes"]
        stamps = of["arcs"] + of["results"] + (of["hosts"] if design.cache_mode == "whole" else 0.0)
        return (
            StageCost("cache", fetch_s, self.survey_bytes, kept + of["marks"], rates.BLOCK_BYTES, self.bricks.n_blocks),
            StageCost("injection", inject_s, kept + of["tasks"], stamps, rates.BLOCK_BYTES, self.bricks.n_blocks),
        )

    def _after_blocks(self) -> tuple[StageCost, ...]:
        """Return the costs of what one process does of all blocks; validation reads every block's stamps for its sample."""
        of, n_tasks = self.object_bytes, self.design.n_tasks
        rows = of["tasks"] + of["results"]
        n_sampled = min(max(SAMPLE_SHARE * n_tasks, SAMPLE_SIZE), n_tasks)
        check_s = rates.INJECTION_CHECK_ROW_S * n_tasks + rates.SAMPLE_STAMP_S * n_sampled
        checked = self._checked(rates.CHECK_ROW_BYTES)
        return (
            StageCost("injection checks", check_s, rows + of["hosts"] + of["arcs"], 0.0, checked),
            StageCost("summary", rates.SUMMARY_ROW_S * n_tasks, rows, 0.0, self._checked(rates.SUMMARY_ROW_BYTES)),
            StageCost("summary checks", rates.SUMMARY_CHECK_ROW_S * n_tasks, rows, 0.0, checked),
            StageCost("report", rates.REPORT_S),
        )

    def _checked(self, row_bytes: float) -> float:
        """Return the memory of a process that keeps some bytes of each row."""
        return rates.PROCESS_BYTES + row_bytes * self.design.n_tasks

    def core_s(self) -> float:
        """Return the seconds of one core of all that is known."""
        return sum(stage.core_s or 0.0 for stage in self.stages)

    def blocks_s(self, n_cores: int) -> float:
        """Return the wall clock of cache and injection on so many cores, of which a block uses one [s]."""
        core_s = sum(stage.core_s or 0.0 for stage in self._blocks())
        return core_s / min(n_cores, self.bricks.n_blocks)

    def wall_s(self, n_cores: int, database: str) -> float:
        """Return the wall clock with so many cores where nothing waits for the survey, the store or the network [s].

        Rows are loaded by one process; results and planes while blocks are worked on, whichever takes longer.
        """
        others_s = sum(
            (stage.core_s or 0.0) / min(n_cores, stage.most_processes) for stage in (*self._before_pixels(), *self._after_blocks())
        )
        tasks_s = self.n_rows["tasks"] / rates.ROWS_PER_S[database]["tasks"]
        return others_s + tasks_s + max(self.blocks_s(n_cores), self.load_s(database) - tasks_s)
