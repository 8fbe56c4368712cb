"""Which objects were seen: exact, over any number of files, in bounded memory.

Objects of a brick are numbered from 0, so that one bit per number says which were seen; files are held against each other only where they
share a brick. All objects of DR10 are about 350 MB of bits, those of the bricks that two files share a small part of that.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from halo_core.errors import SurveyDataError
from halo_core.survey.bricks import N_BRICKS

SEEN = pa.schema(
    [
        pa.field("release", pa.int64(), nullable=False),
        pa.field("brickid", pa.int64(), nullable=False),
        pa.field("objids", pa.binary(), nullable=False),
    ]
)
"""One row per release and brick: one bit per objid, the lowest first."""

_OBJID_BITS = 22
_BRICKID_BITS = 20
_RELEASE_BITS = 16


class SeenObjects:
    """Objects by the survey's key (release, brickid, objid), each once."""

    def __init__(self) -> None:
        self._bits: dict[int, NDArray[np.uint8]] = {}
        self.n_objects = 0

    def add(self, objects: Mapping[str, NDArray[Any]], *, where: str) -> None:
        """Note objects.

        Parameters
        ----------
        objects : mapping of str to ndarray, shape (n,)
            release, brickid and objid.
        where : str
            Their file, for messages.

        Raises
        ------
        SurveyDataError
            An object was seen before, or a number is not one of the survey's.
        """
        keys = np.sort(_packed(objects, where))
        self.n_objects += len(keys)
        repeated = keys[1:][keys[1:] == keys[:-1]]
        if repeated.size:
            raise _repeated(repeated, len(keys), where)
        groups, starts = np.unique(keys >> _OBJID_BITS, return_index=True)
        for group, objids in zip(groups.tolist(), np.split(keys & ((1 << _OBJID_BITS) - 1), starts[1:]), strict=True):
            bits = np.zeros(int(objids[-1]) + 1, dtype=np.uint8)
            bits[objids] = 1
            self._join(group, np.packbits(bits, bitorder="little"), where)

    def to_table(self) -> pa.Table:
        """Return what was seen, schema ``SEEN``, by release and brick."""
        groups = sorted(self._bits)
        releases, bricks = [group >> _BRICKID_BITS for group in groups], [group & ((1 << _BRICKID_BITS) - 1) for group in groups]
        return pa.table([releases, bricks, [self._bits[group].tobytes() for group in groups]], schema=SEEN)

    def _join(self, group: int, bits: NDArray[np.uint8], where: str) -> None:
        """Note the objects of one brick."""
        known = self._bits.get(group)
        if known is None:
            self._bits[group] = bits
            return
        short, long = sorted((known, bits), key=len)
        both = short & long[: len(short)]
        if both.any():
            objids = np.flatnonzero(np.unpackbits(both, bitorder="little"))
            raise _repeated((group << _OBJID_BITS) | objids, self.n_objects, where)
        joined = long.copy()
        joined[: len(short)] |= short
        self._bits[group] = joined

    def join(self, seen: pa.Table, *, where: str) -> None:
        """Note the objects of another table of this kind.

        Raises
        ------
        SurveyDataError
            An object was seen before.
        """
        for release, brickid, bits in zip(*(seen[name].to_pylist() for name in SEEN.names), strict=True):
            self._join((release << _BRICKID_BITS) | brickid, np.frombuffer(bits, dtype=np.uint8), where)


def shared_bricks(tables: Iterable[pa.Table]) -> set[tuple[int, int]]:
    """Return release and brick of those that several tables name: only these can hold an object twice."""
    n_tables: Counter[tuple[int, int]] = Counter()
    for table in tables:
        n_tables.update(zip(table["release"].to_pylist(), table["brickid"].to_pylist(), strict=True))
    return {brick for brick, n in n_tables.items() if n > 1}


def _packed(objects: Mapping[str, NDArray[Any]], where: str) -> NDArray[np.int64]:
    """Return one whole number per object, in the order of release, brick and objid."""
    release, brickid, objid = (np.asarray(objects[name]).astype(np.int64) for name in ("release", "brickid", "objid"))
    limits = (("release", release, 1 << _RELEASE_BITS), ("brickid", brickid, N_BRICKS + 1), ("objid", objid, 1 << _OBJID_BITS))
    for name, values, limit in limits:
        bad = (values < 0) | (values >= limit)
        if bad.any():
            raise SurveyDataError(f"{where}: {int(bad.sum())} rows have a {name} outside 0..{limit - 1}, the first {int(values[bad][0])}")
    return (release << (_BRICKID_BITS + _OBJID_BITS)) | (brickid << _OBJID_BITS) | objid


def _repeated(keys: NDArray[np.int64], n_objects: int, where: str) -> SurveyDataError:
    """Return the error that names the first repeated object."""
    key = int(keys[0])
    release, brickid = key >> (_BRICKID_BITS + _OBJID_BITS), (key >> _OBJID_BITS) & ((1 << _BRICKID_BITS) - 1)
    name = f"{release}:{brickid}:{key & ((1 << _OBJID_BITS) - 1)}"
    return SurveyDataError(
        f"{where}: {len(keys)} objects of {n_objects} repeat another's (release, brickid, objid), the first {name}; give each sweep once"
    )
