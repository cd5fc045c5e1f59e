"""Receives the settings; gives what this machine offers to what Watling needs, each finding with what to do about it."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import socket
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from watling.config import Settings

Grade = Literal["ok", "warning", "problem"]
MIB = 1024**2
GIB = 1024**3
PYTHON = (3, 11)
DISK_NEEDED = 1 * GIB
DISK_WANTED = 10 * GIB
MEMORY_NEEDED = 1 * GIB
MEMORY_WANTED = 2 * GIB
FILES_NEEDED = 1024
FILES_WANTED = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `todo` is empty when it is as it should be."""

    name: str
    grade: Grade
    found: str
    todo: str = ""


def look(settings: Settings) -> list[Finding]:
    """Python, processors, memory, disk, the home and open files."""
    return [python(), processors(), memory(), *home(settings.home), open_files()]


def python() -> Finding:
    """The Python that runs this."""
    text = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro} at {sys.executable}"
    if sys.version_info < PYTHON:
        return Finding("Python", "problem", text, "Watling needs Python 3.11 or newer.")
    return Finding("Python", "ok", text)


def processors() -> Finding:
    """Processors that this process may use."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if count < 2:
        return Finding("processors", "warning", str(count), "Two or more let broker and pipeline work side by side.")
    return Finding("processors", "ok", str(count))


def memory() -> Finding:
    """Memory that is free now, within the container's limit where there is one."""
    free = psutil.virtual_memory().available
    if (limit := _container_memory()) is not None:
        free = min(free, limit)
    text = f"{_size(free)} free"
    if free < MEMORY_NEEDED:
        return Finding("memory", "problem", text, "Broker, pipeline and page together take about 1.2 GB: free some.")
    if free < MEMORY_WANTED:
        todo = "Enough to run. End something large, or lower WATLING_PIPELINE__BATCH_BYTES, if it becomes slow."
        return Finding("memory", "warning", text, todo)
    return Finding("memory", "ok", text)


def home(path: Path) -> list[Finding]:
    """Whether the home can be written, locked and has room. It is not made by looking."""
    full = path.resolve()
    there = next(p for p in (full, *full.parents) if p.exists())
    elsewhere = "Choose another home with --home or WATLING_HOME."
    if not there.is_dir():
        return [Finding("home", "problem", f"{full}: {there} is no folder", elsewhere)]
    if not os.access(there, os.W_OK | os.X_OK):
        return [Finding("home", "problem", f"{full} cannot be written", elsewhere)]
    findings = [Finding("home", "ok", str(full) + ("" if full.exists() else " (made at the first start)"))]
    free = shutil.disk_usage(there).free
    text = f"{_size(free)} free at {there}"
    if free < DISK_NEEDED:
        findings.append(Finding("disk", "problem", text, f"Kafka and the lake need {_size(DISK_NEEDED)} at least."))
    elif free < DISK_WANTED:
        todo = "Enough to begin. WATLING_BROKER__RETENTION_HOURS bounds what Kafka keeps."
        findings.append(Finding("disk", "warning", text, todo))
    else:
        findings.append(Finding("disk", "ok", text))
    return findings


def open_files() -> Finding:
    """How many files a process may have open: Kafka keeps several for each partition."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft}"
    todo = (
        f"Say `ulimit -n {FILES_WANTED}` in this shell" + ("" if hard >= FILES_WANTED or hard < 0 else " as root") + "."
    )
    if 0 <= soft < FILES_NEEDED:
        return Finding("open files", "problem", text, todo)
    if 0 <= soft < FILES_WANTED:
        return Finding("open files", "ok", text)
    return Finding("open files", "ok", text)


def port(name: str, host: str, number: int, variable: str, ours: Iterable[int] = ()) -> Finding:
    """Whether a port can be listened on. `ours` are pids that may hold it already; `variable` chooses another."""
    text = f"{host}:{number}"
    reason = taken(host, number)
    if reason is None:
        return Finding(name, "ok", f"{text} is free")
    owner = listener(number)
    if owner is not None and owner[0] in set(ours):
        return Finding(name, "ok", f"{text} (Watling's own, pid {owner[0]})")
    by = f" by {owner[1]}, pid {owner[0]}" if owner is not None else ""
    return Finding(name, "problem", f"{text} is taken{by}: {reason}", f"Stop what has it, or set {variable}.")


def taken(host: str, number: int) -> str | None:
    """Why the port cannot be listened on; None when it can."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError as error:
            return error.strerror or str(error)
    return None


def listener(number: int) -> tuple[int, str] | None:
    """(pid, name) of the process that listens on the port, as far as this user may see it."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == number and connection.pid:
                return connection.pid, psutil.Process(connection.pid).name()
    return None


def worst(findings: Sequence[Finding]) -> Grade:
    """The gravest of the grades."""
    grades = {f.grade for f in findings}
    return "problem" if "problem" in grades else "warning" if "warning" in grades else "ok"


def _container_memory() -> int | None:
    """What is left of a cgroup's limit, in bytes."""
    root = Path("/sys/fs/cgroup")
    try:
        limit = (root / "memory.max").read_text().strip()
        return None if limit == "max" else max(0, int(limit) - int((root / "memory.current").read_text()))
    except (OSError, ValueError):
        return None


def _size(value: float) -> str:
    return f"{value / GIB:.1f} GB" if value >= GIB else f"{value / MIB:.0f} MB"
