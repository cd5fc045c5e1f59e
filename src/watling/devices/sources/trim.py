"""Receives the positions of trips, twice; gives for each trip the times between which it may be shown.

Car trips begin and end near homes. A trip is shown from when it first leaves the circle around its first point until
it last enters the circle around its last point; a trip that never leaves them is not shown at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources import columns
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import DEVICE, TIME, VALUE, Options, Read, Rows, SourceError

EARTH_M = 6_371_008.8
HELD = 1_000_000
Window = tuple[int, int]  # microseconds since 1970, inclusive

Passes = Callable[[], Iterator[pa.Table]]
"""Opens the recording anew; tables of `trip` (string), `time` (UTC), `lat`, `lon` (double, null: no position)."""


def metres(lat1: np.ndarray, lon1: np.ndarray, lat2: np.ndarray | float, lon2: np.ndarray | float) -> np.ndarray:
    """Great-circle distance in metres (haversine), degrees in."""
    a1, a2 = np.radians(lat1), np.radians(lat2)
    h = np.sin((a2 - a1) / 2) ** 2 + np.cos(a1) * np.cos(a2) * np.sin(np.radians(lon2 - lon1) / 2) ** 2
    return np.asarray(2 * EARTH_M * np.arcsin(np.sqrt(np.clip(h, 0, 1))))


Track = tuple[str, np.ndarray, np.ndarray, np.ndarray]  # trip, times (microseconds), latitudes, longitudes


def windows(passes: Passes, radius: float) -> dict[str, Window]:
    """What may be shown of each trip, `radius` in metres. Reads the recording once, twice if it is long; memory is that
    of `HELD` positions and one entry a trip."""
    ends: dict[str, list[tuple[int, float, float]]] = {}
    held: list[Track] | None = []
    size = 0
    for track in _trips(passes()):
        trip, time, lat, lon = track
        first, last = int(np.argmin(time)), int(np.argmax(time))
        here = [(int(time[i]), float(lat[i]), float(lon[i])) for i in (first, last)]
        known = ends.setdefault(trip, here)
        ends[trip] = [min(known[0], here[0]), max(known[1], here[1])]
        size += len(time)
        if held is not None:
            held.append(track)
            held = held if size <= HELD else None
    shown: dict[str, Window] = {}
    for trip, time, lat, lon in held if held is not None else _trips(passes()):
        (_, lat0, lon0), (_, lat1, lon1) = ends[trip]
        left = time[metres(lat, lon, lat0, lon0) > radius]
        outside = time[metres(lat, lon, lat1, lon1) > radius]
        begin = int(left.min()) if len(left) else np.iinfo(np.int64).max
        end = int(outside.max()) if len(outside) else np.iinfo(np.int64).min
        known_window = shown.get(trip, (begin, end))
        shown[trip] = (min(begin, known_window[0]), max(end, known_window[1]))
    return shown


def _trips(tables: Iterator[pa.Table]) -> Iterator[Track]:
    for table in tables:
        table = table.filter(pc.and_(pc.is_valid(table["lat"]), pc.is_valid(table["lon"])))
        if not len(table):
            continue
        codes = pc.dictionary_encode(table["trip"].combine_chunks())
        index = np.asarray(codes.indices)
        time = np.asarray(table["time"].cast(pa.int64()).combine_chunks())
        lat, lon = (np.asarray(table[c].combine_chunks()) for c in ("lat", "lon"))
        for code, trip in enumerate(codes.dictionary.to_pylist()):
            mine = index == code
            yield trip, time[mine], lat[mine], lon[mine]


def inside(trip: pa.Array, time: pa.Array, shown: dict[str, Window]) -> pa.Array:
    """True where a row's time lies in its trip's window."""
    codes = pc.dictionary_encode(trip)
    names = codes.dictionary.to_pylist()
    nothing = (1, 0)
    begin = np.array([shown.get(n, nothing)[0] for n in names] or [0], dtype=np.int64)
    end = np.array([shown.get(n, nothing)[1] for n in names] or [0], dtype=np.int64)
    index = np.asarray(codes.indices)
    at = np.asarray(time.cast(pa.int64()))
    return pa.array((at >= begin[index]) & (at <= end[index]))


def trimmed(read: Read, member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """What an adapter reads of one file, without the trips' ends. A trip is the wire field `trip`, or else all that one
    device sends in this file.

    Raises:
        SourceError: records that go out byte for byte, whose positions are not read.
    """
    radius = options.trim_ends or 0.0
    whole = replace(options, trim_ends=0.0)
    shown = windows(lambda: (_positions(r) for r in read(member, whole, Faults())), radius)
    for batch in read(member, whole, faults):
        at = _positions(batch)
        keep = inside(at.column("trip").combine_chunks(), at.column("time").combine_chunks(), shown)
        faults.skip(reason(radius), len(keep) - (pc.sum(keep).as_py() or 0))
        yield Rows(batch.stream, batch.table.filter(keep))


def reason(radius: float) -> str:
    """How the records that are left out are counted."""
    return f"within {radius:g} m of where a trip begins or ends"


def _positions(batch: Rows) -> pa.Table:
    table = batch.table
    if VALUE in table.column_names:
        raise SourceError("trip ends cannot be trimmed in records that are sent as they are: give --map with fields.")
    trip = table.column(DEVICE)
    if "trip" in table.column_names:
        trip = pc.coalesce(table.column("trip").cast(pa.string()), trip)
    if "location" in table.column_names:
        parts = pc.extract_regex(table.column("location").cast(pa.string()), r"^\[(?P<lat>[^,]+),(?P<lon>[^\]]+)\]$")
        lat, lon = (columns.numbers(pc.struct_field(parts, n).combine_chunks()) for n in ("lat", "lon"))
    else:
        lat = lon = pa.nulls(len(table), pa.float64())
    return pa.table({"trip": trip, "time": table.column(TIME), "lat": lat, "lon": lon})
