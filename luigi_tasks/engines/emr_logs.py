"""The last words of a step that failed, from where its cluster puts its logs; it does so some minutes late."""

import gzip
import re
import time
import zlib
from collections.abc import Iterator

from luigi_tasks.object_protocol import Objects
from luigi_tasks.objects import open_objects

_TAIL_BYTES = 4000
_STEP_LOGS = ("stderr.gz", "stdout.gz", "controller.gz")
_APPLICATION = re.compile(rb"application_\d+_\d+")
_DRIVERS_LOG = re.compile(r"container_\w+_000001/(?:stderr|stdout)\.gz")


def last_words(log_uri: str, cluster_id: str, step_id: str, *, wait_s: float, poll_s: float) -> str:
    """Return the ends of a step's logs, of its application's driver too; wait for them, and say so where they did not come.

    Parameters
    ----------
    log_uri : str
        The s3:// place of the cluster's logs, empty where it keeps none.
    wait_s, poll_s : float
        Longest wait and time between two looks [s].
    """
    if not log_uri:
        return "the cluster keeps no logs"
    objects, folder = open_objects(log_uri), f"{cluster_id}/steps/{step_id}"
    deadline = time.monotonic() + wait_s
    while not (names := _logs_in(objects, folder)):
        if not step_id or time.monotonic() >= deadline:
            return f"no logs came to {objects.uri(folder)} within {wait_s:g} s; look there later"
        time.sleep(min(poll_s, max(deadline - time.monotonic(), 0.0)))
    said = {name: _read(objects, f"{folder}/{name}") for name in names}
    for data in [*said.values()]:
        for application in dict.fromkeys(_APPLICATION.findall(data)):
            said |= dict(_driver_logs(objects, f"{cluster_id}/containers/{application.decode()}"))
    return "\n".join(f"{name}:\n{data[-_TAIL_BYTES:].decode(errors='replace').strip()}" for name, data in said.items() if data.strip())


def _logs_in(objects: Objects, folder: str) -> list[str]:
    """Return the names of a step's logs that are there."""
    there = objects.list_sizes(folder)
    return [name for name in _STEP_LOGS if f"{folder}/{name}" in there]


def _driver_logs(objects: Objects, folder: str) -> Iterator[tuple[str, bytes]]:
    """Yield the logs of an application's first container, where the driver runs that Spark was given."""
    for key in sorted(objects.list_sizes(folder)):
        name = key.removeprefix(f"{folder}/")
        if _DRIVERS_LOG.fullmatch(name):
            yield name, _read(objects, key)


def _read(objects: Objects, key: str) -> bytes:
    """Return the text of a log; one that is not whole yet says so."""
    try:
        return gzip.decompress(objects.read(key))
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        return f"cannot be read: {error}".encode()
