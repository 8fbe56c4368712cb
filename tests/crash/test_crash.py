"""Law of crash safety: whoever is killed, and whenever, the campaign ends as if nothing had happened, by the supervisors alone."""

from pathlib import Path

from tests.crash.chaos import TARGETS, Chaos, report


def test_kills_of_workers_scheduler_postgres_and_s3_leave_what_an_undisturbed_run_leaves(team_folder: Path) -> None:
    chaos = Chaos(team_folder, n_kills=7, seed=4, n_bricks=8, pause_s=(0.5, 5.0))
    found, calm = chaos.run()
    assert found.differences(calm) == []
    assert len(calm.objects) > 300
    assert calm.rows["injection_results"].total() > 20
    assert {kill.what for kill in chaos.kills} == set(TARGETS)
    assert "| objects, by key and content |" in report(chaos, found, calm)
