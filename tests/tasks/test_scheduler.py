"""Law: the chain runs against a real central scheduler with several workers, and the scheduler's page tells what was done."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from luigi.execution_summary import LuigiStatusCode

from tests.fixtures.campaigns import Place
from tests.fixtures.commands import BIN, environment, lay_out

START_S = 60.0


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def ask(port: int, question: str, **words: object) -> Any:
    """Return the answer of the scheduler's API."""
    data = urllib.parse.urlencode({"data": json.dumps(words)})
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/{question}?{data}", timeout=10) as answer:
        return json.load(answer)["response"]


@pytest.fixture
def scheduler(place_with_planes: Place) -> Iterator[int]:
    """Port of a running luigid, started in the place's folder."""
    lay_out(place_with_planes)
    port, folder = free_port(), place_with_planes.folder
    words = [str(BIN / "luigid"), "--address", "127.0.0.1", "--port", str(port), "--state-path", str(folder / "luigid.pickle")]
    with (folder / "luigid.log").open("w") as log:
        process = subprocess.Popen(words, cwd=folder, env=environment(), stdout=log, stderr=log)
        try:
            _wait_for(process, port, folder / "luigid.log")
            yield port
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait_for(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait until the scheduler answers."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            ask(port, "task_list", status="DONE", upstream_status="")
        except urllib.error.URLError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"luigid does not answer: {log.read_text()}")


def test_the_chain_succeeds_against_a_running_scheduler_that_lists_what_was_done(scheduler: int, place_with_planes: Place) -> None:
    place = place_with_planes
    options = {"local_scheduler": False, "scheduler_host": "127.0.0.1", "scheduler_port": scheduler, "workers": 2}
    assert place.build(place.task(), **options) == LuigiStatusCode.SUCCESS
    done = ask(scheduler, "task_list", status="DONE", upstream_status="")
    names = [task["name"] for task in done.values()]
    assert names.count("InjectBlock") == 3
    assert names.count("ValidateStage") == 4
    assert {"ReadSurvey", "BuildParent", "BuildManifest", "InjectAll", "SummariseCompleteness", "RenderReport", "RunCampaign"} <= set(names)
    assert ask(scheduler, "task_list", status="FAILED", upstream_status="") == {}
    blocks = [task for task in done.values() if task["name"] == "InjectBlock"]
    assert all("state_url" not in task["params"] for task in blocks)
    assert any("tasks" in (task.get("status_message") or "") for task in blocks)
    assert place.task().complete()
