"""The one way this package compiles a loop with numba.

Divisions follow IEEE rules (numpy's error model), because numba's own check for zero keeps loops from vectorising; contraction to fused
multiply-add is allowed and nothing else of fast-math, so that results are the same to the bit on one kind of processor.

Compiled code is kept on disk. Numba throws it away when the file of a function changes, but not when the file of a function it calls
does, so each state of this package's sources has a folder of its own.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar, cast

import numba

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """Return the function compiled without the interpreter, cached on disk under the fingerprint of the package."""
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(Path(before or _HERE / "__pycache__") / f"compiled_{_FINGERPRINT}")
    try:
        decorate = numba.njit(cache=True, error_model="numpy", fastmath={"contract"})
        return cast(Callable[Arguments, Result], decorate(function))
    finally:
        numba.config.CACHE_DIR = before


def _fingerprint(folder: Path) -> str:
    """Return a hash of all source files of a folder."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(folder.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


_HERE = Path(__file__).parent
_FINGERPRINT = _fingerprint(_HERE)
