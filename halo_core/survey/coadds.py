"""Coadd planes: open one, cut stamps from it without decoding the rest.

Arrays are [row y, column x], pixel centres at integers from 0. The image is HDU 1 (tile-compressed; DR10 gives it no usable name). Size and
WCS are those of the file: a full brick is 3600 x 3600, but any piece of a brick with its CRPIX shifted is read the same way.
"""

from contextlib import ExitStack
from math import floor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from halo_core.errors import SurveyDataError
from halo_core.survey.projection import sky_to_pixel, tan_wcs
from halo_core.survey.verification import verify_plane

__all__ = ["CoaddPlane", "crop_start", "open_plane", "sky_to_pixel", "stamp_corner", "verify_plane"]

Pixels = NDArray[np.generic]


class _ReadOnlyHeader(fits.Header):  # type: ignore[misc]
    """A header that looks each card up once: for every section astropy asks for some 75 cards, which took longer than decoding tiles."""

    def __init__(self, cards: fits.Header) -> None:
        super().__init__(cards)
        self._names = {card.keyword for card in cards.cards}
        self._values: dict[str, Any] = {}

    def __getitem__(self, key: Any) -> Any:
        """Return the value of a card."""
        if not isinstance(key, str):
            return super().__getitem__(key)
        if key not in self._names:
            raise KeyError(f"the header has no card {key}")
        if key not in self._values:
            self._values[key] = super().__getitem__(key)
        return self._values[key]

    def __contains__(self, key: Any) -> bool:
        """Return whether there is a card of this name."""
        return key in self._names


class CoaddPlane:
    """One open plane of a brick; use it as a context manager.

    Attributes
    ----------
    plane : str
        Name such as ``image-g``.
    shape : tuple of int
        (ny, nx) [pix].
    header : Header
        Header of the image.
    wcs : WCS
        TAN projection of the file.
    """

    def __init__(self, hdus: fits.HDUList, *, path: Path, plane: str) -> None:
        image = _image(hdus[1]) if len(hdus) > 1 else None
        if image is None or len(image.shape) != 2:
            raise SurveyDataError(f"{path}: plane {plane} has no two-dimensional image in HDU 1")
        self._hdus = hdus
        self._image = image
        self._pixels: Pixels | None = None
        self.plane = plane
        self.header: fits.Header = image.header
        self.shape: tuple[int, int] = (int(image.shape[0]), int(image.shape[1]))
        self.wcs = tan_wcs(self.header, self.shape, where=f"{path}, plane {plane}")

    def __enter__(self) -> Self:
        """Return the open plane."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close the file."""
        self._hdus.close()

    def read(self) -> Pixels:
        """Return the whole plane, shape (ny, nx), in native byte order; kept, so that later cutouts are slices of it."""
        if self._pixels is None:
            self._pixels = _native(self._image.data)
        return self._pixels

    def cutout(self, x0: int, y0: int, size: int, fill: float) -> tuple[Pixels, NDArray[np.bool_]]:
        """Return a square stamp, decoding only the tiles it touches.

        Parameters
        ----------
        x0, y0 : int
            Column and row of the stamp's first pixel in the file [pix]; may be negative or beyond the file.
        size : int
            Side of the stamp [pix]; > 0.
        fill : float
            Value of the pixels outside the file.

        Returns
        -------
        stamp : ndarray, shape (size, size)
            Pixels in the plane's own type.
        outside : ndarray of bool, shape (size, size)
            True where the stamp reaches beyond the file.
        """
        if size <= 0:
            raise ValueError(f"a stamp has a positive size, not {size}")
        ny, nx = self.shape
        rows = slice(min(max(y0, 0), ny), max(min(y0 + size, ny), 0))
        cols = slice(min(max(x0, 0), nx), max(min(x0 + size, nx), 0))
        outside = np.ones((size, size), dtype=np.bool_)
        if rows.start >= rows.stop or cols.start >= cols.stop:
            return np.full((size, size), fill, dtype=self._dtype()), outside
        inside = self._section(rows, cols)
        stamp = np.full((size, size), fill, dtype=inside.dtype)
        place = (slice(rows.start - y0, rows.stop - y0), slice(cols.start - x0, cols.stop - x0))
        stamp[place] = inside
        outside[place] = False
        return stamp, outside

    def value_at(self, x_pix: float, y_pix: float) -> float:
        """Return the value of the pixel nearest to a position [pix]; NaN outside the file."""
        ix, iy = floor(x_pix + 0.5), floor(y_pix + 0.5)
        ny, nx = self.shape
        if not (0 <= ix < nx and 0 <= iy < ny):
            return float("nan")
        return float(self._section(slice(iy, iy + 1), slice(ix, ix + 1))[0, 0])

    def _section(self, rows: slice, cols: slice) -> Pixels:
        """Return a rectangle inside the file."""
        if self._pixels is not None:
            return self._pixels[rows, cols]
        return _native(self._image.section[rows, cols])

    def _dtype(self) -> np.dtype[Any]:
        """Return the type of the plane's pixels without decoding more than one of them."""
        return self._section(slice(0, 1), slice(0, 1)).dtype


def open_plane(path: Path | str, plane: str) -> CoaddPlane:
    """Open one plane of a brick for reading.

    Parameters
    ----------
    path : path
        Local file, verified before (`verify_plane`).
    plane : str
        Name such as ``image-g``; what error messages call it.

    Raises
    ------
    SurveyDataError
        HDU 1 is not a two-dimensional image with a TAN projection.
    OSError
        There is no such file, or it is not FITS.
    """
    with ExitStack() as stack:
        hdus = stack.enter_context(fits.open(path, mode="readonly", memmap=False, lazy_load_hdus=True, disable_image_compression=True))
        plane_file = CoaddPlane(hdus, path=Path(path), plane=plane)
        stack.pop_all()
        return plane_file


def _image(hdu: Any) -> Any:
    """Return the image of an HDU that was opened without decompression, as `fits.open` makes it but with a header that is quick to read."""
    if not (isinstance(hdu, fits.BinTableHDU) and fits.CompImageHDU.match_header(hdu.header)):
        return hdu
    image = fits.CompImageHDU(bintable=hdu)
    hdu.header = _ReadOnlyHeader(hdu.header)
    return image


def stamp_corner(position_pix: float, size: int) -> int:
    """Return the first column (or row) of the stamp of this size around a position: floor(x + 0.5) - size // 2."""
    return floor(position_pix + 0.5) - size // 2


def crop_start(big: int, small: int) -> int:
    """Return where a stamp of size ``small`` starts in one of size ``big`` that is cut around the same position.

    Raises
    ------
    ValueError
        The smaller stamp does not fit.
    """
    if not 0 < small <= big:
        raise ValueError(f"a stamp of {small} pixels cannot be cropped from one of {big}")
    return big // 2 - small // 2


def _native(pixels: NDArray[Any]) -> Pixels:
    """Return the array in native byte order."""
    return np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder("="))
