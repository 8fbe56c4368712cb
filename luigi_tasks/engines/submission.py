"""What a driver sees of blocks that run elsewhere; and one spark-submit: started, watched, stopped, its words in a file of their own."""

import os
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

from halo_core.errors import ConfigurationError
from luigi_tasks.engines import spark_launch
from luigi_tasks.engines.executor_options import executor_options
from luigi_tasks.engines.request import ENGINE, BlocksRequest, settings_of
from luigi_tasks.engines.settings import SparkSettings
from luigi_tasks.objects import Objects
from luigi_tasks.targets import stage_prefix


class Running(Protocol):
    """Blocks that are worked on elsewhere; leaving the context stops that."""

    @property
    def key(self) -> str:
        """Key of the request that is worked on; what became of its blocks is stored beside it."""

    @property
    def blocks(self) -> frozenset[int]:
        """Blocks of that request."""

    @property
    def command(self) -> Sequence[str]:
        """The words of the command, for people."""

    def __enter__(self) -> Self: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None: ...

    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs."""

    def state(self) -> str:
        """Return where it stands, for people; empty where that says nothing."""

    def ended(self) -> str:
        """Return how it ended, for people."""

    def tail(self) -> str:
        """Return its last words."""


class Engine(Protocol):
    """What has blocks done elsewhere."""

    def prepare(self, objects: Objects) -> object:
        """Have ready what takes long; no lease is held yet."""

    def submit(self, objects: Objects, request: BlocksRequest) -> Running:
        """Have the blocks of a request done."""


_TAIL_BYTES = 4000
_STOP_S = 20.0


def launch_arguments(objects: Objects, key: str) -> list[str]:
    """Return the arguments of the launcher: where the request is, and the settings that reading it takes."""
    settings = [f"objects.{name}={value}" for name, value in settings_of()["objects"].items() if name != "root"]
    return [str(objects.root), key, *settings]


def submit_command(arguments: Sequence[str]) -> list[str]:
    """Return the whole command: program, what executors need, the user's options, which count, the launcher and its arguments."""
    settings = SparkSettings()
    needed = executor_options(settings.archive, driver_python=sys.executable)
    return [settings.program, *needed, *settings.options(), str(Path(spark_launch.__file__)), *arguments]


class SparkSubmit:
    """The spark-submit of this machine, as an engine."""

    def prepare(self, objects: Objects) -> None:
        """Do nothing: spark-submit brings what it needs."""

    def submit(self, objects: Objects, request: BlocksRequest) -> "Submission":
        """Store the request and start spark-submit."""
        key = f"{stage_prefix(request.word, request.digest)}/{ENGINE}/{uuid.uuid4().hex[:12]}.json"
        objects.put(key, request.to_json())
        return Submission(key, frozenset(request.blocks), launch_arguments(objects, key))


class Submission:
    """A running spark-submit; leaving the context stops it."""

    def __init__(self, key: str, blocks: frozenset[int], arguments: Sequence[str]) -> None:
        self.key, self.blocks = key, blocks
        self.command = submit_command(arguments)
        self._log = tempfile.NamedTemporaryFile(prefix="halo_spark_", suffix=".log")  # noqa: SIM115
        environment = {"PYSPARK_PYTHON": sys.executable, **os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        try:
            self._process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=self._log, stderr=subprocess.STDOUT, env=environment
            )
        except OSError as error:
            self._log.close()
            raise ConfigurationError(
                f"cannot run {self.command[0]!r}: {error.strerror}; pip install 'dark-halo-scope[spark]', or set [spark] program"
            ) from error

    def __enter__(self) -> "Submission":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        """Stop what still runs, as an exception in the driver leaves it."""
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def exit_code(self) -> int | None:
        """Return how it ended, None while it runs."""
        return self._process.poll()

    def state(self) -> str:
        """Return nothing: a process runs or not."""
        return ""

    def ended(self) -> str:
        """Return how it ended, for people."""
        return f"spark-submit ended with {self.exit_code()}"

    def tail(self) -> str:
        """Return its last words."""
        data = Path(self._log.name).read_bytes()[-_TAIL_BYTES:]
        return data.decode(errors="replace").strip()
