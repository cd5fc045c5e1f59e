"""What the simulator's tests share: one run of a small city without faults, and its records as columns."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from watling.devices.simulate import FleetOptions, Simulation

START = datetime(2026, 11, 24, 7, 30, tzinfo=UTC)


def collect(options: FleetOptions) -> dict[str, list[dict[str, Any]]]:
    """All records of a run by stream."""
    out: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for batch in Simulation(options).batches():
        out[batch.stream].extend(json.loads(v) for v in batch.records["value"].to_pylist())
    return out


@dataclass(frozen=True)
class Track:
    """One trip of one vehicle, in order of time: seconds, m/s, degrees."""

    t: np.ndarray
    v: np.ndarray
    lat: np.ndarray
    lon: np.ndarray
    heading: np.ndarray
    route: str


def tracks(records: list[dict[str, Any]]) -> list[Track]:
    trips: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        trips[record["trip"]].append(record)
    found = []
    for rows in trips.values():
        rows.sort(key=lambda r: r["timestamp"])
        t = np.asarray([datetime.fromisoformat(r["timestamp"]).timestamp() for r in rows])
        place = np.asarray([r["location"] for r in rows])
        v, heading = np.asarray([r["speed"] for r in rows]) / 3.6, np.asarray([r["heading"] for r in rows])
        found.append(Track(t, v, place[:, 0], place[:, 1], heading, rows[0]["route"]))
    return found


@pytest.fixture(scope="session")
def city() -> dict[str, list[dict[str, Any]]]:
    """Eight minutes of 300 vehicles whose receivers are perfect and whose links lose and delay nothing."""
    return collect(
        FleetOptions(
            vehicles=300, seed=5, start=START, duration=timedelta(minutes=8),
            gps_noise_m=0, gap_rate=0, late_rate=0, repeat_rate=0, incident_rate=80, rain=0.5, weather_every_s=60,
        )
    )  # fmt: skip


@pytest.fixture(scope="session")
def trips(city: dict[str, list[dict[str, Any]]]) -> list[Track]:
    return tracks(city["vehicle"])
