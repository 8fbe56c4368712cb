"""A loop that starts a command again whenever it dies: what keeps a campaign going without a hand."""

import contextlib
import os
import shlex
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from halo_core.errors import ConfigurationError

USAGE_ERROR = 2
"""Exit code of a command line that is wrong: it would be as wrong the next time."""

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_POLL_S = 0.1


@dataclass(frozen=True)
class Patience:
    """When a command is started again, and when no more."""

    first_pause_s: float = 1.0
    """Before the second start; each further one doubles it."""
    longest_pause_s: float = 60.0
    """No pause is longer; a run that lasted longer than this starts over with the first pause."""
    limit: int = 30
    """Most ends within `within_s`."""
    within_s: float = 3600.0
    grace_s: float = 30.0
    """Between the signal to stop and the kill."""


@dataclass
class Supervisor:
    """Runs a command until it succeeds; a service, which never is done, until the supervisor is told to stop."""

    words: Sequence[str]
    say: Callable[[str], None]
    patience: Patience = field(default_factory=Patience)
    is_service: bool = False
    stop_signal: signal.Signals = signal.SIGTERM
    _stopped_by: int | None = field(default=None, init=False)

    def run(self) -> int:
        """Start the command until it is done, and return the exit code for the shell.

        0: the command succeeded, or this service was told to stop. Otherwise the code of the last run: the command line is wrong, or the
        command ended more often than patience allows. 128 + n: killed by signal n, or told by it to stop before the work was done.

        Raises
        ------
        ConfigurationError
            There is no such command.
        """
        for number in STOPPING:
            signal.signal(number, self._stop)
        ends: deque[float] = deque()
        pause_s = self.patience.first_pause_s
        while True:
            started = time.monotonic()
            code = self._run_once()
            now = time.monotonic()
            if self._stopped_by is not None:
                return 0 if self.is_service else 128 + self._stopped_by
            if code == USAGE_ERROR or (code == 0 and not self.is_service):
                return code
            ends.append(now)
            while now - ends[0] > self.patience.within_s:
                ends.popleft()
            if len(ends) >= self.patience.limit:
                self.say(f"{self._name} {_end(code)}, the {len(ends)}th end within {self.patience.within_s:.0f} s: given up")
                return code if code >= 0 else 128 - code
            if now - started > self.patience.longest_pause_s:
                pause_s = self.patience.first_pause_s
            self.say(f"{self._name} {_end(code)} after {now - started:.0f} s; starts again in {pause_s:.0f} s")
            self._sleep(pause_s)
            pause_s = min(2 * pause_s, self.patience.longest_pause_s)

    def _run_once(self) -> int:
        """Run the command with all it starts in a group of its own; nothing of the group outlives it. A stop before the start is 0."""
        if self._stopped_by is not None:
            return 0
        try:
            process = subprocess.Popen(self.words, start_new_session=True)
        except OSError as error:
            raise ConfigurationError(f"cannot start {self.words[0]}: {error.strerror or error}; name a command that is there") from error
        kill_at = float("inf")
        is_told = False
        # The dead leader is not reaped before its group is killed, so that the group's number cannot be another's by then.
        while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if self._stopped_by is not None and not is_told:
                is_told = True
                kill_at = time.monotonic() + self.patience.grace_s
                os.killpg(process.pid, self.stop_signal)
            if time.monotonic() > kill_at:
                os.killpg(process.pid, signal.SIGKILL)
            time.sleep(_POLL_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        return process.wait()

    def _stop(self, number: int, _frame: object) -> None:
        """Remember who said stop."""
        self._stopped_by = number

    def _sleep(self, seconds: float) -> None:
        """Wait, unless told to stop."""
        until = time.monotonic() + seconds
        while self._stopped_by is None and time.monotonic() < until:
            time.sleep(_POLL_S)

    @property
    def _name(self) -> str:
        """The command as a person types it, shortened."""
        text = shlex.join(self.words)
        return text if len(text) <= 100 else f"{text[:97]}..."


def _end(code: int) -> str:
    """Return how a run ended."""
    return f"ended with exit code {code}" if code >= 0 else f"was killed by {signal.Signals(-code).name}"
