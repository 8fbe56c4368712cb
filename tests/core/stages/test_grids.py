"""Parameter grids: sizes, order, names, and what a bad file is told."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import kstest, loguniform, truncnorm, uniform

from halo_core.errors import ConfigurationError
from halo_core.stages.grids import PopulationGrid, ProductGrid, grid_names, load_grid

GRIDS = Path(__file__).parents[3] / "grids"
AXES = """
theta_e_arcsec = [0.5, 1.0]
{mag} = {values}
src_reff_arcsec = [0.1]
src_e = [0.0]
shear = [0.0, 0.05, 0.1]
"""


POPULATION = """
kind = "population"
n_configs = {n}
theta_e_arcsec = "loguniform_0.3_3"
src_mag_r = "uniform_21_26"
src_reff_arcsec = "loguniform_0.03_0.5"
src_e = "uniform_0_0.6"
shear = {shear}
"""
IDS = [f"{i:05d}" for i in range(5_000)]


def product(name: str) -> ProductGrid:
    """Return a shipped product grid."""
    grid = load_grid(name, GRIDS)
    assert isinstance(grid, ProductGrid)
    return grid


def write(folder: Path, text: str) -> Path:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "n_configs"), [("grid_small", 48), ("grid_medium", 360), ("grid_full", 3024), ("grid_sota", 1008)])
def test_shipped_grids_have_the_reference_sizes(name: str, n_configs: int) -> None:
    grid = product(name)
    assert grid.n_configs == n_configs == len(grid.values()) == len(set(grid.config_ids()))


def test_shipped_axes_are_the_reference_values() -> None:
    assert product("grid_small").axes == ((0.3, 0.6, 1.0), (1.0, 2.0), (0.08, 0.15), (0.0, 0.3), (0.0, 0.03))
    assert product("grid_medium").axes[0] == (0.25, 0.35, 0.5, 0.8, 1.2)
    assert product("grid_full").axes[1] == (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)
    assert product("grid_sota").axes[2] == (0.06, 0.1, 0.15, 0.2)


def test_configurations_are_numbered_from_one_with_the_last_axis_fastest() -> None:
    grid = product("grid_small")
    assert grid.config_ids()[0] == "grid_small_0001_te0.3_dm1_rf0.08_e0_sh0"
    assert grid.config_ids()[1] == "grid_small_0002_te0.3_dm1_rf0.08_e0_sh0.03"
    assert grid.config_ids()[47] == "grid_small_0048_te1_dm2_rf0.15_e0.3_sh0.03"
    np.testing.assert_array_equal(grid.values()[1], [0.3, 1.0, 0.08, 0.0, 0.03])
    np.testing.assert_array_equal(grid.values()[16], [0.6, 1.0, 0.08, 0.0, 0.0])


def test_a_grid_of_ones_own_is_found_by_its_file_name(tmp_path: Path) -> None:
    grid = load_grid("mine", write(tmp_path, AXES.format(mag="src_dmag", values="[1.0]")))
    assert (grid.n_configs, grid.mag_kind) == (6, "src_dmag")
    assert grid_names(tmp_path) == ("mine",)
    assert grid.to_parameters()["axes"]["shear"] == [0.0, 0.05, 0.1]  # type: ignore[index]


def test_a_grid_may_give_absolute_source_magnitudes(tmp_path: Path) -> None:
    grid = load_grid("mine", write(tmp_path, AXES.format(mag="src_mag_r", values="[22.0, 23.5]")))
    assert grid.mag_kind == "src_mag_r"
    assert grid.config_ids()[3] == "mine_0004_te0.5_mr23.5_rf0.1_e0_sh0"


def test_an_unknown_grid_is_told_which_grids_exist() -> None:
    with pytest.raises(ConfigurationError, match=r"'grid_huge' is unknown.*grid_full, grid_medium, grid_small, grid_sota, population_wide"):
        load_grid("grid_huge", GRIDS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("theta_e_arcsec = [", "not valid TOML"),
        ("theta_e_arcsec = [1.0]", "exactly one of"),
        (AXES.format(mag="src_dmag", values="[1.0]\nsrc_mag_r = [20.0]"), "exactly one of"),
        (AXES.format(mag="src_dmag", values="[1.0]\ncolour = [1.0]"), "holds .*colour"),
        (AXES.format(mag="src_dmag", values="[2.0, 1.0]"), "must rise strictly"),
        (AXES.format(mag="src_dmag", values="[]"), "non-empty list"),
        (AXES.format(mag="src_dmag", values="[true]"), "list of numbers"),
        (AXES.format(mag="src_dmag", values="[nan]"), "outside"),
        (
            AXES.format(mag="src_dmag", values="[1.0]").replace("[0.5, 1.0]", "[0.0, 1.0]"),
            r"theta_e_arcsec holds \[0.0\], outside \(0, 5\]",
        ),
        (AXES.format(mag="src_dmag", values="[1.0]").replace("src_e = [0.0]", "src_e = [-0.1]"), r"outside \[0, 0.95\]"),
        (POPULATION.format(n=0, shear='"fixed_0"'), "n_configs is 0"),
        (POPULATION.format(n="true", shear='"fixed_0"'), "n_configs is True"),
        (POPULATION.format(n=5, shear="[0.0]"), r"not \['shear'\]"),
        (POPULATION.format(n=5, shear='"weak"'), "'weak' is unknown"),
        (POPULATION.format(n=5, shear='"uniform_0_0.6"'), r"shear holds \[0.6\], outside"),
        (POPULATION.format(n=5, shear='"fixed_0"').replace("population", "mixture"), "holds .*kind"),
    ],
)
def test_a_bad_grid_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_grid("mine", write(tmp_path, text))


def population(folder: Path, *, n: int = 7, shear: str = '"normal_0_0.05_0_0.2"') -> PopulationGrid:
    """Return a population of one's own."""
    grid = load_grid("mine", write(folder, POPULATION.format(n=n, shear=shear)))
    assert isinstance(grid, PopulationGrid)
    return grid


