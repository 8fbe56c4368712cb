"""The pictures of a task in the gallery: host, arc and injected in one colour stretch, as PNG inside the page."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from halo_core.report.colour import png_data_uri, rgb, stretch_of
from halo_core.report.data import Stamps

SIDE_PIX = 48
"""Side of what is shown of an arc and its host: the middle, 12.6 arcsec."""

MAX_SIDE_PIX = 128
"""Side of what is shown of a host that was not evaluated, whose edges may be the reason."""


@dataclass(frozen=True)
class Picture:
    """One picture, or the sentence that stands in its place; `size` is its side [pix]."""

    name: str
    uri: str
    sentence: str
    size: int


def pictures_of(stamps: Stamps) -> list[Picture]:
    """Return host, arc and injected of a task; of a control, and of a host that is not stored, what there is."""
    parts = {"host": stamps.host, "arc": stamps.arc, "injected": stamps.injected}
    brightest = next((planes for planes in (stamps.injected, stamps.host) if planes is not None), None)
    if brightest is None:
        return [Picture("host", "", f"No pixels are stored. {stamps.missing}", 0)]
    side = MAX_SIDE_PIX if stamps.missing else SIDE_PIX
    stretch = stretch_of(brightest)
    shown = {name: _middle(planes, side) for name, planes in parts.items() if planes is not None}
    found = [Picture(name, png_data_uri(rgb(planes, stretch)), "", planes.shape[-1]) for name, planes in shown.items()]
    return [*found, Picture("arc", "", f"Not painted. {stamps.missing}", 0)] if stamps.missing else found


def _middle(planes: NDArray[np.floating], side_pix: int) -> NDArray[np.floating]:
    """Return the middle of a stamp, at most so wide."""
    size = planes.shape[-1]
    start = max(0, (size - side_pix) // 2)
    return planes[:, start : size - start, start : size - start]
