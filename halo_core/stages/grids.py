"""Parameter grids: data files that say which lenses and sources are painted.

A product grid lists values per axis; a configuration is one combination of them, in the order of ``AXES``, the last axis fastest.
A population grid gives a law per axis; a configuration is one draw, dealt to hosts as a configuration is, and every physical injection
(host, draw and replicate) takes values of its own from streams keyed by its physical id. Numbers start at 1.
"""

import itertools
import tomllib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from halo_core.errors import ConfigurationError
from halo_core.seeds import canonical_json, uniforms
from halo_core.stages.laws import Law, parse_law
from halo_core.stages.priors import PRIORS_FILE, load_named_laws, with_named_laws

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AXES = ("theta_e_arcsec", "src_mag", "src_reff_arcsec", "src_e", "shear")
"""Axes in numbering order; ``src_mag`` stands for ``src_dmag`` or ``src_mag_r``, whichever the file gives."""

MAG_KINDS = ("src_dmag", "src_mag_r")
"""Source magnitude relative to the host, or absolute."""

POPULATION = "population"
"""``kind`` of a file whose axes are laws."""

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
class Grid(ABC):
    """One parameter grid: what its configurations are called, and what each injection takes from its own.

    Parameters
    ----------
    name : str
        Name of the grid: that of its file.
    mag_kind : {"src_dmag", "src_mag_r"}
        What the magnitude axis holds: unlensed source r minus host r, or intrinsic source r [AB mag].
    """

    name: str
    mag_kind: str

    @property
    @abstractmethod
    def n_configs(self) -> int:
        """Return the number of configurations."""

    @abstractmethod
    def config_ids(self) -> tuple[str, ...]:
        """Return the names of the configurations, each with its 4-digit number."""

    @abstractmethod
    def identities(self) -> list[tuple[str | int | float, ...]]:
        """Return, for each configuration, what of it enters a physical id: values or laws, never the grid's name."""

    @abstractmethod
    def parameters(self, config: Ints, physical_id: Sequence[str]) -> Floats:
        """Return the parameters of injections, shape (n, 5), columns in the order of ``AXES``.

        Parameters
        ----------
        config : ndarray of int, shape (n,)
            0-based configurations.
        physical_id : sequence of str, length n
            Identities of the injections.
        """

    @abstractmethod
    def uniforms(self, physical_id: Sequence[str]) -> dict[str, Floats]:
        """Return the uniform numbers under the parameters of injections, each of shape (n,), by stream; none where nothing is drawn."""

    @abstractmethod
    def proposal_density(self, parameters: Floats) -> Floats:
        """Return the density that parameters of shape (n, 5) were drawn with, shape (n,) [arcsec^-2 mag^-1]; NaN where none were drawn."""

    @abstractmethod
    def to_parameters(self) -> dict[str, object]:
        """Return the content of the grid as JSON values, for a stage's digest and record."""


@dataclass(frozen=True)
class ProductGrid(Grid):
    """A grid whose configurations are all combinations of the values of its axes.

    Parameters
    ----------
    axes : tuple of tuple of float
        Values by axis in the order of ``AXES``, strictly rising.
    """

    axes: tuple[tuple[float, ...], ...]

    @property
    def n_configs(self) -> int:
        """Return the number of configurations."""
        return int(np.prod([len(axis) for axis in self.axes]))

    def values(self) -> Floats:
        """Return the configurations, shape (n_configs, 5), columns in the order of ``AXES``."""
        return np.array(list(itertools.product(*self.axes)), dtype=np.float64)

    def config_ids(self) -> tuple[str, ...]:
        """Return the names of the configurations: ``<grid>_<4-digit index>_te.._dm.._rf.._e.._sh..``."""
        labels = [_LABELS[self.mag_kind if axis == "src_mag" else axis] for axis in AXES]
        rows = enumerate(itertools.product(*self.axes), start=1)
        return tuple(
            f"{self.name}_{index:04d}_" + "_".join(f"{lab}{value:g}" for lab, value in zip(labels, row, strict=True)) for index, row in rows
        )

    def identities(self) -> list[tuple[str | int | float, ...]]:
        """Return kind of magnitude and values of each configuration."""
        return [(self.mag_kind, *row) for row in self.values().tolist()]

    def parameters(self, config: Ints, physical_id: Sequence[str]) -> Floats:  # noqa: ARG002
        """Return the values of the configurations, whatever the injections are."""
        return np.asarray(self.values()[config])

    def uniforms(self, physical_id: Sequence[str]) -> dict[str, Floats]:  # noqa: ARG002
        """Return no stream: nothing is drawn."""
        return {}

    def proposal_density(self, parameters: Floats) -> Floats:
        """Return NaN: nothing is drawn."""
        return np.full(len(parameters), np.nan)

    def to_parameters(self) -> dict[str, object]:
        """Return the content of the grid as JSON values, for a stage's digest and record."""
        return {"name": self.name, "mag_kind": self.mag_kind, "axes": {axis: list(v) for axis, v in zip(AXES, self.axes, strict=True)}}


