"""Laws of the isothermal ellipsoid and the external shear."""

import numpy as np
import pytest

from halo_core.lensing import Lens, convergence, ray_shoot, shear_deflection, sie_deflection, signed_magnification
from halo_core.lensing.deflectors import largest_deflection_arcsec

# Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy: theta_E, q, phi, x, y, alpha_x, alpha_y, kappa, mu.
GOLDEN_DEFLECTIONS = [
    (1.2, 0.7, 0.0, 1.0, 0.5, 0.9740865371463558, 0.6210314286679145, 0.5835585150955648, -5.983830605751629),
    (1.2, 0.7, 0.0, -0.3, 1.7, -0.17493013152245304, 1.2437438605793258, 0.2930642306111281, 2.416208669369307),
    (1.2, 0.7, np.pi / 4, 1.0, 0.5, 1.0553561638562603, 0.4245649969452894, 0.6104451271283524, -4.527134994547395),
    (1.2, 0.7, np.pi / 4, -0.3, 1.7, -0.3364275959159939, 1.1753353421024977, 0.3187549361149365, 2.758695819253178),
    (1.2, 1.0 / 3.0, 0.0, 1.0, 0.5, 0.7373056114297923, 0.7766406915229845, 0.5764613536983136, -6.539251214055179),
    (1.2, 1.0 / 3.0, 0.0, -0.3, 1.7, -0.12094733647929289, 1.2847351729109595, 0.20341905108624314, 1.6858803703719878),
    (1.2, 0.9048, 0.2, 1.0, 0.5, 1.0478927221139485, 0.5470348151157635, 0.5599866400378485, -8.335189296892203),
    (1.2, 0.9048, 0.2, -0.3, 1.7, -0.2137909505445515, 1.2001716392939117, 0.3306318373308801, 2.9521486926489673),
]

# Golden areas inside the cut and the astroid caustic over pi theta_E^2, same source, for lenses without shear.
GOLDEN_AREAS = {0.9: (0.998152, 0.001848), 0.8: (0.991749, 0.008251), 0.7: (0.979108, 0.020892), 0.5: (0.924196, 0.075804)}

# Golden images, same source: lens (theta_E, q, phi, gamma1, gamma2), source, images (x, y, signed magnification).
GOLDEN_IMAGES = [
    (
        (1.0, 0.7, 0.0, 0.0, 0.0),
        (0.05, 0.03),
        [
            (0.2787380329640628, -0.9874658507958284, 5.92448076964417),
            (0.9698172301417411, -0.13906644842229196, -4.822653375927076),
            (0.22156434745987738, 1.0614872387791625, 4.543699138457452),
            (-0.8763634696304496, -0.08440898176094615, -2.8480281615496787),
        ],
    ),
    (
        (1.0, 0.7, 0.0, 0.0, 0.0),
        (0.5, 0.2),
        [(1.24373419240951, 0.8344445349707286, 3.2657158562784416), (-0.39215573818815325, -0.10460492453241943, -0.5411059490392159)],
    ),
    (
        (1.5, 0.8, 0.5235987755982988, 0.03, -0.02),
        (0.06, -0.04),
        [
            (-0.9178248004170874, 1.1832098863188922, 9.051561453062304),
            (0.7371504346008728, 1.2114843516862857, -6.706867017635151),
            (1.2052217681343207, -1.1246632718613276, 5.25644660638999),
            (-1.2521972363633413, -0.6392736953409638, -5.219821470391188),
        ],
    ),
    (
        (1.0, 0.999999999, 0.0, 0.05, 0.0),
        (0.02, 0.01),
        [
            (-1.0239102712306105, 0.12427448900787262, 13.326905291810284),
            (-0.22393052310657902, 0.9357527899746733, -11.344346578705014),
            (1.070438372453848, 0.08425740289835065, 8.914541283068141),
            (-0.18049231775876384, -0.9252370615666109, -8.892087464845103),
        ],
    ),
]


def _lens(theta_e=1.0, q=0.7, phi=0.0, gamma1=0.0, gamma2=0.0, x=0.0, y=0.0):
    return Lens(theta_e, q, phi, gamma1, gamma2, x, y)


def _area(x, y):
    """Area inside a closed polygon (shoelace), with the sign of its sense."""
    return 0.5 * np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))


def _critical_curve(theta_e, q, phi, n=200_000):
    """Points of kappa = 1/2, which is the tangential critical curve of an isothermal lens without shear."""
    angle = np.linspace(0.0, 2.0 * np.pi, n, endpoint=False)
    at_one = convergence(np.cos(angle), np.sin(angle), theta_e_arcsec=theta_e, q=q, phi_rad=phi)
    return 2.0 * at_one * np.cos(angle), 2.0 * at_one * np.sin(angle)


RANDOM_LENSES = np.random.default_rng(8).uniform((0.2, 0.1, 0.0), (3.0, 1.0, np.pi), size=(20, 3))