def test_a_population_draws_each_injection_from_its_laws_by_its_physical_id_alone(tmp_path: Path) -> None:
    grid = population(tmp_path)
    values = grid.parameters(np.arange(len(IDS)) % 7, IDS)
    assert kstest(np.log(values[:, 0] / 0.3) / np.log(10.0), "uniform").pvalue > 1e-6
    assert kstest((values[:, 1] - 21.0) / 5.0, "uniform").pvalue > 1e-6
    assert kstest(values[:, 4], truncnorm(0.0, 4.0, 0.0, 0.05).cdf).pvalue > 1e-6
    assert np.abs(np.corrcoef(values.T) - np.eye(5)).max() < 6.0 / np.sqrt(len(IDS))
    np.testing.assert_array_equal(grid.parameters(np.zeros(1, dtype=np.int64), IDS[77:78])[0], values[77])


def test_the_proposal_density_weights_a_population_to_another(tmp_path: Path) -> None:
    grid = population(tmp_path)
    values = grid.parameters(np.zeros(len(IDS), dtype=np.int64), IDS)
    density = grid.proposal_density(values)
    peers = (loguniform(0.3, 3.0), uniform(21.0, 5.0), loguniform(0.03, 0.5), uniform(0.0, 0.6), truncnorm(0.0, 4.0, 0.0, 0.05))
    np.testing.assert_allclose(density, np.prod([p.pdf(x) for p, x in zip(peers, values.T, strict=True)], axis=0), rtol=1e-9)
    target = np.where(values[:, 0] < 1.0, 1.0 / 0.7, 0.0) * np.prod(
        [p.pdf(x) for p, x in zip(peers[1:], values.T[1:], strict=True)], axis=0
    )
    weight = target / density
    # theta_e uniform in 0.3 to 1: mean 0.65; 5 sigma of the weighted mean.
    error = np.sqrt(np.sum((weight * (values[:, 0] - 0.65)) ** 2)) / weight.sum()
    assert abs(np.average(values[:, 0], weights=weight) - 0.65) < 5.0 * error < 0.05


def test_draws_of_a_population_are_numbered_and_differ_in_identity(tmp_path: Path) -> None:
    grid = population(tmp_path)
    assert grid.config_ids()[::6] == ("mine_0001_pop", "mine_0007_pop")
    assert grid.n_configs == len(set(grid.config_ids())) == len(set(grid.identities())) == 7
    assert population(tmp_path, n=9).identities()[:7] == grid.identities()
    assert not set(population(tmp_path, shear='"uniform_0_0.2"').identities()) & set(grid.identities())


def test_a_law_named_beside_the_grid_enters_its_identity_by_name_and_values(tmp_path: Path) -> None:
    (tmp_path / "priors.toml").write_text('[shear]\nweak = "normal_0_0.05_0_0.2"\n', encoding="utf-8")
    named, plain = population(tmp_path, shear='"weak"'), population(tmp_path)
    np.testing.assert_array_equal(named.parameters(np.zeros(9, np.int64), IDS[:9]), plain.parameters(np.zeros(9, np.int64), IDS[:9]))
    assert named.identities()[0] != plain.identities()[0]
    assert named.to_parameters()["laws"]["shear"] == ["weak", "normal", 0.0, 0.05, 0.0, 0.2]  # type: ignore[index]
    assert grid_names(tmp_path) == ("mine",)


def test_a_product_grid_has_no_density_and_the_values_of_its_configurations() -> None:
    grid = product("grid_small")
    values = grid.parameters(np.array([1, 16]), ["a", "b"])
    np.testing.assert_array_equal(values, grid.values()[[1, 16]])
    assert np.isnan(grid.proposal_density(values)).all()


def test_the_shipped_population_loads_with_its_named_laws() -> None:
    grid = load_grid("population_wide", GRIDS)
    assert (grid.n_configs, grid.mag_kind) == (100, "src_mag_r")
