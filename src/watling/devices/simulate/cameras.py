"""Receives the fleet; gives what each roadside camera counts and sees.

A camera counts the vehicles of the fleet between two pictures and draws those that stand in its view at the moment.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watling.devices.simulate.catalogue import Kind
from watling.devices.simulate.fleet import Fleet
from watling.devices.simulate.roads import Network

VIEW_M = 400.0  # it sees so far to both sides


@dataclass(frozen=True, slots=True)
class Camera:
    id: str
    name: str
    latitude: float
    longitude: float
    spots: tuple[tuple[int, float], ...]  # roads it sees, each with the metres along it


@dataclass(frozen=True, slots=True)
class Seen:
    """One vehicle in view: `ahead_m` from the camera along the road (negative behind it), lane from the left, and
    whether it drives away from London."""

    ahead_m: float
    lane: int
    kind: int
    northbound: bool


@dataclass(frozen=True, slots=True)
class View:
    """What a camera has in view and counted: `cars` and `trucks` in view, `flow_vph` vehicles an hour and their mean
    speed in km/h (None without any), `occupancy_pct` share of its road's lanes covered by vehicles."""

    seen: tuple[Seen, ...]
    cars: int
    trucks: int
    flow_vph: float
    mean_speed_kmh: float | None
    occupancy_pct: float


@cache
def _sites() -> tuple[dict[str, Any], ...]:
    text = (files("watling.devices") / "data" / "sites.json").read_text(encoding="utf-8")
    return tuple(json.loads(text)["cameras"])


def load_cameras(network: Network) -> tuple[Camera, ...]:
    """The cameras and the roads that they look at."""
    cameras = []
    for site in _sites():
        spots = tuple(network.nearest(site["latitude"], site["longitude"], 120))
        cameras.append(Camera(site["id"], site["name"], site["latitude"], site["longitude"], spots))
    return tuple(cameras)


class Cameras:
    """Counts for all cameras; `passed` and `speed_sum` since each one's last picture."""

    def __init__(self, network: Network) -> None:
        self.cameras = load_cameras(network)
        spots = [(c, road, x) for c, camera in enumerate(self.cameras) for road, x in camera.spots]
        self.passed = np.zeros(len(self.cameras))
        self.speed_sum = np.zeros(len(self.cameras))
        self._by_road: list[tuple[NDArray[np.float64], NDArray[np.int64]]] = []
        for number in range(len(network.roads)):
            mine = sorted((x, c) for c, road, x in spots if road == number)
            self._by_road.append((np.asarray([x for x, _ in mine]), np.asarray([c for _, c in mine], dtype=np.int64)))

    def count(
        self, road: NDArray[np.int8], before: NDArray[np.float64], after: NDArray[np.float64], v: NDArray[np.float64]
    ) -> None:
        """Count the vehicles that passed a camera in a step; columns of the moving vehicles, metres and m/s."""
        for number, (xs, cameras) in enumerate(self._by_road):
            if not len(xs):
                continue
            mine = np.flatnonzero(road == number)
            first = np.searchsorted(xs, before[mine], side="right")
            passing = np.flatnonzero(np.searchsorted(xs, after[mine], side="right") > first)
            np.add.at(self.passed, cameras[first[passing]], 1)
            np.add.at(self.speed_sum, cameras[first[passing]], v[mine[passing]])

    def look(self, number: int, fleet: Fleet, interval_s: float) -> View:
        """What camera `number` sees now; its counts begin again."""
        camera = self.cameras[number]
        seen: list[Seen] = []
        covered = 0.0
        for road, x in camera.spots:
            for slot in fleet.count(road, x - VIEW_M, x + VIEW_M):
                kind = int(fleet.kind[slot])
                seen.append(Seen(float(fleet.x[slot] - x), int(min(fleet.lane[slot], 4)), kind, road % 2 == 0))
                covered += float(fleet.length[slot])
        trucks = sum(s.kind in (Kind.TRUCK, Kind.BUS, Kind.FIRE, Kind.RECOVERY) for s in seen)
        passed, speeds = float(self.passed[number]), float(self.speed_sum[number])
        self.passed[number] = self.speed_sum[number] = 0.0
        lanes_m = 3 * 2 * VIEW_M * max(1, len(camera.spots))
        return View(
            seen=tuple(seen),
            cars=len(seen) - trucks,
            trucks=trucks,
            flow_vph=round(passed * 3600 / interval_s, 1),
            mean_speed_kmh=round(speeds / passed * 3.6, 1) if passed else None,
            occupancy_pct=round(100 * covered / lanes_m, 2),
        )
