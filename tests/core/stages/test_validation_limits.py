"""What the laws allow, held in a table: a law does not grow weaker unnoticed."""

from halo_core.constants import PSF_FWHM_MAX_ARCSEC, PSF_FWHM_MIN_ARCSEC
from halo_core.stages import (
    region_statistics,
    validation_convergence,
    validation_injection_counts,
    validation_manifest_design,
    validation_manifest_values,
    validation_parent,
    validation_stamps,
    validation_summary,
)
from halo_core.stages.validation_manifest import ROW_LAWS

LIMITS: dict[str, object] = {
    "parent magnitudes [mag]": 1e-9,
    "parent guard, sampled rows a cell": 500,
    "parent split_fractions, binomial tail": 1e-6,
    "manifest rounding": 1e-9,
    "manifest ranges": "theta_e in (0, 5], e in [0, 0.95], shear in [0, 0.5], angles in [0, pi), colours clamped",
    "manifest uniforms, false alarms": 1e-6,
    "injection psf_in_range [arcsec]": (0.6, 3.5),
    "injection flux_is_accounted": (1e-6, 1.002),
    "injection sample": (24, 0.01),
    "injection renders_converged and magnification_converged": (1e-3, 5e-3, 1e-2, 2e-2),
    "injection arc_where_theory_says, least share inside": 0.999,
    "injection host_is_the_survey": 0.0,
    "injection lens_on_the_host": 0.02,
    "injection arc_where_theory_says": 0.02,
    "injection magnification_of_theory": 0.01,
    "injection injected_is_host_plus_arc": 0.0,
    "injection zero_flux_is_the_host": 0.0,
    "injection pixels_are_finite": 0.0,
    "injection renders_converged": 1.0,
    "injection magnification_converged": 1.0,
    "injection flux_is_stored": 1e-6,
    "injection arc_on_the_sky": 0.02,
    "summary rounding": 1e-9,
}


def found() -> dict[str, object]:
    """Return the limits that the code has."""
    accuracy, counts, design = validation_convergence, validation_injection_counts, validation_manifest_design
    laws = (*validation_stamps.SURVEY_LAWS, *validation_stamps.STAMP_LAWS)
    promised = (accuracy.FLUX_TOLERANCE, accuracy.RESIDUAL_TOLERANCE, accuracy.CUSPY_FLUX_TOLERANCE, accuracy.CUSPY_RESIDUAL_TOLERANCE)
    return {
        "parent magnitudes [mag]": validation_parent._TOLERANCE_MAG,
        "parent guard, sampled rows a cell": validation_parent.N_SAMPLED,
        "parent split_fractions, binomial tail": region_statistics.SHARE_LEVEL,
        "manifest rounding": validation_manifest_values._TOLERANCE,
        "manifest ranges": next(law.expected for law in ROW_LAWS if law.name == "ranges"),
        "manifest uniforms, false alarms": design.KS_LEVEL,
        "injection psf_in_range [arcsec]": (PSF_FWHM_MIN_ARCSEC, PSF_FWHM_MAX_ARCSEC),
        "injection flux_is_accounted": (counts.FLUX_TOLERANCE, counts.INSIDE_MAX),
        "injection sample": (counts.SAMPLE_SIZE, counts.SAMPLE_SHARE),
        "injection renders_converged and magnification_converged": promised,
        "injection arc_where_theory_says, least share inside": validation_stamps._INSIDE,
        "summary rounding": validation_summary._ROUNDING,
    } | {f"injection {law.name}": law.limit for law in laws}


def test_no_law_allows_more_than_it_did() -> None:
    advice = "a limit of a law has changed: say what it lets pass in CHANGELOG.md, raise validation SCIENCE_VERSION, then change this table"
    assert found() == LIMITS, advice
