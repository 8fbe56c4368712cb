"""Progress of long work: a line in the terminal every few seconds, and the task's bar, message and link on the scheduler's page."""

import logging
import time
from pathlib import Path

import luigi

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 2.0


class Progress:
    """Counts steps of one task and says how fast and how long still."""

    def __init__(self, name: str, *, total: int, unit: str, task: luigi.Task | None) -> None:
        self._name = name
        self._total = total
        self._unit = unit
        self._task = task
        self._done = 0
        self._start = time.monotonic()
        self._last_line = self._start

    def step(self, n: int) -> None:
        """Count n more units."""
        self._done += n
        now = time.monotonic()
        is_last = self._done >= self._total
        if not is_last and now - self._last_line < _SECONDS_BETWEEN_LINES:
            return
        self._last_line = now
        text = describe(self._name, done=self._done, total=self._total, unit=self._unit, elapsed_s=now - self._start)
        logger.info("%s", text)
        if self._task is not None:
            report(self._task, done=self._done, total=self._total, text=text)


def describe(name: str, *, done: int, total: int, unit: str, elapsed_s: float) -> str:
    """Return one line: how much is done, the rate, the time left."""
    rate = done / elapsed_s if elapsed_s > 0 else 0.0
    left = f"about {duration((total - done) / rate)} left" if rate > 0 and done < total else "done" if done >= total else "starting"
    return f"{name}: {done:,} of {total:,} {unit}, {rate:,.1f}/s, {left}"


def duration(seconds: float) -> str:
    """Return a length of time as a person reads it."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def report(task: luigi.Task, *, done: int, total: int, text: str) -> None:
    """Show progress on the scheduler's page; a task run by hand has no scheduler to tell."""
    if task.set_progress_percentage is not None:
        task.set_progress_percentage(round(100 * done / total) if total else 100)
    if task.set_status_message is not None:
        task.set_status_message(text)


def link(task: luigi.Task, uri: str) -> None:
    """Let the scheduler's page link to where a task's work is found; a path becomes a file's URI."""
    if task.set_tracking_url is not None:
        task.set_tracking_url(uri if "://" in uri else Path(uri).absolute().as_uri())
