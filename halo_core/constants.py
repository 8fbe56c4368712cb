"""Numbers of the survey and of photometry that are typed once in this project.

Sources: the DESI Legacy Imaging Surveys DR10 description (pixel scale, bands, extinction coefficients,
5-sigma depths) and the DR10 definition of ``psfsize`` through the noise-equivalent area.
"""

from math import log, pi, sqrt

PIXEL_SCALE_ARCSEC = 0.262
"""Side of a coadd pixel [arcsec]."""

BRICK_SIDE_DEG = 0.25
"""Height of a brick in declination [deg]."""

BRICK_SIZE_PIX = 3600
"""Side of a full brick image [pix]."""

BANDS = ("g", "r", "z")
"""Bands of a bandset, in the order of every per-band array."""

MAG_ZERO_NMGY = 22.5
"""AB magnitude of one nanomaggy."""

EXTINCTION_PER_EBV = {"g": 3.214, "r": 2.165, "i": 1.592, "z": 1.211, "w1": 0.184}
"""A_band / E(B-V) with the SFD98 scale [mag]."""

GAUSSIAN_FWHM_PER_SIGMA = 2.0 * sqrt(2.0 * log(2.0))
"""FWHM over sigma of a Gaussian."""

MOFFAT_BETA = 3.5
"""Exponent of the reference Moffat PSF."""

GAUSSIAN_NEA_PER_FWHM2 = 4.0 * pi / GAUSSIAN_FWHM_PER_SIGMA**2
"""Noise-equivalent area over FWHM squared of a Gaussian, 4 pi sigma^2 / FWHM^2 (King 1983, PASP 95, 163)."""

MOFFAT_ALPHA_PER_PSFSIZE = sqrt(GAUSSIAN_NEA_PER_FWHM2 / (pi * (2.0 * MOFFAT_BETA - 1.0))) * (MOFFAT_BETA - 1.0)
"""Scale radius alpha of the reference Moffat over ``psfsize``: equal noise-equivalent areas, pi alpha^2 (2 beta - 1) / (beta - 1)^2."""

PSF_FWHM_MIN_ARCSEC = 0.6
PSF_FWHM_MAX_ARCSEC = 3.5
"""Range of a believable ``psfsize`` [arcsec]; outside it the value is not used."""

OUTSIDE_MASK_BIT = 1 << 30
"""Bit of a stored host's mask where the stamp leaves the file; the survey uses no bit above 19."""

ARCSEC_PER_DEG = 3600.0

SPLITS = ("train", "val", "test")
TIERS = ("debug", "grid", "train")
"""Split and tier names that the project knows, in the order of its tables."""
