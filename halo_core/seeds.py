"""Identities and frozen random numbers, all from hashes: no generator state, no loop position, no process id.

An identity is a BLAKE2b hash of its parts. A random number is a function of (physical id, purpose, band), so that
any row can be redone alone and a failed neighbour changes nothing.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SEPARATOR = "\x1f"


def hash_hex(*parts: object, n_bytes: int = 12) -> str:
    """Return the hexadecimal BLAKE2b hash of the parts.

    Parameters
    ----------
    *parts : str, int, float, bool or None
        Floats enter by ``repr``, which is exact; nothing else than these types is accepted, so that no object's address can enter.
    n_bytes : int
        Length of the hash [bytes]; 12 keeps the chance of one collision in 10 million ids below 1e-15.

    Raises
    ------
    TypeError
        A part is of another type.
    ValueError
        A part is NaN or infinite.
    """
    return hashlib.blake2b(_joined(parts), digest_size=n_bytes).hexdigest()


def hash_int63(*parts: object) -> int:
    """Return a non-negative 63-bit integer hash of the parts."""
    return int.from_bytes(hashlib.blake2b(_joined(parts), digest_size=8).digest(), "big") >> 1


def hash_tail(*parts: object) -> bytes:
    """Return what the parts after the first add to a hash: made once, used by `hash_hex_each` for many first parts."""
    return "".join(_SEPARATOR + _part(part) for part in parts).encode()


def hash_hex_each(heads: Iterable[str], tails: Iterable[bytes], *, n_bytes: int = 12) -> list[str]:
    """Return ``hash_hex(head, *parts)`` for each head and each ``hash_tail(*parts)``, several times as fast as one by one.

    Parameters
    ----------
    heads : iterable of str, length n
        First part of each hash.
    tails : iterable of bytes, length n
        The other parts of each hash, from `hash_tail`.
    n_bytes : int
        Length of each hash [bytes].
    """
    blake2b, double = hashlib.blake2b, 2 * _SEPARATOR
    pairs = zip(heads, tails, strict=True)
    return [blake2b(f"s{h.replace(_SEPARATOR, double)}".encode() + tail, digest_size=n_bytes).hexdigest() for h, tail in pairs]


def hash_int63_each(ids: Iterable[str]) -> NDArray[np.int64]:
    """Return ``hash_int63(id)`` of each id, shape (n,)."""
    return (_words(f"s{item.replace(_SEPARATOR, 2 * _SEPARATOR)}".encode() for item in ids) >> np.uint64(1)).astype(np.int64)


def uniforms(ids: Iterable[str], purpose: str) -> NDArray[np.float64]:
    """Return one uniform number in the open interval (0, 1) per id, from the stream named by ``purpose``.

    Parameters
    ----------
    ids : iterable of str, length n
        Physical ids.
    purpose : str
        Name of the stream, such as ``"lens_phi"``.

    Returns
    -------
    ndarray, shape (n,), float64
        Multiples of 2**-53 shifted by half a step: never 0, never 1.
    """
    tail = f"\x1e{purpose}".encode()
    return (_words(item.encode() + tail for item in ids) >> np.uint64(11)).astype(np.float64) * 2.0**-53 + 2.0**-54


def hash_order(ids: Iterable[str], *salt: object) -> NDArray[np.uint64]:
    """Return a 64-bit sort key per id: the draw order of hosts, independent of their order in the input."""
    tail = b"\x1e" + _joined(salt)
    return _words(item.encode() + tail for item in ids)


def generator(physical_id: str, purpose: str, band: str) -> np.random.Generator:
    """Return the counter-based generator (Philox) of one physical injection, purpose and band."""
    key = int.from_bytes(hashlib.blake2b(_joined((physical_id, purpose, band)), digest_size=16).digest(), "big")
    return np.random.Generator(np.random.Philox(key=key))


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, exact floats; NaN and infinities are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def stage_digest(
    word: str, *, science_version: int, parameters: Mapping[str, Any], upstream: Mapping[str, str], fingerprints: Mapping[str, str]
) -> str:
    """Return the identity of a stage's output: a 20-digit hexadecimal hash of everything that decides its content.

    Parameters
    ----------
    word : str
        The stage's word, such as ``"manifest"``.
    science_version : int
        The stage's own version, raised whenever its code changes the bytes it writes.
    parameters : mapping
        The stage's own parameters, JSON values only.
    upstream : mapping of str to str
        Digest by stage word.
    fingerprints : mapping of str to str
        Hash by name of each external input.
    """
    text = canonical_json(
        {
            "stage": word,
            "science_version": science_version,
            "parameters": dict(parameters),
            "upstream": dict(upstream),
            "fingerprints": dict(fingerprints),
        }
    )
    return hash_hex(text, n_bytes=10)


def _joined(parts: Iterable[object]) -> bytes:
    """Return the parts as unambiguous bytes: each with its type's letter."""
    return _SEPARATOR.join(_part(part) for part in parts).encode()


def _part(part: object) -> str:
    """Return one part with its type; True and 1 and 1.0 and "1" stay different."""
    if part is None:
        return "n"
    if isinstance(part, (bool, np.bool_)):
        return f"b{int(part)}"
    if isinstance(part, (int, np.integer)):
        return f"i{int(part)}"
    if isinstance(part, (float, np.floating)):
        if not isfinite(part):
            raise ValueError(f"cannot hash {part}: an identity is made of finite numbers")
        return f"f{float(part)!r}"
    if isinstance(part, str):
        return f"s{part.replace(_SEPARATOR, 2 * _SEPARATOR)}"
    raise TypeError(f"cannot hash a {type(part).__name__}: {part!r}; identities are made of text, numbers, booleans and None")


def _words(texts: Iterable[bytes]) -> NDArray[np.uint64]:
    """Return the 64-bit hash of each text."""
    blake2b = hashlib.blake2b
    return np.frombuffer(b"".join([blake2b(text, digest_size=8).digest() for text in texts]), dtype=">u8").astype(np.uint64)
