"""The sky map: east to the left, areas kept, 0 h no seam, every host once."""

import numpy as np
import pyarrow as pa
import pytest
from astropy import units
from astropy_healpix import HEALPix

from halo_core.report.sky_map import sky_map
from halo_core.report.sky_projection import Projection, crossing, graticule, projection_of, ra_span
from halo_core.stages import host_places
from halo_core.stages.host_places import HEALPIX_NSIDE, gather_hosts
from halo_core.survey.regions import region_of

WHOLE_SKY = Projection(80.0, 0.0, is_whole_sky=True)
ACROSS_0H = Projection(0.0, -30.0, is_whole_sky=False)


def outline(projection: Projection, cell: int, nside: int) -> np.ndarray:
    """Return the corners of a HEALPix cell on the map."""
    lon, lat = HEALPix(nside=nside, order="nested").boundaries_lonlat([cell], step=32)
    return projection.outline(lon[0].to_value(units.deg), lat[0].to_value(units.deg))


def area(corners: np.ndarray) -> float:
    """Return the area within corners."""
    x, y = corners.T
    return 0.5 * abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))))


@pytest.mark.parametrize("projection", [WHOLE_SKY, ACROSS_0H])
def test_right_ascension_grows_to_the_left_and_declination_upwards(projection):
    x, y = projection.xy([projection.ra_deg + 5.0, projection.ra_deg - 5.0], [10.0, -10.0])
    assert x[0] < 0.0 < x[1]
    assert y[0] > y[1]


@pytest.mark.parametrize("projection", [WHOLE_SKY, ACROSS_0H])
@pytest.mark.parametrize(("ra", "dec"), [(0.2, -29.0), (20.0, -60.0), (80.0, 12.0)])
def test_a_region_has_its_area_on_the_sky(projection, ra, dec):
    cell = int(region_of(np.array([ra]), np.array([dec]), 16)[0])
    assert area(outline(projection, cell, 16)) == pytest.approx(360.0**2 / np.pi / (12 * 16**2), rel=2e-3)


def test_a_region_across_0h_is_in_one_piece_and_holds_its_hosts():
    cell = int(region_of(np.array([359.9]), np.array([-16.96]), 16)[0])
    corners = outline(ACROSS_0H, cell, 16)
    assert np.ptp(corners[:, 0]) < 8.0
    ra, dec = np.array([358.5, 1.4]), np.array([-16.9, -17.0])
    assert region_of(ra, dec, 16).tolist() == [cell] * 2
    x, y = ACROSS_0H.xy(ra, dec)
    assert (np.column_stack([x, y]) > corners.min(axis=0)).all()
    assert (np.column_stack([x, y]) < corners.max(axis=0)).all()


def test_a_region_at_the_cut_of_the_whole_sky_stays_on_one_side():
    cell = int(region_of(np.array([260.0]), np.array([3.0]), 4)[0])
    assert np.ptp(outline(WHOLE_SKY, cell, 4)[:, 0]) < 40.0


def test_hosts_across_0h_are_a_part_of_the_sky_with_their_middle_between_them():
    projection = projection_of(np.array([359.0, 1.0]), np.array([-1.0, 1.0]))
    assert (projection.is_whole_sky, projection.ra_deg % 360.0, projection.dec_deg) == (False, 0.0, 0.0)


def test_the_whole_sky_is_cut_in_the_widest_gap_between_hosts():
    ra = np.array([200.0, 300.0, 20.0, 60.0])
    assert ra_span(ra) == (200.0, 220.0)
    assert projection_of(ra, np.zeros(4)) == Projection(310.0, 0.0, is_whole_sky=True)


def test_meridians_are_named_where_they_meet_the_side():
    meridians, parallels = graticule(Projection(0.0, 0.0, is_whole_sky=False), (6.0, 6.0))
    places = {value: crossing(line, axis=1, at=-3.0) for value, line in meridians}
    assert {value: round(x, 1) for value, x in places.items() if x is not None and abs(x) <= 3.0} == {
        358.0: 2.0,
        359.0: 1.0,
        0.0: 0.0,
        1.0: -1.0,
        2.0: -2.0,
        357.0: 3.0,
        3.0: -3.0,
    }
    assert crossing(dict(parallels)[1.0], axis=0, at=3.0) == pytest.approx(1.0, abs=0.01)


def block(number: int, *, n: int, hosts: range) -> pa.Table:
    """Return rows of a manifest's block: these hosts again and again."""
    ids = [hosts[row % len(hosts)] for row in range(n)]
    ra, dec = np.array([(350.0 + 0.01 * i) % 360.0 for i in ids]), np.array([0.001 * i for i in ids])
    return pa.table(
        {
            "host_id": [f"h{i}" for i in ids],
            "ra": ra,
            "dec": dec,
            "region_id": region_of(ra, dec, 64),
            "region_split": ["train" if number else "test"] * n,
        }
    )


def test_a_host_counts_once_whatever_its_rows_and_blocks_and_their_order():
    blocks = [block(1, n=50, hosts=range(20)), block(1, n=40, hosts=range(15, 40)), block(0, n=9, hosts=range(40, 45))]
    found = gather_hosts(blocks, nside=64)
    assert found.num_rows == 45
    assert set(found["n_hosts"].to_pylist()) == {1}
    assert found.equals(gather_hosts(reversed(blocks), nside=64))
    assert found.schema.metadata == {HEALPIX_NSIDE: b"64"}
    assert gather_hosts(blocks, nside=32).schema.metadata is None


def test_many_hosts_are_one_place_of_each_region_and_cell_and_still_count(monkeypatch):
    blocks = [block(1, n=300, hosts=range(300))]
    every = gather_hosts(blocks, nside=64)
    monkeypatch.setattr(host_places, "MOST_PLACES", 40)
    few = gather_hosts(blocks, nside=64)
    assert 10 < few.num_rows <= 40
    assert sum(few["n_hosts"].to_pylist()) == 300
    assert set(few["region_id"].to_pylist()) == set(every["region_id"].to_pylist())
    assert set(few["ra_deg"].to_pylist()) <= set(every["ra_deg"].to_pylist())


def test_a_map_tells_hosts_and_regions_of_each_split_and_has_none_without_hosts():
    found = gather_hosts([block(1, n=30, hosts=range(30)), block(0, n=12, hosts=range(200, 212))], nside=64)
    figure = sky_map(found)
    assert "Map of 42 hosts: train 30 hosts in 3 regions and test 12 hosts in 1 region." in figure.description
    assert "right ascension 350.0 to 352.1 deg" in figure.description
    texts = [text.get_text() for text in figure.draw().texts]
    assert texts == ["train: 30 hosts", "test: 12 hosts"]
    assert sky_map(None) is None
    assert sky_map(gather_hosts([], nside=64)) is None
