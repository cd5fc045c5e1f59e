"""Receives the parts that `watling up` runs; shows on a terminal a table of them and of the streams, renewed each second."""

from __future__ import annotations

import logging
import sys
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import psutil

from watling.cli import output
from watling.ops import logs, progress

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from watling.config import Settings
    from watling.ops.supervise import Part

MESSAGES = 5


class _Messages(logging.Handler):
    """Keeps the last messages for the table, so that they do not tear it."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.kept: deque[str] = deque(maxlen=MESSAGES)

    def emit(self, record: logging.LogRecord) -> None:
        at = time.strftime("%H:%M:%S", time.localtime(record.created))
        self.kept.append(f"{at} {output.printable(record.getMessage())}".replace("\n", " "))


class _Lines(logging.Handler):
    """Writes messages as lines where there is no table."""

    def emit(self, record: logging.LogRecord) -> None:
        output.note(output.printable(record.getMessage()))


class Screen:
    """A live table where stdout is a terminal, else plain lines on stderr. Use it in a `with`."""

    def __init__(self, settings: Settings, parts: Sequence[Part], address: str) -> None:
        self._settings = settings
        self._parts = parts
        self._address = address
        self._began = time.monotonic()
        self._note = "starting"
        self.begun = False
        self.live = sys.stdout.isatty()
        self._messages = _Messages()
        self._shown: Live | None = None
        self._handler: logging.Handler = self._messages if self.live else _Lines(logging.INFO)

    def __enter__(self) -> Self:
        for name in ("watling.up", "watling.ops.supervise"):
            logging.getLogger(name).addHandler(self._handler)
        logs.quiet_console()  # what goes to the screen goes through it
        output.note("starting; Ctrl-C stops all of it")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown is not None:
            self._note = "stopped"
            self._shown.update(self._table(), refresh=True)
            self._shown.stop()
        for name in ("watling.up", "watling.ops.supervise"):
            logging.getLogger(name).removeHandler(self._handler)

    def page_there(self) -> None:
        """The page answers."""
        self._note = ""

    def stopping(self) -> None:
        """The end has begun."""
        self._note = "stopping"
        self.draw()

    def draw(self) -> None:
        """Renew the table."""
        if not self.live:
            return
        if self._shown is None:
            from rich.live import Live

            self._shown = Live(self._table(), auto_refresh=False, transient=False)
            self._shown.start()
        self._shown.update(self._table(), refresh=True)

    def line(self) -> None:
        """How it goes, as one line."""
        from watling.cli.run import line

        streams = _streams(self._settings)
        if streams:
            output.note(line(streams))

    def _table(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        age = output.seconds(time.monotonic() - self._began)
        state = f" · {self._note}" if self._note else ""
        head = Text.assemble(
            ("Watling", "bold"), f" · {self._address} · Kafka {self._settings.bootstrap_servers} · {age}{state}"
        )
        tables = [head, _parts_table(self._parts)]
        if streams := _streams(self._settings):
            tables.append(_streams_table(streams))
        lines = [Text(message, style="dim", overflow="ellipsis", no_wrap=True) for message in self._messages.kept]
        if not self._note.startswith("stop"):
            lines.append(Text("Ctrl-C stops all of it.", style="dim"))
        return Group(*tables, *lines)


def _streams(settings: Settings) -> dict[str, dict[str, Any]]:
    """What running pipelines tell of their streams."""
    found: dict[str, dict[str, Any]] = {}
    for told in reversed(progress.read_all(settings, "pipeline")):
        if told.fresh:
            found.update(told.body.get("streams", {}))
    return found


def _parts_table(parts: Sequence[Part]) -> Any:
    rows = []
    for part in parts:
        pid = part.running.identity.pid if part.running is not None else None
        rows.append([part.name, str(part.state), str(pid or "–"), part.restarts, output.size(_memory(part)), part.why])
    return _grid(["part", "state", "pid", "restarts", "memory", ""], rows)


def _streams_table(streams: dict[str, dict[str, Any]]) -> Any:
    rows = [
        [
            name,
            s["rate"],
            s["lag_records"],
            output.seconds(s["freshness_seconds"]),
            s["landed"],
            s["quarantined"],
            s["error"] or "",
        ]
        for name, s in streams.items()
    ]
    return _grid(["stream", "records/s", "lag", "freshness", "landed", "quarantined", ""], rows)


def _grid(columns: list[str], rows: list[list[Any]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for i, name in enumerate(columns):
        right = any(isinstance(row[i], int | float) for row in rows)
        table.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    for row in rows:
        table.add_row(*(Text("" if value == "" else output.cell(value)) for value in row))
    return table


def _memory(part: Part) -> int | None:
    try:
        if part.running is None or (process := part.running.identity.process()) is None:
            return None
        return int(process.memory_info().rss)
    except psutil.Error:
        return None
