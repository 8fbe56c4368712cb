"""Law of the group's demo: what it starts it stops, also when a person stops it in the middle."""

import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.fixtures.campaigns import ROOT
from tests.fixtures.services import WAIT_S, wait_until


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return every process that works in a folder or names it."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [*(process.info["cmdline"] or ()), process.info["cwd"] or ""]
        if any(str(folder) in word for word in words) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def test_a_demo_that_is_stopped_in_the_middle_leaves_no_process(team_folder: Path) -> None:
    """Also where these tests run in the background of a shell, whose children ignore Ctrl-C."""
    words = ["env", "--default-signal=INT", sys.executable, "-m", "tests.crash.team_demo", str(team_folder)]
    demo = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: (team_folder / "worker2.log").exists(), "the workers")
        assert len(processes_of(team_folder)) >= 8
        demo.send_signal(signal.SIGINT)
        assert demo.wait(WAIT_S) == 130
    finally:
        demo.kill()
        demo.wait()
    assert processes_of(team_folder) == []
