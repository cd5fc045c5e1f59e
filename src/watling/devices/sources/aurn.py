"""Receives hourly means of AURN air quality stations with weather; gives weather rows.

Columns as openair gives them: `date` in GMT the whole year, `nox, no2, pm2.5, pm10` in µg/m³, `ws` in m/s, `wd` in
degrees, `visibility` in m, `air_temp` in °C. DEFRA stamps an hour with its end (01:00 to 24:00), and the record's time
is that stamp; where a file stamps the beginning, the option `stamp=start` adds the hour.
"""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from watling.devices.sources import columns, table
from watling.devices.sources.faults import Faults
from watling.devices.sources.files import Member
from watling.devices.sources.rows import Options, Rows, SourceError, rows
from watling.devices.sources.timed import complete, has_columns

SUFFIXES = (".csv",)
HOUR = pa.scalar(3_600_000_000, pa.duration("us"))
MEASURED = {
    "temperature": ("air_temp", 1.0),
    "windSpeed": ("ws", columns.KMH_PER_MS),
    "windDirection": ("wd", 1.0),
    "visibility": ("visibility", 1.0),
    "no2_ugm3": ("no2", 1.0),
    "nox_ugm3": ("nox", 1.0),
    "pm10_ugm3": ("pm10", 1.0),
    "pm25_ugm3": ("pm2.5", 1.0),
}


def read(member: Member, options: Options, faults: Faults) -> Iterator[Rows]:
    """Yield weather rows. What was not measured is left out; a negative concentration is sent as it was recorded."""
    names = table.header(member)
    if not has_columns(member, names, ("date", "site"), "an AURN table", faults):
        return
    stamp = options.extra.get("stamp", "end")
    if stamp not in {"start", "end"}:
        raise SourceError(f"stamp={stamp}: an hour is stamped with its start or its end.", stamp=stamp)
    wanted = ("date", "site", "lat", "lon", *(c for c, _ in MEASURED.values()))
    for block in table.read(member, faults, wanted=wanted):
        texts = block.column("date")
        time = columns.instants(texts, options.timezone or "UTC", faults)
        if stamp == "start":
            time = pc.add(time, HOUR)
        block, time = complete(block, time, texts, "site", faults)
        if not len(block.lines):
            continue
        station = block.column("site")
        place, _, _ = columns.coordinates(block.column("lat"), block.column("lon"))
        measured = {wire: columns.number(block.column(c), factor) for wire, (c, factor) in MEASURED.items()}
        yield rows("weather", {"station": station, "location": place, **measured}, time=time, device=station)
