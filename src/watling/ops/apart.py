"""Receives work for a child process of this program; sees it to its end, and gives the child its orders.

Orders come by standard input as a pickle from the child's own parent; closing it asks the child to stop, so the child ends when
its work is done or its starter goes, whichever comes first.
"""

from __future__ import annotations

import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import IO, Any

END_S = 10.0  # after it was asked to stop, how long the piece in hand may take
NICE = 5
LOG_TAIL = 2000


def attend(child: subprocess.Popen[bytes], orders: object, go_on: Callable[[], bool]) -> int:
    """Give the child its orders and wait; its exit code. `go_on` blocks for a moment and says whether to wait longer.

    Blocks for END_S at most once `go_on` was False: a child that has not ended by then is killed.
    """
    assert child.stdin is not None
    try:
        child.stdin.write(pickle.dumps(orders))
        child.stdin.flush()
        while child.poll() is None and go_on():
            pass
        child.stdin.close()  # asks it to end, should it still run
        child.wait(END_S)
    except (BrokenPipeError, subprocess.TimeoutExpired):
        pass
    finally:
        if child.poll() is None:
            child.kill()
        code = child.wait()
    return code


def last_words(said: IO[bytes]) -> str:
    """The end of what a child wrote into this file, at most LOG_TAIL bytes of it."""
    said.seek(max(0, said.seek(0, os.SEEK_END) - LOG_TAIL))
    return said.read().decode(errors="replace").strip()


def begin() -> Any:
    """The child's first step: step back behind its starter, and read the orders."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group: the starter passes it on
    os.nice(NICE)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    return pickle.load(sys.stdin.buffer)  # noqa: S301  from our own parent


def when_asked_to_stop(act: Callable[[], None]) -> None:
    """Call `act`, in a thread of its own, once the starter asks for the end or has gone."""

    def watch() -> None:
        sys.stdin.buffer.read()
        act()

    threading.Thread(target=watch, daemon=True).start()


def leave() -> None:
    """The child's last step. It does not return."""
    logging.shutdown()
    sys.stderr.flush()
    os._exit(0)  # not through the watching thread, which sits in a read
