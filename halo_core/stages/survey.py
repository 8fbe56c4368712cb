"""Survey: the bricks of a piece of a survey that has no brick table, from the coadds it holds."""

from collections.abc import Collection

import pyarrow as pa

from halo_core.constants import BANDS
from halo_core.errors import SurveyDataError
from halo_core.records import BRICKS, conform
from halo_core.survey import layout
from halo_core.survey.bricks import brick_by_name

SCIENCE_VERSION = 1


def bricks_of_coadds(bricknames: Collection[str], *, where: str) -> pa.Table:
    """Return the bricks that have coadds, their conditions NULL.

    Parameters
    ----------
    bricknames : collection of str
        Names of the bricks below ``coadd/``.
    where : str
        The survey, for messages.

    Returns
    -------
    Table
        Rows of `records.BRICKS`, sorted by name.

    Raises
    ------
    SurveyDataError
        There is no brick, or a name is none.
    """
    if not bricknames:
        raise SurveyDataError(f"{where}: neither {layout.BRICKS_KEY} nor a brick below coadd/; check --survey-root")
    names = sorted(bricknames)
    grid = brick_by_name(names)
    columns: dict[str, object] = {name: getattr(grid, name) for name in ("brickname", "brickid", "ra", "dec", "ra1", "ra2", "dec1", "dec2")}
    unknown = ["ebv", *(f"nexp_{b}" for b in BANDS), *(f"psfsize_{b}_arcsec" for b in BANDS), *(f"psfdepth_{b}_mag" for b in BANDS)]
    columns |= {name: [None] * len(names) for name in unknown}
    return conform(columns, BRICKS, where=f"bricks below coadd/ of {where}")
