"""Whether hosts of different splits are apart on the sky: within each sky cell, and along the borders of all cells."""

import numpy as np
from numpy.typing import NDArray

from halo_core.stages.parent_cells import near_cell_edge
from halo_core.survey.regions import close_to_other_split

Floats = NDArray[np.float64]


class SplitsApart:
    """Counts hosts that have a host of another split nearer than a radius, from one sky cell after the other.

    Parameters
    ----------
    radius_arcsec : float
        Separation [arcsec].
    """

    def __init__(self, radius_arcsec: float) -> None:
        self.radius_arcsec = radius_arcsec
        self.n_hosts = self._n_close = 0
        self._borders: list[tuple[Floats, Floats, NDArray[np.str_], NDArray[np.bool_]]] = []

    def add(self, ra_deg: Floats, dec_deg: Floats, split: NDArray[np.str_]) -> None:
        """Note the hosts of a cell, all that it has: positions [deg] and splits."""
        close = close_to_other_split(ra_deg, dec_deg, split, radius_arcsec=self.radius_arcsec)
        border = near_cell_edge(ra_deg, dec_deg, radius_arcsec=self.radius_arcsec)
        self.n_hosts += len(close)
        self._n_close += int(close.sum())
        self._borders.append((ra_deg[border], dec_deg[border], split[border], close[border]))

    def n_close(self) -> int:
        """Return how many hosts are too close to another split's."""
        if not self._borders:
            return 0
        ra, dec, split, known = (np.concatenate(values) for values in zip(*self._borders, strict=True))
        close = close_to_other_split(ra, dec, split, radius_arcsec=self.radius_arcsec)
        return self._n_close + int((close & ~known).sum())
