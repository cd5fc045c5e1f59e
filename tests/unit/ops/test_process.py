"""Processes that Watling starts: known again, never confused, gone when they must be."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.conftest import wait_until
from watling.ops.process import (
    Identity,
    LockHeld,
    exclusive,
    identity_of,
    last_lines,
    read_identity,
    spawn,
    stop,
    write_file,
    write_identity,
)

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


def test_a_living_process_is_known_again(tmp_path: Path) -> None:
    """A second command must find the broker that the first one started."""
    child = subprocess.Popen(SLEEP)
    try:
        write_identity(tmp_path / "run" / "x.json", identity_of(child.pid))
        known = read_identity(tmp_path / "run" / "x.json")
        assert known is not None
        found = known.process()
        assert found is not None
        assert found.pid == child.pid
    finally:
        child.kill()
        child.wait()
    assert known.process() is None


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own count of a start is read from /proc")
def test_a_clock_that_jumps_does_not_lose_a_process() -> None:
    """After a laptop's sleep or a time correction the broker is still ours."""
    mine = identity_of(os.getpid())
    assert Identity(mine.pid, mine.created - 3600, mine.mark).process() is not None
    assert Identity(mine.pid, mine.created, mine.mark + "0").process() is None, "another start of the same pid"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"pid": "x", "created": 1}', '{"pid": 1}'])
def test_a_spoilt_pid_file_means_nobody(tmp_path: Path, text: str) -> None:
    """A full disk may have left half a file; that must not stop a start."""
    (tmp_path / "x.json").write_text(text)
    assert read_identity(tmp_path / "x.json") is None


def test_stop_kills_what_ignores_term(tmp_path: Path) -> None:
    """A hanging process must not keep `watling up` from ending."""
    body = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    child = spawn([sys.executable, "-c", body], log=tmp_path / "log", dies_with_parent=False)
    assert wait_until(lambda: "on" in last_lines(tmp_path / "log"), 10)
    began = time.monotonic()
    assert stop(psutil.Process(child.pid), term_s=0.3)
    assert time.monotonic() - began < 5
    assert not psutil.pid_exists(child.pid), "it is collected, not left a zombie"


def test_stop_counts_a_zombie_of_another_parent_as_gone(tmp_path: Path) -> None:
    """In a container nobody may collect dead processes: `stop` must not wait for one."""
    body = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout is not None
        began = time.monotonic()
        assert stop(psutil.Process(int(parent.stdout.readline())), term_s=5)
        assert time.monotonic() - began < 3
    finally:
        parent.kill()
        parent.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
@pytest.mark.parametrize("attached", [True, False])
def test_only_attached_children_follow_a_killed_parent(tmp_path: Path, attached: bool) -> None:
    """kill -9 of `watling up` leaves no orphan, and `watling broker start` leaves a broker."""
    body = (
        "import sys, time; from pathlib import Path; from watling.ops.process import spawn; "
        f"child = spawn([sys.executable, '-c', 'import time; time.sleep(60)'], log=Path({str(tmp_path / 'log')!r}), "
        f"dies_with_parent={attached}); print(child.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    child = psutil.Process(pid)
    assert wait_until(lambda: "-I" not in child.cmdline(), 10), "the command has taken over"
    parent.kill()
    parent.wait()

    def gone() -> bool:
        return not child.is_running() or child.status() == psutil.STATUS_ZOMBIE

    if attached:
        assert wait_until(gone, 10)
    else:
        assert not wait_until(gone, 0.5)
        child.kill()


def test_a_command_that_is_not_there_is_named_in_the_log(tmp_path: Path) -> None:
    """A broken installation must say which file is missing."""
    child = spawn([tmp_path / "none"], log=tmp_path / "log", dies_with_parent=True)
    assert child.wait(10) != 0
    assert "none" in last_lines(tmp_path / "log")


def test_the_environment_of_a_child(tmp_path: Path) -> None:
    """Options of other Java programs must not reach the broker."""
    body = "import os; print(os.environ.get('HOME'), os.environ['ADDED'], os.getcwd())"
    child = spawn(
        [sys.executable, "-c", body],
        log=tmp_path / "log",
        environment={"HOME": None, "ADDED": "yes"},
        dies_with_parent=False,
        folder=tmp_path,
    )
    assert child.wait(10) == 0
    assert last_lines(tmp_path / "log") == f"None yes {tmp_path}"


def test_a_lock_names_its_holder_and_dies_with_it(tmp_path: Path) -> None:
    """A start that was killed must not block the next one."""
    path = tmp_path / "lock"
    body = (
        "import sys, time; from pathlib import Path; from watling.ops.process import exclusive\n"
        f"with exclusive(Path({str(path)!r})): print('held', flush=True); time.sleep(60)"
    )
    holder = subprocess.Popen([sys.executable, "-c", body], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(LockHeld) as held, exclusive(path, 0.1):
        pass
    assert held.value.pid == holder.pid
    holder.kill()
    holder.wait()
    with exclusive(path, 5):
        assert path.read_text().strip() == str(os.getpid())


def test_the_last_lines_are_those_of_this_start(tmp_path: Path) -> None:
    """What an old start said must not be told as the reason of today's."""
    log = tmp_path / "log"
    log.write_text("old\n")
    before = log.stat().st_size
    with log.open("a") as file:
        file.write("new\n")
    assert last_lines(log, since=before) == "new"
    log.write_text("n\n")  # rolled over
    assert last_lines(log, since=before) == "n"
    assert last_lines(tmp_path / "none") == ""


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    """A reader beside a writer sees the old or the new text."""
    write_file(tmp_path / "a" / "x", "one")
    write_file(tmp_path / "a" / "x", "two")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["x"]
    assert (tmp_path / "a" / "x").read_text() == "two"
