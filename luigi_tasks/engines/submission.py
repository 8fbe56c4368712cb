"""One spark-submit: started, watched, stopped; its words go to a file of their own."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from halo_core.errors import ConfigurationError
from luigi_tasks.engines import spark_launch
from luigi_tasks.engines.executor_options import executor_options
from luigi_tasks.engines.settings import SparkSettings

_TAIL_BYTES = 4000
_STOP_S = 20.0


def submit_command(arguments: Sequence[str]) -> list[str]:
    """Return the whole command: program, what executors need, the user's options, which count, the launcher and its arguments."""
    settings = SparkSettings()
    needed = executor_options(settings.archive, driver_python=sys.executable)
    return [settings.program, *needed, *settings.options(), str(Path(spark_launch.__file__)), *arguments]


class Submission:
    """A running spark-submit; leaving the context stops it."""

    def __init__(self, arguments: Sequence[str]) -> None:
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

    def tail(self) -> str:
        """Return its last words."""
        data = Path(self._log.name).read_bytes()[-_TAIL_BYTES:]
        return data.decode(errors="replace").strip()
