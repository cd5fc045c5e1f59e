"""Receives the options of `watling up`; runs broker, pipeline, page and simulator together, and shows how they do."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings, to_children
from watling.errors import EXIT_FOUND, EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from watling.cli.signals import Stop
    from watling.config import Settings
    from watling.ops.process import Identity
    from watling.ops.supervise import Part, Supervisor

log = logging.getLogger("watling.up")

LOOK_S = 0.2
TELL_S = 1.0
PLAIN_EVERY_S = 30.0
PROBE_S = 0.5
STOP_S = 9.0  # all of it
LAST_S = 0.7  # then what is left is killed


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling up", "then send to Kafka at 127.0.0.1:9092 and look at http://127.0.0.1:8600"),
            ("watling up --simulate", "with a simulated city, so that there is something to see"),
            ("watling up --simulate --vehicles 20000 --open", "a large fleet, and open the browser"),
            ("watling up --replay envirocar=trips/ --replay gtfs-rt=buses.pb", "recordings, as if they began now"),
            ("WATLING_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 watling up", "with a Kafka of your own: none is started"),
        )
    )
    def up(
        context: typer.Context,
        simulate: Annotated[bool, typer.Option("--simulate", help="Also send a simulated city.")] = False,
        vehicles: Annotated[int, typer.Option(help="Vehicles of the simulated city.")] = 1_000,
        replay: Annotated[list[str] | None, typer.Option(help="Also send this recording, as if it began now and over and over; may be repeated. `watling replay` beside it has more choices.", metavar="SOURCE=PATH")] = None,
        open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser when it is there.")] = False,
    ) -> None:  # fmt: skip
        """Run all of it in the foreground until Ctrl-C: broker, pipeline, page; what dies is started again.

        A broker of this home that runs already is used, and left running at the end.
        """
        found = settings(context)
        contracts(found)  # a fault in a contract is told here, before anything starts
        senders = {"simulator": ["simulate", "--vehicles", str(vehicles)]} if simulate else {}
        for number, text in enumerate(replay or (), 1):
            senders["replay" if number == 1 else f"replay {number}"] = _replay(text)
        with _only_one(found):
            raise typer.Exit(_run(found, to_children(context), senders, open_))


def _run(found: Settings, flags: list[str], senders: dict[str, list[str]], open_: bool) -> int:
    from watling.cli.live import Screen
    from watling.cli.page import open_browser
    from watling.cli.signals import stop_on_signals
    from watling.ops import progress
    from watling.ops.supervise import Supervisor

    if not found.embedded_broker:
        from watling.broker import admin

        admin.ping(found)
    _check_page_port(found)
    address = f"http://{found.page.host}:{found.page.port}/"
    last_resort = _LastResort()
    asked = stop_on_signals(asked=last_resort.begin)
    supervisor = last_resort.supervisor = Supervisor(_parts(found, flags, senders, asked))
    began = time.monotonic()
    shown = told = probed = 0.0
    page_there = False
    failed: Part | None = None
    with Screen(found, supervisor.parts, address) as screen:
        try:
            supervisor.begin()
            screen.begun = True
            while not asked.event.is_set() and supervisor.failed is None:
                supervisor.step()
                now = time.monotonic()
                if not page_there and now - probed >= PROBE_S:
                    probed, page_there = now, _answers(found)
                    if page_there:
                        log.info("the page is at %s (after %.1f s)", address, now - began)
                        screen.page_there()
                        if open_:
                            open_browser(address)
                if now - told >= TELL_S:
                    told = now
                    progress.publish(found, "up", _body(supervisor.parts, address if page_there else None))
                    screen.draw()
                if not screen.live and now - shown >= PLAIN_EVERY_S and page_there:
                    shown = now
                    screen.line()
                asked.event.wait(LOOK_S)
            failed = supervisor.failed
        except KeyboardInterrupt:
            pass  # asked to end while the broker was starting
        finally:
            last_resort.begin()
            asked.event.set()
            stopping = time.monotonic()
            screen.stopping()
            supervisor.stop(STOP_S)
            last_resort.cancel()
            if screen.begun:
                log.info("all stopped in %.1f s", time.monotonic() - stopping)
            progress.withdraw(found, "up")
    if failed is not None:
        output.note(f"watling: {failed.name} cannot be kept running: {failed.why}\nIts log: {failed.log_path}")
        return EXIT_FOUND
    return asked.exit_code()


class _LastResort:
    """Ends everything by force when stopping takes too long, wherever this process hangs then."""

    def __init__(self) -> None:
        self.supervisor: Supervisor | None = None
        self._begun = threading.Lock()  # by the thread of the signals or by the main one, whichever is first
        self._timer = threading.Timer(STOP_S + LAST_S, self._end)
        self._timer.daemon = True

    def begin(self) -> None:
        """Stopping has begun."""
        if self._begun.acquire(blocking=False):
            self._timer.start()

    def cancel(self) -> None:
        """All has stopped."""
        self._timer.cancel()

    def _end(self) -> None:
        if self.supervisor is not None:
            self.supervisor.kill()
        os._exit(EXIT_INTERRUPTED)


def _replay(text: str) -> list[str]:
    """`SOURCE=PATH` as the command of the child that sends it."""
    from watling.devices.sources import SOURCES

    source, equals, path = text.partition("=")
    if not equals or source not in SOURCES:
        raise UsageError(f"--replay {text!r}: write SOURCE=PATH, with one of {', '.join(SOURCES)}")
    if not Path(path).exists():
        raise UsageError(f"--replay {text!r}: there is no {path}")
    return ["replay", source, path, "--shift-to", "now", "--loop"]


def _parts(found: Settings, flags: list[str], senders: dict[str, list[str]], asked: Stop) -> list[Part]:
    """What to run, in the order in which it starts. They stop by rank: what sends, the pipeline, the page, the broker."""
    from watling.ops.supervise import Child, Part

    logs = found.home.resolve() / "logs"
    environment = {"WATLING_SUPERVISED": "1"}

    def child(name: str, command: list[str], rank: int, stop_s: float, **how: Any) -> Part:
        path = logs / f"{name.replace(' ', '-')}.out"
        line = [sys.executable, "-m", "watling", *flags, *command]
        return Part(name, lambda: Child.start(line, path, environment), rank, path, stop_s, **how)

    # page and pipeline begin while Kafka starts: both wait for it
    parts = [child("page", ["page"], rank=3, stop_s=1.0), child("pipeline", ["run"], rank=2, stop_s=3.0)]
    if found.embedded_broker:
        parts += _broker(found, asked)
    for name, command in senders.items():
        parts.append(child(name, command, rank=1, stop_s=2.5, ends_alone=True, essential=False))
    return parts


def _broker(found: Settings, asked: Stop) -> list[Part]:
    """The embedded broker, and its ZooKeeper: one that ran before is only watched; one that we start is ours to stop."""
    from watling.broker import embedded
    from watling.cli.broker import download_progress
    from watling.ops.supervise import Known, Part

    ours = False

    def started(start: Callable[[], object], identity: Callable[[Settings], Identity | None]) -> Known:
        asked.blocking = True
        try:
            if asked.event.is_set():
                raise KeyboardInterrupt
            start()
        finally:
            asked.blocking = False
        who = identity(found)
        assert who is not None
        return Known(who)

    def start() -> Known:
        nonlocal ours
        if not embedded.status(found).running:
            ours = True
        return started(lambda: embedded.start(found, download_progress(), attached=True), embedded.identity)

    def start_zookeeper() -> Known:
        # beside a broker that ran before us it must outlive us as well
        attached = ours or not embedded.status(found).running
        return started(
            lambda: embedded.start_zookeeper(found, download_progress(), attached=attached), embedded.zookeeper_identity
        )

    def clear() -> None:
        embedded.stop(found)

    logs = found.home.resolve() / "logs"
    parts = [Part("broker", start, 4, logs / "broker.log", stop_s=2.5, ours=lambda: ours, after=clear)]
    if found.broker.coordination == "zookeeper":
        watched = Part("zookeeper", start_zookeeper, 5, logs / "zookeeper.log", stop_s=1.0, ours=lambda: ours)
        parts.insert(0, watched)
    return parts


def _body(parts: Sequence[Part], page: str | None) -> dict[str, Any]:
    return {
        "page": page,
        "parts": {
            p.name: {
                "state": str(p.state),
                "pid": p.running.identity.pid if p.running else None,
                "restarts": p.restarts,
                "why": p.why or None,
            }
            for p in parts
        },
    }


@contextlib.contextmanager
def _only_one(found: Settings) -> Iterator[None]:
    """Hold this home's place for one `up`. Raises UsageError while another holds it."""
    path = found.home.resolve() / "run" / "up.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"{found.home.resolve()} cannot be written: {error.strerror}. Choose another home with --home or WATLING_HOME."
        ) from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise UsageError(
                f"`watling up` runs already for {found.home.resolve()} (pid {file.read().strip() or 'unknown'}). "
                "Look at it with `watling status`, or name another home and other ports."
            ) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def _check_page_port(found: Settings) -> None:
    from watling.ops.machine import port

    finding = port("page", found.page.host, found.page.port, "WATLING_PAGE__PORT")
    if finding.grade == "problem":
        raise UsageError(f"the page cannot listen: {finding.found}. {finding.todo}")


def _answers(found: Settings) -> bool:
    """True when the page says that it is well."""
    import http.client

    connection = http.client.HTTPConnection(found.page.host, found.page.port, timeout=1.0)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
