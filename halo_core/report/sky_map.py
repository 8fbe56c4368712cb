"""The sky map: hosts by split, and the regions that they lie in."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from astropy import units
from astropy_healpix import HEALPix
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.spatial import ConvexHull

from halo_core.constants import SPLITS
from halo_core.report.figure_style import (
    FAINT,
    INK,
    SMALL_POINTS,
    SPLIT_COLOURS,
    SPLIT_MARKERS,
    Entry,
    Margins,
    ReportFigure,
    draw_legend,
    legend_height,
    listed,
    panel_grid,
)
from halo_core.report.sky_projection import Floats, Projection, crossing, graticule, projection_of, ra_span
from halo_core.stages.host_places import HEALPIX_NSIDE

_WHOLE_IN = (7.4, 3.7)
_PART_IN = 4.6
_ELLIPSE = (2.0 * np.sqrt(2.0) * 180.0 / np.pi, np.sqrt(2.0) * 180.0 / np.pi)
"""Half axes of the Mollweide map [deg]."""

_MOST_VECTORS = 1500
"""Above this number points, and outlines, are drawn as a picture within the figure."""

_LEAST_SPAN_DEG = 0.1
_LABEL_DEC_DEG, _LABEL_REACH_DEG = -78.0, 150.0
_CORNERS_PER_SIDE = 8


def sky_map(hosts: pa.Table | None) -> ReportFigure | None:
    """Return the map of the hosts; None where there are none.

    Parameters
    ----------
    hosts : Table or None
        region_id, region_split, ra_deg, dec_deg, n_hosts (hosts that the row stands for); as from ``host_places.gather_hosts``.
    """
    if hosts is None or not hosts.num_rows:
        return None
    ra, dec = hosts["ra_deg"].to_numpy(), hosts["dec_deg"].to_numpy()
    projection, (west, width) = projection_of(ra, dec), ra_span(ra)
    split, region, n = np.asarray(hosts["region_split"].to_pylist()), hosts["region_id"].to_numpy(), hosts["n_hosts"].to_numpy()
    counts = {name: int(n[split == name].sum()) for name in SPLITS if (split == name).any()}
    n_regions = {name: len(np.unique(region[split == name])) for name in counts}
    is_thinned = bool(n.sum() > len(n))
    parts = listed([f"{name} {_many(counts[name], 'host')} in {_many(n_regions[name], 'region')}" for name in counts])
    nside = int((hosts.schema.metadata or {}).get(HEALPIX_NSIDE, 0))
    outlines = f"HEALPix cells of nside {nside} (nested)" if nside else "the convex hulls of the hosts of each region"
    shape = "The whole sky in Mollweide's equal-area projection" if projection.is_whole_sky else "An equal-area map around the hosts"
    caption = (
        f"{shape}; right ascension grows to the left, north is up. Every host that the plan draws, of injections and of controls, "
        f"in colour and marker of its split. Outlines are {outlines}. "
        f"{'A marker stands for all hosts of one region within a small cell of the sky.' if is_thinned else 'A marker is one host.'}"
    )
    span = f"right ascension {west:.1f} to {(west + width) % 360.0:.1f} deg, declination {dec.min():.1f} to {dec.max():.1f} deg"
    return ReportFigure(
        name="sky_map",
        heading="Hosts and regions on the sky",
        caption=caption,
        description=f"Map of {_many(int(n.sum()), 'host')}: {parts}. They reach from {span}.",
        table=hosts,
        notes=(),
        draw=lambda: _draw(hosts, projection, nside, counts),
    )


def _many(n: int, word: str) -> str:
    """Return a number of things."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def _draw(hosts: pa.Table, projection: Projection, nside: int, counts: dict[str, int]) -> Figure:
    """Draw outlines, hosts, coordinates and legend."""
    ra, dec = hosts["ra_deg"].to_numpy(), hosts["dec_deg"].to_numpy()
    split, region = np.asarray(hosts["region_split"].to_pylist()), hosts["region_id"].to_numpy()
    x, y = projection.xy(ra, dec)
    shapes = {name: _outlines(projection, nside, region[split == name], x[split == name], y[split == name]) for name in counts}
    points = np.concatenate([np.column_stack([x, y]), *(shape for found in shapes.values() for shape in found)])
    entries = [Entry(f"{name}: {_many(n, 'host')}", SPLIT_COLOURS[name], SPLIT_MARKERS[name]) for name, n in counts.items()]
    limits, size = _view(projection, points)
    margins = Margins(
        left=0.55 if projection.is_whole_sky else 0.75,
        right=0.25,
        top=legend_height(entries, size[0] + 0.8),
        bottom=0.12 if projection.is_whole_sky else 0.55,
    )
    figure, ((place,),) = panel_grid(1, [size[0]], size[1], margins)
    place.set_xlim(limits[0])
    place.set_ylim(limits[1])
    (_draw_whole_sky if projection.is_whole_sky else _draw_part)(place, projection, limits)
    is_crowded = sum(map(len, shapes.values())) > _MOST_VECTORS
    for name, colour in ((name, SPLIT_COLOURS[name]) for name in counts):
        filled = PolyCollection(shapes[name], facecolors=colour, edgecolors="none", alpha=0.6 if is_crowded else 0.22)
        filled.set_rasterized(is_crowded)
        place.add_collection(filled)
        if not is_crowded:
            place.add_collection(PolyCollection(shapes[name], facecolors="none", edgecolors=colour, linewidths=0.7))
        (markers,) = place.plot(x[split == name], y[split == name], SPLIT_MARKERS[name], color=colour, markersize=_marker_points(len(x)))
        markers.set_markeredgewidth(0.0)
        markers.set_rasterized(len(x) > _MOST_VECTORS)
    draw_legend(figure, entries)
    return figure