@pytest.mark.parametrize(("theta_e", "q", "phi"), [(1.0, 1.0, 0.0), (2.0, 0.3, 1.0), *RANDOM_LENSES])
def test_theta_e_is_the_area_equivalent_radius_of_the_critical_curve(theta_e, q, phi):
    x, y = _critical_curve(theta_e, q, phi)
    assert _area(x, y) == pytest.approx(np.pi * theta_e**2, rel=1e-7)
    step = 1e-6
    inside = signed_magnification(x * (1 - step), y * (1 - step), lens=_lens(theta_e, q, phi))
    outside = signed_magnification(x * (1 + step), y * (1 + step), lens=_lens(theta_e, q, phi))
    assert np.all(inside < 0.0)
    assert np.all(outside > 0.0)


@pytest.mark.parametrize("q", [0.3, 0.6])
def test_deflection_without_the_factor_sqrt_q_would_miss_the_critical_curve(q):
    """The deflection's own derivative has determinant zero on kappa = 1/2: any other normalisation of theta_E moves the curve."""
    x, y = _critical_curve(1.0, q, 0.3, n=64)
    step = 1e-5
    alpha = {}
    for name, dx, dy in (("xp", step, 0), ("xm", -step, 0), ("yp", 0, step), ("ym", 0, -step)):
        alpha[name] = np.array(sie_deflection(x + dx, y + dy, theta_e_arcsec=1.0, q=q, phi_rad=0.3))
    by_x, by_y = (alpha["xp"] - alpha["xm"]) / (2 * step), (alpha["yp"] - alpha["ym"]) / (2 * step)
    determinant = (1 - by_x[0]) * (1 - by_y[1]) - by_x[1] * by_y[0]
    np.testing.assert_allclose(determinant, 0.0, atol=1e-7)
    # divided by sqrt(q) the ellipsoid's deflection would be up to 1/sqrt(q) longer and the determinant negative there
    scaled = 1.0 / np.sqrt(q)
    assert np.all((1 - scaled * by_x[0]) * (1 - scaled * by_y[1]) - scaled**2 * by_x[1] * by_y[0] < -0.2)


def _cut_and_astroid(theta_e, q, phi):
    """Areas inside the cut, to which the lens itself is mapped, and inside the tangential caustic, over pi theta_E^2."""
    angle = np.linspace(0.0, 2.0 * np.pi, 200_000, endpoint=False)
    cut = sie_deflection(np.cos(angle), np.sin(angle), theta_e_arcsec=theta_e, q=q, phi_rad=phi)
    astroid = ray_shoot(*_critical_curve(theta_e, q, phi), lens=_lens(theta_e, q, phi))
    return np.array([abs(_area(*cut)), abs(_area(*astroid))]) / (np.pi * theta_e**2)


@pytest.mark.parametrize(("theta_e", "q", "phi"), RANDOM_LENSES)
def test_cut_and_astroid_areas_add_up_to_pi_theta_e_squared(theta_e, q, phi):
    """The integral of 1 - 2 kappa over the critical curve's inside, where a lens without shear has its area pi theta_E^2 once."""
    assert _cut_and_astroid(theta_e, q, phi).sum() == pytest.approx(1.0, rel=1e-6)


@pytest.mark.parametrize(("q", "areas"), GOLDEN_AREAS.items())
def test_cut_and_astroid_areas_match_golden_numbers(q, areas):
    np.testing.assert_allclose(_cut_and_astroid(1.2, q, 0.4), areas, atol=1e-6)


def test_isothermal_sphere_has_two_images_of_total_magnification_two_theta_e_over_beta():
    lens = _lens(1.2, 1.0)
    images = np.array([1.5, -0.9])
    beta_x, beta_y = ray_shoot(images, np.zeros(2), lens=lens)
    np.testing.assert_allclose(beta_x, 0.3, atol=1e-12)
    np.testing.assert_allclose(beta_y, 0.0, atol=1e-12)
    mu = signed_magnification(images, np.zeros(2), lens=lens)
    np.testing.assert_allclose(mu, [5.0, -3.0], rtol=1e-12)
    assert np.sum(np.abs(mu)) == pytest.approx(2.0 * 1.2 / 0.3, rel=1e-12)


def test_sphere_with_shear_quad_has_signed_magnification_two_over_one_minus_gamma_squared():
    """Golden images of a sphere with shear 0.05, made with lenstronomy 1.14.2, polished here by Newton steps."""
    lens = _lens(1.0, 1.0, 0.0, 0.05, 0.0)
    start = np.array([[-1.02391, 0.12427], [-0.22393, 0.93575], [1.07044, 0.08426], [-0.18049, -0.92524]])
    x, y = _polish(start[:, 0], start[:, 1], (0.02, 0.01), lens)
    assert np.sum(signed_magnification(x, y, lens=lens)) == pytest.approx(2.0 / (1.0 - 0.05**2), rel=1e-7)


