"""Identities and frozen numbers: pinned for ever, of any order, and different wherever a part differs."""

from itertools import combinations

import numpy as np
import pytest
from scipy.stats import kstest

from halo_core.seeds import (
    canonical_json,
    generator,
    hash_hex,
    hash_hex_each,
    hash_int63,
    hash_int63_each,
    hash_order,
    hash_tail,
    stage_digest,
    uniforms,
)

IDS = [f"{number:024x}" for number in range(20_000)]
DIGEST = {
    "science_version": 1,
    "parameters": {"b": 2, "a": [1.5, "x"]},
    "upstream": {"parent": "ff"},
    "fingerprints": {"grid": "00"},
}


def test_identities_are_the_pinned_ones() -> None:
    assert hash_hex("10000:1:2", "grid", 0.25, 0, False, 13) == "b2839ad5dd422e16665d9f04"
    assert hash_hex("a", "b") == "12ef0b4cec5e910dc09972bc"
    assert hash_hex("a", n_bytes=10) == "648796c5a9fc71bda7fd"
    assert hash_hex("é") == "90d754bd8dd04e6ec3276117"
    assert hash_int63("0123abcd") == 6343202743659567917
    assert stage_digest("manifest", **DIGEST) == "7908bfc23c50f55ff374"


def test_frozen_numbers_are_the_pinned_ones() -> None:
    assert uniforms(["a", "b", "0123abcd"], "lens_phi").tolist() == [0.5547705617973735, 0.8338114351731243, 0.8043845940268748]
    assert hash_order(["a", "b"], 13, "draw").tolist() == [9642052492445603747, 18241734377325131420]
    drawn = generator("0123abcd", "noise", "r").integers(0, 2**63, 3)
    assert drawn.tolist() == [4491925138926414707, 2825532300695604525, 622911098866487527]


def test_values_of_different_types_or_groupings_never_collide() -> None:
    parts = [(True,), (1,), (1.0,), ("1",), ("i1",), (None,), ("n",), ("",), (), (False,), (0,), ("a", "b"), ("ab",), ("a\x1fsb",)]
    parts += [("a\x1f", "b"), ("a", "\x1fb"), ("a\x1f\x1fsb",), ("a", "", "b"), (0.1 + 0.2,), (0.3,)]
    for one, other in combinations(parts, 2):
        assert hash_hex(*one) != hash_hex(*other), (one, other)


def test_numpy_values_hash_as_the_numbers_they_are() -> None:
    assert hash_hex(np.int32(7), np.float64(0.1), np.bool_(True), np.str_("a")) == hash_hex(7, 0.1, True, "a")


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("nan")])
def test_numbers_that_are_not_finite_have_no_identity(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        hash_hex("a", value)
    with pytest.raises(ValueError, match="JSON"):
        canonical_json({"a": float(value)})


@pytest.mark.parametrize("value", [b"a", [1], {"a": 1}, object(), 1 + 2j])
def test_other_types_have_no_identity(value: object) -> None:
    with pytest.raises(TypeError, match="cannot hash"):
        hash_hex(value)


def test_int63_is_never_negative_and_fills_its_range() -> None:
    values = np.array([hash_int63(item) for item in IDS[:5000]])
    assert values.min() >= 0
    assert kstest(values / 2.0**63, "uniform").pvalue > 1e-6


@pytest.mark.parametrize("purpose", ["lens_phi", "src_offset", "src_phi"])
def test_uniforms_are_flat_inside_the_open_interval(purpose: str) -> None:
    values = uniforms(IDS, purpose)
    assert values.dtype == np.float64
    assert 0.0 < values.min() < values.max() < 1.0
    assert kstest(values, "uniform").pvalue > 1e-6  # false alarm once in a million streams


def test_streams_of_one_id_are_independent() -> None:
    one, other = uniforms(IDS, "lens_phi"), uniforms(IDS, "src_phi")
    assert abs(np.corrcoef(one, other)[0, 1]) < 5.0 / np.sqrt(len(IDS))


def test_a_number_depends_on_its_own_id_alone() -> None:
    order = np.random.default_rng(1).permutation(500)
    shuffled = [IDS[i] for i in order]
    assert np.array_equal(uniforms(shuffled, "lens_e"), uniforms(IDS[:500], "lens_e")[order])
    assert np.array_equal(hash_order(shuffled, 13), hash_order(IDS[:500], 13)[order])
    assert uniforms(IDS[7:8], "lens_e")[0] == uniforms(IDS, "lens_e")[7]


def test_the_order_of_the_draw_changes_with_every_salt() -> None:
    orders = [np.argsort(hash_order(IDS[:200], *salt)) for salt in ((13,), (14,), ("13",), (13, "train"), ())]
    for one, other in combinations(orders, 2):
        assert not np.array_equal(one, other)


def test_a_generator_is_made_again_from_its_key_and_no_other_has_its_numbers() -> None:
    first = generator("a", "noise", "r").normal(size=5)
    assert np.array_equal(first, generator("a", "noise", "r").normal(size=5))
    for key in (("b", "noise", "r"), ("a", "source", "r"), ("a", "noise", "g"), ("a", "noiser", "")):
        assert not np.any(generator(*key).normal(size=5) == first)


@pytest.mark.parametrize(
    "change",
    [
        {"science_version": 2},
        {"parameters": {"b": 2, "a": [1.5, "y"]}},
        {"parameters": {"b": 2.0, "a": [1.5, "x"]}},
        {"parameters": {"b": 2}},
        {"upstream": {"parent": "fe"}},
        {"upstream": {"survey": "ff"}},
        {"fingerprints": {"grid": "01"}},
        {"fingerprints": {}},
    ],
)
def test_a_digest_changes_with_every_part(change: dict[str, object]) -> None:
    assert stage_digest("manifest", **(DIGEST | change)) != stage_digest("manifest", **DIGEST)
    assert stage_digest("summary", **DIGEST) != stage_digest("manifest", **DIGEST)


def test_a_digest_does_not_depend_on_the_order_of_keys() -> None:
    turned = DIGEST | {"parameters": {"a": [1.5, "x"], "b": 2}}
    assert stage_digest("manifest", **turned) == stage_digest("manifest", **DIGEST)


def test_canonical_json_is_one_text_with_exact_numbers() -> None:
    assert canonical_json({"b": 1, "a": (0.1, None, "é")}) == '{"a":[0.1,null,"\\u00e9"],"b":1}'


@pytest.mark.parametrize("tail", [(), ("grid", 1.5, True, None, 7), ("a\x1fb",)])
def test_many_hashes_are_those_made_one_by_one(tail: tuple[object, ...]) -> None:
    heads = [*IDS[:20], "", "a\x1fb", "\u03b8"]
    assert hash_hex_each(heads, [hash_tail(*tail)] * len(heads), n_bytes=9) == [hash_hex(head, *tail, n_bytes=9) for head in heads]
    assert hash_int63_each(heads).tolist() == [hash_int63(head) for head in heads]
