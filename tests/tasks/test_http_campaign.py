"""Laws of a campaign whose survey is on a server: what it finds is what it finds in a folder, and a bad server costs requests alone."""

import configparser
import hashlib
from collections.abc import Iterator

import pytest
from luigi.execution_summary import LuigiStatusCode

from halo_core.store import schema
from halo_core.survey import layout
from halo_core.survey.mock import MockSurvey, make_mock_survey
from luigi_tasks import http_files
from luigi_tasks.http_source import forget_connections
from tests.fixtures.campaigns import MOCK, Place
from tests.fixtures.http_archive import Archive, Fault, archive_of

ROWS = (
    "SELECT task_id, flags, metrics_ok, magnification, snr_matched_r, arc_snr, task_seed FROM v_task_full ORDER BY task_id",
    "SELECT brickname, plane, status, reason, sha256, n_bytes FROM coadd_planes ORDER BY brickname, plane",
    "SELECT cell, axes, n_task, n_recovered, completeness, lower_95 FROM v_completeness ORDER BY cell",
)


class ServedPlace(Place):
    """A place that keeps its copies of a server's tables."""

    def config(self) -> configparser.ConfigParser:
        """Return the configuration, with a folder of its own for the copies."""
        parser = super().config()
        parser["fetch"]["local_copies"] = str(self.folder / "survey_copies")
        return parser


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """A survey on a server that fails now and then, with its list of sweeps."""
    folder = tmp_path_factory.mktemp("archive")
    make_mock_survey(MockSurvey(**{name: int(value) for name, value in MOCK.items()}), folder)
    sweeps = sorted((folder / layout.SWEEP_FOLDER).glob("*.fits"))
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in sweeps]
    (folder / layout.SWEEP_FOLDER / layout.CHECKSUM_LISTS[layout.SWEEP_FOLDER]).write_text("".join(lines))
    forget_connections()
    http_files.forget_files()
    with archive_of(folder) as found:
        yield found
    forget_connections()


@pytest.fixture(scope="module")
def served(archive: Archive, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The tiny campaign that read the server with two workers; tests must not change it."""
    brick = min(path.name for path in (archive.folder / layout.COADD_FOLDER).glob("*/*"))
    archive.faults += [
        Fault(f"-{brick}-", status=503, times=2),
        Fault(f"-{brick}-", n_sent=100, times=2),
        Fault(f"-{brick}-", is_reset=True, n_sent=100, times=2),
        Fault(f"-{brick}-", status=429, headers={"Retry-After": "1"}),
    ]
    place = ServedPlace(tmp_path_factory.mktemp("served"), {"survey_root": archive.url})
    schema.upgrade(place.state_url)
    assert place.run(workers=2) == LuigiStatusCode.SUCCESS
    return place


def test_a_campaign_finds_on_a_server_what_it_finds_in_a_folder(served: Place, done_place: Place) -> None:
    for query in ROWS:
        found = served.rows(query)
        assert found
        assert found == done_place.rows(query)


def test_every_plane_is_asked_for_once_and_once_more_for_each_fault(served: Place, archive: Archive) -> None:
    n_planes = served.rows("SELECT count(*) AS n FROM coadd_planes")[0]["n"]
    assert archive.counts("/coadd/") == {"GET": n_planes + 7}
    assert served.run() == LuigiStatusCode.SUCCESS
    assert archive.counts("/coadd/") == {"GET": n_planes + 7}


def test_the_state_knows_when_each_plane_was_fetched_and_how_long_that_took(served: Place) -> None:
    rows = served.rows("SELECT attempts, fetched_at, fetch_seconds FROM coadd_planes")
    assert {row["attempts"] > 0 for row in rows} >= {True}
    for row in rows:
        assert (row["fetched_at"] is not None) == (row["fetch_seconds"] is not None) == (row["attempts"] > 0)
    assert max(row["fetch_seconds"] or 0.0 for row in rows) >= 1.0  # the pause that the server asked for
