"""Receives SIGINT and SIGTERM for long-running commands; gives them an event to stop by, and an end that cannot be refused.

A thread of its own sets the event: set from the handler itself, it could wait for a lock that the interrupted code holds.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FrameType

from watling.errors import EXIT_DONE, EXIT_INTERRUPTED

ASKING = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stop:
    """`event` is set by the first signal; `by` names it. While `blocking` is true the main thread gets a KeyboardInterrupt."""

    event: threading.Event = field(default_factory=threading.Event)
    by: signal.Signals | None = None
    blocking: bool = False
    _wakeup: socket.socket | None = None

    def exit_code(self) -> int:
        """130 after Ctrl-C; 0 when the work ended, or a supervisor asked to end."""
        return EXIT_INTERRUPTED if self.by is signal.SIGINT else EXIT_DONE


def stop_on_signals(*, twice: bool = True, asked: Callable[[], None] | None = None) -> Stop:
    """From here on the first SIGINT or SIGTERM asks to stop, the second (unless not `twice`) ends the process at once
    with 130. `asked` is called, from a thread, at the first."""
    stop = Stop()
    heard, stop._wakeup = socket.socketpair()
    stop._wakeup.setblocking(False)

    def interrupt(_: int, __: FrameType | None) -> None:
        if stop.blocking:
            stop.blocking = False
            raise KeyboardInterrupt

    def listen() -> None:
        while True:
            for number in heard.recv(16):
                if number not in ASKING:
                    continue
                if stop.event.is_set():
                    if twice:
                        os._exit(EXIT_INTERRUPTED)
                    continue
                stop.by = signal.Signals(number)
                stop.event.set()
                if asked is not None:
                    asked()

    threading.Thread(target=listen, daemon=True, name="signals").start()
    for number in ASKING:
        signal.signal(number, interrupt)
    signal.set_wakeup_fd(stop._wakeup.fileno(), warn_on_full_buffer=False)
    return stop
