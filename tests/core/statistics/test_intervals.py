"""Binomial intervals: golden numbers, limits and the meaning of an empty cell."""

import numpy as np
import pytest

from halo_core.statistics import clopper_pearson_interval, jeffreys_interval, wilson_interval
from halo_core.statistics.intervals import normal_quantile

# Golden numbers made with lenstronomy 1.14.2, GalSim 2.8.5, astropy, scipy: (k, n, level, Wilson, Jeffreys, Clopper-Pearson).
GOLDEN = [
    (
        8,
        10,
        0.95,
        (0.4901624715366418, 0.9433178485456248),
        (0.497225503560007, 0.9559405864473692),
        (0.4439045376923585, 0.9747892736731666),
    ),
    (0, 10, 0.95, (0.0, 0.2775327998628892), (0.0, 0.21719626750921053), (0.0, 0.3084971078187607)),
    (10, 10, 0.95, (0.7224672001371107, 1.0), (0.7828037324907895, 1.0), (0.6915028921812392, 1.0)),
    (
        1,
        10,
        0.95,
        (0.017876213095072868, 0.4041500267952385),
        (0.011011673763161138, 0.3813147710666164),
        (0.0025285785444617865, 0.4450161170281954),
    ),
    (0, 40, 0.95, (0.0, 0.08762160119728665), (0.0, 0.060497975214079576), (0.0, 0.08809730287880237)),
    (
        20,
        40,
        0.95,
        (0.3519952693346538, 0.6480047306653463),
        (0.34960350192086226, 0.6503964980791377),
        (0.33801781373723455, 0.6619821862627655),
    ),
    (
        36,
        40,
        0.95,
        (0.769482247724777, 0.9604204713173937),
        (0.7795515131581381, 0.9652932440207287),
        (0.7633626001239001, 0.9720745847057807),
    ),
    (40, 40, 0.95, (0.9123783988027135, 1.0), (0.9395020247859204, 1.0), (0.9119026971211976, 1.0)),
    (
        1,
        1000,
        0.95,
        (0.00017654637062607852, 0.0056425585979579355),
        (0.00010791880468097975, 0.004664458808791372),
        (2.5317487491294065e-05, 0.005558924279826672),
    ),
    (
        3,
        30,
        0.95,
        (0.03459988874733419, 0.25621082579184085),
        (0.02898061903272649, 0.2434016089849271),
        (0.021117137029722576, 0.2652884504742081),
    ),
    (
        8,
        10,
        0.6827,
        (0.6490739046229068, 0.8963784874293568),
        (0.6489193450752286, 0.8944894381766482),
        (0.5945428685509857, 0.9280476729775657),
    ),
    (0, 10, 0.6827, (0.0, 0.09091267991289426), (0.0, 0.09233624757647983), (0.0, 0.1681519408858844)),
    (10, 10, 0.6827, (0.9090873200871057, 1.0), (0.9076637524235202, 1.0), (0.8318480591141156, 1.0)),
    (
        1,
        10,
        0.6827,
        (0.03887374080596395, 0.23385640312435146),
        (0.041887296680214105, 0.23376248706079367),
        (0.017126400365404224, 0.29413861017991993),
    ),
    (0, 40, 0.6827, (0.0, 0.02439127726523424), (0.0, 0.024380885621216083), (0.0, 0.04498322100150908)),
    (
        20,
        40,
        0.6827,
        (0.4219114648856277, 0.5780885351143723),
        (0.4219173205200544, 0.5780826794799456),
        (0.40974916742651596, 0.5902508325734842),
    ),
    (
        36,
        40,
        0.6827,
        (0.8423853188517021, 0.9381016593361107),
        (0.8425729198576544, 0.9376806636281652),
        (0.8279668104080475, 0.947238198954836),
    ),
    (40, 40, 0.6827, (0.975608722734766, 1.0), (0.9756191143787839, 1.0), (0.9550167789984909, 1.0)),
    (
        1,
        1000,
        0.6827,
        (0.0003820238635708674, 0.0026150223871428055),
        (0.00041695190025396717, 0.0025904576150259885),
        (0.000172732614363511, 0.0032957781496444094),
    ),
    (
        3,
        30,
        0.6827,
        (0.05749749543300427, 0.16831004072657862),
        (0.05814556824548827, 0.16806588564711358),
        (0.04607712222079479, 0.1877990237715132),
    ),
]
INTERVALS = (wilson_interval, jeffreys_interval, clopper_pearson_interval)


