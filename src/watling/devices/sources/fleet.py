"""Receives the positions of one feed's vehicles, as lists; gives vehicle and gps rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from watling.devices.sources import columns
from watling.devices.sources.rows import SAME, UTC, Rows, rows


@dataclass(slots=True)
class Fleet:
    """Vehicles of a feed, a list a field. Times are microseconds since 1970, speeds km/h, headings degrees.

    `own` says that a time is the vehicle's own and not the feed's. `due` is when the feed was published.
    """

    due: list[int] = field(default_factory=list)
    time: list[int] = field(default_factory=list)
    own: list[bool] = field(default_factory=list)
    vehicle: list[str] = field(default_factory=list)
    latitude: list[float | None] = field(default_factory=list)
    longitude: list[float | None] = field(default_factory=list)
    heading: list[float | None] = field(default_factory=list)
    speed: list[float | None] = field(default_factory=list)
    route: list[str | None] = field(default_factory=list)
    trip: list[str | None] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.time)

    def rows(self) -> Iterator[Rows]:
        """A vehicle and a gps batch. What tells records of one vehicle and time apart is its trip and position: the
        same position sent twice is the same record."""
        time, due = (pa.array(v, pa.int64()).cast(UTC) for v in (self.time, self.due))
        vehicle = pa.array(self.vehicle, pa.string())
        heading = pa.array(self.heading, pa.float64())
        told = zip(self.trip, self.latitude, self.longitude, strict=True)
        row = [f"{trip or ''}|{lat}|{lon}" for trip, lat, lon in told]
        kept = zip(self.vehicle, row, self.time, self.own, strict=True)
        same = pa.array([f"{v}|{r}|{t if own else ''}" for v, r, t, own in kept], pa.string())
        fields = {
            "vehicle_id": vehicle,
            "location": columns.location(pa.array(self.latitude, pa.float64()), pa.array(self.longitude, pa.float64())),
            "speed": pa.array(self.speed, pa.float64()),
            "heading": heading,
            "direction": columns.compass(heading),
            "route": pa.array(self.route, pa.string()),
            "trip": pa.array(self.trip, pa.string()),
        }
        for stream in ("vehicle", "gps"):
            batch = rows(stream, fields, time=time, device=vehicle, row=pa.array(row, pa.string()), due=due)
            yield Rows(stream, batch.table.append_column(SAME, same))
