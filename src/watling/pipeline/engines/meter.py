"""Receives what a stream's commits did; gives the numbers that `watling status` and the page show for it."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from watling.contracts.model import Contract
from watling.lake.state import StreamState
from watling.pipeline.engines.judged import Prepared

RATE_WINDOW_S = 10.0


class Meter:
    """Numbers of one stream, written by the engine's loop and read by its watch thread."""

    def __init__(self, contract: Contract, state: StreamState, ends: Mapping[int, int]) -> None:
        self._lock = threading.Lock()
        self._topic = contract.topic
        self._state = state
        self._ends: dict[int, int] | None = dict(ends)
        self._commits: deque[tuple[float, int]] = deque()
        self._newest_us: int | None = None
        self._committed_at: float | None = None
        self._commit_seconds = 0.0
        self._interval_s = 0.0
        self._reasons: dict[str, int] = {}
        self._stopped: str | None = None

    def committed(self, prepared: Prepared, state: StreamState, seconds: float, interval_s: float) -> None:
        """A batch is in the lake; its commit took `seconds`."""
        deltas = prepared.batch.deltas.values()
        with self._lock:
            self._state = state
            self._committed_at = time.time()
            self._commit_seconds = seconds
            self._interval_s = interval_s
            self._commits.append((time.monotonic(), sum(d.landed + d.quarantined for d in deltas)))
            if prepared.newest_record_us is not None:
                self._newest_us = max(self._newest_us or 0, prepared.newest_record_us)
            for reason, count in prepared.reasons.items():
                self._reasons[reason] = self._reasons.get(reason, 0) + count

    def ends(self, ends: Mapping[int, int] | None) -> None:
        """End offset of each partition as the broker has it now; None while it is away."""
        with self._lock:
            self._ends = None if ends is None else dict(ends)

    def stopped(self, why: str) -> None:
        """The stream is no longer read."""
        with self._lock:
            self._stopped = why

    def read(self) -> dict[str, Any]:
        """The stream's entry of `status --json`. Rates are records a second over the last 10 s; ages in seconds."""
        with self._lock:
            now, clock = time.time(), time.monotonic()
            while self._commits and clock - self._commits[0][0] > RATE_WINDOW_S:
                self._commits.popleft()
            state = self._state
            nexts = dict(state.generations[state.generation].partitions) if state.generations else {}
            lag = None
            if self._ends is not None:
                lag = sum(max(0, end - (nexts[p].next if p in nexts else 0)) for p, end in self._ends.items())
            freshness = None if self._newest_us is None else max(0.0, now - self._newest_us / 1e6)
            return {
                "topic": self._topic,
                "rate": round(sum(n for _, n in self._commits) / RATE_WINDOW_S, 1),
                "lag_records": lag,
                "lag_seconds": None if lag is None else (0.0 if lag == 0 else _rounded(freshness)),
                "freshness_seconds": _rounded(freshness),
                "landed": state.total("landed"),
                "quarantined": state.total("quarantined"),
                "duplicates": state.total("duplicates"),
                "lost": state.lost,
                "reasons": dict(self._reasons),
                "last_commit": self._committed_at,
                "commit_seconds": round(self._commit_seconds, 4),
                "commit_interval_s": round(self._interval_s, 2),
                "error": self._stopped,
            }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
