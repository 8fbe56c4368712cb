"""The TAN projection of coadd files: from a header, and from the sky to pixels (0-based, centres at integers)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from astropy.wcs import WCS
from numpy.typing import ArrayLike

from halo_core.errors import SurveyDataError

_WCS_CARDS = ("CTYPE1", "CTYPE2", "CRVAL1", "CRVAL2", "CRPIX1", "CRPIX2", "CD1_1", "CD1_2", "CD2_1", "CD2_2")
_PROJECTION = ("RA---TAN", "DEC--TAN")


def tan_wcs(header: Mapping[str, Any], shape: tuple[int, int], *, where: str) -> WCS:
    """Return the WCS of a coadd header from its ten cards alone, so that no other card (dates, observatory) can disturb it.

    Raises
    ------
    SurveyDataError
        A card is missing, or the projection is not RA---TAN, DEC--TAN.
    """
    missing = [card for card in _WCS_CARDS if card not in header]
    if missing:
        raise SurveyDataError(f"{where}: the header lacks the WCS cards {missing}")
    kinds = tuple(str(header[card]).strip() for card in _WCS_CARDS[:2])
    if kinds != _PROJECTION:
        raise SurveyDataError(f"{where}: projection {kinds}, expected {_PROJECTION}")
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = list(kinds)
    wcs.wcs.crval = [float(header["CRVAL1"]), float(header["CRVAL2"])]
    wcs.wcs.crpix = [float(header["CRPIX1"]), float(header["CRPIX2"])]
    wcs.wcs.cd = [[float(header["CD1_1"]), float(header["CD1_2"])], [float(header["CD2_1"]), float(header["CD2_2"])]]
    wcs.wcs.set()
    wcs.pixel_shape = (shape[1], shape[0])
    return wcs


def sky_to_pixel(wcs: WCS, ra_deg: ArrayLike, dec_deg: ArrayLike) -> tuple[Any, Any]:
    """Return 0-based pixel positions (x, y) of sky positions [deg]: floats for scalars, arrays of float64 otherwise.

    A position more than 90 deg from the centre has no image in this projection and gives NaN.
    """
    ra, dec = np.broadcast_arrays(np.asarray(ra_deg, np.float64), np.asarray(dec_deg, np.float64))
    x, y = wcs.wcs_world2pix(ra.ravel(), dec.ravel(), 0)
    if ra.ndim == 0:
        return float(x[0]), float(y[0])
    return x.reshape(ra.shape), y.reshape(ra.shape)
