"""Receives the parts of a system; starts them, restarts what dies, tells how each does, and stops them in order.

A part that dies is started again after a pause that doubles (with jitter) up to half a minute, and is given up after
`LIMIT` deaths in a row (sooner when it says that it was used wrongly: that rarely mends itself); one that ran `STABLE_S`
begins anew. A part that another writer fenced is never started again.
"""

from __future__ import annotations

import logging
import random
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

import psutil

from watling.errors import EXIT_DONE, EXIT_USAGE, WatlingError
from watling.ops.process import Identity, identity_of, last_lines, spawn

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
STABLE_S = 30.0
LIMIT = 8
LIMIT_USAGE = 4  # more than one: the last owner of a lock may still be ending
KILL_S = 1.0
EXIT_FENCED = 4  # what the lake's FencedError ends a process with


class State(StrEnum):
    """What a part does. `waiting`: it died and is started again soon; `ended`: it was done."""

    NEW = "new"
    RUNNING = "running"
    WAITING = "waiting"
    FENCED = "fenced"
    ENDED = "ended"
    GIVEN_UP = "given up"
    STOPPED = "stopped"


class Running(Protocol):
    """A part that was started."""

    @property
    def identity(self) -> Identity: ...

    def poll(self) -> int | None:
        """None while it runs, else its exit code."""
        ...

    def ask_to_end(self) -> None: ...

    def kill(self) -> None: ...


@dataclass(slots=True)
class Child:
    """A child process of this one; it is sent a TERM when this process dies, however it dies."""

    process: subprocess.Popen[bytes]
    identity: Identity

    @classmethod
    def start(cls, command: Sequence[str | Path], log_path: Path, environment: Mapping[str, str]) -> Child:
        """Start it; call this from the main thread, whose end is what the child watches."""
        process = spawn(command, log=log_path, environment=environment, dies_with_parent=True)
        try:
            return cls(process, identity_of(process.pid))
        except psutil.NoSuchProcess:  # gone already: `poll` will say so
            return cls(process, Identity(process.pid, 0.0))

    def poll(self) -> int | None:
        return self.process.poll()

    def ask_to_end(self) -> None:
        self.process.terminate()

    def kill(self) -> None:
        self.process.kill()


@dataclass(slots=True)
class Known:
    """A process of which only its identity is known, such as a broker that ran before."""

    identity: Identity

    def poll(self) -> int | None:
        return None if self.identity.process() is not None else 1

    def ask_to_end(self) -> None:
        if (process := self.identity.process()) is not None:
            process.terminate()

    def kill(self) -> None:
        if (process := self.identity.process()) is not None:
            process.kill()


@dataclass(slots=True)
class Part:
    """One thing to keep running.

    `start` may block and may raise WatlingError. `ends_alone`: exit code 0 means it was done. `essential`: when it is
    given up, the whole is. Parts of a lower `rank` stop first, each rank within `stop_s`. `log_path` is where its last
    words are. `ours` says, at the end, whether it is to be stopped; `after` then cleans up, even when a start was cut
    short.
    """

    name: str
    start: Callable[[], Running]
    rank: int
    log_path: Path
    stop_s: float = 3.0
    ends_alone: bool = False
    essential: bool = True
    ours: Callable[[], bool] = lambda: True
    after: Callable[[], None] = lambda: None
    state: State = State.NEW
    running: Running | None = None
    began: float = 0.0
    due: float = 0.0
    deaths: int = 0
    restarts: int = 0
    why: str = ""


