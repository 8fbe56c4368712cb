"""Frozen variables: each law's distribution, range and dependence on the physical id alone."""

from functools import cache
from math import pi
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest, norm

from halo_core.errors import ConfigurationError
from halo_core.seeds import uniforms
from halo_core.stages.priors import STREAMS, colour_range, draw, load_named_laws, parse_priors, stream_uniforms, with_named_laws
from tests.fixtures.parents import PRIORS

N = 20_000
IDS = [f"{i:06d}" for i in range(N)]
LEVEL = 1e-6  # false-alarm rate of each Kolmogorov-Smirnov test


@cache
def all_streams() -> dict[str, NDArray[np.float64]]:
    return stream_uniforms(IDS)


def drawn(theta_e_arcsec: float = 0.7, **changes: str) -> dict[str, NDArray[np.float64]]:
    return draw(parse_priors(PRIORS | changes), all_streams(), theta_e_arcsec=np.full(N, theta_e_arcsec))


def test_offsets_are_uniform_in_area_inside_their_disc() -> None:
    columns = drawn()
    radius = np.hypot(columns["src_x_arcsec"], columns["src_y_arcsec"])
    assert radius.max() < 0.8 * 0.7
    assert kstest((radius / 0.56) ** 2, "uniform").pvalue > LEVEL
    assert kstest(np.arctan2(columns["src_y_arcsec"], columns["src_x_arcsec"]) / (2 * pi) + 0.5, "uniform").pvalue > LEVEL


def test_the_offset_density_is_one_over_the_area_it_was_drawn_from() -> None:
    np.testing.assert_allclose(drawn(1.2)["src_offset_density_arcsec_m2"], 1.0 / (pi * 0.96**2), rtol=1e-12)


@pytest.mark.parametrize("name", ["src_phi_rad", "lens_phi_rad", "shear_phi_rad"])
def test_angles_are_uniform_over_half_a_turn(name: str) -> None:
    assert kstest(drawn()[name] / pi, "uniform").pvalue > LEVEL


def test_lens_ellipticity_is_uniform_between_its_limits() -> None:
    assert kstest((drawn()["lens_e"] - 0.05) / 0.45, "uniform").pvalue > LEVEL
    assert drawn(lens_e="uniform_0.1_0.2")["lens_e"].min() >= 0.1


@pytest.mark.parametrize(
    ("law", "gr", "rz"),
    [("reference", (0.2, 0.2), (0.1, 0.2)), ("arcs_observed", (1.15, 0.30), (0.85, 0.20)), ("normal_0_1_2_0.5_-9_9", (0, 1), (2, 0.5))],
)
def test_colours_are_normal_inside_their_clamps(law: str, gr: tuple[float, float], rz: tuple[float, float]) -> None:
    columns = drawn(src_colours=law)
    for name, (mean, sigma) in (("src_gr", gr), ("src_rz", rz)):
        u = uniforms(IDS, name)
        inside = (u > 0.01) & (u < 0.99)  # 3 sigma from either clamp: the clamps touch nothing here
        np.testing.assert_allclose(columns[name][inside], norm.ppf(u[inside], mean, sigma), rtol=1e-10, atol=1e-12)


def test_colours_are_clamped_not_redrawn() -> None:
    columns = drawn(src_colours="normal_0.2_2_0.1_2_-0.5_1.5")
    assert columns["src_gr"].min() == -0.5
    assert columns["src_gr"].max() == 1.5
    assert colour_range(parse_priors(PRIORS)) == (-0.5, 1.5)


def test_streams_are_independent_of_each_other() -> None:
    u = all_streams()
    correlations = np.corrcoef([u[name] for name in STREAMS]) - np.eye(len(STREAMS))
    assert np.abs(correlations).max() < 6.0 / np.sqrt(N)  # 6 sigma of 28 pairs


def test_a_row_alone_draws_what_it_draws_among_others() -> None:
    alone = draw(parse_priors(PRIORS), stream_uniforms([IDS[77]]), theta_e_arcsec=np.array([0.7]))
    among = drawn()
    assert all(alone[name][0] == among[name][77] for name in alone)


def test_names_and_values_both_stand_in_the_text_of_the_priors() -> None:
    text = parse_priors(PRIORS).text()
    assert "reference" in text
    assert "0.8" in text
    assert parse_priors(PRIORS | {"src_colours": "normal_0.2_0.2_0.1_0.2_-0.5_1.5"}).text() != text


@pytest.mark.parametrize(
    ("purpose", "name"),
    [
        ("src_offset", "disc_0"),
        ("src_offset", "square_0.8"),
        ("src_offset", "disc_nan"),
        ("src_phi", "uniform_0_2pi"),
        ("lens_e", "uniform_0.5_0.05"),
        ("lens_e", "uniform_0.05_0.99"),
        ("lens_e", "uniform_low_high"),
        ("src_colours", "bluish"),
        ("src_colours", "normal_0.2_0_0.1_0.2_-0.5_1.5"),
        ("src_n_sersic", "fixed_10"),
        ("lens_model", "NFW"),
    ],
)
def test_a_law_that_is_unknown_or_out_of_range_is_refused(purpose: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"prior {purpose}: '{name}'"):
        parse_priors(PRIORS | {purpose: name})


def test_a_missing_law_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="expected exactly"):
        parse_priors({key: name for key, name in PRIORS.items() if key != "lens_e"})


def test_a_law_named_in_a_file_draws_as_the_law_and_enters_the_text_by_name_and_values(tmp_path: Path) -> None:
    (tmp_path / "priors.toml").write_text('[src_colours]\nmine = "normal_0.2_0.2_0.1_0.2_-0.5_1.5"\n', encoding="utf-8")
    named = with_named_laws(PRIORS | {"src_colours": "mine"}, load_named_laws(tmp_path))
    mine, reference = parse_priors(named), parse_priors(PRIORS)
    assert mine.values == reference.values
    assert mine.names["src_colours"] == "mine"
    assert mine.text() != reference.text()
    assert {key: named[key] for key in PRIORS if key != "src_colours"} == {key: PRIORS[key] for key in PRIORS if key != "src_colours"}
    assert with_named_laws(PRIORS, {}) == PRIORS


def test_shipped_names_stand_for_laws_and_a_folder_without_names_has_none(tmp_path: Path) -> None:
    named = load_named_laws(Path(__file__).parents[3] / "grids")
    assert (
        parse_priors(PRIORS | {"src_colours": f"blue_sources={named['src_colours']['blue_sources']}"}).names["src_colours"]
        == "blue_sources"
    )
    assert load_named_laws(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[src_colours", "not valid TOML"),
        ("src_colours = 3", "must be a table"),
        ("[src_colours]\nmine = 3", "must be a table"),
        ('[src_colours]\nmine = "bluish"', "src_colours: 'bluish'"),
        ('[src_colours]\nreference = "normal_0_1_0_1_0_1"', "none of reference"),
        ('[src_n_sersic]\nfixed_1 = "fixed_4"', "begins with no kind of law"),
        ('[lens_e]\nmine = "other=uniform_0_1"', "a name is"),
        ('[theta_e_arcsec]\nmine = "uniform_2_1"', "lower < upper"),
    ],
)
def test_a_bad_file_of_priors_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "priors.toml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=message):
        load_named_laws(tmp_path)
