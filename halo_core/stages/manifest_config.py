"""The parameters of a manifest, checked once when they are given."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isfinite

from halo_core.constants import BANDS, SPLITS, TIERS
from halo_core.errors import ConfigurationError
from halo_core.stages.priors import parse_priors

ON_SHORTAGE = ("error", "reduce")
"""What happens where the hosts do not suffice: stop, or plan what they allow and record it."""

STAMP_SIZE_MIN_PIX = 8
STAMP_SIZE_MAX_PIX = 160
"""Stamps up to this size fit in the brick image of every primary object."""


@dataclass(frozen=True)
class ManifestConfig:
    """Everything that decides a manifest beside the parents and the content of the grids.

    Parameters
    ----------
    tiers, splits : tuple of str
        What is planned; names of ``halo_core.constants``.
    stamp_sizes : tuple of int
        Sides of the views of each physical injection [pix].
    bandsets : tuple of str
        Bands of the views, such as ``grz``.
    n_total_train_per_split : int
        Tasks of tier train per split, before replicates; not looked at when train is not planned.
    n_per_config : mapping of str to int
        Hosts per configuration and split, by tier; needed for debug and grid where they are planned.
    replicates : int
        Repetitions of each host and configuration with new frozen variables.
    control_frac : mapping of str to float
        Share of controls by tier; 0 <= share < 1.
    grids, priors : mapping of str to str
        Name of the grid by tier; name of the law by purpose.
    split_seed, sampling_seed : int
        Seed of the splits (recorded here, used by the parents) and of everything drawn here.
    on_shortage : {"error", "reduce"}
        See ``ON_SHORTAGE``.
    max_total_tasks : int
        A plan of more rows is refused before anything is built.
    block_max_injections, block_max_bricks : int
        Limits of the unit of work; in no identity.

    Raises
    ------
    ConfigurationError
        A value is missing, unknown or out of range.
    """

    tiers: tuple[str, ...]
    stamp_sizes: tuple[int, ...]
    bandsets: tuple[str, ...]
    splits: tuple[str, ...]
    n_total_train_per_split: int
    n_per_config: Mapping[str, int]
    replicates: int
    control_frac: Mapping[str, float]
    grids: Mapping[str, str]
    priors: Mapping[str, str]
    split_seed: int
    sampling_seed: int
    on_shortage: str
    max_total_tasks: int
    block_max_injections: int
    block_max_bricks: int

    def __post_init__(self) -> None:
        """Check every value."""
        _known("tiers", self.tiers, TIERS)
        _known("splits", self.splits, SPLITS)
        _check_views(self)
        for tier in self.tiers:
            _check_tier(self, tier)
        for name in ("replicates", "max_total_tasks", "block_max_injections", "block_max_bricks"):
            _at_least_one(name, getattr(self, name))
        if self.on_shortage not in ON_SHORTAGE:
            raise ConfigurationError(f"on_shortage is {self.on_shortage!r}; the choice is {', '.join(ON_SHORTAGE)}")
        parse_priors(self.priors)

    @property
    def n_views(self) -> int:
        """Return the number of rows of one physical injection."""
        return len(self.stamp_sizes) * len(self.bandsets)

    def to_parameters(self) -> dict[str, object]:
        """Return what decides the bytes of the manifest, as JSON values; the order in which names were given does not enter."""
        tiers = [tier for tier in TIERS if tier in self.tiers]
        return {
            "tiers": tiers,
            "stamp_sizes": sorted(self.stamp_sizes),
            "bandsets": sorted(self.bandsets),
            "splits": [split for split in SPLITS if split in self.splits],
            "n_total_train_per_split": self.n_total_train_per_split if "train" in tiers else None,
            "n_per_config": {tier: self.n_per_config[tier] for tier in tiers if tier != "train"},
            "replicates": self.replicates,
            "control_frac": {tier: float(self.control_frac[tier]) for tier in tiers},
            "grids": {tier: self.grids[tier] for tier in tiers},
            "priors": dict(self.priors),
            "split_seed": self.split_seed,
            "sampling_seed": self.sampling_seed,
            "on_shortage": self.on_shortage,
            "block_max_injections": self.block_max_injections,
            "block_max_bricks": self.block_max_bricks,
        }


def _known(name: str, given: Collection[str], known: Collection[str]) -> None:
    """Raise unless the names are known, distinct and at least one."""
    unknown = [item for item in given if item not in known]
    if unknown or not given or len(set(given)) != len(given):
        raise ConfigurationError(f"{name} is {list(given)}; it must be one or more distinct names of {', '.join(known)}")


def _check_views(config: ManifestConfig) -> None:
    """Raise on unusable stamp sizes or bandsets."""
    sizes, bandsets = config.stamp_sizes, config.bandsets
    if not sizes or len(set(sizes)) != len(sizes) or not all(STAMP_SIZE_MIN_PIX <= size <= STAMP_SIZE_MAX_PIX for size in sizes):
        raise ConfigurationError(
            f"stamp_sizes is {list(sizes)}; distinct sizes of {STAMP_SIZE_MIN_PIX} to {STAMP_SIZE_MAX_PIX} pix are needed"
        )
    bad = [bandset for bandset in bandsets if bandset != "".join(band for band in BANDS if band in bandset) or "r" not in bandset]
    if bad or not bandsets or len(set(bandsets)) != len(bandsets):
        raise ConfigurationError(
            f"bandsets is {list(bandsets)}; each must be bands of {''.join(BANDS)} in this order, r among them, each bandset once"
        )


def _check_tier(config: ManifestConfig, tier: str) -> None:
    """Raise where a planned tier lacks a value or has one out of range."""
    for name in ("control_frac", "grids") if tier == "train" else ("control_frac", "grids", "n_per_config"):
        if tier not in getattr(config, name):
            raise ConfigurationError(f"{name} gives no value for tier {tier}, which is planned; give one")
    fraction = config.control_frac[tier]
    if not (isfinite(fraction) and 0.0 <= fraction < 1.0):
        raise ConfigurationError(f"control_frac of tier {tier} is {fraction}; it must be in [0, 1)")
    if tier == "train":
        _at_least_one("n_total_train_per_split", config.n_total_train_per_split)
    else:
        _at_least_one(f"n_per_config of tier {tier}", config.n_per_config[tier])


def _at_least_one(name: str, value: int) -> None:
    """Raise unless the value is an integer of at least 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}; it must be an integer of at least 1")
