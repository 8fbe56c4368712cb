"""Laws of many executors at once: what they ask of the archive and of S3 is bounded, and they never ask the state. Drivers load in bulk.

The suite plays some dozens of executors; HALO_PROOF_EXECUTORS says how many else (make executors-proof: 200).
"""

import logging
import os
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np
import psutil
import pyarrow as pa
import pytest
import sqlalchemy as sa
from luigi.execution_summary import LuigiStatusCode

from halo_core.errors import BlocksFailedError, StoreError
from halo_core.stages.files import read_table
from halo_core.survey.layout import planes_for
from luigi_tasks import InjectAll
from luigi_tasks.block_plan import BlockPlan, block_tasks
from luigi_tasks.block_rows import BlockRows
from luigi_tasks.engines import driver
from luigi_tasks.engines.request import BlockOutcome, BlocksRequest, settings_of
from luigi_tasks.objects import Objects
from luigi_tasks.plane_locks import LEASE_S, _pauses
from luigi_tasks.s3 import S3Objects
from luigi_tasks.stage import put_table
from luigi_tasks.targets import BLOCK_MARK, PLANES_FILE, TASKS_FILE, block_prefix, committed_marks
from tests.fixtures.campaigns import BEFORE_PIXELS, Place, part_of
from tests.fixtures.executors import run_executors
from tests.fixtures.http_archive import Archive, archive_of
from tests.fixtures.http_archive import Fault as Slow
from tests.fixtures.loads import counted
from tests.fixtures.proxy import Fault, Proxy
from tests.fixtures.storage import S3Server

RESULTS = "SELECT * FROM injection_results ORDER BY task_id"
N_EXECUTORS = int(os.environ.get("HALO_PROOF_EXECUTORS", "12"))
READS, CONNECTIONS = 2, 2
LEASE_OF_TEST_S = 6.0
"""Length of the readers' leases here, and with it of the pauses of those who wait."""

PER_BLOCK, PER_PLANE = 16, 12
"""Most requests of S3 for a block and for each plane it needs, beside the looks of an executor that waits for its turn to read."""


@pytest.fixture(scope="module")
def archive(done_place: Place) -> Iterator[Archive]:
    """The survey of the done place on a server that takes its time."""
    with archive_of(Path(done_place.task().survey.root)) as found:
        found.faults.append(Slow("/coadd/", wait_s=0.2, times=1_000_000))
        yield found


@pytest.fixture
def objects(s3_server: S3Server, s3_root: str, tmp_path: Path) -> S3Objects:
    """An empty root on S3."""
    return S3Objects(s3_root, s3_server.settings(tmp_path / "cache"))


def new_request(done_place: Place, archive: Archive, proxy: Proxy, objects: S3Objects) -> BlocksRequest:
    """Return what asks for the planes of one brick in each block, brick after brick again and again, through the proxy."""
    digest = done_place.task().digest_of("cache")
    plan = replace(BlockPlan.read(done_place.objects, "cache", digest), source_id="served")
    tasks = pa.concat_tables([block_tasks(done_place.objects, plan, block) for block in range(3)])
    bricks = sorted(set(tasks["brickname"].to_pylist()))
    plan.put(objects, "cache", digest)
    for block in range(N_EXECUTORS):
        mine = tasks.filter([name == bricks[block % len(bricks)] for name in tasks["brickname"].to_pylist()])
        put_table(objects, f"{block_prefix('manifest', plan.manifest_digest, block)}/{TASKS_FILE}", mine)
    own = {"endpoint_url": proxy.url, "region": "us-east-1", "max_attempts": "5", "local_cache": str(Path("cache").absolute())}
    sections = settings_of() | {"fetch": {"connections": str(CONNECTIONS)}}
    sections["objects"] = {**sections["objects"], **own}
    return BlocksRequest("cache", digest, objects.root, archive.url, tuple(range(N_EXECUTORS)), sections, {}, READS)


def test_many_executors_keep_to_the_archive_s_limit_ask_s3_a_bounded_number_of_times_and_never_a_database(
    done_place: Place, archive: Archive, s3_proxy: Proxy, objects: S3Objects, tmp_path: Path
) -> None:
    request = new_request(done_place, archive, s3_proxy, objects)
    refused: set[tuple[str, str]] = set()

    def is_first_put(method: str, path: str) -> bool:
        is_new = (
            method == "PUT" and any(part in path for part in ("_commit.json", PLANES_FILE, "/readers/")) and (method, path) not in refused
        )
        refused.update({(method, path)} if is_new else ())
        return is_new

    s3_proxy.faults.append(Fault(is_first_put, refuse=503))
    ports = [urlsplit(url).port or 0 for url in (archive.url, s3_proxy.url)]
    assert run_executors(request, tmp_path, ports=ports, lease_s=LEASE_OF_TEST_S) == [BlockOutcome(block) for block in request.blocks]
    assert archive.most_at_once <= READS * CONNECTIONS
    assert len(refused) == 2 * N_EXECUTORS + READS
    assert set(committed_marks(objects, "cache", request.digest, request.blocks)) == set(request.blocks)
    found, expected = (rows_of_bricks(store, request) for store in (objects, done_place.objects))
    assert found == {pair: row for pair, row in expected.items() if pair in found}
    looks = [path for method, path in s3_proxy.asked if "/readers/" in path or ("list-type" in path and "readers" in unquote(path))]
    others = len(s3_proxy.asked) - len(looks) - len(refused)
    assert others <= N_EXECUTORS * (
        PER_BLOCK + PER_PLANE * len(planes_for(BlockPlan.read(objects, "cache", request.digest).injection.bands))
    )


