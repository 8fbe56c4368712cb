"""Laws of a user's cuts: they mean what Python means by them, unknowns pass nothing, and nothing but conditions is read."""

from typing import Any

import numpy as np
import pytest

from halo_core.errors import ConfigurationError
from halo_core.stages.parent_cuts import UserCut
from tests.fixtures.parents import parent_config

N = 200
RNG = np.random.default_rng(3)
COLUMNS: dict[str, Any] = {
    "rmag": RNG.uniform(17.0, 22.0, N),
    "zmag": RNG.uniform(16.0, 21.0, N),
    "shape_r": RNG.uniform(0.0, 2.0, N).astype(np.float32),
    "maskbits": RNG.integers(0, 16, N).astype(np.int32),
    "nobs_r": RNG.integers(0, 5, N).astype(np.int16),
    "type": RNG.choice(["DEV", "EXP", "SER", "REX"], N),
    "is_good": RNG.random(N) < 0.5,
}


@pytest.mark.parametrize(
    "expression",
    [
        "rmag - zmag > 0.5 and shape_r > 0.3",
        "maskbits & 2 == 0 or nobs_r >= 3",
        "17.5 < rmag <= 20 and not type == 'REX'",
        "type in ('DEV', 'SER') and is_good",
        "type not in ('DEV',)",
        "-abs(rmag - zmag) ** 2 + 3 * nobs_r / 2 > -1 and nobs_r % 2 == 1",
        "sqrt(shape_r) < 1.1 or hypot(rmag, zmag) > 28",
        "log10(rmag) > 1.3",
    ],
)
def test_a_cut_is_what_python_makes_of_each_row(expression: str) -> None:
    names = {"sqrt": np.sqrt, "hypot": np.hypot, "log10": np.log10}
    rows = [{name: values[i].item() for name, values in COLUMNS.items()} for i in range(N)]
    expected = [bool(eval(expression, names, row)) for row in rows]
    assert UserCut("mine", expression).passes(COLUMNS).tolist() == expected
    assert 0 < sum(expected) < N


def test_what_is_unknown_passes_no_comparison_but_one() -> None:
    columns = {"gmag": np.array([20.0, np.nan])}
    for expression in ("gmag < 30", "gmag > 0", "gmag == gmag", "isfinite(gmag)", "gmag / 0 > 1"):
        assert UserCut("known", expression).passes(columns).tolist() == [True, False]
    assert UserCut("known", "gmag != 20").passes(columns).tolist() == [False, True]


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').system('true')",
        "rmag.__class__ == 1",
        "(lambda: rmag)() > 1",
        "[rmag for rmag in zmag]",
        "rmag[0] > 1",
        "open('x')",
        "abs(rmag, zmag) > 1",
        "sqrt(x=rmag) > 1",
        "rmag > 1 if zmag else 2",
        "(rmag := 3) > 1",
        "rmag > 1j",
        "rmag > 99999999999999999999999",
        "type in rmag",
        "f'{rmag}' == 'x'",
        "rmag >",
        "",
        "rmag > 1; zmag > 2",
        "rmag << 2 > 1",
        "rmag > 1 and " * 200 + "rmag > 1",
    ],
)
def test_what_is_no_condition_is_refused_when_it_is_read(expression: str) -> None:
    with pytest.raises(ConfigurationError, match="parent_cuts: mine"):
        UserCut("mine", expression)


@pytest.mark.parametrize(
    ("expression", "reason"),
    [
        ("rmag", "no condition"),
        ("rmag - zmag", "no condition"),
        ("True", "no condition"),
        ("1 < 2", "no condition"),
        ("rmag and zmag > 1", "no condition"),
        ("type > 3", "compares a text with a number"),
        ("type - 1 > 3", "is no number"),
        ("rmag & 2 == 0", "no whole numbers"),
        ("type in ('DEV', 3)", "compares a text with a number"),
    ],
)
def test_what_gives_no_answer_per_row_is_refused(expression: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        UserCut("mine", expression).passes(COLUMNS)
    with pytest.raises(ConfigurationError, match="no condition with one answer per row"):
        UserCut("mine", "dchisq > 1").passes({"dchisq": np.zeros((N, 5))})


def test_unknown_columns_are_named_with_the_known_ones() -> None:
    cut = UserCut("mine", "abs(rmagg) > 1 and zmag < 3")
    assert cut.columns == {"rmagg", "zmag"}
    with pytest.raises(ConfigurationError, match=r"reads rmagg, unknown in t\.fits; known: rmag, zmag"):
        cut.require({"rmag", "zmag"}, "t.fits")


@pytest.mark.parametrize("name", ["primary", "v3_color_relaxed", "guard_band"])
def test_names_are_those_of_no_other_step(name: str) -> None:
    with pytest.raises(ConfigurationError, match="taken by other steps"):
        parent_config(cuts=(UserCut(name, "rmag > 1"),))
    with pytest.raises(ConfigurationError, match="no name of a cut"):
        UserCut("My cut", "rmag > 1")


def test_cuts_are_part_of_the_parameters_only_where_there_are_some() -> None:
    assert "cuts" not in parent_config().to_parameters()
    assert parent_config(cuts=(UserCut("b", "rmag > 1"), UserCut("a", "zmag > 1"))).to_parameters()["cuts"] == [
        ["b", "rmag > 1"],
        ["a", "zmag > 1"],
    ]
