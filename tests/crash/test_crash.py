"""Law of crash safety: whoever is killed, and whenever, the campaign ends as if nothing had happened, by the supervisors alone."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from halo_core.store.sessions import begin
from tests.crash.chaos import TARGETS, Chaos, report
from tests.crash.content import content_of, held_leases
from tests.fixtures.campaigns import Place

LEASE = "UPDATE blocks SET lease_owner = 'a', lease_until = CURRENT_TIMESTAMP WHERE block = 0"


def test_kills_of_workers_scheduler_postgres_and_s3_leave_what_an_undisturbed_run_leaves(team_folder: Path) -> None:
    chaos = Chaos(team_folder, n_kills=7, seed=4, n_bricks=8, pause_s=(0.5, 5.0))
    found, calm = chaos.run()
    assert found.differences(calm) == []
    assert len(calm.objects) > 300
    assert calm.rows["injection_results"].total() > 20
    assert {kill.what for kill in chaos.kills} == set(TARGETS)
    assert "| objects, by key and content |" in report(chaos, found, calm)


def test_the_comparison_sees_an_orphan_a_changed_object_a_lost_row_and_a_lease(done_place: Place, copied_place: Place) -> None:
    calm, place = content_of(done_place.objects, done_place.state_url), copied_place
    assert content_of(place.objects, place.state_url).differences(calm) == []
    assert held_leases(place.state_url) == []
    place.objects.put("injection/orphan/block=00000/hosts.parquet", b"halo")
    key = next(key for key in calm.objects if key.endswith("/_plan.json"))
    place.objects.put(key, b"{}")
    with begin(place.state_url) as connection:
        connection.execute(sa.text("DELETE FROM completeness_cells WHERE cell = 0"))
        connection.execute(sa.text(LEASE))
    words = [line.split()[0] for line in content_of(place.objects, place.state_url).differences(calm)]
    assert words.count("object") == 2
    assert "completeness_cells:" in words
    assert held_leases(place.state_url) != []


def test_a_mark_that_names_other_bytes_than_are_there_is_found(copied_place: Place) -> None:
    key = next(key for key in copied_place.objects.list_sizes("") if key.endswith("hosts.parquet"))
    copied_place.objects.put(key, b"halo")
    with pytest.raises(AssertionError, match="_stage_config"):
        content_of(copied_place.objects, copied_place.state_url)
