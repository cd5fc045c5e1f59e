"""Receives SIGINT and SIGTERM for long-running commands; gives them an event to stop by, and an end that cannot be refused."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass, field
from types import FrameType

from watling.errors import EXIT_DONE, EXIT_INTERRUPTED


@dataclass(slots=True)
class Stop:
    """`event` is set by the first signal; `by` names it."""

    event: threading.Event = field(default_factory=threading.Event)
    by: signal.Signals | None = None

    def exit_code(self) -> int:
        """130 after Ctrl-C; 0 when the work ended, or a supervisor asked to end."""
        return EXIT_INTERRUPTED if self.by is signal.SIGINT else EXIT_DONE


def stop_on_signals() -> Stop:
    """From here on the first SIGINT or SIGTERM asks to stop, the second ends the process at once with 130."""
    stop = Stop()

    def asked(number: int, _: FrameType | None) -> None:
        if stop.event.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop.by = signal.Signals(number)
        stop.event.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked)
    return stop