@dataclass(slots=True)
class Supervisor:
    """Keeps `parts` running: call `begin`, then `step` a few times a second, at last `stop`. Not for several threads."""

    parts: Sequence[Part]
    clock: Callable[[], float] = time.monotonic
    first_pause_s: float = FIRST_PAUSE_S
    limit: int = LIMIT
    sleep: Callable[[float], object] = field(default=time.sleep)

    def begin(self) -> None:
        """Start every part in order.

        Raises:
            WatlingError: the first one that cannot be; those started before still run.
        """
        for part in self.parts:
            self._start(part)

    def step(self) -> None:
        """One look: note what ended, start again what is due."""
        for part in self.parts:
            if part.state is State.RUNNING and part.running is not None:
                code = part.running.poll()
                if code is not None:
                    self._ended(part, code)
                elif part.deaths and self.clock() - part.began >= STABLE_S:
                    part.deaths, part.why = 0, ""
            elif part.state is State.WAITING and self.clock() >= part.due:
                try:
                    self._start(part)
                    part.restarts += 1
                except WatlingError as error:
                    self._died(part, error.message, error.exit_code)

    @property
    def failed(self) -> Part | None:
        """An essential part that was given up."""
        return next((p for p in self.parts if p.essential and p.state is State.GIVEN_UP), None)

    def stop(self, within_s: float) -> None:
        """Stop what is ours, rank after rank, all of it within that time; what does not end in its share is killed."""
        end = self.clock() + within_s
        shares: dict[int, float] = {}
        for part in self.parts:
            shares[part.rank] = max(shares.get(part.rank, 0.0), part.stop_s)
        for rank in sorted(shares):
            reserved = sum(share for later, share in shares.items() if later > rank)
            deadline = max(end - reserved, self.clock())
            group = [p for p in self.parts if p.rank == rank and p.ours()]
            for part in group:
                if part.running is not None and part.running.poll() is None:
                    part.running.ask_to_end()
            for part in group:
                if part.running is not None:
                    self._wait(part, deadline)
                    part.state = State.STOPPED
                part.after()

    def kill(self) -> None:
        """End what is ours at once."""
        for part in self.parts:
            if part.running is not None and part.ours() and part.running.poll() is None:
                part.running.kill()

    def _wait(self, part: Part, deadline: float) -> None:
        assert part.running is not None
        while part.running.poll() is None and self.clock() < deadline:
            self.sleep(0.02)
        if part.running.poll() is None:
            log.warning("%s did not end in its time: killed", part.name)
            part.running.kill()
            deadline = self.clock() + KILL_S
            while part.running.poll() is None and self.clock() < deadline:
                self.sleep(0.02)

    def _start(self, part: Part) -> None:
        part.running = part.start()
        part.state, part.began = State.RUNNING, self.clock()
        log.info("%s runs (pid %d)", part.name, part.running.identity.pid)

    def _ended(self, part: Part, code: int) -> None:
        if code == EXIT_DONE and part.ends_alone:
            part.state, part.why = State.ENDED, ""
            log.info("%s is done", part.name)
        elif code == EXIT_FENCED:
            part.state, part.why = State.FENCED, last_lines(part.log_path, 1)
            log.error("%s was fenced by another writer and is not started again: %s", part.name, part.why)
        else:
            words = last_lines(part.log_path, 1)
            self._died(part, f"{ending(code)}{': ' + words if words else ''}", code)

    def _died(self, part: Part, why: str, code: int = 1) -> None:
        if part.running is not None and self.clock() - part.began >= STABLE_S:
            part.deaths = 0
        part.deaths += 1
        part.why = why
        if part.deaths >= (min(self.limit, LIMIT_USAGE) if code == EXIT_USAGE else self.limit):
            part.state = State.GIVEN_UP
            log.error("%s died %d times in a row and is given up. %s", part.name, part.deaths, why)
            return
        pause = min(self.first_pause_s * 2.0 ** (part.deaths - 1), LONGEST_PAUSE_S) * random.uniform(0.5, 1.5)  # noqa: S311 - jitter
        part.state, part.due = State.WAITING, self.clock() + pause
        log.warning("%s died (%s); started again in %.1f s", part.name, why, pause)


def ending(code: int) -> str:
    """An exit code in words."""
    if code < 0:
        return f"killed by signal {-code}"
    return f"ended with code {code}"
