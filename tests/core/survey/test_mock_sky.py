"""The mock survey's sky: noise, objects and masks have the properties of the survey's coadds, measured on the files."""

from pathlib import Path

import astropy_healpix
import galsim
import numpy as np
import pytest
from astropy import units

from halo_core.constants import BANDS, PIXEL_SCALE_ARCSEC
from halo_core.survey.bricks import brick_at
from halo_core.survey.catalogs import Columns, read_bricks
from halo_core.survey.coadds import CoaddPlane, open_plane, sky_to_pixel, stamp_corner
from halo_core.survey.layout import BRICKS_KEY, plane_key
from halo_core.survey.maskbits import DR10_BITS, MaskBits, good_pixels
from halo_core.survey.mock import MockBrick, MockSurvey, make_mock_brick, mock_bricks
from halo_core.survey.mock_model import Exposure
from halo_core.survey.mock_objects import MockObjects, mock_objects
from halo_core.survey.mock_pixels import _add_star, _noise, _paint, maskbits_at
from halo_core.survey.photometry import nmgy_to_mag, psf_nea_pix, psfdepth_ivar_to_mag
from tests.fixtures.survey import read_sweeps

Tiny = tuple[MockSurvey, Path]


def plane(survey: Tiny, brick: MockBrick, name: str) -> np.ndarray:
    """Return the pixels of a plane."""
    with open_plane(survey[1] / plane_key(brick.brickname, name), name) as opened:
        return np.array(opened.read())


