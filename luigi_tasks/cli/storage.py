"""`halo storage check`: what a store can do, tried."""

import hashlib
import os
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import TypeVar

import click
from rich.console import Console
from rich.table import Table

from halo_core.errors import ObjectStoreError
from luigi_tasks.objects import Objects, open_objects

_LARGE_BYTES = 20 << 20
_T = TypeVar("_T")
_N_SMALL = 20
_N_RACERS = 8
_MAX_CLOCK_OFFSET_S = 60.0


@click.group()
def storage() -> None:
    """Stores of objects: folders and S3 servers."""


@storage.command()
@click.argument("uri")
def check(uri: str) -> None:
    """Try what the pipeline asks of the store at URI, a folder or s3://bucket/prefix. Exit code 1 where something needed is missing."""
    probe = _Probe(open_objects(uri))
    table = Table("", "what", "found", title=f"halo storage check {probe.objects.root}")
    n_missing = 0
    for name, (run, is_needed) in probe.checks().items():
        try:
            table.add_row("[green]ok", name, run())
        except ObjectStoreError as error:
            n_missing += is_needed
            table.add_row("[red]no" if is_needed else "[yellow]no", name, str(error))
            if table.row_count == 1:
                break
    Console().print(table)
    if n_missing:
        sys.exit(1)


class _Probe:
    """Objects below a prefix of their own, put, read and removed again."""

    def __init__(self, objects: Objects) -> None:
        self.objects = objects
        self._base = f"probe/{uuid.uuid4().hex}"
        self._small = {f"{self._base}/small/{i:02d}": os.urandom(1000) for i in range(_N_SMALL)}
        self._large = os.urandom(_LARGE_BYTES)
        self._large_key = f"{self._base}/large"

    def checks(self) -> dict[str, tuple[Callable[[], str], bool]]:
        """Return what is tried, by name, and whether nothing works without it."""
        return {
            "put and get": (self.put_and_get, True),
            "list": (self.list, True),
            "large object": (self.large, True),
            "range": (self.range, True),
            "put if new": (self.put_if_new, True),
            "race": (self.race, False),
            "clock": (self.clock, False),
            "delete": (self.delete, True),
        }

    def put_and_get(self) -> str:
        """Return how long small objects take to put and to get back."""
        self.objects.put(f"{self._base}/first", b"halo")
        puts = [_timed(partial(self.objects.put, key, data))[0] for key, data in self._small.items()]
        gets = []
        for key, data in self._small.items():
            seconds, found = _timed(partial(self.objects.read, key))
            gets.append(seconds)
            self._expect(found == data, f"{self.objects.uri(key)} gave back other bytes than were put")
        return f"objects of 1 kB: put {1e3 * statistics.median(puts):.1f} ms, get {1e3 * statistics.median(gets):.1f} ms (medians)"

    def list(self) -> str:
        """Return how long a listing takes that must show what was just put."""
        prefix = f"{self._base}/small"
        seconds, sizes = _timed(lambda: self.objects.list_sizes(prefix))
        self._expect(
            sizes == {key: len(data) for key, data in self._small.items()}, f"{self.objects.uri(prefix)} lists {len(sizes)} objects"
        )
        return f"{len(sizes)} objects as soon as they were put, {1e3 * seconds:.1f} ms"

    def large(self) -> str:
        """Return how fast a large object goes both ways, in parts where the store has them."""
        with tempfile.TemporaryDirectory() as name:
            source, copy = Path(name) / "source", Path(name) / "copy"
            source.write_bytes(self._large)
            up, record = _timed(lambda: self.objects.copy_in(self._large_key, source))
            down, _ = _timed(lambda: self.objects.copy_out(self._large_key, copy))
            found = hashlib.sha256(copy.read_bytes()).hexdigest()
        self._expect(found == record.sha256, f"{self.objects.uri(self._large_key)} gave back other bytes than were put")
        megabytes = _LARGE_BYTES / 1e6
        return f"{megabytes:.0f} MB: put {megabytes / up:,.0f} MB/s, get {megabytes / down:,.0f} MB/s"

    def range(self) -> str:
        """Return that a piece of an object is that piece."""
        start, stop = _LARGE_BYTES // 3, _LARGE_BYTES // 3 + 1000
        self._expect(
            self.objects.read_range(self._large_key, start, stop) == self._large[start:stop], "another range came than was asked for"
        )
        return "a piece of an object alone"

    def put_if_new(self) -> str:
        """Return that a key that has an object keeps it."""
        key = f"{self._base}/new"
        answers = [self.objects.put_new(key, data) for data in (b"first", b"second")]
        self._expect(answers == [True, False] and self.objects.read(key) == b"first", f"{self.objects.uri(key)}: {answers}")
        return "the first object of a key stays"

    def race(self) -> str:
        """Return that one of several writers at once wins; without that the leases in the state keep writers apart."""
        key, start = f"{self._base}/race", Barrier(_N_RACERS)

        def write(number: int) -> bool:
            start.wait()
            return self.objects.put_new(key, str(number).encode())

        is_exclusive = self.objects.is_exclusive()
        with ThreadPoolExecutor(_N_RACERS) as racers:
            winners = [number for number, has_won in enumerate(racers.map(write, range(_N_RACERS))) if has_won]
        is_right = is_exclusive and len(winners) == 1 and self.objects.read(key) == str(winners[0]).encode()
        why = "" if is_exclusive else ", for the store does not honour If-None-Match (or hard links)"
        advice = "the leases in the state alone keep two workers from writing one commit mark"
        self._expect(is_right, f"{len(winners)} of {_N_RACERS} writers at once won{why}; {advice}")
        return f"1 of {_N_RACERS} writers at once wins: commit marks are safe without a lease"

    def clock(self) -> str:
        """Return how far the clocks are apart."""
        offset_s = self.objects.clock_offset_s()
        text = f"{offset_s:+.1f} s from this machine's clock"
        self._expect(abs(offset_s) <= _MAX_CLOCK_OFFSET_S, f"{text}; Amazon refuses requests beyond 900 s: set the clocks by NTP")
        return text

    def delete(self) -> str:
        """Return that everything is gone again."""
        keys = self.objects.list_sizes(self._base)
        for key in keys:
            self.objects.delete(key)
        left = self.objects.list_sizes(self._base)
        self._expect(not left, f"{len(left)} of {len(keys)} objects stay")
        return f"{len(keys)} objects removed"

    def _expect(self, is_right: bool, text: str) -> None:
        """Raise where the store did something else."""
        if not is_right:
            raise ObjectStoreError(text)


def _timed(action: Callable[[], _T]) -> tuple[float, _T]:
    """Return how long an action takes [s], and what it gives."""
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result
