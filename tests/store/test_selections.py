"""Laws of the side table of selection sets, on both databases."""

import pyarrow as pa
import pytest
import sqlalchemy as sa

from halo_core.errors import StoreError
from halo_core.records import REGION_SELECTIONS
from halo_core.store import selections
from halo_core.store.sessions import begin
from tests.fixtures.databases import rows_of

SETS = {"selection_set_id": ["a", "a", "b"], "region_id": [1, 2, 2], "region_split": ["train", "val", "val"]}
COUNTS = {"n_parents": [9, 8, 8], "n_hosts": [5, 4, 4], "area_deg2": [0.5, 0.25, 0.25]}


def rows(**columns: object) -> pa.Table:
    """Return two sets, one region in both."""
    return rows_of(REGION_SELECTIONS, 3, **{**SETS, **COUNTS, **columns})


def test_a_region_stands_once_in_each_set_and_comes_back_as_it_went_in(migrated_url: str) -> None:
    with begin(migrated_url) as connection:
        assert selections.store_selections(connection, rows(), stage_digest="a1") == 3
        assert selections.store_selections(connection, rows(), stage_digest="a1") == 3
        assert selections.selections(connection, stage_digest="a1").to_pylist() == rows().to_pylist()
        assert selections.selections(connection, stage_digest="b2").num_rows == 0


def test_given_regions_without_parents_have_null_for_what_is_not_known(migrated_url: str) -> None:
    unknown = rows(
        **{name: [None] * 3 for name in ("region_rank", "region_bin", "area_deg2", "density_deg2")}, n_parents=[0] * 3, n_hosts=[0] * 3
    )
    with begin(migrated_url) as connection:
        selections.store_selections(connection, unknown, stage_digest="a1")
        assert selections.selections(connection, stage_digest="a1")["area_deg2"].null_count == 3


@pytest.mark.parametrize(
    ("column", "value"), [("region_split", ["train", "dev", "val"]), ("n_hosts", [10, 4, 4]), ("region_id", [2, 2, 2])]
)
def test_a_row_that_breaks_a_law_is_refused(migrated_url: str, column: str, value: list[object]) -> None:
    with pytest.raises((StoreError, sa.exc.IntegrityError)), begin(migrated_url) as connection:
        selections.store_selections(connection, rows(**{column: value}), stage_digest="a1")
