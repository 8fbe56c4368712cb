"""Parameter grids: sizes, order, names, and what a bad file is told."""

from pathlib import Path

import numpy as np
import pytest

from halo_core.errors import ConfigurationError
from halo_core.stages.grids import grid_names, load_grid

GRIDS = Path(__file__).parents[3] / "grids"
AXES = """
theta_e_arcsec = [0.5, 1.0]
{mag} = {values}
src_reff_arcsec = [0.1]
src_e = [0.0]
shear = [0.0, 0.05, 0.1]
"""


def write(folder: Path, text: str) -> Path:
    (folder / "mine.toml").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(("name", "n_configs"), [("grid_small", 48), ("grid_medium", 360), ("grid_full", 3024), ("grid_sota", 1008)])
def test_shipped_grids_have_the_reference_sizes(name: str, n_configs: int) -> None:
    grid = load_grid(name, GRIDS)
    assert grid.n_configs == n_configs == len(grid.values()) == len(set(grid.config_ids()))


def test_shipped_axes_are_the_reference_values() -> None:
    assert load_grid("grid_small", GRIDS).axes == ((0.3, 0.6, 1.0), (1.0, 2.0), (0.08, 0.15), (0.0, 0.3), (0.0, 0.03))
    assert load_grid("grid_medium", GRIDS).axes[0] == (0.25, 0.35, 0.5, 0.8, 1.2)
    assert load_grid("grid_full", GRIDS).axes[1] == (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5)
    assert load_grid("grid_sota", GRIDS).axes[2] == (0.06, 0.1, 0.15, 0.2)


def test_configurations_are_numbered_from_one_with_the_last_axis_fastest() -> None:
    grid = load_grid("grid_small", GRIDS)
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
    with pytest.raises(ConfigurationError, match=r"'grid_huge' is unknown.*grid_full, grid_medium, grid_small, grid_sota"):
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
    ],
)
def test_a_bad_grid_file_says_what_is_wrong(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_grid("mine", write(tmp_path, text))
