"""Receives a moment of the past and a filter; gives the binary frame of that moment, the one the WebSocket sends.

Rows are read from the lake by whole minutes and kept, so that the frames of a minute being played cost arithmetic only.
A vehicle keeps its slot from frame to frame.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from watling.contracts.model import Contract
from watling.dashboard.fleet import EARTH_M_PER_DEGREE, Floats, Longs, Positions, floats
from watling.dashboard.frames import encode
from watling.dashboard.history.filter import Filter
from watling.dashboard.history.past import Past
from watling.dashboard.hot import MOVING

MINUTE_MS = 60_000
MAX_ROWS = 1_500_000  # of a minute; beyond it a vehicle's newest row of every THIN_S is taken
THIN_S = 5
KEPT_BYTES = 256 * 1024 * 1024
MAX_SLOTS = 500_000
MOVED_M = 5.0


@dataclass(frozen=True, slots=True)
class Minute:
    """Rows of one minute in order of event time."""

    slot: npt.NDArray[np.int64]
    event: Longs
    latitude: Floats
    longitude: Floats
    speed: Floats
    heading: Floats

    @property
    def size(self) -> int:
        return sum(
            int(a.nbytes) for a in (self.slot, self.event, self.latitude, self.longitude, self.speed, self.heading)
        )

    def until(self, start_ms: int, at_ms: int) -> Minute:
        """Its rows with start < event time <= at."""
        low, high = np.searchsorted(self.event, [start_ms, at_ms], side="right")
        part = slice(int(low), int(high))
        return Minute(
            self.slot[part],
            self.event[part],
            self.latitude[part],
            self.longitude[part],
            self.speed[part],
            self.heading[part],
        )


class Frames:
    """Frames of the past. Safe to use from several threads."""

    def __init__(self, past: Past) -> None:
        self._past = past
        self._streams = [s for s in MOVING if s in past.contracts]
        self._lock = threading.Lock()
        self._ids: list[str] = []
        self._types: dict[int, str] = {}
        self._slots: dict[str, int] = {}
        self._minutes: OrderedDict[Hashable, Minute] = OrderedDict()
        self._bytes = 0
        self._number = 0

    def frame(self, at_ms: int, seconds: int, wanted: Filter, cancel: threading.Event) -> bytes:
        """The last position of each vehicle at or before `at_ms` and not older than `seconds`.

        Raises:
            QueryError: a limit was met.
        """
        start = at_ms - seconds * 1000
        parts = []
        for minute in range((start + 1) // MINUTE_MS, at_ms // MINUTE_MS + 1):
            parts.append(self._minute(minute, wanted, cancel).until(start, at_ms))
        rows = Minute(*(np.concatenate([getattr(p, name) for p in parts]) for name in Minute.__slots__))
        positions = _last(rows)
        with self._lock:
            self._number += 1
            names = [(s, self._ids[s], self._types.get(s, "")) for s in positions.slot.tolist() if s < len(self._ids)]
            return encode(positions, names, [], seq=self._number, at=at_ms, whole=True)

    def _minute(self, minute: int, wanted: Filter, cancel: threading.Event) -> Minute:
        whole = wanted.during(minute * MINUTE_MS, (minute + 1) * MINUTE_MS)
        key = (whole, self._past.marks(self._streams, whole))
        with self._lock:
            if key in self._minutes:
                self._minutes.move_to_end(key)
                return self._minutes[key]
        read = self._read(whole, cancel)
        with self._lock:
            if len(self._ids) > MAX_SLOTS:  # begin anew: a viewer matches vehicles by id, a frame names them all
                self._minutes.clear()
                self._slots, self._ids, self._types, self._bytes = {}, [], {}, 0
            found = self._slotted(read)
            self._minutes[key] = found
            self._bytes += found.size
            while self._bytes > KEPT_BYTES and len(self._minutes) > 1:
                self._bytes -= self._minutes.popitem(last=False)[1].size
        return found

    def _read(self, wanted: Filter, cancel: threading.Event) -> pa.Table:
        rows = " UNION ALL ".join(_select(self._past.contracts[s]) for s in self._streams)
        sql = f"FROM ({rows}) ORDER BY event_ms"
        values: dict[str, Any] = {}
        answer = self._past.ask(sql, self._streams, wanted, cancel, max_rows=MAX_ROWS)
        if answer.cut:
            thin = (
                "SELECT vehicle_id, max(event_ms) AS event_ms, "  # noqa: S608 - names of contracts
                + ", ".join(
                    f"arg_max({c}, event_ms) AS {c}"
                    for c in ("latitude", "longitude", "speed_kmh", "heading_deg", "vehicle_type")
                )
                + f" FROM ({rows}) GROUP BY vehicle_id, event_ms // {THIN_S * 1000} ORDER BY event_ms"
            )
            answer = self._past.ask(thin, self._streams, wanted, cancel, max_rows=MAX_ROWS, values=values)
        return answer.rows

    def _slotted(self, rows: pa.Table) -> Minute:
        encoded = rows["vehicle_id"].combine_chunks().dictionary_encode()
        names = encoded.dictionary.to_pylist()
        slots = np.fromiter((self._slot(n) for n in names), dtype=np.int64, count=len(names))
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        slot = slots[codes] if len(names) else np.empty(0, dtype=np.int64)
        kinds = rows["vehicle_type"].combine_chunks()
        known = pc.indices_nonzero(pc.is_valid(kinds)).to_numpy()
        first = known[np.unique(slot[known], return_index=True)[1]] if len(known) else known
        for at, kind in zip(slot[first].tolist(), kinds.take(pa.array(first)).to_pylist(), strict=True):
            self._types[at] = kind
        event = np.asarray(rows["event_ms"].combine_chunks().to_numpy(zero_copy_only=False), dtype=np.int64)
        return Minute(slot, event, *(floats(rows, c) for c in ("latitude", "longitude", "speed_kmh", "heading_deg")))

    def _slot(self, vehicle: str) -> int:
        slot = self._slots.get(vehicle)
        if slot is None:
            slot = self._slots[vehicle] = len(self._ids)
            self._ids.append(vehicle)
        return slot


def _select(contract: Contract) -> str:
    names = {f.name for f in contract.fields}
    numbers = ", ".join(c if c in names else f"NULL::DOUBLE AS {c}" for c in ("speed_kmh", "heading_deg"))
    kind = "vehicle_type" if "vehicle_type" in names else "NULL::VARCHAR AS vehicle_type"
    return (
        f'SELECT vehicle_id, epoch_ms("{contract.time_column}") AS event_ms, latitude, longitude, {numbers}, {kind} '  # noqa: S608
        f'FROM "{contract.name}" WHERE latitude IS NOT NULL AND longitude IS NOT NULL AND vehicle_id IS NOT NULL'
    )


def _last(rows: Minute) -> Positions:
    """The newest row of each slot; a heading nobody sent is the course from the row before."""
    count = int(rows.slot.max()) + 1 if len(rows.slot) else 0
    order = np.arange(len(rows.slot))
    newest = np.full(count, -1, dtype=np.int64)
    np.maximum.at(newest, rows.slot, order)
    slots = np.flatnonzero(newest >= 0)
    at = newest[slots]
    earlier = np.ones(len(order), dtype=bool)
    earlier[at] = False
    before = np.full(count, -1, dtype=np.int64)
    np.maximum.at(before, rows.slot[earlier], order[earlier])
    previous = np.where(before[slots] >= 0, before[slots], at)
    latitude, longitude = rows.latitude[at], rows.longitude[at]
    east = (longitude - rows.longitude[previous]) * np.cos(np.radians(latitude)) * EARTH_M_PER_DEGREE
    north = (latitude - rows.latitude[previous]) * EARTH_M_PER_DEGREE
    course = np.where(np.hypot(east, north) > MOVED_M, np.degrees(np.arctan2(east, north)) % 360.0, np.nan)
    heading = np.where(np.isfinite(rows.heading[at]), rows.heading[at], course)
    event = rows.event[at]
    return Positions(slots.astype(np.uint32), latitude, longitude, rows.speed[at], heading, event, event)
