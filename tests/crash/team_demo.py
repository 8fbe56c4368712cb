"""The demo campaign as a group runs it: Postgres, an S3 server, luigid and two workers, all on this machine, all below one folder.

Run it by `make team-demo`. Everything is stopped at the end, also after Ctrl-C; the folder stays, to look into.
"""

import argparse
import configparser
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.fixtures.campaigns import ROOT
from tests.fixtures.commands import BIN
from tests.fixtures.services import Service, Team

N_WORKERS = 2


def run(folder: Path, campaign: Path, *, n_workers: int) -> int:
    """Run a campaign with a group's services in a folder, and return how it ended: 0 where all is done."""
    config = configparser.ConfigParser(interpolation=None)
    config.read([ROOT / "luigi.cfg", campaign])
    began = time.monotonic()
    with Team(folder, config) as team:
        _say(began, f"Postgres   {team.state_url}")
        _say(began, f"objects    {team.root} at {team.s3.url}")
        _say(began, f"luigid     {team.page}")
        workers = [team.add_worker() for _ in range(n_workers)]
        _say(began, f"{n_workers} workers; logs in {folder}/*.log")
        codes = _follow(began, team, workers)
        status = [str(BIN / "halo"), "status", config["campaign"]["campaign_name"]]
        subprocess.run(status, cwd=folder, env=team.environment, check=False)
        _say(began, f"history of tasks: {len(team.postgres.execute('SELECT * FROM tasks', database='luigi_history'))} rows")
    _say(began, f"all is stopped; report: {folder / 'report.html'}")
    return max(abs(code) for code in codes)


def _follow(began: float, team: Team, workers: Sequence[Service]) -> list[int]:
    """Wait for the workers; say every few seconds how far the blocks are, by the state."""
    said = ""
    while (codes := [worker.code() for worker in workers]) and None in codes:
        found = team.rows("SELECT count(finished) AS n, count(*) AS m, count(DISTINCT lease_owner) AS w FROM blocks")[0]
        text = f"blocks     {found['n']} of {found['m']} done, {found['w']} in work"
        if text != said:
            _say(began, text)
        said = text
        time.sleep(2)
    return [code for code in codes if code is not None]


def _say(began: float, text: str) -> None:
    """Write a line with the seconds since the start."""
    sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="Made anew.")
    parser.add_argument("--campaign", type=Path, default=ROOT / "campaigns/demo.cfg")
    parser.add_argument("--workers", type=int, default=N_WORKERS)
    given = parser.parse_args()
    folder = given.folder.absolute()
    if (folder / "luigi.cfg").exists():
        shutil.rmtree(folder)
    try:
        return run(folder, given.campaign, n_workers=given.workers)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
