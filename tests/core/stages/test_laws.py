"""Laws of one quantity against scipy's distributions, and their densities against their own draws."""

import numpy as np
import pytest
from scipy import integrate, stats

from halo_core.errors import ConfigurationError
from halo_core.stages.laws import parse_law

U = (np.arange(20_000) + 0.5) / 20_000
PEERS = {
    "uniform_-1_3": stats.uniform(-1.0, 4.0),
    "loguniform_0.1_5": stats.loguniform(0.1, 5.0),
    "powerlaw_-1_0.1_5": stats.loguniform(0.1, 5.0),
    "normal_0.3_0.2_0_1": stats.truncnorm(-1.5, 3.5, 0.3, 0.2),
    "normal_24_1_21_25": stats.truncnorm(-3.0, 1.0, 24.0, 1.0),
    "normal_0_0.05_0_0.2": stats.truncnorm(0.0, 4.0, 0.0, 0.05),
    "powerlaw_2_0.5_2": None,
    "powerlaw_-2.35_0.3_3": None,
    "powerlaw_-1.0000000001_0.1_5": stats.loguniform(0.1, 5.0),
}


@pytest.mark.parametrize("text", [text for text, peer in PEERS.items() if peer is not None])
def test_draws_and_densities_are_those_of_scipy(text: str) -> None:
    law, peer = parse_law("here", text), PEERS[text]
    values = law.draw(U)
    np.testing.assert_allclose(values, peer.ppf(U), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(law.density(values), peer.pdf(values), rtol=1e-7)


@pytest.mark.parametrize("text", list(PEERS))
def test_the_density_is_that_of_the_draws_and_integrates_to_one(text: str) -> None:
    law = parse_law("here", text)
    lower, upper = law.support
    grid = np.linspace(lower, upper, 40_001)
    cumulative = integrate.cumulative_simpson(law.density(grid), x=grid, initial=0.0)
    assert cumulative[-1] == pytest.approx(1.0, abs=1e-7)
    np.testing.assert_allclose(np.interp(law.draw(U), grid, cumulative), U, atol=1e-6)


def test_a_power_law_of_index_one_is_the_root_of_a_uniform_number() -> None:
    np.testing.assert_allclose(parse_law("here", "powerlaw_1_1_3").draw(U), np.sqrt(1.0 + 8.0 * U), rtol=1e-13)


@pytest.mark.parametrize("text", list(PEERS))
def test_no_draw_leaves_the_limits_and_outside_them_the_density_is_zero(text: str) -> None:
    law = parse_law("here", text)
    lower, upper = law.support
    ends = law.draw(np.array([2.0**-54, 1.0 - 2.0**-53]))
    assert lower <= ends[0] < ends[1] <= upper
    assert law.density(np.array([lower - 1e-9, upper + 1e-9])).tolist() == [0.0, 0.0]


def test_a_fixed_quantity_is_a_point_mass_that_counts_as_one() -> None:
    law = parse_law("here", "fixed_0.03")
    assert set(law.draw(U).tolist()) == {0.03}
    assert law.density(np.array([0.03, 0.04])).tolist() == [1.0, 0.0]


def test_a_named_law_keeps_its_name_and_the_numbers() -> None:
    law = parse_law("here", "mine=uniform_0_1")
    assert (law.name, law.kind, law.numbers) == ("mine", "uniform", (0.0, 1.0))
    assert parse_law("here", "uniform_0_1").name == "uniform_0_1"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gamma_1_2", "gamma_1_2' is unknown; the choice is fixed, uniform, loguniform, powerlaw, normal"),
        ("uniform_1", "not uniform_ and 2 numbers"),
        ("uniform_0_inf", "not uniform_ and 2 numbers"),
        ("uniform_1_1", "lower < upper"),
        ("loguniform_0_1", "lower > 0"),
        ("powerlaw_2_-1_1", "lower > 0"),
        ("normal_0_0_0_1", "sigma > 0"),
        ("normal_0_0.1_5_6", "share of .* of the normal law"),
    ],
)
def test_a_law_that_cannot_be_used_says_why(text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=f"here.*{message}"):
        parse_law("here", text)
