"""The brick grid against rows of the survey's own table, and its pixel grid against positions in the survey's own files."""

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from numpy.typing import NDArray

from halo_core.errors import SurveyDataError
from halo_core.survey.bricks import N_BRICKS, Bricks, brick_at, brick_by_id, brick_by_name, brick_wcs, piece_start
from halo_core.survey.projection import sky_to_pixel
from tests.fixtures.survey import pixel_to_sky

# Rows of survey-bricks.fits.gz: name, id, row, col, q, RA and Dec of the centre.
ROWS = [
    ("0001m002", 328928, 359, 0, 2, 0.125, -0.25),
    ("0091p035", 350562, 374, 36, 0, 9.13769123783032, 3.5),
    ("0285m165", 236687, 294, 109, 1, 28.523878437047756, -16.5),
    ("1102p240", 465217, 456, 403, 1, 110.2124430955994, 24.0),
    ("1867p255", 473357, 462, 675, 1, 186.7741935483871, 25.5),
    ("2447p120", 400014, 408, 958, 0, 244.72340425531914, 12.0),
    ("3521p002", 333216, 361, 1408, 2, 352.125, 0.25),
    ("1773p595", 616029, 598, 361, 1, 177.30245231607628, 59.5),
    ("0959p805", 657438, 682, 64, 0, 95.9504132231405, 80.5),
]