def _marker_points(n: int) -> float:
    """Return the size of the markers of so many places [points]."""
    return 3.0 if n < 500 else 1.6 if n < 5000 else 0.8


def _outlines(projection: Projection, nside: int, region: NDArray[np.int64], x: Floats, y: Floats) -> list[Floats]:
    """Return the outline of each region on the map, shape (n, 2) each; a region of less than three places has none."""
    found = np.unique(region)
    if nside:
        lon, lat = HEALPix(nside=nside, order="nested").boundaries_lonlat(found, step=_CORNERS_PER_SIDE)
        return [projection.outline(*pair) for pair in zip(lon.to_value(units.deg), lat.to_value(units.deg), strict=True)]
    shapes = []
    for one in found.tolist():
        places = np.unique(np.column_stack([x, y])[region == one], axis=0)
        if np.linalg.matrix_rank(places - places[0], tol=1e-6) == 2 and np.ptp(places[:, 0]) < _ELLIPSE[0]:
            shapes.append(places[ConvexHull(places).vertices])
    return shapes


def _view(projection: Projection, points: Floats) -> tuple[tuple[tuple[float, float], tuple[float, float]], tuple[float, float]]:
    """Return the limits of the map [deg] and its size [inches], the same scale along both axes."""
    if projection.is_whole_sky:
        half_x, half_y = (1.01 * half for half in _ELLIPSE)
        return ((-half_x, half_x), (-half_y, half_y)), _WHOLE_IN
    lower, upper = points.min(axis=0), points.max(axis=0)
    middle, span = 0.5 * (lower + upper), np.maximum(1.08 * (upper - lower), _LEAST_SPAN_DEG)
    span = np.maximum(span, 0.4 * span.max())
    size = _PART_IN * span / span.max()
    (left, bottom), (right, top) = (middle - 0.5 * span).tolist(), (middle + 0.5 * span).tolist()
    return ((left, right), (bottom, top)), (float(size[0]), float(size[1]))


def _draw_whole_sky(place: Axes, projection: Projection, limits: Sequence[tuple[float, float]]) -> None:
    """Draw the rim of the sky, meridians and parallels every 30 degrees, and their names."""
    turn = np.linspace(0.0, 2.0 * np.pi, 181)
    place.plot(_ELLIPSE[0] * np.cos(turn), _ELLIPSE[1] * np.sin(turn), color=INK, linewidth=0.8)
    meridians, parallels = graticule(projection, (limits[0][1] - limits[0][0], limits[1][1] - limits[1][0]))
    place.add_collection(LineCollection([line for _, line in meridians + parallels], colors=INK, linewidths=0.6, alpha=FAINT))
    for value, line in parallels:
        place.text(line[:, 0].min() - 4.0, line[0, 1], f"{value:+.0f}°" if value else "0°", ha="right", va="center", fontsize=SMALL_POINTS)
    far = [abs((value - projection.ra_deg + 180.0) % 360.0 - 180.0) for value, _ in meridians]
    for value in [value for (value, _), east in zip(meridians, far, strict=True) if value % 60.0 == 0.0 and east < _LABEL_REACH_DEG]:
        x, y = projection.xy(value, _LABEL_DEC_DEG)
        place.text(float(x), float(y), f"{value:.0f}°", ha="center", va="center", fontsize=SMALL_POINTS)
    place.set_axis_off()


def _draw_part(place: Axes, projection: Projection, limits: tuple[tuple[float, float], tuple[float, float]]) -> None:
    """Draw meridians and parallels, named where they meet the lower and the left side."""
    (left, right), (bottom, top) = limits
    meridians, parallels = graticule(projection, (right - left, top - bottom))
    place.add_collection(LineCollection([line for _, line in meridians + parallels], colors=INK, linewidths=0.6, alpha=FAINT))
    across = [(crossing(line, axis=1, at=bottom), f"{value:g}") for value, line in meridians]
    upwards = [(crossing(line, axis=0, at=left), f"{value:g}") for value, line in parallels]
    ticks_x = [(x, text) for x, text in across if x is not None and left <= x <= right]
    ticks_y = [(y, text) for y, text in upwards if y is not None and bottom <= y <= top]
    place.set_xticks([x for x, _ in ticks_x], [text for _, text in ticks_x])
    place.set_yticks([y for y, _ in ticks_y], [text for _, text in ticks_y])
    place.set_xlabel("right ascension [deg]")
    place.set_ylabel("declination [deg]")
