"""Receives a running process's numbers; keeps the newest in the home, where status and the page read them.

`home/run/<process>.json` holds them with the writer's pid and start, so that what a dead process left is known as such.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from watling.config import Settings
from watling.ops.process import Identity, identity_of

log = logging.getLogger(__name__)

STALE_S = 15.0  # a process that lives but has not told anything for this long hangs


@dataclass(frozen=True, slots=True)
class Progress:
    """What a process told last. `age_s` seconds ago; `running` is false when the process is gone."""

    body: Mapping[str, Any]
    identity: Identity
    age_s: float
    running: bool

    @property
    def fresh(self) -> bool:
        """True when the process runs and told this just now."""
        return self.running and self.age_s < STALE_S


def _path(settings: Settings, process: str) -> Path:
    return settings.home.resolve() / "run" / f"{process}.json"


def publish(settings: Settings, process: str, body: Mapping[str, Any]) -> bool:
    """Keep `body` as the newest numbers of this process. False when the home cannot be written: what it did matters
    more than telling of it, and what was told before grows old."""
    path = _path(settings, process)
    mine = identity_of(os.getpid())
    text = json.dumps({**asdict(mine), "at": time.time(), "body": body})
    temporary = path.with_suffix(f".{mine.pid}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8")  # no fsync: after a power cut nobody asks for it
        temporary.replace(path)
        return True
    except OSError as error:
        log.debug("%s cannot be written: %s", path, error)
        return False


def read(settings: Settings, process: str) -> Progress | None:
    """The newest numbers, or None when there are none."""
    try:
        kept = json.loads(_path(settings, process).read_text(encoding="utf-8"))
        identity = Identity(int(kept["pid"]), float(kept["created"]), str(kept.get("mark", "")))
        return Progress(
            dict(kept["body"]), identity, max(0.0, time.time() - float(kept["at"])), identity.process() is not None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def withdraw(settings: Settings, process: str) -> None:
    """Remove what this process told: it ends in order. What another process told stays."""
    kept = read(settings, process)
    if kept is not None and kept.identity.pid == os.getpid():
        _path(settings, process).unlink(missing_ok=True)


def read_all(settings: Settings, process: str) -> list[Progress]:
    """The newest numbers of `process` and of its parts (`<process>-<part>`), the newest told first."""
    folder = settings.home.resolve() / "run"
    names = [process, *sorted(p.stem for p in folder.glob(f"{process}-*.json"))]
    return sorted((p for n in names if (p := read(settings, n)) is not None), key=lambda p: p.age_s)
