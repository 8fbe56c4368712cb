"""The one way this package compiles a loop with numba.

Divisions follow IEEE rules (numpy's error model), because numba's own check for zero keeps loops from vectorising; contraction to fused
multiply-add is allowed and nothing else of fast-math, so that results are the same to the bit on one kind of processor.

Compiled code is kept on disk, beside the sources, or under the home folder where the package cannot be written, or where
NUMBA_CACHE_DIR says. Numba throws it away when the file of a function changes, but not when the file of a function it calls does, so
each state of this package's sources has a folder of its own. Processes that compile at the same time keep what they made one after the
other: numba numbers the files of a function's signatures by the index it has just read, and two that read the same would swap theirs.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import rocket_fft

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

real = cast(Callable[[float], float], np.float32)
"""A number in single precision; the type checker takes it for a float, the compiler does not."""


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function compiled without the interpreter, cached on disk under the fingerprint of the package."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(Path(before or _CACHE) / f"compiled_{_FINGERPRINT}")
    try:
        decorate = numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
        dispatcher = decorate(function)
        _save_one_by_one(dispatcher._cache)
        return cast(Callable[Arguments, Result], dispatcher)
    finally:
        numba.config.CACHE_DIR = before


def _save_one_by_one(cache: Any) -> None:
    """Let one process at a time write to the folder of a function's compiled code."""
    save, folder = cache.save_overload, Path(cache.cache_path)

    def save_alone(signature: object, data: object) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / _LOCK).open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            save(signature, data)

    cache.save_overload = save_alone


def _fingerprint(sources: Iterable[Path], version: str) -> str:
    """Return a hash of source files and of the version of the transforms that compiled code calls."""
    digest = hashlib.blake2b(version.encode(), digest_size=8)
    for path in sorted(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _cache_folder(package: Path, home: Path) -> Path:
    """Return where compiled code is kept."""
    return package / "__pycache__" if os.access(package, os.W_OK) else home / ".cache" / "dark_halo_scope"


_HERE = Path(__file__).parent
_LOCK = ".lock"
_FINGERPRINT = _fingerprint([*_HERE.glob("*.py"), _HERE.parent / "constants.py"], rocket_fft.__version__)
_CACHE = _cache_folder(_HERE, Path.home())
