"""Which galaxies are luminous red galaxies: the reference campaign's variants as data, and the DESI main-survey cuts.

Reference: Zhou et al. 2023, AJ 165, 58 (DESI LRG target selection, south).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from halo_core.constants import BANDS
from halo_core.errors import ConfigurationError
from halo_core.survey.maskbits import DR10_BITS
from halo_core.survey.photometry import nmgy_to_mag

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class VariantCuts:
    """Strict limits on raw (not extinction corrected) AB magnitudes: z < z_max, r - z > rz_min, z - W1 > zw1_min; TYPE not PSF."""

    z_max: float
    rz_min: float
    zw1_min: float


VARIANTS = {
    "v1_pure_massive": VariantCuts(20.0, 0.5, 1.6),
    "v2_baseline_dr10": VariantCuts(20.4, 0.4, 1.6),
    "v3_color_relaxed": VariantCuts(20.4, 0.4, 0.8),
    "v4_mag_relaxed": VariantCuts(21.0, 0.4, 0.8),
    "v5_very_relaxed": VariantCuts(21.5, 0.3, 0.8),
}
"""Selections by name."""

DESI_LRG = "desi_lrg"

_FIBERTOT_Z_MAX_NMGY = 100.0
_GAIA_G_MIN_MAG = 18.0
_Z_FIBER_MAX_MAG = 21.60
_MASKED = ("BRIGHT", "GALAXY", "CLUSTER")


def check_variant(name: str) -> None:
    """Raise ConfigurationError unless a selection has this name."""
    if name not in (*VARIANTS, DESI_LRG):
        raise ConfigurationError(f"variant {name!r} is unknown; the choice is {', '.join((*VARIANTS, DESI_LRG))}")


def variant_mask(cuts: VariantCuts, *, rmag: Floats, zmag: Floats, w1mag: Floats, kind: NDArray[np.str_]) -> Mask:
    """Return which objects pass the cuts of one variant; parameters as ``variant_masks``."""
    return np.asarray((kind != "PSF") & (zmag < cuts.z_max) & (rmag - zmag > cuts.rz_min) & (zmag - w1mag > cuts.zw1_min))


def variant_masks(*, rmag: Floats, zmag: Floats, w1mag: Floats, kind: NDArray[np.str_]) -> dict[str, Mask]:
    """Return which objects pass each of ``VARIANTS``.

    Parameters
    ----------
    rmag, zmag, w1mag : ndarray, shape (n,)
        Raw magnitudes [AB mag]; NaN where the flux is not positive, which passes no cut.
    kind : ndarray of str, shape (n,)
        Tractor TYPE.
    """
    return {name: variant_mask(cuts, rmag=rmag, zmag=zmag, w1mag=w1mag, kind=kind) for name, cuts in VARIANTS.items()}


def desi_lrg_mask(objects: Mapping[str, NDArray[Any]]) -> Mask:
    """Return which objects pass the DESI main-survey LRG cuts of the southern imaging.

    Parameters
    ----------
    objects : mapping of str to ndarray, shape (n,)
        Sweep columns, lower case; primary objects.

    Notes
    -----
    Magnitudes are extinction corrected with the catalogue's own transmissions, fiber magnitudes too; the bright limit is on the raw
    total fiber flux. Second sliding cut as in the targeting code: r - W1 > W1 - 16.33.
    """
    g, r, z, w1 = (nmgy_to_mag(objects[f"flux_{band}"] / objects[f"mw_transmission_{band}"]) for band in (*BANDS, "w1"))
    z_fiber = nmgy_to_mag(objects["fiberflux_z"] / objects["mw_transmission_z"])
    is_not_stellar = z - w1 > 0.8 * (r - z) - 0.6
    is_red = (g - w1 > 2.9) | (r - w1 > 1.8)
    is_luminous = ((r - w1 > 1.8 * (w1 - 17.14)) & (r - w1 > w1 - 16.33)) | (r - w1 > 3.3)
    return _desi_quality(objects) & is_not_stellar & (z_fiber < _Z_FIBER_MAX_MAG) & is_red & is_luminous


def _desi_quality(objects: Mapping[str, NDArray[Any]]) -> Mask:
    """Return which objects have the photometry that the colour cuts need and lie off bright stars, large galaxies and clusters."""
    is_good = objects["fiberflux_z"] > 0
    for band in ("r", "z", "w1"):
        is_good = is_good & (objects[f"flux_{band}"] > 0) & (objects[f"flux_ivar_{band}"] > 0)
    for band in BANDS:
        is_good = is_good & (objects[f"nobs_{band}"] > 0)
    gaia_g = objects["gaia_phot_g_mean_mag"]
    is_good = is_good & ((gaia_g == 0) | (gaia_g > _GAIA_G_MIN_MAG)) & (objects["fibertotflux_z"] < _FIBERTOT_Z_MAX_NMGY)
    bits = sum(1 << DR10_BITS[name] for name in _MASKED)
    return np.asarray(is_good & ((objects["maskbits"] & bits) == 0))
