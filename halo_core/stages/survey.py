"""Survey: the bricks of a survey folder, from its table or, for a piece of a survey without one, from the coadds it holds."""

from pathlib import Path

import pyarrow as pa

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError
from halo_core.records import BRICKS, conform
from halo_core.survey import layout
from halo_core.survey.bricks import brick_by_name
from halo_core.survey.catalogs import read_bricks

SCIENCE_VERSION = 1


def bricks_of_survey(root: Path) -> pa.Table:
    """Return the bricks of a survey folder.

    Parameters
    ----------
    root : Path
        Folder that holds ``coadd/`` and, where the survey ships one, the brick table.

    Returns
    -------
    Table
        Rows of `records.BRICKS`. Without a brick table: the bricks that have coadds, their conditions NULL.

    Raises
    ------
    SurveyDataError
        There is neither a brick table nor a coadd.
    """
    table = root / layout.BRICKS_KEY
    if table.exists():
        return read_bricks(table)
    names = sorted(folder.name for folder in (root / "coadd").glob("*/*") if folder.is_dir())
    if not names:
        raise SurveyDataError(f"{root}: neither {layout.BRICKS_KEY} nor a brick below coadd/; check --survey-root")
    grid = brick_by_name(names)
    columns: dict[str, object] = {name: getattr(grid, name) for name in ("brickname", "brickid", "ra", "dec", "ra1", "ra2", "dec1", "dec2")}
    unknown = ["ebv", *(f"nexp_{b}" for b in BANDS), *(f"psfsize_{b}_arcsec" for b in BANDS), *(f"psfdepth_{b}_mag" for b in BANDS)]
    columns |= {name: [None] * len(names) for name in unknown}
    return conform(columns, BRICKS, where=f"bricks below {root / 'coadd'}")
