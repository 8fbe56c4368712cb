"""Laws of the gallery's choice: the same whatever the blocks and their order, of different hosts, by what decides."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from halo_core.report.choice import Candidates, Choice, margins
from halo_core.stages.criteria import Criterion

RNG = np.random.default_rng(7)
N = 400
ROWS = pa.table(
    {"task_id": [f"{number:08x}" for number in RNG.permutation(2**20)[:N]], "host_id": [f"h{number}" for number in RNG.integers(0, 60, N)]}
)
RANK = np.round(RNG.random(N), 1)
IS_IN = RNG.random(N) < 0.7


def chosen(order: np.ndarray, cuts: list[int], n_shown: int = 5) -> list[tuple[float, str, str]]:
    """Return what is chosen of the rows in this order, cut into blocks here."""
    choice = Choice(n_shown)
    for start, end in pairwise([0, *cuts, N]):
        part = order[start:end]
        choice.offer(Candidates(ROWS.take(part)), rank=RANK[part], is_in=IS_IN[part])
    return [(row["rank"], row["task_id"], row["host_id"]) for row in choice.rows]


def test_choice_is_the_same_for_any_blocks_in_any_order():
    whole = chosen(np.arange(N), [])
    for cuts in ([200], [1, 2, 3], [50, 50, 100, 399]):
        assert chosen(np.arange(N), cuts) == whole
        assert chosen(RNG.permutation(N), cuts) == whole


def test_choice_holds_the_first_of_each_host_by_rank_and_then_by_id():
    rows = sorted(zip(RANK[IS_IN], ROWS["task_id"].filter(IS_IN).to_pylist(), ROWS["host_id"].filter(IS_IN).to_pylist(), strict=True))
    seen: dict[str, tuple[float, str, str]] = {}
    for row in rows:
        seen.setdefault(row[2], row)
    assert chosen(np.arange(N), [123]) == list(seen.values())[:5]


def test_choice_of_nothing_is_empty():
    choice = Choice(3)
    choice.offer(Candidates(ROWS), rank=RANK, is_in=np.zeros(N, dtype=bool))
    assert choice.rows == []


@pytest.mark.parametrize(
    ("snr", "resolution", "margin", "deciding"), [(10.0, 0.84, 0.05, 1), (4.0, 1.6, -0.2, 0), (5.0, 0.8, 0.0, 0), (np.nan, 9.0, -np.inf, 0)]
)
def test_the_metric_nearest_to_its_threshold_or_farthest_below_decides(snr, resolution, margin, deciding):
    criterion = Criterion("proxy", 1, (("snr", 5.0), ("resolution", 0.8)), True, "proxy")
    found = margins(criterion, {"snr": np.array([snr]), "resolution": np.array([resolution])})
    assert found[0][0] == pytest.approx(margin)
    assert found[1][0] == deciding
