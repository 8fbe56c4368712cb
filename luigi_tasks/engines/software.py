"""What decides the bytes of a block besides its plan: this project's sources and the packages they call, as text to compare.

A driver asks executors for its own software, because digests are the driver's and bytes the executors': an archive that was packed before
the sources changed would put old bytes under new digests.
"""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path

from halo_core.errors import ConfigurationError

_PACKAGES = ("numpy", "scipy", "astropy", "galsim", "numba", "rocket-fft", "pyarrow")
_ROOMS = ("halo_core", "halo_core/survey", "halo_core/lensing", "halo_core/stages", "luigi_tasks", "luigi_tasks/engines")
"""Folders of what executors run; they hold the same files in a checkout and where the project is installed."""


@cache
def software() -> dict[str, str]:
    """Return versions of packages and a hash of the sources, of this process."""
    return {name: version(name) for name in _PACKAGES} | {"sources": _hash_of(Path(__file__).parents[2])}


def require_software(asked: Mapping[str, str]) -> None:
    """Raise ConfigurationError where this process has other software than a driver asks for."""
    here = software()
    other = [f"{name} {here.get(name)} and not {value}" for name, value in asked.items() if here.get(name) != value]
    if other:
        raise ConfigurationError(
            f"executors have other software than the driver: {', '.join(other)}; where they unpack an archive, call make environment and "
            "give the new one to [spark] archive; else install the same on all machines"
        )


def _hash_of(root: Path) -> str:
    """Return a hash of the sources below a root."""
    digest = hashlib.blake2b(digest_size=8)
    for path in sorted(path for room in _ROOMS for path in (root / room).glob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()
