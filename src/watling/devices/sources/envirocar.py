"""Receives enviroCar recordings (API GeoJSON tracks, and the CSV made of them); gives vehicle and gps rows.

Which phenomena a track has, and in which unit, differs by car: petrol and diesel cars report what their OBD adapter
offers, electric cars have no engine speed, fuel or exhaust. What a car does not report is left out. Names and units:
https://envirocar.github.io/enviroCar-server/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources import columns, geojson, table, trim
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, rows

SUFFIXES = (".csv", ".json", ".geojson")
TRIM_M = 500.0
BATCH = 10_000

# wire field: phenomena in the order in which they are preferred
VEHICLE = {
    "speed": ("Speed", "GPS Speed"),
    "rpm": ("Rpm",),
    "fuelRate": ("Consumption", "Consumption (GPS-based)"),
    "throttle": ("Throttle Position",),
    "engineLoad": ("Engine Load",),
    "co2": ("CO2", "CO2 Emission (GPS-based)"),
    "altitude": ("GPS Altitude",),
    "hdop": ("GPS HDOP",),
    "heading": ("GPS Bearing",),
}
GPS = {
    "speed": ("GPS Speed", "Speed"),
    "altitude": ("GPS Altitude",),
    "hdop": ("GPS HDOP",),
    "heading": ("GPS Bearing",),
}
COMBUSTION = {"rpm", "fuelRate", "throttle", "engineLoad", "co2"}
WANTED = frozenset(name for names in (*VEHICLE.values(), *GPS.values()) for name in names)

# unit as enviroCar writes it: factor to the wire's unit
UNITS = {
    "km/h": 1.0, "kmh": 1.0, "mph": columns.KMH_PER_MPH, "m/s": columns.KMH_PER_MS,
    "u/min": 1.0, "rpm": 1.0, "1/min": 1.0, "%": 1.0, "precision": 1.0, "": 1.0,
    "m": 1.0, "ft": 0.3048, "deg": 1.0, "°": 1.0, "rad": 57.29577951308232,
    "l/h": 1.0, "ml/s": 3.6, "gal/h": 3.785411784, "kg/h": 1.0, "g/s": 3.6, "g/h": 0.001,
}  # fmt: skip
FUELS = {
    "gasoline": "Petrol",
    "petrol": "Petrol",
    "diesel": "Diesel",
    "electric": "Electric",
    "hybrid": "Hybrid",
    "gas": "Gas",
}


class Blocks(Protocol):
    """Reads a file's measurements; `ends_only` leaves out what trimming does not need."""

    def __call__(self, member: Member, faults: Faults, ends_only: bool = False) -> Iterator[table.Block]: ...


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield a vehicle and a gps batch for each batch of measurements.

    `options.trim_ends` (metres, default 500) leaves out the ends of each trip.
    """
    blocks = _blocks(member)
    radius = TRIM_M if options.trim_ends is None else options.trim_ends
    shown = _windows(member, radius) if radius > 0 else None
    for block in blocks(member, faults):
        if shown is not None:
            block = _trimmed(block, shown, radius, faults)
        if len(block.lines):
            yield from _rows(block)


def _blocks(member: Member) -> Blocks:
    return _geojson if member.name.lower().removesuffix(".gz").endswith("json") else _csv


@lru_cache(maxsize=4096)
def _windows(member: Member, radius: float) -> dict[str, trim.Window]:
    """What may be shown of each trip in a file; kept, as a replay of many files looks at each twice."""
    blocks = _blocks(member)
    return trim.windows(lambda: (_track(b) for b in blocks(member, Faults(), ends_only=True)), radius)


def _trimmed(block: table.Block, shown: dict[str, trim.Window], radius: float, faults: Faults) -> table.Block:
    keep = trim.inside(block.column("track_id"), block.column("_time"), shown)
    faults.skip(trim.reason(radius), len(keep) - (pc.sum(keep).as_py() or 0))
    return block.keep(keep)


def _track(block: table.Block) -> pa.Table:
    lat, lon = (columns.numbers(block.column(c)) for c in ("lat", "lon"))
    return pa.table({"trip": block.column("track_id"), "time": block.column("_time"), "lat": lat, "lon": lon})


def _csv(member: Member, faults: Faults, ends_only: bool = False) -> Iterator[table.Block]:
    names = table.header(member)
    missing = [c for c in ("track_id", "vehicle_id", "time", "lat", "lon") if c not in names]
    if missing:
        faults.add(member.name, 1, f"not an enviroCar table: no column {', '.join(missing)}")
        return
    ends = ["track_id", "vehicle_id", "time", "lat", "lon"]
    wanted = [n for n in names if "[" not in n or _split(n)[0] in WANTED]
    for block in table.read(member, faults, wanted=ends if ends_only else wanted):
        yield from _timed(block, faults)


def _geojson(member: Member, faults: Faults, ends_only: bool = False) -> Iterator[table.Block]:
    for block in geojson.tracks(member, faults, BATCH, frozenset() if ends_only else WANTED):
        yield from _timed(block, faults)


def _timed(block: table.Block, faults: Faults) -> Iterator[table.Block]:
    block = block.reject(pc.is_null(block.column("track_id")), "no track id", faults)
    block = block.reject(pc.is_null(block.column("vehicle_id")), "no vehicle id", faults)
    time = columns.instants(block.column("time"), "UTC", faults)
    bad = pc.is_null(time)
    texts = block.column("time")
    block = block.reject(bad, "time {} cannot be read", faults, texts)
    kept = time.filter(pc.is_valid(time))
    if len(block.lines):
        yield table.Block(block.file, block.table.append_column("_time", kept), block.lines)


def _split(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.*?)\s*\[([^\]]*)\]", name)
    return (match[1], match[2]) if match else (name, "")


def _rows(block: table.Block) -> Iterator[Rows]:
    available = {_split(n)[0]: (n, _split(n)[1]) for n in block.table.column_names if "[" in n}
    fuel = pc.utf8_lower(block.column("fuel"))
    electric = pc.fill_null(pc.equal(fuel, "electric"), False)
    vehicle, trip, time = block.column("vehicle_id"), block.column("track_id"), block.column("_time")
    place, _, _ = columns.coordinates(block.column("lat"), block.column("lon"))

    def measured(wanted: dict[str, tuple[str, ...]]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for wire, phenomena in wanted.items():
            value = _preferred(block, available, phenomena)
            if value is not None and wire in COMBUSTION and not isinstance(value, tuple):
                value = pc.if_else(electric, None, value)
            found[wire] = value
        heading = found.get("heading")
        found["direction"] = columns.compass(heading) if isinstance(heading, pa.Array) else None
        return found

    known = pc.coalesce(columns.renamed(fuel, FUELS), block.column("fuel"))
    n = len(time)
    about = {
        "make": block.column("make"),
        "model": block.column("model"),
        "year": columns.number(block.column("year")),
        "fuelType": known,
    }
    shared: dict[str, Any] = {"vehicle_id": vehicle, "location": place}
    yield rows(
        "vehicle",
        {**shared, **measured(VEHICLE), **about, "vehicleType": columns.constant("Car", n), "trip": trip},
        time=time,
        device=vehicle,
        row=trip,
    )
    yield rows(
        "gps",
        {**shared, **measured(GPS), "vehicleType": columns.constant("Car", n), "trip": trip},
        time=time,
        device=vehicle,
        row=trip,
    )


def _preferred(block: table.Block, available: dict[str, tuple[str, str]], phenomena: tuple[str, ...]) -> columns.Field:
    """The first phenomenon a row has, in the wire's unit. One in a unit we do not know is left out."""
    result: columns.Field = None
    for name in phenomena:
        column, unit = available.get(name, ("", ""))
        factor = UNITS.get(unit)
        if not column or factor is None:
            continue
        value = columns.number(block.column(column), factor)
        if value is None:
            continue
        if result is None:
            result = value
            if isinstance(value, tuple) or value.null_count == 0:
                return value
        elif not isinstance(result, tuple) and not isinstance(value, tuple):
            result = pc.coalesce(result, value)
    return result
