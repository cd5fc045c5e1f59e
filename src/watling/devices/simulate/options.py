"""Receives what a user asks of the simulated fleet; gives it checked, in one frozen object."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from watling.errors import UsageError

MAX_VEHICLES = 1_000_000


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """What the simulation is made of. The same options give the same bytes, whatever the speed of sending.

    `rate` is reports per second of each vehicle on each of the two streams (vehicle, gps). `start` None is now, to
    the second; `duration` None has no end. Probabilities: `late_rate` and `repeat_rate` per record, `gap_rate` losses
    of signal per vehicle and hour, `incident_rate` incidents per hour over all roads, `rain` the share of time a place
    sees rain. `camera_every_s` and `weather_every_s` are seconds between two records of one camera or station.
    `clips` is a folder of recorded films whose frames replace drawn pictures (needs the extra `clips`).
    """

    vehicles: int = 1_000
    rate: float = 1.0
    seed: int = 1
    start: datetime | None = None
    duration: timedelta | None = None
    gps_noise_m: float = 3.0
    gap_rate: float = 0.5
    gap_s: float = 25.0
    late_rate: float = 0.002
    late_s: float = 30.0
    repeat_rate: float = 0.001
    incident_rate: float = 8.0
    rain: float = 0.25
    camera_every_s: float = 60.0
    weather_every_s: float = 10.0
    pictures: bool = True
    clips: Path | None = None

    def __post_init__(self) -> None:
        problems = []
        if not 1 <= self.vehicles <= MAX_VEHICLES:
            problems.append(f"vehicles must be 1 to {MAX_VEHICLES:,}, not {self.vehicles}")
        if not 0.001 <= self.rate <= 20:
            problems.append(f"rate must be 0.001 to 20 per second, not {self.rate}")
        for name in ("late_rate", "repeat_rate", "rain"):
            if not 0 <= getattr(self, name) <= 1:
                problems.append(f"{name} must be 0 to 1, not {getattr(self, name)}")
        for name in ("gps_noise_m", "gap_rate", "gap_s", "late_s", "incident_rate"):
            if not 0 <= getattr(self, name) <= 10_000:
                problems.append(f"{name} must be 0 to 10,000, not {getattr(self, name)}")
        for name in ("camera_every_s", "weather_every_s"):
            if not 1 <= getattr(self, name) <= 86_400:
                problems.append(f"{name} must be 1 to 86,400 seconds, not {getattr(self, name)}")
        if not 0 <= self.seed < 2**63:
            problems.append(f"seed must be 0 to 2^63 - 1, not {self.seed}")
        if self.duration is not None and self.duration <= timedelta(0):
            problems.append(f"duration must be above 0, not {self.duration}")
        if self.start is not None and not datetime(2000, 1, 2, tzinfo=UTC) <= self.start_utc <= datetime(
            2199, 1, 1, tzinfo=UTC
        ):
            problems.append(f"start must be in the years 2000 to 2199, not {self.start.isoformat()}")
        if problems:
            raise UsageError("simulate: " + "; ".join(problems), problems=problems)

    @property
    def start_utc(self) -> datetime:
        """The first moment of the simulation; a start without an offset is UTC, none at all is a second ago."""
        if self.start is None:
            return (datetime.now(UTC) - timedelta(seconds=1)).replace(microsecond=0)
        return self.start.replace(tzinfo=UTC) if self.start.tzinfo is None else self.start.astimezone(UTC)


OPTION_NAMES = tuple(f.name for f in fields(FleetOptions))