def catalogue(survey: Tiny, brick: MockBrick) -> Columns:
    """Return the sweep rows of a brick."""
    rows = read_sweeps(sorted((survey[1] / "sweep/10.1").glob("*.fits")))
    return {name: values[rows["brickid"] == brick.brickid] for name, values in rows.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_noise_has_the_correlations_of_lanczos_coadds(seed: int) -> None:
    exposures = tuple(Exposure(0, 600, 0, 600, 1.2, 0.005 * (1 + 0.1 * i), 0.3 * i, 0.7 * i) for i in range(4))
    noise, weight = _noise(np.random.default_rng(seed), exposures, 600)
    scaled = noise * np.sqrt(weight)
    variance = scaled.var()
    assert 0.87 < scaled.std() < 0.95
    for shifted in (scaled[:, 1:] * scaled[:, :-1], scaled[1:] * scaled[:-1]):
        assert 0.10 < shifted.mean() / variance < 0.20
    # Low frequencies keep their power: means over 20 x 20 pixels scatter as white noise of variance 1/invvar would.
    blocks = scaled.reshape(30, 20, 30, 20).mean(axis=(1, 3)) * 20.0
    assert blocks.std() == pytest.approx(1.0, abs=4.0 / np.sqrt(2 * 900) + 0.01)  # 4 sigma, and 1 % for the pixel scales' ratio


def test_noise_in_the_files_fits_their_inverse_variance(tiny_survey: Tiny, brick: MockBrick) -> None:
    rows = catalogue(tiny_survey, brick)
    for band in BANDS:
        image, invvar = plane(tiny_survey, brick, f"image-{band}"), plane(tiny_survey, brick, f"invvar-{band}")
        with open_plane(tiny_survey[1] / plane_key(brick.brickname, "maskbits"), "maskbits") as opened:
            x, y = sky_to_pixel(opened.wcs, rows["ra"], rows["dec"])
            good = good_pixels(opened.read(), invvar, band, MaskBits.from_header(opened.header))
        ys, xs = np.mgrid[:224, :224]
        empty = good & (np.hypot(xs[..., None] - x, ys[..., None] - y).min(axis=-1) > 22.0)
        assert empty.sum() > 5000
        scaled = (image * np.sqrt(invvar))[empty]
        spread = 0.7413 * np.subtract(*np.percentile(scaled, [75, 25]))
        assert 0.85 < spread < 0.97


def test_brightest_pixel_of_an_isolated_galaxy_is_at_its_catalogue_position(tiny_survey: Tiny) -> None:
    n_checked = 0
    for brick in mock_bricks(tiny_survey[0])[:2]:
        rows = catalogue(tiny_survey, brick)
        image = plane(tiny_survey, brick, "image-z")
        with open_plane(tiny_survey[1] / plane_key(brick.brickname, "image-z"), "image-z") as opened:
            x, y = sky_to_pixel(opened.wcs, rows["ra"], rows["dec"])
        for i in np.flatnonzero((rows["type"] == "DEV") & (rows["flux_r"] > 6.0)):
            near = np.hypot(x - x[i], y - y[i]) < 15.0
            ix, iy = round(x[i]), round(y[i])
            if near.sum() > 1 or not (6 < ix < 217 and 6 < iy < 217):
                continue
            stamp = image[iy - 5 : iy + 6, ix - 5 : ix + 6].astype(float)
            weight = np.clip(stamp - 0.4 * stamp.max(), 0.0, None)
            dy, dx = (np.sum(weight * axis) / weight.sum() for axis in np.mgrid[-5:6, -5:6])
            assert np.hypot(ix + dx - x[i], iy + dy - y[i]) < 0.5
            n_checked += 1
    assert n_checked >= 5


def test_painted_galaxies_have_the_flux_of_the_catalogue(tiny_survey: Tiny, brick: MockBrick) -> None:
    rows = catalogue(tiny_survey, brick)
    wanted = np.zeros(3)
    painted = np.zeros(3)
    for i, band in enumerate(BANDS):
        image = plane(tiny_survey, brick, f"image-{band}")
        wanted[i] = rows[f"flux_{band}"].sum()
        painted[i] = image.sum(dtype=float)
    # All objects of the brick together: edges and wings beyond the stamps lose some, saturation is absent in this brick.
    assert not brick.has_bright_star
    assert np.all(painted / wanted > 0.9)
    assert np.all(painted / wanted < 1.03)


def test_each_red_galaxy_alone_has_its_catalogue_flux_but_for_wings_beyond_its_stamp(tiny_survey: Tiny, brick: MockBrick) -> None:
    objects, rows = mock_objects(tiny_survey[0], brick), catalogue(tiny_survey, brick)
    inside = np.flatnonzero((objects.kind == "DEV") & (np.abs(objects.x_pix - 111.5) < 47) & (np.abs(objects.y_pix - 111.5) < 47))
    assert len(inside) >= 2
    for i in inside:
        alone = MockObjects(**{field: getattr(objects, field)[i : i + 1] for field in MockObjects.__dataclass_fields__})
        for index, band in enumerate(BANDS):
            image = np.zeros((224, 224), dtype=np.float32)
            _paint(image, brick.exposures[index], alone, index)
            assert 0.95 < image.sum(dtype=float) / rows[f"flux_{band}"][i] < 1.0


def test_colours_of_the_red_galaxies_meet_the_selections(tiny_survey: Tiny) -> None:
    rows = read_sweeps(sorted((tiny_survey[1] / "sweep/10.1").glob("*.fits")))
    r, z, w1 = (nmgy_to_mag(np.where(rows[f"flux_{b}"] > 0, rows[f"flux_{b}"], np.nan)) for b in ("r", "z", "w1"))
    selected = (z < 20.4) & (r - z > 0.4) & (z - w1 > 0.8)
    assert selected[rows["type"] == "DEV"].mean() > 0.95
    assert selected[rows["type"] != "DEV"].mean() < 0.02


def test_depth_and_seeing_agree_between_maps_sweeps_and_brick_table(tiny_survey: Tiny, brick: MockBrick) -> None:
    rows = catalogue(tiny_survey, brick)
    table = read_bricks(tiny_survey[1] / BRICKS_KEY).to_pylist()
    row = next(item for item in table if item["brickname"] == brick.brickname)
    for band in BANDS:
        opened: CoaddPlane
        with open_plane(tiny_survey[1] / plane_key(brick.brickname, f"psfsize-{band}"), f"psfsize-{band}") as opened:
            x, y = sky_to_pixel(opened.wcs, rows["ra"], rows["dec"])
            at_objects = [opened.value_at(float(a), float(b)) for a, b in zip(x, y, strict=True)]
        assert np.allclose(at_objects, rows[f"psfsize_{band}"], rtol=1e-6)
        assert row[f"psfsize_{band}_arcsec"] == pytest.approx(np.median(at_objects), rel=1e-5)
        assert row[f"psfdepth_{band}_mag"] == pytest.approx(float(psfdepth_ivar_to_mag(np.median(rows[f"psfdepth_{band}"]))), abs=1e-3)
        invvar, depth = plane(tiny_survey, brick, f"invvar-{band}"), plane(tiny_survey, brick, f"depth-{band}")
        nea = psf_nea_pix(plane(tiny_survey, brick, f"psfsize-{band}"))
        assert np.median(invvar / nea / depth) == pytest.approx(1.0, abs=2e-3)


def test_maps_step_where_an_exposure_ends(tiny_survey: Tiny, brick: MockBrick) -> None:
    psfsize, nexp = plane(tiny_survey, brick, "psfsize-r"), plane(tiny_survey, brick, "nexp-r")
    assert len(np.unique(psfsize)) == len(np.unique(nexp)) == 2
    assert nexp.max() - nexp.min() == 1


def test_a_half_covered_band_has_no_data_where_it_was_not_observed(tiny_survey: Tiny) -> None:
    brick = mock_bricks(tiny_survey[0])[-2]
    allmask = (plane(tiny_survey, brick, "maskbits") >> DR10_BITS["ALLMASK_G"]) & 1
    for kind in ("image", "invvar", "nexp", "psfsize", "depth"):
        assert not plane(tiny_survey, brick, f"{kind}-g")[:, :112].any()
        assert plane(tiny_survey, brick, f"{kind}-g")[:, 112:].any()
        assert plane(tiny_survey, brick, f"{kind}-r")[:, :112].any()
    assert allmask[:, :112].all()
    assert not allmask[:, 112:].all()
    rows = catalogue(tiny_survey, brick)
    unseen = rows["nobs_g"] == 0
    assert unseen.any()
    assert not rows["flux_g"][unseen].any()
    assert rows["flux_r"][unseen].all()


def test_stars_have_the_noise_equivalent_area_of_psfsize() -> None:
    image = np.zeros((161, 161), dtype=np.float32)
    _add_star(image, 80.3, 79.8, 100.0, 1.1)
    star = image.astype(float)
    assert star.sum() == pytest.approx(100.0, rel=2e-3)
    assert star.sum() ** 2 / np.sum(star**2) == pytest.approx(float(psf_nea_pix(1.1)), rel=3e-3)
    # The profile's own width is psfsize / 1.232531 for beta 3.5: golden number made with GalSim 2.8.5.
    drawn = galsim.Moffat(beta=3.5, fwhm=1.1 / 1.232531, flux=100.0).drawImage(
        nx=161, ny=161, scale=PIXEL_SCALE_ARCSEC, method="no_pixel", offset=(0.3, -0.2)
    )
    assert np.allclose(star, drawn.array, atol=3e-5)


def bright_brick(size_pix: int) -> tuple[MockSurvey, MockBrick]:
    """Return a brick with a star that saturates."""
    parameters = MockSurvey(seed=11, n_bricks=60, brick_size_pix=size_pix, lrgs_per_brick=2)
    bricks = [brick for brick in mock_bricks(parameters) if brick.has_bright_star]
    return parameters, min(bricks, key=lambda brick: mock_objects(parameters, brick).gaia_gmag[-1])


def test_bright_stars_saturate_and_are_masked(tmp_path: Path) -> None:

    parameters, brick = bright_brick(300)
    make_mock_brick(parameters, brick.index, tmp_path)
    survey = (parameters, tmp_path)
    bits, image, invvar = (plane(survey, brick, name) for name in ("maskbits", "image-r", "invvar-r"))
    core = (bits >> DR10_BITS["SATUR_R"]) & 1 == 1
    assert core.sum() > 10
    assert not invvar[core].any()
    assert (image[core] > 1.0).all()  # patched, not zero
    assert not plane(survey, brick, "nexp-r")[core].any()
    for name in ("BRIGHT", "MEDIUM", "ALLMASK_R", "WISEM1"):
        assert ((bits[core] >> DR10_BITS[name]) & 1).all()
    assert ((bits >> DR10_BITS["MEDIUM"]) & 1).sum() > ((bits >> DR10_BITS["BRIGHT"]) & 1).sum()


def test_stamps_near_the_edge_fit_one_size_or_none(tiny_survey: Tiny, brick: MockBrick) -> None:
    objects = mock_objects(tiny_survey[0], brick)
    fits_size = {}
    for size in (64, 96):
        corners = np.array([[stamp_corner(v, size) for v in axis] for axis in (objects.x_pix[:8], objects.y_pix[:8])])
        fits_size[size] = ((corners >= 0) & (corners + size <= 224)).all(axis=0)
    assert (fits_size[96].sum(), (fits_size[64] & ~fits_size[96]).sum(), (~fits_size[64]).sum()) == (6, 1, 1)
    distance = np.hypot(*(np.stack([objects.x_pix, objects.y_pix])[:, :8, None] - np.stack([objects.x_pix, objects.y_pix])[:, None, :8]))
    assert distance[~np.eye(8, dtype=bool)].min() > 10.0


def test_a_full_brick_marks_what_belongs_to_its_neighbours() -> None:
    parameters = MockSurvey(seed=11, n_bricks=1, brick_size_pix=3600, lrgs_per_brick=1)
    brick = mock_bricks(parameters)[0]
    objects = mock_objects(parameters, brick)
    x = np.arange(3600.0)
    low, middle, high = (maskbits_at(parameters, brick, objects, x[None, :], np.array([[y]])) & 1 == 1 for y in (60.0, 1800.0, 3540.0))
    assert low.all()
    assert high.all()
    assert not middle[0, 100:3500].any()
    assert middle[0, :60].all()
    assert middle[0, -60:].all()


def test_bricks_stand_in_cells_of_their_own_away_from_the_poles() -> None:
    bricks = mock_bricks(MockSurvey(seed=5, n_bricks=300, brick_size_pix=500, lrgs_per_brick=1))
    ra, dec = (np.array([getattr(brick, name) for brick in bricks]) for name in ("ra_deg", "dec_deg"))
    cells = astropy_healpix.lonlat_to_healpix(ra * units.deg, dec * units.deg, 32, order="nested")
    assert len(np.unique(cells)) == 300
    assert (np.abs(dec) < 66.0).all()
    assert dec.max() < 32.0
    assert np.array_equal(brick_at(ra, dec).brickid, [brick.brickid for brick in bricks])
