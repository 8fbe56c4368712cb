"""Proof of fetching: planes of a server that misbehaves come to S3, through kills, each right or lost for its reason, none twice.

The suite takes 100 planes; `make fetch-proof` takes 2,000.
"""

import json
import multiprocessing
import os
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from halo_core.constants import BANDS
from halo_core.seeds import hash_order
from halo_core.stages.cache import planes_needed
from halo_core.survey.layout import checksums_key, plane_key, planes_for
from halo_core.survey.mock import MockSurvey, mock_bricks
from luigi_tasks import fetch
from luigi_tasks.fetch import ABSENT, MAX_ATTEMPTS
from luigi_tasks.object_protocol import sha256_of
from luigi_tasks.objects import Objects, open_objects
from tests.fixtures.fetching import fetch_given
from tests.fixtures.http_archive import Archive, Fault, archive_of
from tests.fixtures.planes import compressed_plane, plane_of_brick
from tests.fixtures.services import wait_until
from tests.fixtures.storage import BUCKET, S3Server, name_server

N_BRICKS, SIDE_PIX, CONNECTIONS = int(os.environ.get("HALO_PROOF_BRICKS", "10")), 16, 4
KILLS_AT = (0.2, 0.5, 0.8)
SHARE = 0.05
N_LONG_WAITS = 8
N_EVER = 10**6
CACHED, MARK, LEASE = "cache/proof/coadd", ".sha256", ".lease"

FAULTS = {
    "slow": Fault(wait_s=0.1),
    "truncated": Fault(n_sent=3000),
    "reset": Fault(n_sent=3000, is_reset=True),
    "broken": Fault(status=500),
    "busy": Fault(status=429, headers={"Retry-After": "0"}),
    "other once": Fault(body=b"<html>please log in</html>" * 99),
    "other always": Fault(body=b"<html>please log in</html>" * 99, times=N_EVER),
    "moved": Fault(status=302),
}
KINDS = (*FAULTS, "absent")

CLEAN = multiprocessing.get_context("forkserver")
"""Where processes come from: one that has loaded the pipeline, has one thread and has fetched nothing."""
CLEAN.set_forkserver_preload(["luigi_tasks.fetch", "luigi_tasks.s3"])


@dataclass
class Proof:
    """What was planted, and what happened."""

    archive: Archive
    objects: Objects
    wanted: list[tuple[str, str]]
    kind_by_key: dict[str, str]
    rows: list[dict[str, Any]] = field(default_factory=list)
    kept_at_kills: list[tuple[int, set[str]]] = field(default_factory=list)
    n_in_flight: int = 0

    def asked(self) -> list[str]:
        """Return the keys of planes in the order in which they were asked for."""
        return [path.lstrip("/") for _, path, _, _ in self.archive.asked if path.startswith("/coadd/")]


