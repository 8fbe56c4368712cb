"""Blocks of a summary: what is gathered does not depend on them, and no task is lost, repeated or paired across them."""

import json
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pyarrow as pa
import pytest

from halo_core.errors import AccountingError
from halo_core.stages import summary_blocks, summary_parts
from halo_core.stages.criteria import Criterion
from halo_core.stages.summary import summarise
from halo_core.stages.summary_blocks import Gathered, gather
from halo_core.stages.summary_config import SummaryConfig
from halo_core.stages.summary_controls import control_table
from halo_core.stages.summary_facts import summary_facts
from halo_core.stages.summary_regions import region_cells
from halo_core.stages.validation_summary import check_summary
from tests.fixtures.summaries import PROXY, control, random_campaign, summary_config, tables

Tables = tuple[pa.Table, pa.Table]
DETECTOR = Criterion("detector", 1, (("snr_aperture_r", 0.5),), False, "score")
CONFIG = summary_config(criteria=(PROXY, DETECTOR))


@pytest.fixture(scope="module")
def campaign() -> Tables:
    """A campaign in one block, controls and injections with a detector's score."""
    tasks, results = random_campaign(90, seed=3)
    score = pa.array(np.random.default_rng(1).random(results.num_rows))
    return tasks, results.set_column(results.schema.get_field_index("snr_aperture_r"), results.schema.field("snr_aperture_r"), score)


def blocks_of(campaign: Tables, n_rows: int) -> Iterator[Tables]:
    """Yield blocks of so many rows, the results of each in an order of their own; an even number keeps an injection's views together."""
    for start in range(0, campaign[0].num_rows, n_rows):
        tasks, results = (table.slice(start, n_rows) for table in campaign)
        yield tasks, results.take(np.random.default_rng(start).permutation(results.num_rows))


@pytest.mark.parametrize(("n_rows", "rows_at_once"), [(2, 30), (8, 20), (50, 1_000_000)])
def test_cells_regions_controls_and_findings_are_the_same_to_the_bit_for_any_blocks(
    campaign: Tables, monkeypatch: pytest.MonkeyPatch, n_rows: int, rows_at_once: int
) -> None:
    whole = gather([campaign], CONFIG)
    cells = summarise(whole, CONFIG, selection_sets={"few": range(12)})
    monkeypatch.setattr(summary_blocks, "_ROWS_AT_ONCE", rows_at_once)
    parts = gather(blocks_of(campaign, n_rows), CONFIG)
    assert summarise(parts, CONFIG, selection_sets={"few": range(12)}).equals(cells)
    assert region_cells(parts, CONFIG).equals(region_cells(whole, CONFIG))
    one, other = (control_table(((of.key, of.controls) for of in rows), CONFIG) for rows in (whole, parts))
    assert one == other
    assert sum(row["n_called"] or 0 for row in one) > 0
    facts = summary_facts(whole, CONFIG, models=[], reference_grids=frozenset())
    assert summary_facts(parts, CONFIG, models=[], reference_grids=frozenset()) == facts
    assert check_summary(cells, blocks_of(campaign, n_rows), CONFIG, facts=facts) == check_summary(cells, [campaign], CONFIG, facts=facts)


def test_what_blocks_leave_in_files_is_gathered_to_the_bit(campaign: Tables) -> None:
    gathered = Gathered()
    for tasks, results in blocks_of(campaign, 8):
        data = summary_parts.to_bytes(Gathered.of(tasks, results, CONFIG))
        assert summary_parts.to_bytes(summary_parts.from_bytes(data)) == data
        gathered.extend(summary_parts.from_bytes(data))
    found, expected = gathered.rows(), gather([campaign], CONFIG)
    assert summarise(found, CONFIG, selection_sets={"few": range(12)}).equals(
        summarise(expected, CONFIG, selection_sets={"few": range(12)})
    )
    assert region_cells(found, CONFIG).equals(region_cells(expected, CONFIG))
    for one, other in zip(found, expected, strict=True):
        assert (one.key, one.controls, one.psf_sources) == (other.key, other.controls, other.psf_sources)
        assert one.magnification.tobytes() == other.magnification.tobytes()
    first, again = (Gathered.of(*next(blocks_of(campaign, 8)), CONFIG) for _ in range(2))
    first.extend(again)
    with pytest.raises(AccountingError, match="16 rows have 8 distinct task_id"):
        first.rows()


def test_a_configuration_comes_back_from_json() -> None:
    assert SummaryConfig.from_json(json.loads(json.dumps(asdict(CONFIG)))) == CONFIG


def test_a_task_that_stands_in_two_blocks_is_an_error(campaign: Tables, monkeypatch: pytest.MonkeyPatch) -> None:
    first = next(blocks_of(campaign, 5))
    for rows_at_once in (1, 1_000_000):
        monkeypatch.setattr(summary_blocks, "_ROWS_AT_ONCE", rows_at_once)
        with pytest.raises(AccountingError, match="15 rows have 10 distinct task_id"):
            gather([*blocks_of(tuple(table.slice(0, 10) for table in campaign), 5), first], CONFIG)
        cells = summarise(gather([campaign], CONFIG), CONFIG)
        findings = check_summary(cells, [*blocks_of(campaign, 100), first], CONFIG, facts={})
        assert next(found.observed for found in findings if found.check == "ids_match").endswith(" 10 repeated ids")


def test_a_block_without_injections_or_without_rows_changes_nothing() -> None:
    config = summary_config()
    injections, controls = tables([{}] * 4), tables([control(task_id=f"c{number}") for number in range(3)])
    empty = tuple(table.slice(0, 0) for table in injections)
    found = gather([controls, empty, injections], config)
    assert summarise(found, config).equals(summarise(gather([injections], config), config))
    assert found[0].controls["train"].n_controls == 3


def test_no_block_at_all_is_an_error() -> None:
    with pytest.raises(AccountingError, match="no task"):
        gather([], CONFIG)
