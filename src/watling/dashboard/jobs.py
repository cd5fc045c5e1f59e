"""Receives work that takes longer than a request (replay of quarantine, an audit); runs it in a child process, one at a
time, within a bounded time, and keeps how it went.

In a process of its own: it would hold this one's interpreter, and the page would stop moving. The child ends when its
work is done or its starter goes, whichever comes first.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import IO, Any, Literal

from watling.config import Settings
from watling.errors import WatlingError
from watling.ops.apart import END_S, attend, begin, last_words, leave, when_asked_to_stop

LONGEST_S = 1800.0
LOOK_S = 0.1
KEPT = 20

Kind = Literal["replay", "audit"]
State = Literal["running", "done", "failed", "stopped"]
log = logging.getLogger(__name__)


class JobRunning(WatlingError):
    """Another job runs. `job` is its id."""


@dataclass(slots=True)
class Job:
    """One piece of work. Times are ms since 1970; `progress` and `result` are what the work says of itself."""

    id: str
    kind: Kind
    asked: Mapping[str, Any]
    started_ms: int
    state: State = "running"
    ended_ms: int | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    error: str | None = None

    def json(self) -> dict[str, Any]:
        """As the page gets it."""
        return {name: getattr(self, name) for name in self.__slots__}


class Jobs:
    """Starts jobs and remembers the last KEPT of them. Safe to use from several threads."""

    def __init__(self, settings: Settings, longest_s: float = LONGEST_S) -> None:
        self._settings = settings
        self._longest_s = longest_s
        self._lock = threading.Lock()
        self._jobs: deque[Job] = deque(maxlen=KEPT)
        self._stop = threading.Event()
        self._watcher: threading.Thread | None = None

    def start(self, kind: Kind, **asked: Any) -> Job:
        """Begin, without blocking.

        Raises:
            JobRunning: one runs already.
        """
        with self._lock:
            running = next((job for job in self._jobs if job.state == "running"), None)
            if running is not None:
                raise JobRunning(f"{running.kind} is running already: wait for its end", job=running.id)
            job = Job(uuid.uuid4().hex[:12], kind, asked, _now_ms())
            self._jobs.append(job)
            self._stop = threading.Event()
            self._watcher = threading.Thread(target=self._run, args=(job, self._stop), name=f"job-{kind}", daemon=True)
            self._watcher.start()
            return job

    def get(self, id_: str) -> Job | None:
        """The job of that id, as long as it is remembered."""
        with self._lock:
            return next((job for job in self._jobs if job.id == id_), None)

    def newest(self) -> list[Job]:
        """The jobs remembered, newest first."""
        with self._lock:
            return list(reversed(self._jobs))

    def stop(self, id_: str) -> Job | None:
        """Ask a job to end after the file in hand. The job, or None when it is not known."""
        job = self.get(id_)
        if job is not None and job.state == "running":
            self._stop.set()
        return job

    def close(self) -> None:
        """End what runs. Blocks for END_S at most."""
        self._stop.set()
        if self._watcher is not None:
            self._watcher.join(END_S + 1)

    def _run(self, job: Job, stop: threading.Event) -> None:
        try:
            why = self._work(job, stop)
            state: State = "done" if job.result is not None else "stopped" if stop.is_set() and not why else "failed"
        except OSError as error:
            state, why = "failed", f"its process could not be started: {error}"
        job.error = why if state == "failed" else None
        job.ended_ms = _now_ms()
        job.state = state  # last: whoever sees it done sees all of it
        log.info("%s %s: %s %s", job.kind, job.id, state, job.error or job.result)

    def _work(self, job: Job, stop: threading.Event) -> str | None:
        """Run the child to its end; what went wrong, if anything did."""
        deadline = time.monotonic() + self._longest_s
        with tempfile.TemporaryFile() as said:
            child = subprocess.Popen(
                [sys.executable, "-m", "watling.dashboard.jobs"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
            )
            assert child.stdout is not None
            listener = threading.Thread(target=self._listen, args=(job, child.stdout), daemon=True)
            listener.start()
            out_of_time = False

            def go_on() -> bool:
                nonlocal out_of_time
                if stop.wait(LOOK_S):
                    return False
                out_of_time = time.monotonic() > deadline
                return not out_of_time

            try:
                code = attend(child, (self._settings, job.kind, dict(job.asked)), go_on)
            finally:
                listener.join(END_S)
                child.stdout.close()
            if out_of_time:
                job.result = None
                return f"it took longer than {self._longest_s:.0f} s and was stopped; what it did so far stands"
            if job.error is not None or code == 0:
                return job.error
            if stop.is_set() and code == -signal.SIGKILL:  # it was asked to stop and took too long: what it did stands
                return None
            return f"its process ended with {code}. It said: {last_words(said)}"

    @staticmethod
    def _listen(job: Job, lines: IO[bytes]) -> None:
        for line in lines:
            body = json.loads(line)
            if "progress" in body:
                job.progress = body["progress"]
            elif "result" in body:
                job.result = body["result"]
            else:
                job.error = body["error"]


def replay(
    settings: Settings, asked: Mapping[str, Any], stop: threading.Event, tell: Callable[..., None]
) -> dict[str, Any] | None:
    """Judge quarantined records by today's contracts, read anew. `asked`: `streams` and `reasons`, None for all."""
    from watling.contracts import load_contracts
    from watling.lake.catalog import open_catalog
    from watling.pipeline.replay import replay as again

    done = again(
        open_catalog(settings),
        settings,
        load_contracts(settings.contracts_dir),
        asked.get("streams"),
        reasons=asked.get("reasons"),
        stop=stop,
        on_file=lambda now: tell(progress=now.json()),
    )
    tell(progress=done.json())
    return None if stop.is_set() else done.json()


def audit(
    settings: Settings,
    asked: Mapping[str, Any],  # noqa: ARG001 - one signature for all
    stop: threading.Event,  # noqa: ARG001
    tell: Callable[..., None],  # noqa: ARG001
) -> dict[str, Any]:
    """Check every stream and keep the verdict."""
    from watling.audit import keep_verdict, run_audit

    return keep_verdict(settings, run_audit(settings))


WORK = {"replay": replay, "audit": audit}


def main() -> None:
    """The child: one job; a closed standard input asks it to stop."""
    settings, kind, asked = begin()
    stop = threading.Event()

    def asked_to_stop() -> None:
        stop.set()
        if kind == "audit":  # it only reads
            os._exit(0)

    def tell(**body: Any) -> None:
        sys.stdout.write(json.dumps(body) + "\n")
        sys.stdout.flush()

    when_asked_to_stop(asked_to_stop)
    try:
        result = WORK[kind](settings, asked, stop, tell)
        if result is not None:
            tell(result=result)
    except WatlingError as error:
        tell(error=error.message)
    leave()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


if __name__ == "__main__":
    main()