# Positions and their 0-based pixels in the brick image, from catalogues of the survey.
PIXELS = [
    (0.10618843, -3.95577168, "0001m040", 307336, 2059.747, 2407.215),
    (0.26156697, -37.3242722, "0001m372", 130466, 651.707, 778.327),
    (190.1086, 1.2005, "1901p012", 338328, 2024.794, 1119.348),
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_grid_reproduces_rows_of_the_survey_table(row: tuple[str, int, int, int, int, float, float]) -> None:
    name, brickid, grid_row, col, q, ra, dec = row
    for bricks in (brick_at(ra, dec), brick_by_id(brickid), brick_by_name(name)):
        assert (bricks.brickname[0], bricks.brickid[0]) == (name, brickid)
        assert (bricks.row[0], bricks.col[0], bricks.q[0]) == (grid_row, col, q)
        assert bricks.ra[0] == pytest.approx(ra, abs=1e-12)
        assert bricks.dec[0] == dec


@pytest.fixture(scope="module")
def whole_sky() -> Bricks:
    """Return every brick."""
    return brick_by_id(np.arange(1, N_BRICKS + 1))


def test_grid_holds_every_brick_of_the_sky_once(whole_sky: Bricks) -> None:
    bricks = whole_sky
    assert len(bricks) == 662_174
    assert len(np.unique(bricks.brickname)) == 662_174
    assert (bricks.row[0], bricks.row[-1]) == (0, 720)
    with pytest.raises(SurveyDataError, match="662175"):
        brick_by_id(N_BRICKS + 1)


def test_ids_count_the_bricks_row_by_row_and_every_centre_and_name_has_its_own(whole_sky: Bricks) -> None:
    ids = np.arange(1, N_BRICKS + 1)
    place = whole_sky.row * 2_000 + whole_sky.col
    assert (np.diff(place) > 0).all()
    assert whole_sky.col[np.flatnonzero(np.diff(whole_sky.row)) + 1].tolist() == [0] * 720
    assert np.array_equal(whole_sky.q, 2 * (whole_sky.row % 2) + whole_sky.col % 2)
    assert np.array_equal(brick_at(whole_sky.ra, whole_sky.dec).brickid, ids)
    assert np.array_equal(brick_by_name(whole_sky.brickname).brickid, ids)


def test_rows_have_the_columns_of_the_grid_and_leave_no_gap(whole_sky: Bricks) -> None:
    # 2 ceil(1440 cos(|dec| - 0.125) / 2) columns, by the decimals of dr10's recipe; one brick at either pole.
    dec = -90.0 + 0.25 * np.arange(721)
    n_col = 2 * np.ceil(1440.0 * np.cos(np.deg2rad(np.abs(dec) - 0.125)) / 2.0)
    n_col[[0, -1]] = 1
    assert np.array_equal(np.bincount(whole_sky.row), n_col)
    same_row = np.diff(whole_sky.row) == 0
    assert np.array_equal(whole_sky.ra2[:-1][same_row], whole_sky.ra1[1:][same_row])
    assert whole_sky.ra1[whole_sky.col == 0].tolist() == [0.0] * 721
    assert whole_sky.ra2[np.append(~same_row, True)].tolist() == [360.0] * 721


def scattered(n: int, *, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return positions over the whole sky in equal area, and as many near the poles, near RA 0 and on exact edges of bricks."""
    rng = np.random.default_rng(seed)
    ra, dec = rng.uniform(0.0, 360.0, n), np.rad2deg(np.arcsin(rng.uniform(-1.0, 1.0, n)))
    polar = rng.choice([-1.0, 1.0], n) * (90.0 - rng.uniform(0.0, 0.6, n) ** 2)
    wrapped = rng.choice([0.0, 360.0, -1e-13, 359.9999999999999, 1e-13], n)
    edges = brick_by_id(rng.integers(2, N_BRICKS, n))
    on_edge = rng.random(n) < 0.5
    ra_all = [ra, ra, wrapped, np.where(on_edge, edges.ra1, edges.ra), np.where(on_edge, edges.ra2, edges.ra)]
    dec_all = [dec, polar, dec, np.where(on_edge, edges.dec, edges.dec1), np.where(on_edge, edges.dec1, edges.dec2)]
    return np.concatenate(ra_all), np.concatenate(dec_all)


def test_every_point_of_the_sky_lies_inside_its_brick_and_no_other() -> None:
    ra, dec = scattered(100_000, seed=4)
    bricks = brick_at(ra, dec)
    assert bricks.contains(ra, dec).all()
    for neighbour in (bricks.brickid - 1, bricks.brickid + 1):
        exists = (neighbour >= 1) & (neighbour <= N_BRICKS)
        assert not brick_by_id(neighbour[exists]).contains(ra[exists], dec[exists]).any()


def test_the_last_number_below_an_edge_belongs_to_the_brick_before(whole_sky: Bricks) -> None:
    inner = np.flatnonzero(whole_sky.col > 0)
    below = brick_at(np.nextafter(whole_sky.ra1[inner], 0.0), whole_sky.dec[inner])
    assert np.array_equal(below.brickid, whole_sky.brickid[inner] - 1)
    assert np.array_equal(brick_at(whole_sky.ra1, whole_sky.dec).brickid, whole_sky.brickid)


def test_the_poles_belong_to_the_bricks_around_them() -> None:
    bricks = brick_at([0.0, 123.4, 359.9], [90.0, 90.0, -90.0])
    assert bricks.contains([0.0, 123.4, 359.9], [90.0, 90.0, -90.0]).all()


def test_every_name_and_every_lower_corner_leads_back_to_its_brick() -> None:
    bricks = brick_by_id(np.arange(2, N_BRICKS + 1, 37))
    assert np.array_equal(brick_by_name(bricks.brickname).brickid, bricks.brickid)
    assert np.array_equal(brick_at(bricks.ra1, bricks.dec1).brickid, bricks.brickid)
    assert bricks.contains(bricks.ra1, bricks.dec1).all()
    assert not bricks.contains(bricks.ra2, bricks.dec).any()
    assert not bricks.contains(bricks.ra, bricks.dec2).any()


def test_exact_tenths_of_a_degree_are_not_rounded_down(whole_sky: Bricks) -> None:
    # Centres at RA 15.0, 208.5 and 337.5 evaluate to 14.999... on some rows; a truncated name would be off by one.
    bricks = whole_sky
    tenths = np.abs(bricks.ra * 10.0 - np.rint(bricks.ra * 10.0)) < 1e-9
    named = np.array([int(name[:4]) for name in bricks.brickname[tenths]])
    assert tenths.sum() > 1000
    assert np.array_equal(named, np.rint(bricks.ra[tenths] * 10.0).astype(int))


def test_poles_are_single_bricks_and_right_ascension_wraps() -> None:
    poles = brick_at([17.0, 300.0, 5.0], [90.0, 89.95, -90.0])
    assert poles.brickid.tolist() == [N_BRICKS, N_BRICKS, 1]
    assert poles.ra.tolist() == [180.0, 180.0, 180.0]
    around = brick_at([-0.1, 359.9, 360.0, 0.0, -1e-18, 720.1], 0.0)
    assert around.brickid[0] == around.brickid[1]
    assert around.brickname[2:].tolist() == ["0001p000"] * 4


def test_positions_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match=r"1 of 2 rows .* Dec 90\.5"):
        brick_at([1.0, 2.0], [0.0, 90.5])
    with pytest.raises(ValueError, match="nan"):
        brick_at(np.nan, 0.0)


@pytest.mark.parametrize("name", ["0001p003", "9999p000", "0001m000", "0001p910", "0002p002", "285m165", "0285x165", "../etc/p1"])
def test_names_that_are_no_bricks_are_refused(name: str) -> None:
    with pytest.raises(SurveyDataError, match="name"):
        brick_by_name(["0001m002", name])


@pytest.mark.parametrize(("ra", "dec", "name", "brickid", "x", "y"), PIXELS)
def test_positions_fall_on_the_pixels_the_survey_gives(ra: float, dec: float, name: str, brickid: int, x: float, y: float) -> None:
    brick = brick_at(ra, dec)
    assert (brick.brickname[0], brick.brickid[0]) == (name, brickid)
    wcs = brick_wcs(float(brick.ra[0]), float(brick.dec[0]))
    assert sky_to_pixel(wcs, ra, dec) == pytest.approx((x, y), abs=6e-4)  # the catalogue positions have eight decimals, the pixels three


def test_corner_pixel_is_where_the_survey_header_says() -> None:
    ra, dec = brick_wcs(0.125, -0.25).wcs_pix2world(0.0, 0.0, 0)
    assert float(ra) == pytest.approx(0.255965935903178, abs=1e-10)
    assert float(dec) == pytest.approx(-0.380962387829748, abs=1e-10)


def test_projection_is_the_gnomonic_formula_to_a_millionth_of_a_pixel() -> None:
    rng = np.random.default_rng(1)
    ra0, dec0 = 28.523878437047756, -16.5
    ra, dec = ra0 + rng.uniform(-0.14, 0.14, 200), dec0 + rng.uniform(-0.13, 0.13, 200)
    a, d, d0 = np.deg2rad(ra - ra0), np.deg2rad(dec), np.deg2rad(dec0)
    below = np.sin(d0) * np.sin(d) + np.cos(d0) * np.cos(d) * np.cos(a)
    xi, eta = np.cos(d) * np.sin(a) / below, (np.cos(d0) * np.sin(d) - np.sin(d0) * np.cos(d) * np.cos(a)) / below
    pixels_per_rad = np.rad2deg(3600.0) / 0.262
    x, y = sky_to_pixel(brick_wcs(ra0, dec0), ra, dec)
    assert np.allclose(x, 1799.5 - xi * pixels_per_rad, atol=1e-6, rtol=0.0)
    assert np.allclose(y, 1799.5 + eta * pixels_per_rad, atol=1e-6, rtol=0.0)


def test_cards_of_the_projection_are_those_of_the_survey_header() -> None:
    wcs = brick_wcs(0.125, -0.25).wcs
    assert (wcs.crpix.tolist(), wcs.crval.tolist(), wcs.equinox) == ([1800.5, 1800.5], [0.125, -0.25], 2000.0)
    np.testing.assert_allclose(wcs.cd, [[-7.27777777777778e-05, 0.0], [0.0, 7.27777777777778e-05]], rtol=1e-14)


def header_wcs(ra: float, dec: float) -> WCS:
    """Return astropy's reading of a header with the survey's cards."""
    cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": ra, "CRVAL2": dec, "CRPIX1": 1800.5, "CRPIX2": 1800.5}
    cards |= {"CD1_1": -7.27777777777778e-05, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": 7.27777777777778e-05}
    return WCS(fits.Header(cards))


def test_sky_and_pixels_agree_with_astropy_both_ways_at_all_declinations() -> None:
    rng = np.random.default_rng(7)
    bricks = brick_by_id(np.concatenate([[1, N_BRICKS], rng.integers(1, N_BRICKS + 1, 300)]))
    for ra0, dec0 in zip(bricks.ra.tolist(), bricks.dec.tolist(), strict=True):
        x, y = rng.uniform(-0.5, 3599.5, (2, 40))
        ra, dec = header_wcs(ra0, dec0).all_pix2world(x, y, 0)
        wcs = brick_wcs(ra0, dec0)
        np.testing.assert_allclose(sky_to_pixel(wcs, ra, dec), (x, y), atol=1e-6, rtol=0.0)
        back = pixel_to_sky(wcs, x, y)
        np.testing.assert_allclose(header_wcs(ra0, dec0).all_world2pix(*back, 0), (x, y), atol=1e-6, rtol=0.0)
    assert pixel_to_sky(brick_wcs(0.125, -0.25), 0.0, 0.0) == pytest.approx((0.255965935903178, -0.380962387829748), abs=1e-10)


def test_every_primary_object_below_80_deg_is_70_pixels_inside_the_image_of_its_brick(whole_sky: Bricks) -> None:
    # The bricks of a row are congruent, so one of each row stands for all.
    for brick in np.flatnonzero((whole_sky.col == 0) & (np.abs(whole_sky.dec) <= 80.0)).tolist():
        wcs = brick_wcs(float(whole_sky.ra[brick]), float(whole_sky.dec[brick]))
        ra = np.linspace(whole_sky.ra1[brick], whole_sky.ra2[brick], 9)
        dec = np.linspace(whole_sky.dec1[brick], whole_sky.dec2[brick], 3)
        x, y = sky_to_pixel(wcs, *np.meshgrid(ra, dec))
        assert min(x.min(), y.min(), 3599.0 - x.max(), 3599.0 - y.max()) >= 70.0, whole_sky.dec[brick]


@pytest.mark.parametrize("size", [3600, 500, 501, 203])
def test_piece_keeps_the_pixels_of_the_whole_brick(size: int) -> None:
    whole, piece = brick_wcs(10.0, -20.0), brick_wcs(10.0, -20.0, size_pix=size)
    x, y = sky_to_pixel(whole, 10.003, -19.998)
    assert sky_to_pixel(piece, 10.003, -19.998) == pytest.approx((x - piece_start(size), y - piece_start(size)), abs=1e-9)
    assert piece.pixel_shape == (size, size)
    with pytest.raises(ValueError, match="3601"):
        brick_wcs(10.0, -20.0, size_pix=3601)