def rows_of_bricks(objects: Objects, request: BlocksRequest) -> dict[tuple[str, str], tuple[object, ...]]:
    """Return what became of each plane, by brick and plane, of the blocks that are there."""
    marks = committed_marks(objects, "cache", request.digest, request.blocks)
    tables = [read_table(objects.path(f"{block_prefix('cache', request.digest, block)}/{PLANES_FILE}")) for block in marks]
    rows = [row for table in tables for row in table.to_pylist()]
    return {(row["brickname"], row["plane"]): (row["status"], row["sha256"], row["n_bytes"]) for row in rows}


def test_who_waits_for_its_turn_looks_ever_more_rarely_and_not_in_step_with_others() -> None:
    owners = [f"{number:032x}" for number in range(200)]
    pauses = np.array([list(islice(_pauses(owner, LEASE_S), 400)) for owner in owners])
    looks = np.cumsum(pauses, axis=1)
    assert (pauses <= LEASE_S / 2).all()
    assert (pauses >= LEASE_S / 120).all()
    for minutes in (1, 10, 60):
        assert (looks <= 60.0 * minutes).sum(axis=1).max() <= 12 + 60.0 * minutes / (LEASE_S / 4)
    in_each_second = np.histogram(looks, bins=np.arange(120.0, 600.0))[0]
    assert in_each_second.max() < 2 * in_each_second.mean() < 2 * len(owners) / 10.0


def committed_place(done_place: Place, folder: Path, **settings: str) -> Place:
    """Return a copy of the done place whose blocks go to Spark; all are committed, and the state has none of their rows."""
    place = part_of(done_place, folder, (*BEFORE_PIXELS, "cache", "injection"))
    return replace(place, settings={"engine.name": "spark", **settings})


def test_a_driver_loads_several_blocks_in_a_transaction_on_one_connection_at_a_time_and_renews_its_leases_between(
    done_place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, leases = committed_place(done_place, tmp_path), dict[int, str]()
    monkeypatch.setattr(driver, "_ROWS_OF_BLOCKS_AT_ONCE", 2)
    read_rows, store = BlockRows.read, BlockRows.store

    def reading(*words: Any) -> BlockRows:
        leases[words[3]] = min(row["lease_until"] for row in place.rows("SELECT lease_until FROM blocks WHERE lease_owner IS NOT NULL"))
        return read_rows(*words)

    def storing(rows: BlockRows, connection: sa.Connection) -> None:
        loads.stored.append(rows.block)
        store(rows, connection)

    monkeypatch.setattr(BlockRows, "read", reading)
    monkeypatch.setattr(BlockRows, "store", storing)
    with counted(place.state_url) as loads:
        assert place.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert loads.most_open == 1
    assert [stored for stored in loads.transactions if stored] == [[0, 1], [2]]
    assert leases[0] == leases[1] < leases[2]


def test_a_database_that_goes_away_ends_the_driver_and_what_it_submitted_and_a_rerun_finds_what_is_committed(
    done_place: Place, tmp_path: Path
) -> None:
    place = part_of(done_place, tmp_path, (*BEFORE_PIXELS, "cache"))
    program, state, pid = tmp_path / "submit", tmp_path / "halo_data/state.sqlite", tmp_path / "pid"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}\nmv {state} {state}.away\nexec sleep 300\n")
    program.chmod(0o755)
    settings = {"engine.name": "spark", "spark.program": str(program), "spark.poll_s": "0.2", "state.lease_seconds": "1"}
    error = replace(place, settings=settings).error(InjectAll)
    assert isinstance(error, StoreError)
    assert not psutil.pid_exists(int(pid.read_text()))
    for file in state.parent.glob("state.sqlite*"):
        if file.suffix != ".away":
            file.unlink()
    Path(f"{state}.away").rename(state)
    again = replace(place, settings={"state.lease_seconds": "1"})
    assert again.run(InjectAll) == LuigiStatusCode.SUCCESS
    assert again.rows(RESULTS) == done_place.rows(RESULTS)


def test_a_database_that_comes_back_while_leases_last_is_asked_again_and_nothing_is_done_twice(
    done_place: Place, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = committed_place(done_place, tmp_path, **{"spark.poll_s": "0.2", "state.lease_seconds": "60"})
    last = place.objects.path(f"{block_prefix('injection', place.task().digest_of('injection'), 2)}/{BLOCK_MARK}")
    program, state = tmp_path / "submit", tmp_path / "halo_data/state.sqlite"
    words = f"mv {state} {state}.away; mv {last}.later {last}; sleep 2; mv {state}.away {state}; sleep 2"
    program.write_text(f"#!/bin/sh\n{words}\n")
    program.chmod(0o755)
    last.rename(f"{last}.later")
    with caplog.at_level(logging.WARNING):
        assert replace(place, settings={**place.settings, "spark.program": str(program)}).run(InjectAll) == LuigiStatusCode.SUCCESS
    assert "asked again in a while" in caplog.text
    assert place.rows(RESULTS) == done_place.rows(RESULTS)
    assert place.rows("SELECT MAX(attempts) AS most FROM blocks") == [{"most": 1}]


def test_neither_request_nor_command_line_name_the_state(done_place: Place, tmp_path: Path) -> None:
    place = part_of(done_place, tmp_path, (*BEFORE_PIXELS, "cache"))
    program = tmp_path / "submit"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\nexit 1\n')
    program.chmod(0o755)
    error = replace(place, settings={"engine.name": "spark", "spark.program": str(program)}).error(InjectAll)
    assert isinstance(error, BlocksFailedError)
    requests = list((place.objects.root / "injection").glob("*/_engine/*.json"))
    assert len(requests) == 1
    for text in (requests[0].read_text(), (tmp_path / "words").read_text()):
        assert "sqlite" not in text
        assert "state" not in text.replace(str(tmp_path), "")
