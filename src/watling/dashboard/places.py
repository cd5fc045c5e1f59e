"""Receives good rows of streams that stand still (traffic, weather, emergency); gives `hot` the newest row of each place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.dashboard.fleet import milliseconds

MAX_PLACES = 2000
KEYS = {"traffic": ("camera_id",), "weather": ("station", "vehicle_id"), "emergency": ("incident_id",)}
"""Which column names the place, per stream; the first that is not null."""

LEFT_OUT = frozenset({"snapshot"})  # a picture is no part of a row in memory
CLOSED = frozenset({"Resolved", "Cleared"})


class Places:
    """The newest row per place of one stream, at most MAX_PLACES (the longest unheard are dropped)."""

    def __init__(self, stream: str, columns: tuple[str, ...]) -> None:
        self.keys = KEYS[stream]
        self.columns = tuple(c for c in columns if c not in LEFT_OUT)
        self.rows: dict[str, dict[str, Any]] = {}
        self.version = 0

    def update(self, good: pa.Table) -> None:
        """Keep the newest row of each place in the batch, by event time."""
        event = milliseconds(good, "event_time")
        names = pc.coalesce(*(good[key] for key in self.keys)).to_pylist()
        newest: dict[str, int] = {}
        for row in np.argsort(event, kind="stable").tolist():
            if names[row] is not None:
                newest[str(names[row])] = row
        if not newest:
            return
        present = [c for c in self.columns if c in good.column_names]
        picked = good.select([*present, "_kafka_partition", "_kafka_offset"]).take(pa.array(list(newest.values())))
        for name, row in zip(newest, picked.to_pylist(), strict=True):
            at = int(event[newest[name]])
            known = self.rows.pop(name, None)
            if known is not None and known["event_ms"] > at:
                self.rows[name] = known
                continue
            kept = {k: v for k, v in row.items() if v is not None and k != "event_time"}
            first = known["first_ms"] if known is not None else at
            self.rows[name] = {**kept, "place": name, "event_ms": at, "first_ms": first}
        while len(self.rows) > MAX_PLACES:
            del self.rows[next(iter(self.rows))]
        self.version += 1

    def newest(self, limit: int = MAX_PLACES) -> list[dict[str, Any]]:
        """The rows, newest event first."""
        return sorted(self.rows.values(), key=lambda r: -int(r["event_ms"]))[:limit]


def is_open(incident: dict[str, Any]) -> bool:
    """An incident whose last report does not say that it is over."""
    return incident.get("status") not in CLOSED
