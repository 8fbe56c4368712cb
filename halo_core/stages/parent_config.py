"""The parameters of the parent selection, and the record of what each cut left."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

from halo_core.errors import ConfigurationError
from halo_core.stages.parent_cuts import UserCut
from halo_core.stages.parent_variants import DESI_LRG, VARIANTS, check_variant
from halo_core.survey.regions import SplitRule

EXTERNAL = "external"
"""Variant of a parent table that was selected elsewhere: no cut on colour or brick is applied to it."""

OWN_STEPS = (
    *("position", "r_flux", "primary", "brick_in_table", "brick_ebv", "brick_psfsize_r", "brick_psfdepth_r"),
    *("brick_in_region", "guard_band", "given_splits_apart"),
    *(*VARIANTS, DESI_LRG),
)
"""Names of steps of the cut flow; a user's cut has another."""


@dataclass(frozen=True)
class ParentConfig:
    """Everything that decides the parents beside the survey's tables.

    Parameters
    ----------
    variant : str
        Name of the selection, or ``external``.
    ebv_max : float
        Largest E(B-V) of a brick [mag].
    psfsize_r_max_arcsec : float
        Largest median r PSF size of a brick [arcsec].
    psfdepth_r_min_mag : float
        Shallowest r depth of a brick [AB mag].
    healpix_nside : int
        Resolution of the regions, where none are given.
    split_seed : int
        Seed of the splits.
    split_fractions : mapping of str to float
        Share of the regions by split, sum 1.
    guard_arcsec : float
        Radius of the guard band [arcsec]; see ``halo_core.survey.regions.guard_arcsec``.
    cuts : tuple of UserCut
        Cuts of the user's own, in the order in which they are applied, after the variant.

    Raises
    ------
    ConfigurationError
        A value is unknown or out of range.
    """

    variant: str
    ebv_max: float
    psfsize_r_max_arcsec: float
    psfdepth_r_min_mag: float
    healpix_nside: int
    split_seed: int
    split_fractions: Mapping[str, float]
    guard_arcsec: float
    cuts: tuple[UserCut, ...] = ()

    def __post_init__(self) -> None:
        """Check every value."""
        if self.variant != EXTERNAL:
            check_variant(self.variant)
        for name in ("ebv_max", "psfsize_r_max_arcsec", "psfdepth_r_min_mag", "guard_arcsec"):
            value = getattr(self, name)
            if not (isfinite(value) and value > 0.0):
                raise ConfigurationError(f"{name} is {value}; a finite number above 0 is needed")
        names = [cut.name for cut in self.cuts]
        taken = sorted({name for name in names if names.count(name) > 1 or name in OWN_STEPS})
        if taken:
            raise ConfigurationError(f"parent_cuts: the names {taken} are taken by other steps of the cut flow; choose others")
        self.rule()

    def rule(self) -> SplitRule:
        """Return how regions are made and shared between splits."""
        return SplitRule(nside=self.healpix_nside, split_seed=self.split_seed, fractions=self.split_fractions)

    def to_parameters(self) -> dict[str, object]:
        """Return everything as JSON values; cuts only where there are some."""
        cuts = {"cuts": [[cut.name, cut.expression] for cut in self.cuts]} if self.cuts else {}
        return cuts | {
            "variant": self.variant,
            "ebv_max": float(self.ebv_max),
            "psfsize_r_max_arcsec": float(self.psfsize_r_max_arcsec),
            "psfdepth_r_min_mag": float(self.psfdepth_r_min_mag),
            "healpix_nside": self.healpix_nside,
            "split_seed": self.split_seed,
            "split_fractions": {name: float(value) for name, value in self.split_fractions.items()},
            "guard_arcsec": float(self.guard_arcsec),
        }


@dataclass(frozen=True)
class CutStep:
    """What one cut left; where ``is_kept`` the others stay in the table, marked."""

    name: str
    n_before: int
    n_after: int
    is_kept: bool
    sentence: str
