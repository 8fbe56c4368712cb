"""Metrics of a view: on good pixels alone, per band and size, and reproduced by what is stored."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halo_core.constants import BANDS, OUTSIDE_MASK_BIT
from halo_core.errors import ConventionError
from halo_core.flags import LOSSES, Flag, for_band
from halo_core.lensing import snr_aperture, snr_matched, snr_peak_pixel
from halo_core.stages.hosts import Host
from halo_core.stages.metrics import arc_metrics, crop, good_in_view, good_pixels_of, judge_view, mask_metrics
from halo_core.survey.maskbits import DR10_BITS, MaskBits, good_pixels
from halo_core.survey.mock import MockSurvey
from tests.core.stages.injection_scenes import TinyRun, by, stored, tiny_run

BITS = MaskBits.from_header({})
SIZE = 32
INNER = 20


def made_host(**changes: Any) -> Host:
    """Return a host of constant weight well inside its file, good everywhere."""
    planes = {band: np.ones((SIZE, SIZE), dtype=np.float32) for band in BANDS}
    given: dict[str, Any] = {
        "image": planes,
        "invvar": {band: 4.0 * plane for band, plane in planes.items()},
        "maskbits": np.zeros((SIZE, SIZE), dtype=np.int32),
        "bits": BITS,
        "psf_fwhm_arcsec": dict.fromkeys(BANDS, 1.3),
        "psf_source": dict.fromkeys(BANDS, 0),
    }
    return Host("h", SIZE, 100, 100, 16.2, 15.9, (300, 300), **(given | changes))


def with_pixel(host: Host, kind: str, band: str, place: tuple[int, int] | slice, value: float) -> Host:
    """Return a host with one pixel (or all) of one plane changed."""
    plane = getattr(host, kind)[band].copy()
    plane[place] = value
    return replace(host, **{kind: {**getattr(host, kind), band: plane}})


def with_bit(host: Host, name: str, place: tuple[int, int] | slice) -> Host:
    """Return a host with a mask bit set."""
    mask = np.zeros((SIZE, SIZE), dtype=np.int32)
    mask[place] = OUTSIDE_MASK_BIT if name == "OUTSIDE" else 1 << DR10_BITS[name]
    return replace(host, maskbits=mask)


MIDDLE, CORNER, ALL = (16, 16), (0, 31), slice(None)


@pytest.mark.parametrize(("big", "small", "start"), [(96, 64, 16), (32, 20, 6), (33, 20, 6), (32, 21, 6), (33, 21, 6)])
def test_a_view_is_the_exact_crop(big: int, small: int, start: int) -> None:
    stamp = np.arange(2 * big * big).reshape(2, big, big)
    assert np.array_equal(crop(stamp, small), stamp[:, start : start + small, start : start + small])
    assert np.array_equal(crop(stamp, big), stamp)


def test_a_clean_host_has_no_flag_in_any_view() -> None:
    for bands in (BANDS, ("r",), ("g", "z")):
        for size in (SIZE, INNER, 21):
            assert judge_view(made_host(), bands, size) == Flag(0)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_pixel_that_is_not_finite_where_there_is_weight_loses_the_views_that_hold_it(value: float) -> None:
    host = with_pixel(made_host(), "image", "z", CORNER, value)
    assert judge_view(host, BANDS, SIZE) == Flag.PIXEL_NAN
    assert judge_view(host, BANDS, INNER) == Flag(0)
    assert judge_view(host, ("g", "r"), SIZE) == Flag(0)


def test_a_pixel_that_is_not_finite_where_there_is_no_weight_is_only_bad() -> None:
    host = with_pixel(with_pixel(made_host(), "image", "r", CORNER, np.nan), "invvar", "r", CORNER, 0.0)
    assert judge_view(host, BANDS, SIZE) == Flag.HAS_BAD_PIXELS
    assert mask_metrics(host, BANDS, SIZE)["bad_pixel_frac"] == 1.0 / SIZE**2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_weight_that_is_not_finite_is_a_loss(value: float) -> None:
    assert judge_view(with_pixel(made_host(), "invvar", "g", MIDDLE, value), BANDS, SIZE) & Flag.PIXEL_NAN


@pytest.mark.parametrize("band", BANDS)
@pytest.mark.parametrize("cause", ["weight", "BRIGHT", "SATUR", "OUTSIDE"])
def test_a_band_without_a_good_pixel_is_lost(band: str, cause: str) -> None:
    host = made_host()
    if cause == "weight":
        host = with_pixel(host, "invvar", band, ALL, 0.0)
    else:
        host = with_bit(host, f"SATUR_{band.upper()}" if cause == "SATUR" else cause, ALL)
    flag = for_band("NO_GOOD_PIXEL", band)
    assert judge_view(host, BANDS, SIZE) & flag
    assert judge_view(host, (band,), SIZE) & flag & LOSSES
    others = tuple(other for other in BANDS if other != band)
    assert not judge_view(host, others, SIZE) & flag


def test_one_good_pixel_is_enough() -> None:
    host = with_pixel(with_pixel(made_host(), "invvar", "g", ALL, 0.0), "invvar", "g", MIDDLE, 1.0)
    assert judge_view(host, BANDS, SIZE) == Flag(0)
    assert mask_metrics(host, BANDS, SIZE)["bad_pixel_frac_g"] == 1.0 - 1.0 / SIZE**2


def test_masked_shares_count_the_pixels_of_their_own_view() -> None:
    host = with_bit(made_host(), "ALLMASK_R", CORNER)
    assert mask_metrics(host, BANDS, SIZE) == {
        "bad_pixel_frac": 1.0 / SIZE**2,
        "bad_pixel_frac_g": 0.0,
        "bad_pixel_frac_z": 0.0,
        "wise_brightmask_frac": 0.0,
    }
    assert mask_metrics(host, BANDS, INNER)["bad_pixel_frac"] == 0.0
    assert judge_view(host, BANDS, SIZE) == Flag.HAS_BAD_PIXELS
    assert judge_view(host, BANDS, INNER) == Flag(0)
    assert mask_metrics(made_host(), ("g",), SIZE)["bad_pixel_frac"] is None


@pytest.mark.parametrize("name", ["WISEM1", "WISEM2"])
def test_wise_masks_are_noted_and_make_no_pixel_bad(name: str) -> None:
    host = with_bit(made_host(), name, MIDDLE)
    assert judge_view(host, BANDS, INNER) == Flag.ON_WISE_MASK
    assert mask_metrics(host, BANDS, INNER)["wise_brightmask_frac"] == 1.0 / INNER**2
    assert mask_metrics(host, BANDS, INNER)["bad_pixel_frac"] == 0.0


def test_ownership_is_not_quality() -> None:
    assert judge_view(with_bit(made_host(), "NPRIMARY", ALL), BANDS, SIZE) == Flag(0)


def test_flags_of_other_bands_do_not_count() -> None:
    host = made_host(psf_fwhm_arcsec={"r": 1.3, "z": 1.2}, psf_source={"r": 0, "z": 1})
    assert judge_view(host, ("r",), SIZE) == Flag(0)
    assert judge_view(host, ("r", "z"), SIZE) == Flag.PSF_FROM_BRICK
    assert judge_view(host, BANDS, SIZE) == Flag.PSF_FROM_BRICK | Flag.PSF_UNUSABLE_G
    masked = with_pixel(made_host(), "invvar", "g", slice(None), 0.0)
    assert judge_view(masked, ("r", "z"), SIZE) == Flag(0)
    assert judge_view(masked, BANDS, SIZE) == Flag.NO_GOOD_PIXEL_G


def test_a_view_without_a_mask_is_asked_for_no_pixel() -> None:
    host = made_host(maskbits=None, bits=None)
    assert judge_view(host, BANDS, SIZE) == Flag(0), "plane_flags says that the mask is lost"
    with pytest.raises(ConventionError, match="without a maskbits plane"):
        good_in_view(host, "r", SIZE)
    with pytest.raises(ConventionError, match="without a maskbits plane"):
        mask_metrics(host, (), SIZE)


def test_snr_of_a_known_arc() -> None:
    arc = {band: np.zeros((SIZE, SIZE), dtype=np.float32) for band in BANDS}
    for band, flux in zip(BANDS, (1.0, 2.0, 3.0), strict=True):
        arc[band][16, 14:18] = flux
    host = with_bit(made_host(), "SATUR_Z", (16, 14))
    good = {band: good_pixels_of(host, band, INNER, host.invvar[band]) for band in BANDS}
    found = arc_metrics(arc, good, size_pix=INNER, lensed_flux_nmgy={"g": 4.0, "r": 16.0, "z": 12.0})
    assert found["total_injected_flux_r_nmgy"] == 8.0
    assert [found[f"flux_frac_inside_{band}"] for band in BANDS] == [1.0, 0.5, 1.0]
    assert [found[f"flux_frac_good_{band}"] for band in BANDS] == [1.0, 0.5, 0.75]
    # weight 4: one sigma is 0.5 nmgy; four pixels, three of them good in z
    assert [found[f"snr_matched_{band}"] for band in BANDS] == pytest.approx([4.0, 8.0, 6.0 * np.sqrt(3.0)])
    assert [found[f"snr_peak_pixel_{band}"] for band in BANDS] == pytest.approx([2.0, 4.0, 6.0])
    assert [found[f"snr_aperture_{band}"] for band in BANDS] == pytest.approx([4.0, 8.0, 6.0 * np.sqrt(3.0)])
    assert found["snr_matched_all"] == pytest.approx(np.sqrt(16.0 + 64.0 + 108.0))


def test_metrics_of_a_run_come_again_from_its_stored_stamps(tiny_survey: tuple[MockSurvey, Path]) -> None:
    run: TinyRun = tiny_run(tiny_survey[1])
    hosts, arcs, n_checked = by(run.hosts, "host_id"), by(run.arcs, "physical_id"), 0
    for task, result in zip(run.tasks.to_pylist(), run.results.to_pylist(), strict=True):
        if not result["metrics_ok"] or task["is_control"]:
            continue
        host, arc, size = hosts[task["host_id"]], arcs[task["physical_id"]], task["stamp_size"]
        mask = crop(stored(host, "maskbits"), size)
        for band in BANDS:
            light = crop(stored(arc, f"arc_{band}"), size).astype(np.float64)
            invvar = crop(stored(host, f"invvar_{band}"), size).astype(np.float64)
            good = good_pixels(mask, invvar, band, BITS)
            assert result[f"snr_matched_{band}"] == snr_matched(light, invvar, good)
            assert result[f"snr_peak_pixel_{band}"] == snr_peak_pixel(light, invvar, good)
            assert result[f"snr_aperture_{band}"] == snr_aperture(light, invvar, good)
            assert result[f"total_injected_flux_{band}_nmgy"] == light.sum()
            lensed = result["magnification"] * task[f"src_flux_{band}_nmgy"]
            assert result[f"flux_frac_good_{band}"] == light[good].sum() / lensed
        n_checked += 1
    assert n_checked > 10
