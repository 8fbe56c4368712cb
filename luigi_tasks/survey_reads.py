"""The right to read a survey: a Luigi resource that a block holds while it fetches, and gives back before it injects.

Luigi lets a running task give resources back, but its local scheduler never hears of it from a task that runs in a process of its own,
which speaks to its copy of the scheduler. So what a running task holds stands in memory that it shares with the process of the scheduler.
"""

from collections.abc import ItemsView
from ctypes import c_long
from multiprocessing.sharedctypes import RawValue
from urllib.parse import urlsplit

from luigi_tasks.http_files import SCHEMES

FILES = "survey_reads"
"""The resource of surveys in a folder or on S3."""


def reads_resource(survey_root: str) -> str:
    """Return the name of the resource that reading a survey takes: of a server, one of its host's own, such as reads_portal.nersc.gov."""
    if not survey_root.startswith(SCHEMES):
        return FILES
    return f"reads_{urlsplit(survey_root).hostname}".replace(":", "-")  # a colon ends a name in luigi.cfg


class Returnable(dict[str, int]):
    """Resources of a task, of which it may give back what it holds while it runs; the scheduler takes a copy when it starts the task."""

    def copy(self) -> "Returnable":
        """Return what a task holds that starts now."""
        return _Held(self)


class _Held(Returnable):
    """What a running task holds, in memory that a process shares with those it forks."""

    def __init__(self, amounts: dict[str, int]) -> None:
        super().__init__(amounts)
        self._held = {name: RawValue(c_long, amount) for name, amount in amounts.items()}

    def __getitem__(self, name: str) -> int:
        return int(self._held[name].value)

    def __setitem__(self, name: str, amount: int) -> None:
        self._held[name].value = amount

    def items(self) -> ItemsView[str, int]:
        """Return what is held now."""
        return {name: self[name] for name in self._held}.items()
