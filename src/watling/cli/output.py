"""Receives rows and values from commands; gives them to stdout: a table for people, plain text for pipes, JSON for scripts."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from watling.ops.logs import printable as printable


def say(text: str = "") -> None:
    """A line to stdout."""
    sys.stdout.write(text + "\n")


def note(text: str) -> None:
    """A line to stderr: how it goes, what to do next. Not part of the result."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


class Line:
    """One line on stderr that is renewed in place, on a terminal only. `renewed` says whether anything is shown."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.renewed = sys.stderr.isatty() and not quiet
        self._shown = False

    def show(self, text: str) -> None:
        """Replace what stands there, cut to the terminal's width."""
        if self.renewed:
            width = shutil.get_terminal_size().columns - 1
            sys.stderr.write(f"\r\x1b[2K{text[:width]}")
            sys.stderr.flush()
            self._shown = True

    def end(self) -> None:
        """Leave the line as it is and go to the next."""
        if self._shown:
            sys.stderr.write("\n")
            self._shown = False


def is_terminal() -> bool:
    """True when a person sees stdout."""
    return sys.stdout.isatty()


def as_json(value: Any) -> None:
    """The value as JSON to stdout."""
    say(json.dumps(value, indent=2, ensure_ascii=False, default=plain))


def plain(value: Any) -> Any:
    """What JSON has no form for: times as ISO 8601, paths and bytes as text, dataclasses as objects."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return sorted(value) if isinstance(value, set | frozenset) else list(value)
    return str(value)


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Rows under their columns; numbers to the right. On a terminal with rules, else in aligned plain text."""
    numeric = [any(_is_number(r[i]) for r in rows) and all(_is_number(r[i]) or r[i] is None for r in rows) for i in range(len(columns))]  # fmt: skip
    texts = [[cell(value) for value in row] for row in rows]
    if is_terminal():
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
        for name, right in zip(columns, numeric, strict=True):
            drawn.add_column(name, justify="right" if right else "left", overflow="fold")
        for row in texts:
            drawn.add_row(*(Text(value) for value in row))  # Text: what a record holds is no markup
        Console().print(drawn)
        return
    widths = [max(len(line[i]) for line in [list(columns), *texts]) for i in range(len(columns))]
    for line in [list(columns), *texts]:
        parts = [
            value.rjust(width) if right else value.ljust(width)
            for value, width, right in zip(line, widths, numeric, strict=True)
        ]
        say("  ".join(parts).rstrip())


def cell(value: Any) -> str:
    """A value in a table; a dash for what is not known."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return printable(str(value)).replace("\n", " ")


def seconds(value: float | None) -> str | None:
    """A duration as people say it: 0.4 s, 12 s, 3 min, 2.1 h, 5 d."""
    if value is None:
        return None
    if value < 10:
        return f"{value:.1f} s"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if value < limit:
            return f"{value / size:.0f} {unit}"
    return f"{value / 86400:.0f} d"


def size(value: float | None) -> str | None:
    """Bytes as people say it."""
    if value is None:
        return None
    for unit in ("B", "KB", "MB", "GB"):
        if value < 1024 or unit == "GB":
            return f"{value:.0f} {unit}" if unit in ("B", "KB") or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return None


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
