"""A small lake whose streams have something of everything: makes, roads, gaps, cells, incidents that end."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import h3
import pyarrow as pa

from tests.integration.small_lake import NOON, SmallLake
from watling.contracts.targets import arrow
from watling.lake.commit import Batch
from watling.lake.state import PartitionDelta
from watling.lake.write import write_rows

START_MS = int(NOON.timestamp() * 1000)
MINUTE_MS = 60_000
MAKES = ("BMW", "Kia", "Tesla", None)
ROADS = ("M1", "A5", None)
FUELS = ("Petrol", "Electric", "Hybrid")
TYPES = ("Fire", "Medical", "Accident")


class VariedLake(SmallLake):
    """Four commits a stream, an hour of event time from NOON on, and a day later one row of each moving stream."""

    def __init__(self, home: Path, **settings: Any) -> None:
        self.ends: dict[str, int] = {}
        super().__init__(home, ("vehicle", "gps", "traffic", "weather", "emergency"), **settings)
        for stream, count in (("vehicle", 400), ("gps", 240), ("traffic", 60), ("weather", 80), ("emergency", 48)):
            for part in range(4):
                self.put(stream, [self.row(stream, i) for i in range(part * count // 4, (part + 1) * count // 4)])
        for stream in ("vehicle", "gps"):
            self.put(stream, [{**self.row(stream, 1000), "event_time": NOON + timedelta(days=1)}])

    def put(self, stream: str, rows: list[dict[str, Any]]) -> None:
        """Commit rows at the offsets they name."""
        schema = arrow.compile(self.contracts[stream])
        known = [{k: v for k, v in r.items() if k in schema.names} for r in rows]
        files = write_rows(self.committer.table(stream), pa.Table.from_pylist(known, schema=schema))
        delta = PartitionDelta(self.ends.get(stream, 0), rows[-1]["_kafka_offset"] + 1, landed=len(rows))
        result = self.committer.commit([Batch(stream, 0, {0: delta}, files, None)])[stream]
        assert not isinstance(result, Exception), result
        self.ends[stream] = delta.next

    def row(self, stream: str, i: int) -> dict[str, Any]:
        """Row `i`: at second 9·i of the hour, on a line to the north-west."""
        when = NOON + timedelta(seconds=9 * i % 3600)
        latitude, longitude = 51.5 + (i % 40) * 0.01, -0.1 - (i % 40) * 0.015
        return {
            "id": f"{stream}-{i}",
            "vehicle_id": f"v{i % 20}" if stream != "weather" else None,
            "event_time": when,
            "latitude": latitude,
            "longitude": longitude,
            "h3": h3.latlng_to_cell(latitude, longitude, 9),
            "speed_kmh": None if i % 11 == 0 else float(i * 7 % 120),
            "heading_deg": float(i % 360) if i % 2 else None,
            "make": MAKES[i % 4],
            "fuel_type": FUELS[i % 3],
            "vehicle_type": ("Car", "Bus")[i % 2],
            "route": ROADS[i % 3],
            "incident_id": f"i{i % 12}",
            "type": TYPES[i % 3],
            "status": ("Reported", "Attending", "Resolved", "Active")[i // 12 % 4] if i % 12 < 8 else "Active",
            "camera_id": f"c{i % 3}",
            "cars": float(i % 9),
            "station": f"s{i % 4}",
            "temperature_c": 5.0 + i % 10,
            "humidity_pct": 50.0 + i % 30,
            "wind_speed_kmh": float(i % 25),
            "weather_condition": ("Rain", "Clear")[i % 2],
            "_kafka_generation": 0,
            "_kafka_partition": 0,
            "_kafka_offset": i,
            "_ingested_at": when + timedelta(seconds=90 if i % 13 == 0 else 1),
        }
