"""Receives the fleet and the time; gives incidents with a life, which slow the road near them and call emergency vehicles.

Reported → (the first vehicle arrives) Attending → Cleared. Until it is cleared, traffic passes slowly and keeps its distance.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from watling.devices.simulate.catalogue import Kind
from watling.devices.simulate.encode import uuid_words
from watling.devices.simulate.fleet import Fleet
from watling.devices.simulate.lanes import State
from watling.devices.simulate.roads import STEP_M, Network

REPEAT_S = 120.0  # an open incident is told again so often
NOBODY_CAME_S = 1_500.0

# type: share, description, who comes, mean minutes from attending to cleared
TYPES = {
    "Breakdown": (0.36, "Vehicle broken down, part of a lane blocked", (Kind.RECOVERY,), 18),
    "Accident": (0.34, "Collision between vehicles, lanes blocked", (Kind.POLICE, Kind.AMBULANCE, Kind.RECOVERY), 32),
    "Medical": (0.08, "Driver taken ill, vehicle stopped", (Kind.AMBULANCE,), 20),
    "Police": (0.08, "Police stopped a vehicle, traffic passes slowly", (Kind.POLICE,), 14),
    "Fire": (0.06, "Vehicle fire, smoke over the carriageway", (Kind.FIRE, Kind.POLICE), 40),
    "Special Service": (0.04, "Object or animal on the carriageway", (Kind.POLICE,), 12),
    "Flood": (0.04, "Standing water on the carriageway", (Kind.FIRE,), 45),
}
SEVERITIES = (("Minor", 0.55, 17.0, 1.15, 0.7), ("Moderate", 0.33, 9.0, 1.5, 1.0), ("Severe", 0.12, 4.0, 2.2, 1.6))
"""Name, share, speed past it in m/s, factor on the headway, factor on the duration."""


@dataclass(slots=True)
class Incident:
    """One incident. Times are seconds since the start of the simulation."""

    id: str
    type: str
    description: str
    severity: str
    road: int
    x: float
    began: float
    passing_ms: float
    headway: float
    lasts_s: float
    calls: tuple[Kind, ...]
    call_at: float
    status: str = "Reported"
    told_at: float = -1e9
    attended: float = np.inf
    units: list[int] = field(default_factory=list)
    vehicle: int = -1  # slot of the nearest vehicle when it began


class Incidents:
    """`rate` incidents per hour on all roads together."""

    def __init__(self, network: Network, rate: float, seed: int, rng: np.random.Generator) -> None:
        self.network, self.rate, self.seed, self.rng = network, rate, seed, rng
        self.open: list[Incident] = []
        self.count = 0
        self.next_at = self._wait() * 0.3

    def _wait(self) -> float:
        return float(self.rng.exponential(3600 / self.rate)) if self.rate > 0 else np.inf

    def step(self, fleet: Fleet, seconds: float, raining: bool) -> list[tuple[Incident, int]]:
        """Move all incidents on. Gives those to tell of, each with the slot of the vehicle that tells (-1 for none)."""
        while seconds >= self.next_at:
            self.open.append(self._begin(fleet, seconds, raining))
            self.next_at += self._wait()
        told = []
        for incident in self.open:
            before = incident.status
            self._live(incident, fleet, seconds)
            if incident.status != before or seconds - incident.told_at >= REPEAT_S:
                incident.told_at = seconds
                told.append((incident, incident.units[0] if incident.units else incident.vehicle))
        self.open = [i for i in self.open if i.status != "Cleared"]
        return told

    def _begin(self, fleet: Fleet, seconds: float, raining: bool) -> Incident:
        rng, net = self.rng, self.network
        road = int(rng.choice(len(net.roads), p=net.length_m / net.length_m.sum()))
        x = float(rng.uniform(4_000, net.length_m[road] - 2_000))
        near = fleet.count(road, x - 3_000, x + 3_000)
        vehicle = -1
        if len(near):
            vehicle = int(near[np.argmin(np.abs(fleet.x[near] - x))])
        share = np.asarray([t[0] * (raining if n == "Flood" else 1) for n, t in TYPES.items()])
        name = list(TYPES)[int(rng.choice(len(TYPES), p=share / share.sum()))]
        _, description, calls, minutes = TYPES[name]
        kind = SEVERITIES[int(rng.choice(3, p=[s[1] for s in SEVERITIES]))]
        words = uuid_words(self.seed, 200, np.asarray([self.count]), np.asarray([0]))
        self.count += 1
        lasts = float(np.clip(rng.lognormal(np.log(minutes * 60 * kind[4]), 0.35), 180, 3 * 3600))
        number = f"INC-{int(words[0, 0]) >> 40:06X}-{self.count:05d}"
        call_at = seconds + float(rng.uniform(40, 180))
        return Incident(
            number,
            name,
            description,
            kind[0],
            road,
            x,
            seconds,
            kind[2],
            kind[3],
            lasts,
            calls,
            call_at,
            vehicle=vehicle,
        )

    def _live(self, incident: Incident, fleet: Fleet, seconds: float) -> None:
        if incident.status == "Reported":
            if not incident.units and seconds >= incident.call_at:
                road = self.network.roads[incident.road]
                before = road.junctions_m[road.junctions_m < incident.x - 800]
                incident.units = fleet.dispatch(
                    incident.road, float(before[-1]) if len(before) else 50.0, incident.x, incident.calls
                )
                incident.call_at = seconds + 60  # nobody free: ask again in a minute
            arrived = any(fleet.state[u] == State.ON_SCENE for u in incident.units)
            if arrived or seconds - incident.began > NOBODY_CAME_S:
                incident.status, incident.attended = "Attending", seconds
        elif seconds - incident.attended >= incident.lasts_s:
            incident.status = "Cleared"
            for unit in incident.units:
                if fleet.state[unit] in (State.ON_SCENE, State.CALLED):
                    fleet.release(unit)

    def slow(self, speed_factor: np.ndarray, headway_factor: np.ndarray) -> None:
        """Mark the stretch of each open incident in tables over the network's rows."""
        for incident in self.open:
            base = int(self.network.base[incident.road])
            rows = slice(base + int((incident.x - 250) / STEP_M), base + int((incident.x + 100) / STEP_M))
            speed_factor[rows] = np.minimum(speed_factor[rows], incident.passing_ms / self.network.limit[rows])
            headway_factor[rows] = np.maximum(headway_factor[rows], incident.headway)
