"""Parameter grids: data files with one list of values per axis; a configuration is one combination of them.

The order of the configurations is that of ``AXES``, the last axis fastest; numbers start at 1.
"""

import itertools
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError

AXES = ("theta_e_arcsec", "src_mag", "src_reff_arcsec", "src_e", "shear")
"""Axes in numbering order; ``src_mag`` stands for ``src_dmag`` or ``src_mag_r``, whichever the file gives."""

MAG_KINDS = ("src_dmag", "src_mag_r")
"""Source magnitude relative to the host, or absolute."""

LIMITS = {
    "theta_e_arcsec": (0.0, 5.0, "(0, 5]"),
    "src_dmag": (-10.0, 10.0, "(-10, 10]"),
    "src_mag_r": (10.0, 35.0, "(10, 35]"),
    "src_reff_arcsec": (0.0, 5.0, "(0, 5]"),
    "src_e": (-np.finfo(float).tiny, 0.95, "[0, 0.95]"),
    "shear": (-np.finfo(float).tiny, 0.5, "[0, 0.5]"),
}
"""Exclusive lower limit, inclusive upper limit and their text, by axis."""

_LABELS = {"theta_e_arcsec": "te", "src_dmag": "dm", "src_mag_r": "mr", "src_reff_arcsec": "rf", "src_e": "e", "shear": "sh"}


@dataclass(frozen=True)
class Grid:
    """One parameter grid: its axes, and through them its configurations.

    Parameters
    ----------
    name : str
        Name of the grid: that of its file.
    mag_kind : {"src_dmag", "src_mag_r"}
        What the magnitude axis holds: unlensed source r minus host r, or intrinsic source r [AB mag].
    axes : tuple of tuple of float
        Values by axis in the order of ``AXES``, strictly rising.
    """

    name: str
    mag_kind: str
    axes: tuple[tuple[float, ...], ...]

    @property
    def n_configs(self) -> int:
        """Return the number of configurations."""
        return int(np.prod([len(axis) for axis in self.axes]))

    def values(self) -> NDArray[np.float64]:
        """Return the configurations, shape (n_configs, 5), columns in the order of ``AXES``."""
        return np.array(list(itertools.product(*self.axes)), dtype=np.float64)

    def config_ids(self) -> tuple[str, ...]:
        """Return the names of the configurations: ``<grid>_<4-digit index>_te.._dm.._rf.._e.._sh..``."""
        labels = [_LABELS[self.mag_kind if axis == "src_mag" else axis] for axis in AXES]
        rows = enumerate(itertools.product(*self.axes), start=1)
        return tuple(
            f"{self.name}_{index:04d}_" + "_".join(f"{lab}{value:g}" for lab, value in zip(labels, row, strict=True)) for index, row in rows
        )

    def to_parameters(self) -> dict[str, object]:
        """Return the content of the grid as JSON values, for a stage's digest and record."""
        return {"name": self.name, "mag_kind": self.mag_kind, "axes": {axis: list(v) for axis, v in zip(AXES, self.axes, strict=True)}}


def grid_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the grids that a folder holds, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml")))


def load_grid(name: str, folder: Path) -> Grid:
    """Return the grid of this name.

    Parameters
    ----------
    name : str
        Name of the file without ``.toml``.
    folder : Path
        Where the grid files are.

    Raises
    ------
    ConfigurationError
        There is no such grid (the message lists those there are), the file is not TOML, an axis is missing or unknown,
        or a value is out of range, repeated or out of order.
    """
    path = folder / f"{name}.toml"
    if name not in grid_names(folder):
        raise ConfigurationError(
            f"grid {name!r} is unknown: {folder} holds {', '.join(grid_names(folder)) or 'none'}; add {name}.toml or choose one"
        )
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"grid file {path} is not valid TOML: {error}") from error
    kinds = [kind for kind in MAG_KINDS if kind in content]
    if len(kinds) != 1:
        raise ConfigurationError(f"grid file {path} must give exactly one of {MAG_KINDS}, it gives {kinds or 'none'}")
    keys = tuple(kinds[0] if axis == "src_mag" else axis for axis in AXES)
    if set(content) - {"description"} != set(keys):
        raise ConfigurationError(f"grid file {path} holds {sorted(content)}; expected {sorted(keys)} and, if wanted, description")
    return Grid(name=name, mag_kind=kinds[0], axes=tuple(_axis(content[key], key, path) for key in keys))


def _axis(raw: object, key: str, path: Path) -> tuple[float, ...]:
    """Return the values of one axis after checking them."""
    if not isinstance(raw, list) or not raw or not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in raw):
        raise ConfigurationError(f"grid file {path}: {key} must be a non-empty list of numbers, it is {raw!r}")
    values = tuple(float(item) for item in raw)
    lower, upper, text = LIMITS[key]
    outside = [value for value in values if not lower < value <= upper]
    if outside:
        raise ConfigurationError(f"grid file {path}: {key} holds {outside}, outside {text}")
    if any(later <= earlier for earlier, later in itertools.pairwise(values)):
        raise ConfigurationError(f"grid file {path}: {key} must rise strictly, it is {list(values)}")
    return values
