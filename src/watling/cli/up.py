"""Receives the options of `watling up`; runs broker, pipeline, page and simulator together, and shows how they do."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from watling.cli import output
from watling.cli.examples import examples
from watling.cli.flags import contracts, settings, to_children
from watling.errors import EXIT_FOUND, EXIT_INTERRUPTED, UsageError

if TYPE_CHECKING:
    from watling.cli.live import Screen
    from watling.config import Settings
    from watling.ops.supervise import Part, Supervisor

log = logging.getLogger("watling.up")

LOOK_S = 0.2
TELL_S = 1.0
PLAIN_EVERY_S = 30.0
PROBE_S = 0.5


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command(
        epilog=examples(
            ("watling up", "then send to Kafka at 127.0.0.1:9092 and look at http://127.0.0.1:8600"),
            ("watling up --simulate", "with a simulated city, so that there is something to see"),
            ("watling up --simulate --vehicles 20000 --open", "a large fleet, and open the browser"),
            ("WATLING_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 watling up", "with a Kafka of your own: none is started"),
        )
    )
    def up(
        context: typer.Context,
        simulate: Annotated[bool, typer.Option("--simulate", help="Also send a simulated city.")] = False,
        vehicles: Annotated[int, typer.Option(help="Vehicles of the simulated city.")] = 1_000,
        open_: Annotated[bool, typer.Option("--open/--no-open", help="Open the page in the browser when it is there.")] = False,
    ) -> None:  # fmt: skip
        """Run all of it in the foreground until Ctrl-C: broker, pipeline, page; what dies is started again.

        A broker of this home that runs already is used, and left running at the end.
        """
        found = settings(context)
        contracts(found)  # a fault in a contract is told here, before anything starts
        with _only_one(found):
            raise typer.Exit(_run(found, to_children(context), simulate, vehicles, open_))


def _run(found: Settings, flags: list[str], simulate: bool, vehicles: int, open_: bool) -> int:
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
    supervisor = Supervisor(_parts(found, flags, simulate, vehicles))
    began = time.monotonic()
    shown = told = probed = 0.0
    page_there = False
    with Screen(found, supervisor.parts, address) as screen:
        try:
            with _signals_raise():
                supervisor.begin()
            screen.begun = True
            stop = stop_on_signals()
            while not stop.event.is_set() and supervisor.failed is None:
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
                stop.event.wait(LOOK_S)
            by = stop.by
        except KeyboardInterrupt:
            by = signal.SIGINT
        finally:
            _stop(supervisor, screen)
            progress.withdraw(found, "up")
    failed = supervisor.failed
    if failed is not None:
        output.note(f"watling: {failed.name} cannot be kept running: {failed.why}\nIts log: {failed.log_path}")
        return EXIT_FOUND
    return EXIT_INTERRUPTED if by is signal.SIGINT else 0


def _stop(supervisor: Supervisor, screen: Screen) -> None:
    """Stop in order. A further Ctrl-C ends this process at once; its children then end by themselves."""

    def enough(_: int, __: FrameType | None) -> None:
        os._exit(EXIT_INTERRUPTED)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, enough)
    began = time.monotonic()
    screen.stopping()
    supervisor.stop()
    if screen.begun:
        log.info("all stopped in %.1f s", time.monotonic() - began)


def _parts(found: Settings, flags: list[str], simulate: bool, vehicles: int) -> list[Part]:
    """What to run, in the order in which it starts. The simulator stops first, the broker last."""
    from watling.ops.supervise import Child, Part

    logs = found.home.resolve() / "logs"
    environment = {"WATLING_SUPERVISED": "1"}

    def child(name: str, command: list[str], rank: int, stop_s: float, **how: Any) -> Part:
        path = logs / f"{name}.out"
        line = [sys.executable, "-m", "watling", *flags, *command]
        return Part(name, lambda: Child.start(line, path, environment), rank, path, stop_s, **how)

    # page and pipeline begin while Kafka starts: both wait for it
    parts = [child("page", ["page"], rank=2, stop_s=3.5), child("pipeline", ["run"], rank=2, stop_s=3.5)]
    if found.embedded_broker:
        parts.append(_broker(found))
    if simulate:
        command = ["simulate", "--vehicles", str(vehicles)]
        parts.append(child("simulator", command, rank=1, stop_s=2.0, ends_alone=True, essential=False))
    return parts


def _broker(found: Settings) -> Part:
    """The embedded broker: one that ran before is only watched; one that we start is ours to stop."""
    from watling.broker import embedded
    from watling.cli.broker import download_progress
    from watling.ops.supervise import Known, Part

    ours = False

    def start() -> Known:
        nonlocal ours
        if not embedded.status(found).running:
            ours = True
        embedded.start(found, download_progress(), attached=True)
        identity = embedded.identity(found)
        assert identity is not None
        return Known(identity)

    def clear() -> None:
        embedded.stop(found)

    log_path = found.home.resolve() / "logs" / "broker.log"
    return Part("broker", start, 3, log_path, stop_s=3.0, ours=lambda: ours, after=clear)


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


@contextlib.contextmanager
def _signals_raise() -> Iterator[None]:
    """While something blocks: SIGINT and SIGTERM raise KeyboardInterrupt."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    for number in before:
        signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
