"""Laws of the supervisor: what dies is started again until it is done, nothing outlives it, and hopeless work ends."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from halo_command.supervisor import STOPPING, Patience, Supervisor
from halo_core.errors import ConfigurationError
from tests.fixtures.commands import BIN

TIMEOUT_S = 60
said: list[str] = []


@pytest.fixture(autouse=True)
def _signals() -> Iterator[None]:
    """Give the signals back that a supervisor takes over."""
    before = {number: signal.getsignal(number) for number in STOPPING}
    said.clear()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def run(program: str, *, limit: int = 10, is_service: bool = False) -> int:
    """Supervise a Python program to its end."""
    patience = Patience(first_pause_s=0.05, longest_pause_s=0.1, limit=limit)
    return Supervisor([sys.executable, "-c", program], said.append, patience, is_service=is_service).run()


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that waits to be reaped does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def wait_for(path: Path) -> None:
    """Wait until a file holds something."""
    deadline = time.monotonic() + TIMEOUT_S
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline, f"{path} is not there"
        time.sleep(0.02)


def test_a_command_that_is_killed_or_fails_is_started_again_until_it_succeeds(tmp_path: Path) -> None:
    book = tmp_path / "book"
    program = f"""
import os, signal, sys
with open({str(book)!r}, "a+") as book:
    book.write("x"); book.seek(0); n = len(book.read())
if n == 1: os.kill(os.getpid(), signal.SIGKILL)
sys.exit(30 if n == 2 else 0)
"""
    assert run(program) == 0
    assert book.read_text() == "xxx"
    assert ["was killed by SIGKILL" in said[0], "ended with exit code 30" in said[1], len(said)] == [True, True, 2]


@pytest.mark.parametrize(("program", "code"), [("raise SystemExit(7)", 7), ("import os; os.kill(os.getpid(), 9)", 128 + 9)])
def test_a_command_that_always_fails_is_given_up_and_its_code_passed_on(program: str, code: int) -> None:
    assert run(program, limit=3) == code
    assert ["starts again" in line for line in said] == [True, True, False]
    assert "given up" in said[-1]


def test_a_wrong_command_line_is_not_tried_twice() -> None:
    assert run("raise SystemExit(2)") == 2
    assert said == []
    with pytest.raises(ConfigurationError, match="cannot start no-such-command"):
        Supervisor(["no-such-command"], said.append).run()


def test_a_service_is_started_again_after_it_ended_well() -> None:
    assert run("pass", limit=4, is_service=True) == 0
    assert ["starts again" in line for line in said] == [True, True, True, False]


def test_what_a_dead_command_left_running_is_gone_before_it_starts_again(tmp_path: Path) -> None:
    book = tmp_path / "book"
    program = f"""
import pathlib, os, subprocess, sys
book = pathlib.Path({str(book)!r})
if book.exists(): sys.exit(0)
left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
book.write_text(str(left.pid))
os.kill(os.getpid(), 9)
"""
    assert run(program) == 0
    assert not is_alive(int(book.read_text()))


@pytest.mark.parametrize(("options", "code"), [((), 128 + signal.SIGTERM), (("--service",), 0)])
def test_a_supervisor_that_is_told_to_stop_stops_what_it_runs_even_where_that_is_deaf(
    tmp_path: Path, options: tuple[str, ...], code: int
) -> None:
    book = tmp_path / "book"
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    program = f"import os, pathlib, signal, time; {deaf}\npathlib.Path({str(book)!r}).write_text(str(os.getpid())); time.sleep(600)"
    words = [str(BIN / "halo"), "supervise", "--grace-s", "0.3", *options, "--", sys.executable, "-c", program]
    process = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    try:
        wait_for(book)
        process.terminate()
        assert process.wait(TIMEOUT_S) == code
    finally:
        process.kill()
        process.wait()
    assert not is_alive(int(book.read_text()))


def test_a_supervisor_loads_nothing_of_what_it_supervises() -> None:
    """It stands beside every service for days: all that it needs is there at once, in a few megabytes."""
    program = "import sys; from halo_command import main; main.main(['supervise', '--help'], standalone_mode=False); print(*sys.modules)"
    *said, modules = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "--grace-s" in "".join(said)
    assert {"halo_command.supervisor", "click"} <= set(modules.split())
    assert not {"luigi_tasks", "luigi", "numpy", "pyarrow", "sqlalchemy"} & set(modules.split())
