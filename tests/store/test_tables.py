"""Laws of the tables: their columns are those of the records, with a digest in front."""

import pyarrow as pa
import pytest
import sqlalchemy as sa

from halo_core import records
from halo_core.store import models
from halo_core.store.base import OF_THE_STATE_ALONE
from halo_core.store.bulk import _ARROW_TYPES

BULK = {
    models.Brick: records.BRICKS,
    models.CoaddPlane: records.PLANES,
    models.Parent: records.PARENTS.append(pa.field("sky_cell", pa.int64())),
    models.ParentCut: records.PARENT_CUTS,
    models.InjectionTask: records.MANIFEST,
    models.InjectionResult: records.RESULTS,
    models.CompletenessCell: records.CELLS,
}
KEYS = {
    "bricks": ["stage_digest", "brickname"],
    "coadd_planes": ["stage_digest", "brickname", "plane"],
    "parents": ["stage_digest", "host_id"],
    "parent_cuts": ["stage_digest", "position"],
    "region_selections": ["stage_digest", "selection_set_id", "region_id"],
    "planned_counts": ["stage_digest", "tier", "region_split", "stamp_size"],
    "injection_tasks": ["stage_digest", "task_id"],
    "injection_results": ["stage_digest", "task_id"],
    "completeness_cells": ["stage_digest", "cell"],
    "campaigns": ["campaign_id"],
    "campaign_stages": ["campaign_id", "stage"],
    "stages": ["stage_digest"],
    "blocks": ["stage_digest", "block"],
    "validation_findings": ["finding_id"],
    "flag_names": ["bit"],
    "comments": ["relation", "column_name"],
}


def _arrow(column: sa.Column) -> pa.DataType:
    return next(arrow for kind, arrow in _ARROW_TYPES.items() if isinstance(column.type, kind))


@pytest.mark.parametrize("model", BULK, ids=lambda model: model.__tablename__)
def test_columns_are_the_records_and_the_digest(model):
    columns = list(models.Base.metadata.tables[model.__tablename__].columns)
    assert columns[0].name == "stage_digest"
    found = [(column.name, _arrow(column), column.nullable) for column in columns[1:] if column.info != OF_THE_STATE_ALONE]
    assert found == [(field.name, field.type, field.nullable) for field in BULK[model]]


def test_tables_and_keys_are_those_of_the_design():
    found = {name: [column.name for column in table.primary_key] for name, table in models.Base.metadata.tables.items()}
    assert found == KEYS


def test_every_constraint_has_a_name():
    for table in models.Base.metadata.tables.values():
        for constraint in table.constraints:
            assert isinstance(constraint.name, str), (table.name, constraint)
            assert constraint.name.split("_")[0] in {"pk", "fk", "uq", "ck"}


def test_every_table_says_what_a_row_is():
    for mapper in models.Base.registry.mappers:
        assert mapper.class_.__doc__.startswith("One row per ")


def test_each_bulk_table_is_indexed_by_what_replaces_it():
    for model in BULK:
        table = models.Base.metadata.tables[model.__tablename__]
        indexed = [[column.name for column in index.columns] for index in table.indexes]
        for part in {"block", "sky_cell"} & set(table.c.keys()):
            assert ["stage_digest", part] in indexed, table.name
