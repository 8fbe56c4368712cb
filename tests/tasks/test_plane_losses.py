"""Laws of the table that closes the cache: every plane is in one row, and what differs in a file's name or number alone is one reason."""

import logging

import pytest
from click.testing import CliRunner
from luigi.execution_summary import LuigiStatusCode

from halo_core.records import PLANES
from halo_core.store.cache import store_planes
from halo_core.store.sessions import begin, read
from halo_core.survey.layout import planes_for
from luigi_tasks import CacheCoadds
from luigi_tasks.cli import main
from luigi_tasks.fetch import ABSENT
from luigi_tasks.plane_losses import outcome_lines, plane_outcomes
from tests.fixtures.campaigns import Place
from tests.fixtures.databases import rows_of

REASONS = (
    None,
    None,
    ABSENT,
    "legacysurvey-0001p000-image-r.fits.fz: truncated, 12 of 345 bytes",
    "legacysurvey-0002p000-image-g.fits.fz: truncated, 6 of 7 bytes",
    f"legacysurvey-0003p000-nexp-g.fits.fz: sha256 {'ab' * 32}, the archive's list says {'01' * 32}",
)
TIMES = "SELECT brickname, plane, fetched_at, fetch_seconds FROM coadd_planes WHERE fetch_seconds IS NOT NULL ORDER BY brickname, plane"


def test_reasons_that_differ_in_the_file_or_in_numbers_alone_are_one(migrated_url: str) -> None:
    names = [f"image-{letter}" for letter in "abcdef"]
    status = ["ok", "ok", "missing", "unverified", "unverified", "unverified"]
    n_bytes = [2_000_000, 1_000_000, None, None, None, None]
    rows = rows_of(PLANES, 6, brickname="n1", plane=names, block=0, status=status, reason=list(REASONS), n_bytes=n_bytes)
    with begin(migrated_url) as connection:
        store_planes(connection, rows, stage_digest="d", block=0)
    with read(migrated_url) as connection:
        assert [tuple(found) for found in plane_outcomes(connection, "d")] == [
            ("ok", "", 2, 3_000_000),
            ("unverified", "truncated, # of # bytes", 2, 0),
            ("missing", ABSENT, 1, 0),
            ("unverified", "sha256 #, the archive's list says #", 1, 0),
        ]
        assert outcome_lines(connection, "d")[0] == "ok                   2 planes       0.003 GB"
        assert outcome_lines(connection, "other") == []


def test_after_each_block_the_log_says_how_many_planes_of_the_whole_stage_are_done(
    place_before_pixels: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place = place_before_pixels
    with caplog.at_level(logging.INFO, logger="luigi_tasks.blocks"):
        assert place.run(CacheCoadds) == LuigiStatusCode.SUCCESS
        assert place.run() == LuigiStatusCode.SUCCESS
    asked = [row["n_bricks"] * len(planes_for("grz")) for row in place.rows("SELECT n_bricks FROM blocks WHERE n_tasks > 0 ORDER BY block")]
    n_planes = sum(asked) // 2
    said = [record.message for record in caplog.records if record.name == "luigi_tasks.blocks"]
    cached, injected = said[:3], said[3:]
    assert cached[-1].startswith(f"cache: {n_planes} of {n_planes} planes, ")
    assert cached[-1].endswith("/s, done; 3 of 3 blocks")
    assert all(f" of {n_planes} planes, " in line and " left; " in line for line in cached[:-1])
    assert injected[-1].endswith(f"; 3 of 3 blocks, {n_planes} of {n_planes} planes")


def test_a_cache_that_is_done_says_once_what_became_of_its_planes_and_keeps_the_times_of_their_fetches(
    place_before_pixels: Place, caplog: pytest.LogCaptureFixture
) -> None:
    place = place_before_pixels
    with caplog.at_level(logging.INFO, logger="luigi_tasks.block_stage"):
        assert place.run(CacheCoadds) == LuigiStatusCode.SUCCESS
        times = place.rows(TIMES)
        assert place.run() == LuigiStatusCode.SUCCESS
    assert place.rows(TIMES) == times != []
    said = [record.message for record in caplog.records if record.message.startswith("cache: ") and " planes " in record.message]
    (n_ok,) = (row["n"] for row in place.rows("SELECT count(*) AS n FROM coadd_planes WHERE status = 'ok'"))
    (n_lost,) = (row["n"] for row in place.rows("SELECT count(*) AS n FROM coadd_planes WHERE status <> 'ok'"))
    assert len(said) == 2
    assert said[0].split()[1:4] == ["ok", str(n_ok), "planes"]
    assert said[1].split()[1:4] == ["missing", str(n_lost), "planes"]
    assert said[1].endswith(ABSENT)
    shown = CliRunner(env={"COLUMNS": "200"}).invoke(main, ["status", "tiny", "--state-url", place.state_url]).output
    assert all(line.removeprefix("cache: ") in shown for line in said)
    page = place.report.read_text()
    assert "Planes of the survey, by reason" in page
    assert ABSENT in page
