"""Receives the roads, their condition and the time; moves every vehicle of the fleet by one step.

All vehicles are columns of the same length (a slot each); a slot whose trip is over is used again. The fleet is a sample
of the traffic: each vehicle stands for `scale` of them, and the car-following model works on gaps divided by it. That
leaves flow, density and the speed of jams as they are on a full road (kinematic waves do not see the scale).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from watling.devices.simulate import following, trips
from watling.devices.simulate.catalogue import (
    DESIRED,
    EMERGENCY_KINDS,
    HEADWAY,
    LENGTH,
    PULL,
    SPREAD,
    Kind,
    kinds_of,
    variants_of,
)
from watling.devices.simulate.encode import uniforms
from watling.devices.simulate.lanes import DT, GROUP, LATERAL, OFF, RAMP_MS, SHOULDER, SLIP, State
from watling.devices.simulate.roads import LANES, Network

Floats = NDArray[np.float64]
Slots = NDArray[np.int64]

LEAVE_M = 350.0  # length of a slip road
PREPARE_M = 2_500.0  # from here on a driver wants the left lane
SIGNAL_CYCLE_S, SIGNAL_GREEN_S = 90.0, 56.0
LOOK_EVERY = 6  # steps between two looks at the other lanes
RETURN_SHARE = 0.65  # of vehicles that drive back after a trip; the others are replaced by new ones


@dataclass(frozen=True, slots=True)
class Moved:
    """What one step did: columns over all slots. Within the step x grows by `v·s + a·s²/2`."""

    x: Floats
    v: Floats
    a: Floats
    left_m: Floats
    left_rate: Floats
    road: NDArray[np.int8]
    lane: NDArray[np.int8]


class Fleet:
    """`vehicles` ordinary slots, then `reserve` for emergency vehicles."""

    def __init__(self, network: Network, vehicles: int, reserve: int, seed: int, rng: np.random.Generator) -> None:
        n = vehicles + reserve
        self.network, self.vehicles, self.size, self.seed, self.rng = network, vehicles, n, seed, rng
        self.serial = np.arange(n, dtype=np.int64)
        self.next_serial = n
        self.trip = np.full(n, trips.FIRST_TRIP, dtype=np.int64)
        self.kind = np.zeros(n, dtype=np.int8)
        self.variant = np.zeros(n, dtype=np.int32)
        self.desired, self.boldness, self.pull = np.zeros(n), np.ones(n), np.ones(n)
        self.headway, self.length = np.ones(n), np.ones(n)
        self.road = np.zeros(n, dtype=np.int8)
        self.lane = np.full(n, OFF, dtype=np.int8)
        self.state = np.full(n, State.GONE, dtype=np.int8)
        self.x, self.v, self.a = np.zeros(n), np.zeros(n), np.zeros(n)
        self.left = np.zeros(n)
        self.wobble = np.zeros(n)
        self.exit_x = np.zeros(n)  # where the trip ends
        self.rest_x = np.full(n, np.inf)  # where it stops for a rest
        self.rest_s = np.zeros(n)
        self.goal_x, self.goal_v = np.full(n, np.inf), np.zeros(n)
        self.timer = np.zeros(n)
        self.returns = np.zeros(n, dtype=bool)
        self.model_a: Floats = np.zeros(n)
        self.changed_identity: list[Slots] = []
        self.speed_factor = np.ones(len(network.limit))  # by weather and incidents, a value a table row
        self.headway_factor = np.ones(len(network.limit))
        self.scale = 1.0
        self.steps = 0
        self.order = np.arange(n)
        self._signal_phase = np.modf(np.arange(len(network.signals_m)) * 0.618034)[0] * SIGNAL_CYCLE_S
        self.identify(np.arange(vehicles))
        for i in range(vehicles, n):
            self.kind[i] = EMERGENCY_KINDS[(i - vehicles) % len(EMERGENCY_KINDS)]
        self.identify(np.arange(vehicles, n), keep_kind=True)
        trips.populate(self)

    # who

    def identify(self, slots: Slots, keep_kind: bool = False) -> None:
        """Give slots the traits that belong to their serial numbers: a vehicle is the same in every run of a seed."""
        u = uniforms(self.seed, 4, self.serial[slots])
        if not keep_kind:
            self.kind[slots] = kinds_of(u[0])
        kind = self.kind[slots]
        self.variant[slots] = variants_of(kind, u[1])
        bold = np.clip((u[2] + u[3] - 1) * 2.4, -2.2, 2.2)  # about a standard deviation of 1
        self.boldness[slots] = 1 + 0.06 * bold
        self.desired[slots] = DESIRED[kind] * (1 + SPREAD[kind] * bold)
        self.pull[slots] = PULL[kind] * (1 + 0.1 * bold)
        self.headway[slots] = HEADWAY[kind] * (1 - 0.12 * bold)
        self.length[slots] = LENGTH[kind]
        self.changed_identity.append(slots)

    # one step

    def step(self, seconds: float) -> Moved:
        """Move everything by `DT` seconds; `seconds` is the time since the start, for the signals."""
        net = self.network
        key = (self.road * 8.0 + self.lane) * GROUP + self.x
        self.order = self.order[np.argsort(key[self.order], kind="stable")]
        sorted_key = key[self.order]
        gap, closing = self._gaps(sorted_key)
        row = net.rows(self.road, self.x)
        v0 = np.minimum(self.desired, net.limit[row] * self.boldness) * self.speed_factor[row]
        urgent = self.kind >= Kind.AMBULANCE
        v0 = np.where(urgent & (self.state == State.CALLED), np.minimum(self.desired, net.limit[row] * 1.4), v0)
        goal = np.sqrt(self.goal_v**2 + 2.4 * np.maximum(self.goal_x - self.x, 0))
        v0 = np.maximum(np.minimum(v0, goal), 0.3)
        headway = self.headway * net.headway[row] * self.headway_factor[row]
        model = following.accelerations(self.v, v0, gap, closing, self.pull, headway)
        self._stop_at_goals(model, v0, headway)
        self._stop_at_signals(model, v0, headway, row, seconds)
        self.model_a = model
        n = self.size
        self.wobble = self.wobble * 0.9 + self.rng.standard_normal(n, dtype=np.float32) * 0.09
        accel = np.clip(np.where(self.v > 2, model + self.wobble, model), -following.HARDEST, self.pull * 1.2)
        still = (self.state == State.GONE) | (self.state == State.PARKED) | (self.state == State.ON_SCENE)
        v = np.where(still, 0.0, np.maximum(0.0, self.v + accel * DT))
        a = (v - self.v) / DT
        a[still] = 0.0
        target = LATERAL[self.lane]
        drift = np.clip((target - self.left) * 0.35, -1.4, 1.4) * np.minimum(1, v / 4)
        moved = Moved(
            self.x.copy(), np.where(still, 0.0, self.v), a, self.left.copy(), drift, self.road.copy(), self.lane.copy()
        )
        self.x = np.minimum(self.x + np.where(still, 0.0, (self.v + v) / 2 * DT), net.length_m[self.road] - 1)
        self.left = self.left + drift * DT
        self.v, self.a = v, a
        self._change_lanes(sorted_key, v0, headway)
        self._merge(sorted_key)
        self._end_and_begin()
        self.steps += 1
        return moved

    def _gaps(self, sorted_key: Floats) -> tuple[Floats, Floats]:
        """Gap to the vehicle ahead in the same lane (m, scaled) and the closing speed (m/s, scaled)."""
        order = self.order
        ahead = np.empty(self.size)
        ahead[:-1] = sorted_key[1:] - sorted_key[:-1]
        ahead[-1] = np.inf
        leader = np.append(order[1:], order[-1])
        alone = (
            (self.lane[order] >= SLIP)
            | (self.lane[leader] != self.lane[order])
            | (self.road[leader] != self.road[order])
        )
        gap, closing = np.empty(self.size), np.empty(self.size)
        gap[order] = np.where(alone, 1e9, ahead / self.scale - self.length[leader])
        closing[order] = np.where(alone, 0.0, (self.v[order] - self.v[leader]) / self.scale)
        return gap, closing

    def _stop_at_goals(self, model: Floats, v0: Floats, headway: Floats) -> None:
        """Brake for the place to stop at as for a standing vehicle."""
        near = np.flatnonzero((self.goal_v < 1) & (self.goal_x - self.x < 1_000) & (self.state != State.GONE))
        gap = self.goal_x[near] - self.x[near] + following.S0_M + 0.5
        v = self.v[near]
        stopping = following.accelerations(v, v0[near], gap, v, self.pull[near], 0.2 * headway[near])
        model[near] = np.minimum(model[near], stopping)

    def _stop_at_signals(self, model: Floats, v0: Floats, headway: Floats, row: Slots, seconds: float) -> None:
        near = np.flatnonzero((self.network.next_signal[row] >= 0) & (self.lane <= SLIP) & (self.state != State.GONE))
        signal = self.network.next_signal[row[near]]
        distance = self.network.signals_m[signal] - self.x[near]
        red = np.mod(seconds + self._signal_phase[signal], SIGNAL_CYCLE_S) > SIGNAL_GREEN_S
        stops = red & (distance > 0.5) & (self.v[near] ** 2 < 2 * 4.0 * distance)
        near, distance = near[stops], distance[stops]
        v = self.v[near]
        model[near] = np.minimum(
            model[near], following.accelerations(v, v0[near], distance, v, self.pull[near], headway[near])
        )

    def _neighbours(self, sorted_key: Floats, who: Slots, lane: NDArray[Any]) -> tuple[Slots, Slots]:
        """Slots of the vehicle ahead of and behind `who` in another lane of the same road; -1 for none."""
        group = self.road[who] * 8.0 + lane
        at = np.searchsorted(sorted_key, group * GROUP + self.x[who], side="right")
        last = len(sorted_key) - 1
        ahead, behind = self.order[np.minimum(at, last)], self.order[np.maximum(at - 1, 0)]
        same_ahead = (at <= last) & (sorted_key[np.minimum(at, last)] // GROUP == group)
        same_behind = (at > 0) & (sorted_key[np.maximum(at - 1, 0)] // GROUP == group)
        return np.where(same_ahead, ahead, -1), np.where(same_behind, behind, -1)

    def _pair(self, rear: Slots, front: Slots, v0: Floats, headway: Floats) -> tuple[Floats, Floats]:
        """Acceleration of `rear` behind `front`, and the scaled gap; where either is -1 the road is free."""
        none = (rear < 0) | (front < 0)
        gap = np.where(none, 1e9, (self.x[front] - self.x[rear]) / self.scale - self.length[front])
        closing = np.where(none, 0.0, (self.v[rear] - self.v[front]) / self.scale)
        accel = following.accelerations(self.v[rear], v0[rear], gap, closing, self.pull[rear], headway[rear])
        return np.where(rear < 0, 0.0, accel), gap

    def _change_lanes(self, sorted_key: Floats, v0: Floats, headway: Floats) -> None:
        who = np.arange(self.steps % LOOK_EVERY, self.size, LOOK_EVERY)
        who = who[(self.lane[who] < LANES) & (self.state[who] == State.DRIVING)]
        for side in (-1, 1):  # left first: keep left unless overtaking
            lane = self.lane[who] + side
            highest = np.where(self.kind[who] == Kind.TRUCK, LANES - 2, LANES - 1)
            can = (lane >= 0) & (lane <= highest)
            mover, target = who[can], lane[can]
            ahead, behind = self._neighbours(sorted_key, mover, target)
            then, gap_ahead = self._pair(mover, ahead, v0, headway)
            behind_then, gap_behind = self._pair(behind, mover, v0, headway)
            behind_now = np.where(behind < 0, 0.0, self.model_a[behind])
            leaving = np.minimum(self.exit_x[mover], self.rest_x[mover]) - self.x[mover] < PREPARE_M
            now = self.model_a[mover] + np.where(leaving, 1.5 * side, 0.0)
            left = np.full(len(mover), side < 0)
            go = following.worth_changing(now, then, behind_now, behind_then, left)
            go &= (gap_ahead > 1) & (gap_behind > 1)
            self.lane[mover[go]] = target[go]
            who = who[~np.isin(who, mover[go])]

    def _merge(self, sorted_key: Floats) -> None:
        who = np.flatnonzero(self.state == State.MERGING)
        if not len(who):
            return
        ahead, behind = self._neighbours(sorted_key, who, np.zeros(len(who)))
        own, gap_ahead = self._pair(who, ahead, self.desired, self.headway)
        theirs, gap_behind = self._pair(behind, who, self.desired, self.headway)
        slow = np.where(behind < 0, True, self.v[behind] < 4) & (self.v[who] < 4)  # zip in where traffic crawls
        fits = (gap_ahead > 1) & (gap_behind > 1) & (((own > -2) & (theirs > -2)) | slow)
        who = who[fits]
        behind = behind[fits]
        _, first = np.unique(np.where(behind < 0, -1 - who, behind), return_index=True)  # one into each gap
        who = who[first]
        self.lane[who], self.state[who], self.goal_x[who] = 0, State.DRIVING, np.inf

    def _end_and_begin(self) -> None:
        x, state = self.x, self.state
        # leave the carriageway
        near = np.flatnonzero((state == State.DRIVING) & (np.minimum(self.exit_x, self.rest_x) - x < LEAVE_M))
        if len(near):
            rests = self.rest_x[near] < self.exit_x[near]
            at = np.where(rests, self.rest_x[near], self.exit_x[near])
            could = (self.lane[near] == 0) & (x[near] < at - 60)
            go, rest = near[could], rests[could]
            self.lane[go] = SLIP
            state[go] = np.where(rest, State.RESTING, State.LEAVING)
            self.goal_x[go] = at[could]
            kerb = self._in_end_city(go)
            self.goal_v[go] = np.where(rest | kerb, 0.5, RAMP_MS)
            missed = near[~could & (x[near] >= at - 60)]
            self._miss(missed)
        # arrive
        there = np.flatnonzero(
            ((state == State.LEAVING) | (state == State.RESTING) | (state == State.CALLED)) & (self.goal_x - x < 1.5)
        )
        at_end = np.flatnonzero((state == State.DRIVING) & (x > self.network.length_m[self.road] - 40))
        parks = there[state[there] == State.RESTING]
        state[parks], self.timer[parks], self.v[parks] = State.PARKED, self.rest_s[parks], 0.0
        scene = there[state[there] == State.CALLED]
        state[scene], self.v[scene] = State.ON_SCENE, 0.0
        self._finish(np.concatenate([there[state[there] == State.LEAVING], at_end]))
        # wait
        waits = np.flatnonzero((state == State.PARKED) | (state == State.GONE))
        self.timer[waits] -= DT
        due = waits[(self.timer[waits] <= 0) & (waits < self.vehicles)]
        again = due[state[due] == State.PARKED]
        state[again], self.rest_x[again] = State.MERGING, np.inf
        self.goal_x[again], self.goal_v[again] = x[again] + 600, 0.5
        fresh = due[state[due] == State.GONE]
        if len(fresh):
            trips.depart(self, fresh)

    def _in_end_city(self, slots: Slots) -> NDArray[np.bool_]:
        ends = np.asarray([r.city_m[1] for r in self.network.roads])
        return np.asarray(self.exit_x[slots] > ends[self.road[slots]])

    def _miss(self, slots: Slots) -> None:
        """Drive on to the next exit for those who could not leave here."""
        rests = self.rest_x[slots] < self.exit_x[slots]
        self.rest_x[slots[rests]] = np.inf
        for s in slots[~rests]:
            road = self.network.roads[self.road[s]]
            later = road.junctions_m[road.junctions_m > self.x[s] + 1_500]
            last = road.length_m - 60
            self.exit_x[s] = (
                min(self.x[s] + 400, last) if self.x[s] > road.city_m[1] else later[0] if len(later) else last
            )

    def _finish(self, slots: Slots) -> None:
        self.state[slots], self.lane[slots], self.v[slots], self.a[slots] = State.GONE, OFF, 0.0, 0.0
        self.goal_x[slots] = np.inf
        self.returns[slots] = self.rng.random(len(slots)) < RETURN_SHARE
        self.timer[slots] = 60 + self.rng.exponential(180, len(slots))

    # emergency vehicles

    def dispatch(self, road: int, from_x: float, to_x: float, kinds: tuple[Kind, ...]) -> list[int]:
        """Send one vehicle of each kind, if one is free, along the shoulder to `to_x`. Gives their slots."""
        sent: list[int] = []
        for kind in kinds:
            reserve = np.arange(self.vehicles, self.size)
            free = reserve[(self.state[reserve] == State.GONE) & (self.kind[reserve] == kind)]
            if not len(free):
                continue
            s = int(free[0])
            self.road[s], self.lane[s], self.state[s] = road, SHOULDER, State.CALLED
            self.x[s], self.v[s], self.a[s], self.left[s] = from_x, RAMP_MS, 0.0, LATERAL[SHOULDER]
            self.goal_x[s], self.goal_v[s], self.wobble[s] = to_x - 12.0 * len(sent), 0.5, 0.0
            self.trip[s] += 1
            sent.append(s)
        return sent

    def release(self, slot: int) -> None:
        """Let an emergency vehicle drive on to the next junction, where it leaves."""
        road = self.network.roads[self.road[slot]]
        later = road.junctions_m[road.junctions_m > self.x[slot] + 500]
        self.exit_x[slot] = self.goal_x[slot] = later[0] if len(later) else road.length_m - 20
        self.goal_v[slot], self.state[slot] = RAMP_MS, State.LEAVING

    def count(self, road: int, from_x: float, to_x: float) -> Slots:
        """Slots of the vehicles on that stretch."""
        on = (self.road == road) & (self.state != State.GONE) & (self.x >= from_x) & (self.x <= to_x)
        return np.flatnonzero(on)
