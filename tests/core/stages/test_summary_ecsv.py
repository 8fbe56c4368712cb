"""Cells as ECSV: astropy reads back every number to the bit, with units and meanings, and NULL as masked."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy.table import Table

from halo_core.errors import ConventionError
from halo_core.records import CELLS
from halo_core.stages.summary_ecsv import write_ecsv
from tests.fixtures.summaries import random_campaign, summarised, summary_config


@pytest.fixture(scope="module")
def cells() -> pa.Table:
    """Cells of a campaign with losses, pools without intervals and notes with commas."""
    return summarised(*random_campaign(60, seed=8), summary_config())


@pytest.fixture(scope="module")
def read_back(cells: pa.Table, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The cells as astropy reads them."""
    path = tmp_path_factory.mktemp("ecsv") / "cells.ecsv"
    write_ecsv(path, cells)
    return Table.read(path)


@pytest.mark.parametrize("field", list(CELLS), ids=CELLS.names)
def test_every_column_comes_back_with_its_type_and_values_to_the_bit(cells: pa.Table, read_back: Table, field: pa.Field) -> None:
    asked = [None if value == "" else value for value in cells[field.name].to_pylist()]
    found = read_back[field.name]
    assert [None if value is np.ma.masked else value for value in found] == asked
    assert found.dtype.kind == {"string": "U", "bool": "b", "int64": "i", "double": "f"}[str(field.type)] or set(asked) == {None}


def test_columns_have_the_units_and_the_meanings_of_the_records(read_back: Table) -> None:
    assert read_back.colnames == CELLS.names
    assert [read_back[name].description for name in CELLS.names] == [field.metadata[b"doc"].decode() for field in CELLS]
    found = {name: read_back[name].unit for name in CELLS.names if read_back[name].unit is not None}
    mag, arcsec = units.mag, units.arcsec
    assert found == {"stamp_size": units.pix, "theta_e_arcsec": arcsec, "src_dmag": mag, "src_mag_r": mag, "src_reff_arcsec": arcsec}


def test_a_unit_without_a_name_is_refused(tmp_path: Path) -> None:
    schema = pa.schema([pa.field("speed", pa.float64(), metadata={"doc": "[furlong] of the lens"})])
    with pytest.raises(ConventionError, match="furlong"):
        write_ecsv(tmp_path / "cells.ecsv", pa.table({"speed": [1.0]}, schema=schema))
