"""Receives a stream's name; holds its lock on this home for as long as the process lives.

An operating system's file lock, gone with its process, so that a second `watling run` by mistake is refused by the
name of the owner. It is a courtesy: what keeps the lake right is the epoch in the tables.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import threading
from collections.abc import Iterator
from typing import IO

from watling.config import Settings
from watling.errors import UsageError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def hold_stream(settings: Settings, stream: str, writer: str, take_over: bool) -> Iterator[None]:
    """Hold the stream's lock, or with `take_over` go on without it: the claim will fence whoever holds it.

    Raises:
        UsageError: somebody else holds it.
    """
    folder = settings.home.resolve() / "run" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{stream}.lock").open("a+", encoding="utf-8") as file:
        if _lock(file):
            file.seek(0)
            file.truncate()
            file.write(writer)
            file.flush()
        else:
            file.seek(0)
            owner = file.read() or "another process"
            if not take_over:
                raise UsageError(
                    f"stream {stream} is being written by {owner}. Stop it first, or fence it with `watling run --take-over`.",
                    stream=stream,
                    owner=owner,
                )
            log.warning("taking stream %s over from %s", stream, owner)
            threading.Thread(target=_inherit, args=(file, writer), daemon=True, name=f"lock-{stream}").start()
        yield


def _inherit(file: IO[str], writer: str) -> None:
    """Wait for the fenced owner to end, then hold the lock in its place."""
    with contextlib.suppress(ValueError, OSError):  # this run ended before that one did
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        file.truncate()
        file.write(writer)
        file.flush()


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
