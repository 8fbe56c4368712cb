"""Parameters of the summary stage."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from halo_core.constants import SPLITS
from halo_core.errors import ConfigurationError
from halo_core.stages.criteria import Criterion


@dataclass(frozen=True)
class SummaryConfig:
    """What decides the completeness cells, beside the manifest and the results.

    Attributes
    ----------
    criteria : tuple of Criterion
        Evaluated side by side; names differ.
    absolute_magnitude_grids : tuple of str
        Grids that give src_mag_r; their cells are keyed by it instead of src_dmag.
    cluster_nside : int
        HEALPix resolution (nested) of the sky cells that injections are clustered by; a power of two.
    min_n : int
        Fewest evaluated injections that are shown as a number.
    clean_max_bad_pixel_frac, clean_max_wise_frac : float
        Largest masked fractions of the ``clean`` subset; 0..1.
    psf_fwhm_bin_width_arcsec, psfdepth_bin_width_mag : float
        Bins are multiples of these widths, counted from 0; > 0.
    resolution_edges, snr_matched_r_edges : tuple of float
        Inner edges of the bins, rising; values outside fall in the open first and last bin.
    model_fit_split, model_held_out_split : str
        Splits that a smooth model is fitted to and checked on; they differ.
    model_level : float
        Two-sided level of a smooth model's intervals; 0 < level < 1.
    population_grids : tuple of str
        Grids whose parameters are drawn for each injection; their cells are keyed by bins alone.
    """

    criteria: tuple[Criterion, ...]
    absolute_magnitude_grids: tuple[str, ...]
    cluster_nside: int
    min_n: int
    clean_max_bad_pixel_frac: float
    clean_max_wise_frac: float
    psf_fwhm_bin_width_arcsec: float
    psfdepth_bin_width_mag: float
    resolution_edges: tuple[float, ...]
    snr_matched_r_edges: tuple[float, ...]
    model_fit_split: str
    model_held_out_split: str
    model_level: float
    population_grids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse what cannot be summarised."""
        repeated = [name for name, count in Counter(criterion.name for criterion in self.criteria).items() if count > 1]
        if not self.criteria or repeated:
            raise ConfigurationError(f"criteria: at least one is needed and names must differ; repeated: {repeated or 'none'}")
        if self.cluster_nside < 1 or self.cluster_nside & (self.cluster_nside - 1):
            raise ConfigurationError(f"cluster_nside is {self.cluster_nside}, a power of two is needed")
        if self.min_n < 1:
            raise ConfigurationError(f"min_n is {self.min_n}, at least 1 is needed")
        for name in ("clean_max_bad_pixel_frac", "clean_max_wise_frac"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}, it must lie within [0, 1]")
        for name in ("psf_fwhm_bin_width_arcsec", "psfdepth_bin_width_mag"):
            if not getattr(self, name) > 0.0:
                raise ConfigurationError(f"{name} is {getattr(self, name)}, it must be positive")
        self._require_checkable_models()
        for name in ("resolution_edges", "snr_matched_r_edges"):
            edges = getattr(self, name)
            if not edges or any(right <= left for left, right in pairwise(edges)):
                raise ConfigurationError(f"{name} is {edges}, rising numbers are needed")

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "SummaryConfig":
        """Return the configuration that ``dataclasses.asdict`` gave, read back from JSON."""
        criteria = tuple(Criterion(**{**one, "minimums": tuple(map(tuple, one["minimums"]))}) for one in content["criteria"])
        others: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
        return cls(**{**others, "criteria": criteria})

    def _require_checkable_models(self) -> None:
        """Refuse splits that cannot fit and check a model, and a level that is none."""
        splits = (self.model_fit_split, self.model_held_out_split)
        if len(set(splits)) < len(splits) or not set(splits) <= set(SPLITS):
            raise ConfigurationError(
                f"model_fit_split and model_held_out_split are {' and '.join(splits)}; two of {', '.join(SPLITS)} are needed: "
                "a model cannot be checked on the split it was fitted to"
            )
        if not 0.0 < self.model_level < 1.0:
            raise ConfigurationError(f"model_level is {self.model_level}, it must lie within (0, 1), such as 0.95")