@dataclass(frozen=True)
class PopulationGrid(Grid):
    """A grid whose parameters are drawn for each physical injection.

    Parameters
    ----------
    laws : tuple of Law
        Law by axis in the order of ``AXES``.
    n_draws : int
        Configurations: how many draws are dealt, each to ``n_per_config`` hosts a split (debug, grid) or in balance (train).

    Notes
    -----
    Host, number of the draw and laws enter the physical id, and the values follow from that id; a replicate has another id and with it
    other values. So no two injections share a draw, and a population is sampled by as many points as there are injections.
    """

    laws: tuple[Law, ...]
    n_draws: int

    @property
    def n_configs(self) -> int:
        """Return the number of draws."""
        return self.n_draws

    def config_ids(self) -> tuple[str, ...]:
        """Return the names of the draws: ``<grid>_<4-digit index>_pop``."""
        return tuple(f"{self.name}_{index:04d}_pop" for index in range(1, self.n_draws + 1))

    def identities(self) -> list[tuple[str | int | float, ...]]:
        """Return kind of magnitude, laws (names and values) and number of each draw."""
        text = canonical_json(self._law_texts())
        return [(POPULATION, self.mag_kind, text, index) for index in range(self.n_draws)]

    def parameters(self, config: Ints, physical_id: Sequence[str]) -> Floats:  # noqa: ARG002
        """Return each injection's own values: its laws at the uniform numbers of its physical id."""
        return np.column_stack([law.draw(u) for law, u in zip(self.laws, self.uniforms(physical_id).values(), strict=True)])

    def uniforms(self, physical_id: Sequence[str]) -> dict[str, Floats]:
        """Return the numbers of one stream per axis, ``population:<axis>``."""
        return {(stream := f"{POPULATION}:{axis}"): uniforms(physical_id, stream) for axis in AXES}

    def proposal_density(self, parameters: Floats) -> Floats:
        """Return the product of the laws' densities; a fixed axis counts as 1."""
        return np.asarray(np.prod([law.density(values) for law, values in zip(self.laws, parameters.T, strict=True)], axis=0))

    def to_parameters(self) -> dict[str, object]:
        """Return the content of the grid as JSON values, for a stage's digest and record."""
        content: dict[str, object] = {"name": self.name, "kind": POPULATION, "mag_kind": self.mag_kind}
        return content | {"laws": self._law_texts(), "n_draws": self.n_draws}

    def _law_texts(self) -> dict[str, list[object]]:
        """Return name, kind and numbers of the law of each axis."""
        return {axis: [law.name, law.kind, *law.numbers] for axis, law in zip(AXES, self.laws, strict=True)}


def grid_names(folder: Path) -> tuple[str, ...]:
    """Return the names of the grids that a folder holds, sorted."""
    return tuple(sorted(path.stem for path in folder.glob("*.toml") if path.name != PRIORS_FILE))


def load_grid(name: str, folder: Path) -> Grid:
    """Return the grid of this name.

    Parameters
    ----------
    name : str
        Name of the file without ``.toml``.
    folder : Path
        Where the grid files are; its ``priors.toml`` names laws that a population may use.

    Raises
    ------
    ConfigurationError
        There is no such grid (the message lists those there are), the file is not TOML, an axis is missing or unknown,
        a value is out of range, repeated or out of order, or a law is unknown or reaches out of range.
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
    axes = tuple(kinds[0] if axis == "src_mag" else axis for axis in AXES)
    is_population = content.get("kind") == POPULATION
    keys = (*axes, "kind", "n_configs") if is_population else axes
    if set(content) - {"description"} != set(keys):
        raise ConfigurationError(f"grid file {path} holds {sorted(content)}; expected {sorted(keys)} and, if wanted, description")
    if is_population:
        return _population(name, kinds[0], {axis: content[axis] for axis in axes}, content["n_configs"], path)
    return ProductGrid(name=name, mag_kind=kinds[0], axes=tuple(_axis(content[axis], axis, path) for axis in axes))


def _axis(raw: object, key: str, path: Path) -> tuple[float, ...]:
    """Return the values of one axis after checking them."""
    if not isinstance(raw, list) or not raw or not all(isinstance(item, (int, float)) and not isinstance(item, bool) for item in raw):
        raise ConfigurationError(f"grid file {path}: {key} must be a non-empty list of numbers, it is {raw!r}")
    values = tuple(float(item) for item in raw)
    _check_inside(values, key, path)
    if any(later <= earlier for earlier, later in itertools.pairwise(values)):
        raise ConfigurationError(f"grid file {path}: {key} must rise strictly, it is {list(values)}")
    return values


def _population(name: str, mag_kind: str, raw: Mapping[str, object], n_configs: object, path: Path) -> PopulationGrid:
    """Return a population after checking its laws and its number of draws."""
    texts = {key: text for key, text in raw.items() if isinstance(text, str)}
    if len(texts) < len(raw):
        raise ConfigurationError(f"grid file {path}: a population gives one law per axis as text, not {sorted(set(raw) - set(texts))}")
    if isinstance(n_configs, bool) or not isinstance(n_configs, int) or n_configs < 1:
        raise ConfigurationError(f"grid file {path}: n_configs is {n_configs!r}; it must be an integer of at least 1")
    written = with_named_laws(texts, load_named_laws(path.parent))
    laws = {key: parse_law(f"grid file {path}: {key}", text) for key, text in written.items()}
    for key, law in laws.items():
        _check_inside(law.support, key, path)
    return PopulationGrid(name=name, mag_kind=mag_kind, laws=tuple(laws.values()), n_draws=n_configs)


def _check_inside(values: tuple[float, ...], key: str, path: Path) -> None:
    """Raise where a value lies outside the limits of its axis."""
    lower, upper, text = LIMITS[key]
    outside = [value for value in values if not lower < value <= upper]
    if outside:
        raise ConfigurationError(f"grid file {path}: {key} holds {outside}, outside {text}")
