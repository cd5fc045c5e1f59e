"""Receives log records of every room; gives JSON lines to a rotated file of this process and readable lines to stderr.

The file is `home/logs/<process>.log`. A line has `time` (UTC), `level`, `logger`, `message`, `process`, `pid`, and
`trace` where there is one. Passwords of the settings never get into either.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Collection
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO, Any

MAX_BYTES = 10 * 1024 * 1024
KEPT = 4
HIDDEN = "••••"
SHORTEST_SECRET = 4  # anything shorter would blank out ordinary words
DELETES = "pyiceberg.catalog"  # warns of files that upkeep has deleted already; what stays, orphan removal finds
NOISY = ("urllib3", "httpcore", "httpx", "sqlalchemy", "pyiceberg", "jgo", "asyncio", "numba", "uvicorn")


class JsonLines(logging.Formatter):
    """A record as one line of JSON, without secrets."""

    def __init__(self, process: str, secrets: Collection[str]) -> None:
        super().__init__()
        self._process = process
        self._secrets = tuple(sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True))

    def format(self, record: logging.LogRecord) -> str:
        body: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": hide(record.getMessage(), self._secrets),
            "process": self._process,
            "pid": record.process,
        }
        if record.exc_info:
            body["trace"] = hide(self.formatException(record.exc_info), self._secrets)
        return json.dumps(body, ensure_ascii=False)


class Readable(logging.Formatter):
    """A record as a line for people: time of day, level when it matters, message. The trace stays in the file."""

    def __init__(self, secrets: Collection[str], colour: bool) -> None:
        super().__init__()
        self._secrets = tuple(sorted((s for s in secrets if len(s) >= SHORTEST_SECRET), key=len, reverse=True))
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        text = hide(record.getMessage(), self._secrets)
        if record.exc_info and record.exc_info[1] is not None:
            text += f" ({type(record.exc_info[1]).__name__}: {hide(str(record.exc_info[1]), self._secrets)})"
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        line = f"{datetime.fromtimestamp(record.created):%H:%M:%S} {level}{printable(text)}"
        if not self._colour or record.levelno < logging.WARNING:
            return line
        return f"\x1b[{'31' if record.levelno >= logging.ERROR else '33'}m{line}\x1b[0m"


class _LazyFile(RotatingFileHandler):
    """Makes its folder with its file, at the first line: a command that logs nothing leaves nothing behind."""

    def _open(self) -> Any:
        Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not end the process, nor fill the terminal."""


class _Stderr(logging.StreamHandler[Any]):
    """Writes to whatever stderr is now: a live table may have replaced it."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    @property
    def stream(self) -> IO[str]:
        return sys.stderr

    @stream.setter
    def stream(self, _: IO[str]) -> None: ...


def files() -> list[RotatingFileHandler]:
    """The files that this process logs to."""
    return [h for h in logging.getLogger().handlers if isinstance(h, _LazyFile)]


def quiet_console() -> None:
    """From here on nothing goes to stderr: the command shows what matters itself. The file gets everything."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Stderr):
            handler.setLevel(logging.CRITICAL + 1)


def log_path(home: Path, process: str) -> Path:
    """Where the lines of that process are."""
    return home.resolve() / "logs" / f"{process}.log"


def configure(
    home: Path, process: str, *, console: int = logging.WARNING, secrets: Collection[str] = (), detailed: bool = False
) -> Path:
    """Send this process's log records to its file (info and above; all with `detailed`) and to stderr from `console` on.

    Gives the file's path. Calling it again replaces what was set before.
    """
    path = log_path(home, process)
    file = _LazyFile(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8", delay=True)
    file.setFormatter(JsonLines(process, secrets))
    file.setLevel(logging.DEBUG if detailed else logging.INFO)
    terminal = _Stderr()
    terminal.setFormatter(Readable(secrets, sys.stderr.isatty() and not os.environ.get("NO_COLOR")))
    terminal.setLevel(console)
    root = logging.getLogger()
    for old in [h for h in root.handlers if isinstance(h, _LazyFile | _Stderr)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(file)
    root.addHandler(terminal)
    root.setLevel(logging.DEBUG if detailed else logging.INFO)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.INFO if detailed else logging.WARNING)
    logging.getLogger(DELETES).setLevel(logging.INFO if detailed else logging.ERROR)
    return path


def hide(text: str, secrets: Collection[str]) -> str:
    """The text without the secrets in it."""
    for secret in secrets:
        text = text.replace(secret, HIDDEN)
    return text


def printable(text: str) -> str:
    """The text without what could command a terminal; line breaks and tabs stay."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