def kinds_of(keys: list[str]) -> dict[str, str]:
    """Return what goes wrong with planes: the same share of them for each kind, nothing with the rest."""
    order, n_each = hash_order(keys, "fault"), round(SHARE * len(keys))
    chosen = np.argsort(order)[: n_each * len(KINDS)]
    return {keys[place]: KINDS[number // n_each] for number, place in enumerate(chosen.tolist())}


def make_archive(folder: Path) -> list[tuple[str, str]]:
    """Write every brick's small planes, and a list of checksums for every second brick; return what is wanted of them."""
    parameters = MockSurvey(seed=41, n_bricks=N_BRICKS, brick_size_pix=160, lrgs_per_brick=1)
    bricks = {brick.brickname: replace(brick, size_pix=SIDE_PIX) for brick in mock_bricks(parameters)}
    wanted = planes_needed(bricks, BANDS)
    shape = (SIDE_PIX, SIDE_PIX)
    plain = {plane: compressed_plane(plane, np.full(shape, 7, "i2" if plane == "maskbits" else "f4")) for plane in planes_for(BANDS)}
    for number, (brickname, plane) in enumerate(wanted):
        path, listed = folder / plane_key(brickname, plane), folder / checksums_key(brickname)
        for file in (path, listed):
            file.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(plane_of_brick(plain[plane], plane, parameters, bricks[brickname]))
        if number // len(plain) % 2:
            with listed.open("a") as file:
                file.write(f"{sha256_of(path)} *{path.name}\n")
    return wanted


def plant(archive: Archive, keys: list[str]) -> dict[str, str]:
    """Let the server go wrong with a share of the planes; return what goes wrong with each of them."""
    kind_by_key = kinds_of(keys)
    n_busy = 0
    for key, kind in kind_by_key.items():
        if kind == "absent":
            (archive.folder / key).unlink()
            continue
        headers = {"Location": f"/{key}"} if kind == "moved" else {}
        if kind == "busy":
            n_busy += 1
            headers = {"Retry-After": "1" if n_busy <= N_LONG_WAITS else "0"}
        archive.faults.append(replace(FAULTS[kind], part=key, headers=headers))
    return kind_by_key


def run_to(proof: Proof, given: Path, n_asked: int | None) -> None:
    """Fetch in a process of its own, which is killed as soon as so many planes were asked for, if any."""
    n_before = len(proof.asked())
    process = CLEAN.Process(target=fetch_given, args=(given,))
    process.start()
    try:
        if n_asked is None:
            process.join()
            assert process.exitcode == 0
            return
        wait_until(lambda: len(proof.asked()) >= n_asked or not process.is_alive(), f"{n_asked} requests", pause_s=0.01)
        assert process.is_alive()
    finally:
        process.kill()
        process.join()
    marks = {
        key.removeprefix("cache/proof/").removesuffix(".sha256") for key in proof.objects.list_sizes(CACHED) if key.endswith(".sha256")
    }
    asked = proof.asked()
    lost = {key for key, kind in proof.kind_by_key.items() if kind in ("absent", "other always")}
    proof.kept_at_kills.append((len(asked), marks))
    proof.n_in_flight += len(set(asked[n_before:]) - marks - lost)


@pytest.fixture(scope="module")
def proof(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proof]:
    """The planes, fetched by four processes of which three were killed."""
    folder = tmp_path_factory.mktemp("proof")
    wanted = make_archive(folder / "archive")
    settings = {"connections": CONNECTIONS, "backoff_s": 0.01, "timeout_s": 30.0, "local_copies": str(folder / "copies")}
    with pytest.MonkeyPatch.context() as patch, archive_of(folder / "archive") as archive:
        name_server(patch, s3_server.url)
        patch.chdir(folder)
        given, root = folder / "given.json", f"s3://{BUCKET}/{uuid.uuid4().hex}"
        content = {"url": archive.url, "settings": settings, "objects": root, "wanted": wanted, "rows": str(folder / "rows.json")}
        given.write_text(json.dumps(content))
        found = Proof(archive, open_objects(root), wanted, plant(archive, [plane_key(*pair) for pair in wanted]))
        for share in KILLS_AT:
            run_to(found, given, round(share * len(wanted)))
        run_to(found, given, None)
        found.rows = json.loads((folder / "rows.json").read_text())
        yield found


def test_every_plane_is_right_or_lost_for_the_right_reason(proof: Proof) -> None:
    assert [(row["brickname"], row["plane"]) for row in proof.rows] == proof.wanted
    for row in proof.rows:
        key = plane_key(row["brickname"], row["plane"])
        kind, file = proof.kind_by_key.get(key, ""), proof.archive.folder / key
        if kind == "absent":
            assert (row["status"], row["reason"], row["key"]) == ("missing", ABSENT, None)
        elif kind == "other always":
            assert (row["status"], row["attempts"], row["key"]) == ("unverified", MAX_ATTEMPTS, None)
            assert "the archive's list says" in row["reason"] or "not readable as FITS" in row["reason"]
        else:
            assert (row["status"], row["reason"], row["sha256"], row["n_bytes"]) == ("ok", None, sha256_of(file), file.stat().st_size)
            assert proof.objects.read(row["key"]) == file.read_bytes()
            assert proof.objects.read(f"{row['key']}.sha256").decode() == f"{row['sha256']}\n"


def test_each_kind_of_fault_was_met_by_a_twentieth_of_the_planes(proof: Proof) -> None:
    counts = Counter(proof.kind_by_key.values())
    assert set(counts) == set(KINDS)
    assert set(counts.values()) == {round(SHARE * len(proof.wanted))}
    assert all(fault.times == 0 for fault in proof.archive.faults if fault.times < N_EVER / 2)
    assert len(proof.kept_at_kills) == len(KILLS_AT)
    assert all(marks for _, marks in proof.kept_at_kills)


def test_requests_are_the_planes_the_faults_and_what_was_in_flight_at_the_kills(proof: Proof) -> None:
    n_by_kind = Counter(proof.kind_by_key.values())
    n_once = sum(n_by_kind[kind] for kind in ("truncated", "reset", "broken", "busy", "other once", "moved"))
    n_lost = n_by_kind["other always"]
    n_limit = len(proof.wanted) - n_lost + n_once + MAX_ATTEMPTS * n_lost * (1 + len(KILLS_AT)) + proof.n_in_flight
    assert len(proof.wanted) < len(proof.asked()) <= n_limit
    assert proof.n_in_flight <= len(KILLS_AT) * fetch.THREADS_PER_CONNECTION * CONNECTIONS
    assert proof.archive.most_at_once <= CONNECTIONS
    n_lists = Counter(path for _, path, _, _ in proof.archive.asked if path.startswith("/tractor/"))
    assert max(n_lists.values()) <= 1 + len(KILLS_AT)
    assert n_lists.total() <= N_BRICKS * (1 + len(KILLS_AT))


def test_nothing_is_asked_for_once_it_is_kept(proof: Proof) -> None:
    asked = proof.asked()
    for n_asked, marks in proof.kept_at_kills:
        assert not marks & set(asked[n_asked:])


def test_a_killed_process_leaves_nothing_but_leases_of_what_it_had_just_put(proof: Proof) -> None:
    kept, found = {row["key"] for row in proof.rows if row["key"]}, set(proof.objects.list_sizes(CACHED))
    leases = {key.removesuffix(LEASE) for key in found if key.endswith(LEASE)}
    assert leases <= kept
    assert len(leases) <= len(KILLS_AT) * fetch.THREADS_PER_CONNECTION * CONNECTIONS
    assert {key for key in found if not key.endswith(LEASE)} == kept | {f"{key}{MARK}" for key in kept}
