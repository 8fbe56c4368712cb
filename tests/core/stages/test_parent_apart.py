"""Laws of separate splits: counted cell by cell it is the count of the whole sky, pairs across a border included."""

import numpy as np
import pytest

from halo_core.stages.parent_apart import SplitsApart
from halo_core.stages.parent_cells import cell_of
from halo_core.survey.regions import close_to_other_split

RADIUS_ARCSEC = 300.0


@pytest.mark.parametrize("seed", [1, 2])
def test_hosts_counted_cell_by_cell_are_those_of_the_whole_sky(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(40.0, 50.0, 4_000), rng.uniform(-3.0, 5.0, 4_000)
    cells, split = cell_of(ra, dec), rng.choice(["train", "val", "test"], 4_000, p=[0.96, 0.02, 0.02])
    apart = SplitsApart(RADIUS_ARCSEC)
    assert len(np.unique(cells)) > 2
    within = 0
    for cell in np.unique(cells):
        here = cells == cell
        apart.add(ra[here], dec[here], split[here])
        within += int(close_to_other_split(ra[here], dec[here], split[here], radius_arcsec=RADIUS_ARCSEC).sum())
    whole = int(close_to_other_split(ra, dec, split, radius_arcsec=RADIUS_ARCSEC).sum())
    assert apart.n_close() == whole
    assert 0 < within < whole < apart.n_hosts == 4_000


def test_no_host_is_no_trouble() -> None:
    assert SplitsApart(1.0).n_close() == 0
