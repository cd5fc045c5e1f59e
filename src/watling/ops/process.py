"""Receives a command; runs it as a child that is known again later, ends with its parent if asked, and can be stopped.

A process is known by its pid and the moment it began, so that a pid given out anew is never signalled.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from watling.errors import WatlingError

# Asks the kernel for a TERM at the parent's death, then becomes the command. A program of its own instead of a
# `preexec_fn`: Python between fork and exec may hang when other threads hold locks.
FOLLOW_PARENT = """\
import ctypes, os, signal, sys
if ctypes.CDLL(None).prctl(1, signal.SIGTERM) != 0 or os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
try:
    os.execv(sys.argv[2], sys.argv[2:])
except OSError as error:
    sys.exit(f"{sys.argv[2]}: {error.strerror}")
"""


class LockHeld(WatlingError):
    """Another process holds a lock. `pid` is who it said it is, if it said so."""

    def __init__(self, path: Path, pid: int | None) -> None:
        super().__init__(f"{path} is held by {f'process {pid}' if pid else 'another process'}", path=path, pid=pid)
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that once was started: `created` is its start in seconds since 1970, as the system tells it.

    `mark` (Linux) names the start in the kernel's own count since boot, which a changed clock does not move.
    """

    pid: int
    created: float
    mark: str = ""

    def process(self) -> psutil.Process | None:
        """The process while it lives, or None."""
        try:
            found = psutil.Process(self.pid)
            if found.status() == psutil.STATUS_ZOMBIE:
                return None
            if self.mark:
                return found if _mark(self.pid) == self.mark else None
            return found if abs(found.create_time() - self.created) < 1.0 else None
        except psutil.NoSuchProcess:
            return None


def identity_of(pid: int) -> Identity:
    """The identity of a living process. Raises psutil.NoSuchProcess."""
    return Identity(pid, psutil.Process(pid).create_time(), _mark(pid))


def _mark(pid: int) -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        return f"{boot}:{int(after_name[19])}"  # field 22: start time in ticks since boot
    except (OSError, ValueError, IndexError):
        return ""


def write_identity(path: Path, identity: Identity) -> None:
    """Keep who was started, atomically."""
    write_file(path, json.dumps(asdict(identity)))


def read_identity(path: Path) -> Identity | None:
    """Who was started, if it is known."""
    try:
        body = json.loads(path.read_text())
        return Identity(int(body["pid"]), float(body["created"]), str(body.get("mark", "")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_file(path: Path, text: str) -> None:
    """Write a small text file so that after a crash either the old or the new one is there, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


@contextmanager
def exclusive(path: Path, wait_s: float = 0.0) -> Iterator[None]:
    """Hold an OS file lock on `path`; it is gone with this process, however that ends.

    Raises:
        LockHeld: another process held it for `wait_s` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + wait_s
    with path.open("a+", encoding="utf-8") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    file.seek(0)
                    holder = file.read().strip()
                    raise LockHeld(path, int(holder) if holder.isdigit() else None) from None
                time.sleep(random.uniform(0.05, 0.2))  # noqa: S311 - jitter
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def spawn(
    command: Sequence[str | Path],
    *,
    log: Path,
    environment: Mapping[str, str | None] | None = None,
    dies_with_parent: bool,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """Start a child with its output appended to `log`; it is in a session of its own.

    With `dies_with_parent` it gets a TERM when the thread that calls this ends, however it ends (Linux): call it from
    the main thread. Without, it outlives its parent. `environment` is added to this process's; None removes a name.
    `folder` is its working directory.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    line = [str(part) for part in command]
    if dies_with_parent and sys.platform == "linux":
        line = [sys.executable, "-I", "-S", "-c", FOLLOW_PARENT, str(os.getpid()), *line]
    values = {**os.environ, **(environment or {})}
    with log.open("ab") as output:
        return subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={name: value for name, value in values.items() if value is not None},
            cwd=folder,
            start_new_session=True,  # a Ctrl-C at the terminal is for the supervisor, who stops its children in order
        )


@contextmanager
def launched(
    command: Sequence[str | Path],
    *,
    known_as: Path,
    log: Path,
    environment: Mapping[str, str | None],
    dies_with_parent: bool,
    folder: Path,
) -> Iterator[tuple[subprocess.Popen[bytes], Identity]]:
    """`spawn` a child and write who it is to `known_as`; inside the block wait until it is well.

    If that fails, even by Ctrl-C, the child is killed with all its own and forgotten: nothing half started is left.
    """
    child = spawn(command, log=log, environment=environment, dies_with_parent=dies_with_parent, folder=folder)
    try:
        mine = identity_of(child.pid)
        write_identity(known_as, mine)
        yield child, mine
    except BaseException:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        known_as.unlink(missing_ok=True)
        raise


def stop(process: psutil.Process, term_s: float, kill_s: float = 5.0) -> bool:
    """TERM, then KILL after `term_s`. True when the process is gone (or a zombie that its parent has yet to collect)."""
    for end, limit in ((process.terminate, term_s), (process.kill, kill_s)):
        try:
            end()
            deadline = time.monotonic() + limit
            while time.monotonic() < deadline:
                if process.status() == psutil.STATUS_ZOMBIE:
                    process.wait(0)  # collects it if it is ours
                    return True
                time.sleep(0.02)
        except psutil.NoSuchProcess:
            return True
        except psutil.TimeoutExpired:  # a zombie of another parent
            return True
    return False


def last_lines(path: Path, count: int = 15, size: int = 16_384, since: int = 0) -> str:
    """The end of a text file, for a message about why something died. What stands before byte `since` is left out."""
    try:
        with path.open("rb") as file:
            length = os.fstat(file.fileno()).st_size
            file.seek(max(0, length - size, since if since <= length else 0))  # shorter: it was rolled over
            return "\n".join(file.read().decode("utf-8", "replace").splitlines()[-count:])
    except OSError:
        return ""


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take up on the disk. Files that go meanwhile do not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512 if path.is_file() else 0  # some are sparse
        except OSError:
            continue
    return total
