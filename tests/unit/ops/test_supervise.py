"""Keeping parts running, with real child processes and a clock that is set by hand."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from watling.errors import UnreachableError
from watling.ops.supervise import Child, Part, State, Supervisor

PYTHON = sys.executable
SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(60)"
)


class Clock:
    """Seconds as the test sets them; what waits by it waits really."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Parts:
    """Makes parts whose children are ended with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[tuple[str, Child]] = []

    def child(self, name: str, code: str, **how: object) -> Part:
        log = self.folder / f"{name}.out"

        def start() -> Child:
            child = Child.start([PYTHON, "-c", code], log, {})
            self.started.append((name, child))
            return child

        defaults = {"rank": 1, "stop_s": 2.0}
        return Part(name, start, log_path=log, **{**defaults, **how})  # type: ignore[arg-type]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[Parts]:
    made = Parts(tmp_path)
    yield made
    for _, child in made.started:
        if child.poll() is None:
            child.kill()
        child.process.wait()


def step_until(supervisor: Supervisor, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, [(p.name, p.state, p.why) for p in supervisor.parts]
        supervisor.step()
        time.sleep(0.02)


def test_what_dies_is_started_again_and_says_why(parts: Parts) -> None:
    """If this fails, one crash ends the service until somebody looks."""
    part = parts.child("page", SLEEP)
    supervisor = Supervisor([part], first_pause_s=0.01)
    supervisor.begin()
    first = parts.started[0][1]
    first.kill()
    step_until(supervisor, lambda: part.restarts == 1)
    assert part.state is State.RUNNING
    assert "killed by signal 9" in part.why
    assert parts.started[1][1].process.pid != first.process.pid


def test_pauses_grow_and_what_cannot_run_is_given_up_with_its_last_words(parts: Parts) -> None:
    """If this fails, a part that cannot start keeps a processor busy for ever and fills the log."""
    part = parts.child("pipeline", "import sys; sys.exit('the disk is full')")
    clock = Clock()
    supervisor = Supervisor([part], clock=clock, first_pause_s=1.0, limit=5)
    supervisor.begin()
    pauses = []
    while part.state is not State.GIVEN_UP:
        step_until(supervisor, lambda: part.state in (State.WAITING, State.GIVEN_UP))
        if part.state is State.WAITING:
            pauses.append(part.due - clock())
            clock.ahead += part.due - clock()
            step_until(supervisor, lambda: part.state is not State.WAITING)
    assert len(parts.started) == 5
    for i, pause in enumerate(pauses):
        assert 2.0**i * 0.5 - 0.2 <= pause <= 2.0**i * 1.5
    assert "the disk is full" in part.why
    assert supervisor.failed is part


def test_wrong_use_is_given_up_sooner(parts: Parts) -> None:
    """If this fails, a fault in a contract is retried for a minute before anybody hears of it."""
    part = parts.child("pipeline", "import sys; sys.exit(2)")
    supervisor = Supervisor([part], first_pause_s=0.01)
    supervisor.begin()
    step_until(supervisor, lambda: part.state is State.GIVEN_UP)
    assert len(parts.started) == 4


def test_one_that_ran_long_begins_anew(parts: Parts) -> None:
    """If this fails, eight crashes in a year stop the service."""
    part = parts.child("page", SLEEP)
    clock = Clock()
    supervisor = Supervisor([part], clock=clock, first_pause_s=0.01, limit=3)
    supervisor.begin()
    for number in range(5):
        clock.ahead += 60
        supervisor.step()
        parts.started[-1][1].kill()
        step_until(supervisor, lambda number=number: part.restarts == number + 1)  # type: ignore[misc]
    assert part.state is State.RUNNING


def test_a_fenced_writer_stays_away(parts: Parts) -> None:
    """If this fails, two supervisors fence each other's pipelines for ever."""
    part = parts.child("pipeline", "import sys; print('fenced by another'); sys.exit(4)")
    supervisor = Supervisor([part], first_pause_s=0.01)
    supervisor.begin()
    step_until(supervisor, lambda: part.state is State.FENCED)
    for _ in range(5):
        supervisor.step()
    assert len(parts.started) == 1
    assert supervisor.failed is None
    assert "fenced by another" in part.why


def test_what_is_done_is_not_started_again_and_what_is_not_essential_may_fail(parts: Parts) -> None:
    """If this fails, a recording that ended begins again, or its fault stops the city."""
    done = parts.child("replay", "", ends_alone=True, essential=False)
    broken = parts.child("simulator", "import sys; sys.exit(1)", ends_alone=True, essential=False)
    supervisor = Supervisor([done, broken], first_pause_s=0.001, limit=2)
    supervisor.begin()
    step_until(supervisor, lambda: done.state is State.ENDED and broken.state is State.GIVEN_UP)
    assert supervisor.failed is None


def test_all_stop_in_order_and_the_deaf_are_killed_in_time(parts: Parts) -> None:
    """If this fails, Ctrl-C hangs, or the broker goes while the pipeline still commits."""
    gone: list[str] = []
    first = parts.child("simulator", SLEEP, rank=1, stop_s=0.5, after=lambda: gone.append("simulator"))
    deaf = parts.child("pipeline", STUBBORN, rank=2, stop_s=0.5, after=lambda: gone.append("pipeline"))
    last = parts.child("broker", SLEEP, rank=3, stop_s=1.0, after=lambda: gone.append("broker"))
    others = parts.child("foreign broker", SLEEP, rank=3, stop_s=1.0, ours=lambda: False)
    supervisor = Supervisor([last, deaf, first, others])
    supervisor.begin()
    step_until(supervisor, lambda: "deaf" in deaf.log_path.read_text())
    began = time.monotonic()
    supervisor.stop(3.0)
    assert time.monotonic() - began < 4.0
    assert gone == ["simulator", "pipeline", "broker"]
    alive = [name for name, child in parts.started if child.poll() is None]
    assert alive == ["foreign broker"]


def test_a_start_that_fails_is_told_at_once_and_tried_again_later(parts: Parts) -> None:
    """If this fails, a broker that cannot come back takes everything down, or is never tried again."""
    answers: list[str | None] = [None, "no Kafka", None]
    inner = parts.child("broker", SLEEP)
    start = inner.start

    def sometimes() -> object:
        why = answers.pop(0)
        if why is not None:
            raise UnreachableError(why)
        return start()

    inner.start = sometimes  # type: ignore[assignment]
    supervisor = Supervisor([inner], first_pause_s=0.01)
    supervisor.begin()
    parts.started[0][1].kill()
    step_until(supervisor, lambda: inner.state is State.RUNNING and len(parts.started) == 2)
    assert answers == []
    assert inner.deaths == 2


def test_children_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    """If this fails, a killed supervisor leaves orphans that hold ports and streams."""
    code = f"""
import sys, time
from pathlib import Path
from watling.ops.supervise import Child
child = Child.start([sys.executable, "-c", {SLEEP!r}], Path({str(tmp_path / "child.out")!r}), {{}})
print(child.process.pid, flush=True)
time.sleep(60)
"""
    with subprocess.Popen([PYTHON, "-c", code], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    assert child.wait(10) is None or not child.is_running()
