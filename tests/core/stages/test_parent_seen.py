"""Laws of seen objects: a repeated key is found wherever it hides, and distinct keys never collide."""

from typing import Any

import numpy as np
import pytest

from halo_core.errors import SurveyDataError
from halo_core.stages.parent_seen import SEEN, SeenObjects, shared_bricks


def keys(*rows: tuple[int, int, int]) -> dict[str, Any]:
    return dict(zip(("release", "brickid", "objid"), np.array(rows).T, strict=True))


def many(n: int, *, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    packed = rng.choice(2 * 40 * 300, n, replace=False)
    return {"release": 10_000 + packed // 12_000, "brickid": 1 + packed // 300 % 40, "objid": packed % 300}


def test_distinct_objects_are_no_repeats_in_any_order_and_in_any_parts() -> None:
    objects, whole, parts = many(9_000, seed=1), SeenObjects(), SeenObjects()
    whole.add(objects, where="w")
    for rows in np.array_split(np.random.default_rng(2).permutation(9_000), 7):
        parts.add({name: values[rows] for name, values in objects.items()}, where="p")
    assert whole.to_table().equals(parts.to_table())
    assert whole.to_table().schema.equals(SEEN)
    bits = np.concatenate([np.unpackbits(np.frombuffer(found, dtype=np.uint8)) for found in whole.to_table()["objids"].to_pylist()])
    assert bits.sum() == 9_000 == whole.n_objects


@pytest.mark.parametrize("row", [0, 4_000, 8_999])
def test_one_repeated_object_is_found_within_a_part_and_across_parts(row: int) -> None:
    objects = many(9_000, seed=1)
    one = {name: values[row : row + 1] for name, values in objects.items()}
    name = ":".join(str(one[part][0]) for part in ("release", "brickid", "objid"))
    seen, again = SeenObjects(), SeenObjects()
    seen.add(objects, where="a.fits")
    with pytest.raises(SurveyDataError, match=rf"^b\.fits: 1 objects .* {name}; give each sweep once"):
        seen.add(one, where="b.fits")
    with pytest.raises(SurveyDataError, match=f"1 objects of 9001 .* {name}"):
        SeenObjects().add({part: np.append(values, one[part]) for part, values in objects.items()}, where="c")
    again.add(one, where="d")
    with pytest.raises(SurveyDataError, match=name):
        again.join(seen.to_table(), where="d")


def test_the_same_number_in_another_brick_or_release_is_another_object() -> None:
    seen = SeenObjects()
    seen.add(keys((10_000, 1, 7), (10_000, 2, 7), (10_002, 1, 7)), where="a")
    seen.add(keys((10_000, 1, 8), (0, 662_174, 2**22 - 1), (2**16 - 1, 1, 0)), where="b")
    assert seen.n_objects == 6


def test_only_bricks_that_two_files_name_are_shared() -> None:
    tables = []
    for rows in (keys((10_000, 1, 7), (10_000, 2, 7)), keys((10_000, 2, 8), (10_002, 1, 7))):
        seen = SeenObjects()
        seen.add(rows, where="x")
        tables.append(seen.to_table())
    assert shared_bricks(tables) == {(10_000, 2)}


@pytest.mark.parametrize(("row", "name"), [((-1, 1, 1), "release"), ((1, 662_175, 1), "brickid"), ((1, 1, 2**22), "objid")])
def test_numbers_that_are_none_of_the_survey_are_refused(row: tuple[int, int, int], name: str) -> None:
    with pytest.raises(SurveyDataError, match=f"1 rows have a {name} outside"):
        SeenObjects().add(keys(row), where="x")
