"""Receives what the lake and the broker say (a `StatusSource`) and the hot state; gives one status, honest about its age.

A stream's state: `live` (rows arrive and land), `quiet` (nothing new for a minute, nothing waiting), `delayed` (rows
wait longer than they should), `empty` (never a record), `failed` (it cannot be followed; `message` says why),
`unknown` (no status has been read yet). A number that is not known is null, never 0.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any, Protocol

import watling
from watling.dashboard.hot import HotState, now_ms

QUIET_MS = 60_000
DELAYED_S = 10.0
STALE_MS = 10_000
READ_EVERY_S = 1.0
READ_TIMEOUT_S = 20.0
FAILED_PAUSE_S = 5.0


class StatusSource(Protocol):
    """Gives what `watling status --json` prints: `streams.<name>` with rate, lag_records, lag_seconds,
    freshness_seconds, landed, quarantined, last_commit; `broker`; `pipeline`. May block for seconds, may raise."""

    def read(self) -> dict[str, Any]: ...


class StatusReader:
    """Reads the source again and again off the event loop and keeps the last answer with its age."""

    def __init__(self, source: StatusSource) -> None:
        self._source = source
        self.last: dict[str, Any] = {}
        self.read_ms: int | None = None
        self.fault: str | None = None

    async def run(self) -> None:
        """Until cancelled. A source that fails is asked again after a few seconds."""
        while True:
            try:
                async with asyncio.timeout(READ_TIMEOUT_S):
                    self.last = await asyncio.to_thread(self._source.read)
                self.read_ms, self.fault = now_ms(), None
                await asyncio.sleep(READ_EVERY_S)
            except TimeoutError:
                self.fault = f"the lake and the broker did not answer within {READ_TIMEOUT_S:.0f} s"
                await asyncio.sleep(FAILED_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            except Exception as error:  # whatever fails there, the page shows it and goes on
                self.fault = f"{type(error).__name__}: {error}"
                await asyncio.sleep(FAILED_PAUSE_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter


def compose(hot: HotState, reader: StatusReader, viewers: int) -> dict[str, Any]:
    """The status of everything as the page and `/api/status` show it. Times are ms since 1970."""
    now = now_ms()
    said: dict[str, Any] = reader.last.get("streams", {})
    stale = reader.read_ms is None or now - reader.read_ms > STALE_MS
    streams = {}
    for name, counts in hot.counts().items():
        lake = said.get(name, {})
        known = {
            key: lake.get(key)
            for key in (
                "landed",
                "quarantined",
                "duplicates",
                "lost",
                "lag_records",
                "lag_seconds",
                "freshness_seconds",
                "last_commit",
                "commit_seconds",
                "error",
            )
        }
        state, message = stream_state(counts, known, now, reader.fault if stale else None)
        streams[name] = {
            "topic": hot.contracts[name].topic,
            "state": state,
            "message": message,
            **known,
            **counts,
            "lake_reasons": lake.get("reasons") or {},
        }
    return {
        "kind": "status",
        "at": now,
        "version": watling.__version__,
        "streams": streams,
        "broker": reader.last.get("broker"),
        "pipeline": reader.last.get("pipeline"),
        "supervisor": reader.last.get("supervisor"),
        "lake": {"read_ms": reader.read_ms, "stale": stale, "fault": reader.fault},
        "viewers": viewers,
        **hot.tally(),
    }


def stream_state(
    counts: dict[str, Any], lake: dict[str, Any], now: int, lake_fault: str | None
) -> tuple[str, str | None]:
    """(state, what to know about it) of one stream; see the module's text for the states."""
    if counts["fault"]:
        return "failed", counts["fault"]
    if lake_fault or lake.get("error"):
        return "failed", lake_fault or lake["error"]
    landed = lake["landed"]
    last = counts["last_record_ms"]
    if not landed and not lake["quarantined"] and last is None:
        return ("unknown", "no status has been read yet") if landed is None else ("empty", "no record has arrived yet")
    lag_s = lake["lag_seconds"]
    if lag_s is not None and lag_s > DELAYED_S:
        return "delayed", f"records wait {lag_s:.0f} s for the lake"
    if last is None or now - last > QUIET_MS:
        return "quiet", "nothing new for a minute; nothing is waiting"
    return "live", None
