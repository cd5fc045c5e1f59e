"""Receives a command; runs it as a child that is known again later, ends with its parent if asked, and can be stopped.

A process is known by its pid and the moment it began, so that a pid given out anew is never signalled.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that once was started: `created` is its start in seconds since 1970, as the system tells it."""

    pid: int
    created: float

    def process(self) -> psutil.Process | None:
        """The process while it lives, or None."""
        try:
            found = psutil.Process(self.pid)
            same = abs(found.create_time() - self.created) < 1.0
            return found if same and found.status() != psutil.STATUS_ZOMBIE else None
        except psutil.NoSuchProcess:
            return None


def identity_of(pid: int) -> Identity:
    """The identity of a living process."""
    return Identity(pid, psutil.Process(pid).create_time())


def write_identity(path: Path, identity: Identity) -> None:
    """Keep who was started, atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(json.dumps(asdict(identity)))
    temporary.replace(path)


def read_identity(path: Path) -> Identity | None:
    """Who was started, if it is known."""
    try:
        body = json.loads(path.read_text())
        return Identity(int(body["pid"]), float(body["created"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    dies_with_parent: bool,
) -> subprocess.Popen[bytes]:
    """Start a child with its output appended to `log`.

    With `dies_with_parent` it gets a TERM when this process dies, however it dies (Linux). Without, it is in a
    session of its own and outlives its parent.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()

    def follow_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != parent:  # it died between the fork and this line
                os._exit(1)

    with log.open("ab") as output:
        return subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # a Ctrl-C at the terminal is for the supervisor, who stops its children in order
            preexec_fn=follow_parent if dies_with_parent else None,
        )


def stop(process: psutil.Process, term_s: float, kill_s: float = 5.0) -> bool:
    """TERM, then KILL after `term_s`. True when the process is gone."""
    try:
        process.terminate()
        process.wait(term_s)
        return True
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        pass
    try:
        process.kill()
        process.wait(kill_s)
    except psutil.NoSuchProcess:
        return True
    except psutil.TimeoutExpired:
        return False
    return True


def last_lines(path: Path, count: int = 15, size: int = 16_384) -> str:
    """The end of a text file, for a message about why something died."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-count:])
    except OSError:
        return ""


def wait_until(condition: object, timeout_s: float, every_s: float = 0.05) -> bool:
    """True as soon as the callable gives true, False when the time is over."""
    assert callable(condition)
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(every_s)
    return bool(condition())
