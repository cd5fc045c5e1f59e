"""Receives good rows of the vehicle and gps streams from `hot`; gives it the last position of each vehicle, in columns.

A vehicle has a slot, a small number that stands for its id in the frames sent to viewers. Memory is bounded: past
`max_vehicles` the longest silent ones are forgotten, and their slots are announced as gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

TRAIL_POINTS = 64
TRAIL_STEP_M = 40.0
FORGET_SHARE = 100  # a full fleet forgets one vehicle in a hundred at once
FACTS = ("vehicle_type", "make", "model", "fuel_type", "route", "trip", "direction")
NUMBERS = ("year", "altitude_m", "rpm", "fuel_rate_lph", "co2_kgph", "satellites", "accuracy_m")
EARTH_M_PER_DEGREE = 111_195.0

Floats = npt.NDArray[np.float64]
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Positions:
    """Columns of one update, one entry a vehicle. Degrees, km/h, degrees clockwise from north; NaN means unknown.

    `seen` and `event` are milliseconds since 1970 (arrival at Kafka; the device's own time).
    """

    slot: npt.NDArray[np.uint32]
    latitude: Floats
    longitude: Floats
    speed: Floats
    heading: Floats
    seen: Longs
    event: Longs


def floats(table: pa.Table, name: str) -> Floats:
    """A column as float64, NaN where null or where the table has no such column."""
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    column = pc.cast(table[name].combine_chunks(), pa.float64(), safe=False)
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def milliseconds(table: pa.Table, name: str) -> Longs:
    """A timestamp column as milliseconds since 1970; 0 where null."""
    column = pc.cast(table[name].combine_chunks(), pa.int64(), safe=False)
    return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False), dtype=np.int64) // 1000


class Fleet:
    """Not thread-safe: `hot` holds its lock around every call."""

    def __init__(self, max_vehicles: int = 100_000) -> None:
        self.max_vehicles = max_vehicles
        self.ids: list[str | None] = []
        self.facts: list[dict[str, Any]] = []
        self._slots: dict[str, int] = {}
        self._free: list[int] = []
        self._gone: list[int] = []
        self._named: set[int] = set()
        self._size = 0
        self._grow(1024)

    def _grow(self, size: int) -> None:
        old = self._size
        extra = size - old

        def wider(name: str, fill: float, dtype: Any, shape: tuple[int, ...] = ()) -> None:
            more = np.full((extra, *shape), fill, dtype=dtype)
            setattr(self, name, np.concatenate([getattr(self, name), more]) if old else more)

        for name in ("_lat", "_lon", "_speed", "_heading"):
            wider(name, np.nan, np.float64)
        for name in ("_seen", "_event", "_offset"):
            wider(name, 0, np.int64)
        wider("_partition", -1, np.int32)
        wider("_source", -1, np.int16)
        wider("_dirty", 0, np.bool_)
        wider("_trail", np.nan, np.float32, (TRAIL_POINTS, 2))
        wider("_trail_time", 0, np.int64, (TRAIL_POINTS,))
        wider("_trail_next", 0, np.int64)
        self._size = size

    _lat: Floats
    _lon: Floats
    _speed: Floats
    _heading: Floats
    _seen: Longs
    _event: Longs
    _offset: Longs
    _partition: npt.NDArray[np.int32]
    _source: npt.NDArray[np.int16]
    _dirty: npt.NDArray[np.bool_]
    _trail: npt.NDArray[np.float32]
    _trail_time: Longs
    _trail_next: Longs

    def __len__(self) -> int:
        return len(self._slots)

    def _slot(self, vehicle: str) -> int:
        slot = self._slots.get(vehicle)
        if slot is not None:
            return slot
        if len(self._slots) >= self.max_vehicles:
            self._forget_longest_silent()
        if self._free:
            slot = self._free.pop()
            self.ids[slot], self.facts[slot] = vehicle, {}
        else:
            slot = len(self.ids)
            self.ids.append(vehicle)
            self.facts.append({})
            if slot >= self._size:
                self._grow(min(self._size * 2, max(self.max_vehicles, self._size + 1)))
        self._slots[vehicle] = slot
        self._named.add(slot)
        return slot

    def _forget_longest_silent(self) -> None:
        used = np.fromiter(self._slots.values(), dtype=np.int64)
        count = max(1, len(used) // FORGET_SHARE)
        for slot in used[np.argpartition(self._seen[used], count - 1)[:count]].tolist():
            del self._slots[self.ids[slot] or ""]
            self.ids[slot] = None
            self._lat[slot] = self._lon[slot] = self._speed[slot] = self._heading[slot] = np.nan
            self._seen[slot] = self._event[slot] = self._trail_next[slot] = 0
            self._trail_time[slot] = 0
            self._dirty[slot] = False
            self._named.discard(slot)
            self._gone.append(slot)
            self._free.append(slot)

    def update(self, table: pa.Table, source: int) -> None:
        """Take the newest row of each vehicle in `table` (good rows of stream number `source`), if newer than known."""
        table = table.filter(pc.is_valid(table["vehicle_id"]))
        if table.num_rows == 0:
            return
        encoded = table["vehicle_id"].combine_chunks().dictionary_encode()
        codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        event = milliseconds(table, "event_time")
        order = np.lexsort((event, codes))
        last = np.append(codes[order][1:] != codes[order][:-1], True)
        rows = order[last]
        names = encoded.dictionary.to_pylist()
        slots = np.fromiter((self._slot(names[c]) for c in codes[rows]), dtype=np.int64, count=len(rows))
        newer = event[rows] >= self._event[slots]
        rows, slots = rows[newer], slots[newer]
        if len(rows):
            self._store(table.take(pa.array(rows)), slots, source)

    def _store(self, rows: pa.Table, slots: Longs, source: int) -> None:
        lat, lon = floats(rows, "latitude"), floats(rows, "longitude")
        event = milliseconds(rows, "event_time")
        placed = np.isfinite(lat) & np.isfinite(lon)
        east = (lon - self._lon[slots]) * np.cos(np.radians(lat)) * EARTH_M_PER_DEGREE
        north = (lat - self._lat[slots]) * EARTH_M_PER_DEGREE
        moved = placed & (np.hypot(east, north) > 5.0)
        heading = floats(rows, "heading_deg")
        course = np.where(moved, np.degrees(np.arctan2(east, north)) % 360.0, self._heading[slots])
        self._heading[slots] = np.where(np.isfinite(heading), heading, course)
        speed = floats(rows, "speed_kmh")
        self._speed[slots] = np.where(np.isfinite(speed), speed, self._speed[slots])
        self._lat[slots] = np.where(placed, lat, self._lat[slots])
        self._lon[slots] = np.where(placed, lon, self._lon[slots])
        self._event[slots] = event
        self._seen[slots] = np.maximum(self._seen[slots], milliseconds(rows, "_ingested_at"))
        self._partition[slots] = rows["_kafka_partition"].to_numpy()
        self._offset[slots] = rows["_kafka_offset"].to_numpy()
        self._source[slots] = source
        self._dirty[slots] = True
        self._extend_trails(slots[placed], lat[placed], lon[placed], event[placed])
        self._learn(rows, slots)

    def _extend_trails(self, slots: Longs, lat: Floats, lon: Floats, event: Longs) -> None:
        count = self._trail_next[slots]
        previous = self._trail[slots, (count - 1) % TRAIL_POINTS]
        east = (lon - previous[:, 1]) * np.cos(np.radians(lat)) * EARTH_M_PER_DEGREE
        north = (lat - previous[:, 0]) * EARTH_M_PER_DEGREE
        far = (count == 0) | (np.hypot(east, north) >= TRAIL_STEP_M)
        slots, at = slots[far], count[far] % TRAIL_POINTS
        self._trail[slots, at, 0] = lat[far]
        self._trail[slots, at, 1] = lon[far]
        self._trail_time[slots, at] = event[far]
        self._trail_next[slots] += 1

    def _learn(self, rows: pa.Table, slots: Longs) -> None:
        for name in (*FACTS, *NUMBERS):
            if name not in rows.column_names or rows[name].null_count == rows.num_rows:
                continue
            for slot, value in zip(slots.tolist(), rows[name].to_pylist(), strict=True):
                if value is not None and self.facts[slot].get(name) != value:
                    self.facts[slot][name] = value
                    if name == "vehicle_type":
                        self._named.add(slot)

    def _positions(self, slots: Longs) -> Positions:
        slots = slots[np.isfinite(self._lat[slots])]
        return Positions(
            slots.astype(np.uint32),
            self._lat[slots],
            self._lon[slots],
            self._speed[slots],
            self._heading[slots],
            self._seen[slots],
            self._event[slots],
        )

    def changed(self) -> tuple[Positions, list[tuple[int, str, str]], list[int]]:
        """What is new since the last call: positions, (slot, id, type) of named vehicles, slots gone."""
        slots = np.flatnonzero(self._dirty)
        self._dirty[slots] = False
        names = [(slot, self.ids[slot] or "", self.facts[slot].get("vehicle_type", "")) for slot in sorted(self._named)]
        gone, self._gone, self._named = self._gone, [], set()
        return self._positions(slots), names, gone

    def everything(self) -> tuple[Positions, list[tuple[int, str, str]]]:
        """All positions and all names, for a viewer that has none."""
        slots = np.array(sorted(self._slots.values()), dtype=np.int64)
        return self._positions(slots), [
            (s, self.ids[s] or "", self.facts[s].get("vehicle_type", "")) for s in slots.tolist()
        ]

    def some(self, slots: Longs, named: Iterable[int]) -> tuple[Positions, list[tuple[int, str, str]]]:
        """Positions as they are now of those slots, names as they are now of the others; of those still in use."""
        names = [(s, i, self.facts[s].get("vehicle_type", "")) for s in named if (i := self.ids[s]) is not None]
        return self._positions(slots), names

    def tally(self, now_ms: int, silent_ms: int, moving_kmh: float = 2.0) -> dict[str, Any]:
        """Counts of vehicles: all, heard within `silent_ms`, of those moving; mean speed in km/h of the moving."""
        used = np.fromiter(self._slots.values(), dtype=np.int64, count=len(self._slots))
        heard = used[now_ms - self._seen[used] <= silent_ms]
        speed = self._speed[heard]
        moving = speed[np.nan_to_num(speed) >= moving_kmh]
        return {
            "total": len(used),
            "heard": len(heard),
            "moving": len(moving),
            "unplaced": int(np.isnan(self._lat[used]).sum()),
            "mean_speed_kmh": round(float(moving.mean()), 1) if len(moving) else None,
        }

    def card(self, vehicle: str) -> dict[str, Any] | None:
        """All that is known of one vehicle, its trail oldest first as [lat, lon, ms]. None when unknown."""
        slot = self._slots.get(vehicle)
        if slot is None:
            return None
        count = int(self._trail_next[slot])
        at = np.arange(max(0, count - TRAIL_POINTS), count) % TRAIL_POINTS
        trail = [
            [
                round(float(self._trail[slot, i, 0]), 6),
                round(float(self._trail[slot, i, 1]), 6),
                int(self._trail_time[slot, i]),
            ]
            for i in at
        ]
        return {
            "vehicle_id": vehicle,
            "slot": slot,
            "latitude": number(self._lat[slot], 6),
            "longitude": number(self._lon[slot], 6),
            "speed_kmh": number(self._speed[slot], 1),
            "heading_deg": number(self._heading[slot], 1),
            "event_ms": int(self._event[slot]),
            "seen_ms": int(self._seen[slot]),
            "source": int(self._source[slot]),
            "partition": int(self._partition[slot]),
            "offset": int(self._offset[slot]),
            "facts": dict(self.facts[slot]),
            "trail": trail,
        }


def number(value: float, digits: int) -> float | None:
    """The value rounded, or None where it is not a number."""
    return round(float(value), digits) if np.isfinite(value) else None