def _polish(x, y, source, lens):
    """Solve the lens equation from starting points by Newton's method with numerical derivatives."""
    step = 1e-6
    for _ in range(20):
        rest = np.array(ray_shoot(x, y, lens=lens)) - np.reshape(source, (2, 1))
        by_x = (np.array(ray_shoot(x + step, y, lens=lens)) - np.array(ray_shoot(x - step, y, lens=lens))) / (2 * step)
        by_y = (np.array(ray_shoot(x, y + step, lens=lens)) - np.array(ray_shoot(x, y - step, lens=lens))) / (2 * step)
        determinant = by_x[0] * by_y[1] - by_y[0] * by_x[1]
        x = x - (by_y[1] * rest[0] - by_y[0] * rest[1]) / determinant
        y = y - (by_x[0] * rest[1] - by_x[1] * rest[0]) / determinant
    return x, y


@pytest.mark.parametrize("row", GOLDEN_DEFLECTIONS)
def test_deflection_convergence_and_magnification_match_golden_numbers(row):
    theta_e, q, phi, x, y, alpha_x, alpha_y, kappa, mu = row
    assert sie_deflection(x, y, theta_e_arcsec=theta_e, q=q, phi_rad=phi) == pytest.approx((alpha_x, alpha_y), rel=1e-6)
    assert convergence(x, y, theta_e_arcsec=theta_e, q=q, phi_rad=phi) == pytest.approx(kappa, rel=1e-6)
    assert signed_magnification(x, y, lens=_lens(theta_e, q, phi)) == pytest.approx(mu, rel=1e-5)


@pytest.mark.parametrize(("lens", "source", "images"), GOLDEN_IMAGES)
def test_golden_images_solve_the_lens_equation(lens, source, images):
    images = np.array(images)
    beta = ray_shoot(images[:, 0], images[:, 1], lens=_lens(*lens))
    np.testing.assert_allclose(beta[0], source[0], atol=2e-6)
    np.testing.assert_allclose(beta[1], source[1], atol=2e-6)
    np.testing.assert_allclose(signed_magnification(images[:, 0], images[:, 1], lens=_lens(*lens)), images[:, 2], rtol=2e-4)


def test_round_limit_is_smooth():
    x, y = np.random.default_rng(3).normal(size=(2, 100))
    round_alpha = np.array(sie_deflection(x, y, theta_e_arcsec=1.0, q=1.0, phi_rad=0.0))
    np.testing.assert_allclose(round_alpha, np.array([x, y]) / np.hypot(x, y), rtol=1e-13)
    for gap in (1e-4, 1e-6, 4e-7, 1e-9):
        near = np.array(sie_deflection(x, y, theta_e_arcsec=1.0, q=1.0 - gap, phi_rad=0.7))
        assert np.abs(near - round_alpha).max() < gap


def test_deflection_turns_with_the_lens_and_mirrors_with_parity():
    x, y = np.random.default_rng(5).normal(size=(2, 50))
    turn, arguments = 0.8, {"theta_e_arcsec": 1.1, "q": 0.6}
    ax, ay = sie_deflection(x, y, phi_rad=0.3, **arguments)
    c, s = np.cos(turn), np.sin(turn)
    turned = sie_deflection(c * x - s * y, s * x + c * y, phi_rad=0.3 + turn, **arguments)
    np.testing.assert_allclose(turned, (c * ax - s * ay, s * ax + c * ay), atol=1e-14)
    np.testing.assert_allclose(sie_deflection(x, -y, phi_rad=-0.3, **arguments), (ax, -ay), atol=1e-14)


def test_shear_stretches_along_its_angle():
    assert shear_deflection(1.0, 2.0, gamma1=0.1, gamma2=0.05) == pytest.approx((0.2, -0.15))
    along = np.array([np.cos(0.4), np.sin(0.4)])
    alpha = shear_deflection(*along, gamma1=0.1 * np.cos(0.8), gamma2=0.1 * np.sin(0.8))
    np.testing.assert_allclose(alpha, 0.1 * along, atol=1e-15)


@pytest.mark.parametrize("q", [0.2, 0.5, 0.9, 1.0])
def test_bound_on_the_deflection_is_reached_and_not_exceeded(q):
    angle = np.linspace(0.0, 2.0 * np.pi, 7200)
    lengths = np.hypot(*sie_deflection(np.cos(angle), np.sin(angle), theta_e_arcsec=1.5, q=q, phi_rad=0.2))
    assert lengths.max() == pytest.approx(largest_deflection_arcsec(theta_e_arcsec=1.5, q=q), rel=1e-6)


@pytest.mark.parametrize(
    "bad", [{"theta_e": -1.0}, {"q": 0.0}, {"q": 1.2}, {"gamma1": 0.8, "gamma2": 0.7}, {"x": np.nan}, {"theta_e": np.inf}]
)
def test_impossible_lens_is_refused(bad):
    with pytest.raises(ValueError, match=r"lens|theta_e|shear"):
        _lens(**bad)


@pytest.mark.parametrize(
    "bad", [{"theta_e_arcsec": -1.0, "q": 0.5}, {"theta_e_arcsec": 1.0, "q": 0.0}, {"theta_e_arcsec": np.nan, "q": 0.5}]
)
def test_deflection_refuses_values_out_of_range(bad):
    with pytest.raises(ValueError, match=r"lens q|theta_e"):
        sie_deflection(1.0, 0.0, phi_rad=0.0, **bad)