@pytest.mark.parametrize(("k", "n", "level", "wilson", "jeffreys", "exact"), GOLDEN)
def test_intervals_match_golden_numbers(k, n, level, wilson, jeffreys, exact):
    for interval, expected in zip(INTERVALS, (wilson, jeffreys, exact), strict=True):
        np.testing.assert_allclose(interval(k, n, level), expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("interval", INTERVALS)
def test_nothing_tried_is_null_and_not_zero_to_one(interval):
    lower, upper = interval([0, 3], [0, 6], 0.95)
    np.testing.assert_array_equal(np.isnan(lower), [True, False])
    np.testing.assert_array_equal(np.isnan(upper), [True, False])


@pytest.mark.parametrize("interval", INTERVALS)
def test_ends_are_exact_at_no_and_all_successes(interval):
    lower, upper = interval([0, 7], [7, 7], 0.95)
    assert lower[0] == 0.0
    assert upper[1] == 1.0


@pytest.mark.parametrize("interval", INTERVALS)
def test_intervals_contain_p_and_mirror_successes_and_failures(interval):
    n = np.repeat(np.arange(1, 40), 40)
    k = np.tile(np.arange(40), 39)
    k, n = k[k <= n], n[k <= n]
    lower, upper = interval(k, n, 0.95)
    assert np.all((lower >= 0) & (lower <= k / n) & (k / n <= upper) & (upper <= 1))
    mirrored_lower, mirrored_upper = interval(n - k, n, 0.95)
    np.testing.assert_allclose(lower, 1 - mirrored_upper, atol=1e-12)
    np.testing.assert_allclose(upper, 1 - mirrored_lower, atol=1e-12)


def test_wilson_agrees_with_its_defining_equation():
    k, n, z = 7.0, 23.0, normal_quantile(0.9)
    for end in wilson_interval(k, n, 0.9):
        assert abs(k / n - end) == pytest.approx(z * np.sqrt(end * (1 - end) / n), rel=1e-12)


def test_clopper_pearson_never_covers_less_than_its_level():
    n = 25
    k = np.arange(n + 1)
    lower, upper = clopper_pearson_interval(k, n, 0.9)
    for p in np.linspace(0.02, 0.98, 49):
        probability = np.array([_binomial(n, j, p) for j in k])
        assert probability[(lower <= p) & (p <= upper)].sum() >= 0.9 - 1e-12


def test_real_counts_are_allowed_because_effective_counts_are_real():
    lower, upper = wilson_interval(1.5, 2.25, 0.95)
    assert 0.0 < lower < 1.5 / 2.25 < upper < 1.0


@pytest.mark.parametrize(("k", "n", "level"), [(5, 4, 0.95), (-1, 4, 0.95), (1, 4, 0.0), (1, 4, 1.0), (1, 4, 95.0)])
@pytest.mark.parametrize("interval", INTERVALS)
def test_wrong_arguments_are_refused(interval, k, n, level):
    with pytest.raises(ValueError, match=r"needed|between 0 and 1"):
        interval(k, n, level)


def _binomial(n: int, k: int, p: float) -> float:
    """Return the binomial probability from its recursion."""
    probability = (1 - p) ** n
    for j in range(k):
        probability *= (n - j) / (j + 1) * p / (1 - p)
    return probability
