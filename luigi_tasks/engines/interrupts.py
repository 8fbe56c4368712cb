"""Signals while something runs elsewhere: SIGTERM unwinds the stack as Ctrl-C does, so that what was started is ended."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def unwinding_on_sigterm() -> Iterator[None]:
    """Let SIGTERM raise KeyboardInterrupt, in the main thread of a process; other threads get no signals."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with _handled(interrupt, signal.SIGTERM):
        yield


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Let neither Ctrl-C nor SIGTERM stop what must be finished."""
    with _handled(signal.SIG_IGN, signal.SIGINT, signal.SIGTERM):
        yield


@contextmanager
def _handled(handler: object, *numbers: signal.Signals) -> Iterator[None]:
    """Handle signals so, and afterwards as before."""
    is_main = threading.current_thread() is threading.main_thread()
    before = {number: signal.signal(number, handler) for number in numbers} if is_main else {}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
